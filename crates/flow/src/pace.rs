use std::time::{Duration, Instant};

/// Checkpoints take at most one part in so many of the time.
const PART_OF_THE_TIME: u32 = 10;

/// Says when a checkpoint is due. What the outputs hold does not depend on it.
pub(crate) struct Pace {
    every_bytes: u64,
    /// Decoded bytes committed since the last.
    since_bytes: u64,
    /// When the last was done, and how long it took.
    last: Option<(Instant, Duration)>,
    begun: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(every_bytes: u64) -> Self {
        Self { every_bytes, since_bytes: 0, last: None, begun: None }
    }

    /// Whether one is due now that so many more bytes were committed. If it is, it is begun.
    pub(crate) fn is_due_after(&mut self, bytes: u64) -> bool {
        self.since_bytes += bytes;
        let enough = self.since_bytes >= self.every_bytes;
        let in_time = self.last.is_none_or(|(at, took)| at.elapsed() >= took * (PART_OF_THE_TIME - 1));
        if enough && in_time {
            self.begun = Some(Instant::now());
        }
        enough && in_time
    }

    pub(crate) fn made(&mut self) {
        self.since_bytes = 0;
        let took = self.begun.take().map_or(Duration::ZERO, |begun| begun.elapsed());
        self.last = Some((Instant::now(), took));
    }
}
