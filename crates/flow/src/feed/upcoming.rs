//! The list of sources, of which the next ones are begun before their turn.
//!
//! Opening a source, looking at it and decoding its first bytes is work that another thread can do while those before it are read. A
//! source that is short is decoded whole by then, so two inflate at once; of a long one it is a beginning. What comes out is what would
//! come out in its turn: it is the same decoder, and whatever does not work before the turn is done again in it.

use std::collections::VecDeque;
use std::iter::{Fuse, Peekable};
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use fhirline_core::{Budget, Lease, Origin, SourceRole, mapped_zeros};
use fhirline_decompress::{Compression, Decoder, Limits};
use fhirline_sink::Offload;

use super::begin::Opened;
use crate::entry::Entry;
use crate::plan::{Beginnings, GZIP_BYTES, THREAD_BYTES};
use crate::stamp::{Stamp, stamp_as};

/// Most sources that are begun, or wait to be, before their turn.
const MOST_SOURCES: usize = 16;

/// Of what is plain a first look is enough: more would be copied once more, and nothing saved by that.
const PLAIN_BYTES: usize = 64 << 10;

type Entries<'s> = Box<dyn Iterator<Item = Entry> + Send + 's>;

/// What is next on the list.
pub(super) enum Next {
    Entry(Entry),
    Source { origin: Arc<dyn Origin>, meant: bool, role: SourceRole, beginning: Beginning },
}

pub(super) struct Upcoming<'s> {
    entries: Peekable<Fuse<Entries<'s>>>,
    waiting: VecDeque<Next>,
    starter: Option<Starter>,
}

impl<'s> Upcoming<'s> {
    pub(super) fn new(entries: Entries<'s>) -> Self {
        Self { entries: entries.fuse().peekable(), waiting: VecDeque::new(), starter: None }
    }

    /// From now on sources may be begun before their turn.
    pub(super) fn start_with(&mut self, starter: Starter) {
        self.starter = Some(starter);
    }

    /// The entries themselves, before any was handed out.
    pub(super) fn entries(&mut self) -> &mut dyn Iterator<Item = Entry> {
        &mut self.entries
    }

    pub(super) fn next(&mut self) -> Option<Next> {
        self.waiting.pop_front().or_else(|| self.entries.next().map(Next::Entry))
    }

    /// Has the next sources begun, as many as there is room for, up to one that is not at hand.
    pub(super) fn look_ahead(&mut self, limits: Limits, heart: &Budget) {
        let Some(starter) = &mut self.starter else { return };
        while self.waiting.len() < MOST_SOURCES && !self.waiting.back().is_some_and(is_far) {
            let Some(entry) = self.entries.peek() else { return };
            let room = is_at_hand(entry).then(|| starter.room(heart));
            if matches!(room, Some(None)) {
                return;
            }
            self.waiting.extend(self.entries.next().map(|entry| starter.next(entry, limits, room.flatten())));
        }
    }

    /// Gives the room back: a decoder needs it. What was begun is read in its turn.
    pub(super) fn give_up(&mut self) {
        for next in &mut self.waiting {
            if let Next::Source { beginning, .. } = next {
                *beginning = Beginning::none();
            }
        }
        if let Some(starter) = &mut self.starter {
            starter.rooms = None;
        }
    }
}

/// Whether nothing behind it is looked at: opening it, or finding the next one, may take long.
fn is_far(next: &Next) -> bool {
    matches!(next, Next::Entry(Entry::Source { .. } | Entry::Records { .. }))
}

fn is_at_hand(entry: &Entry) -> bool {
    matches!(entry, Entry::Source { origin, .. } if origin.is_at_hand())
}

/// Has sources begun.
pub(crate) struct Starter {
    beginner: Box<dyn Offload + Send>,
    /// Whether anybody will want to know what is known of them.
    stamps: bool,
    beginnings: Beginnings,
    /// Taken of the heart with the first source.
    rooms: Option<Arc<Rooms>>,
}

impl Starter {
    pub(crate) fn new(beginner: Box<dyn Offload + Send>, stamps: bool, beginnings: Beginnings) -> Self {
        Self { beginner, stamps, beginnings, rooms: None }
    }

