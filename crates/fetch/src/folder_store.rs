use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{self, Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fhirline_core::{PARTIAL_SUFFIX, Partial, Store};

use crate::object_name::{self, already_exists, beyond_the_end, partial_name, too_large};
use crate::open_files::{Key, OpenFiles};

/// A folder as a store.
///
/// Files are made with mode 0600 and folders with mode 0700 (or stricter, as the umask says), because outputs may be
/// health records; what exists keeps its mode. Each [`append`](Partial::append) is one write, nothing is held back in the
/// process. A name with `/` in it lies in a sub folder, which comes with its first name and goes with its last.
///
/// Within a process, names that exist are never overwritten, except by [`replace`](Store::replace). Between processes that holds for
/// [`put_if_absent`](Store::put_if_absent), so that it can claim the folder; whoever claimed it is expected to be alone in
/// sealing. (On a file system without hard links two processes that put the same name at the same instant can both succeed.)
///
/// A process that is killed while it puts or replaces a name can leave a file beside it whose name ends in
/// [`PARTIAL_SUFFIX`].
///
/// ```
/// use fhirline_core::Store;
/// use fhirline_fetch::FolderStore;
///
/// let folder = tempfile::tempdir()?;
/// let store = FolderStore::open(folder.path().join("out"))?;
/// let mut patients = store.create("Patient.ndjson")?;
/// patients.append(b"{}\n")?;
/// assert_eq!(store.list()?, ["Patient.ndjson.partial"]);
/// patients.sync()?;
/// patients.seal()?;
/// store.put_if_absent("manifest.json", b"{}")?;
/// store.sync()?;
/// assert_eq!(store.list()?, ["Patient.ndjson", "manifest.json"]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct FolderStore {
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    /// The folders that hold the root and those made on the way to it.
    made_in: Vec<PathBuf>,
    files: Arc<OpenFiles>,
    /// Held while names change: a look whether a name is free and its taking must be one step, and a sub folder must not
    /// go between its making and its first name.
    names: Mutex<()>,
}

impl FolderStore {
    /// The store in that folder, which is made if it does not exist.
    ///
    /// # Errors
    /// When it cannot be made, or is no folder.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        Self::with_files(folder.into(), OpenFiles::shared())
    }

    /// The same with a bound of its own on the files that it holds open, at least 1. Unless set, all stores of the process together
    /// hold a quarter of what the process may have open, 1,024 at most.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn with_open_files(folder: impl Into<PathBuf>, open_files: usize) -> io::Result<Self> {
        Self::with_files(folder.into(), Arc::new(OpenFiles::new(open_files)))
    }

    fn with_files(root: PathBuf, files: Arc<OpenFiles>) -> io::Result<Self> {
        let missing = |ancestor: &&Path| fs::symlink_metadata(ancestor).is_err();
        let absolute = path::absolute(&root)?;
        let made = absolute.ancestors().take_while(missing);
        let made_in = made.filter_map(Path::parent).map(Path::to_owned).collect();
        make_folders(&root)?;
        Ok(Self { folder: Arc::new(Folder { root, made_in, files, names: Mutex::default() }) })
    }

    /// Claims the folder for one run. The claim ends when it is dropped or the process dies, and leaves nothing behind: it is
    /// an advisory lock on the folder itself. Where the file system has no such locks, there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] while somebody else has it, or what the system says.
    pub fn claim(&self) -> io::Result<FolderClaim> {
        let folder = self.folder.files.with_room(|| File::open(&self.folder.root))?;
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(io::ErrorKind::ResourceBusy, "another run is writing there"))
            }
            Ok(()) | Err(TryLockError::Error(_)) => Ok(FolderClaim { _folder: folder }),
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder.root
    }
}

/// A folder that belongs to one run. Made by [`FolderStore::claim`].
#[derive(Debug)]
pub struct FolderClaim {
    _folder: File,
}

impl Folder {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of a name that was checked, whose folder is there then.
    fn make_room(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.root.join(name);
        if name.contains('/')
            && let Some(parent) = path.parent()
        {
            make_folders(parent)?;
        }
        Ok(path)
    }

    /// Removes a name that was checked, and the sub folders that it leaves empty.
    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.root.join(name);
        remove_file(&path)?;
        for sub_folder in sub_folders(&path, name) {
            // Refused while there is something in it.
            if fs::remove_dir(sub_folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Makes a name that was checked survive a crash of the machine, with the folders made on the way to it.
    fn sync_way_to(&self, name: &str) -> io::Result<()> {
        sub_folders(&self.root.join(name), name).try_for_each(|folder| self.sync(folder))?;
        self.sync(&self.root)?;
        self.made_in.iter().try_for_each(|folder| self.sync(folder))
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        self.files.with_room(|| sync_folder(folder))
    }

    /// The sub folders and the names of all files; links are names, wherever they lead.
    fn contents(&self) -> io::Result<(Vec<PathBuf>, Vec<String>)> {
        let mut folders = vec![self.root.clone()];
        let mut names = Vec::new();
        let mut listed = 0;
        while let Some(folder) = folders.get(listed).cloned() {
            for entry in self.files.with_room(|| fs::read_dir(&folder))? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if let Ok(below) = entry.path().strip_prefix(&self.root) {
                    names.push(name_of(below));
                }
            }
            listed += 1;
        }
        names.sort();
        Ok((folders, names))
    }
}

impl Store for FolderStore {
    fn name(&self) -> String {
        self.folder.root.display().to_string()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        object_name::check_final(name)?;
        let _names = self.folder.lock();
        let path = self.folder.make_room(&partial_name(name))?;
        // Removed and not cut to nothing: it may be a link, or have the wrong mode.
        remove_file(&path)?;
        let key = self.folder.files.new_key();
        self.folder.files.get(key, || open_to_append(&path, true))?;
        let folder = Arc::clone(&self.folder);
        Ok(Box::new(FolderPartial { folder, key, name: name.to_owned(), path, stored_bytes: 0 }))
    }

