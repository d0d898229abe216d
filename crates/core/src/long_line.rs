use std::ops::Range;

use crate::{BadRecord, Destination, Ledger, Position, Spool};

/// A line that was too long to be held, once it is read: a batch of one line whose bytes wait in a spool.
#[derive(Debug)]
pub struct LongLine {
    /// Where the line begins.
    pub at: Position,
    /// Its length in bytes, without line end.
    pub length: u64,
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
