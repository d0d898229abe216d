//! Bundles in a store: what becomes of batches, of records that wait in spools, and of sources that are taken back.

use std::sync::Arc;

use fhirline_bundle::{Form, Method, OnDuplicate, WriteOptions, WriteTally};
use fhirline_core::{
    Batch, Chunk, Fragment, Lease, Lines, LongLine, MemorySpools, Position, Receipt, SourceId, SourceRole,
    Spools, Store,
};
use fhirline_fetch::MemoryStore;
use fhirline_route::{Grouping, Router, Scratch};
use fhirline_sink::{BundleNames, BundleOptions, BundleSink, Inline, Sink, SinkError};
use proptest::prelude::*;

/// A line of a source, held or in a spool.
#[derive(Clone, Debug)]
struct Line {
    text: String,
    long: bool,
}

fn held(text: &str) -> Line {
    Line { text: text.to_owned(), long: false }
}

struct Run {
    store: MemoryStore,
    sink: BundleSink,
    router: Router,
}

/// What a run left.
#[derive(Debug, PartialEq)]
struct Left {
    files: Vec<(String, Vec<u8>)>,
    receipts: Vec<Receipt>,
    tally: WriteTally,
}

impl Run {
    fn new(write: WriteOptions) -> Self {
        let store = MemoryStore::new();
        let (names, quarantine) = (BundleNames::behind_first("X"), "_X.quarantine".to_owned());
        let options = BundleOptions { write, names, quarantine, durable: true };
        let sink = BundleSink::new(Arc::new(store.clone()), options).expect("in memory");
        Self { store, sink, router: Router { grouping: Grouping::Together, ..Router::default() } }
    }

    fn source(&mut self, number: usize, lines: &[Line]) -> Result<(), SinkError> {
        let id = SourceId(number as u32);
        self.sink.begin_source(id, &format!("source {number}"))?;
        let mut at = Position::start_of(id);
        for line in lines {
            let bytes = format!("{}\n", line.text).into_bytes();
            let end = at.advanced(bytes.len() as u64, 1);
            if line.long {
                self.sink.commit_long(&mut self.long(line, at, end), &Inline)?;
            } else {
                let mut batch = self.batch(bytes, at);
                self.sink.commit(&mut batch, &Inline)?;
            }
            at = end;
        }
        Ok(())
    }

    fn batch(&self, bytes: Vec<u8>, at: Position) -> Batch {
        let lines = Lines { at, ends: vec![bytes.len() as u32], bytes };
        let (role, lease) = (SourceRole::Data, Lease::free_of_charge());
        let chunk = Chunk { sequence: 0, role, content: lines.into(), lease };
        self.router.route(chunk, Batch::default(), &mut Scratch::default()).0
    }

    fn long(&self, line: &Line, at: Position, end: Position) -> LongLine {
        let mut spool = MemorySpools.create().expect("in memory");
        spool.append(line.text.as_bytes()).expect("in memory");
        let mut route = self.router.route_long(at, SourceRole::Data);
        let bytes = line.text.clone().into_bytes();
        let length = bytes.len() as u64;
        route.push(&Fragment { line_at: at, offset: 0, bytes, last: true, terminator_bytes: 1 });
        let routed = route.finish(&self.router, 1, u64::MAX);
        LongLine { at, end, length, lines: 1, verdict: routed.verdict, ledger: routed.ledger, spool }
    }

    fn finish(self) -> Left {
        let finished = self.sink.finish().expect("in memory");
        let receipts = finished.bundles().chain(finished.quarantine()).collect();
        let tally = *finished.tally();
        finished.seal().expect("in memory");
        Left { files: files(&self.store), receipts, tally }
    }
}

fn files(store: &MemoryStore) -> Vec<(String, Vec<u8>)> {
    let names = store.list().expect("in memory").into_iter();
    names.map(|name| (name.clone(), store.contents(&name).expect("it is there"))).collect()
}

fn line() -> impl Strategy<Value = Line> {
    let record = ("[1-5]", "Goal|Patient|goal", "[a-z]{0,40}").prop_map(|(id, resource_type, text)| {
        format!("{{\"resourceType\":\"{resource_type}\",\"text\":\"{text}\",\"id\":\"{id}\"}}")
    });
    let text = prop_oneof![
        5 => record,
        1 => Just("{\"resourceType\":\"Goal\"}".to_owned()),
        1 => Just("broken".to_owned()),
    ];
    (text, any::<bool>()).prop_map(|(text, long)| Line { text, long })
}

