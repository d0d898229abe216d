use std::collections::{BTreeMap, BTreeSet, HashSet};

use fhirline_core::{BadRecord, Batch, Destination, Fault, Ledger, LongLine, Position, Verdict};
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
    /// By destination. Beyond 4,096 types delivered in a run, the rest of the delivered is counted as unknown, as it goes
    /// there; the same holds for those left out, on their own.
    pub types: BTreeMap<Destination, TypeTotals>,
    /// By fault.
    pub faults: BTreeMap<Fault, FaultTotals>,
    /// Names of providers that containers gave: the first 1,000.
    pub providers: BTreeSet<String>,
}

/// Names of providers beyond these are not kept.
const MAX_PROVIDERS: usize = 1000;

impl Totals {
    pub(crate) fn add_batch(&mut self, batch: &Batch, source: &str, slots: &mut Slots) {
        self.ledger.add(&batch.ledger);
        for run in batch.runs.iter().filter(|run| !run.destination.is_sidecar()) {
            let records = run.spans.len() as u64;
            let bytes = run.bytes.len() as u64 - records;
            let tally = &mut self.of(slots.delivered.of(run.destination)).delivered;
            tally.records += records;
            tally.bytes += bytes;
        }
        for filtered in &batch.filtered {
            let tally = &mut self.of(slots.filtered.of(filtered.destination)).filtered;
            tally.records += filtered.records;
            tally.bytes += filtered.bytes;
        }
        for reject in batch.rejects() {
            self.add_fault(reject.why, reject.position, source);
        }
        self.add_providers(&batch.providers);
    }

    pub(crate) fn add_long(&mut self, line: &LongLine, source: &str, slots: &mut Slots) {
        self.ledger.add(&line.ledger);
        match &line.verdict {
            Verdict::Blank => {}
            Verdict::Delivered { destination, .. } if destination.is_sidecar() => {}
            Verdict::Delivered { destination, record } => {
                let tally = &mut self.of(slots.delivered.of(*destination)).delivered;
                tally.records += 1;
                tally.bytes += record.end - record.start;
            }
            Verdict::Filtered { destination, record } => {
                let tally = &mut self.of(slots.filtered.of(*destination)).filtered;
                tally.records += 1;
                tally.bytes += record.end - record.start;
            }
            Verdict::Rejected(why) => self.add_fault(*why, line.at, source),
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
        self.add_providers(&part.providers);
    }

    fn add_providers<'n>(&mut self, names: impl IntoIterator<Item = &'n String>) {
        for name in names {
            if self.providers.len() >= MAX_PROVIDERS {
                return;
            }
            self.providers.insert(name.clone());
        }
    }

    fn of(&mut self, destination: Destination) -> &mut TypeTotals {
        self.types.entry(destination).or_default()
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

/// The types that a run counts by name: the first to appear, in all sources together.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    delivered: Known,
    filtered: Known,
}

impl Slots {
    /// As they are after so much was counted.
    pub(crate) fn after(before: &Totals, current: &Totals) -> Self {
        Self {
            delivered: Known::after(before, current, |totals| totals.delivered.records > 0),
            filtered: Known::after(before, current, |totals| totals.filtered.records > 0),
        }
    }

    /// What comes now is from another source.
    pub(crate) fn begin_source(&mut self) {
        self.delivered.fresh.clear();
        self.filtered.fresh.clear();
    }

    /// The current source does not count.
    pub(crate) fn abandon_source(&mut self) {
        self.delivered.forget_fresh();
        self.filtered.forget_fresh();
    }
}

#[derive(Debug, Default)]
struct Known {
    all: HashSet<Destination>,
    /// Those of the current source that no source before it had.
    fresh: Vec<Destination>,
}

impl Known {
    fn after(before: &Totals, current: &Totals, counted: fn(&TypeTotals) -> bool) -> Self {
        let of = |totals: &Totals| -> Vec<Destination> {
            totals.types.iter().filter(|(_, totals)| counted(totals)).map(|(of, _)| *of).collect()
        };
        let mut all: HashSet<_> = of(before).into_iter().collect();
        let fresh: Vec<_> = of(current).into_iter().filter(|of| all.insert(*of)).collect();
        Self { all, fresh }
    }

