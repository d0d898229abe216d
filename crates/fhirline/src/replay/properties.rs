//! Quarantines of many kinds, mended or not: where each record is led back to, against where it really stood.

use fhirline_core::{Position, SourceId};
use fhirline_flow::RecordLines;
use proptest::collection::vec;
use proptest::prelude::*;

use super::outcomes::Outcome;
use super::pairs::{By, Files, Pairs};
use super::places::Cursor;
use super::segments::{Segment, Segments, Told};
use super::testing::{Quarantine, one};

/// Records that share an outcome.
#[derive(Clone, Debug)]
struct Group {
    source: usize,
    /// Physical lines of each record, and what stands on each of them.
    lines: u64,
    texts: Vec<String>,
    behind: Behind,
}

/// What stands behind each record in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    LineFeed,
    CarriageReturnLineFeed,
    BlankLine,
    /// A comma and a space: the next record begins on the same line.
    Comma,
}

impl Behind {
    fn bytes(self) -> u64 {
        if self == Self::LineFeed { 1 } else { 2 }
    }

    /// Line ends in it.
    fn lines(self) -> u64 {
        match self {
            Self::LineFeed | Self::CarriageReturnLineFeed => 1,
            Self::BlankLine => 2,
            Self::Comma => 0,
        }
    }
}

/// Where a record stands in the new run, and where it stood.
#[derive(Clone, Copy, Debug)]
struct Known {
    at: Position,
    line: u64,
    byte: u64,
    /// The first record of the same outcome.
    first: (u64, u64),
    /// Whether it is the first or the last.
    at_end: bool,
    lines: u64,
    behind: Behind,
}

impl Known {
    fn expected(&self, mended: bool) -> (u64, u64) {
        let knows_line = self.at_end || self.behind != Behind::BlankLine;
        let knows_byte = match self.behind {
            Behind::LineFeed => !mended,
            Behind::CarriageReturnLineFeed => !mended && self.lines == 1,
            Behind::BlankLine | Behind::Comma => false,
        };
        let line = if knows_line { self.line } else { self.first.0 };
        let byte = if self.at_end || knows_byte { self.byte } else { self.first.1 };
        (line, byte)
    }
}

#[derive(Default)]
struct Made {
    known: Vec<Known>,
    segments: Vec<String>,
    /// Where the next record stands in its segment.
    line: u64,
    byte: u64,
}

impl Made {
    fn add(&mut self, group: &Group, begins: u64, quarantine: &mut Quarantine) {
        let name = format!("source {}", group.source);
        if self.segments.last() != Some(&name) {
            self.segments.push(name.clone());
            (self.line, self.byte) = (1, 0);
        }
        let first = (begins, 100 * begins);
        let (mut line, mut byte) = first;
        let mut last = first;
        let records: Vec<String> =
            group.texts.iter().map(|text| vec![text.as_str(); group.lines as usize].join("\n")).collect();
        for (number, record) in records.iter().enumerate() {
            let source = SourceId(self.segments.len() as u32 - 1);
            let at = Position { source, line: self.line, byte: self.byte };
            let at_end = number == 0 || number + 1 == records.len();
            let (lines, behind) = (group.lines, group.behind);
            self.known.push(Known { at, line, byte, first, at_end, lines, behind });
            last = (line, byte);
            self.line += group.lines;
            self.byte += record.len() as u64 + 1;
            line += group.lines - 1 + behind.lines();
            byte += record.len() as u64 + behind.bytes();
        }
        let (count, lines) = (records.len() as u64, group.lines);
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let outcome = Outcome {
            byte: first.1,
            lines,
            count,
            last_line: last.0,
            last_byte: last.1,
            ..one(&name, begins)
        };
        quarantine.add(&outcome, &records);
    }
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let behind = prop::sample::select(vec![
        Behind::LineFeed,
        Behind::CarriageReturnLineFeed,
        Behind::BlankLine,
        Behind::Comma,
    ]);
    let group = (0_usize..3, 1_u64..4, vec("[a-z]{0,9}", 1..5), behind)
        .prop_map(|(source, lines, texts, behind)| Group { source, lines, texts, behind });
    vec(group, 1..12)
}

/// The lines of each record of a segment, as the run is told of them.
fn lines_of(segment: &Segment, files: &Files) -> Vec<u64> {
    let mut told = Told::new(segment, files.clone());
    let runs = std::iter::from_fn(|| told.next().expect("told"));
    runs.flat_map(|run| vec![run.lines; run.records as usize]).collect()
}

/// Every line is one byte longer than it was.
fn mend(raw: &mut Vec<u8>) {
    *raw = raw.split_inclusive(|byte| *byte == b'\n').flat_map(|line| [b"x", line].concat()).collect();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_record_is_led_back(
        groups in groups(),
        mended in any::<bool>(),
        asked in vec(any::<bool>(), 60),
    ) {
        let (mut quarantine, mut made) = (Quarantine::new(), Made::default());
        for (number, group) in groups.iter().enumerate() {
            made.add(group, 1 + 50 * number as u64, &mut quarantine);
        }
        if mended {
            mend(&mut quarantine.raw);
        }
        let files = quarantine.files();
        let by = By::of(&files).expect("fits");
        prop_assert_eq!(by, if mended { By::Lines } else { By::Bytes });

        let mut cursor = Cursor::new(files.clone(), by);
        for (known, _) in made.known.iter().zip(asked.iter().cycle()).filter(|(_, asked)| **asked) {
            let place = cursor.place(known.at).expect("fits");
            prop_assert_eq!(place.source, known.at.source);
            prop_assert_eq!((place.line, place.byte), known.expected(mended), "{:?}", known);
        }

        let mut segments = Segments::new(Pairs::open(&files, by).expect("opened"));
        let (mut names, mut end, mut told) = (Vec::new(), 0, Vec::new());
        while let Some(segment) = segments.next().expect("fits") {
            prop_assert_eq!(segment.bytes.start, end);
            end = segment.bytes.end;
            told.extend(lines_of(&segment, &files));
            names.push(segment.source);
        }
        prop_assert_eq!(names, made.segments);
        prop_assert_eq!(end, files.raw.bytes());
        let lines = groups.iter().flat_map(|group| vec![group.lines; group.texts.len()]);
        prop_assert_eq!(told, lines.collect::<Vec<_>>());
    }
}
