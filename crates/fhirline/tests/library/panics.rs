//! Code of the caller's that panics is not told as a defect of ours.

use fhirline::sink::{Batch, LongLine, Offload, Sink, SinkError, SourceId};
use fhirline::{ExitStatus, Filter, JobError, Output, Resource};

use crate::support::{Counted, export};

struct Falling;

impl Filter for Falling {
    fn name(&self) -> String {
        "falling".into()
    }

    fn keeps(&self, _: &Resource<'_>) -> bool {
        panic!("on purpose: canary-7f")
    }
}

impl Sink for Falling {
    fn begin_source(&mut self, _: SourceId, _: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn commit(&mut self, _: &mut Batch, _: &dyn Offload) -> Result<(), SinkError> {
        panic!("on purpose: canary-7f")
    }

    fn commit_long(&mut self, _: &mut LongLine, _: &dyn Offload) -> Result<(), SinkError> {
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

fn is_of_the_caller(error: &JobError) -> bool {
    let told = format!("{error} {error:?} {:?}", error.hint());
    assert!(!told.contains("canary") && !told.contains("defect"), "{told}");
    assert_eq!(error.exit_status(), ExitStatus::Failed);
    matches!(error, JobError::CallerPanicked)
}

#[test]
fn a_filter_that_panics_is_the_callers() {
    let source = Counted::new(export(97, 1 << 20), 1);
    let workers = source.job().threads(2).filter(Falling);
    assert!(is_of_the_caller(&workers.to(Output::Stats).run().expect_err("it fell")));
    for threads in [1, 2] {
        let job = source.job().threads(threads).filter(Falling);
        let last = job.batches().expect("enough memory").last().expect("an error");
        assert!(is_of_the_caller(&last.expect_err("it fell")));
    }
}

#[test]
fn a_callback_that_panics_in_a_thread_of_the_job_is_the_callers() {
    let source = Counted::new(export(97, 1 << 20), 1);
    let mut batches = source.job().batches_with(|_| panic!("on purpose: canary-7f")).expect("enough memory");
    assert!(is_of_the_caller(&batches.by_ref().last().expect("an error").expect_err("it fell")));
    assert!(batches.report().is_none());
}

#[cfg(feature = "async")]
#[test]
fn what_panics_in_a_future_is_the_callers() {
    use futures_util::StreamExt;

    let source = Counted::new(export(97, 1 << 20), 1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let fell = source.job().to(Output::sink(Falling)).run_async().await;
        assert!(is_of_the_caller(&fell.expect_err("it fell")));
        let fell = source.job().to(Output::Stats).on_event(|_| panic!("on purpose: canary-7f")).run_async();
        assert!(is_of_the_caller(&fell.await.expect_err("it fell")));
        let mut batches = source.job().stream_with(|_| panic!("on purpose")).expect("enough memory");
        let mut last = None;
        while let Some(batch) = batches.next().await {
            last = Some(batch);
        }
        assert!(is_of_the_caller(&last.expect("an error").expect_err("it fell")));
    });
}
