use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fhirline_core::{Identity, Origin};

use crate::open_files::OpenFiles;
use crate::single_use::{SingleUse, behind_the_end};

/// A file, or a named pipe such as a shell's process substitution.
///
/// A regular file has a length and can be opened anywhere and any number of times. Everything else that can be opened is
/// a stream: it has no length and can be read once, from its beginning.
#[derive(Debug)]
pub struct FileOrigin {
    path: PathBuf,
    name: String,
    /// Used by streams only.
    single_use: SingleUse,
}

impl FileOrigin {
    /// The file of that path, which is its name too. Nothing is opened or looked at yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { name: path.display().to_string(), path, single_use: SingleUse::default() }
    }

    /// The path as given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Origin for FileOrigin {
    fn identity(&self) -> io::Result<Identity> {
        let metadata = fs::metadata(&self.path)?;
        refuse_folder(&self.name, &metadata)?;
        let regular = metadata.is_file();
        Ok(Identity {
            name: self.name.clone(),
            stored_bytes: regular.then_some(metadata.len()),
            // The time of a pipe is that of its last use, which says nothing about what comes out of it.
            modified: metadata.modified().ok().filter(|_| regular),
            tag: None,
        })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        // Before it is opened: opening a pipe waits for a writer, and uses it up.
        let metadata = fs::metadata(&self.path)?;
        refuse_folder(&self.name, &metadata)?;
        if !metadata.is_file() {
            self.single_use.take(&self.name, offset)?;
            return Ok(Box::new(open(&self.path)?));
        }
        let mut file = open(&self.path)?;
        if offset == 0 {
            return Ok(Box::new(file));
        }
        let length = file.metadata()?.len();
        if offset > length {
            return Err(behind_the_end(&self.name, offset, length));
        }
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }

    /// Not where few files may be open at a time.
    fn is_at_hand(&self) -> bool {
        OpenFiles::are_many()
    }
}

/// Opens a file to read, if need be in the place of one that is being written.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenFiles::shared().with_room(|| File::open(path))
}

fn refuse_folder(name: &str, metadata: &Metadata) -> io::Result<()> {
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, format!("{name} is a folder, not a file")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_opens_anywhere_up_to_its_end_and_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.ndjson");
        fs::write(&path, "12345").expect("written");
        let origin = FileOrigin::new(&path);
        for _ in 0..2 {
            assert_eq!(io::read_to_string(origin.open_at(3).expect("within")).expect("read"), "45");
        }
        assert_eq!(io::read_to_string(origin.open_at(5).expect("at the end")).expect("read"), "");
        let refused = origin.open_at(6).err().expect("behind the end");
        assert_eq!(refused.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_that_shrank_says_how_much_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.ndjson");
        fs::write(&path, "12345").expect("written");
        let origin = FileOrigin::new(&path);
        drop(origin.open_at(4).expect("within"));
        fs::write(&path, "12").expect("written");
        let refused = origin.open_at(4).err().expect("behind the end");
        assert_eq!(refused.kind(), io::ErrorKind::UnexpectedEof);
        let expected = format!("{} has 2 bytes and cannot be read from byte 4", origin.name());
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn identity_tells_a_changed_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.ndjson");
        fs::write(&path, "12345").expect("written");
        let origin = FileOrigin::new(&path);
        let before = origin.identity().expect("exists");
        assert_eq!((before.name.as_str(), before.stored_bytes), (origin.name(), Some(5)));
        assert!(before.modified.is_some());
        assert_eq!(before, origin.identity().expect("exists"));
        fs::write(&path, "123456").expect("written");
        assert_ne!(before, origin.identity().expect("exists"));
        fs::remove_file(&path).expect("removed");
        assert_eq!(origin.identity().expect_err("gone").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let origin = FileOrigin::new(folder.path());
        assert_eq!(origin.identity().expect_err("a folder").kind(), io::ErrorKind::IsADirectory);
        let refused = origin.open_at(0).err().expect("a folder");
        assert_eq!(refused.kind(), io::ErrorKind::IsADirectory);
    }
}
