use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use fhirline_core::{Identity, Origin};

use crate::single_use::behind_the_end;

/// A piece of a regular file, as a source with a name of its own.
///
/// ```
/// use fhirline_core::Origin;
/// use fhirline_fetch::FileRange;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("lines.raw");
/// std::fs::write(&path, "of a\nof b\n")?;
/// let origin = FileRange::new(&path, 5..10, "b.ndjson");
/// assert_eq!(origin.name(), "b.ndjson");
/// assert_eq!(std::io::read_to_string(origin.open_at(0)?)?, "of b\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileRange {
    path: PathBuf,
    bytes: Range<u64>,
    name: String,
}

impl FileRange {
    /// These bytes of the file, under that name. Nothing is opened or looked at yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, bytes: Range<u64>, name: impl Into<String>) -> Self {
        Self { path: path.into(), bytes, name: name.into() }
    }

    fn length(&self) -> u64 {
        self.bytes.end.saturating_sub(self.bytes.start)
    }

    /// Refuses a file that has become shorter.
    fn check(&self, file_bytes: u64) -> io::Result<()> {
        if self.bytes.end > file_bytes {
            return Err(behind_the_end(&self.path.display().to_string(), self.bytes.end, file_bytes));
        }
        Ok(())
    }
}

impl Origin for FileRange {
    fn identity(&self) -> io::Result<Identity> {
        let metadata = fs::metadata(&self.path)?;
        self.check(metadata.len())?;
        let (name, stored_bytes) = (self.name.clone(), Some(self.length()));
        Ok(Identity { name, stored_bytes, modified: metadata.modified().ok(), tag: None })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let Some(rest) = self.length().checked_sub(offset) else {
            return Err(behind_the_end(&self.name, offset, self.length()));
        };
        let mut file = crate::file::open(&self.path)?;
        self.check(file.metadata()?.len())?;
        file.seek(SeekFrom::Start(self.bytes.start + offset))?;
        Ok(Box::new(file.take(rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_opens_anywhere_up_to_its_end_and_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        fs::write(&path, "0123456789").expect("written");
        let origin = FileRange::new(&path, 2..6, "piece");
        let identity = origin.identity().expect("exists");
        assert_eq!((identity.name.as_str(), identity.stored_bytes), ("piece", Some(4)));
        for _ in 0..2 {
            assert_eq!(io::read_to_string(origin.open_at(1).expect("within")).expect("read"), "345");
        }
        assert_eq!(io::read_to_string(origin.open_at(4).expect("at the end")).expect("read"), "");
        let refused = origin.open_at(5).err().expect("behind the end");
        assert_eq!(refused.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_that_became_shorter_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        fs::write(&path, "01234").expect("written");
        let origin = FileRange::new(&path, 2..6, "piece");
        assert_eq!(origin.identity().expect_err("short").kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(origin.open_at(0).err().expect("short").kind(), io::ErrorKind::UnexpectedEof);
    }
}
