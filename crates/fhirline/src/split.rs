use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use fhirline_core::{ChecksumKind, NoSpools};
use fhirline_fetch::{FolderSpools, FolderStore};
use fhirline_flow::MemoryPlan;
use fhirline_route::Grouping;
use fhirline_sink::{Encoding, StatsSink};

#[cfg(feature = "http")]
use fhirline_core::Store;

#[cfg(feature = "http")]
use crate::destination::{self, Holds};
use crate::job::{Going, OnEvent};
use crate::{Job, JobError, Report};

#[cfg(feature = "cloud")]
mod cloud;
mod known;
mod run;
mod start;
mod target;

#[cfg(all(test, feature = "cloud"))]
mod broken_connection;
#[cfg(test)]
mod dying_store;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod tests;

pub(crate) use known::Known;
use run::Run;
pub(crate) use target::Target;
pub use target::is_object_store;
#[cfg(not(feature = "cloud"))]
pub(crate) use target::lacks_feature;

#[cfg(feature = "cloud")]
use cloud::into_store;
#[cfg(all(feature = "cloud", feature = "http"))]
use cloud::present_prefix;
#[cfg(not(feature = "cloud"))]
use target::into_store;
#[cfg(all(not(feature = "cloud"), feature = "http"))]
use target::present_prefix;

/// Decoded bytes between two checkpoints unless set otherwise.
pub(crate) const CHECKPOINT_BYTES: u64 = 64 << 20;

/// Where a split writes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitJob {
    target: Target,
    pub(crate) spool_dir: Option<PathBuf>,
    encoding: Encoding,
    checksum: Option<ChecksumKind>,
    max_file_bytes: Option<u64>,
    max_file_records: Option<u64>,
    keep_entry_metadata: bool,
    durable: bool,
    pub(crate) overwrite: bool,
    checkpoint_bytes: Option<u64>,
}

impl SplitJob {
    /// Into that folder, which is made if it does not exist; or below that prefix of an object store, if it is a URL
    /// (`s3://bucket/prefix`, `gs://`, `az://`), which needs the feature `cloud`.
    pub fn to(destination: impl Into<PathBuf>) -> Self {
        Self {
            target: Target::of(destination.into()),
            spool_dir: None,
            encoding: Encoding::plain(),
            checksum: Some(ChecksumKind::Crc32c),
            max_file_bytes: None,
            max_file_records: None,
            keep_entry_metadata: false,
            durable: true,
            overwrite: false,
            checkpoint_bytes: Some(CHECKPOINT_BYTES),
        }
    }

    /// How outputs are compressed; not at all unless set.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// How outputs are hashed; CRC-32C unless set.
    #[must_use]
    pub fn checksum(mut self, checksum: Option<ChecksumKind>) -> Self {
        self.checksum = checksum;
        self
    }

    /// Goes on in another file before one holds more plain bytes than that.
    #[must_use]
    pub fn max_file_bytes(mut self, bytes: Option<u64>) -> Self {
        self.max_file_bytes = bytes;
        self
    }

    /// Goes on in another file before one holds more records than that.
    #[must_use]
    pub fn max_file_records(mut self, records: Option<u64>) -> Self {
        self.max_file_records = records;
        self
    }

    /// Keeps what Bundles say of themselves in `_bundles.ndjson`, and what their entries say beside their resources in
    /// `_entry_metadata.ndjson`; it is only counted unless set. Entries without a resource are always kept, in
    /// `_entries.ndjson`.
    #[must_use]
    pub fn keep_entry_metadata(mut self, keep: bool) -> Self {
        self.keep_entry_metadata = keep;
        self
    }

    /// Whether the end of the run waits until everything is safe on the disk; it does unless set. If it does not, the
    /// system decides when, and nobody is told if it fails then: some (NFS, quotas) tell only when a file is closed or synced.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Replaces a complete run that the folder holds, and begins an interrupted one afresh.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// How many decoded bytes are committed before the state of the run is noted again, so that the same job can go on
    /// there after an interruption; 64 MiB unless set, never if `None`.
    #[must_use]
    pub fn checkpoint_bytes(mut self, bytes: Option<u64>) -> Self {
        self.checkpoint_bytes = bytes;
        self
    }

    /// Where bytes wait on the disk: lines that are too long for memory, and what is on its way to an object store. Unless set
    /// that is the destination if it is a folder, else the system's folder for temporary files.
    #[must_use]
    pub fn spool_dir(mut self, folder: Option<PathBuf>) -> Self {
        self.spool_dir = folder;
        self
    }

    /// The folder to write to, if it is one.
    #[cfg(feature = "http")]
    pub(crate) fn folder(&self) -> Option<&Path> {
        match &self.target {
            Target::Folder(folder) => Some(folder),
            Target::Url(_) => None,
        }
    }

    pub(crate) fn name(&self) -> String {
        self.target.name()
    }

    pub(crate) fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> JobError {
        let name = self.name();
        move |source| JobError::Destination { action, name, source }
    }
}

