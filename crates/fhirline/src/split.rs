use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::json;
use sha2::{Digest, Sha256};

use fhirline_core::{ChecksumKind, Store};
use fhirline_fetch::{FolderStore, Found};
use fhirline_flow::{Cancel, RejectLimit, RunError};
use fhirline_route::{Grouping, Proof};
use fhirline_sink::{Codec, Encoding, Inline, SplitOptions, SplitSink, StatsSink};

use crate::destination::{self, Holds};
use crate::job::OnEvent;
use crate::manifest::{self, Manifest, Ours};
use crate::report::{OutputReport, output_report};
use crate::{Job, JobError, Report};

/// Where a split writes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitJob {
    folder: PathBuf,
    encoding: Encoding,
    checksum: Option<ChecksumKind>,
    max_file_bytes: Option<u64>,
    max_file_records: Option<u64>,
    durable: bool,
    overwrite: bool,
}

impl SplitJob {
    /// Into that folder, which is made if it does not exist.
    pub fn to(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            encoding: Encoding::plain(),
            checksum: Some(ChecksumKind::Crc32c),
            max_file_bytes: None,
            max_file_records: None,
            durable: true,
            overwrite: false,
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

    /// Whether the end of the run waits until everything is safe on the disk; it does unless set.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Replaces a complete run that the folder holds.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    fn name(&self) -> String {
        self.folder.display().to_string()
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> JobError {
        let name = self.name();
        move |source| JobError::Destination { action, name, source }
    }
}

pub(crate) fn split(mut job: Job, to: &SplitJob, on_event: &mut OnEvent<'_>) -> Result<Report, JobError> {
    let started = Instant::now();
    let plan = job.memory_plan(to.encoding)?;
    check_places(&job, to)?;
    job.sources = job.sources.excluding(&to.folder).map_err(to.failed("find"))?;
    let known = know(&job, to);
    if !known.any_source {
        // Before anything is made or replaced; the walk says what was passed over.
        let outcome = job.run(Grouping::ByType, &mut StatsSink::new(), plan, on_event);
        return Err(outcome.err().unwrap_or(JobError::NothingToRead { skipped: 0 }));
    }
    let is_new = !to.folder.exists();
    let folder = FolderStore::open(&to.folder).map_err(to.failed("make"))?;
    // Held until the end: two runs on one folder would take each other's files for leftovers.
    let _claim = folder.claim().map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => JobError::InUse { name: to.name() },
        _ => to.failed("claim")(error),
    })?;
    let store: Arc<dyn Store> = Arc::new(folder);
    if let Some(report) = make_room(&*store, to, &known)? {
        return Ok(report);
    }
    destination::claim(&*store).map_err(to.failed("write to"))?;
    let options = SplitOptions {
        encoding: to.encoding,
        checksum: to.checksum,
        max_file_bytes: to.max_file_bytes,
        max_file_records: to.max_file_records,
        durable: to.durable,
        block_bytes: plan.block_bytes,
        open_block_bytes: plan.open_block_bytes,
        max_jobs: plan.compression_jobs,
    };
    let mut sink = SplitSink::new(Arc::clone(&store), options);
    let outcome = match job.run(Grouping::ByType, &mut sink, plan, on_event) {
        Err(error @ JobError::NothingToRead { .. }) => {
            destination::disclaim(&*store).map_err(to.failed("clean"))?;
            if is_new {
                // Empty again; if somebody else has put something there, it stays.
                let _ = fs::remove_dir(&to.folder);
            }
            return Err(error);
        }
        result => result?,
    };
    let mut report = job.report(&outcome, plan, started);
    if outcome.failed_sources == 0 || job.allow_incomplete {
        seal(&*store, sink, to, known, &job.cancel, &mut report)?;
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Refuses destinations that cannot be right, before anything is made.
fn check_places(job: &Job, to: &SplitJob) -> Result<(), JobError> {
    if to.folder.exists() && !to.folder.is_dir() {
        return Err(JobError::NotAFolder { name: to.name() });
    }
    match job.source_in(&to.folder) {
        None => Ok(()),
        Some(text) => {
            Err(JobError::SourceInDestination { source_name: Path::new(text).display().to_string() })
        }
    }
}

/// Makes sure that the destination is free. A report if the same run was already done there.
fn make_room(store: &dyn Store, to: &SplitJob, known: &Known) -> Result<Option<Report>, JobError> {
    match destination::look(store).map_err(to.failed("look into"))? {
        Holds::Nothing => Ok(None),
        Holds::Others => Err(JobError::NotOurs { name: to.name() }),
        Holds::Interrupted(left) => {
            destination::remove_interrupted(store, &left).map_err(to.failed("clean"))?;
            Ok(None)
        }
        Holds::Complete(manifest) if to.overwrite => {
            destination::remove_complete(store, &manifest).map_err(to.failed("clean"))?;
            Ok(None)
        }
        Holds::Complete(manifest) => {
            let same =
                known.fingerprint.is_some() && manifest.extension.fhirline.fingerprint == known.fingerprint;
            if !same {
                return Err(JobError::OtherRun { name: to.name() });
            }
            match destination::damaged(store, &manifest).map_err(to.failed("look into"))? {
                Some(file) => Err(JobError::Damaged { name: to.name(), file }),
                None => {
                    // What a run that died right behind its seal may have left.
                    destination::disclaim(store).map_err(to.failed("clean"))?;
                    Ok(Some(recorded(*manifest)))
                }
            }
        }
    }
}

/// The report of a run that was done before.
fn recorded(manifest: Manifest) -> Report {
    let outputs = manifest.outputs();
    let account = manifest.extension.fhirline.account;
    let status = account.status();
    Report { status, exit_code: status.code(), already_complete: true, account, outputs, ..Report::default() }
}

/// Writes the manifest under its provisional name, gives the outputs their names, and the manifest its own last: what it
/// names is complete as soon as it can be seen.
fn seal(
    store: &dyn Store,
    sink: SplitSink,
    to: &SplitJob,
    known: Known,
    cancel: &Cancel,
    report: &mut Report,
) -> Result<(), JobError> {
    // The sources are read, and only the tails of outputs are left to compress: not worth a pool.
    let finished = sink.finish(&Inline)?;
    if !cancel.pass_stopping() {
        return Err(RunError::Cancelled.into());
    }
    if finished.diverted_records() > 0 {
        let most = fhirline_sink::MAX_DESTINATIONS;
        let note = format!(
            "{} records of types beyond the first {most} went to _unknown",
            finished.diverted_records()
        );
        report.account.notes.push(note);
        report.account.ledger.unknown_types += finished.diverted_records();
    }
    report.outputs = finished.outputs().into_iter().map(output_report).collect();
    let quarantine: Vec<OutputReport> = finished.quarantine().into_iter().map(output_report).collect();
    let ours = Ours {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        options: known.options,
        fingerprint: known.fingerprint,
        rejected: quarantine.iter().find(|file| file.name == fhirline_sink::RAW_NAME).cloned(),
        account: report.account.clone(),
    };
    let newest = known.newest.unwrap_or_else(SystemTime::now);
    let json = Manifest::new(newest, &report.outputs, &quarantine, ours).to_json();
    let mut manifest = store.create(manifest::NAME).map_err(to.failed("write to"))?;
    manifest.append(&json).map_err(to.failed("write to"))?;
    if to.durable {
        manifest.sync().map_err(to.failed("write to"))?;
    }
    finished.seal()?;
    destination::disclaim(store).map_err(to.failed("clean"))?;
    manifest.seal().map_err(to.failed("write to"))?;
    if to.durable {
        store.sync().map_err(to.failed("write to"))?;
    }
    Ok(())
}

/// What is known of a run before it begins.
struct Known {
    options: serde_json::Value,
    fingerprint: Option<String>,
    /// When the newest source was last changed.
    newest: Option<SystemTime>,
    /// Whether there is a source at all, be it one that cannot be read.
    any_source: bool,
}

/// Looks at the options and the sources, without reading any.
fn know(job: &Job, to: &SplitJob) -> Known {
    let options = options_of(job, to);
    let mut hash = Sha256::new();
    hash.update(options.to_string());
    let (mut newest, mut streams, mut any_source) = (None, false, false);
    for found in job.sources.expand() {
        any_source |= !matches!(found, Ok(Found::Skipped { .. }));
        let identity = match found {
            Ok(Found::Skipped { .. }) => continue,
            Ok(Found::Source { origin, .. }) => origin.identity().map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Ok(identity) = &identity {
            streams |= identity.stored_bytes.is_none();
            newest = newest.max(identity.modified);
            // The same name may mean another file in another folder.
            hash.update(format!("{:?}", fs::canonicalize(&identity.name).ok()));
        }
        hash.update(format!("{identity:?}"));
    }
    Known { options, fingerprint: (!streams).then(|| hex(hash)), newest, any_source }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The options that decide what the outputs hold, and how the run ends. What the sender declared is hashed: names in it are
/// not ours to repeat.
fn options_of(job: &Job, to: &SplitJob) -> serde_json::Value {
    let codec = match to.encoding.codec() {
        Codec::None => "none",
        Codec::Gzip => "gzip",
        Codec::Zstd => "zstd",
    };
    let names = |types: &std::collections::BTreeSet<fhirline_core::ResourceType>| -> Vec<String> {
        types.iter().map(ToString::to_string).collect()
    };
    json!({
        "types": names(&job.selection.only),
        "exceptTypes": names(&job.selection.except),
        "compress": codec,
        "level": to.encoding.level(),
        "maxFileBytes": to.max_file_bytes,
        "maxFileRecords": to.max_file_records,
        "maxLineBytes": job.max_line_bytes,
        "checksum": to.checksum.map(ChecksumKind::name),
        "maxRejects": job.max_rejects.map(|limit: RejectLimit| limit.to_string()),
        "allowIncomplete": job.allow_incomplete,
        "trustInput": job.proof == Proof::Trusted,
        "expected": job.expectation.as_ref().map(|expected| hex(Sha256::new_with_prefix(format!("{expected:?}")))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    const PATIENT: &str = "{\"resourceType\":\"Patient\",\"id\":\"1\"}\n";

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).expect("written");
        // The same time for all, as after unpacking an archive.
        let file = File::options().append(true).open(path).expect("opened");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30)).expect("set");
    }

    fn run(source: &Path, out: &Path) -> Result<Report, JobError> {
        Job::new([source])?.memory_bytes(1 << 30).split(&SplitJob::to(out), &mut |_| {})
    }

    #[test]
    fn a_destination_takes_one_run_at_a_time() {
        let folder = folder();
        let (source, out) = (folder.path().join("a.ndjson"), folder.path().join("out"));
        write(&source, PATIENT);
        let other = FolderStore::open(&out).expect("a store");
        let claim = other.claim().expect("nobody else");
        let refused = run(&source, &out).expect_err("claimed");
        assert!(matches!(refused, JobError::InUse { .. }), "{refused:?}");
        drop(claim);
        assert!(run(&source, &out).is_ok());
    }

    #[test]
    fn a_finished_destination_that_lost_a_file_is_not_called_complete() {
        let folder = folder();
        let (source, out) = (folder.path().join("a.ndjson"), folder.path().join("out"));
        write(&source, PATIENT);
        run(&source, &out).expect("sound");
        assert!(run(&source, &out).expect("the same run").already_complete);
        fs::write(out.join("Patient.ndjson"), "").expect("cut to nothing");
        let refused = run(&source, &out).expect_err("damaged");
        assert!(
            matches!(&refused, JobError::Damaged { file, .. } if file == "Patient.ndjson"),
            "{refused:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn another_file_under_the_same_name_is_another_source() {
        let folder = folder();
        let (link, out) = (folder.path().join("latest"), folder.path().join("out"));
        for (name, id) in [("one", "1"), ("other", "2")] {
            fs::create_dir(folder.path().join(name)).expect("made");
            write(&folder.path().join(name).join("a.ndjson"), &PATIENT.replace('1', id));
        }
        std::os::unix::fs::symlink("one", &link).expect("linked");
        run(&link.join("a.ndjson"), &out).expect("sound");
        fs::remove_file(&link).expect("unlinked");
        std::os::unix::fs::symlink("other", &link).expect("linked");
        let refused = run(&link.join("a.ndjson"), &out).expect_err("another source");
        assert!(matches!(refused, JobError::OtherRun { .. }), "{refused:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_source_that_broke_since_is_noticed() {
        let folder = folder();
        let (sources, out) = (folder.path().join("sources"), folder.path().join("out"));
        fs::create_dir(&sources).expect("made");
        write(&sources.join("a.ndjson"), PATIENT);
        run(&sources, &out).expect("sound");
        std::os::unix::fs::symlink("nowhere", sources.join("b.ndjson")).expect("linked");
        let refused = run(&sources, &out).expect_err("changed");
        assert!(matches!(refused, JobError::OtherRun { .. }), "{refused:?}");
    }

    #[test]
    fn a_claim_without_a_byte_in_it_is_cleared() {
        let folder = folder();
        let (source, out) = (folder.path().join("a.ndjson"), folder.path().join("out"));
        write(&source, PATIENT);
        fs::create_dir(&out).expect("made");
        for left in ["_fhirline.partial", "manifest.json.partial", "Patient.ndjson.partial"] {
            fs::write(out.join(left), "").expect("left behind");
        }
        let report = run(&source, &out).expect("cleared");
        assert_eq!(report.outputs.len(), 1);
        let mut names: Vec<_> =
            fs::read_dir(&out).expect("listed").map(|entry| entry.expect("entry").file_name()).collect();
        names.sort();
        assert_eq!(names, ["Patient.ndjson", "manifest.json"]);
    }
}
