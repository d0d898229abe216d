use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use fhirline_core::{Identity, Origin};

use crate::single_use::behind_the_end;

/// Bytes in memory under a name, for tests and for programs that have the bytes already. It can be opened many times.
///
/// ```
/// use fhirline_core::Origin;
/// use fhirline_fetch::BytesOrigin;
///
/// let origin = BytesOrigin::new("example", "{}\n");
/// assert_eq!(std::io::read_to_string(origin.open_at(2)?)?, "\n");
/// assert_eq!(std::io::read_to_string(origin.open_at(0)?)?, "{}\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct BytesOrigin {
    name: String,
    bytes: Arc<[u8]>,
}

impl BytesOrigin {
    /// These bytes under that name.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        Self { name: name.into(), bytes: bytes.as_ref().into() }
    }
}

impl Origin for BytesOrigin {
    fn identity(&self) -> io::Result<Identity> {
        let stored_bytes = Some(self.bytes.len() as u64);
        Ok(Identity { name: self.name.clone(), stored_bytes, modified: None, tag: None })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let length = self.bytes.len() as u64;
        if offset > length {
            return Err(behind_the_end(&self.name, offset, length));
        }
        let mut reader = Cursor::new(Arc::clone(&self.bytes));
        reader.set_position(offset);
        Ok(Box::new(reader))
    }

    fn is_at_hand(&self) -> bool {
        true
    }
}

impl fmt::Debug for BytesOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesOrigin").field("name", &self.name).field("bytes", &self.bytes.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_anywhere_up_to_its_end() {
        let origin = BytesOrigin::new("five", "12345");
        assert_eq!(io::read_to_string(origin.open_at(3).expect("within")).expect("memory"), "45");
        assert_eq!(io::read_to_string(origin.open_at(5).expect("at the end")).expect("memory"), "");
        let refused = origin.open_at(6).err().expect("behind the end");
        assert_eq!(refused.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn debug_shows_no_content() {
        let shown = format!("{:?}", BytesOrigin::new("name", "SECRET"));
        assert_eq!(shown, r#"BytesOrigin { name: "name", bytes: 6 }"#);
    }
}
