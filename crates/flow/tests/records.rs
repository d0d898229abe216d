//! Sources of which it is known how many lines each record has: every record is one whatever stands in it, and what comes
//! out does not depend on how the bytes arrive, nor on how much is held.

use std::error::Error;
use std::io::{self, Read};

use fhirline_core::{Batch, Identity, LongLine, Origin, Position, SourceId, Verdict};
use fhirline_flow::{Cancel, Entry, EqualRecords, FlowOptions, Outcome, RecordLines, RunError, run};
use fhirline_line_split::ChunkSize;
use fhirline_route::{Grouping, Router};
use fhirline_sink::{Offload, Sink, SinkError};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Text(Vec<u8>);

impl Origin for Text {
    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity {
            name: "text".into(),
            stored_bytes: Some(self.0.len() as u64),
            modified: None,
            tag: None,
        })
    }

    fn name(&self) -> &str {
        "text"
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(self.0[offset as usize..].to_vec())))
    }
}

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

/// A rejected record: byte, line, lines, fault, and its bytes.
type Reject = (u64, u64, u64, &'static str, String);

/// Keeps everything, in order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    records: Vec<String>,
    rejects: Vec<Reject>,
    /// Where the next chunk begins.
    end: Option<Position>,
}

impl Kept {
    /// A chunk begins where the one before ended, or a later run would go on somewhere else.
    fn follow(&mut self, at: Position, end: Position) {
        assert_eq!(at, self.end.unwrap_or(Position::start_of(at.source)));
        self.end = Some(end);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Sink for Kept {
    fn begin_source(&mut self, _source: SourceId, _name: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _offload: &dyn Offload) -> Result<(), SinkError> {
        self.follow(batch.at, batch.end);
        for run in &batch.runs {
            self.records.extend(batch.records(run).map(|record| text(record.bytes)));
        }
        self.rejects.extend(batch.rejects().map(|reject| {
            let (at, lines) = (reject.position, u64::from(reject.lines));
            (at.byte, at.line, lines, reject.why.fault.code(), text(reject.bytes))
        }));
        Ok(())
    }

    fn commit_long(&mut self, line: &mut LongLine, _offload: &dyn Offload) -> Result<(), SinkError> {
        self.follow(line.at, line.end);
        let mut bytes = vec![0; line.length as usize];
        let mut from = 0;
        while from < bytes.len() {
            from += line.spool.read_at(from as u64, &mut bytes[from..]).expect("in memory");
        }
        match &line.verdict {
            Verdict::Delivered { record, .. } => {
                self.records.push(text(&bytes[record.start as usize..record.end as usize]));
            }
            Verdict::Rejected(why) => {
                let (at, code) = (line.at, why.fault.code());
                self.rejects.push((at.byte, at.line, line.lines, code, text(&bytes)));
            }
            _ => {}
        }
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

fn lines_of(record: &str) -> u64 {
    1 + record.matches('\n').count() as u64
}

/// The records, each followed by LF but perhaps the last.
fn source(records: &[&str], ends: bool) -> Entry {
    let told: Vec<_> =
        records.iter().map(|record| EqualRecords { records: 1, lines: lines_of(record) }).collect();
    let mut bytes = records.join("\n").into_bytes();
    if ends && !records.is_empty() {
        bytes.push(b'\n');
    }
    Entry::Records { origin: Box::new(Text(bytes)), lines: Box::new(Told(told.into_iter())) }
}

fn ran(records: &[&str], ends: bool, options: &FlowOptions) -> (Kept, Outcome) {
    let mut kept = Kept::default();
    let router = Router { grouping: Grouping::Together, ..Router::default() };
    let entries = vec![source(records, ends)];
    let outcome = run(entries, &router, &mut kept, options, &Cancel::new(), &mut |_| {}).expect("ran");
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    (kept, outcome)
}

fn whole(records: &[&str]) -> (Kept, Outcome) {
    ran(records, true, &FlowOptions::default())
}

/// What stands in quarantines, mended or not.
const RECORDS: [&str; 16] = [
    "{\"resourceType\":\"Goal\",\"id\":\"1\"}",
    "{\n  \"resourceType\" : \"Goal\",\r\n  \"text\" : \"two  spaces\", \"value\" : [1.00, 1E2]\n}",
    " \n\t{\"resourceType\":\"Goal\"}\r\n \n",
    " {\"resourceType\":\"Goal\"} \r",
    "",
    " \r",
    "\n\n",
    " \n\t\r\n\r",
    "this is no record",
    "neither is this\r",
    "{\n  \"resourceType\": Goal\n}",
    "{\n  \"id\": \"1\"\n},\r\n",
    "{}\n{}",
    "\u{feff}{\"resourceType\":\"Goal\"}",
    "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[{\"resource\":{\"resourceType\":\"Goal\"}},{\"resource\":{}}]}",
    "{\n \"resourceType\": \"Bundle\",\n \"type\": \"collection\",\n \"entry\": [\n  {\"resource\":\n   {\"id\": 1}\n  },\n  {\"resource\": {\n   \"resourceType\": \"Goal\"\n  }}\n ]\n}\n",
];

proptest! {
    #[test]
    fn how_bytes_are_read_and_held_does_not_matter(
        records in prop::collection::vec(prop::sample::select(&RECORDS[..]), 1..20),
        ends in any::<bool>(),
        threads in 1_usize..4,
        held_line_bytes in 1_usize..200,
        max_bytes in 1_usize..200,
        max_lines in 1_usize..5,
    ) {
        // Of an empty line only its end can be seen.
        let ends = ends || records.last().is_some_and(|last| last.is_empty() || last.ends_with('\n'));
        let chunk_size = ChunkSize { max_bytes, max_lines };
        let options = FlowOptions { threads, held_line_bytes, chunk_size, ..FlowOptions::default() };
        let (kept, outcome) = ran(&records, ends, &options);
        let (expected, usual) = whole(&records);
        prop_assert_eq!((kept.records, kept.rejects), (expected.records, expected.rejects));
        let (mut ledger, mut usual) = (outcome.totals.ledger, usual.totals.ledger);
        if !ends {
            usual.bytes.read -= 1;
            usual.bytes.terminators -= 1;
        }
        // White space around a record counts as such; within one that comes on one line, its line ends do not.
        for ledger in [&mut ledger, &mut usual] {
            ledger.bytes.white_space += std::mem::take(&mut ledger.bytes.terminators);
        }
        prop_assert_eq!(ledger, usual);
    }
}

#[test]
fn a_record_is_one_whatever_stands_in_it() {
    let (kept, outcome) = whole(&RECORDS);
    let goal = "{\"resourceType\":\"Goal\"}";
    let pretty = "{\"resourceType\":\"Goal\",\"text\":\"two  spaces\",\"value\":[1.00,1E2]}";
    assert_eq!(kept.records, [RECORDS[0], pretty, goal, goal, goal, goal]);
    let (mut line, mut byte, mut expected) = (1, 0, Vec::new());
    for record in RECORDS {
        if RECORDS[8..14].contains(&record) {
            expected.push((byte, line, lines_of(record), record));
        }
        line += lines_of(record);
        byte += record.len() as u64 + 1;
    }
    let rejects =
        kept.rejects.iter().map(|(byte, line, lines, _, text)| (*byte, *line, *lines, text.as_str()));
    assert_eq!(rejects.take(6).collect::<Vec<_>>(), expected);
    let faults: Vec<_> = kept.rejects.iter().map(|reject| reject.3).collect();
    let broken = ["not-json", "not-json", "not-json", "several-values", "several-values", "byte-order-mark"];
    assert_eq!(faults, [&broken[..], &["no-resource-type"; 2]].concat());
    assert_eq!(outcome.totals.ledger.blank_lines, 1 + 1 + 3 + 3);
    assert_eq!(outcome.totals.ledger.containers.bundles, 2);
}

#[test]
fn what_a_bundle_rejects_is_told_where_it_stands_in_the_source() {
    let before = "this is no record";
    let (kept, _) = whole(&[before, RECORDS[15]]);
    let offset = RECORDS[15].find("{\"id\"").expect("there") as u64;
    let at = before.len() as u64 + 1 + offset;
    assert_eq!(kept.rejects[1], (at, 2 + 5, 1, "no-resource-type", "{\"id\": 1}".to_owned()));
}

#[test]
fn bundles_may_be_kept() {
    let options = FlowOptions { keep_bundles: true, ..FlowOptions::default() };
    let (kept, _) = ran(&RECORDS[14..], true, &options);
    assert_eq!((kept.records.len(), kept.rejects.len()), (2, 0));
    assert_eq!(kept.records[0], RECORDS[14]);
}

#[test]
fn lines_that_do_not_fit_stop_the_run() {
    for lines in [vec![1], vec![3], vec![1, 2], vec![1, 1, 1]] {
        let told: Vec<_> = lines.iter().map(|&lines| EqualRecords { records: 1, lines }).collect();
        let lines = Box::new(Told(told.into_iter()));
        let entries = vec![Entry::Records { origin: Box::new(Text(b"a\nb\n".to_vec())), lines }];
        let (mut kept, options) = (Kept::default(), FlowOptions::default());
        let stopped = run(entries, &Router::default(), &mut kept, &options, &Cancel::new(), &mut |_| {});
        let error = stopped.expect_err("does not fit");
        assert!(matches!(&error, RunError::Places(why) if why.to_string() == "misfit"), "{error:?}");
    }
}
