use fhirline_core::Position;

use super::ReplayError;
use super::outcomes::Outcome;
use super::pairs::{By, Files, Pair, Pairs};

/// Leads from a place in a segment back to the place in the source that the record came from. Goes forward only.
pub(super) struct Cursor {
    files: Files,
    by: By,
    /// Opened when it is first asked.
    pairs: Option<Pairs>,
    pair: Option<Pair>,
    /// The segment of `pair`, and where it begins in `lines.raw`: byte and line, from 0.
    segment: u32,
    segment_byte: u64,
    segment_line: u64,
}

impl Cursor {
    pub(super) fn new(files: Files, by: By) -> Self {
        Self { files, by, pairs: None, pair: None, segment: 0, segment_byte: 0, segment_line: 0 }
    }

    /// The original place of what stands at that place of the replayed source.
    pub(super) fn place(&mut self, at: Position) -> Result<Position, ReplayError> {
        if self.pairs.is_none() {
            self.pairs = Some(Pairs::open(&self.files, self.by)?);
            self.advance()?;
        }
        loop {
            let (byte, line) = (self.segment_byte + at.byte, self.segment_line + at.line.saturating_sub(1));
            match &self.pair {
                Some(pair) if self.segment == at.source.0 && pair.lines.contains(&line) => {
                    let (line, byte) = original(pair, self.by, byte, line);
                    return Ok(Position { source: at.source, byte, line });
                }
                Some(_) if self.segment <= at.source.0 => self.advance()?,
                // A place behind all that was read, or before it, as only another file can have.
                _ => return Err(ReplayError::Changed { name: self.files.raw.name() }),
            }
        }
    }

    fn advance(&mut self) -> Result<(), ReplayError> {
        let Some(pairs) = &mut self.pairs else { return Ok(()) };
        let next = pairs.next()?;
        if let (Some(pair), Some(next)) = (&self.pair, &next)
            && pair.outcome.source != next.outcome.source
        {
            self.segment += 1;
            (self.segment_byte, self.segment_line) = (next.bytes.start, next.lines.start);
        }
        self.pair = next;
        Ok(())
    }
}

/// Line and byte in the source of what stands at that byte and line of `lines.raw`.
fn original(pair: &Pair, by: By, byte: u64, line: u64) -> (u64, u64) {
    let outcome = &pair.outcome;
    let line = line - pair.lines.start;
    // Bytes within a record lead back to the source only if nothing was changed.
    let behind = |start: u64| if by == By::Bytes { byte.saturating_sub(start) } else { 0 };
    let (record, line) = (line / outcome.lines, line % outcome.lines);
    if record == 0 {
        return (outcome.line + line, outcome.byte + behind(pair.bytes.start));
    }
    if record + 1 == outcome.count {
        return (outcome.last_line + line, outcome.last_byte + behind(pair.last_byte));
    }
    let Some(apart) = lines_apart(outcome) else { return (outcome.line, outcome.byte) };
    let follow = apart == outcome.lines;
    let byte = if follow { between(pair, by, byte, record) } else { None };
    (outcome.line + record * apart + line, byte.unwrap_or(outcome.byte))
}

/// How many lines lie between the beginnings of neighbours of a group, if that is told by the first and the last: a neighbour
/// begins on the line behind a record, or on its last line, and if not all do the same nothing is known.
fn lines_apart(outcome: &Outcome) -> Option<u64> {
    let distance = outcome.last_line - outcome.line;
    [outcome.lines, outcome.lines - 1].into_iter().find(|apart| distance == (outcome.count - 1) * apart)
}

