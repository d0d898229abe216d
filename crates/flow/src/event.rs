use std::time::Duration;

use fhirline_core::{BadRecord, Position};

use crate::{SourceError, Totals};

/// What a run tells while it goes on. Holds no byte of a record.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'e> {
    /// A source begins.
    SourceBegun {
        /// Its name.
        name: &'e str,
        /// Its stored length, if known.
        stored_bytes: Option<u64>,
    },
    /// An interrupted run goes on within a source; or with the next one, as its beginning will tell.
    Resumed {
        /// Name of the source; empty if all were read.
        name: &'e str,
        /// The first byte and line that are read again.
        position: Position,
    },
    /// A batch was committed.
    Committed {
        /// The account of the sources before this one.
        before: &'e Totals,
        /// The account of this source up to here.
        current: &'e Totals,
        /// Stored bytes of all sources used up to here.
        stored_bytes: u64,
    },
    /// Another run has the destination, or had it and was killed: which it is will be seen.
    Waiting {
        /// The destination.
        name: &'e str,
        /// It will be seen after so long at the latest.
        at_most: Duration,
    },
    /// A record was rejected.
    Rejected {
        /// Name of its source.
        source: &'e str,
        /// Where it stood.
        position: Position,
        /// Its length in bytes.
        length: u64,
        /// Why.
        why: BadRecord,
    },
    /// A source has ended.
    SourceEnded {
        /// Its name.
        name: &'e str,
        /// Whether it held no record and no other byte.
        empty: bool,
        /// Why it could not be read to its end, if so.
        error: Option<&'e SourceError>,
    },
    /// Something that is not read.
    Skipped {
        /// Its name.
        name: &'e str,
        /// Why it is not read.
        why: &'e str,
    },
}
