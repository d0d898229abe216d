use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ffi::OsString;
use std::fs::{self, DirEntry, FileType};
use std::io;
use std::path::Path;
use std::vec;

/// What a name in a folder stands for, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file, or a link that leads nowhere: opening it will tell.
    File,
    Folder,
    /// A pipe, a socket, a device.
    Special,
}

impl From<FileType> for Kind {
    fn from(file_type: FileType) -> Self {
        if file_type.is_dir() {
            Self::Folder
        } else if file_type.is_file() {
            Self::File
        } else {
            Self::Special
        }
    }
}

/// One name in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) kind: Kind,
    /// Whether it is a symbolic link to what `kind` says.
    pub(crate) linked: bool,
}

/// Entries are ordered as if the names of folders ended in `/`: that is where the paths of the files below them stand in
/// the order of path bytes (`a-b`, `a.txt`, `a/x`, `a0`).
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let own = (self.name.as_encoded_bytes(), self.kind == Kind::Folder);
        order(own, (other.name.as_encoded_bytes(), other.kind == Kind::Folder))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

fn order((a, a_is_folder): (&[u8], bool), (b, b_is_folder): (&[u8], bool)) -> Ordering {
    let common = a.len().min(b.len());
    // No name holds a `/`, so the byte behind the common part decides unless both end there.
    let next = |name: &[u8], is_folder: bool| name.get(common).copied().or(is_folder.then_some(b'/'));
    a[..common].cmp(&b[..common]).then_with(|| next(a, a_is_folder).cmp(&next(b, b_is_folder)))
}

/// The names of one folder in order, in memory that does not grow with their number: each pass over the folder keeps the
/// next few names behind the last one handed out.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    ready: vec::IntoIter<Entry>,
    last: Option<Entry>,
    /// Whether there is nothing behind `ready`.
    complete: bool,
}

impl Listing {
    /// Whether [`pass`](Self::pass) must run before [`next`](Self::next) can tell what comes next.
    pub(crate) fn needs_pass(&self) -> bool {
        self.ready.len() == 0 && !self.complete
    }

    /// Reads the folder and keeps its next `names_at_once` entries.
    pub(crate) fn pass(&mut self, folder: &Path, names_at_once: usize) -> io::Result<()> {
        let mut pass =
            Pass { last: self.last.as_ref(), names_at_once, kept: BinaryHeap::new(), left_out: false };
        for entry in fs::read_dir(folder)? {
            pass.consider(&entry?);
        }
        self.complete = !pass.left_out;
        self.ready = pass.kept.into_sorted_vec().into_iter();
        Ok(())
    }

    /// The next entry of the last pass.
    pub(crate) fn next(&mut self) -> Option<Entry> {
        let entry = self.ready.next()?;
        self.last = Some(entry.clone());
        Some(entry)
    }

    /// Entries held.
    pub(crate) fn held(&self) -> usize {
        self.ready.len()
    }

    /// Lets go of the entries held; another pass will find them again.
    pub(crate) fn release(&mut self) {
        if self.ready.len() > 0 {
            self.ready = vec::IntoIter::default();
            self.complete = false;
        }
    }
}

struct Pass<'l> {
    last: Option<&'l Entry>,
    names_at_once: usize,
    /// The smallest entries behind `last` so far, the greatest of them on top.
    kept: BinaryHeap<Entry>,
    left_out: bool,
}

impl Pass<'_> {
    fn consider(&mut self, entry: &DirEntry) {
        // Type and name come with the listing; only links cost a call of their own.
        let file_type = entry.file_type().ok();
        let linked = file_type.is_some_and(|file_type| file_type.is_symlink());
        let file_type = if linked {
            fs::metadata(entry.path()).ok().map(|metadata| metadata.file_type())
        } else {
            file_type
        };
        let kind = file_type.map_or(Kind::File, Kind::from);
        self.keep(Entry { name: entry.file_name(), kind, linked });
    }

    fn keep(&mut self, entry: Entry) {
        if self.last.is_some_and(|last| entry <= *last) {
            return;
        }
        if self.kept.len() < self.names_at_once {
            self.kept.push(entry);
            return;
        }
        self.left_out = true;
        if let Some(mut greatest) = self.kept.peek_mut()
            && entry < *greatest
        {
            *greatest = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &str, kind: Kind) -> Entry {
        Entry { name: name.into(), kind, linked: false }
    }

    #[test]
    fn folders_stand_where_their_paths_do() {
        let mut entries = [
            entry("a0", Kind::File),
            entry("a", Kind::Folder),
            entry("a.txt", Kind::File),
            entry("a-b", Kind::Folder),
            entry("a-b!", Kind::File),
        ];
        entries.sort();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.to_str().expect("UTF-8")).collect();
        assert_eq!(names, ["a-b!", "a-b", "a.txt", "a", "a0"]);
    }

    #[test]
    fn a_released_listing_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["d", "b", "e", "a", "c"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let mut listing = Listing::default();
        let mut names = Vec::new();
        loop {
            if listing.needs_pass() {
                listing.pass(folder.path(), 4).expect("readable");
                assert!(listing.held() <= 4);
            }
            let Some(entry) = listing.next() else { break };
            names.push(entry.name);
            if [2, 4].contains(&names.len()) {
                listing.release();
                assert_eq!(listing.held(), 0);
            }
        }
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    }

    proptest! {
        #[test]
        fn order_is_that_of_names_with_a_slash(a in "[!-.0-3]{1,3}", b in "[!-.0-3]{1,3}", folders in any::<(bool, bool)>()) {
            let slashed = |name: &str, folder: bool| if folder { format!("{name}/") } else { name.to_owned() };
            let expected = slashed(&a, folders.0).cmp(&slashed(&b, folders.1));
            prop_assert_eq!(order((a.as_bytes(), folders.0), (b.as_bytes(), folders.1)), expected);
        }
    }
}
