//! Several files at the same time.

use std::io;
use std::iter;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use fhirline_flow::RunError;

use super::OnFetch;
use super::copy::{Place, Trouble, copy};
use super::error::DownloadError;
use super::event::FetchEvent;
use super::wanted::Wanted;

/// Events that wait to be told.
const WAITING_EVENTS: usize = 64;

/// What became of one file.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ordinal: usize,
    /// What it is called, or was to be called.
    pub(super) name: String,
    /// Its bytes.
    pub(super) bytes: u64,
    /// What an earlier run had left of it.
    pub(super) from_bytes: u64,
    /// Why what an earlier run left was not continued.
    pub(super) begun_afresh: Option<String>,
    /// Why it is not complete, from the outermost cause to the innermost, and what can be done about it.
    pub(super) failure: Option<(Vec<String>, Option<String>)>,
}

/// Why all of it had to stop.
#[derive(Debug)]
pub(super) enum Stop {
    /// The folder is to blame, and what was tried with it.
    Store(&'static str, io::Error),
    Run(RunError),
}

/// Tells what becomes of one file, and keeps in mind what was told.
#[derive(Debug)]
pub(super) struct Teller<'c> {
    ordinal: usize,
    events: &'c SyncSender<FetchEvent>,
    /// Whether all have to stop.
    stopped: &'c AtomicBool,
    name: String,
    bytes: u64,
    from_bytes: u64,
    begun_afresh: Option<String>,
}

impl Teller<'_> {
    /// Nobody listens any more only if the caller is gone, and then whoever sends stops at the next bytes.
    fn tell(&self, event: FetchEvent) -> bool {
        self.events.send(event).is_ok()
    }

    /// The file begins, under that name, so long, behind what an earlier run left.
    pub(super) fn started(&mut self, name: &str, stated_bytes: Option<u64>, from_bytes: u64) {
        name.clone_into(&mut self.name);
        (self.bytes, self.from_bytes) = (from_bytes, from_bytes);
        let (ordinal, name) = (self.ordinal, name.to_owned());
        self.tell(FetchEvent::Started { ordinal, name, stated_bytes, from_bytes });
    }

    /// What an earlier run left cannot be continued.
    pub(super) fn begun_afresh(&mut self, name: &str, why: &str) {
        self.begun_afresh = Some(why.to_owned());
        let (ordinal, name, why) = (self.ordinal, name.to_owned(), why.to_owned());
        self.tell(FetchEvent::BegunAfresh { ordinal, name, why });
    }

    /// So many bytes are there. `false` if it is not to go on.
    pub(super) fn advanced(&mut self, bytes: u64) -> bool {
        self.bytes = bytes;
        let heard = self.tell(FetchEvent::Advanced { ordinal: self.ordinal, bytes });
        heard && !self.stopped.load(Ordering::SeqCst)
    }

    fn ended(self, failure: Option<&DownloadError>) -> Ended {
        let (ordinal, name, bytes) = (self.ordinal, self.name.clone(), self.bytes);
        self.tell(match failure {
            None => FetchEvent::Finished { ordinal, name, bytes, kept: false },
            Some(error) => FetchEvent::Failed { ordinal, name, why: causes(error).join(": ") },
        });
        Ended {
            ordinal,
            name: self.name,
            bytes: self.bytes,
            from_bytes: self.from_bytes,
            begun_afresh: self.begun_afresh,
            failure: failure.map(|error| (causes(error), error.hint())),
        }
    }
}

