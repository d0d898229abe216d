//! A run into a sink that somebody else made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use fhirline_core::{Batch, LongLine, SourceId};
use fhirline_flow::{Progress, RunError};
use fhirline_route::{Grouping, IdRule};
use fhirline_sink::{Encoding, Offload, Sink, SinkError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::calls::Calls;
use crate::job::{Going, OnEvent};
use crate::report::resumed_report;
use crate::split::{CHECKPOINT_BYTES, Known};
use crate::{Job, JobError, Report, SplitJob};

/// What to call a destination that has no name.
const NAME: &str = "of the sink";

/// Into which sink of the caller's resources go, and how.
#[derive(Clone, Debug)]
pub struct SinkJob {
    spool_dir: Option<PathBuf>,
    checkpoint_bytes: Option<u64>,
}

/// What is noted with a checkpoint: the options, beside what the engine needs.
#[derive(Serialize, Deserialize)]
struct Noted {
    run: Box<RawValue>,
    progress: Box<RawValue>,
}

/// The sink, with the options of the run in each of its checkpoints.
struct Noting<'s> {
    sink: &'s mut dyn Sink,
    run: Box<RawValue>,
    calls: Calls,
}

impl Default for SinkJob {
    fn default() -> Self {
        Self { spool_dir: None, checkpoint_bytes: Some(CHECKPOINT_BYTES) }
    }
}

impl SinkJob {
    /// As it is done unless more is said.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where lines wait that are too long for memory; where [`Job::spool_dir`] says unless set.
    #[must_use]
    pub fn spool_dir(mut self, folder: Option<PathBuf>) -> Self {
        self.spool_dir = folder;
        self
    }

    /// How many decoded bytes are committed before the sink is asked for a checkpoint again; 64 MiB unless set, never if `None`.
    /// There is none of a run over a stream.
    #[must_use]
    pub fn checkpoint_bytes(mut self, bytes: Option<u64>) -> Self {
        self.checkpoint_bytes = bytes;
        self
    }
}

impl Job {
    /// Gives all wanted records to a sink of the caller's, each batch regrouped by type. A sink that noted how far an earlier
    /// run had come ([`Sink::noted`]) is gone on with from there.
    ///
    /// # Errors
    /// [`JobError`]; a source that is incomplete is none, but told in the report. [`JobError::OtherOptions`] if the earlier run was
    /// another one, or by another version; [`JobError::Stream`] if it cannot be told whether it was.
    pub fn write_to(
        self,
        sink: &mut dyn Sink,
        to: &SinkJob,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Report, JobError> {
        let started = Instant::now();
        let plan = self.memory_plan(Encoding::plain())?;
        let known = Known::of(&self, &SplitJob::to(NAME));
        let from = sink.noted()?.map(|noted| gone_on_from(&noted, &known)).transpose()?;
        let checkpoint_bytes = to.checkpoint_bytes.filter(|_| known.fingerprint.is_some());
        let going = Going {
            spools: Arc::new(self.spools(to.spool_dir.as_ref())),
            checkpoint_bytes: checkpoint_bytes.or(from.is_some().then_some(u64::MAX)),
            from,
            ids: IdRule::Any,
            keep_entry_metadata: false,
        };
        let mut noting = Noting { sink, run: known.run(), calls: self.calls.clone() };
        let ran = self.run(Grouping::ByType, &mut noting, plan, going, on_event)?;
        let mut report = self.report(&ran, plan);
        report.resumed = ran.outcome.resumed.as_ref().map(|at| resumed_report(at, 0));
        Ok(report.after(started))
    }
}

/// Where to go on, if the run that noted it is this one.
fn gone_on_from(noted: &[u8], known: &Known) -> Result<Progress, JobError> {
    // What serde says may quote what it reads.
    let malformed = |_| JobError::Run(RunError::Misled);
    if known.fingerprint.is_none() {
        return Err(JobError::Stream { name: NAME.to_owned() });
    }
    let Noted { run, progress } = serde_json::from_slice(noted).map_err(malformed)?;
    let differences = known.differences_to_run(&run);
    if !differences.is_empty() {
        return Err(JobError::OtherOptions { name: NAME.to_owned(), differences });
    }
    serde_json::from_str(progress.get()).map_err(malformed)
}

impl Noting<'_> {
    fn with_options(&self, progress: &[u8]) -> Result<Vec<u8>, SinkError> {
        let progress: Box<RawValue> = serde_json::from_slice(progress).map_err(SinkError::own)?;
        serde_json::to_vec(&Noted { run: self.run.clone(), progress }).map_err(SinkError::own)
    }
}

impl Sink for Noting<'_> {
    fn begin_source(&mut self, source: SourceId, name: &str) -> Result<(), SinkError> {
        self.calls.watching(|| self.sink.begin_source(source, name))
    }

    fn commit(&mut self, batch: &mut Batch, offload: &dyn Offload) -> Result<(), SinkError> {
        self.calls.watching(|| self.sink.commit(batch, offload))
    }

    fn commit_long(&mut self, line: &mut LongLine, offload: &dyn Offload) -> Result<(), SinkError> {
        self.calls.watching(|| self.sink.commit_long(line, offload))
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        self.calls.watching(|| self.sink.abandon_source())
    }

    fn fail_source(&mut self, progress: Option<&[u8]>) -> Result<(), SinkError> {
        let noted = progress.map(|progress| self.with_options(progress)).transpose()?;
        self.calls.watching(|| self.sink.fail_source(noted.as_deref()))
    }

    fn checkpoint(&mut self, progress: &[u8], sync: bool) -> Result<(), SinkError> {
        let noted = self.with_options(progress)?;
        self.calls.watching(|| self.sink.checkpoint(&noted, sync))
    }

    fn complete(&mut self, progress: &[u8]) -> Result<(), SinkError> {
        let noted = self.with_options(progress)?;
        self.calls.watching(|| self.sink.complete(&noted))
    }
}