    fn resume(&self, name: &str, stored_bytes: u64) -> io::Result<Option<Box<dyn Partial>>> {
        object_name::check_final(name)?;
        let _names = self.folder.lock();
        let path = self.folder.root.join(partial_name(name));
        // A link or a folder in its place was not left by a run.
        let found = match fs::symlink_metadata(&path) {
            Err(error) if is_absent(&error) => return Ok(None),
            metadata => Some(metadata?).filter(Metadata::is_file).map(|metadata| metadata.len()),
        };
        let Some(found) = found.filter(|&found| found >= stored_bytes) else { return Ok(None) };
        let key = self.folder.files.new_key();
        let folder = Arc::clone(&self.folder);
        let mut partial = FolderPartial { folder, key, name: name.to_owned(), path, stored_bytes: found };
        partial.truncate(stored_bytes)?;
        Ok(Some(Box::new(partial)))
    }

    fn replace(&self, name: &str, bytes: &[u8], durable: bool) -> io::Result<()> {
        object_name::check(name)?;
        let _names = self.folder.lock();
        let path = self.folder.make_room(name)?;
        let (provisional, mut file) = self.folder.files.with_room(|| create_provisional(&path))?;
        let replaced = file
            .write_all(bytes)
            .and_then(|()| if durable { file.sync_all() } else { Ok(()) })
            .and_then(|()| fs::rename(&provisional, &path));
        if let Err(error) = replaced {
            // What it was told first says more than why this fails too, if it does.
            let _ = remove_file(&provisional);
            return Err(error);
        }
        if durable { self.folder.sync_way_to(name) } else { Ok(()) }
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        object_name::check_final(name)?;
        let _names = self.folder.lock();
        let path = self.folder.root.join(name);
        if exists(&path)? {
            return Err(already_exists(name));
        }
        self.folder.make_room(name)?;
        let (provisional, mut file) = self.folder.files.with_room(|| create_provisional(&path))?;
        let published = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| publish(&provisional, &path, name));
        // After a success there is a second name to take away, after a failure what came of it.
        let removed = remove_file(&provisional);
        published.and(removed)
    }

    fn get(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        object_name::check(name)?;
        let path = self.folder.root.join(name);
        let metadata = match fs::metadata(&path) {
            Err(error) if is_absent(&error) => return Ok(None),
            metadata => metadata?,
        };
        // Opening a pipe would wait for a writer.
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is not a file")));
        }
        let mut bytes = Vec::new();
        let file = self.folder.files.with_room(|| File::open(&path))?;
        file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max_bytes {
            return Err(too_large(name, max_bytes));
        }
        Ok(Some(bytes))
    }

    fn stored_bytes(&self, name: &str) -> io::Result<Option<u64>> {
        object_name::check(name)?;
        match fs::metadata(self.folder.root.join(name)) {
            Err(error) if is_absent(&error) => Ok(None),
            metadata => Ok(Some(metadata?.len())),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let _names = self.folder.lock();
        Ok(self.folder.contents()?.1)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        object_name::check(name)?;
        let _names = self.folder.lock();
        self.folder.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        let _names = self.folder.lock();
        let (folders, _) = self.folder.contents()?;
        folders.iter().chain(&self.folder.made_in).try_for_each(|folder| self.folder.sync(folder))
    }
}

/// An output that is being written to a file. Dropped, it leaves the file under its provisional name.
#[derive(Debug)]
struct FolderPartial {
    folder: Arc<Folder>,
    key: Key,
    name: String,
    path: PathBuf,
    stored_bytes: u64,
}

impl FolderPartial {
    fn file(&self) -> io::Result<Arc<File>> {
        self.folder.files.get(self.key, || {
            let file = open_to_append(&self.path, false)?;
            // Two runs on one folder: the sooner it is seen, the less is lost.
            self.check_length(&file.metadata()?)?;
            Ok(file)
        })
    }

    /// Refuses what has the provisional name now, if it is not the file that was written to.
    fn check(&self) -> io::Result<()> {
        let found = fs::symlink_metadata(&self.path)?;
        let open = self.folder.files.open(self.key);
        let same = match open {
            Some(open) => is_same_file(&found, &open.metadata()?),
            None => true,
        };
        if !found.is_file() || !same {
            let path = self.path.display();
            return Err(io::Error::other(format!(
                "{path} is not the file that was written to: somebody else replaced it"
            )));
        }
        self.check_length(&found)
    }

