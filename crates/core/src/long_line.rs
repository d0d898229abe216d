use std::ops::Range;

use crate::{BadRecord, Destination, Ledger, Position, Spool};

/// A record that was too long to be held, once it is read: a batch of one record whose bytes wait in a spool. It is a line, or
/// something that was found in a container.
#[derive(Debug)]
pub struct LongLine {
    /// Where it begins.
    pub at: Position,
    /// Where what follows it begins.
    pub end: Position,
    /// Its length in the spool in bytes, without line end.
    pub length: u64,
    /// Physical lines that it spans in the source.
    pub lines: u64,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Its account.
    pub ledger: Ledger,
    /// Its bytes, without line end.
    pub spool: Box<dyn Spool>,
}

/// What becomes of a line that was too long to be held. Ranges count from the first byte of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds nothing but white space.
    Blank,
    /// It is delivered.
    Delivered {
        /// Where to.
        destination: Destination,
        /// Where in the line the record stands.
        record: Range<u64>,
    },
    /// It is left out on request.
    Filtered {
        /// Where it would have gone.
        destination: Destination,
        /// Where in the line the record stands.
        record: Range<u64>,
    },
    /// It is set aside, whole.
    Rejected(BadRecord),
}
