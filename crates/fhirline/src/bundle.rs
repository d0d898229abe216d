use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use fhirline_bundle::{BaseUrl, Form, Method, OnDuplicate, WriteOptions};
use fhirline_core::{Imbalance, NoSpools};
use fhirline_fetch::{FolderSpools, Found};
use fhirline_flow::{Event, MemoryPlan, Outcome, RunError};
use fhirline_route::{Grouping, IdRule};
use fhirline_sink::{BundleOptions, BundleSink, FinishedBundles, StatsSink};

use crate::job::{Going, OnEvent};
use crate::report::{Account, output_report};
use crate::{Job, JobError, Report};

mod beside;
#[cfg(feature = "cloud")]
mod cloud;
mod report;
mod restore;
mod target;
#[cfg(test)]
mod tests;

pub use report::{BundlesReport, EndedReport};
pub use restore::{RestoreError, RestoreJob, RestoreReport};

use report::bundles_report;
use target::{Held, Opening, Place, Target};

/// One in so many bytes of the memory is for what is known of the URLs in the open Bundle; where the network leaves no room for that,
/// half as much.
const FINGERPRINTS_PARTS: [u64; 2] = [4, 8];

/// Outputs that are listed in a report.
const MOST_LISTED: usize = 1000;

/// Where resources are written as FHIR Bundles, and how.
///
/// ```
/// use fhirline::{BundleJob, ExitStatus, Job};
///
/// let folder = tempfile::tempdir()?;
/// let export = folder.path().join("export.jsonl");
/// std::fs::write(&export, "{\"resourceType\":\"Goal\",\"id\":\"1\"}\n")?;
///
/// let bundle = folder.path().join("bundle.json");
/// let report = Job::new([&export])?.bundle(&BundleJob::to(&bundle), &mut |_| {})?;
/// assert_eq!(report.status, ExitStatus::Complete);
/// assert_eq!(std::fs::read_to_string(&bundle)?, r#"{"resourceType":"Bundle","type":"collection","entry":[
/// {"fullUrl":"https://fhirline.invalid/fhir/Goal/1","resource":{"resourceType":"Goal","id":"1"}}]}
/// "#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleJob {
    path: PathBuf,
    form: Form,
    base: BaseUrl,
    on_duplicate: Option<OnDuplicate>,
    max_entries: Option<u64>,
    max_bytes: Option<u64>,
    pretty: bool,
    durable: bool,
    overwrite: bool,
    spool_dir: Option<PathBuf>,
}

impl BundleJob {
    /// Into the file `X.json`, and further ones `X.0002.json`, if the path ends so and is no folder; else into that folder,
    /// which is made if it does not exist and must be empty otherwise: `Bundle.0001.json`, `Bundle.0002.json`, … Rejected
    /// records go to the folder `_X.quarantine` beside the file, or `_quarantine` in the folder. With the feature `cloud`, a URL is a
    /// prefix in an object store, which gets what a folder would.
    pub fn to(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            form: Form::Collection,
            base: BaseUrl::default(),
            on_duplicate: None,
            max_entries: None,
            max_bytes: None,
            pretty: false,
            durable: true,
            overwrite: false,
            spool_dir: None,
        }
    }

    /// Where bytes wait on the disk: lines that are too long for memory, and what is on its way to an object store. Unless set that
    /// is where the Bundles go if it is a folder, else the system's folder for temporary files.
    #[must_use]
    pub fn spool_dir(mut self, folder: Option<PathBuf>) -> Self {
        self.spool_dir = folder;
        self
    }

    /// What the Bundles are for; a collection unless set. Resources without a legal id cannot be put, and go to quarantine
    /// then.
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// What a `fullUrl` begins with; `https://fhirline.invalid/fhir` unless set.
    #[must_use]
    pub fn base(mut self, base: BaseUrl) -> Self {
        self.base = base;
        self
    }

    /// What becomes of a resource whose `fullUrl` stands in the open Bundle already; unless set, what is
    /// [usual](Form::usual_on_duplicate) for the form.
    #[must_use]
    pub fn on_duplicate(mut self, on_duplicate: OnDuplicate) -> Self {
        self.on_duplicate = Some(on_duplicate);
        self
    }

    /// Goes on in another Bundle before one holds more entries than that.
    #[must_use]
    pub fn max_entries(mut self, entries: Option<u64>) -> Self {
        self.max_entries = entries;
        self
    }

    /// Goes on in another Bundle before one has more bytes than that. A resource that is longer has a Bundle of its own.
    #[must_use]
    pub fn max_bytes(mut self, bytes: Option<u64>) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Lays white space between tokens out for people. Nothing else of a resource is changed.
    #[must_use]
    pub fn pretty(mut self, pretty: bool) -> Self {
        self.pretty = pretty;
        self
    }

    /// Whether the end of the run waits until everything is safe on the disk; it does unless set. If it does not, the
    /// system decides when, and nobody is told if it fails then: some (NFS, quotas) tell only when a file is closed or synced.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Replaces Bundles of the same names, and their quarantine, once the new ones are complete.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    fn write_options(&self, fingerprint_bytes: u64) -> WriteOptions {
        WriteOptions {
            form: self.form,
            base: self.base.clone(),
            on_duplicate: self.on_duplicate.unwrap_or_else(|| self.form.usual_on_duplicate()),
            max_entries: self.max_entries,
            max_bytes: self.max_bytes,
            pretty: self.pretty,
            fingerprint_bytes,
        }
    }

    /// Which ids will do: what is put is put under its id.
    fn ids(&self) -> IdRule {
        if self.form.method() == Some(Method::Put) { IdRule::Legal } else { IdRule::Any }
    }
}

