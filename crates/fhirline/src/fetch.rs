use std::io;
use std::path::PathBuf;
use std::time::Instant;

use fhirline_core::ChecksumKind;
use fhirline_fetch::{FolderClaim, FolderStore, Found, SkipReason};

use crate::job::name_of;
use crate::report::SkippedReport;
use crate::{Job, JobError};

mod copy;
mod crew;
mod error;
mod event;
pub(crate) mod manifest;
mod names;
pub(crate) mod note;
mod report;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod wanted;

#[cfg(test)]
mod tests;

pub use error::DownloadError;
pub use event::FetchEvent;
pub use report::{FetchFailureReport, FetchReport, FetchedReport};

use run::Run;
use wanted::Wanted;

/// Files that are fetched at the same time unless set otherwise.
const MAX_DOWNLOADS: usize = 4;

/// Most files of one download: as many as a Bulk Data manifest may name here. All of them are noted, and held in memory.
const MAX_FILES: usize = 1 << 16;

/// Skipped names that are listed.
const MOST_LISTED: usize = 1000;

/// What is called with each event of a download.
pub type OnFetch<'e> = dyn FnMut(&FetchEvent) + 'e;

/// Where sources are downloaded to as they are, and how.
///
/// The stored bytes are copied: what is compressed stays so. A file is called `NAME.partial` while it comes, and `NAME` once
/// it is complete; `manifest.json` comes when all are. The same job again goes on where an interrupted one was.
///
/// ```
/// use fhirline::{ExitStatus, FetchJob, Job};
///
/// let folder = tempfile::tempdir()?;
/// let export = folder.path().join("export.jsonl");
/// std::fs::write(&export, "{\"resourceType\":\"Patient\"}\n")?;
///
/// let out = folder.path().join("out");
/// let report = Job::new([&export])?.fetch(&FetchJob::to(&out), &mut |_| {})?;
/// assert_eq!(report.status, ExitStatus::Complete);
/// assert_eq!(std::fs::read(out.join("export.jsonl"))?, std::fs::read(&export)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchJob {
    pub(crate) folder: PathBuf,
    max_downloads: usize,
    checksum: Option<ChecksumKind>,
    pub(crate) durable: bool,
    pub(crate) overwrite: bool,
}

impl FetchJob {
    /// Into that folder, which is made if it does not exist.
    pub fn to(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            max_downloads: MAX_DOWNLOADS,
            checksum: Some(ChecksumKind::Crc32c),
            durable: true,
            overwrite: false,
        }
    }

    /// How many files are fetched at the same time, at least 1; 4 unless set. The result does not depend on it.
    #[must_use]
    pub fn max_downloads(mut self, downloads: usize) -> Self {
        self.max_downloads = downloads.max(1);
        self
    }

    /// How files are hashed; CRC-32C unless set.
    #[must_use]
    pub fn checksum(mut self, checksum: Option<ChecksumKind>) -> Self {
        self.checksum = checksum;
        self
    }

    /// Whether a file is safe on the disk before it has its final name; it is unless set. If it is not,
    /// the system decides when, and nobody is told if it fails then: some (NFS, quotas) tell only when a file is closed or synced.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Replaces a complete download that the folder holds, and begins an interrupted one afresh.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    pub(crate) fn name(&self) -> String {
        self.folder.display().to_string()
    }

    pub(crate) fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> JobError {
        let name = self.name();
        move |source| JobError::Destination { action, name, source }
    }
}

impl Job {
    /// Downloads the sources into a folder, byte for byte. What a record is does not matter here: of the job's options, only
    /// the sources and [`cancelled_by`](Self::cancelled_by) count.
    ///
    /// # Errors
    /// [`JobError`]; a source that is incomplete is none, but told in the report.
    pub fn fetch(mut self, to: &FetchJob, on_event: &mut OnFetch<'_>) -> Result<FetchReport, JobError> {
        let started = Instant::now();
        if to.folder.exists() && !to.folder.is_dir() {
            return Err(JobError::NotAFolder { name: to.name() });
        }
        if let Some(text) = self.source_in(&to.folder) {
            return Err(JobError::SourceInDestination { source_name: text.to_string_lossy().into_owned() });
        }
        self.sources = self.sources.excluding(&to.folder).map_err(to.failed("find"))?;
        let (wanted, skipped) = self.wanted(to.max_downloads, on_event)?;
        let store = FolderStore::open(&to.folder).map_err(to.failed("make"))?;
        // Held until the end: two runs on one folder would take each other's files for leftovers.
        let _claim = claim(&store, to)?;
        let run = Run { to, store: &store, cancel: &self.cancel, wanted: &wanted, export: None };
        let mut report = run.run(on_event)?;
        report.skipped = skipped.count;
        report.skipped_names = skipped.first;
        Ok(report.after(started))
    }

    /// All that is to be fetched, in the order in which it is named.
    fn wanted(
        &self,
        max_downloads: usize,
        on_event: &mut OnFetch<'_>,
    ) -> Result<(Vec<Wanted>, Skipped), JobError> {
        let (mut wanted, mut skipped) = (Vec::new(), Skipped::default());
        for found in self.sources.expand_together(max_downloads) {
            match found {
                Ok(Found::Source { origin, role, declared, .. }) => {
                    wanted.push(Wanted::listed(origin, role, declared.unwrap_or_default()));
                }
                // The manifest of a folder was read, though not as a source: nothing to warn of.
                Ok(Found::Skipped { why: SkipReason::Manifest, .. }) => {}
                Ok(Found::Skipped { name, why }) => {
                    on_event(&FetchEvent::Skipped { name: name.clone(), why: why.to_string() });
                    skipped.add(name, why.to_string());
                }
                Err(error) => wanted.push(Wanted::lost(name_of(&error), error)),
            }
            if wanted.len() > MAX_FILES {
                return Err(JobError::TooManySources { most: MAX_FILES });
            }
        }
        if wanted.is_empty() {
            return Err(JobError::NothingToRead { skipped: skipped.count });
        }
        Ok((wanted, skipped))
    }
}

/// What was not fetched: how many, and the first of them.
#[derive(Default)]
struct Skipped {
    count: u64,
    first: Vec<SkippedReport>,
}

impl Skipped {
    fn add(&mut self, name: String, why: String) {
        self.count += 1;
        if self.first.len() < MOST_LISTED {
            self.first.push(SkippedReport { name, why });
        }
    }
}

pub(crate) fn claim(store: &FolderStore, to: &FetchJob) -> Result<FolderClaim, JobError> {
    store.claim().map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => JobError::InUse { name: to.name() },
        _ => to.failed("claim")(error),
    })
}
