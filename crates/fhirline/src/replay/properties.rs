//! Quarantines of many kinds, mended or not: where each record is led back to, against where it really stood.

use fhirline_core::{Position, SourceId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::outcomes::Outcome;
use super::pairs::{By, Pairs};
use super::places::Cursor;
use super::segments::Segments;
use super::testing::{Quarantine, one};

/// Records that share an outcome.
#[derive(Clone, Debug)]
struct Group {
    source: usize,
    /// Physical lines of each record, and what stands on each of them.
    lines: u64,
    texts: Vec<String>,
    /// Bytes of each line end, and blank lines behind each record.
    line_end: u64,
    blank_lines: u64,
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
    consecutive: bool,
}

impl Known {
    fn expected(&self, mended: bool) -> (u64, u64) {
        let line = if self.at_end || self.consecutive { self.line } else { self.first.0 };
        let byte = if self.at_end || (self.consecutive && !mended) { self.byte } else { self.first.1 };
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
            self.known.push(Known { at, line, byte, first, at_end, consecutive: group.blank_lines == 0 });
            last = (line, byte);
            self.line += group.lines;
            self.byte += record.len() as u64 + 1;
            line += group.lines + group.blank_lines;
            byte += record.len() as u64 + group.line_end + group.blank_lines;
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
    let group = (0_usize..3, 1_u64..3, vec("[a-z]{0,9}", 1..5), 1_u64..3, 0_u64..2).prop_map(
        |(source, lines, texts, line_end, blank_lines)| Group { source, lines, texts, line_end, blank_lines },
    );
    vec(group, 1..12)
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
        let (mut names, mut end) = (Vec::new(), 0);
        while let Some(segment) = segments.next().expect("fits") {
            prop_assert_eq!(segment.bytes.start, end);
            end = segment.bytes.end;
            names.push(segment.source);
        }
        prop_assert_eq!(names, made.segments);
        prop_assert_eq!(end, files.raw.bytes());
    }
}
