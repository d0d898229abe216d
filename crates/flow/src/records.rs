//! Sources of which it is known how many lines each of their records has.

use std::error::Error;
use std::fmt;

use fhirline_core::Position;

/// Records that follow each other and have equally many lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EqualRecords {
    /// How many records.
    pub records: u64,
    /// Physical lines that each of them has, at least one.
    pub lines: u64,
}

/// Tells how many physical lines each record of a source has, in the order of the source. Every record is followed by one LF
/// that is no part of it; only the last one may lack it.
pub trait RecordLines: Send + fmt::Debug {
    /// The records that come next; `None` behind the last.
    ///
    /// # Errors
    /// Why it cannot be told. The run ends with [`RunError::Places`](crate::RunError::Places).
    fn next(&mut self) -> Result<Option<EqualRecords>, Box<dyn Error + Send + Sync>>;

    /// What to say if the source has more or fewer lines than were told.
    fn misfit(&self) -> Box<dyn Error + Send + Sync>;
}

/// Cuts the bytes of a source into the records that are told, whatever stands in them.
pub(crate) struct Records {
    told: Box<dyn RecordLines>,
    /// The record that is read, and those behind it that are like it.
    run: EqualRecords,
    /// A longer record comes in pieces.
    max_held_bytes: usize,
    /// Bytes that were not handed out, between `from` and `filled`. Behind them there is room for reading.
    buffer: Vec<u8>,
    from: usize,
    filled: usize,
    /// Where the byte at `from` stands, on the line on which its record begins.
    at: Position,
    /// Where the record begins of which pieces were handed out, and whether the last of them ended in a line end.
    begun: Option<Position>,
    behind_line_end: bool,
    /// Bytes behind `from` in which line ends were counted, and how many the record has had.
    searched: usize,
    line_ends: u64,
    finished: bool,
    broken_off: bool,
}

/// A record, or a piece of one that is too long to be held. The pieces of a record follow each other.
pub(crate) struct Record<'r> {
    /// Where the record begins.
    pub(crate) at: Position,
    pub(crate) bytes: &'r [u8],
    /// Line ends in the record up to here.
    pub(crate) line_ends: u64,
    /// Whether the record begins, and whether it ends here.
    pub(crate) begins: bool,
    pub(crate) last: bool,
    /// Bytes of the line end behind the last piece.
    pub(crate) terminator_bytes: u8,
}

impl Records {
    /// At the beginning of a source, or of a record in its middle; see [`skip_to`](Self::skip_to).
    pub(crate) fn new(told: Box<dyn RecordLines>, at: Position, max_held_bytes: usize) -> Self {
        Self {
            told,
            run: EqualRecords { records: 0, lines: 1 },
            max_held_bytes,
            buffer: Vec::new(),
            from: 0,
            filled: 0,
            at,
            begun: None,
            behind_line_end: true,
            searched: 0,
            line_ends: 0,
            finished: false,
            broken_off: false,
        }
    }