    fn check_length(&self, found: &Metadata) -> io::Result<()> {
        if found.len() == self.stored_bytes {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "{} should have {} bytes and has {}: somebody else changed it",
            self.path.display(),
            self.stored_bytes,
            found.len()
        )))
    }
}

impl Partial for FolderPartial {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        if let Err(error) = (&*file).write_all(bytes) {
            // A part of them may be there.
            self.stored_bytes = file.metadata().map_or(self.stored_bytes, |metadata| metadata.len());
            return Err(error);
        }
        self.stored_bytes += bytes.len() as u64;
        Ok(())
    }

    fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        read_at(&*self.file()?, offset, into)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.stored_bytes {
            return Err(beyond_the_end(&self.name, bytes, self.stored_bytes));
        }
        // The next append goes to the new end, as the file is open to append.
        self.file()?.set_len(bytes)?;
        self.stored_bytes = bytes;
        Ok(())
    }

    fn rest(&mut self) {
        self.folder.files.close(self.key);
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_all()
    }

    fn seal(self: Box<Self>) -> io::Result<()> {
        let _names = self.folder.lock();
        let path = self.folder.root.join(&self.name);
        if exists(&path)? {
            return Err(already_exists(&self.name));
        }
        self.check()?;
        fs::rename(&self.path, path)
    }

    fn discard(self: Box<Self>) -> io::Result<()> {
        let _names = self.folder.lock();
        self.folder.remove(&partial_name(&self.name))
    }
}

impl Drop for FolderPartial {
    fn drop(&mut self) {
        self.folder.files.close(self.key);
    }
}

/// The sub folders that a name at that path lies in, the innermost first.
fn sub_folders<'p>(path: &'p Path, name: &str) -> impl Iterator<Item = &'p Path> {
    path.ancestors().skip(1).take(name.matches('/').count())
}

fn open_to_append(path: &Path, new: bool) -> io::Result<File> {
    private(OpenOptions::new().read(true).append(true).create_new(new)).open(path)
}

/// A new file beside `path`, under a name that no other run uses and that is never taken for data.
pub(crate) fn create_provisional(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut provisional = path.as_os_str().to_owned();
        provisional.push(format!(".{}-{count}{PARTIAL_SUFFIX}", process::id()));
        let provisional = PathBuf::from(provisional);
        match private(OpenOptions::new().read(true).write(true).create_new(true)).open(&provisional) {
            // Left by a process of the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((provisional, opened?)),
        }
    }
}

/// Gives a complete file its final name, which is taken away from nobody.
fn publish(provisional: &Path, path: &Path, name: &str) -> io::Result<()> {
    match fs::hard_link(provisional, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(already_exists(name)),
        // A file system without hard links.
        Err(_) if exists(path)? => Err(already_exists(name)),
        Err(_) => fs::rename(provisional, path),
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if is_absent(&error) => Ok(()),
        removed => removed,
    }
}

fn exists(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A path below the root as a name: with `/` on every system, and readable even if it is not UTF-8.
fn name_of(below: &Path) -> String {
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

fn make_folders(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(unix)]
fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    // A file that is open cannot be replaced there, or std does not tell.
    true
}

#[cfg(unix)]
pub(crate) fn read_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, offset)
}

#[cfg(not(unix))]
pub(crate) fn read_at(mut file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    // Moving the place to read from does not move the end, where all appends go.
    io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
    file.read(into)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some network file systems know no such thing as the syncing of a folder.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    // Only Unix systems open folders like files.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_are_open_however_many_are_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = FolderStore::with_open_files(folder.path(), 8).expect("opened");
        let mut partials: Vec<_> = (0..300).map(|i| store.create(&i.to_string()).expect("created")).collect();
        for partial in &mut partials {
            partial.append(b"x").expect("appended");
            assert!(store.folder.files.count() <= 8);
        }
        partials.iter_mut().take(296).for_each(|partial| partial.rest());
        assert_eq!(store.folder.files.count(), 4);
        drop(partials);
        assert_eq!(store.folder.files.count(), 0);
    }

    #[test]
    fn a_file_system_without_hard_links_replaces_nothing_either() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        // No file system links folders, so they stand for files on one that links nothing.
        fs::create_dir(path("provisional")).expect("made");
        publish(&path("provisional"), &path("a"), "a").expect("published");
        assert!(path("a").is_dir() && !path("provisional").exists());
        fs::create_dir(path("provisional")).expect("made");
        let refused = publish(&path("provisional"), &path("a"), "a").expect_err("exists");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        let refused = publish(&path("gone"), &path("b"), "b").expect_err("gone");
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_provisional_file_of_a_killed_process_stands_in_nobodys_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let (first, _) = create_provisional(&path).expect("created");
        let (second, _) = create_provisional(&path).expect("created");
        assert_ne!(first, second);
        assert!(first.to_string_lossy().ends_with(PARTIAL_SUFFIX));
    }
}
