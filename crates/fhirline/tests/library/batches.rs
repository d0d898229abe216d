use std::fs;
use std::io::Write;
use std::sync::atomic::Ordering;

use fhirline::{Cancel, ExitStatus, Job, JobError, Output, RunError};

use crate::support::{Counted, Outputs, PRETTY, WITH_REJECTS, export, pour, split, without_outcome};

fn poured(job: Job) -> (Outputs, fhirline::Report) {
    let mut batches = job.batches().expect("enough memory");
    let mut outputs = Outputs::new();
    for batch in &mut batches {
        pour(&batch.expect("sound"), &mut outputs);
    }
    let report = batches.finish().expect("a run");
    (outputs, report)
}

#[test]
fn batches_hold_what_a_split_writes_for_any_number_of_threads() {
    let sources = [Counted::new(export(3, 6 << 20), 1), Counted::new(PRETTY.to_vec(), 1)];
    for source in sources {
        let written = without_outcome(split(source.job()));
        for threads in [1, 2, 4] {
            let (outputs, report) = poured(source.job().threads(threads));
            assert_eq!(outputs.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
            assert!(outputs == written, "{threads} threads");
            let status = if report.account.ledger.records.quarantined > 0 {
                WITH_REJECTS
            } else {
                ExitStatus::Complete
            };
            assert_eq!(report.status, status);
        }
    }
}

#[test]
fn a_caller_may_keep_all_batches() {
    let source = Counted::new(export(5, 8 << 20), 12);
    let batches: Result<Vec<_>, _> = source.job().batches().expect("enough memory").collect();
    let batches = batches.expect("sound");
    let mut outputs = Outputs::new();
    batches.iter().for_each(|batch| pour(batch, &mut outputs));
    assert!(outputs == without_outcome(split(source.job())));
    let at: Vec<_> = batches.iter().map(fhirline::PulledBatch::position).collect();
    assert!(at.is_sorted_by_key(|position| position.byte), "in the order of the source");
}

#[test]
fn the_job_works_ahead_only_as_far_as_its_memory_goes() {
    let source = Counted::new(export(7, 4 << 20), 200);
    let mut batches = source.job().batches().expect("enough memory");
    let first = batches.next().expect("one").expect("sound");
    assert!(first.resources().count() > 0);
    drop(first);
    // Its threads have ended when it is dropped, so nothing is read any more.
    drop(batches);
    let read = source.read.load(Ordering::SeqCst);
    assert!(read < 64 << 20, "{read} bytes of {}", source.length());
}

#[test]
fn an_incomplete_source_is_an_error_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.jsonl.gz");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&export(11, 2 << 20)).expect("into memory");
    let gzip = gzip.finish().expect("into memory");
    fs::write(&path, &gzip[..gzip.len() / 2]).expect("written");

    let items: Vec<_> = Job::new([&path]).expect("a source").batches().expect("enough memory").collect();
    let (last, before) = items.split_last().expect("some");
    assert!(matches!(last, Err(JobError::Incomplete { sources: 1 })), "{last:?}");
    assert!(!before.is_empty() && before.iter().all(Result::is_ok));

    let report =
        Job::new([&path]).expect("a source").batches().expect("enough memory").finish().expect("a run");
    assert_eq!((report.status, report.account.sources.failed), (ExitStatus::Incomplete, 1));

    let allowed = Job::new([&path]).expect("a source").allow_incomplete(true);
    let mut batches = allowed.batches().expect("enough memory");
    assert!(batches.by_ref().all(|batch| batch.is_ok()));
    assert_eq!(batches.finish().expect("a run").account.sources.failed, 1);
}

/// A plain file is read again where a long line stands; of a compressed one it waits in a spool.
#[test]
fn long_lines_wait_where_the_job_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.jsonl.gz");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&export(11, 1 << 20)).expect("into memory");
    fs::write(&path, gzip.finish().expect("into memory")).expect("written");
    let job = |spool_dir| Job::new([&path]).expect("a source").spool_dir(Some(spool_dir));

    let missing = || folder.path().join("missing");
    job(missing()).batches().expect("enough memory").finish().expect_err("there is no such folder");
    job(missing()).to(Output::Stats).run().expect_err("there is no such folder");
    job(missing()).to(Output::Cat(Box::new(Vec::new()))).run().expect_err("there is no such folder");
    let report = job(folder.path().to_owned()).to(Output::Stats).run().expect("a run");
    assert_eq!(
        job(folder.path().to_owned()).batches().expect("enough memory").finish().expect("a run").account,
        report.account
    );
}

