//! What an engine must know to go on where an earlier run stopped, and how it is written down.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use fhirline_core::{
    ByteTally, ContainerTally, Destination, Fault, Ledger, Position, RecordTally, SidecarTally, SourceId,
};

use crate::entry::Entry;
use crate::outcome::{Outcome, Skipped};
use crate::stamp::{Changed, Stamp, Stamps, stamp_of};
use crate::totals::{FaultTotals, Place, Tally, Totals, TypeTotals};

/// How far a run has come: noted with each checkpoint, and where a later run goes on.
///
/// It holds names of sources, positions and counts, and no byte of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// Sources that were begun before the one that comes next, or is being read.
    pub(crate) sources: u32,
    pub(crate) empty_sources: u64,
    /// Sources that were not whole, of a run that came to its end without them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(crate) failed_sources: u64,
    /// Stored bytes of the sources that are done.
    pub(crate) stored_bytes: u64,
    pub(crate) skipped: Vec<SavedSkip>,
    pub(crate) skipped_entries: u64,
    /// The sources that were done with, in order.
    pub(crate) done: Stamps,
    /// How many things behind the last of them were passed over.
    pub(crate) passed_over: u64,
    pub(crate) before: SavedTotals,
    pub(crate) current: Option<Current>,
}

/// The source in the middle of which a run stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Current {
    pub(crate) name: String,
    pub(crate) stamp: Stamp,
    /// Decoded bytes and lines that were committed.
    pub(crate) byte: u64,
    pub(crate) line: u64,
    /// Whether the source is stored as it is, so that it can be opened in its middle.
    pub(crate) plain: bool,
    /// Where framing goes on, if lines are not records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) framing: Option<String>,
    pub(crate) totals: SavedTotals,
}

/// Whether a later run could go on behind a step, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// At the beginning of a line that is a record.
    Lines,
    /// Where values are framed.
    Values(String),
    /// It could not.
    Nowhere,
}

/// For serde: whether there are none.
fn is_none(count: &u64) -> bool {
    *count == 0
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedSkip {
    name: String,
    why: String,
}

/// [`Totals`] as they are written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SavedTotals {
    ledger: [u64; 26],
    /// Records and bytes delivered and filtered, by destination.
    types: BTreeMap<String, [u64; 4]>,
    faults: BTreeMap<String, SavedFault>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    providers: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedFault {
    records: u64,
    source: String,
    /// Source, byte and line of the first.
    first: (u32, u64, u64),
}

/// A source that is not what it was when a run read it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not what the interrupted run has read: {changed}")]
pub struct SourceChanged {
    /// Its name now, or what it was called.
    pub name: String,
    /// What differs.
    pub changed: Changed,
}

impl Progress {
    /// Compares the sources that were read, or begun, with what they are now. Looks at their length, time of change, first
    /// and last bytes, and reads nothing else. Sources that were not begun may have changed.
    ///
    /// # Errors
    /// The first that differs.
    pub fn check_sources(&self, entries: impl IntoIterator<Item = Entry>) -> Result<(), SourceChanged> {
        let mut entries = entries.into_iter().filter(|entry| !matches!(entry, Entry::Skipped { .. }));
        self.done.check(&mut entries)?;
        let Some(current) = &self.current else { return Ok(()) };
        let gone = || SourceChanged { name: current.name.clone(), changed: Changed::Gone };
        let (name, now) = stamp_of(&entries.next().ok_or_else(gone)?);
        match current.stamp.difference(&now) {
            None => Ok(()),
            Some(changed) => Err(SourceChanged { name, changed }),
        }
    }

    /// The name of the source in the middle of which the run stopped, and the position in it; `None` between two sources.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let position = self.position();
        self.current.as_ref().map(|current| Place { source: current.name.clone(), position })
    }

    pub(crate) fn position(&self) -> Position {
        let source = SourceId(self.sources);
        match &self.current {
            Some(current) => Position { source, byte: current.byte, line: current.line },
            None => Position::start_of(source),
        }
    }

    /// The outcome as it was.
    pub(crate) fn outcome(&self) -> Outcome {
        let skipped = self.skipped.iter();
        Outcome {
            sources: u64::from(self.sources) + u64::from(self.current.is_some()),
            empty_sources: self.empty_sources,
            failed_sources: self.failed_sources,
            stored_bytes: self.stored_bytes,
            skipped: skipped.map(|skip| Skipped { name: skip.name.clone(), why: skip.why.clone() }).collect(),
            skipped_entries: self.skipped_entries,
            ..Outcome::default()
        }
    }
}

pub(crate) fn saved_skips(outcome: &Outcome) -> Vec<SavedSkip> {
    let saved = |skip: &Skipped| SavedSkip { name: skip.name.clone(), why: skip.why.clone() };
    outcome.skipped.iter().map(saved).collect()
}

