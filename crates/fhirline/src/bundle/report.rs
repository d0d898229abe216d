use serde::Serialize;

use fhirline_bundle::{Ended, WriteTally};

/// What the Bundles of a run hold, and how they came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BundlesReport {
    /// Bundles written; the first 1,000 are listed among the outputs.
    pub written: u64,
    /// Their entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Resources whose `fullUrl` stood in the open Bundle already.
    pub duplicates: u64,
    /// Entries that are called by `urn:uuid:`.
    pub uuids: u64,
    /// Bundles of one entry that have more bytes than a Bundle may have.
    pub too_long: u64,
    /// Why Bundles ended before the last one.
    pub ended: EndedReport,
}

/// Why Bundles ended, and how many for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EndedReport {
    /// They had as many entries as they may have.
    pub max_entries: u64,
    /// They would have had more bytes than they may have.
    pub max_bytes: u64,
    /// The next resource had a `fullUrl` that stood in them.
    pub duplicates: u64,
    /// There was no memory to remember one more URL.
    pub fingerprints: u64,
}

pub(super) fn bundles_report(tally: &WriteTally, bytes: u64) -> BundlesReport {
    BundlesReport {
        written: tally.bundles,
        entries: tally.entries,
        bytes,
        duplicates: tally.duplicates,
        uuids: tally.uuids,
        too_long: tally.too_long,
        ended: EndedReport {
            max_entries: tally.ended(Ended::MaxEntries),
            max_bytes: tally.ended(Ended::MaxBytes),
            duplicates: tally.ended(Ended::Duplicate),
            fingerprints: tally.ended(Ended::Fingerprints),
        },
    }
}