#[test]
fn whoever_cancels_gets_an_error_and_no_end() {
    let source = Counted::new(export(13, 2 << 20), 100);
    let cancel = Cancel::new();
    let mut batches = source.job().cancelled_by(cancel.clone()).batches().expect("enough memory");
    assert!(batches.next().expect("one").is_ok());
    assert!(cancel.cancel());
    let last = batches.last().expect("an error");
    assert!(matches!(last, Err(JobError::Run(RunError::Cancelled))), "{last:?}");
}

/// The lease of the last batch must not be waited for by whoever holds it.
#[test]
fn the_rest_is_read_behind_a_batch_that_was_taken() {
    let mut lines = Vec::new();
    for _ in 0..12 {
        lines.extend_from_slice(b"{\"resourceType\":\"Binary\",\"data\":\"");
        lines.resize(lines.len() + 3_900_000, b'A');
        lines.extend_from_slice(b"\"}\n");
    }
    let source = Counted::new(lines, 1);
    for threads in [1, 2] {
        let least = match source.job().threads(threads).memory_beside_bytes(1).batches() {
            Err(JobError::Memory(least)) => least.least_bytes,
            other => panic!("{other:?}"),
        };
        let job = source.job().threads(threads).memory_beside_bytes(least);
        let mut batches = job.batches().expect("the least that will do");
        drop(batches.next().expect("one").expect("sound"));
        assert_eq!(batches.finish().expect("a run").account.ledger.records.read, 12);
    }
}

#[test]
fn a_job_that_could_not_be_done_has_no_report() {
    let source = Counted::new(export(73, 1 << 20), 1);
    let job = source.job().max_rejects(fhirline::RejectLimit::Records(0));
    let mut batches = job.batches().expect("enough memory");
    assert!(matches!(batches.by_ref().last(), Some(Err(JobError::Run(RunError::TooManyRejects { .. })))));
    assert!(matches!(batches.finish(), Err(JobError::Told)));
}

/// Peek into a job, then run it.
#[test]
fn whoever_drops_batches_stops_no_other_job() {
    let source = Counted::new(export(79, 1 << 20), 1);
    let cancel = Cancel::new();
    let job = source.job().cancelled_by(cancel.clone());
    let mut batches = job.clone().batches().expect("enough memory");
    assert!(batches.next().expect("one").is_ok());
    drop(batches);
    assert!(!cancel.is_cancelled());
    assert_eq!(job.to(fhirline::Output::Stats).run().expect("a run").status, WITH_REJECTS);
}

#[test]
fn what_is_handed_out_may_go_to_other_threads() {
    fn sent<T: Send>(_: &T) {}
    let source = Counted::new(PRETTY.to_vec(), 1);
    let mut batches = source.job().batches().expect("enough memory");
    sent(&batches);
    let batch = batches.next().expect("one").expect("sound");
    sent(&batch);
    sent(&batch.resources());
    sent(&batch.rejects());
    assert_eq!(batch.resources().count(), 2);
}

#[test]
fn events_reach_a_caller_who_pulls() {
    let (sender, told) = std::sync::mpsc::channel();
    let source = Counted::new(export(17, 1 << 20), 1);
    let batches = source.job().batches_with(move |event| {
        if let fhirline::Event::Rejected { position, .. } = event {
            let _ = sender.send(position);
        }
    });
    let mut places = Vec::new();
    for batch in batches.expect("enough memory") {
        places.extend(batch.expect("sound").rejects().map(|reject| reject.record.position()));
    }
    assert!(!places.is_empty());
    assert_eq!(told.into_iter().collect::<Vec<_>>(), places);
}

#[test]
fn a_job_with_nothing_to_read_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut batches = Job::new([folder.path()]).expect("a source").batches().expect("enough memory");
    assert!(matches!(batches.next(), Some(Err(JobError::NothingToRead { .. }))));
    assert!(batches.next().is_none());
}

#[test]
fn what_is_shown_of_a_batch_holds_nothing_of_a_record() {
    let source =
        Counted::new(b"{\"resourceType\":\"Patient\",\"id\":\"canary-5c\"}\n{\"canary-5c\n".to_vec(), 1);
    let batches = source.job().batches().expect("enough memory");
    let mut shown = format!("{batches:?}");
    for batch in batches {
        let batch = batch.expect("sound");
        let resources: Vec<_> = batch.resources().collect();
        let rejects: Vec<_> = batch.rejects().collect();
        assert_eq!((resources.len(), rejects.len()), (1, 1));
        shown += &format!("{batch:?} {resources:?} {rejects:?}");
    }
    assert!(shown.contains("Patient") && !shown.contains("canary"), "{shown}");
}
