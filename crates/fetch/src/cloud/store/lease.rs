//! One run at a time: an object that says who writes below a prefix.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use object_store::{PutMode, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use self::machine::Process;
use super::prefix::{Prefix, Written};
use super::{LOCK, Shared};
use crate::net;

mod machine;

/// A lock object is short.
const MAX_LOCK_BYTES: u64 = 64 << 10;

/// Before something becomes visible, a claim that was confirmed longer ago than this part of its life is confirmed again.
const FRESH_PART: u32 = 12;

/// A claim that is watched is looked at this often, or ten times in its life.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// What the lock object says.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
struct Content {
    fhirline_lock: u64,
    /// Tells holders apart.
    holder: String,
    /// Counts holders that took over from each other.
    number: u64,
    /// Counts renewals, so that each makes another object.
    renewal: u64,
    life_millis: u64,
    /// Which process of which machine, if that can be told.
    process: Option<Process>,
}

/// The claim of this process.
pub(super) struct Lease {
    objects: Prefix,
    life: Duration,
    held: Mutex<Held>,
    /// Beside the other, which is locked while the store is asked.
    standing: Mutex<Standing>,
    released: Notify,
}

struct Held {
    content: Content,
    version: UpdateVersion,
}

#[derive(Clone, Copy)]
struct Standing {
    /// When the attempt began that succeeded last.
    confirmed: Instant,
    is_lost: bool,
}

/// A prefix that belongs to one run. Made by [`CloudStore::claim`](super::CloudStore::claim).
///
/// It is given back once nothing of this run is on its way any more: a part that came late would take the place of the one that
/// the next run put there.
pub struct CloudClaim {
    shared: Arc<Shared>,
    lease: Arc<Lease>,
}

impl CloudClaim {
    pub(super) fn new(shared: Arc<Shared>, lease: Arc<Lease>) -> Self {
        Self { shared, lease }
    }
}

impl Drop for CloudClaim {
    fn drop(&mut self) {
        self.shared.wait_for_parts();
        self.lease.released.notify_one();
        let mut held = self.lease.lock();
        // Renewed first: it may be somebody else's by now.
        if self.lease.renew(&mut held).is_ok() {
            // If it stays, whoever comes next waits for its end.
            let _ = self.lease.objects.delete(LOCK);
        }
        self.lease.lose();
    }
}

impl std::fmt::Debug for CloudClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CloudClaim({})", self.lease.objects.name())
    }
}

impl Lease {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing is left half done by a panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self) {
        self.standing().is_lost = true;
    }

    /// Fails if the claim is lost. A claim that was not renewed for a whole life, because the process was stopped or the
    /// machine slept, still holds if nobody took it over: the store is asked.
    pub(super) fn check(&self) -> io::Result<()> {
        self.confirm_after(self.life)
    }

    /// The same, but the store is asked unless that was a moment ago.
    pub(super) fn confirm(&self) -> io::Result<()> {
        self.confirm_after(self.life / FRESH_PART)
    }

    fn confirm_after(&self, age: Duration) -> io::Result<()> {
        let standing = *self.standing();
        if standing.is_lost || standing.confirmed.elapsed() >= age {
            self.renew(&mut self.lock())?;
        }
        Ok(())
    }

    fn renew(&self, held: &mut Held) -> io::Result<()> {
        if self.standing().is_lost {
            return Err(taken_over(&self.objects.name()));
        }
        let begun = Instant::now();
        let content = Content { renewal: held.content.renewal + 1, ..held.content.clone() };
        let put = self.objects.put(LOCK, bytes_of(&content)?, PutMode::Update(held.version.clone()))?;
        let version = match put {
            Written::Done(version) => Some(version),
            // The answer to an attempt that succeeded may have been lost.
            Written::Refused => look(&self.objects)?
                .filter(|(found, _)| found.as_ref().is_some_and(|found| found.holder == content.holder))
                .map(|(_, version)| version),
        };
        match version {
            Some(version) => {
                (held.content, held.version) = (content, version);
                self.standing().confirmed = begun;
                Ok(())
            }
            None => {
                self.lose();
                Err(taken_over(&self.objects.name()))
            }
        }
    }
}