    /// Room for one more, if there is.
    fn room(&mut self, heart: &Budget) -> Option<Room> {
        if self.rooms.is_none() {
            let paid = heart.try_lease(self.beginnings.room_bytes)?;
            let room = Budget::new(paid.bytes().saturating_sub(THREAD_BYTES));
            self.rooms = Some(Arc::new(Rooms { room, buffers: Mutex::default(), _paid: paid }));
        }
        let rooms = Arc::clone(self.rooms.as_ref()?);
        let own = rooms.room.try_lease(GZIP_BYTES + self.beginnings.decoded_bytes as u64)?;
        let buffer = rooms.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = buffer.unwrap_or_else(|| mapped_zeros(self.beginnings.decoded_bytes));
        Some(Room { _own: own, buffer, rooms })
    }

    /// Begins a source for which there is room.
    fn next(&self, entry: Entry, limits: Limits, room: Option<Room>) -> Next {
        match (entry, room) {
            (Entry::Source { origin, meant, role }, Some(room)) => {
                let origin = Arc::from(origin);
                let beginning = self.start(Arc::clone(&origin), role, limits, room);
                Next::Source { origin, meant, role, beginning }
            }
            (entry, _) => Next::Entry(entry),
        }
    }

    fn start(&self, origin: Arc<dyn Origin>, role: SourceRole, limits: Limits, room: Room) -> Beginning {
        let (sender, begun) = sync_channel(1);
        let (stamps, beginnings) = (self.stamps, self.beginnings);
        let task = Task { origin, role, limits, stamps, beginnings, room, begun: sender };
        let task = Arc::new(Mutex::new(Some(task)));
        let beginner = Arc::clone(&task);
        self.beginner.offload(Box::new(move || {
            if let Some(task) = take(&beginner) {
                task.run();
            }
        }));
        Beginning { task, begun }
    }
}

/// The memory of all that is begun, and of the thread that does it. It is free again when nothing is, and nobody wants to begin more.
struct Rooms {
    room: Budget,
    /// Those that are not in use. They go before the lease does.
    buffers: Mutex<Vec<Vec<u8>>>,
    _paid: Lease,
}

/// The memory of a source that is begun.
pub(super) struct Room {
    _own: Lease,
    /// Empty while the decoder has it.
    buffer: Vec<u8>,
    rooms: Arc<Rooms>,
}

impl Room {
    /// Ends the use of a room.
    pub(super) fn leave(mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let buffer = mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.rooms.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }
}

/// A source that is begun, was, or will be.
pub(super) struct Beginning {
    /// Until it is begun.
    task: Arc<Mutex<Option<Task>>>,
    begun: Receiver<Option<HeadStart>>,
}

/// A source that was begun.
pub(super) struct HeadStart {
    pub(super) stamp: Option<Stamp>,
    pub(super) opened: Opened,
    pub(super) room: Room,
}

impl Beginning {
    /// Of a source of which nothing was read.
    fn none() -> Self {
        let (_, begun) = sync_channel(0);
        Self { task: Arc::default(), begun }
    }

    /// The source, if it is begun. Nothing is waited for but work that is going on.
    pub(super) fn take(&self) -> Option<HeadStart> {
        match take(&self.task) {
            Some(_) => None,
            None => self.begun.recv().ok().flatten(),
        }
    }
}

impl Drop for Beginning {
    /// What nobody has begun needs not be begun any more.
    fn drop(&mut self) {
        take(&self.task);
    }
}

fn take(task: &Mutex<Option<Task>>) -> Option<Task> {
    task.lock().unwrap_or_else(PoisonError::into_inner).take()
}

struct Task {
    origin: Arc<dyn Origin>,
    role: SourceRole,
    limits: Limits,
    stamps: bool,
    beginnings: Beginnings,
    room: Room,
    begun: SyncSender<Option<HeadStart>>,
}

impl Task {
    fn run(mut self) {
        let begun = self.begin();
        let begun = begun.map(|(stamp, opened)| HeadStart { stamp, opened, room: self.room });
        // Nobody receives once the room was given back, or the run is over.
        let _ = self.begun.send(begun);
    }

    /// `None` if it cannot be begun, is too long, or is a stream, which can be opened once.
    fn begin(&mut self) -> Option<(Option<Stamp>, Opened)> {
        let identity = self.origin.identity().ok()?;
        let stated_bytes = identity.stored_bytes.filter(|&bytes| bytes <= self.beginnings.longest_bytes);
        let stated_bytes = Some(stated_bytes?);
        let stamp = self.stamps.then(|| stamp_as(&*self.origin, self.role, Some(identity)));
        let reader = self.origin.open_at(0).ok()?;
        let (buffer, most_bytes) = (mem::take(&mut self.room.buffer), self.beginnings.decoded_bytes);
        let decoder = Decoder::begun(reader, self.limits, buffer, |stored| wanted_bytes(stored, most_bytes));
        Some((stamp, Opened { decoder: decoder.ok()??, stated_bytes }))
    }
}

