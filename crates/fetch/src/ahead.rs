//! While one source is read, those behind it begin to arrive.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fhirline_core::{Identity, Origin};

use crate::{FetchError, Found};

/// Sources in the same order, of which those that [arrive by themselves](Origin::arrives_by_itself) are opened as soon as one
/// before them is: `ahead` of them at most, each with the memory of one reader.
///
/// As long as nothing is opened, nothing is opened ahead: whoever only compares sources costs no transfer.
pub(crate) struct Ahead<I> {
    sources: I,
    ahead: usize,
    /// What was found and is not handed out yet.
    found: VecDeque<Result<Found, FetchError>>,
    waiting: Waiting,
}

/// The sources that were found and not handed out.
type Waiting = Arc<Mutex<VecDeque<Arc<Early>>>>;

impl<I: Iterator<Item = Result<Found, FetchError>>> Ahead<I> {
    pub(crate) fn new(sources: I, ahead: usize) -> Self {
        Self { sources, ahead, found: VecDeque::new(), waiting: Waiting::default() }
    }

    /// Makes a source one that can be opened before it is asked for.
    fn openable_early(&self, found: Found) -> Found {
        let Found::Source { origin, by, role, declared } = found else { return found };
        if !origin.arrives_by_itself() {
            return Found::Source { origin, by, role, declared };
        }
        let early = Arc::new(Early { origin, opened: Mutex::default() });
        lock(&self.waiting).push_back(Arc::clone(&early));
        let origin = Box::new(AheadOrigin { early, waiting: Arc::clone(&self.waiting) });
        Found::Source { origin, by, role, declared }
    }
}

impl<I: Iterator<Item = Result<Found, FetchError>>> Iterator for Ahead<I> {
    type Item = Result<Found, FetchError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.found.len() <= self.ahead {
            let Some(found) = self.sources.next() else { break };
            let found = found.map(|found| self.openable_early(found));
            self.found.push_back(found);
        }
        let next = self.found.pop_front();
        if let Some(Ok(Found::Source { origin, .. })) = &next
            && origin.arrives_by_itself()
        {
            // It is the first of them: it is not waiting any more.
            lock(&self.waiting).pop_front();
        }
        next
    }
}

/// A source that may have been opened at its beginning already.
struct Early {
    origin: Box<dyn Origin>,
    opened: Mutex<Option<io::Result<Box<dyn Read + Send>>>>,
}

impl Early {
    fn open(&self) {
        lock(&self.opened).get_or_insert_with(|| self.origin.open_at(0));
    }
}

struct AheadOrigin {
    early: Arc<Early>,
    waiting: Waiting,
}

impl Origin for AheadOrigin {
    fn identity(&self) -> io::Result<Identity> {
        self.early.origin.identity()
    }

    fn name(&self) -> &str {
        self.early.origin.name()
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let opened = lock(&self.early.opened).take().filter(|_| offset == 0);
        let reader = opened.unwrap_or_else(|| self.early.origin.open_at(offset))?;
        lock(&self.waiting).iter().for_each(|early| early.open());
        Ok(reader)
    }

    fn arrives_by_itself(&self) -> bool {
        true
    }
}

impl fmt::Debug for AheadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.early.origin.fmt(f)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BytesOrigin, FoundBy};

    type Opened = Arc<Mutex<Vec<String>>>;

    /// Notes each opening.
    #[derive(Debug)]
    struct Noted {
        inner: BytesOrigin,
        opened: Opened,
        by_itself: bool,
    }

    impl Origin for Noted {
        fn identity(&self) -> io::Result<Identity> {
            self.inner.identity()
        }

        fn name(&self) -> &str {
            self.inner.name()
        }

        fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
            lock(&self.opened).push(format!("{}@{offset}", self.name()));
            self.inner.open_at(offset)
        }

        fn arrives_by_itself(&self) -> bool {
            self.by_itself
        }
    }

    /// Sources named by letters; those in upper case arrive by themselves.
    fn sources(names: &str, ahead: usize) -> (impl Iterator<Item = Box<dyn Origin>>, Opened) {
        let opened = Opened::default();
        let note = Arc::clone(&opened);
        let names: Vec<char> = names.chars().collect();
        let found = names.into_iter().map(move |name| {
            let inner = BytesOrigin::new(name, name.to_string());
            let by_itself = name.is_ascii_uppercase();
            Ok(Found::source(Noted { inner, opened: Arc::clone(&note), by_itself }, FoundBy::Name))
        });
        let origins = Ahead::new(found, ahead).map(|found| match found {
            Ok(Found::Source { origin, .. }) => origin,
            _ => panic!("a source"),
        });
        (origins, opened)
    }

    fn read(origin: &dyn Origin) -> String {
        io::read_to_string(origin.open_at(0).expect("opened")).expect("in memory")
    }

    #[test]
    fn the_next_ones_are_opened_with_the_one_before_and_each_once() {
        let (mut sources, opened) = sources("ABCdE", 2);
        let mut next = || sources.next().expect("a source");
        let so_far = || lock(&opened).join(" ");
        assert_eq!((read(&*next()).as_str(), so_far().as_str()), ("A", "A@0 B@0 C@0"));
        assert_eq!((read(&*next()).as_str(), so_far().as_str()), ("B", "A@0 B@0 C@0"));
        assert_eq!((read(&*next()).as_str(), so_far().as_str()), ("C", "A@0 B@0 C@0 E@0"));
        assert_eq!((read(&*next()).as_str(), so_far().as_str()), ("d", "A@0 B@0 C@0 E@0 d@0"));
        assert_eq!((read(&*next()).as_str(), so_far().as_str()), ("E", "A@0 B@0 C@0 E@0 d@0"));
        assert!(sources.next().is_none());
    }

    #[test]
    fn whoever_opens_nothing_begins_nothing() {
        let (sources, opened) = sources("ABC", 2);
        assert_eq!(sources.map(|origin| origin.name().to_owned()).collect::<String>(), "ABC");
        assert!(lock(&opened).is_empty());
    }

    #[test]
    fn a_source_is_opened_in_its_middle_and_again_as_ever() {
        let (mut sources, opened) = sources("AB", 1);
        let first = sources.next().expect("a source");
        drop(first.open_at(1).expect("opened"));
        assert_eq!(read(&*first), "A");
        let second = sources.next().expect("a source");
        assert_eq!((read(&*second), read(&*second)), ("B".to_owned(), "B".to_owned()));
        assert_eq!(lock(&opened).join(" "), "A@1 B@0 A@0 B@0");
    }
}
