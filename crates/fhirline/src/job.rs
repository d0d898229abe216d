use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fhirline_core::{Origin, SourceRole, Spools};
use fhirline_fetch::{FetchError, FolderSpools, Found, FoundBy, Network, Selection as Sources, SkipReason};
use fhirline_flow::{
    Cancel, Ceiling, Entry, Event, FlowOptions, MemoryPlan, Outcome, Progress, RejectLimit, RunError,
    note_base, run,
};
use fhirline_line_split::ChunkSize;
use fhirline_route::{Filter, Filters, Grouping, IdRule, Proof, Router, Selection};
use fhirline_sink::{CatSink, Encoding, Sink, StatsSink};

use crate::calls::Calls;
use crate::expectation::DeclaredCounts;
use crate::replay::Replay;
use crate::report::{Account, length_report, memory_report};
use crate::split::{self, SplitJob};
use crate::{Expectation, JobError, Report};

/// Workers that are started unless more are asked for. One thread reads and one commits, so more would wait, and each
/// takes a little of the memory.
const MOST_USUAL_THREADS: usize = 8;

/// What a job takes unless more or less is asked for.
pub(crate) const USUAL_MEMORY_BYTES: u64 = 56 << 20;

/// What the network takes, for sources or a store, beside their bytes: its code, threads, and the buffers of connections. Measured:
/// 2 to 3 MiB more of the program are in memory than without, and 1 MiB is allocated.
pub(crate) const CONNECTION_BYTES: u64 = 3 << 20;

/// What sources beyond this machine hold that is not decoded yet: 6 MiB of 64, and not more than helps; if that does not fit, the
/// least with which downloads keep their pace.
const LEAST_HELD_BYTES: u64 = 3 << 20;
const MOST_HELD_BYTES: u64 = 24 << 20;

/// What is called with each event of a run.
pub type OnEvent<'e> = dyn FnMut(Event<'_>) + 'e;

/// A run over sources: what to read and how. [`to`](Self::to) says where the resources go, and [`run`](crate::JobRun::run) does it.
///
/// ```
/// use fhirline::{ExitStatus, Job, SplitJob};
///
/// let folder = tempfile::tempdir()?;
/// let export = folder.path().join("export.jsonl");
/// std::fs::write(&export, "{\"resourceType\":\"Patient\"}\n{\"resourceType\":\"Goal\"}\nnot a record\n")?;
///
/// let out = folder.path().join("out");
/// let report = Job::new([&export])?.to(SplitJob::to(&out)).run()?;
/// assert_eq!(report.status, ExitStatus::Quarantined);
/// assert_eq!(std::fs::read(out.join("Patient.ndjson"))?, b"{\"resourceType\":\"Patient\"}\n");
/// assert_eq!(std::fs::read(out.join("_quarantine/lines.raw"))?, b"not a record\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Whoever cannot give the output away, but lends it, calls the verb that `run` calls: [`split`](Self::split), [`bundle`](Self::bundle),
/// [`cat`](Self::cat), [`stats`](Self::stats) and [`write_to`](Self::write_to) borrow output and callback, which need not be [`Send`].
#[derive(Clone)]
pub struct Job {
    pub(crate) sources: Sources,
    pub(crate) texts: Vec<OsString>,
    /// The sources are the files of a quarantine, whose records are run again.
    pub(crate) replay: Option<Replay>,
    /// A hash of the request for the export whose files the sources are, if they are.
    pub(crate) export: Option<String>,
    pub(crate) threads: usize,
    pub(crate) memory: Ceiling,
    pub(crate) max_line_bytes: Option<u64>,
    pub(crate) max_ratio: Option<u64>,
    pub(crate) max_decoded_bytes: Option<u64>,
    pub(crate) max_rejects: Option<RejectLimit>,
    pub(crate) allow_incomplete: bool,
    pub(crate) keep_bundles: bool,
    pub(crate) proof: Proof,
    pub(crate) selection: Selection,
    pub(crate) filters: Option<Filters>,
    pub(crate) calls: Calls,
    pub(crate) spool_dir: Option<PathBuf>,
    pub(crate) expectation: Option<Expectation>,
    pub(crate) cancel: Cancel,
    /// For tests: the product uses the default.
    pub(crate) chunk_size: ChunkSize,
    /// For tests, too.
    pub(crate) sync_interval: Duration,
}

/// How a run goes, beside what the job says.
pub(crate) struct Going {
    /// Where lines wait that are too long for memory.
    pub(crate) spools: Arc<dyn Spools>,
    /// Decoded bytes between two checkpoints.
    pub(crate) checkpoint_bytes: Option<u64>,
    /// Where an interrupted run was.
    pub(crate) from: Option<Progress>,
    /// Which ids are good enough.
    pub(crate) ids: IdRule,
    /// Whether what Bundles and their entries say of themselves goes to sidecars.
    pub(crate) keep_entry_metadata: bool,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    /// What to compare the counts with.
    pub(crate) expectation: Option<Expectation>,
}

