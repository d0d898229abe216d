use std::io::Read;
use std::sync::{Arc, Mutex};

use fhirline::sample::Sample;
use fhirline::sink::{Batch, LongLine, Offload, Sink, SinkError, SourceId, resources, with_long_resource};
use fhirline::{Cancel, ExitStatus, Filter, Job, JobError, Origin, Output, Resource, RunError, SinkJob};

use crate::support::{Counted, WITH_REJECTS, export};

/// A row: its source, where it stood, its type and its bytes.
type Row = (u32, u64, String, Vec<u8>);

/// What outlives a run.
#[derive(Clone, Debug, Default)]
struct Durable {
    rows: Vec<Row>,
    noted: Option<Vec<u8>>,
    checkpoints: usize,
}

/// A table in whose transactions rows and checkpoints go together. After so many commits somebody cancels the run.
struct Table {
    durable: Arc<Mutex<Durable>>,
    open: Vec<Row>,
    source: u32,
    commits: usize,
    stop: Option<(usize, Cancel)>,
}

impl Table {
    fn over(durable: &Arc<Mutex<Durable>>) -> Self {
        Self { durable: Arc::clone(durable), open: Vec::new(), source: 0, commits: 0, stop: None }
    }

    fn count(&mut self) {
        self.commits += 1;
        if let Some((after, cancel)) = &self.stop
            && self.commits > *after
        {
            cancel.cancel();
        }
    }
}

impl Sink for Table {
    fn noted(&mut self) -> Result<Option<Vec<u8>>, SinkError> {
        Ok(self.durable.lock().expect("nobody fell").noted.clone())
    }

    fn begin_source(&mut self, source: SourceId, _name: &str) -> Result<(), SinkError> {
        self.source = source.0;
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _: &dyn Offload) -> Result<(), SinkError> {
        for resource in resources(batch) {
            let bytes = resource.bytes().expect("held").to_vec();
            let position = resource.position();
            self.open.push((position.source.0, position.byte, resource.destination().name().into(), bytes));
        }
        self.count();
        Ok(())
    }

    fn commit_long(&mut self, line: &mut LongLine, _: &dyn Offload) -> Result<(), SinkError> {
        let at = line.at;
        if let Some((destination, mut reader)) = line.delivered() {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map_err(SinkError::own)?;
            self.open.push((at.source.0, at.byte, destination.name().into(), bytes));
        }
        self.count();
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        Err(SinkError::own("nothing is abandoned here"))
    }

    fn checkpoint(&mut self, progress: &[u8], _sync: bool) -> Result<(), SinkError> {
        let mut durable = self.durable.lock().expect("nobody fell");
        durable.rows.append(&mut self.open);
        durable.noted = Some(progress.to_vec());
        durable.checkpoints += 1;
        Ok(())
    }

    fn complete(&mut self, progress: &[u8]) -> Result<(), SinkError> {
        self.checkpoint(progress, true)
    }
}

fn rows_of(durable: &Arc<Mutex<Durable>>) -> Vec<Row> {
    durable.lock().expect("nobody fell").rows.clone()
}

fn go(source: &Counted, sink: &mut Table, cancel: &Cancel) -> Result<fhirline::Report, JobError> {
    let to = SinkJob::new().checkpoint_bytes(Some(1 << 20));
    source.job().cancelled_by(cancel.clone()).write_to(sink, &to, &mut |_| {})
}

#[test]
fn a_run_that_is_stopped_anywhere_leaves_the_rows_of_an_unbroken_one() {
    // Without Bundles on lines: within one there is no checkpoint, and a run that is always stopped there gets no further.
    let mut records = Vec::new();
    let sample = Sample::new(29).target_bytes(12 << 20).broken_lines(true);
    sample.write_to(&mut records).expect("into memory");
    let long = format!("{{\"resourceType\":\"Binary\",\"data\":\"{}\"}}\n", "A".repeat(20 << 20));
    records.extend(long.into_bytes());
    let source = Counted::new(records, 1);
    let unbroken = Arc::default();
    let report = go(&source, &mut Table::over(&unbroken), &Cancel::new()).expect("a run");
    assert_eq!(report.status, WITH_REJECTS);
    let wanted = rows_of(&unbroken);
    assert_eq!(wanted.len() as u64, report.account.ledger.records.delivered);

    for stop_after in [0, 1, 5] {
        let durable = Arc::default();
        let mut runs = 0;
        let report = loop {
            runs += 1;
            let cancel = Cancel::new();
            let mut table = Table { stop: Some((stop_after, cancel.clone())), ..Table::over(&durable) };
            match go(&source, &mut table, &cancel) {
                Ok(report) => break report,
                Err(JobError::Run(RunError::Cancelled)) => assert!(runs < 1000, "it gets no further"),
                Err(error) => panic!("{error:?}"),
            }
        };
        assert!(rows_of(&durable) == wanted, "stopped after {stop_after}");
        assert!(runs > 1, "it was stopped");
        assert_eq!(report.account.ledger.records.delivered, wanted.len() as u64);

        let again = go(&source, &mut Table::over(&durable), &Cancel::new()).expect("a run");
        assert_eq!(again.account, report.account);
        assert!(rows_of(&durable) == wanted, "a complete run is not done twice");
    }
}

