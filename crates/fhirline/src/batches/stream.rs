use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fhirline_core::Lease;
use fhirline_flow::{Cancel, Event};
use futures_core::{FusedStream, Stream};
use tokio::sync::{mpsc, oneshot};

use super::{PulledBatch, last_item};
use crate::calls::Calls;
use crate::{Job, JobError, Report};

/// The batches of a job as a stream, for any runtime. Made by [`Job::stream`].
///
/// It is what [`Batches`](super::Batches) is to threads, but dropping it stops the job without waiting for it.
pub struct BatchStream {
    batches: mpsc::Receiver<PulledBatch>,
    /// None once the end was told.
    ended: Option<oneshot::Receiver<Result<Report, JobError>>>,
    cancel: Cancel,
    /// What the batch paid that the caller got last.
    lease: Option<Lease>,
    calls: Calls,
    report: Option<Report>,
    allow_incomplete: bool,
}

impl Job {
    /// Hands the resources out as a stream of batches. Needs no runtime, and keeps none busy: the job works in threads of its own.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// use fhirline::Job;
    /// use futures_util::TryStreamExt;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let export = folder.path().join("export.jsonl");
    /// std::fs::write(&export, "{\"resourceType\":\"Patient\"}\n{\"resourceType\":\"Goal\"}\n")?;
    ///
    /// let mut batches = Job::new([&export])?.stream()?;
    /// let mut resources = 0;
    /// while let Some(batch) = batches.try_next().await? {
    ///     resources += batch.resources().count();
    /// }
    /// assert_eq!(resources, 2);
    /// assert_eq!(batches.report().map(|report| report.account.ledger.records.read), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`batches`](Self::batches).
    pub fn stream(self) -> Result<BatchStream, JobError> {
        self.stream_with(|_| {})
    }

    /// The same; `on_event` is called with each event, by a thread of the job.
    ///
    /// # Errors
    /// As [`batches`](Self::batches).
    pub fn stream_with(
        self,
        on_event: impl FnMut(Event<'_>) + Send + 'static,
    ) -> Result<BatchStream, JobError> {
        let (sender, batches) = mpsc::channel(1);
        let (tell, ended) = oneshot::channel();
        let (allow_incomplete, cancel, calls) =
            (self.allow_incomplete, self.cancel.child(), self.calls.clone());
        let job = self
            .cancelled_by(cancel.clone())
            .handing_over(move |batch| sender.blocking_send(batch).is_ok(), on_event)?;
        let lost = calls.clone();
        crate::job::spawned(move || {
            let _ = tell.send(job.join().unwrap_or_else(|_| Err(lost.lost())));
        })?;
        let ended = Some(ended);
        Ok(BatchStream { batches, ended, cancel, calls, lease: None, report: None, allow_incomplete })
    }
}

impl BatchStream {
    /// The report, once the stream has come to its end and the job could be done.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Reads what is left without handing it out, and gives the report: that of the whole run.
    ///
    /// # Errors
    /// As [`Batches::finish`](super::Batches::finish).
    pub async fn finish(mut self) -> Result<Report, JobError> {
        self.lease = None;
        while let Some(mut batch) = self.batches.recv().await {
            drop(batch.take_lease());
        }
        match self.ended.take() {
            None => self.report.take().ok_or(JobError::Told),
            Some(ended) => ended.await.unwrap_or_else(|_| Err(self.calls.lost())),
        }
    }
}

impl Stream for BatchStream {
    type Item = Result<PulledBatch, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Before the wait, or the job might wait for what it was given for.
        self.lease = None;
        if let Some(mut batch) = ready!(self.batches.poll_recv(cx)) {
            self.lease = batch.take_lease();
            return Poll::Ready(Some(Ok(batch)));
        }
        let Some(ended) = &mut self.ended else { return Poll::Ready(None) };
        let ended = ready!(Future::poll(Pin::new(ended), cx));
        self.ended = None;
        let ended = ended.unwrap_or_else(|_| Err(self.calls.lost()));
        let (report, error) = last_item(ended, self.allow_incomplete);
        self.report = report;
        Poll::Ready(error.map(Err))
    }
}

impl FusedStream for BatchStream {
    fn is_terminated(&self) -> bool {
        self.ended.is_none()
    }
}

impl Drop for BatchStream {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl fmt::Debug for BatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStream").field("ended", &self.ended.is_none()).finish_non_exhaustive()
    }
}