    /// Where a destination is counted: the same as where an output with as many slots puts it.
    fn of(&mut self, destination: Destination) -> Destination {
        let full = self.all.len() >= MAX_DESTINATIONS && !self.all.contains(&destination);
        let destination = if full { Destination::Unknown } else { destination };
        if self.all.insert(destination) {
            self.fresh.push(destination);
        }
        destination
    }

    fn forget_fresh(&mut self) {
        for destination in self.fresh.drain(..) {
            self.all.remove(&destination);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use fhirline_core::{Identity, Origin, ResourceType};
    use fhirline_route::{Router, Selection};
    use fhirline_sink::StatsSink;

    use super::*;
    use crate::{Cancel, Entry, FlowOptions, Outcome, run};

    #[derive(Debug)]
    struct Text {
        bytes: Vec<u8>,
        /// Bytes that it says it has and does not give.
        missing: u64,
    }

    impl Origin for Text {
        fn identity(&self) -> io::Result<Identity> {
            let stored_bytes = Some(self.bytes.len() as u64 + self.missing);
            Ok(Identity { name: "text".into(), stored_bytes, modified: None, tag: None })
        }

        fn name(&self) -> &str {
            "text"
        }

        fn open_at(&self, _offset: u64) -> io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(io::Cursor::new(self.bytes.clone())))
        }
    }

    /// `Aaa`, `Aab` and so on: even ones are delivered, odd ones left out.
    fn name_of(number: usize) -> String {
        let letter = |place: usize| char::from(b'a' + (number / 26_usize.pow(place as u32) % 26) as u8);
        format!("A{}{}{}", letter(2), letter(1), letter(0))
    }

    fn source(numbers: impl Iterator<Item = usize>, missing: u64) -> Entry {
        let line = |number| format!("{{\"resourceType\":\"{}\"}}\n", name_of(number));
        Entry::named(Text { bytes: numbers.map(line).collect::<String>().into_bytes(), missing })
    }

    /// By type, what the account and what the sink says was delivered.
    fn delivered(sources: Vec<Entry>, threads: usize) -> (Outcome, BTreeMap<Destination, u64>) {
        let odd = (0..12_000).filter(|number| number % 2 == 1).map(name_of);
        let except: BTreeSet<_> = odd.filter_map(|name| ResourceType::new(&name)).collect();
        let router = Router { selection: Selection { except, ..Selection::default() }, ..Router::default() };
        let options = FlowOptions { threads, allow_incomplete: true, ..FlowOptions::default() };
        let mut sink = StatsSink::new();
        let outcome = run(sources, &router, &mut sink, &options, &Cancel::new(), &mut |_| {}).expect("a run");
        let types = sink.into_types().into_iter().map(|(of, lengths)| (of, lengths.count()));
        (outcome, types.collect())
    }

    #[test]
    fn the_account_names_the_types_that_the_sink_names() {
        for threads in [1, 3] {
            let sources = vec![
                source(0..6000, 0),
                // Taken back, with the types that only it has.
                source(7000..8000, 1),
                source((2000..12_000).rev(), 0),
            ];
            let (outcome, of_sink) = delivered(sources, threads);
            assert_eq!((outcome.failed_sources, of_sink.len()), (1, MAX_DESTINATIONS + 1));
            let types = &outcome.totals.types;
            let of_account = types.iter().map(|(of, totals)| (*of, totals.delivered.records));
            let of_account: BTreeMap<_, _> = of_account.filter(|(_, records)| *records > 0).collect();
            assert_eq!(of_account, of_sink);
            let diverted = (6000 - MAX_DESTINATIONS) as u64;
            assert_eq!(types[&Destination::Unknown].delivered.records, diverted);
            assert_eq!(types[&Destination::Unknown].filtered.records, diverted);
        }
    }
}
