use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fhirline::{Event, ExitStatus, JobError, Output, RunError, SplitJob};
use futures_util::StreamExt;

use crate::support::{Counted, Outputs, WITH_REJECTS, export, pour, split, without_outcome};

fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

#[test]
fn a_stream_holds_what_a_split_writes() {
    let source = Counted::new(export(59, 4 << 20), 1);
    let (outputs, status) = in_runtime(async {
        let mut batches = source.job().stream().expect("enough memory");
        let mut outputs = Outputs::new();
        while let Some(batch) = batches.next().await {
            pour(&batch.expect("sound"), &mut outputs);
        }
        (outputs, batches.report().map(|report| report.status))
    });
    assert!(outputs == without_outcome(split(source.job())));
    assert_eq!(status, Some(WITH_REJECTS));
}

#[test]
fn what_a_stream_has_left_is_read_without_being_handed_out() {
    let source = Counted::new(export(59, 4 << 20), 1);
    let report = source.job().batches().expect("enough memory").finish().expect("a run");
    in_runtime(async {
        for taken in [0, 1, usize::MAX] {
            let mut batches = source.job().stream().expect("enough memory");
            let handed_out = batches.by_ref().take(taken).count().await;
            assert_eq!(batches.report().is_some(), handed_out < taken);
            assert_eq!(batches.finish().await.expect("a run").account, report.account);
        }
        let none_rejected = source.job().max_rejects(fhirline::RejectLimit::Records(0));
        let mut batches = none_rejected.stream().expect("enough memory");
        let items: Vec<_> = batches.by_ref().collect().await;
        assert!(matches!(items.last(), Some(Err(JobError::Run(RunError::TooManyRejects { .. })))));
        assert!(matches!(batches.finish().await, Err(JobError::Told)));
    });
}

#[test]
fn a_report_is_awaited_on_any_runtime() {
    let source = Counted::new(export(61, 1 << 20), 1);
    let folder = tempfile::tempdir().expect("a folder");
    let run = source.job().to(SplitJob::to(folder.path().join("out")));
    let report = in_runtime(run.run_async()).expect("a run");
    assert_eq!(report.status, ExitStatus::Quarantined);
    assert!(folder.path().join("out/manifest.json").exists());
}

#[test]
fn a_future_that_is_told_to_stop_ends_with_an_error() {
    let source = Counted::new(export(67, 2 << 20), 400);
    let running = source.job().to(Output::Stats).run_async();
    running.cancel().cancel();
    let ended = in_runtime(running);
    assert!(matches!(ended, Err(JobError::Run(RunError::Cancelled))), "{ended:?}");
}

#[test]
fn a_future_that_ended_stops_no_other_job() {
    let source = Counted::new(export(97, 1 << 20), 1);
    let cancel = fhirline::Cancel::new();
    let job = source.job().cancelled_by(cancel.clone());
    in_runtime(job.clone().to(Output::Stats).run_async()).expect("a run");
    drop(job.clone().stream().expect("enough memory"));
    assert!(!cancel.is_cancelled());
    job.to(Output::Stats).run().expect("a run");
}

/// Tells when the job has let go of its callback: then its thread is over.
struct Dropped(Arc<AtomicBool>, std::sync::mpsc::Sender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        let _ = self.1.send(());
    }
}

#[test]
fn what_is_dropped_stops_its_job() {
    let source = Counted::new(export(71, 2 << 20), 4000);
    let (sender, ended) = std::sync::mpsc::channel();
    let over = Arc::new(AtomicBool::new(false));
    let told = |dropped: Dropped| move |_: Event<'_>| assert!(!dropped.0.load(Ordering::SeqCst));

    let running = source.job().to(Output::Stats).on_event(told(Dropped(Arc::clone(&over), sender.clone())));
    drop(running.run_async());
    ended.recv().expect("the job ends");
    assert!(source.read.load(Ordering::SeqCst) < source.length());

    over.store(false, Ordering::SeqCst);
    let stream = source.job().stream_with(told(Dropped(Arc::clone(&over), sender))).expect("enough memory");
    drop(stream);
    ended.recv().expect("the job ends");
    assert!(source.read.load(Ordering::SeqCst) < source.length());
}
