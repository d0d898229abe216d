use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Instant;

use fhirline_fetch::{FetchError, Found, FoundBy, Selection as Sources, SkipReason};
use fhirline_flow::{Cancel, Entry, Event, FlowOptions, MemoryPlan, Outcome, RejectLimit, run};
use fhirline_route::{Grouping, Proof, Router, Selection};
use fhirline_sink::{CatSink, Encoding, Sink, StatsSink};

use crate::report::{Account, length_report, memory_report};
use crate::split::{self, SplitJob};
use crate::{Expectation, JobError, Report};

/// Workers that are started unless more are asked for. One thread reads and one commits, so more would wait, and each
/// takes a little of the memory.
const MOST_USUAL_THREADS: usize = 8;

/// What is called with each event of a run.
pub type OnEvent<'e> = dyn FnMut(Event<'_>) + 'e;

/// A run over sources: what to read and how. [`split`](Self::split), [`cat`](Self::cat) and [`stats`](Self::stats) do it.
///
/// ```
/// use fhirline::{ExitStatus, Job, SplitJob};
///
/// let folder = tempfile::tempdir()?;
/// let export = folder.path().join("export.jsonl");
/// std::fs::write(&export, "{\"resourceType\":\"Patient\"}\n{\"resourceType\":\"Goal\"}\nnot a record\n")?;
///
/// let out = folder.path().join("out");
/// let report = Job::new([&export])?.split(&SplitJob::to(&out), &mut |_| {})?;
/// assert_eq!(report.status, ExitStatus::Quarantined);
/// assert_eq!(std::fs::read(out.join("Patient.ndjson"))?, b"{\"resourceType\":\"Patient\"}\n");
/// assert_eq!(std::fs::read(out.join("_quarantine/lines.raw"))?, b"not a record\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Job {
    pub(crate) sources: Sources,
    pub(crate) texts: Vec<OsString>,
    pub(crate) threads: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) max_line_bytes: usize,
    pub(crate) max_rejects: Option<RejectLimit>,
    pub(crate) allow_incomplete: bool,
    pub(crate) proof: Proof,
    pub(crate) selection: Selection,
    pub(crate) expectation: Option<Expectation>,
    pub(crate) cancel: Cancel,
}

impl Job {
    /// A job over sources as a user writes them: files, folders, patterns, `-` for standard input.
    ///
    /// # Errors
    /// [`JobError::Sources`] if one of them is none.
    pub fn new<T: AsRef<OsStr>>(sources: impl IntoIterator<Item = T>) -> Result<Self, JobError> {
        let texts: Vec<OsString> = sources.into_iter().map(|text| text.as_ref().to_owned()).collect();
        Ok(Self {
            sources: Sources::parse(&texts)?,
            texts,
            threads: thread::available_parallelism().map_or(1, usize::from).min(MOST_USUAL_THREADS),
            memory_bytes: 64 << 20,
            max_line_bytes: 16 << 20,
            max_rejects: None,
            allow_incomplete: false,
            proof: Proof::Full,
            selection: Selection::default(),
            expectation: None,
            cancel: Cancel::new(),
        })
    }