/// The byte of something between the first and the last record of a group that follow each other line by line: known if every
/// record was ended by LF, or every one by LF and one more byte, as the distance from first to last tells.
fn between(pair: &Pair, by: By, byte: u64, record: u64) -> Option<u64> {
    let outcome = &pair.outcome;
    let distance = pair.last_byte - pair.bytes.start;
    let more = (outcome.last_byte - outcome.byte).checked_sub(distance)?;
    // Behind a record of several lines there may be anything.
    let one_more = outcome.lines == 1 && more == outcome.count - 1;
    let known = by == By::Bytes && (more == 0 || one_more);
    let more_here = if more == 0 { 0 } else { record };
    known.then(|| outcome.byte + byte.saturating_sub(pair.bytes.start) + more_here)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Quarantine, one};
    use super::*;
    use fhirline_core::SourceId;

    fn cursor(quarantine: &Quarantine) -> Cursor {
        let files = quarantine.files();
        let by = By::of(&files).expect("fits");
        Cursor::new(files, by)
    }

    fn at(source: u32, line: u64, byte: u64) -> Position {
        Position { source: SourceId(source), line, byte }
    }

    /// Where each of these places leads to, asked one after the other.
    fn led<const N: usize>(quarantine: &Quarantine, places: [(u64, u64); N]) -> [(u64, u64); N] {
        let mut cursor = cursor(quarantine);
        places.map(|(line, byte)| {
            let place = cursor.place(at(0, line, byte)).expect("fits");
            (place.line, place.byte)
        })
    }

    fn group(count: u64, last_line: u64, last_byte: u64) -> Outcome {
        Outcome { byte: 100, count, last_line, last_byte, ..one("a", 5) }
    }

    #[test]
    fn single_records_lead_back_whatever_became_of_them() {
        let mut quarantine = Quarantine::new();
        for (source, line) in [("a", 3), ("a", 9), ("b", 1), ("a", 20)] {
            quarantine.add(&one(source, line), &["broken"]);
        }
        for raw in [quarantine.raw.clone(), b"\n{}\nworse than before\n\n".to_vec()] {
            quarantine.raw = raw;
            let mut cursor = cursor(&quarantine);
            for (place, line) in [(at(0, 2, 7), 9), (at(1, 1, 0), 1), (at(2, 1, 0), 20)] {
                let found = cursor.place(place).expect("fits");
                assert_eq!(found, at(place.source.0, line, 10 * line));
            }
        }
    }

    #[test]
    fn lines_of_one_record_lead_to_its_own() {
        let mut quarantine = Quarantine::new();
        quarantine.add(&Outcome { lines: 3, ..one("a", 7) }, &["{\n 1\n"]);
        assert_eq!(led(&quarantine, [(1, 0), (2, 2), (3, 5)]), [(7, 70), (8, 72), (9, 75)]);
        quarantine.raw = b"{\n1\n\n".to_vec();
        assert_eq!(led(&quarantine, [(2, 2)]), [(8, 70)]);
    }

    #[test]
    fn records_between_are_known_on_consecutive_lines() {
        let mut quarantine = Quarantine::new();
        // Four records in 3 + 5 + 4 bytes, and the last one.
        let records = ["aa", "bbbb", "ccc", "d"];
        quarantine.add(&group(4, 8, 112), &records);
        let places = [(1, 0), (2, 3), (3, 8), (4, 12)];
        assert_eq!(led(&quarantine, places), [(5, 100), (6, 103), (7, 108), (8, 112)]);
        // The same with CR LF.
        let mut quarantine = Quarantine::new();
        quarantine.add(&group(4, 8, 115), &records);
        assert_eq!(led(&quarantine, places), [(5, 100), (6, 104), (7, 110), (8, 115)]);
        // CR LF and LF.
        let mut quarantine = Quarantine::new();
        quarantine.add(&group(4, 8, 114), &records);
        assert_eq!(led(&quarantine, places), [(5, 100), (6, 100), (7, 100), (8, 114)]);
        // Mended: the lines are what they were.
        quarantine.raw = b"a\nbbbbb\ncc\ndd\n".to_vec();
        assert_eq!(led(&quarantine, places), [(5, 100), (6, 100), (7, 100), (8, 114)]);
    }

    #[test]
    fn records_between_lead_to_the_first_if_lines_lay_between() {
        let mut quarantine = Quarantine::new();
        quarantine.add(&group(3, 9, 150), &["aa", "bb", "cc"]);
        assert_eq!(led(&quarantine, [(1, 0), (2, 3), (3, 6)]), [(5, 100), (5, 100), (9, 150)]);
    }

    #[test]
    fn the_second_of_two_is_the_last() {
        let mut quarantine = Quarantine::new();
        quarantine.add(&group(2, 9, 150), &["aa", "bb"]);
        quarantine.add(&one("a", 30), &["c"]);
        assert_eq!(led(&quarantine, [(2, 3), (3, 6)]), [(9, 150), (30, 300)]);
    }

    #[test]
    fn places_that_cannot_be_are_refused() {
        let mut quarantine = Quarantine::new();
        quarantine.add(&one("a", 3), &["broken"]);
        quarantine.add(&one("b", 3), &["broken"]);
        for wrong in [at(0, 2, 7), at(1, 2, 7), at(2, 1, 0)] {
            let refused = cursor(&quarantine).place(wrong);
            assert!(matches!(refused, Err(ReplayError::Changed { .. })), "{refused:?}");
        }
        let mut cursor = cursor(&quarantine);
        cursor.place(at(1, 1, 0)).expect("fits");
        let refused = cursor.place(at(0, 1, 0));
        assert!(matches!(refused, Err(ReplayError::Changed { .. })), "{refused:?}");
    }
}
