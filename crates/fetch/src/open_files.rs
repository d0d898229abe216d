use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open files of a store, at most so many at once: the one that was not used for the longest time is closed to open
/// another.
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

    /// The file that the key stands for, opened if it is not.
    ///
    /// Whoever is using a file keeps it open while another takes its place, so that a thread writing and a thread reading
    /// may have one more open each.
    pub(crate) fn get(&self, key: Key, open: impl FnOnce() -> io::Result<File>) -> io::Result<Arc<File>> {
        let mut state = self.lock();
        state.uses += 1;
        let last = state.uses;
        if let Some(file) = state.used_again(key, last) {
            return Ok(file);
        }
        while state.files.len() >= self.max {
            state.close_oldest();
        }
        let file = Arc::new(open()?);
        state.files.insert(key, Used { file: Arc::clone(&file), last });
        state.by_use.insert(last, key);
        Ok(file)
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
        // A panic in `open` leaves one file fewer, which is no broken state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.lock().files.len()
    }
}

impl State {
    /// The file of that key, if it is open, as the one that was used last.
    fn used_again(&mut self, key: Key, last: u64) -> Option<Arc<File>> {
        let used = self.files.get_mut(&key)?;
        self.by_use.remove(&used.last);
        self.by_use.insert(last, key);
        used.last = last;
        Some(Arc::clone(&used.file))
    }

    fn close_oldest(&mut self) {
        if let Some((_, oldest)) = self.by_use.pop_first() {
            self.files.remove(&oldest);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(used) = self.files.remove(&key) {
            self.by_use.remove(&used.last);
        }
    }
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

    #[test]
    fn a_failed_opening_is_told_and_can_be_repeated() {
        let files = OpenFiles::new(1);
        let key = files.new_key();
        assert!(files.get(key, || Err(io::ErrorKind::NotFound.into())).is_err());
        assert!(files.get(key, tempfile::tempfile).is_ok());
    }
}
