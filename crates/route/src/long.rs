use fhirline_core::{BadRecord, Destination, Fault, Fragment, Ledger, Position, Verdict};
use fhirline_parse::{ScannedEnvelope, Scanner};

use crate::place::destination_of;
use crate::{Grouping, Router};

/// Decides what becomes of a line that comes in fragments: the same as [`Router::route`] does for the line as a whole.
#[derive(Debug)]
pub struct LongRoute {
    scanner: Scanner,
    at: Position,
    length: u64,
}

impl Router {
    /// The beginning of a line that is too long to be held.
    #[must_use]
    pub fn route_long(&self, at: Position) -> LongRoute {
        LongRoute { scanner: Scanner::new(self.proof), at, length: 0 }
    }
}

impl LongRoute {
    /// Where the line begins.
    #[must_use]
    pub fn at(&self) -> Position {
        self.at
    }

    /// Bytes of the line so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes the next fragment of the line.
    pub fn push(&mut self, fragment: &Fragment) {
        self.scanner.push(&fragment.bytes);
        self.length += fragment.bytes.len() as u64;
    }

    /// What becomes of the line, and its account. A line longer than `max_line_bytes` is rejected.
    #[must_use]
    pub fn finish(self, router: &Router, terminator_bytes: u8, max_line_bytes: u64) -> (Verdict, Ledger) {
        let length = self.length;
        let mut ledger = Ledger::default();
        ledger.bytes.read = length + u64::from(terminator_bytes);
        ledger.bytes.terminators = u64::from(terminator_bytes);
        if length > max_line_bytes {
            return (rejected(BadRecord { fault: Fault::TooLong, at: 0 }, length, &mut ledger), ledger);
        }
        if self.scanner.is_blank() {
            ledger.blank_lines = 1;
            ledger.bytes.white_space = length;
            return (Verdict::Blank, ledger);
        }
        let verdict = match self.scanner.finish_line() {
            Ok(found) => router.place_long(&found, length, &mut ledger),
            Err(why) => rejected(why, length, &mut ledger),
        };
        (verdict, ledger)
    }
}

impl Router {
    fn place_long(&self, found: &ScannedEnvelope, length: u64, ledger: &mut Ledger) -> Verdict {
        let of_type = destination_of(&found.resource_type);
        let record = found.value.clone();
        let bytes = record.end - record.start;
        ledger.records.read = 1;
        ledger.bytes.white_space = length - bytes;
        if !self.selection.wants(&of_type) {
            ledger.records.filtered = 1;
            ledger.bytes.filtered = bytes;
            return Verdict::Filtered { destination: of_type, record };
        }
        ledger.records.delivered = 1;
        ledger.bytes.delivered = bytes;
        ledger.duplicate_keys = u64::from(found.duplicate_keys > 0);
        ledger.unknown_types = u64::from(of_type == Destination::Unknown);
        let destination = match self.grouping {
            Grouping::ByType => of_type,
            Grouping::Together => Destination::Together,
        };
        Verdict::Delivered { destination, record }
    }
}

fn rejected(why: BadRecord, length: u64, ledger: &mut Ledger) -> Verdict {
    ledger.records.read = 1;
    ledger.records.quarantined = 1;
    ledger.bytes.quarantined = length;
    Verdict::Rejected(why)
}