impl Going {
    /// From the beginning to the end, without checkpoints.
    pub(crate) fn through(spools: impl Spools + 'static) -> Self {
        Self {
            spools: Arc::new(spools),
            checkpoint_bytes: None,
            from: None,
            ids: IdRule::Any,
            keep_entry_metadata: false,
        }
    }
}

impl Job {
    /// A job over sources as a user writes them: files, folders, patterns, `-` for standard input, and, with the features
    /// `http` and `cloud`, URLs. A Bulk Data manifest, be it a file or behind a URL, stands for the files that it names; the status of
    /// an export that a server still makes is waited for.
    ///
    /// # Errors
    /// [`JobError::Sources`] if one of them is none.
    pub fn new<T: AsRef<OsStr>>(sources: impl IntoIterator<Item = T>) -> Result<Self, JobError> {
        let texts: Vec<OsString> = sources.into_iter().map(|text| text.as_ref().to_owned()).collect();
        Ok(Self { texts: texts.clone(), ..Self::over(Sources::parse(&texts)?) })
    }

    /// A job over sources that somebody else opens: what a client of another API gives, say. A run that was interrupted goes on if they
    /// are called the same, and are the same to their [identity](Origin::identity).
    #[must_use]
    pub fn of_origins(origins: impl IntoIterator<Item = Arc<dyn Origin>>) -> Self {
        Self::over(Sources::of_origins(origins.into_iter().map(|origin| (origin, SourceRole::Data, None))))
    }

    fn over(sources: Sources) -> Self {
        Self {
            sources,
            texts: Vec::new(),
            replay: None,
            export: None,
            threads: thread::available_parallelism().map_or(1, usize::from).min(MOST_USUAL_THREADS),
            memory: Ceiling::beside(USUAL_MEMORY_BYTES),
            max_line_bytes: None,
            max_ratio: None,
            max_decoded_bytes: None,
            max_rejects: None,
            allow_incomplete: false,
            keep_bundles: false,
            proof: Proof::Full,
            selection: Selection::default(),
            filters: None,
            calls: Calls::default(),
            spool_dir: None,
            expectation: None,
            cancel: Cancel::new(),
            chunk_size: ChunkSize::default(),
            sync_interval: FlowOptions::default().sync_interval,
        }
    }

