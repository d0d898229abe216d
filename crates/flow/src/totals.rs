use std::collections::BTreeMap;

use fhirline_core::{BadRecord, Batch, Destination, Fault, Fragment, Ledger, Position};
use fhirline_sink::MAX_DESTINATIONS;

/// Records and their bytes, without line ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What became of the records of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeTotals {
    /// Delivered.
    pub delivered: Tally,
    /// Left out on request.
    pub filtered: Tally,
}

/// Where a record stood, with the name of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the source.
    pub source: String,
    /// Where it stood in it.
    pub position: Position,
}

/// How often a fault occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultTotals {
    /// How many records have it.
    pub records: u64,
    /// The first of them.
    pub first: Place,
}

/// The account of a run in numbers, by type and by fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Where all records and bytes went.
    pub ledger: Ledger,
    /// By destination. Beyond 4,096 types the rest is counted as unknown.
    pub types: BTreeMap<Destination, TypeTotals>,
    /// By fault.
    pub faults: BTreeMap<Fault, FaultTotals>,
}

impl Totals {
    pub(crate) fn add_batch(&mut self, batch: &Batch, source: &str) {
        self.ledger.add(&batch.ledger);
        for run in &batch.runs {
            let records = run.spans.len() as u64;
            let bytes = run.bytes.len() as u64 - records;
            let tally = &mut self.of(run.destination).delivered;
            tally.records += records;
            tally.bytes += bytes;
        }
        for filtered in &batch.filtered {
            let tally = &mut self.of(filtered.destination).filtered;
            tally.records += filtered.records;
            tally.bytes += filtered.bytes;
        }
        for reject in batch.rejects() {
            self.add_fault(reject.why, reject.position, source);
        }
    }

    pub(crate) fn add_fragment(&mut self, fragment: &Fragment, source: &str) {
        self.ledger.add(&fragment.ledger());
        if fragment.last {
            self.add_fault(BadRecord { fault: Fault::TooLong, at: 0 }, fragment.line_at, source);
        }
    }

    /// Adds what was read from another source.
    pub(crate) fn add(&mut self, part: &Self) {
        self.ledger.add(&part.ledger);
        for (destination, totals) in &part.types {
            let sum = self.of(*destination);
            sum.delivered.records += totals.delivered.records;
            sum.delivered.bytes += totals.delivered.bytes;
            sum.filtered.records += totals.filtered.records;
            sum.filtered.bytes += totals.filtered.bytes;
        }
        for (fault, totals) in &part.faults {
            self.faults
                .entry(*fault)
                .and_modify(|sum| sum.records += totals.records)
                .or_insert_with(|| totals.clone());
        }
    }

    fn of(&mut self, destination: Destination) -> &mut TypeTotals {
        let full = self.types.len() >= MAX_DESTINATIONS && !self.types.contains_key(&destination);
        self.types.entry(if full { Destination::Unknown } else { destination }).or_default()
    }

    fn add_fault(&mut self, why: BadRecord, position: Position, source: &str) {
        match self.faults.get_mut(&why.fault) {
            Some(totals) => totals.records += 1,
            None => {
                let first = Place { source: source.to_owned(), position };
                self.faults.insert(why.fault, FaultTotals { records: 1, first });
            }
        }
    }
}