    /// Passes over what is told of the records before the one that begins on that line; `false` if none does.
    pub(crate) fn skip_to(&mut self, line: u64) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let mut left = line.saturating_sub(1);
        while left > 0 {
            if self.run.records == 0 && !self.take_run()? {
                return Ok(false);
            }
            let skipped = (left / self.run.lines).min(self.run.records);
            if skipped == 0 {
                return Ok(false);
            }
            self.run.records -= skipped;
            left -= skipped * self.run.lines;
        }
        Ok(true)
    }

    /// Where the next record begins, or the one of which pieces were handed out.
    pub(crate) fn position(&self) -> Position {
        self.begun.unwrap_or(self.at)
    }

    /// Bytes that were read and not handed out.
    pub(crate) fn held_bytes(&self) -> usize {
        self.filled - self.from
    }

    /// Room to read into; exactly `bytes` long.
    pub(crate) fn space(&mut self, bytes: usize) -> &mut [u8] {
        self.buffer.copy_within(self.from..self.filled, 0);
        (self.from, self.filled) = (0, self.held_bytes());
        let end = self.filled + bytes;
        if self.buffer.len() < end {
            self.buffer.reserve_exact(end - self.buffer.len());
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.filled..end]
    }

    /// Says that the first `bytes` of the [`space`](Self::space) now hold input.
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.filled += bytes;
    }

    /// Says that the source has ended.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// Says that the source broke off: only records that are followed by their line end count.
    pub(crate) fn break_off(&mut self) {
        self.broken_off = true;
    }

    /// What comes next; `None` if more input is needed, or at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>, Box<dyn Error + Send + Sync>> {
        if self.run.records == 0 && !self.take_run()? {
            return if self.held_bytes() > 0 && !self.broken_off {
                Err(self.told.misfit())
            } else {
                Ok(None)
            };
        }
        let held = self.held_bytes();
        match self.find_end() {
            Some(end) => Ok(Some(self.take(end, true, 1))),
            None if held > self.max_held_bytes => Ok(Some(self.take(held, false, 0))),
            None if !self.finished => Ok(None),
            None if self.line_ends + 1 == self.run.lines && !self.is_line_empty() => {
                Ok(Some(self.take(held, true, 0)))
            }
            None => Err(self.told.misfit()),
        }
    }

    fn take_run(&mut self) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let next = self.told.next()?;
        if let Some(EqualRecords { records, lines }) = next {
            self.run = EqualRecords { records, lines: lines.max(1) };
        }
        Ok(next.is_some_and(|run| run.records > 0))
    }

    /// Whether nothing stands on the last line that was read: then it is none.
    fn is_line_empty(&self) -> bool {
        let held = &self.buffer[self.from..self.filled];
        held.last().map_or(self.behind_line_end, |&last| last == b'\n')
    }

    /// Where the record ends, if that is held.
    fn find_end(&mut self) -> Option<usize> {
        let unsearched = &self.buffer[self.from + self.searched..self.filled];
        for found in memchr::memchr_iter(b'\n', unsearched) {
            if self.line_ends + 1 == self.run.lines {
                return Some(self.searched + found);
            }
            self.line_ends += 1;
        }
        self.searched += unsearched.len();
        None
    }

    /// Hands out so many bytes of the record, and passes over the line end behind it.
    fn take(&mut self, bytes: usize, last: bool, terminator_bytes: u8) -> Record<'_> {
        let (from, line_ends) = (self.from, self.line_ends);
        let (at, begins) = (self.position(), self.begun.is_none());
        let passed = bytes + usize::from(terminator_bytes);
        self.from += passed;
        self.searched = 0;
        self.behind_line_end = last || self.buffer[..from + bytes].ends_with(b"\n");
        self.begun = if last { None } else { Some(at) };
        self.at = self.at.advanced(passed as u64, if last { line_ends + 1 } else { 0 });
        if last {
            self.run.records -= 1;
            self.line_ends = 0;
        }
        Record { at, bytes: &self.buffer[from..from + bytes], line_ends, begins, last, terminator_bytes }
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("at", &self.at)
            .field("held_bytes", &self.held_bytes())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("at", &self.at)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Told beforehand; what does not fit is told as `misfit`.
    #[derive(Debug)]
    struct Told(std::vec::IntoIter<EqualRecords>);

    impl RecordLines for Told {
        fn next(&mut self) -> Result<Option<EqualRecords>, Box<dyn Error + Send + Sync>> {
            Ok(self.0.next())
        }

        fn misfit(&self) -> Box<dyn Error + Send + Sync> {
            "misfit".into()
        }
    }

    /// One run for each record.
    fn told(lines: &[u64]) -> Box<dyn RecordLines> {
        let runs: Vec<_> = lines.iter().map(|&lines| EqualRecords { records: 1, lines }).collect();
        Box::new(Told(runs.into_iter()))
    }

    type Found = (Position, Vec<u8>, u64);

    /// All records with their places and line ends, given in steps of that size, and whether the lines fit.
    fn framed(mut records: Records, mut text: &[u8], step: usize) -> (Vec<Found>, bool) {
        let (mut found, mut whole, mut begins, mut finished) = (Vec::new(), Vec::new(), true, false);
        loop {
            match records.next() {
                Err(_) => return (found, false),
                Ok(Some(record)) => {
                    assert_eq!(record.begins, begins);
                    begins = record.last;
                    whole.extend_from_slice(record.bytes);
                    if record.last {
                        found.push((record.at, std::mem::take(&mut whole), record.line_ends));
                    }
                }
                Ok(None) if finished => return (found, true),
                Ok(None) if text.is_empty() => {
                    finished = true;
                    records.finish();
                }
                Ok(None) => {
                    let (bytes, rest) = text.split_at(step.min(text.len()));
                    records.space(bytes.len()).copy_from_slice(bytes);
                    records.filled(bytes.len());
                    text = rest;
                }
            }
        }
    }

    fn at_start(lines: &[u64], held: usize) -> Records {
        Records::new(told(lines), Position::start_of(Default::default()), held)
    }

    fn texts(found: &[Found]) -> Vec<&str> {
        found.iter().map(|(_, bytes, _)| str::from_utf8(bytes).expect("text")).collect()
    }

    #[test]
    fn a_record_has_the_lines_that_are_told_whatever_they_hold() {
        for (lines, expected) in [
            (&[1, 1, 1, 1][..], &["{", "", "}\r", "{}"][..]),
            (&[3, 1], &["{\n\n}\r", "{}"]),
            (&[2, 2], &["{\n", "}\r\n{}"]),
        ] {
            for text in ["{\n\n}\r\n{}\n", "{\n\n}\r\n{}"] {
                let (found, fits) = framed(at_start(lines, 100), text.as_bytes(), 3);
                assert!(fits);
                assert_eq!(texts(&found), expected, "{lines:?}");
            }
        }
    }

    #[test]
    fn other_numbers_of_lines_do_not_fit() {
        for lines in [&[1, 1][..], &[2], &[1], &[4], &[1, 3], &[1, 1, 1, 1], &[]] {
            let (_, fits) = framed(at_start(lines, 100), b"a\nb\nc\n", 2);
            assert!(!fits, "{lines:?}");
        }
    }

    #[test]
    fn what_broke_off_has_only_whole_records() {
        let mut records = at_start(&[1, 2], 100);
        let text = b"a\nb\nc";
        records.space(text.len()).copy_from_slice(text);
        records.filled(text.len());
        records.break_off();
        assert_eq!(records.next().expect("fits").map(|record| record.bytes.to_vec()), Some(b"a".to_vec()));
        assert!(records.next().expect("fits").is_none());
        assert_eq!((records.position().line, records.held_bytes()), (2, 3));
    }

    #[test]
    fn it_goes_on_at_the_beginning_of_a_record_only() {
        let runs = vec![EqualRecords { records: 3, lines: 2 }, EqualRecords { records: 1, lines: 1 }];
        let fits = [true, false, true, false, true, false, true, true, false];
        for (line, fits) in (1..).zip(fits) {
            let told = Box::new(Told(runs.clone().into_iter()));
            let mut records = Records::new(told, Position::default(), 100);
            assert_eq!(records.skip_to(line).expect("told"), fits, "{line}");
        }
    }

    proptest! {
        #[test]
        fn neither_reads_nor_pieces_matter(
            contents in vec("[a\n\r]{0,12}", 1..8),
            step in 1_usize..20,
            held in 1_usize..16,
        ) {
            let lines: Vec<u64> =
                contents.iter().map(|text| 1 + text.matches('\n').count() as u64).collect();
            let text: String = contents.iter().map(|text| format!("{text}\n")).collect();
            let (found, fits) = framed(at_start(&lines, held), text.as_bytes(), step);
            prop_assert!(fits);
            prop_assert_eq!(texts(&found), contents);
            let (mut line, mut byte) = (1, 0);
            for ((at, bytes, line_ends), lines) in found.iter().zip(lines) {
                prop_assert_eq!((at.line, at.byte, *line_ends + 1), (line, byte, lines));
                line += lines;
                byte += bytes.len() as u64 + 1;
            }
        }
    }
}