    /// Workers; as many as the machine has cores, but 8 at most, unless set. The outputs do not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The ceiling on resident memory, in bytes; 64 MiB unless set. Decoded outputs do not depend on it.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// Longer lines go to quarantine, in bytes without line end; 16 MiB unless set.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.max_line_bytes = bytes;
        self
    }

    /// Stops the run once more records than that were rejected.
    #[must_use]
    pub fn max_rejects(mut self, limit: RejectLimit) -> Self {
        self.max_rejects = Some(limit);
        self
    }

    /// Lets complete sources count although others are not.
    #[must_use]
    pub fn allow_incomplete(mut self, allow: bool) -> Self {
        self.allow_incomplete = allow;
        self
    }

    /// Skips the proof that records are well-formed: for bytes that were proved before.
    #[must_use]
    pub fn trust_input(mut self, trust: bool) -> Self {
        self.proof = if trust { Proof::Trusted } else { Proof::Full };
        self
    }

    /// Which resource types are wanted.
    #[must_use]
    pub fn select(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Compares the counts with what the sender declared.
    #[must_use]
    pub fn expect(mut self, expectation: Expectation) -> Self {
        self.expectation = Some(expectation);
        self
    }

    /// Lets somebody else stop the run.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// The stored bytes of all sources, if none of them is a stream: what progress is measured against.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.sources.total_bytes()
    }

    /// How the memory will be divided.
    ///
    /// # Errors
    /// [`JobError::Memory`] if it is too little.
    pub fn memory_plan(&self, encoding: Encoding) -> Result<MemoryPlan, JobError> {
        Ok(MemoryPlan::new(self.memory_bytes, self.threads, self.max_line_bytes, encoding)?)
    }

    /// Writes one stream per resource type into a folder.
    ///
    /// # Errors
    /// [`JobError`]; a source that is incomplete is none, but told in the report.
    pub fn split(self, to: &SplitJob, on_event: &mut OnEvent<'_>) -> Result<Report, JobError> {
        split::split(self, to, on_event)
    }

    /// Writes all wanted records to one stream, in the order of the sources.
    ///
    /// # Errors
    /// As [`split`](Self::split). [`RunError::is_closed`](fhirline_flow::RunError::is_closed) tells that nobody reads the
    /// stream any more.
    pub fn cat(self, out: &mut (dyn Write + Send), on_event: &mut OnEvent<'_>) -> Result<Report, JobError> {
        let started = Instant::now();
        let plan = self.memory_plan(Encoding::plain())?;
        let outcome = self.run(Grouping::Together, &mut CatSink::new(out), plan, on_event)?;
        Ok(self.report(&outcome, plan, started))
    }

    /// Counts and measures the records by type; writes nothing.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    pub fn stats(self, on_event: &mut OnEvent<'_>) -> Result<Report, JobError> {
        let started = Instant::now();
        let plan = self.memory_plan(Encoding::plain())?;
        let mut sink = StatsSink::new();
        let outcome = self.run(Grouping::ByType, &mut sink, plan, on_event)?;
        let mut report = self.report(&outcome, plan, started);
        let types = sink.into_types();
        report.lengths =
            types.iter().map(|(destination, stats)| length_report(*destination, stats)).collect();
        Ok(report)
    }

    pub(crate) fn run(
        &self,
        grouping: Grouping,
        sink: &mut dyn Sink,
        memory: MemoryPlan,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Outcome, JobError> {
        let router = Router { proof: self.proof, selection: self.selection.clone(), grouping };
        let options = FlowOptions {
            threads: self.threads,
            max_line_bytes: self.max_line_bytes,
            max_rejects: self.max_rejects,
            allow_incomplete: self.allow_incomplete,
            memory,
            ..FlowOptions::default()
        };
        let entries = self.sources.expand().filter_map(entry);
        let outcome = run(entries, &router, sink, &options, &self.cancel, on_event)?;
        if outcome.sources == 0 {
            return Err(JobError::NothingToRead { skipped: outcome.skipped_entries });
        }
        Ok(outcome)
    }

    pub(crate) fn report(&self, outcome: &Outcome, plan: MemoryPlan, started: Instant) -> Report {
        let reconciliation = self.expectation.as_ref().map(|expected| expected.reconcile(&outcome.totals));
        let account = Account::new(outcome, reconciliation, &plan);
        let status = account.status();
        Report {
            status,
            exit_code: status.code(),
            account,
            memory: Some(memory_report(&plan)),
            seconds: started.elapsed().as_secs_f64(),
            ..Report::default()
        }
    }

    /// The first source that is a path in that folder, the folder itself, or a pattern for what lies in it.
    pub(crate) fn source_in(&self, folder: &Path) -> Option<&OsStr> {
        let folder = folder.canonicalize().ok()?;
        let inside = |text: &&OsString| {
            // What does not exist is a pattern: the folder that it begins in does.
            let existing = Path::new(text).ancestors().find_map(|path| path.canonicalize().ok());
            existing.is_some_and(|path| path.starts_with(&folder))
        };
        self.texts.iter().find(inside).map(OsString::as_os_str)
    }
}

fn entry(found: Result<Found, FetchError>) -> Option<Entry> {
    Some(match found {
        Ok(Found::Source { origin, by }) => Entry::Source { origin, meant: by != FoundBy::Folder },
        // The manifest of a folder was read, though not as a source: nothing to warn of.
        Ok(Found::Skipped { why: SkipReason::Manifest, .. }) => return None,
        Ok(Found::Skipped { name, why }) => Entry::Skipped { name, why: why.to_string() },
        Err(error) => Entry::Lost { name: name_of(&error), error: Box::new(error) },
    })
}

/// What to call something that could not be found.
fn name_of(error: &FetchError) -> String {
    match error {
        FetchError::NotFound { name } | FetchError::Unreadable { name, .. } => name.clone(),
        FetchError::NoMatch { pattern } => pattern.clone(),
        FetchError::MissingOutput { url, .. } | FetchError::OutputOutside { url, .. } => url.clone(),
        _ => "a source".to_owned(),
    }
}
