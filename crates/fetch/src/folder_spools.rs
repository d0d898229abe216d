use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use fhirline_core::{Spool, Spools};

use crate::folder_store::read_at;
use crate::open_files::OpenFiles;

/// Spools as files without a name in a folder, such as the one that the outputs go to.
///
/// A spool's bytes go when it is dropped or the process dies, however it dies. Its file has mode 0600, as what it holds may
/// be a health record. On Linux it never has a name. Elsewhere, and on file systems that know no such files, it has one from
/// its making to its removal an instant later; except on such a file system of Linux, that name ends in
/// [`PARTIAL_SUFFIX`](fhirline_core::PARTIAL_SUFFIX), so that nobody takes what a kill in that instant leaves, an empty file,
/// for data.
///
/// Nothing is held back in the process: each [`append`](Spool::append) is one write.
///
/// ```
/// use fhirline_core::Spools;
/// use fhirline_fetch::FolderSpools;
///
/// let folder = tempfile::tempdir()?;
/// let mut spool = FolderSpools::new(folder.path()).create()?;
/// spool.append(b"a very long line")?;
/// let mut word = [0; 4];
/// assert_eq!(spool.read_at(2, &mut word)?, 4);
/// assert_eq!(&word, b"very");
/// assert_eq!(folder.path().read_dir()?.count(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FolderSpools {
    folder: Arc<Path>,
}

impl FolderSpools {
    /// Spools in that folder, which has to be there when the first one is made.
    #[must_use]
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: folder.as_ref().into() }
    }
}

impl Spools for FolderSpools {
    fn create(&self) -> io::Result<Box<dyn Spool>> {
        let file = OpenFiles::shared()
            .with_room(|| without_name(&self.folder))
            .map_err(|error| in_folder("a temporary file cannot be made", &self.folder, &error))?;
        Ok(Box::new(FolderSpool { folder: Arc::clone(&self.folder), file, bytes: 0 }))
    }
}

struct FolderSpool {
    folder: Arc<Path>,
    file: File,
    bytes: u64,
}

impl Spool for FolderSpool {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Some systems cannot read elsewhere without moving the place to write to.
        let written = self.file.seek(SeekFrom::Start(self.bytes)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|error| in_folder("a temporary file cannot be written", &self.folder, &error))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        read_at(&self.file, offset, into)
            .map_err(|error| in_folder("a temporary file cannot be read", &self.folder, &error))
    }
}

impl fmt::Debug for FolderSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderSpool").field("folder", &self.folder).field("bytes", &self.bytes).finish()
    }
}

/// The file has no name to show, so the folder stands for it: it says which disk is full.
pub(crate) fn in_folder(what: &str, folder: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} in {}: {error}", folder.display()))
}

#[cfg(target_os = "linux")]
pub(crate) fn without_name(folder: &Path) -> io::Result<File> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    let file = tempfile::tempfile_in(folder)?;
    // A file that never had a name has the mode that the umask leaves it.
    match file.set_permissions(Permissions::from_mode(0o600)) {
        // The file is ours, so this is a file system that keeps no modes.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) =>
        {
            Ok(file)
        }
        changed => changed.map(|()| file),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use made_and_removed as without_name;

/// A file that had a name for an instant.
#[cfg(any(test, not(target_os = "linux")))]
pub(crate) fn made_and_removed(folder: &Path) -> io::Result<File> {
    let (name, file) = crate::folder_store::create_provisional(&folder.join("spool"))?;
    std::fs::remove_file(name)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool_of(file: File) -> FolderSpool {
        FolderSpool { folder: Path::new("folder").into(), file, bytes: 0 }
    }

    fn read(spool: &mut FolderSpool, offset: u64, length: usize) -> Vec<u8> {
        let mut into = vec![0; length];
        let count = spool.read_at(offset, &mut into).expect("read");
        into.truncate(count);
        into
    }

    /// Both ways to a file, whatever the system: each has to give the same.
    const WAYS: [fn(&Path) -> io::Result<File>; 2] = [without_name, made_and_removed];

    #[test]
    fn bytes_come_back_from_anywhere() {
        let folder = tempfile::tempdir().expect("a folder");
        for way in WAYS {
            let mut spool = spool_of(way(folder.path()).expect("made"));
            assert_eq!(read(&mut spool, 0, 9), b"");
            spool.append(b"123").expect("appended");
            assert_eq!(read(&mut spool, 1, 9), b"23");
            spool.append(b"").expect("appended");
            spool.append(b"45").expect("reading does not move the end");
            assert_eq!(read(&mut spool, 0, 4), b"1234");
            assert_eq!(read(&mut spool, 3, 9), b"45");
            assert_eq!(read(&mut spool, 5, 9), b"");
            assert_eq!(read(&mut spool, 1 << 40, 9), b"");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_and_nobody_can_find_the_file() {
        use std::os::unix::fs::MetadataExt;

        let folder = tempfile::tempdir().expect("a folder");
        for way in WAYS {
            let file = way(folder.path()).expect("made");
            let metadata = file.metadata().expect("looked at");
            assert_eq!(metadata.mode() & 0o7777, 0o600);
            assert_eq!(metadata.nlink(), 0);
            assert_eq!(folder.path().read_dir().expect("listed").count(), 0);
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let mut spool = spool_of(tempfile::tempfile().expect("made"));
        spool.append(b"SECRET").expect("appended");
        assert_eq!(format!("{spool:?}"), r#"FolderSpool { folder: "folder", bytes: 6 }"#);
    }
}
