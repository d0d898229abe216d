use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// Most files that all stores of the process hold open together unless told otherwise. It is a quarter of what the process may have
/// open, if that is less: the sources, the sockets and the rest need some too.
#[cfg(unix)]
const MOST: u64 = 1024;

/// With less, none is open that is not needed yet.
const MANY: usize = 64;

/// Open files, at most so many at once: the one that was not used for the longest time is closed to open another, be it that the
/// process or the system has no room for one more.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    max: usize,
    state: Mutex<State>,
}

/// Stands for one file, open or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

#[derive(Debug, Default)]
struct State {
    keys: u64,
    uses: u64,
    files: HashMap<Key, Used>,
    /// The key of each by its last use.
    by_use: BTreeMap<u64, Key>,
}

#[derive(Debug)]
struct Used {
    file: Arc<File>,
    last: u64,
}

impl OpenFiles {
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(1), state: Mutex::default() }
    }

    /// A key that stands for no file yet.
    pub(crate) fn new_key(&self) -> Key {
        let mut state = self.lock();
        state.keys += 1;
        Key(state.keys)
    }

    /// The list of all stores that have none of their own: what a process may have open does not grow with their number.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<OpenFiles>> = LazyLock::new(|| Arc::new(OpenFiles::new(usual())));
        Arc::clone(&SHARED)
    }

    /// Whether a few more open files would be in nobody's way.
    pub(crate) fn are_many() -> bool {
        Self::shared().max >= MANY
    }

    /// The file that the key stands for, opened if it is not.
    ///
    /// Whoever is using a file keeps it open while another takes its place, so that each thread may have one more open.
    pub(crate) fn get(&self, key: Key, open: impl FnMut() -> io::Result<File>) -> io::Result<Arc<File>> {
        if let Some(file) = self.lock().used_again(key) {
            return Ok(file);
        }
        while self.lock().files.len() >= self.max && self.close_oldest() {}
        let file = Arc::new(self.with_room(open)?);
        self.lock().insert(key, Arc::clone(&file));
        Ok(file)
    }

    /// Opens something else, again and again for as long as there is no room for it and a file to close.
    pub(crate) fn with_room<T>(&self, mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match open() {
                Err(error) if too_many_open_files(&error) && self.close_oldest() => {}
                opened => return opened,
            }
        }
    }

    /// Closes the file not used for longest; whether there was one.
    fn close_oldest(&self) -> bool {
        // Some systems write what they held back when a file is closed, which nobody else has to wait for.
        let oldest = self.lock().take_oldest();
        oldest.is_some()
    }

    /// The file, if it is open.
    pub(crate) fn open(&self, key: Key) -> Option<Arc<File>> {
        self.lock().files.get(&key).map(|used| Arc::clone(&used.file))
    }

    /// Closes the file.
    pub(crate) fn close(&self, key: Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in it panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.lock().files.len()
    }
}

impl State {
    /// The file of that key, if it is open, as the one that was used last.
    fn used_again(&mut self, key: Key) -> Option<Arc<File>> {
        let used = self.files.get_mut(&key)?;
        self.uses += 1;
        self.by_use.remove(&used.last);
        self.by_use.insert(self.uses, key);
        used.last = self.uses;
        Some(Arc::clone(&used.file))
    }

    fn insert(&mut self, key: Key, file: Arc<File>) {
        self.uses += 1;
        self.remove(key);
        self.files.insert(key, Used { file, last: self.uses });
        self.by_use.insert(self.uses, key);
    }

    fn take_oldest(&mut self) -> Option<Used> {
        let (_, oldest) = self.by_use.pop_first()?;
        self.files.remove(&oldest)
    }

    fn remove(&mut self, key: Key) {
        if let Some(used) = self.files.remove(&key) {
            self.by_use.remove(&used.last);
        }
    }
}

#[cfg(unix)]
fn usual() -> usize {
    use rustix::process::{Resource, getrlimit};
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (allowed / 4).min(MOST) as usize
}

/// The system does not say how many the process may have open.
#[cfg(not(unix))]
fn usual() -> usize {
    64
}

/// Whether something could not be opened because the process, or the system, has too many files open.
#[cfg(unix)]
#[must_use]
pub fn too_many_open_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Whether something could not be opened because the process, or the system, has too many files open. Told on Unix only.
#[cfg(not(unix))]
#[must_use]
pub fn too_many_open_files(_: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn closes_the_file_not_used_for_longest() {
        let files = OpenFiles::new(2);
        let opened = Cell::new(0);
        let get = |key| {
            files.get(key, || {
                opened.set(opened.get() + 1);
                tempfile::tempfile()
            })
        };
        let [a, b, c] = [files.new_key(), files.new_key(), files.new_key()];
        for key in [a, b, a, c, a, a] {
            get(key).expect("opens");
        }
        assert_eq!((opened.get(), files.count()), (3, 2), "b made room for c");
        get(b).expect("opens");
        assert_eq!(opened.get(), 4);
        files.close(b);
        assert_eq!(files.count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn no_room_for_one_more_closes_others_until_there_is_none() {
        use rustix::io::Errno;
        let files = OpenFiles::new(8);
        let keys: Vec<_> = (0..5).map(|_| files.new_key()).collect();
        keys.iter().for_each(|key| drop(files.get(*key, tempfile::tempfile).expect("opens")));
        let room_for = |most| {
            let files = &files;
            move || if files.count() > most { Err(Errno::MFILE.into()) } else { tempfile::tempfile() }
        };
        let sixth = files.new_key();
        files.get(sixth, room_for(3)).expect("opens");
        assert_eq!((files.count(), files.open(keys[1]).is_some()), (4, false), "the oldest two made room");
        files.with_room(room_for(1)).expect("opens");
        assert_eq!((files.count(), files.open(sixth).is_some()), (1, true));
        let none = files.with_room(|| Err::<File, _>(io::Error::from(Errno::NFILE)));
        assert!(too_many_open_files(&none.expect_err("no room at all")) && files.count() == 0);
    }

    #[test]
    fn a_failed_opening_is_told_and_can_be_repeated() {
        let files = OpenFiles::new(1);
        let key = files.new_key();
        assert!(files.get(key, || Err(io::ErrorKind::NotFound.into())).is_err());
        assert!(files.get(key, tempfile::tempfile).is_ok());
    }
}