/// What may be decoded in the room there is. Others may need windows of many MiB.
fn wanted_bytes(stored: Compression, most_bytes: usize) -> Option<usize> {
    match stored {
        Compression::None => Some(PLAIN_BYTES.min(most_bytes)),
        Compression::Gzip => Some(most_bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, Read};

    use fhirline_core::Identity;
    use fhirline_sink::Inline;

    use super::*;

    const ROOM_BYTES: u64 = 2 << 20;
    const BEGINNINGS: Beginnings =
        Beginnings { room_bytes: ROOM_BYTES, decoded_bytes: 100 << 10, longest_bytes: 1000 };

    /// What it says first is how it is: `far`, a `stream`, `shut`, or at hand.
    #[derive(Debug)]
    struct Named(&'static str);

    impl Origin for Named {
        fn identity(&self) -> io::Result<Identity> {
            let stored_bytes = (!self.0.starts_with("stream")).then_some(self.0.len() as u64);
            Ok(Identity { name: self.0.into(), stored_bytes, modified: None, tag: None })
        }

        fn name(&self) -> &str {
            self.0
        }

        fn open_at(&self, _: u64) -> io::Result<Box<dyn Read + Send>> {
            match self.0 {
                "shut" => Err(io::ErrorKind::PermissionDenied.into()),
                name => Ok(Box::new(Cursor::new(name))),
            }
        }

        fn is_at_hand(&self) -> bool {
            self.0 != "far"
        }
    }

    type Job = Box<dyn FnOnce() + Send>;

    /// Keeps jobs, and does none of them until it is asked to.
    #[derive(Clone, Default)]
    struct Later(Arc<Mutex<Vec<Job>>>);

    impl Offload for Later {
        fn offload(&self, job: Job) {
            self.0.lock().expect("no panic").push(job);
        }
    }

    impl Later {
        fn do_all(&self) {
            self.0.lock().expect("no panic").drain(..).for_each(|job| job());
        }
    }

    fn upcoming(names: &[&'static str], beginner: impl Offload + Send + 'static) -> Upcoming<'static> {
        let entries: Vec<_> = names.iter().map(|name| Entry::named(Named(name))).collect();
        let mut upcoming = Upcoming::new(Box::new(entries.into_iter()));
        upcoming.start_with(Starter::new(Box::new(beginner), true, BEGINNINGS));
        upcoming
    }

    /// What is next, and whether it was begun.
    fn next(upcoming: &mut Upcoming<'_>) -> Option<(String, Option<HeadStart>)> {
        Some(match upcoming.next()? {
            Next::Source { origin, beginning, .. } => (origin.name().to_owned(), beginning.take()),
            Next::Entry(Entry::Source { origin, .. }) => (origin.name().to_owned(), None),
            Next::Entry(entry) => panic!("{entry:?}"),
        })
    }

    fn begun_of(upcoming: &mut Upcoming<'_>) -> Vec<(String, bool)> {
        std::iter::from_fn(|| next(upcoming)).map(|(name, begun)| (name, begun.is_some())).collect()
    }

    #[test]
    fn what_can_be_begun_is_and_all_come_in_order() {
        let long = "long".repeat(1000).leak();
        let heart = Budget::new(2 * ROOM_BYTES);
        let names = ["a", "", "shut", "stream", long, "b"];
        let mut ahead = upcoming(&names, Inline);
        ahead.look_ahead(Limits::default(), &heart);
        let begun = begun_of(&mut ahead);
        let (all, yes): (Vec<_>, Vec<_>) = begun.iter().map(|(name, begun)| (name.as_str(), *begun)).unzip();
        assert_eq!(all, names);
        assert_eq!(yes, [true, true, false, false, false, true]);
        // Nobody looks ahead for whoever is alone.
        let entries = names.map(|name| Entry::named(Named(name)));
        let mut in_turn = Upcoming::new(Box::new(entries.into_iter()));
        in_turn.look_ahead(Limits::default(), &heart);
        assert!(begun_of(&mut in_turn).iter().all(|(_, begun)| !begun));
    }

    #[test]
    fn what_was_begun_reads_as_it_is_and_its_stamp_is_that_of_its_turn() {
        let mut ahead = upcoming(&["some text"], Inline);
        ahead.look_ahead(Limits::default(), &Budget::new(ROOM_BYTES));
        let (_, begun) = next(&mut ahead).expect("one");
        let mut begun = begun.expect("begun");
        assert_eq!(begun.stamp, Some(crate::stamp::stamp(&Named("some text"), SourceRole::Data)));
        assert_eq!(io::read_to_string(&mut begun.opened.decoder).expect("text"), "some text");
        assert_eq!(begun.opened.stated_bytes, Some(9));
    }

    /// Finding what comes behind may take a transfer, and to open it early is the business of somebody else.
    #[test]
    fn nothing_is_looked_at_behind_what_is_far() {
        let found = Arc::new(Mutex::new(0));
        let count = Arc::clone(&found);
        let entries = ["a", "far", "b", "c"].into_iter().map(move |name| {
            *count.lock().expect("no panic") += 1;
            Entry::named(Named(name))
        });
        let mut ahead = Upcoming::new(Box::new(entries));
        ahead.start_with(Starter::new(Box::new(Inline), true, BEGINNINGS));
        ahead.look_ahead(Limits::default(), &Budget::new(ROOM_BYTES));
        ahead.look_ahead(Limits::default(), &Budget::new(ROOM_BYTES));
        assert_eq!(*found.lock().expect("no panic"), 2);
        assert_eq!(begun_of(&mut ahead).len(), 4);
        let heart = Budget::new(ROOM_BYTES);
        for names in [&["far", "a"][..], &[]] {
            let mut ahead = upcoming(names, Inline);
            ahead.look_ahead(Limits::default(), &heart);
            assert_eq!(heart.free(), ROOM_BYTES, "nothing to begin takes no room");
        }
    }

    #[test]
    fn no_more_are_begun_than_there_is_room_for() {
        let room = GZIP_BYTES + BEGINNINGS.decoded_bytes as u64;
        let most = ((ROOM_BYTES - THREAD_BYTES) / room) as usize;
        assert!((2..MOST_SOURCES).contains(&most));
        let mut ahead = upcoming(&["a"; 40], Inline);
        let too_little = Budget::new(ROOM_BYTES - 1);
        ahead.look_ahead(Limits::default(), &too_little);
        assert!(ahead.waiting.is_empty());
        let heart = Budget::new(ROOM_BYTES);
        ahead.look_ahead(Limits::default(), &heart);
        assert_eq!((ahead.waiting.len(), heart.free()), (most, 0));
        // A room is free when its source was read.
        let (_, begun) = next(&mut ahead).expect("one");
        ahead.look_ahead(Limits::default(), &heart);
        assert_eq!(ahead.waiting.len(), most - 1);
        drop(begun);
        ahead.look_ahead(Limits::default(), &heart);
        assert_eq!(ahead.waiting.len(), most);
        drop(ahead);
        assert_eq!(heart.free(), ROOM_BYTES);
    }

    #[test]
    fn what_is_not_begun_is_read_in_its_turn() {
        let (beginner, heart) = (Later::default(), Budget::new(ROOM_BYTES));
        let mut ahead = upcoming(&["a", "b"], beginner.clone());
        ahead.look_ahead(Limits::default(), &heart);
        assert!(next(&mut ahead).expect("one").1.is_none());
        beginner.do_all();
        assert!(next(&mut ahead).expect("one").1.is_some());
        drop(ahead);
        assert_eq!(heart.free(), ROOM_BYTES);
    }

    /// A decoder with a large window waits for the room.
    #[test]
    fn the_room_is_given_back_for_what_is_begun_and_what_is_not() {
        for work in [false, true] {
            let (beginner, heart) = (Later::default(), Budget::new(ROOM_BYTES));
            let mut ahead = upcoming(&["a", "b", "c"], beginner.clone());
            ahead.look_ahead(Limits::default(), &heart);
            assert_eq!(heart.free(), 0);
            if work {
                beginner.do_all();
            }
            let (_, begun) = next(&mut ahead).expect("one");
            ahead.give_up();
            assert_eq!(heart.free(), if work { 0 } else { ROOM_BYTES });
            drop(begun);
            assert_eq!(heart.free(), ROOM_BYTES);
            assert_eq!(begun_of(&mut ahead), [("b".to_owned(), false), ("c".to_owned(), false)]);
        }
    }
}
