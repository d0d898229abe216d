use std::io::{self, Read};

use fhirline_core::{Identity, Origin};

use crate::single_use::SingleUse;

/// Standard input. It has no length and can be read once, from its beginning.
///
/// ```
/// use fhirline_core::Origin;
/// use fhirline_fetch::StandardInput;
///
/// let origin = StandardInput::new();
/// assert!(origin.open_at(1).is_err());
/// assert!(origin.open_at(0).is_ok());
/// assert!(origin.open_at(0).is_err(), "its first bytes are gone");
/// ```
#[derive(Debug, Default)]
pub struct StandardInput {
    single_use: SingleUse,
}

impl StandardInput {
    /// The name that it shows.
    pub const NAME: &'static str = "standard input";

    /// Standard input, not opened yet. Make one a process: two of them would take bytes from each other.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Origin for StandardInput {
    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { name: Self::NAME.to_owned(), stored_bytes: None, modified: None, tag: None })
    }

    fn name(&self) -> &str {
        Self::NAME
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        self.single_use.take(Self::NAME, offset)?;
        // Reads of 8 KiB and more bypass the buffer of `Stdin`.
        Ok(Box::new(io::stdin()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_once_and_from_the_beginning() {
        let origin = StandardInput::new();
        assert_eq!(origin.identity().expect("always known").stored_bytes, None);
        let refused = origin.open_at(7).err().expect("no seeking");
        assert_eq!(refused.kind(), io::ErrorKind::NotSeekable);
        assert!(origin.open_at(0).is_ok(), "a refused opening uses nothing up");
        let refused = origin.open_at(0).err().expect("only once");
        assert_eq!(refused.to_string(), "standard input was opened before and can only be read once");
    }
}