#[derive(Debug)]
struct Nothing;

impl Filter for Nothing {
    fn name(&self) -> String {
        "nothing".into()
    }

    fn keeps(&self, _: &Resource<'_>) -> bool {
        false
    }
}

#[test]
fn another_run_does_not_go_on_where_one_was_stopped() {
    let source = Counted::new(export(31, 2 << 20), 1);
    let (durable, cancel) = (Arc::default(), Cancel::new());
    let mut table = Table { stop: Some((1, cancel.clone())), ..Table::over(&durable) };
    go(&source, &mut table, &cancel).expect_err("stopped");
    let other =
        source.job().filter(Nothing).write_to(&mut Table::over(&durable), &SinkJob::new(), &mut |_| {});
    match other {
        Err(JobError::OtherOptions { differences, .. }) => assert_eq!(differences, ["the filter"]),
        other => panic!("{other:?}"),
    }
    let other = Counted::new(export(37, 1 << 20), 1);
    let error = go(&other, &mut Table::over(&durable), &Cancel::new()).expect_err("another source");
    assert!(matches!(error, JobError::Run(RunError::Changed(_))), "{error:?}");
}

#[test]
fn what_a_sink_noted_is_not_taken_on_trust() {
    let source = Counted::new(export(41, 1 << 20), 1);
    for noted in [&b"{}"[..], b"", b"null", b"{\"run\":{},\"progress\":{}}"] {
        let durable = Arc::new(Mutex::new(Durable { noted: Some(noted.to_vec()), ..Durable::default() }));
        go(&source, &mut Table::over(&durable), &Cancel::new()).expect_err("damaged");
        assert!(rows_of(&durable).is_empty());
    }
}

/// Keeps all batches as they are.
#[derive(Default)]
struct Keeping(Vec<Batch>);

impl Sink for Keeping {
    fn begin_source(&mut self, _: SourceId, _: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _: &dyn Offload) -> Result<(), SinkError> {
        self.0.push(std::mem::take(batch));
        Ok(())
    }