    /// Workers; as many as the machine has cores, but 8 at most, unless set. The outputs do not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// A ceiling on the resident memory of the whole process, in bytes: for a program that does nothing else. What it held before
    /// its first job is taken off first. Decoded outputs do not depend on it.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory = bytes.into();
        self
    }

    /// What the job may take beside all that the process holds otherwise, in bytes; 56 MiB unless this or
    /// [`memory_bytes`](Self::memory_bytes) is set, which in a small program comes to 64 MiB. Jobs that run at the same time take as
    /// much each. Decoded outputs do not depend on it.
    #[must_use]
    pub fn memory_beside_bytes(mut self, bytes: u64) -> Self {
        self.memory = Ceiling::beside(bytes);
        self
    }

    /// Longer lines go to quarantine, in bytes without line end; none unless set, for a line of any length passes through.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: Option<u64>) -> Self {
        self.max_line_bytes = bytes;
        self
    }

    /// Refuses a compressed source that grows to more than so many times its stored length; none unless set. A guard against
    /// decompression bombs.
    #[must_use]
    pub fn max_ratio(mut self, ratio: Option<u64>) -> Self {
        self.max_ratio = ratio;
        self
    }

    /// Refuses a source with more decoded bytes than that; none unless set.
    #[must_use]
    pub fn max_decoded_bytes(mut self, bytes: Option<u64>) -> Self {
        self.max_decoded_bytes = bytes;
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

    /// Delivers Bundles as records like any other instead of the resources in them. Unless set, only Bundles that mean something
    /// as a whole are delivered so: documents, messages and notifications.
    #[must_use]
    pub fn keep_bundles(mut self, keep: bool) -> Self {
        self.keep_bundles = keep;
        self
    }

    /// Where lines wait that are too long for memory; in the system's folder for temporary files unless set. For batches, streams,
    /// [`Output::Cat`](crate::Output::Cat), [`Output::Stats`](crate::Output::Stats), and sinks whose [`SinkJob`](crate::SinkJob) names
    /// no other; [`SplitJob`] and [`BundleJob`](crate::BundleJob) have folders of their own.
    #[must_use]
    pub fn spool_dir(mut self, folder: Option<PathBuf>) -> Self {
        self.spool_dir = folder;
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

    /// Which resources of the wanted types are kept: the caller's own rule. Of several each has to keep a resource.
    #[must_use]
    pub fn filter(mut self, filter: impl Filter + 'static) -> Self {
        self.filters = Some(Filters::with(self.filters.as_ref(), Arc::new(filter)));
        self
    }

    /// Compares the counts with what the sender declared. Unless set, they are compared with what manifests declare through which
    /// folders are read, if these give the type and the count of every source.
    #[must_use]
    pub fn expect(mut self, expectation: Expectation) -> Self {
        self.expectation = Some(expectation);
        self
    }

    /// Asks servers and object stores like this, also those that are written to.
    ///
    /// # Errors
    /// [`JobError::Sources`] for a source that may not be asked for so.
    pub fn network(mut self, network: Network) -> Result<Self, JobError> {
        self.note_base_before_asking();
        self.sources = self.sources.with_network(network)?;
        Ok(self.watched())
    }

    /// Whoever stops the run ends a wait for sources, too.
    fn watched(self) -> Self {
        #[cfg(feature = "http")]
        {
            let cancel = self.cancel.clone();
            let sources = self.sources.stopped_by(move || cancel.is_cancelled());
            Self { sources, ..self }
        }
        #[cfg(not(feature = "http"))]
        self
    }

    /// Whoever waited for a source may have been told to stop.
    pub(crate) fn check_cancel(&self) -> Result<(), JobError> {
        if self.cancel.is_cancelled() { Err(RunError::Cancelled.into()) } else { Ok(()) }
    }

    /// What asking servers and stores takes is in the plan by itself.
    fn note_base_before_asking(&self) {
        if self.sources.is_remote() {
            note_base();
        }
    }

    /// What of the ceiling is for the network beside uploads, if it fits, and the least that does; `far` if the destination is beyond
    /// this machine.
    pub(crate) fn network_bytes(&self, far: bool) -> (u64, u64) {
        if self.sources.is_remote() {
            let usual = (self.memory.bytes() / 32 * 3).clamp(LEAST_HELD_BYTES, MOST_HELD_BYTES);
            return (CONNECTION_BYTES + usual, CONNECTION_BYTES + LEAST_HELD_BYTES);
        }
        let bytes = if far { CONNECTION_BYTES } else { 0 };
        (bytes, bytes)
    }

    /// Lets somebody else stop the run.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self.watched()
    }

    /// The stored bytes of all sources, if none of them is a stream: what progress is measured against.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.note_base_before_asking();
        self.replay.as_ref().map(Replay::raw_bytes).or_else(|| self.sources.total_bytes())
    }

    /// How the memory will be divided.
    ///
    /// # Errors
    /// [`JobError::Memory`] if it is too little.
    pub fn memory_plan(&self, encoding: Encoding) -> Result<MemoryPlan, JobError> {
        let (ceiling, threads) = (self.memory, self.threads);
        let plan = |bytes| MemoryPlan::with_network(bytes, 0, ceiling, threads, encoding);
        let (usual, least) = self.network_bytes(false);
        Ok(plan(usual).or_else(|_| plan(least))?)
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
        let going = Going::through(self.spools(None));
        let ran = self.run(Grouping::Together, &mut CatSink::new(out), plan, going, on_event)?;
        Ok(self.report(&ran, plan).after(started))
    }

    /// Counts and measures the records by type; writes nothing.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    pub fn stats(self, on_event: &mut OnEvent<'_>) -> Result<Report, JobError> {
        let started = Instant::now();
        let plan = self.memory_plan(Encoding::plain())?;
        let mut sink = StatsSink::new();
        let going = Going::through(self.spools(None));
        let ran = self.run(Grouping::ByType, &mut sink, plan, going, on_event)?;
        let mut report = self.report(&ran, plan);
        let types = sink.into_types();
        report.lengths =
            types.iter().map(|(destination, stats)| length_report(*destination, stats)).collect();
        Ok(report.after(started))
    }

    /// Where lines wait that are too long for memory, unless the output names another folder.
    pub(crate) fn spools(&self, of_output: Option<&PathBuf>) -> FolderSpools {
        FolderSpools::new(of_output.or(self.spool_dir.as_ref()).cloned().unwrap_or_else(env::temp_dir))
    }

    pub(crate) fn run(
        &self,
        grouping: Grouping,
        sink: &mut dyn Sink,
        memory: MemoryPlan,
        going: Going,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Ran, JobError> {
        let (proof, selection, ids) = (self.proof, self.selection.clone(), going.ids);
        self.calls.begin();
        let filters = self.filters.as_ref().map(|filters| self.calls.watched(filters));
        let router = Router { proof, selection, grouping, ids, filters };
        let options = FlowOptions {
            threads: self.threads,
            max_line_bytes: self.max_line_bytes,
            max_ratio: self.max_ratio,
            max_decoded_bytes: self.max_decoded_bytes,
            max_rejects: self.max_rejects,
            allow_incomplete: self.allow_incomplete,
            memory,
            spools: going.spools,
            checkpoint_bytes: going.checkpoint_bytes,
            from: going.from,
            keep_bundles: self.keep_bundles,
            keep_entry_metadata: going.keep_entry_metadata,
            places: self.replay.as_ref().map(Replay::places),
            chunk_size: self.chunk_size,
            sync_interval: self.sync_interval,
            ..FlowOptions::default()
        };
        let declared = Arc::new(Mutex::new(DeclaredCounts::new(self.keep_bundles)));
        let held_bytes = memory.download_bytes.saturating_sub(CONNECTION_BYTES);
        let entries = self.entries_counted(Arc::clone(&declared), held_bytes);
        let outcome = run(entries, &router, sink, &options, &self.cancel, on_event);
        let outcome = outcome.map_err(|error| self.calls.blamed(error.into()))?;
        if outcome.sources == 0 {
            return Err(JobError::NothingToRead { skipped: outcome.skipped_entries });
        }
        let declared = std::mem::take(&mut *declared.lock().unwrap_or_else(PoisonError::into_inner));
        // What is missing is missing in the counts too, and told by itself.
        let is_whole = outcome.failed_sources == 0;
        let declared = declared.expectation().filter(|_| is_whole);
        let expectation = self.expectation.clone().or(declared);
        Ok(Ran { outcome, expectation })
    }

    /// The sources, and what is passed over, in the order in which they are read.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> + Send {
        self.entries_counted(Arc::default(), LEAST_HELD_BYTES)
    }

    /// The same, with so many bytes on their way; what manifests declare of them is added up.
    fn entries_counted(
        &self,
        declared: Arc<Mutex<DeclaredCounts>>,
        held_bytes: u64,
    ) -> impl Iterator<Item = Entry> + Send + use<> {
        let replayed = self.replay.as_ref().map(Replay::entries);
        let selected = self.replay.is_none().then(|| {
            let note = move |found: &Result<Found, FetchError>| {
                declared.lock().unwrap_or_else(PoisonError::into_inner).note(found);
            };
            let held_bytes = usize::try_from(held_bytes).unwrap_or(usize::MAX);
            self.sources.expand_ahead(held_bytes).inspect(note).filter_map(entry)
        });
        replayed.into_iter().flatten().chain(selected.into_iter().flatten())
    }

    pub(crate) fn report(&self, ran: &Ran, plan: MemoryPlan) -> Report {
        let Ran { outcome, expectation } = ran;
        let reconciliation = expectation.as_ref().map(|expected| expected.reconcile(&outcome.totals));
        let account = Account::new(outcome, reconciliation, &plan);
        let status = account.status();
        Report {
            status,
            exit_code: status.code(),
            account,
            memory: Some(memory_report(&plan)),
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
        Ok(Found::Source { origin, by, role, .. }) => {
            Entry::Source { origin, meant: by != FoundBy::Folder, role }
        }
        // The manifest of a folder was read, though not as a source: nothing to warn of.
        Ok(Found::Skipped { why: SkipReason::Manifest, .. }) => return None,
        Ok(Found::Skipped { name, why }) => Entry::Skipped { name, why: why.to_string() },
        Err(error) => Entry::Lost { name: name_of(&error), error: Box::new(error) },
    })
}

impl fmt::Debug for Job {
    /// Without the sources as they were given: queries of URLs may be keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("sources", &self.sources)
            .field("threads", &self.threads)
            .field("memory", &self.memory)
            .field("selection", &self.selection)
            .field("filters", &self.filters)
            .finish_non_exhaustive()
    }
}

/// Starts a thread for a job.
pub(crate) fn spawned<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, JobError> {
    let thread = thread::Builder::new().name("fhirline-job".into());
    thread.spawn(job).map_err(|error| JobError::Run(RunError::Threads(error.into())))
}

/// What to call something that could not be found.
pub(crate) fn name_of(error: &FetchError) -> String {
    match error {
        FetchError::NotFound { name }
        | FetchError::Unreadable { name, .. }
        | FetchError::BadManifest { name }
        | FetchError::NextPage { name } => name.clone(),
        FetchError::NoMatch { pattern } => pattern.clone(),
        FetchError::MissingOutput { url, .. } | FetchError::OutputOutside { url, .. } => url.clone(),
        #[cfg(feature = "http")]
        FetchError::Http { url, .. } | FetchError::BulkData { url, .. } => url.clone(),
        _ => "a source".to_owned(),
    }
}