/// How the memory is divided, and how much of it is for uploads.
#[derive(Clone, Copy)]
struct Plan {
    memory: MemoryPlan,
    upload_bytes: u64,
}

impl Plan {
    fn local(memory: MemoryPlan) -> Self {
        Self { memory, upload_bytes: 0 }
    }
}

impl Job {
    /// How the memory will be divided for [`bundle`](Self::bundle).
    ///
    /// # Errors
    /// [`JobError::Memory`] if it is too little.
    pub fn bundle_memory_plan(&self) -> Result<MemoryPlan, JobError> {
        let plan = |part, bytes| MemoryPlan::setting_aside(part, bytes, self.memory, self.threads);
        let ((usual, least), [part, least_part]) = (self.network_bytes(false), FINGERPRINTS_PARTS);
        let plans = plan(part, usual).or_else(|_| plan(part, least));
        Ok(plans.or_else(|_| plan(least_part, least))?)
    }

    /// Writes all wanted resources, in the order of the sources, as FHIR Bundles.
    ///
    /// The Bundles get their names once all of them are complete, the first one last. There are no checkpoints: an interrupted
    /// run leaves its outputs under provisional names, and the next run begins afresh.
    ///
    /// # Errors
    /// [`JobError`]; a source that is incomplete is none, but told in the report.
    pub fn bundle(mut self, to: &BundleJob, on_event: &mut OnEvent<'_>) -> Result<Report, JobError> {
        let started = Instant::now();
        let target = Target::of(&to.path)?;
        let plan = self.bundle_plan(&target)?;
        self.exclude(&target)?;
        self.check_bundle_sources(&target, on_event, plan.memory)?;
        self.check_cancel()?;
        let new_folder = target.folder().filter(|folder| !folder.exists());
        let result = self.bundle_into(to, &target, plan, on_event);
        if let (Some(folder), Err(JobError::NothingToRead { .. })) = (new_folder, &result) {
            // Empty again; if somebody else has put something there, it stays.
            let _ = fs::remove_dir(folder);
        }
        result.map(|report| report.after(started))
    }

    fn bundle_plan(&self, target: &Target) -> Result<Plan, JobError> {
        let memory = self.bundle_memory_plan();
        match &target.place {
            Place::Folder(_) => memory.map(Plan::local),
            #[cfg(feature = "cloud")]
            Place::Prefix(_) => {
                let (ceiling, threads) = (self.memory, self.threads);
                let network_bytes = self.network_bytes(true);
                let with = |part| {
                    let plan = |network_bytes, upload_bytes| {
                        MemoryPlan::setting_aside(part, network_bytes, ceiling, threads)?
                            .with_more_uploads(upload_bytes)
                    };
                    crate::prefix::plan_with_uploads(ceiling, network_bytes, plan)
                };
                let [part, least_part] = FINGERPRINTS_PARTS;
                let (memory, upload_bytes) = with(part).or_else(|_| with(least_part))?;
                Ok(Plan { memory, upload_bytes })
            }
        }
    }

    /// Leaves the destination out of what is read.
    fn exclude(&mut self, target: &Target) -> Result<(), JobError> {
        match &target.place {
            Place::Folder(folder) if target.alone => {
                self.sources = self.sources.clone().excluding(folder).map_err(target.failed("find"))?;
            }
            Place::Folder(_) => {}
            #[cfg(feature = "cloud")]
            Place::Prefix(prefix) => {
                if let Some(source) = prefix.source_below(self) {
                    return Err(JobError::SourceInDestination { source_name: source.to_string() });
                }
                self.sources = self.sources.clone().excluding_objects(&prefix.url);
            }
        }
        Ok(())
    }

