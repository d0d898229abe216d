use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use fhirline_core::Destination;
use fhirline_fetch::Network;
use fhirline_flow::{Cancel, Ceiling, MemoryPlan, RunError};
use fhirline_sink::{BundleFiles, Encoding};

use super::MOST_LISTED;
use super::target::{Held, Opening, Place, Target};
#[cfg(feature = "cloud")]
use crate::job::CONNECTION_BYTES;
use crate::job::USUAL_MEMORY_BYTES;
use crate::manifest::{self, Manifest};
use crate::report::output_report;
use crate::{ExitStatus, JobError, OutputReport};

mod assembly;
mod error;
mod layout;
mod output;
#[cfg(test)]
mod tests;
mod told;

pub use error::RestoreError;

use assembly::{Assembly, Memory, Outputs, Tally};
use layout::Layout;
use output::Output;
use told::Told;

/// Outputs that are read at once. FHIR has some 150 types of resources.
const MOST_OUTPUTS: usize = 512;

/// Gives back the Bundles that were split with [`keep_entry_metadata`](crate::SplitJob::keep_entry_metadata).
///
/// What comes out are the Bundles that were read, in order, up to white space, the order of the members of a Bundle (`entry`
/// comes last) and of an entry (`resource` comes last), and an `entry` without anything in it, which is left out.
///
/// The run must have read nothing but whole Bundles and must have delivered all that is in them: which record came from
/// where is known by their order alone. Otherwise it is refused, and nothing has its final name.
///
/// ```
/// use fhirline::{Job, RestoreJob, SplitJob};
///
/// let folder = tempfile::tempdir()?;
/// let [source, out, again] = ["bundle.json", "out", "again.json"].map(|name| folder.path().join(name));
/// let bundle = r#"{"resourceType":"Bundle","type":"collection","entry":[
/// {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Goal"}}]}
/// "#;
/// std::fs::write(&source, bundle)?;
/// Job::new([&source])?.split(&SplitJob::to(&out).keep_entry_metadata(true), &mut |_| {})?;
///
/// let report = RestoreJob::new(&out, &again).run()?;
/// assert_eq!((report.bundles, report.entries), (1, 1));
/// assert_eq!(std::fs::read_to_string(&again)?, bundle);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RestoreJob {
    run: PathBuf,
    path: PathBuf,
    pretty: bool,
    durable: bool,
    overwrite: bool,
    memory: Ceiling,
    spool_dir: Option<PathBuf>,
    network: Network,
    cancel: Cancel,
}

