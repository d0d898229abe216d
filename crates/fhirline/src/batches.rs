//! Pull instead of push: resources in the hands of the caller, batch by batch.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use fhirline_core::Lease;
use fhirline_flow::Event;
use fhirline_route::Grouping;
use fhirline_sink::Encoding;

use crate::calls::Calls;
use crate::job::{Going, spawned};
use crate::{ExitStatus, Job, JobError, Report};

mod batch;
mod hand_over;
#[cfg(feature = "async")]
mod stream;

pub use batch::{PulledBatch, Rejected, Rejects};
use hand_over::HandOver;
#[cfg(feature = "async")]
pub use stream::BatchStream;

/// The batches of a job, in the order of the sources. Made by [`Job::batches`].
///
/// The job works ahead in threads of its own, as far as its memory goes, and then waits for the caller. A batch that was handed out
/// is the caller's: whoever keeps many of them needs that much memory beside [`Job::memory_bytes`]. The last item is an error if
/// the job could not be done, and also if a source was not whole ([`JobError::Incomplete`]): what was handed out of it before is not
/// all of it, and of the sources behind it nothing was handed out, though the report counts them. With [`Job::allow_incomplete`] they
/// are, and it is no error; the report does not count what was handed out of the source that was not whole.
/// Dropping the iterator stops the job and waits until its threads have ended; a source that is being waited for (a pipe
/// to which nobody writes) holds that up.
pub struct Batches {
    /// None once the job is asked to end.
    batches: Option<Receiver<PulledBatch>>,
    job: Option<JoinHandle<Result<Report, JobError>>>,
    cancel: fhirline_flow::Cancel,
    calls: Calls,
    /// What the batch paid that the caller got last.
    lease: Option<Lease>,
    report: Option<Report>,
    /// An incomplete source is no error at the end.
    allow_incomplete: bool,
}

impl Job {
    /// Hands the resources out instead of writing them: each batch holds some, regrouped by type.
    ///
    /// ```
    /// use fhirline::Job;
    /// use fhirline::sample::Sample;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let export = folder.path().join("export.jsonl");
    /// let counts = Sample::new(7).write_to(&mut std::fs::File::create(&export)?)?;
    ///
    /// let mut batches = Job::new([&export])?.batches()?;
    /// let mut resources = 0;
    /// for batch in &mut batches {
    ///     resources += batch?.resources().count() as u64;
    /// }
    /// assert_eq!(resources, counts.resources);
    /// assert_eq!(batches.finish()?.account.ledger.records.quarantined, counts.broken);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`JobError::Memory`] if the memory is too little, and [`JobError::Run`] if there can be no more threads. What else may happen
    /// is an item of the iterator.
    pub fn batches(self) -> Result<Batches, JobError> {
        self.batches_with(|_| {})
    }

    /// The same; `on_event` is called with each event, by a thread of the job.
    ///
    /// # Errors
    /// As [`batches`](Self::batches).
    pub fn batches_with(self, on_event: impl FnMut(Event<'_>) + Send + 'static) -> Result<Batches, JobError> {
        // One, so that the job never waits for the caller to ask.
        let (sender, batches): (SyncSender<PulledBatch>, _) = sync_channel(1);
        let (allow_incomplete, cancel, calls) =
            (self.allow_incomplete, self.cancel.child(), self.calls.clone());
        let job = self
            .cancelled_by(cancel.clone())
            .handing_over(move |batch| sender.send(batch).is_ok(), on_event)?;
        let (batches, job) = (Some(batches), Some(job));
        Ok(Batches { batches, job, cancel, calls, lease: None, report: None, allow_incomplete })
    }

    /// Starts the job, with all batches for `give`, which tells whether anybody still takes them.
    fn handing_over(
        self,
        give: impl FnMut(PulledBatch) -> bool + Send + 'static,
        mut on_event: impl FnMut(Event<'_>) + Send + 'static,
    ) -> Result<JoinHandle<Result<Report, JobError>>, JobError> {
        let plan = self.memory_plan(Encoding::plain())?;
        let (mut sink, calls) = (HandOver::new(give), self.calls.clone());
        let mut on_event = move |event: Event<'_>| calls.watching(|| on_event(event));
        spawned(move || {
            let started = Instant::now();
            let going = Going::through(self.spools(None));
            let ran = self.run(Grouping::ByType, &mut sink, plan, going, &mut on_event)?;
            Ok(self.report(&ran, plan).after(started))
        })
    }
}

impl Batches {
    /// The report, once the iterator has come to its end and the job could be done.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Reads what is left without handing it out, and gives the report: that of the whole run.
    ///
    /// # Errors
    /// [`JobError`] if the job could not be done; [`JobError::Told`] if that was an item already. An incomplete source is none here, but told
    /// in the report.
    pub fn finish(mut self) -> Result<Report, JobError> {
        while self.received().is_some() {}
        self.end()
    }

    /// The next batch; `None` at the end of the job, however it ended.
    fn received(&mut self) -> Option<PulledBatch> {
        // Before the wait, or the job might wait for what it was given for.
        self.lease = None;
        let mut batch = self.batches.as_ref()?.recv().ok()?;
        self.lease = batch.take_lease();
        Some(batch)
    }

    /// Waits for the job, which has handed out all that it will.
    fn end(&mut self) -> Result<Report, JobError> {
        (self.batches, self.lease) = (None, None);
        match self.job.take().map(JoinHandle::join) {
            None => self.report.take().ok_or(JobError::Told),
            Some(ended) => ended.unwrap_or_else(|_| Err(self.calls.lost())),
        }
    }
}

/// What the end of a job is to somebody who got all its batches.
fn last_item(ended: Result<Report, JobError>, allow_incomplete: bool) -> (Option<Report>, Option<JobError>) {
    match ended {
        Ok(report) if report.status == ExitStatus::Incomplete && !allow_incomplete => {
            let sources = report.account.sources.failed;
            (Some(report), Some(JobError::Incomplete { sources }))
        }
        Ok(report) => (Some(report), None),
        Err(error) => (None, Some(error)),
    }
}

impl Iterator for Batches {
    type Item = Result<PulledBatch, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(batch) = self.received() {
            return Some(Ok(batch));
        }
        self.job.as_ref()?;
        let (report, error) = last_item(self.end(), self.allow_incomplete);
        self.report = report;
        error.map(Err)
    }
}

impl FusedIterator for Batches {}

impl Drop for Batches {
    fn drop(&mut self) {
        if self.job.is_some() {
            self.cancel.cancel();
            let _ = self.end();
        }
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("ended", &self.job.is_none()).finish_non_exhaustive()
    }
}