impl From<&Totals> for SavedTotals {
    fn from(totals: &Totals) -> Self {
        let of = |totals: &TypeTotals| {
            let (delivered, filtered) = (totals.delivered, totals.filtered);
            [delivered.records, delivered.bytes, filtered.records, filtered.bytes]
        };
        let fault = |totals: &FaultTotals| {
            let at = totals.first.position;
            SavedFault {
                records: totals.records,
                source: totals.first.source.clone(),
                first: (at.source.0, at.byte, at.line),
            }
        };
        Self {
            ledger: saved_ledger(&totals.ledger),
            types: totals.types.iter().map(|(name, totals)| (name.name().to_owned(), of(totals))).collect(),
            faults: totals
                .faults
                .iter()
                .map(|(code, totals)| (code.code().to_owned(), fault(totals)))
                .collect(),
            providers: totals.providers.clone(),
        }
    }
}

impl SavedTotals {
    /// The totals again. What no run of ours would write is left out.
    pub(crate) fn restore(&self) -> Totals {
        let types = self
            .types
            .iter()
            .filter_map(|(name, tally)| Some((Destination::from_name(name)?, type_totals(tally))));
        let faults = self.faults.iter().filter_map(|(code, saved)| {
            let (source, byte, line) = saved.first;
            let position = Position { source: SourceId(source), byte, line };
            let first = Place { source: saved.source.clone(), position };
            Some((Fault::from_code(code)?, FaultTotals { records: saved.records, first }))
        });
        Totals {
            ledger: ledger(&self.ledger),
            types: types.collect(),
            faults: faults.collect(),
            providers: self.providers.clone(),
        }
    }
}

fn type_totals(saved: &[u64; 4]) -> TypeTotals {
    let [delivered_records, delivered_bytes, filtered_records, filtered_bytes] = *saved;
    TypeTotals {
        delivered: Tally { records: delivered_records, bytes: delivered_bytes },
        filtered: Tally { records: filtered_records, bytes: filtered_bytes },
    }
}

fn saved_ledger(ledger: &Ledger) -> [u64; 26] {
    let (records, bytes, containers) = (&ledger.records, &ledger.bytes, &ledger.containers);
    let sidecars = &ledger.sidecars;
    [
        records.read,
        records.delivered,
        records.filtered,
        records.quarantined,
        bytes.read,
        bytes.delivered,
        bytes.filtered,
        bytes.quarantined,
        bytes.terminators,
        bytes.white_space,
        bytes.byte_order_marks,
        bytes.container,
        bytes.sidecars,
        ledger.blank_lines,
        ledger.duplicate_keys,
        ledger.unknown_types,
        bytes.metadata,
        containers.arrays,
        containers.bundles,
        containers.untyped_bundles,
        containers.signed_bundles,
        containers.provider_lists,
        containers.bare_entries,
        sidecars.deleted,
        sidecars.errors,
        sidecars.headers,
    ]
}

fn ledger(saved: &[u64; 26]) -> Ledger {
    Ledger {
        records: RecordTally {
            read: saved[0],
            delivered: saved[1],
            filtered: saved[2],
            quarantined: saved[3],
        },
        bytes: ByteTally {
            read: saved[4],
            delivered: saved[5],
            filtered: saved[6],
            quarantined: saved[7],
            terminators: saved[8],
            white_space: saved[9],
            byte_order_marks: saved[10],
            container: saved[11],
            sidecars: saved[12],
            metadata: saved[16],
        },
        containers: ContainerTally {
            arrays: saved[17],
            bundles: saved[18],
            untyped_bundles: saved[19],
            signed_bundles: saved[20],
            provider_lists: saved[21],
            bare_entries: saved[22],
        },
        sidecars: SidecarTally { deleted: saved[23], errors: saved[24], headers: saved[25] },
        blank_lines: saved[13],
        duplicate_keys: saved[14],
        unknown_types: saved[15],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn totals() -> impl Strategy<Value = Totals> {
        let numbers = prop::array::uniform26(any::<u64>());
        let names = prop::sample::select(vec!["Goal", "Patient", "_unknown", "_all"]);
        let types = prop::collection::btree_map(names, prop::array::uniform4(any::<u64>()), 0..4);
        let faults = prop::collection::btree_map(
            prop::sample::select(Fault::ALL.to_vec()),
            (any::<u64>(), ".{0,5}", any::<(u32, u64, u64)>()),
            0..5,
        );
        (numbers, types, faults).prop_map(|(numbers, types, faults)| Totals {
            ledger: ledger(&numbers),
            types: types
                .iter()
                .map(|(name, tally)| {
                    (Destination::from_name(name).expect("a destination"), type_totals(tally))
                })
                .collect(),
            faults: faults
                .into_iter()
                .map(|(fault, (records, source, (id, byte, line)))| {
                    let position = Position { source: SourceId(id), byte, line };
                    (fault, FaultTotals { records, first: Place { source, position } })
                })
                .collect(),
            providers: BTreeSet::from(["A hospital".to_owned()]),
        })
    }

    proptest! {
        #[test]
        fn totals_are_the_same_after_they_were_written_down(totals in totals()) {
            let json = serde_json::to_string(&SavedTotals::from(&totals)).expect("into memory");
            let again: SavedTotals = serde_json::from_str(&json).expect("what was written");
            prop_assert_eq!(again.restore(), totals);
        }
    }
}