/// Renews a claim three times in its life until it is released or lost. A renewal that fails otherwise is tried again at the
/// next turn.
fn keep(lease: &Arc<Lease>) -> io::Result<()> {
    let lease = Arc::clone(lease);
    let turn = lease.life / 3;
    let renewals = move || {
        loop {
            let released = Arc::clone(&lease);
            let is_released =
                net::wait(
                    async move { tokio::time::timeout(turn, released.released.notified()).await.is_ok() },
                );
            if is_released.unwrap_or(true) || lease.standing().is_lost {
                return;
            }
            let _ = lease.renew(&mut lease.lock());
        }
    };
    thread::Builder::new().name("fhirline-lease".to_owned()).spawn(renewals).map(drop)
}

pub(super) fn taken_over(name: &str) -> io::Error {
    let why = format!("another run has taken over {name}");
    io::Error::new(io::ErrorKind::ResourceBusy, why)
}

fn bytes_of(content: &Content) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(content)?)
}

type Found = (Option<Content>, UpdateVersion);

/// The lock object, if there is one; without content if that makes no sense.
fn look(objects: &Prefix) -> io::Result<Option<Found>> {
    let found = objects.get_versioned(LOCK, MAX_LOCK_BYTES)?;
    Ok(found.map(|(bytes, version)| (serde_json::from_slice(&bytes).ok(), version)))
}

/// Takes the claim, as soon as nobody has it.
pub(super) fn claim(
    objects: &Prefix,
    life: Duration,
    stopped: &dyn Fn() -> bool,
    on_wait: &mut dyn FnMut(Duration),
) -> io::Result<Arc<Lease>> {
    let life_millis = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    let mut content = Content {
        fhirline_lock: 1,
        holder: format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
        number: 1,
        renewal: 0,
        life_millis,
        process: Process::this(),
    };
    let mut watch = Watch::default();
    loop {
        let begun = Instant::now();
        let mode = match look(objects)? {
            None => PutMode::Create,
            Some((found, version)) => {
                if !watch.is_over(found.as_ref(), &version, life, on_wait)? {
                    if !net::pause((life / 10).min(LONGEST_LOOK), stopped) {
                        return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped while it waited"));
                    }
                    continue;
                }
                content.number = found.map_or(0, |found| found.number) + 1;
                PutMode::Update(version)
            }
        };
        if let Written::Done(version) = objects.put(LOCK, bytes_of(&content)?, mode)? {
            let held = Mutex::new(Held { content, version });
            let standing = Mutex::new(Standing { confirmed: begun, is_lost: false });
            let (objects, released) = (objects.clone(), Notify::new());
            let lease = Arc::new(Lease { objects, life, held, standing, released });
            keep(&lease)?;
            return Ok(lease);
        }
    }
}

/// A claim of somebody else that is being watched.
#[derive(Default)]
struct Watch {
    seen: Option<(Option<String>, Option<String>, Instant)>,
}

impl Watch {
    /// Whether the claim is over: its holder is known to be dead, or has not renewed it for a whole life.
    fn is_over(
        &mut self,
        found: Option<&Content>,
        version: &UpdateVersion,
        usual_life: Duration,
        on_wait: &mut dyn FnMut(Duration),
    ) -> io::Result<bool> {
        let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another run is writing there");
        match found.and_then(|found| found.process.as_ref()).and_then(Process::is_alive) {
            Some(true) => return Err(busy()),
            Some(false) => return Ok(true),
            None => {}
        }
        let life = found.map_or(usual_life, |found| Duration::from_millis(found.life_millis));
        let now = Instant::now();
        match &self.seen {
            None => {
                self.seen = Some((version.e_tag.clone(), version.version.clone(), now));
                on_wait(life);
                Ok(false)
            }
            Some((e_tag, number, _)) if (e_tag, number) != (&version.e_tag, &version.version) => Err(busy()),
            Some((_, _, since)) => Ok(now - *since > life),
        }
    }
}
