//! Sources that a manifest lists beside its data: each sound line goes to the sidecar of its source as it is, whatever it
//! holds, and all bytes are accounted for, however they arrive.

use std::collections::BTreeMap;
use std::io::{self, Read};

use fhirline_core::{Batch, Identity, LongLine, Origin, ResourceType, SourceId, SourceRole, Verdict};
use fhirline_flow::{Cancel, Entry, FlowOptions, Outcome, run};
use fhirline_line_split::ChunkSize;
use fhirline_route::{IdRule, Router, Selection};
use fhirline_sink::{Offload, Sink, SinkError};
use proptest::prelude::*;
use serde_json::Value;

const ROLES: [SourceRole; 4] =
    [SourceRole::Data, SourceRole::Organized, SourceRole::Deleted, SourceRole::Errors];

const HEADER: &str = r#"{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/1"}}]}"#;
const DELETION: &str = r#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Goal/1"}}]}"#;
const OUTCOME: &str =
    r#"{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}"#;

/// Gives its bytes in steps of a given length.
#[derive(Clone, Debug)]
struct Text {
    bytes: Vec<u8>,
    step: usize,
}

impl Origin for Text {
    fn identity(&self) -> io::Result<Identity> {
        let stored_bytes = Some(self.bytes.len() as u64);
        Ok(Identity { name: "text".into(), stored_bytes, modified: None, tag: None })
    }

    fn name(&self) -> &str {
        "text"
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Steps { rest: io::Cursor::new(self.bytes[offset as usize..].to_vec()), step: self.step }))
    }
}

struct Steps {
    rest: io::Cursor<Vec<u8>>,
    step: usize,
}

impl Read for Steps {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(self.step);
        self.rest.read(&mut into[..length])
    }
}

/// Keeps everything, by destination; what is rejected under `rejected`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kept(BTreeMap<String, Vec<String>>);

impl Kept {
    fn push(&mut self, destination: &str, record: &[u8]) {
        let record = String::from_utf8_lossy(record).into_owned();
        self.0.entry(destination.to_owned()).or_default().push(record);
    }
}

impl Sink for Kept {
    fn begin_source(&mut self, _source: SourceId, _name: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _offload: &dyn Offload) -> Result<(), SinkError> {
        for run in &batch.runs {
            batch.records(run).for_each(|record| self.push(run.destination.name(), record.bytes));
        }
        batch.rejects().for_each(|reject| self.push("rejected", reject.bytes));
        Ok(())
    }