/// What came of restoring Bundles.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RestoreReport {
    /// How it ended; also the exit status of the command line.
    pub status: ExitStatus,
    /// The exit status as a number.
    pub exit_code: u8,
    /// Bundles written; the first 1,000 are listed among the outputs.
    pub bundles: u64,
    /// Their entries.
    pub entries: u64,
    /// Their resources.
    pub resources: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The Bundles, in order.
    pub outputs: Vec<OutputReport>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl RestoreJob {
    /// From the folder that a split has left to a path as [`BundleJob::to`](crate::BundleJob::to) takes it; each Bundle has a file.
    pub fn new(run: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        Self {
            run: run.into(),
            path: to.into(),
            pretty: false,
            durable: true,
            overwrite: false,
            memory: Ceiling::beside(USUAL_MEMORY_BYTES),
            spool_dir: None,
            network: Network::default(),
            cancel: Cancel::new(),
        }
    }

    /// Lays white space between tokens out for people. Nothing else is changed.
    #[must_use]
    pub fn pretty(mut self, pretty: bool) -> Self {
        self.pretty = pretty;
        self
    }

    /// Whether the end waits until everything is safe on the disk; it does unless set. If it does not, the
    /// system decides when, and nobody is told if it fails then: some (NFS, quotas) tell only when a file is closed or synced.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Replaces Bundles of the same names once the new ones are complete.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// A ceiling on the resident memory of the whole process, in bytes; unless set, the job may take 56 MiB beside what the process
    /// holds otherwise.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory = bytes.into();
        self
    }

    /// What the job may take beside all that the process holds otherwise, in bytes.
    #[must_use]
    pub fn memory_beside_bytes(mut self, bytes: u64) -> Self {
        self.memory = Ceiling::beside(bytes);
        self
    }

    /// Where bytes wait on the disk that are on their way to an object store; the system's folder for temporary files unless set.
    #[must_use]
    pub fn spool_dir(mut self, folder: Option<PathBuf>) -> Self {
        self.spool_dir = folder;
        self
    }

    /// Asks an object store like this.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Lets somebody else stop it.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Does it.
    ///
    /// # Errors
    /// [`JobError`], mostly [`JobError::Restore`].
    pub fn run(self) -> Result<RestoreReport, JobError> {
        let started = Instant::now();
        let target = Target::of(&self.path)?;
        let (plan, upload_bytes) = self.plan(&target)?;
        let kept = self.kept(&self.manifest()?, plan)?;
        if target.is_within(&self.run) {
            return Err(RestoreError::WithinRun { name: self.path.display().to_string() }.into());
        }
        let held = target.open(&mut Opening {
            overwrite: self.overwrite,
            spool_dir: &target.spool_dir(self.spool_dir.as_deref()),
            upload_bytes,
            copies: false,
            network: &self.network,
            cancel: &self.cancel,
            on_wait: &mut |_, _| (),
        })?;
        let restored = self.restore(kept, &target, &held);
        if restored.is_err() {
            // What is half done is of no use to anybody; what went wrong before is what matters.
            let _ = target.remove_partials(&*held.store);
            target.give_up(&held);
        }
        Ok(RestoreReport { seconds: started.elapsed().as_secs_f64(), ..restored? })
    }

    /// How the memory is divided, and how much of it is for uploads.
    fn plan(&self, target: &Target) -> Result<(MemoryPlan, u64), JobError> {
        let plan = |network_bytes, upload_bytes| {
            MemoryPlan::with_network(network_bytes, upload_bytes, self.memory, 1, Encoding::plain())
        };
        match target.place {
            Place::Folder(_) => Ok((plan(0, 0)?, 0)),
            #[cfg(feature = "cloud")]
            Place::Prefix(_) => {
                let network_bytes = (CONNECTION_BYTES, CONNECTION_BYTES);
                Ok(crate::prefix::plan_with_uploads(self.memory, network_bytes, plan)?)
            }
        }
    }

    fn restore(&self, kept: Kept, target: &Target, held: &Held) -> Result<RestoreReport, JobError> {
        let files = BundleFiles::create(Arc::clone(&held.store), target.names.clone())?;
        let _claim = target.claim_first()?;
        let Kept { bundles, entries, outputs } = kept;
        let (layout, tally) = (Layout::new(files, self.pretty), Tally::default());
        let mut assembly = Assembly { bundles, entries, outputs, layout, cancel: &self.cancel, tally };
        assembly.all()?;
        let Assembly { layout, tally, .. } = assembly;
        let bundles = layout.bundles;
        let finished = layout.files.finish_alone(self.durable)?;
        if !self.cancel.pass_stopping() {
            return Err(RunError::Cancelled.into());
        }
        let report = RestoreReport {
            bundles,
            entries: tally.entries,
            resources: tally.resources,
            bytes: finished.bundles().map(|bundle| bundle.stored_bytes).sum(),
            outputs: finished.bundles().take(MOST_LISTED).map(output_report).collect(),
            ..RestoreReport::default()
        };
        target.seal(held, finished)?;
        Ok(report)
    }

    fn name(&self) -> String {
        self.run.display().to_string()
    }

    fn manifest(&self) -> Result<Manifest, RestoreError> {
        let path = self.run.join(manifest::NAME);
        let fits = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= manifest::MAX_BYTES);
        let read = fits.then(|| fs::read(&path).ok()).flatten();
        let manifest = read.and_then(|json| serde_json::from_slice(&json).ok());
        manifest.ok_or_else(|| RestoreError::NoRun { name: self.name() })
    }

    /// What the run has left of its Bundles, if that is all of them.
    fn kept(&self, manifest: &Manifest, plan: MemoryPlan) -> Result<Kept, RestoreError> {
        self.check_account(manifest)?;
        let bundles = sidecar(manifest, Destination::Bundles);
        if bundles.is_empty() {
            return Err(RestoreError::NoMetadata { name: self.name() });
        }
        let bundles = Told::new(Output::new(Destination::Bundles.name(), &self.run, bundles));
        // A Bundle without any entry tells nothing of entries.
        let entries = sidecar(manifest, Destination::EntryMetadata);
        let entries = Told::new(Output::new(Destination::EntryMetadata.name(), &self.run, entries));
        let mut files: BTreeMap<String, Vec<OutputReport>> = BTreeMap::new();
        for file in manifest.outputs() {
            let name = file.resource_type.clone().unwrap_or_default();
            files.entry(name).or_default().push(file);
        }
        let bare = sidecar(manifest, Destination::Entries);
        if !bare.is_empty() {
            files.insert(Destination::Entries.name().to_owned(), bare);
        }
        let (outputs, most) = (files.len(), MOST_OUTPUTS);
        if outputs > most {
            return Err(RestoreError::TooManyOutputs { name: self.name(), outputs, most });
        }
        let output = |(name, files): (String, _)| (name.clone(), Output::new(&name, &self.run, files));
        let ceiling = self.memory.asked(plan.ceiling_bytes);
        let memory = Memory { ceiling, most: plan.heart_bytes, held: 0 };
        let outputs = Outputs::new(files.into_iter().map(output).collect(), memory);
        Ok(Kept { bundles, entries, outputs })
    }

    /// Refuses runs that lack something, before anything is made.
    fn check_account(&self, manifest: &Manifest) -> Result<(), RestoreError> {
        let account = &manifest.extension.fhirline.account;
        let records = &account.ledger.records;
        if account.ledger.containers.bundles == 0 {
            return Err(RestoreError::NoBundles { name: self.name() });
        }
        let beside = &account.ledger.sidecars;
        let lacking = [
            (account.sources.failed, "incomplete sources"),
            (records.quarantined, "records in quarantine"),
            (records.filtered, "records left out"),
            (beside.deleted + beside.errors + beside.headers, "lines that are no data"),
        ];
        match lacking.into_iter().find(|(count, _)| *count > 0) {
            Some((count, what)) => Err(RestoreError::NotAll { name: self.name(), count, what }),
            None => Ok(()),
        }
    }
}

/// What a run has left of its Bundles.
struct Kept {
    bundles: Told,
    entries: Told,
    outputs: Outputs,
}

/// The files of a sidecar, in order.
fn sidecar(manifest: &Manifest, destination: Destination) -> Vec<OutputReport> {
    let files = manifest.extension.fhirline.sidecars.iter();
    files.filter(|file| manifest::is_of(file, destination)).cloned().collect()
}
