//! The async face: a job in a thread of its own, and a future of its report.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fhirline_flow::Cancel;
use tokio::sync::oneshot;

use crate::calls::Calls;
use crate::job::spawned;
use crate::run::JobRun;
use crate::{JobError, Report};

/// A job that is under way in threads of its own: a future of its report, for any runtime. Dropping it stops the job, as
/// [`Cancel`] does: at the next batch, with a checkpoint where the output has any.
pub struct Running {
    report: oneshot::Receiver<Result<Report, JobError>>,
    cancel: Cancel,
    calls: Calls,
}

impl JobRun<'static> {
    /// Begins at once, and gives a future of the report. Needs no runtime, and keeps none busy.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// use fhirline::{ExitStatus, Job, SplitJob};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let export = folder.path().join("export.jsonl");
    /// std::fs::write(&export, "{\"resourceType\":\"Patient\"}\n")?;
    ///
    /// let report = Job::new([&export])?.to(SplitJob::to(folder.path().join("out"))).run_async().await?;
    /// assert_eq!(report.status, ExitStatus::Complete);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn run_async(self) -> Running {
        let (cancel, calls) = (self.cancel().child(), self.calls().clone());
        let run = self.cancelled_by(cancel.clone());
        let (sender, report) = oneshot::channel();
        let job = move || {
            // Nobody waits for it any more if the future is gone.
            let _ = sender.send(run.run());
        };
        match spawned(job) {
            Ok(_) => Running { report, cancel, calls },
            Err(error) => {
                let (sender, report) = oneshot::channel();
                let _ = sender.send(Err(error));
                Running { report, cancel, calls }
            }
        }
    }
}

impl Running {
    /// What stops the job; the future ends with [`RunError::Cancelled`](crate::RunError::Cancelled) then.
    #[must_use]
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }
}

impl Future for Running {
    type Output = Result<Report, JobError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.report).poll(cx));
        Poll::Ready(ended.unwrap_or_else(|_| Err(self.calls.lost())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}
