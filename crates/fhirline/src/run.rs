//! A job with the place where its resources go.

use std::fmt;
use std::io::Write;

use fhirline_flow::Event;
use fhirline_sink::Sink;

#[cfg(feature = "async")]
use crate::calls::Calls;
use crate::job::OnEvent;
use crate::{BundleJob, Job, JobError, Report, SinkJob, SplitJob};

/// Where the resources of a job go.
#[non_exhaustive]
pub enum Output<'o> {
    /// One stream for each resource type, in a folder or below a prefix of an object store.
    Split(SplitJob),
    /// FHIR Bundles.
    Bundle(BundleJob),
    /// One stream of clean NDJSON, in the order of the sources.
    Cat(Box<dyn Write + Send + 'o>),
    /// A sink of the caller's.
    Sink(Box<dyn Sink + Send + 'o>, SinkJob),
    /// Nowhere: records are counted and measured.
    Stats,
}

/// A job that is ready to go. Made by [`Job::to`].
///
/// ```
/// use fhirline::{Event, ExitStatus, Job, SplitJob};
///
/// let folder = tempfile::tempdir()?;
/// let export = folder.path().join("export.jsonl");
/// std::fs::write(&export, "{\"resourceType\":\"Patient\"}\nnot a record\n")?;
///
/// let mut rejects = 0;
/// let report = Job::new([&export])?
///     .to(SplitJob::to(folder.path().join("out")))
///     .on_event(|event| rejects += u32::from(matches!(event, Event::Rejected { .. })))
///     .run()?;
/// assert_eq!((report.status, rejects), (ExitStatus::Quarantined, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JobRun<'o> {
    job: Job,
    output: Output<'o>,
    on_event: Box<dyn FnMut(Event<'_>) + Send + 'o>,
}

impl Job {
    /// Says where the resources go. [`JobRun::run`] does the rest.
    pub fn to<'o>(self, output: impl Into<Output<'o>>) -> JobRun<'o> {
        JobRun { job: self, output: output.into(), on_event: Box::new(|_| {}) }
    }
}

impl<'o> JobRun<'o> {
    /// What is called with each event: sources that begin and end, what was committed, what was rejected. It is called by the
    /// thread that runs the job, which waits for it.
    #[must_use]
    pub fn on_event(mut self, on_event: impl FnMut(Event<'_>) + Send + 'o) -> Self {
        self.on_event = Box::new(on_event);
        self
    }

    /// Does it, and comes back when all is done.
    ///
    /// # Errors
    /// [`JobError`]; a source that is incomplete is none, but told in the report's [status](Report::status).
    pub fn run(self) -> Result<Report, JobError> {
        let Self { job, output, mut on_event } = self;
        let calls = job.calls.clone();
        let on_event: &mut OnEvent<'_> = &mut |event| calls.watching(|| on_event(event));
        match output {
            Output::Split(to) => job.split(&to, on_event),
            Output::Bundle(to) => job.bundle(&to, on_event),
            Output::Cat(mut out) => job.cat(&mut *out, on_event),
            Output::Sink(mut sink, to) => job.write_to(&mut *sink, &to, on_event),
            Output::Stats => job.stats(on_event),
        }
    }

    #[cfg(feature = "async")]
    pub(crate) fn cancel(&self) -> &fhirline_flow::Cancel {
        &self.job.cancel
    }

    #[cfg(feature = "async")]
    pub(crate) fn calls(&self) -> &Calls {
        &self.job.calls
    }

    #[cfg(feature = "async")]
    pub(crate) fn cancelled_by(self, cancel: fhirline_flow::Cancel) -> Self {
        Self { job: self.job.cancelled_by(cancel), ..self }
    }
}

impl<'o> Output<'o> {
    /// A sink of the caller's, with checkpoints as usual.
    pub fn sink(sink: impl Sink + Send + 'o) -> Self {
        Self::Sink(Box::new(sink), SinkJob::new())
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Split(_) => "Split",
            Self::Bundle(_) => "Bundle",
            Self::Cat(_) => "Cat",
            Self::Sink(..) => "Sink",
            Self::Stats => "Stats",
        }
    }
}

impl From<SplitJob> for Output<'_> {
    fn from(to: SplitJob) -> Self {
        Self::Split(to)
    }
}

impl From<BundleJob> for Output<'_> {
    fn from(to: BundleJob) -> Self {
        Self::Bundle(to)
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for JobRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRun").field("job", &self.job).field("output", &self.output).finish_non_exhaustive()
    }
}