    fn commit_long(&mut self, line: &mut LongLine, _: &dyn Offload) -> Result<(), SinkError> {
        let of_type = with_long_resource(line, |resource| {
            let found = resource.get("/resourceType").expect("readable").expect("there");
            found.text().map(String::from)
        });
        assert_eq!(of_type.flatten().as_deref(), Some("Binary"));
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_sink_may_keep_all_batches() {
    let source = Counted::new(export(83, 8 << 20), 12);
    for threads in [1, 2] {
        let mut sink = Keeping::default();
        let report =
            source.job().threads(threads).write_to(&mut sink, &SinkJob::new(), &mut |_| {}).expect("a run");
        let kept: usize = sink.0.iter().map(|batch| resources(batch).count()).sum();
        let longs = report.account.ledger.records.delivered - kept as u64;
        assert!(longs > 0 && longs < 100, "{longs} are too long to be held");
    }
}

/// What was noted of a stream says nothing of what the stream holds now.
#[test]
fn a_run_over_a_stream_is_not_gone_on_with_and_not_taken_for_complete() {
    let stream = || Stream(Counted::new(export(89, 1 << 20), 1));
    let job = || Job::of_origins([Arc::new(stream()) as Arc<dyn Origin>]);
    let durable = Arc::default();
    job().write_to(&mut Table::over(&durable), &SinkJob::new(), &mut |_| {}).expect("a run");
    let again = job().write_to(&mut Table::over(&durable), &SinkJob::new(), &mut |_| {});
    assert!(matches!(again, Err(JobError::Stream { .. })), "{again:?}");
}

/// A source without a length.
#[derive(Debug)]
struct Stream(Counted);

impl Origin for Stream {
    fn identity(&self) -> std::io::Result<fhirline::Identity> {
        Ok(fhirline::Identity { stored_bytes: None, ..self.0.identity()? })
    }

    fn name(&self) -> &str {
        "stream"
    }

    fn open_at(&self, offset: u64) -> std::io::Result<Box<dyn Read + Send>> {
        self.0.open_at(offset)
    }
}

/// A run that came to its end without one of its sources is that, however often it is asked for.
#[test]
fn a_run_that_was_incomplete_is_not_complete_when_it_is_run_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, cut) = (folder.path().join("a.jsonl"), folder.path().join("b.jsonl.gz"));
    std::fs::write(&whole, "{\"resourceType\":\"Goal\"}\n").expect("written");
    std::fs::write(&cut, b"\x1f\x8b\x08\0\0\0\0\0\0\xff").expect("written");
    let job = || Job::new([&whole, &cut]).expect("sources").allow_incomplete(true);
    let durable = Arc::default();
    for _ in 0..3 {
        let report = job().write_to(&mut Forgiving(Table::over(&durable)), &SinkJob::new(), &mut |_| {});
        let report = report.expect("a run");
        assert_eq!((report.status, report.account.sources.failed), (ExitStatus::Incomplete, 1));
        assert_eq!(rows_of(&durable).len(), 1);
    }
}

/// A table of whose sources none is taken back in earnest.
struct Forgiving(Table);

impl Sink for Forgiving {
    fn noted(&mut self) -> Result<Option<Vec<u8>>, SinkError> {
        self.0.noted()
    }

    fn begin_source(&mut self, source: SourceId, name: &str) -> Result<(), SinkError> {
        self.0.begin_source(source, name)
    }

    fn commit(&mut self, batch: &mut Batch, offload: &dyn Offload) -> Result<(), SinkError> {
        self.0.commit(batch, offload)
    }

    fn commit_long(&mut self, line: &mut LongLine, offload: &dyn Offload) -> Result<(), SinkError> {
        self.0.commit_long(line, offload)
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        let source = self.0.source;
        self.0.open.retain(|row| row.0 != source);
        Ok(())
    }

    fn complete(&mut self, progress: &[u8]) -> Result<(), SinkError> {
        self.0.complete(progress)
    }
}

/// Fails at its second batch, or panics there.
struct Failing(usize, bool);

impl Sink for Failing {
    fn begin_source(&mut self, _: SourceId, _: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn commit(&mut self, _: &mut Batch, _: &dyn Offload) -> Result<(), SinkError> {
        self.0 += 1;
        assert!(!self.1 || self.0 < 2, "on purpose");
        if self.0 < 2 { Ok(()) } else { Err(SinkError::own("the database has gone")) }
    }

    fn commit_long(&mut self, _: &mut LongLine, _: &dyn Offload) -> Result<(), SinkError> {
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_sink_that_fails_stops_the_run_and_is_quoted() {
    let source = Counted::new(export(43, 4 << 20), 3);
    let error = source.job().to(Output::sink(Failing(0, false))).run().expect_err("it failed");
    let JobError::Run(RunError::Sink(SinkError::Own { source })) = &error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "the database has gone");
    assert_eq!(error.exit_status(), ExitStatus::Failed);
}

#[test]
fn a_sink_that_panics_does_not_hang_the_run() {
    let source = Counted::new(export(47, 4 << 20), 3);
    for threads in [1, 2] {
        let job = source.job().threads(threads);
        let fell = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            job.to(Output::sink(Failing(0, true))).run()
        }));
        assert!(fell.is_err());
    }
}

#[test]
fn a_stream_is_not_gone_on_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    std::fs::write(&path, export(53, 1 << 20)).expect("written");
    let durable = Arc::default();
    let to = SinkJob::new().checkpoint_bytes(Some(1));
    let job = Job::new([&path]).expect("a source");
    job.write_to(&mut Table::over(&durable), &to, &mut |_| {}).expect("a run");
    assert!(durable.lock().expect("nobody fell").checkpoints > 0);
}