    fn commit_long(&mut self, line: &mut LongLine, _offload: &dyn Offload) -> Result<(), SinkError> {
        let mut bytes = vec![0; line.length as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            let count = line.spool.read_at(filled as u64, &mut bytes[filled..]).expect("in memory");
            assert!(count > 0, "the spool holds the line");
            filled += count;
        }
        match &line.verdict {
            Verdict::Delivered { destination, record } => {
                self.push(destination.name(), &bytes[record.start as usize..record.end as usize]);
            }
            Verdict::Rejected(_) => self.push("rejected", &bytes),
            Verdict::Blank | Verdict::Filtered { .. } => {}
        }
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Way {
    step: usize,
    held: usize,
    chunk: usize,
    threads: usize,
}

const USUAL: Way = Way { step: usize::MAX, held: 1 << 20, chunk: 1 << 20, threads: 1 };

fn ran(sources: &[(SourceRole, String)], way: &Way, router: &Router) -> (Outcome, Kept) {
    let entry = |(role, text): &(SourceRole, String)| {
        Entry::in_role(Text { bytes: text.clone().into_bytes(), step: way.step }, *role)
    };
    let options = FlowOptions {
        threads: way.threads,
        held_line_bytes: way.held,
        chunk_size: ChunkSize { max_bytes: way.chunk, ..ChunkSize::default() },
        ..FlowOptions::default()
    };
    let mut kept = Kept::default();
    let entries: Vec<_> = sources.iter().map(entry).collect();
    let outcome = run(entries, router, &mut kept, &options, &Cancel::new(), &mut |_| {}).expect("a run");
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    (outcome, kept)
}

/// What becomes of a line, as the rules say; nothing of a blank one.
fn wanted(role: SourceRole, line: &str) -> Option<String> {
    let line = line.trim_matches([' ', '\t', '\r']);
    if line.is_empty() {
        return None;
    }
    let value: Result<Value, _> = serde_json::from_str(line);
    let name = value.as_ref().ok().and_then(|value| value["resourceType"].as_str());
    let (Ok(value), Some(name)) = (&value, name) else { return Some("rejected".to_owned()) };
    let is_header = |parameter: &Value| parameter["name"] == "header";
    let is_header = value["parameter"].as_array().is_some_and(|list| list.iter().any(is_header));
    Some(match role {
        SourceRole::Deleted => "_deleted".to_owned(),
        SourceRole::Errors => "_errors".to_owned(),
        SourceRole::Organized if is_header && name == "Parameters" => "_headers".to_owned(),
        SourceRole::Data | SourceRole::Organized => name.to_owned(),
    })
}

fn check(sources: &[(SourceRole, String)], way: &Way) -> Result<(), TestCaseError> {
    let mut all = Kept::default();
    for (role, text) in sources {
        for line in text.split_terminator('\n') {
            let sound = wanted(*role, line);
            let bytes = if sound.as_deref() == Some("rejected") {
                line.strip_suffix('\r').unwrap_or(line)
            } else {
                line.trim_matches([' ', '\t', '\r'])
            };
            sound.iter().for_each(|destination| all.push(destination, bytes.as_bytes()));
        }
    }
    let (outcome, kept) = ran(sources, way, &Router::default());
    prop_assert_eq!(&kept, &all);
    let count = |name: &str| all.0.get(name).map_or(0, Vec::len) as u64;
    let ledger = &outcome.totals.ledger;
    prop_assert_eq!(ledger.check(), Ok(()));
    let beside = [ledger.sidecars.deleted, ledger.sidecars.errors, ledger.sidecars.headers];
    prop_assert_eq!(beside, ["_deleted", "_errors", "_headers"].map(count));
    let lines: usize = all.0.values().map(Vec::len).sum();
    prop_assert_eq!(ledger.records.read, lines as u64 - beside.iter().sum::<u64>());
    prop_assert_eq!(ledger.records.quarantined, count("rejected"));
    let sidecars = all.0.iter().filter(|(name, _)| name.starts_with('_'));
    let bytes: usize = sidecars.flat_map(|(_, lines)| lines).map(String::len).sum();
    prop_assert_eq!(ledger.bytes.sidecars, bytes as u64);
    prop_assert!(outcome.totals.types.keys().all(|destination| !destination.is_sidecar()));
    Ok(())
}

fn sources() -> impl Strategy<Value = Vec<(SourceRole, String)>> {
    let long = format!(r#"{{"resourceType":"Binary","data":"{}"}}"#, "x".repeat(300));
    let line = prop::sample::select(vec![
        HEADER.to_owned(),
        format!(" \t{HEADER} "),
        HEADER.replace("header", "heading"),
        HEADER.replace("Parameters", "Basic"),
        OUTCOME.to_owned(),
        r#"{"id":"1","resourceType":"Patient"}"#.to_owned(),
        long,
        "{}".to_owned(),
        r#"{"resourceType":"Goal""#.to_owned(),
        "not JSON".to_owned(),
        String::new(),
        " \t".to_owned(),
    ]);
    let ends = prop::sample::select(vec!["\n", "\r\n"]);
    // Where lines are data Bundles would be opened, which is another story.
    let bundles = prop::bool::weighted(0.2);
    let lines = prop::collection::vec((line, ends, bundles), 0..12);
    let source = (prop::sample::select(&ROLES), lines).prop_map(|(role, lines)| {
        let text = lines.into_iter().map(|(line, end, bundle)| {
            let line = if bundle && role.sidecar().is_some() { DELETION.to_owned() } else { line };
            line + end
        });
        // The first line decides what a source holds.
        (role, format!("{OUTCOME}\n{}", text.collect::<String>()))
    });
    prop::collection::vec(source, 1..4)
}

fn ways() -> impl Strategy<Value = Way> {
    (1usize..200, prop::sample::select(vec![60, 200, 1 << 20]), 1usize..2000, 1usize..4)
        .prop_map(|(step, held, chunk, threads)| Way { step, held, chunk, threads })
}

proptest! {
    #[test]
    fn every_line_goes_where_its_source_says(sources in sources(), way in ways()) {
        check(&sources, &way)?;
    }
}

#[test]
fn deletions_are_kept_as_they_are_however_they_are_written() {
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<Value>(DELETION).expect("JSON")).expect("JSON");
    let compact = serde_json::from_str::<Value>(DELETION).expect("JSON").to_string();
    for (text, lines) in [
        (format!("{DELETION}\n{DELETION}\n"), vec![DELETION, DELETION]),
        (pretty.clone(), vec![&*compact]),
        (format!("{pretty}\n{pretty}"), vec![&*compact, &*compact]),
        (format!("[{DELETION},{DELETION}]"), vec![DELETION, DELETION]),
    ] {
        for held in [60, 1 << 20] {
            let sources = [(SourceRole::Deleted, text.clone())];
            let (outcome, kept) = ran(&sources, &Way { held, ..USUAL }, &Router::default());
            let ledger = &outcome.totals.ledger;
            assert_eq!((ledger.sidecars.deleted, ledger.records.read), (lines.len() as u64, 0), "{text}");
            assert_eq!(ledger.containers.bundles, 0, "{text}");
            assert_eq!(
                kept.0,
                BTreeMap::from([(
                    "_deleted".to_owned(),
                    lines.iter().map(|line| (*line).to_owned()).collect()
                )])
            );
        }
    }
}

#[test]
fn what_is_no_data_is_not_chosen_by_type_nor_judged_by_its_id() {
    let only = ["Goal"].iter().filter_map(|name| ResourceType::new(name)).collect();
    let router = Router {
        selection: Selection { only, ..Selection::default() },
        ids: IdRule::Legal,
        ..Router::default()
    };
    let text = |line: &str| format!("{line}\n");
    let sources = [
        (SourceRole::Organized, text(HEADER)),
        (SourceRole::Deleted, text(DELETION)),
        (SourceRole::Errors, text(OUTCOME)),
        (SourceRole::Data, text(OUTCOME)),
    ];
    let (outcome, kept) = ran(&sources, &USUAL, &router);
    let names: Vec<_> = kept.0.keys().map(String::as_str).collect();
    assert_eq!(names, ["_deleted", "_errors", "_headers", "rejected"]);
    assert_eq!(outcome.totals.ledger.records.quarantined, 1);
}