/// Fetches the files of those ordinals, so many at a time, in this order; `names` and `wanted` are those of all files.
/// Returns what became of each, in the same order.
pub(super) fn fetch_all(
    place: Place<'_>,
    ordinals: &[usize],
    wanted: &[Wanted],
    names: &[String],
    max_downloads: usize,
    on_event: &mut OnFetch<'_>,
) -> Result<Vec<Ended>, Stop> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let crew = Crew { place, ordinals, wanted, names, next, stopped };
    let hands = max_downloads.min(ordinals.len());
    let mut ended = thread::scope(|scope| {
        let (sender, events) = sync_channel(WAITING_EVENTS);
        let mut threads = Vec::with_capacity(hands);
        for _ in 0..hands {
            let (crew, sender) = (&crew, sender.clone());
            let named = thread::Builder::new().name("fetch".to_owned());
            let spawned = named.spawn_scoped(scope, move || crew.work(&sender));
            threads.push(spawned.map_err(|error| {
                // Those that were started find nothing more to do.
                crew.stop();
                Stop::Run(RunError::Threads(Box::new(error)))
            })?);
        }
        drop(sender);
        events.iter().for_each(|event| on_event(&event));
        gather(threads)
    })?;
    ended.sort_by_key(|file| file.ordinal);
    Ok(ended)
}

/// What the threads share.
#[derive(Debug)]
struct Crew<'r> {
    place: Place<'r>,
    ordinals: &'r [usize],
    wanted: &'r [Wanted],
    names: &'r [String],
    /// The next file that nobody fetches yet.
    next: AtomicUsize,
    stopped: AtomicBool,
}

impl Crew<'_> {
    /// Fetches one file after another until there is none left.
    fn work(&self, events: &SyncSender<FetchEvent>) -> Result<Vec<Ended>, Stop> {
        let mut ended = Vec::new();
        while let Some(&ordinal) = self.ordinals.get(self.next.fetch_add(1, Ordering::SeqCst)) {
            match self.fetch(ordinal, events) {
                Ok(file) => ended.push(file),
                Err(stop) => {
                    self.stop();
                    return Err(stop);
                }
            }
        }
        Ok(ended)
    }

    /// Lets nobody go on.
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.next.store(self.ordinals.len(), Ordering::SeqCst);
    }

    fn fetch(&self, ordinal: usize, events: &SyncSender<FetchEvent>) -> Result<Ended, Stop> {
        if self.place.cancel.is_cancelled() {
            return Err(Stop::Run(RunError::Cancelled));
        }
        let (wanted, name) = (&self.wanted[ordinal], &self.names[ordinal]);
        let (name, stopped) = (name.as_str(), &self.stopped);
        let mut tell = Teller {
            ordinal,
            events,
            stopped,
            name: name.to_owned(),
            bytes: 0,
            from_bytes: 0,
            begun_afresh: None,
        };
        let origin = match &wanted.origin {
            Ok(origin) => &**origin,
            Err(error) => return Ok(tell.ended(Some(error))),
        };
        match copy(self.place, ordinal, name, origin, &mut tell) {
            Ok(done) => {
                self.place.notes.done(ordinal, done).map_err(|error| Stop::Store("write to", error))?;
                Ok(tell.ended(None))
            }
            Err(Trouble::Source(error)) => Ok(tell.ended(Some(&error))),
            Err(Trouble::Store(action, error)) => Err(Stop::Store(action, error)),
            Err(Trouble::Cancelled) => Err(Stop::Run(RunError::Cancelled)),
        }
    }
}

/// What all of them did, or why they stopped: that somebody asked is the least of the reasons.
fn gather(threads: Vec<ScopedJoinHandle<'_, Result<Vec<Ended>, Stop>>>) -> Result<Vec<Ended>, Stop> {
    let (mut all, mut stop) = (Vec::new(), None);
    for thread in threads {
        match thread.join() {
            Ok(Ok(ended)) => all.extend(ended),
            Ok(Err(Stop::Run(RunError::Cancelled))) if stop.is_some() => {}
            Ok(Err(why)) => stop = Some(why),
            Err(_) => stop = Some(Stop::Run(RunError::WorkerLost)),
        }
    }
    stop.map_or(Ok(all), Err)
}

fn causes(error: &DownloadError) -> Vec<String> {
    let first: &dyn std::error::Error = error;
    iter::successors(Some(first), |error| error.source()).map(ToString::to_string).collect()
}