fn options() -> impl Strategy<Value = WriteOptions> {
    let form = prop::sample::select(vec![Form::Collection, Form::Batch(Method::Post)]);
    let policy = prop::sample::select(vec![OnDuplicate::Uuid, OnDuplicate::NewBundle]);
    let limits = (prop::option::of(1..8_u64), prop::option::of(200..1500_u64), 0..2000_u64);
    (form, policy, limits, any::<bool>()).prop_map(|(form, on_duplicate, limits, pretty)| WriteOptions {
        on_duplicate,
        max_entries: limits.0,
        max_bytes: limits.1,
        fingerprint_bytes: limits.2,
        pretty,
        ..WriteOptions::new(form)
    })
}

proptest! {
    /// With leave to go on, Bundles are what they would have been without the failed source, to the byte.
    #[test]
    fn a_failed_source_leaves_no_trace(
        sources in prop::collection::vec((prop::collection::vec(line(), 0..12), any::<bool>()), 0..5),
        options in options(),
    ) {
        let (mut run, mut good) = (Run::new(options.clone()), Run::new(options));
        for (number, (lines, fails)) in sources.iter().enumerate() {
            run.source(number, lines).expect("in memory");
            if *fails {
                run.sink.abandon_source().expect("in memory");
            } else {
                good.source(number, lines).expect("in memory");
            }
        }
        prop_assert_eq!(run.finish(), good.finish());
    }

    /// How a record is held changes nothing.
    #[test]
    fn a_spool_is_as_good_as_a_batch(lines in prop::collection::vec(line(), 0..20), options in options()) {
        let all = |long| -> Vec<Line> { lines.iter().map(|line| Line { long, ..line.clone() }).collect() };
        let (mut batches, mut spools) = (Run::new(options.clone()), Run::new(options));
        batches.source(0, &all(false)).expect("in memory");
        spools.source(0, &all(true)).expect("in memory");
        prop_assert_eq!(batches.finish(), spools.finish());
    }
}

#[test]
fn names_are_provisional_until_the_seal() {
    let mut run = Run::new(WriteOptions { max_entries: Some(1), ..WriteOptions::new(Form::Collection) });
    let names = |store: &MemoryStore| store.list().expect("in memory");
    assert_eq!(names(&run.store), ["X.json.partial"]);
    let goal = "{\"resourceType\":\"Goal\",\"id\":\"1\"}";
    run.source(0, &[held(goal), held("broken"), held(goal)]).expect("in memory");
    let finished = run.sink.finish().expect("in memory");
    let provisional = [
        "X.0002.json.partial",
        "X.json.partial",
        "_X.quarantine/lines.raw.partial",
        "_X.quarantine/outcome.ndjson.partial",
    ];
    assert_eq!(names(&run.store), provisional);
    let entries: Vec<u64> = finished.bundles().map(|bundle| bundle.records).collect();
    assert_eq!((entries, finished.quarantine().next().map(|raw| raw.records)), (vec![1, 1], Some(1)));
    finished.seal().expect("in memory");
    assert_eq!(names(&run.store), provisional.map(|name| name.trim_end_matches(".partial")));
}

#[test]
fn what_arrived_of_a_source_that_failed_stays() {
    let mut run = Run::new(WriteOptions::new(Form::Collection));
    run.source(0, &[held("{\"resourceType\":\"Goal\",\"id\":\"1\"}")]).expect("in memory");
    assert_eq!(run.store.contents("X.json.partial").map(|bytes| bytes.len()), Some(0));
    run.sink.fail_source(None).expect("in memory");
    let stays = run.store.contents("X.json.partial").expect("it is there");
    assert!(stays.ends_with(b"\"resource\":{\"resourceType\":\"Goal\",\"id\":\"1\"}}"));
}

#[test]
fn what_cannot_be_put_is_told_by_its_place() {
    let mut run = Run::new(WriteOptions::new(Form::Batch(Method::Put)));
    let good = "{\"resourceType\":\"Goal\",\"id\":\"1\"}";
    let error = run.source(0, &[held(good), held("{\"resourceType\":\"Goal\",\"id\":\"Secret!\"}")]);
    let error = error.expect_err("the id is not legal");
    let told =
        format!("cannot write the resource in source 0, line 2, byte {} into a Bundle", good.len() + 1);
    assert_eq!(error.to_string(), told);
    assert!(!format!("{error:?}").contains("Secret"));
}
