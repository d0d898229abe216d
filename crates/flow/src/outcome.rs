use fhirline_core::Position;

use crate::{Place, SourceError, Totals};

/// What became of a run that was not stopped.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The account. After [`allow_incomplete`](crate::FlowOptions::allow_incomplete) it leaves out the failed sources,
    /// otherwise it holds all that was read.
    pub totals: Totals,
    /// Sources read, complete or not.
    pub sources: u64,
    /// Sources that were legal and empty.
    pub empty_sources: u64,
    /// Stored bytes read from all sources.
    pub stored_bytes: u64,
    /// Sources that could not be read to their end: the first 1,000.
    pub failures: Vec<SourceFailure>,
    /// How many sources failed in all.
    pub failed_sources: u64,
    /// What was not read: the first 1,000.
    pub skipped: Vec<Skipped>,
    /// How many things were not read in all.
    pub skipped_entries: u64,
    /// Where this run went on, if an earlier one was interrupted.
    pub resumed: Option<ResumedAt>,
}

/// A source that could not be read to its end.
#[derive(Debug)]
pub struct SourceFailure {
    /// Its name.
    pub name: String,
    /// Where the reading stopped, in the decoded stream.
    pub at: Position,
    /// Why.
    pub error: SourceError,
    /// Records read of it before.
    pub records: u64,
}

/// Something that was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Where a run went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumedAt {
    /// The source, and the first byte and line in it that the earlier run had not noted. The name is empty if all sources
    /// were read.
    pub place: Place,
    /// Decoded bytes of that source that had to be decoded again to get there: none if it is stored plain.
    pub skipped_bytes: u64,
}
