use std::time::{Duration, Instant};

/// Checkpoints take at most one part in so many of the time.
const PART_OF_THE_TIME: u32 = 10;

/// Says when a checkpoint is due, and when one that survives a crash of the machine. What the outputs hold does not depend
/// on it.
pub(crate) struct Pace {
    every_bytes: u64,
    /// Decoded bytes committed since the last.
    since_bytes: u64,
    sync_interval: Duration,
    any: Spell,
    synced: Spell,
}

/// When the latest of a kind was done, and how long it took.
#[derive(Clone, Copy)]
struct Spell {
    done: Instant,
    took: Duration,
}

impl Spell {
    fn new() -> Self {
        Self { done: Instant::now(), took: Duration::ZERO }
    }

    fn is_over(self) -> bool {
        self.done.elapsed() >= self.took * (PART_OF_THE_TIME - 1)
    }
}

impl Pace {
    pub(crate) fn new(every_bytes: u64, sync_interval: Duration) -> Self {
        Self { every_bytes, since_bytes: 0, sync_interval, any: Spell::new(), synced: Spell::new() }
    }

    /// Whether one is due now that so many more bytes were committed; if so, whether it is to be synced.
    pub(crate) fn due_after(&mut self, bytes: u64) -> Option<bool> {
        self.since_bytes += bytes;
        let due = self.since_bytes >= self.every_bytes && self.any.is_over();
        due.then(|| self.synced.done.elapsed() >= self.sync_interval && self.synced.is_over())
    }

    /// One was made, which was begun then.
    pub(crate) fn made(&mut self, begun: Instant, synced: bool) {
        self.since_bytes = 0;
        let spell = Spell { done: Instant::now(), took: begun.elapsed() };
        if synced {
            self.synced = spell;
        } else {
            self.any = spell;
        }
    }
}