    /// Refuses sources that the outputs would replace, and a run over nothing, before anything is made.
    fn check_bundle_sources(
        &self,
        target: &Target,
        on_event: &mut OnEvent<'_>,
        plan: MemoryPlan,
    ) -> Result<(), JobError> {
        if let Some(replay) = &self.replay {
            return target.folder().map_or(Ok(()), |folder| Ok(replay.check_destination(folder)?));
        }
        let mut any = false;
        for found in self.sources.expand() {
            any |= !matches!(found, Ok(Found::Skipped { .. }));
            if let Ok(Found::Source { origin, .. }) = &found
                && target.holds(origin.name())
            {
                return Err(JobError::SourceInDestination { source_name: origin.name().to_owned() });
            }
        }
        if any {
            return Ok(());
        }
        // The walk says what was passed over.
        let going = Going::through(NoSpools);
        let outcome = self.run(Grouping::ByType, &mut StatsSink::new(), plan, going, on_event);
        Err(outcome.err().unwrap_or(JobError::NothingToRead { skipped: 0 }))
    }

    fn bundle_into(
        &self,
        to: &BundleJob,
        target: &Target,
        plan: Plan,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Report, JobError> {
        let spool_dir = target.spool_dir(to.spool_dir.as_deref());
        let held = target.open(&mut Opening {
            overwrite: to.overwrite,
            spool_dir: &spool_dir,
            upload_bytes: plan.upload_bytes,
            // When a source is taken back, what stands in the open Bundle is found out from that.
            copies: self.allow_incomplete,
            network: self.sources.network(),
            cancel: &self.cancel,
            on_wait: &mut |name, at_most| on_event(Event::Waiting { name, at_most }),
        })?;
        let result = self.bundle_to(to, target, &held, plan, &spool_dir, on_event);
        if result.as_ref().map_or(true, |report| report.bundles.is_none()) {
            target.give_up(&held);
        }
        result
    }

    fn bundle_to(
        &self,
        to: &BundleJob,
        target: &Target,
        held: &Held,
        plan: Plan,
        spool_dir: &Path,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Report, JobError> {
        let options = BundleOptions {
            write: to.write_options(plan.memory.set_aside_bytes - plan.upload_bytes),
            names: target.names.clone(),
            quarantine: target.quarantine.clone(),
            durable: to.durable,
        };
        let mut sink = BundleSink::new(Arc::clone(&held.store), options)?;
        let _claim = target.claim_first()?;
        let spools = FolderSpools::new(spool_dir);
        let going = Going { ids: to.ids(), ..Going::through(spools) };
        let ran = match self.run(Grouping::Together, &mut sink, plan.memory, going, on_event) {
            Err(error @ JobError::NothingToRead { .. }) => {
                drop(sink);
                target.remove_partials(&*held.store)?;
                return Err(error);
            }
            result => result?,
        };
        let mut report = self.report(&ran, plan.memory);
        note_left_out(&ran.outcome, &mut report);
        if ran.outcome.failed_sources == 0 || self.allow_incomplete {
            self.seal_bundles(sink, target, held, &mut report)?;
        }
        Ok(report)
    }

    fn seal_bundles(
        &self,
        sink: BundleSink,
        target: &Target,
        held: &Held,
        report: &mut Report,
    ) -> Result<(), JobError> {
        let finished = sink.finish()?;
        if !self.cancel.pass_stopping() {
            return Err(RunError::Cancelled.into());
        }
        check_outputs(&finished, &report.account)?;
        let bytes = finished.bundles().map(|bundle| bundle.stored_bytes).sum();
        report.bundles = Some(bundles_report(finished.tally(), bytes));
        report.outputs = finished.bundles().take(MOST_LISTED).map(output_report).collect();
        target.seal(held, finished)
    }
}

/// The last look: what the outputs hold is what the ledger says.
fn check_outputs(finished: &FinishedBundles, account: &Account) -> Result<(), JobError> {
    let tally = finished.tally();
    let rejected = finished.quarantine().next().map_or(0, |raw| raw.records);
    let (records, bytes) = (&account.ledger.records, &account.ledger.bytes);
    let sums = [
        ("entries in the Bundles", records.delivered, tally.entries),
        ("bytes of resources in the Bundles", bytes.delivered, tally.resource_bytes),
        ("records in quarantine", records.quarantined, rejected),
    ];
    match sums.into_iter().find(|(_, read, accounted)| read != accounted) {
        Some((of, read, accounted)) => Err(RunError::Ledger(Imbalance { of, read, accounted }).into()),
        None => Ok(()),
    }
}

/// What is no record has no place in a new Bundle.
fn note_left_out(outcome: &Outcome, report: &mut Report) {
    let beside = &outcome.totals.ledger.sidecars;
    let counts = [(beside.deleted, "deletions"), (beside.errors, "errors"), (beside.headers, "headers")];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        let lines = if count == 1 { "line" } else { "lines" };
        report.account.notes.push(format!("{count} {lines} of {what} left out; `fhirline split` keeps them"));
    }
    let entries = outcome.totals.ledger.containers.bare_entries;
    if entries > 0 {
        let noun = if entries == 1 { "entry" } else { "entries" };
        let note = format!("{entries} {noun} without a resource left out; `fhirline split` keeps them");
        report.account.notes.push(note);
    }
}
