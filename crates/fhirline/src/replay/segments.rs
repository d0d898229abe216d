use std::error::Error;
use std::fmt;
use std::ops::Range;

use fhirline_fetch::FileRange;
use fhirline_flow::{Entry, EqualRecords, RecordLines};

use super::ReplayError;
use super::outcomes::Outcomes;
use super::pairs::{By, Files, Pair, Pairs};

/// A stretch of `lines.raw` whose records come from one source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) source: String,
    pub(super) bytes: Range<u64>,
    /// Where its outcomes begin in `outcome.ndjson`, and how many there are.
    pub(super) outcomes_at: u64,
    pub(super) outcomes: u64,
}

/// The segments of a quarantine, as long as neighbours of the same source can make them.
pub(super) struct Segments {
    pairs: Pairs,
    /// The first pair of the next segment.
    waiting: Option<Pair>,
}

impl Segments {
    pub(super) fn new(pairs: Pairs) -> Self {
        Self { pairs, waiting: None }
    }

    pub(super) fn next(&mut self) -> Result<Option<Segment>, ReplayError> {
        let first = match self.waiting.take() {
            Some(pair) => Some(pair),
            None => self.pairs.next()?,
        };
        let Some(first) = first else { return Ok(None) };
        let Pair { outcome, outcome_at: outcomes_at, bytes, .. } = first;
        let mut segment = Segment { source: outcome.source, bytes, outcomes_at, outcomes: 1 };
        while let Some(pair) = self.pairs.next()? {
            if pair.outcome.source != segment.source {
                self.waiting = Some(pair);
                break;
            }
            segment.bytes.end = pair.bytes.end;
            segment.outcomes += 1;
        }
        Ok(Some(segment))
    }
}

/// The segments as sources of a run. If the quarantine cannot be read to its end, it is the last of them, and lost.
pub(crate) struct Entries {
    files: Files,
    by: By,
    state: State,
}

enum State {
    Unopened,
    Open(Box<Segments>),
    Ended,
}

impl Entries {
    pub(super) fn new(files: Files, by: By) -> Self {
        Self { files, by, state: State::Unopened }
    }

    fn segment(&mut self) -> Result<Option<Segment>, ReplayError> {
        if let State::Unopened = self.state {
            self.state = State::Open(Box::new(Segments::new(Pairs::open(&self.files, self.by)?)));
        }
        match &mut self.state {
            State::Open(segments) => segments.next(),
            _ => Ok(None),
        }
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let segment = self.segment();
        if !matches!(segment, Ok(Some(_))) {
            self.state = State::Ended;
        }
        let entry = segment.map(|segment| {
            let segment = segment?;
            let lines = Told::new(&segment, self.files.clone());
            let origin = FileRange::new(self.files.raw.path(), segment.bytes, segment.source);
            Some(Entry::Records { origin: Box::new(origin), lines: Box::new(lines) })
        });
        let lost = |error| Some(Entry::Lost { name: self.files.raw.name(), error: Box::new(error) });
        entry.unwrap_or_else(lost)
    }
}

/// How many lines each record of a segment has, as its outcomes tell.
pub(super) struct Told {
    files: Files,
    /// Where the outcomes begin, and how many are left.
    at: u64,
    left: u64,
    /// Opened when it is first asked.
    outcomes: Option<Outcomes>,
}

impl Told {
    pub(super) fn new(segment: &Segment, files: Files) -> Self {
        Self { files, at: segment.outcomes_at, left: segment.outcomes, outcomes: None }
    }

    fn take(&mut self) -> Result<Option<EqualRecords>, ReplayError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let outcomes = match &mut self.outcomes {
            Some(outcomes) => outcomes,
            closed => closed.insert(Outcomes::from(self.files.outcomes.open()?, self.at)?),
        };
        match outcomes.next() {
            Ok(Some(outcome)) => Ok(Some(EqualRecords { records: outcome.count, lines: outcome.lines })),
            // They were read before.
            Ok(None) | Err(ReplayError::Foreign { .. }) => {
                Err(ReplayError::Changed { name: self.files.outcomes.name() })
            }
            Err(error) => Err(error),
        }
    }
}

impl RecordLines for Told {
    fn next(&mut self) -> Result<Option<EqualRecords>, Box<dyn Error + Send + Sync>> {
        self.take().map_err(Into::into)
    }

    fn misfit(&self) -> Box<dyn Error + Send + Sync> {
        ReplayError::Changed { name: self.files.raw.name() }.into()
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("at", &self.at).field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Quarantine, one};
    use super::*;

    fn segments(quarantine: &Quarantine) -> Vec<(String, Range<u64>)> {
        let mut segments = Segments::new(Pairs::open(&quarantine.files(), By::Lines).expect("opened"));
        let next = || segments.next().expect("fits").map(|segment| (segment.source, segment.bytes));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_segment_is_as_long_as_its_source_goes_on() {
        let mut quarantine = Quarantine::new();
        for (source, line) in [("a", 1), ("a", 5), ("b", 1), ("a", 2)] {
            quarantine.add(&one(source, line), &["x"]);
        }
        let named = |name: &str, bytes| (name.to_owned(), bytes);
        assert_eq!(segments(&quarantine), [named("a", 0..4), named("b", 4..6), named("a", 6..8)]);
        assert_eq!(segments(&Quarantine::new()), []);
    }

    #[test]
    fn a_quarantine_that_was_changed_is_a_lost_source_and_the_last() {
        let mut quarantine = Quarantine::new();
        quarantine.add(&one("a", 1), &["x"]);
        quarantine.add(&one("b", 1), &["y"]);
        let files = quarantine.files();
        let mut entries = Entries::new(files.clone(), By::Lines);
        assert!(matches!(entries.next(), Some(Entry::Records { origin, .. }) if origin.name() == "a"));
        std::fs::write(files.raw.path(), "changed").expect("written");
        let mut entries = Entries::new(files, By::Lines);
        assert!(matches!(entries.next(), Some(Entry::Lost { .. })));
        assert!(entries.next().is_none());
    }
}
