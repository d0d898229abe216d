use std::io::BufRead;
use std::ops::Range;

use super::ReplayError;
use super::files::{Marked, Watched};
use super::outcomes::{Outcome, Outcomes};

/// The two files of a quarantine.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) raw: Marked,
    pub(super) outcomes: Marked,
}

/// How records and their outcomes were found to belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Every record has the length and the lines that its outcome tells: nothing was changed, as far as these tell.
    Bytes,
    /// There are as many lines as the outcomes tell.
    Lines,
}

impl By {
    pub(super) fn of(files: &Files) -> Result<Self, ReplayError> {
        if fit_by_bytes(files)? {
            return Ok(Self::Bytes);
        }
        let (told, found) = (told_lines(files)?, found_lines(files)?);
        if told == found {
            return Ok(Self::Lines);
        }
        Err(ReplayError::LinesDiffer { name: files.raw.name(), found, told })
    }
}

fn fit_by_bytes(files: &Files) -> Result<bool, ReplayError> {
    let mut pairs = Pairs::open(files, By::Bytes)?;
    loop {
        match pairs.next() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(true),
            Err(ReplayError::Changed { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn told_lines(files: &Files) -> Result<u64, ReplayError> {
    let mut outcomes = Outcomes::new(files.outcomes.open()?);
    let mut told: u64 = 0;
    while let Some(outcome) = outcomes.next()? {
        told = told.saturating_add(outcome.all_lines());
    }
    Ok(told)
}

fn found_lines(files: &Files) -> Result<u64, ReplayError> {
    let mut raw = Raw::new(files.raw.open()?);
    while raw.skip_line()? {}
    Ok(raw.line)
}

/// An outcome, and where its records stand in `lines.raw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) outcome: Outcome,
    /// Where the outcome stands in `outcome.ndjson`: there, or behind blank lines.
    pub(super) outcome_at: u64,
    pub(super) bytes: Range<u64>,
    /// Physical lines, from 0.
    pub(super) lines: Range<u64>,
    /// Where the last record begins.
    pub(super) last_byte: u64,
}

/// Walks through both files of a quarantine side by side.
pub(super) struct Pairs {
    outcomes: Outcomes,
    raw: Raw,
    by: By,
}

impl Pairs {
    pub(super) fn open(files: &Files, by: By) -> Result<Self, ReplayError> {
        Ok(Self { outcomes: Outcomes::new(files.outcomes.open()?), raw: Raw::new(files.raw.open()?), by })
    }

    /// The next pair; [`ReplayError::Changed`] if the files do not fit.
    pub(super) fn next(&mut self) -> Result<Option<Pair>, ReplayError> {
        let outcome_at = self.outcomes.byte();
        let Some(outcome) = self.outcomes.next()? else {
            return if self.raw.skip_line()? { Err(self.raw.file.changed()) } else { Ok(None) };
        };
        let (byte, line) = (self.raw.byte, self.raw.line);
        match self.by {
            By::Bytes => self.raw.skip_bytes(outcome.length.saturating_add(1))?,
            By::Lines => self.raw.skip_lines(outcome.lines)?,
        }
        let first_lines = self.raw.line - line;
        if first_lines != outcome.lines {
            return Err(self.raw.file.changed());
        }
        let mut last_byte = byte;
        if outcome.count > 1 {
            self.raw.skip_lines((outcome.count - 2).saturating_mul(outcome.lines))?;
            last_byte = self.raw.byte;
            self.raw.skip_lines(outcome.lines)?;
        }
        let (bytes, lines) = (byte..self.raw.byte, line..self.raw.line);
        Ok(Some(Pair { outcome, outcome_at, bytes, lines, last_byte }))
    }
}

/// `lines.raw`, of which only the ends of lines are looked at.
struct Raw {
    file: Watched,
    byte: u64,
    line: u64,
}

impl Raw {
    fn new(file: Watched) -> Self {
        Self { file, byte: 0, line: 0 }
    }

    /// Passes over a line, which may lack its end if it is the last; `false` at the end of the file.
    fn skip_line(&mut self) -> Result<bool, ReplayError> {
        let skipped = self.file.reader.skip_until(b'\n');
        let bytes = skipped.map_err(|error| self.file.unreadable(error))?;
        self.byte += bytes as u64;
        self.line += u64::from(bytes > 0);
        Ok(bytes > 0)
    }

    fn skip_lines(&mut self, lines: u64) -> Result<(), ReplayError> {
        for _ in 0..lines {
            if !self.skip_line()? {
                return Err(self.file.changed());
            }
        }
        Ok(())
    }

    /// Passes over whole lines that have so many bytes together.
    fn skip_bytes(&mut self, bytes: u64) -> Result<(), ReplayError> {
        let end = self.byte.saturating_add(bytes);
        while self.byte < end {
            if !self.skip_line()? {
                return Err(self.file.changed());
            }
        }
        if self.byte == end { Ok(()) } else { Err(self.file.changed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Quarantine, one};
    use super::*;

    fn by(quarantine: &Quarantine) -> Result<By, ReplayError> {
        By::of(&quarantine.files())
    }

    /// Two records of one line and one of two lines between them.
    fn three() -> Quarantine {
        let mut quarantine = Quarantine::new();
        quarantine.add(&one("a", 3), &["broken"]);
        quarantine.add(&Outcome { line: 8, lines: 2, ..one("a", 8) }, &["{\n}"]);
        quarantine.add(&one("b", 1), &["worse"]);
        quarantine
    }

    #[test]
    fn untouched_files_fit_by_bytes() {
        let quarantine = three();
        assert_eq!(by(&quarantine).expect("fits"), By::Bytes);
        let mut pairs = Pairs::open(&quarantine.files(), By::Bytes).expect("opened");
        let mut pair = || pairs.next().expect("fits").map(|pair| (pair.bytes, pair.lines));
        assert_eq!([pair(), pair()], [Some((0..7, 0..1)), Some((7..11, 1..3))]);
        assert_eq!([pair(), pair()], [Some((11..17, 3..4)), None]);
    }

    #[test]
    fn mended_files_fit_by_lines() {
        for raw in
            ["{}\n{\n\"a\":1}\nworse\n", "\n\n\n\n", "broken\n{\n}\nmuch worse", "worse\n{\n}\nbroken\n"]
        {
            let mut quarantine = three();
            quarantine.raw = raw.into();
            assert_eq!(by(&quarantine).expect("fits"), By::Lines, "{raw:?}");
        }
    }

    #[test]
    fn other_numbers_of_lines_are_refused_with_both() {
        for (raw, lines) in
            [("", 0), ("broken\n{\n}\n", 3), ("broken\n{\n}\nworse\n\n", 5), ("a\nb\nc\nd\ne", 5)]
        {
            let mut quarantine = three();
            quarantine.raw = raw.into();
            let refused = by(&quarantine).expect_err("does not fit");
            let ReplayError::LinesDiffer { found, told, .. } = refused else { panic!("{refused:?}") };
            assert_eq!((found, told), (lines, 4), "{raw:?}");
        }
    }

    #[test]
    fn records_of_other_lines_than_told_are_not_what_they_were() {
        let mut quarantine = Quarantine::new();
        quarantine.add(&Outcome { lines: 2, ..one("a", 3) }, &["{ }"]);
        assert!(matches!(by(&quarantine), Err(ReplayError::LinesDiffer { found: 1, told: 2, .. })));
        quarantine.add(&one("a", 8), &["{\n}"]);
        assert_eq!(by(&quarantine).expect("fits"), By::Lines);
    }

    #[test]
    fn groups_take_the_lines_of_all_their_records() {
        let mut quarantine = Quarantine::new();
        let group = Outcome { count: 3, last_line: 9, last_byte: 80, ..one("a", 5) };
        quarantine.add(&group, &["one", "or two", "three"]);
        quarantine.add(&one("a", 11), &["four"]);
        assert_eq!(by(&quarantine).expect("fits"), By::Bytes);
        let mut pairs = Pairs::open(&quarantine.files(), By::Bytes).expect("opened");
        let pair = pairs.next().expect("fits").expect("a pair");
        assert_eq!((pair.bytes, pair.last_byte, pair.lines), (0..17, 11, 0..3));
        // Only the length of the first record of a group is known.
        quarantine.raw = b"one\nor 2\nthree\nfour\n".to_vec();
        assert_eq!(by(&quarantine).expect("fits"), By::Bytes);
        quarantine.raw = b"on\nor two\nthree\nfour\n".to_vec();
        assert_eq!(by(&quarantine).expect("fits"), By::Lines);
    }

    #[test]
    fn a_foreign_outcome_is_named_by_its_line() {
        let mut quarantine = three();
        quarantine.outcomes.extend_from_slice(b"\n \r\n{\"resourceType\":\"OperationOutcome\"}\n");
        let refused = by(&quarantine).expect_err("foreign");
        assert!(matches!(refused, ReplayError::Foreign { line: 6, .. }), "{refused:?}");
    }

    #[test]
    fn numbers_beyond_all_measure_do_no_harm() {
        let mut quarantine = Quarantine::new();
        let huge = Outcome { count: u64::MAX, last_line: 9, last_byte: 80, length: u64::MAX, ..one("a", 5) };
        quarantine.add(&huge, &["one"]);
        quarantine.add(&huge, &["two"]);
        let refused = by(&quarantine).expect_err("does not fit");
        assert!(matches!(refused, ReplayError::LinesDiffer { found: 2, told: u64::MAX, .. }), "{refused:?}");
    }

    #[test]
    fn a_file_that_was_changed_since_is_refused() {
        let quarantine = three();
        let files = quarantine.files();
        std::fs::write(files.raw.path(), "another\n").expect("written");
        let refused = Pairs::open(&files, By::Bytes).err().expect("changed");
        assert!(matches!(refused, ReplayError::Changed { .. }), "{refused:?}");
    }
}