impl Job {
    /// How the memory will be divided for [`split`](Self::split), with what is on its way up if the outputs go to a store.
    ///
    /// # Errors
    /// [`JobError::Memory`] if it is too little.
    pub fn split_memory_plan(&self, to: &SplitJob) -> Result<MemoryPlan, JobError> {
        #[cfg(feature = "cloud")]
        if let Target::Url(_) = &to.target {
            return cloud::memory_plan(self, to).map(|(plan, _)| plan);
        }
        folder_plan(self, to)
    }
}

/// Files are written in large pieces. A store far away takes larger ones still, and has its own place for them.
fn folder_plan(job: &Job, to: &SplitJob) -> Result<MemoryPlan, JobError> {
    job.memory_plan(to.encoding).map(MemoryPlan::with_waiting_writes)
}

/// A split into a folder or an object store, which is claimed for as long as it takes.
pub(crate) fn split(job: Job, to: &SplitJob, on_event: &mut OnEvent<'_>) -> Result<Report, JobError> {
    let started = Instant::now();
    let report = match &to.target {
        Target::Folder(folder) => into_folder(job, to, folder, on_event),
        Target::Url(url) => into_store(job, to, url, on_event),
    };
    report.map(|report| report.after(started))
}

fn into_folder(
    mut job: Job,
    to: &SplitJob,
    path: &Path,
    on_event: &mut OnEvent<'_>,
) -> Result<Report, JobError> {
    let plan = folder_plan(&job, to)?;
    check_places(&job, to, path)?;
    job.sources = job.sources.excluding(path).map_err(to.failed("find"))?;
    let known = Known::of(&job, to);
    job.check_cancel()?;
    if !known.any_source {
        return Err(nothing_to_read(&job, plan, on_event));
    }
    let is_new = !path.exists();
    let folder = FolderStore::open(path).map_err(to.failed("make"))?;
    // Held until the end: two runs on one folder would take each other's files for leftovers.
    let _claim = folder.claim().map_err(|error| not_claimed(to, error))?;
    let spools = Arc::new(FolderSpools::new(to.spool_dir.as_deref().unwrap_or(path)));
    let result = Run { job: &job, to, plan, known, store: Arc::new(folder), spools }.run(on_event);
    if is_new && matches!(result, Err(JobError::NothingToRead { .. })) {
        // Empty again; if somebody else has put something there, it stays.
        let _ = fs::remove_dir(path);
    }
    result
}

/// The report of a split of the job's export that is complete already. Looked for before a server is asked, so that nothing is
/// exported for a folder that is not free.
#[cfg(feature = "http")]
pub(crate) fn recorded_export(job: &Job, to: &SplitJob) -> Result<Option<Report>, JobError> {
    let store = match &to.target {
        Target::Folder(folder) => present_folder(job, to, folder)?,
        Target::Url(_) => present_prefix(job, to)?,
    };
    let Some(store) = store else { return Ok(None) };
    match destination::look(&*store).map_err(to.failed("look into"))? {
        Holds::Others => Err(JobError::NotOurs { name: to.name() }),
        Holds::Complete(manifest) if !to.overwrite => {
            let differences = Known::of(job, to).differences(&manifest.extension.fhirline.options);
            if !differences.is_empty() {
                return Err(JobError::OtherRun { name: to.name(), differences });
            }
            match destination::damaged(&*store, &manifest).map_err(to.failed("look into"))? {
                Some(file) => Err(JobError::Damaged { name: to.name(), file }),
                None => Ok(Some(start::recorded(*manifest))),
            }
        }
        _ => Ok(None),
    }
}

/// The folder, if it is there.
#[cfg(feature = "http")]
fn present_folder(job: &Job, to: &SplitJob, folder: &Path) -> Result<Option<Box<dyn Store>>, JobError> {
    check_places(job, to, folder)?;
    if !folder.exists() {
        return Ok(None);
    }
    let store = FolderStore::open(folder).map_err(to.failed("look into"))?;
    Ok(Some(Box::new(store)))
}

/// Before anything is made or replaced; the walk says what was passed over.
fn nothing_to_read(job: &Job, plan: MemoryPlan, on_event: &mut OnEvent<'_>) -> JobError {
    let going = Going::through(NoSpools);
    let outcome = job.run(Grouping::ByType, &mut StatsSink::new(), plan, going, on_event);
    outcome.err().unwrap_or(JobError::NothingToRead { skipped: 0 })
}

fn not_claimed(to: &SplitJob, error: io::Error) -> JobError {
    match error.kind() {
        io::ErrorKind::ResourceBusy => JobError::InUse { name: to.name() },
        _ => to.failed("claim")(error),
    }
}

/// Refuses destinations that cannot be right, before anything is made.
fn check_places(job: &Job, to: &SplitJob, folder: &Path) -> Result<(), JobError> {
    if folder.exists() && !folder.is_dir() {
        return Err(JobError::NotAFolder { name: to.name() });
    }
    match job.source_in(folder) {
        None => job.replay.as_ref().map_or(Ok(()), |replay| Ok(replay.check_destination(folder)?)),
        Some(text) => {
            Err(JobError::SourceInDestination { source_name: Path::new(text).display().to_string() })
        }
    }
}
