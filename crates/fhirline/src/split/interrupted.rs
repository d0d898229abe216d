//! A run that dies at any operation, and the same run again: the destination is as if nothing had happened.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use fhirline_core::{MemorySpools, Store};
use fhirline_fetch::FolderStore;
use fhirline_flow::Event;
use fhirline_line_split::ChunkSize;
use fhirline_sink::{Codec, Encoding};

use super::dying_store::{Death, DyingStore, Life};
use super::known::Known;
use super::run::Run;
use crate::sample::Sample;
use crate::{ExitStatus, Job, JobError, Report, ResumedReport, SplitJob};

/// Runs at once, each in a folder of its own: they wait more than they work.
pub(super) const WORKERS: usize = 6;

const CHUNK_BYTES: usize = 16 << 10;

pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// What is run, and dies.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) death: Death,
    pub(super) threads: usize,
    pub(super) codec: Codec,
    pub(super) max_file_bytes: Option<u64>,
    pub(super) checkpoint_bytes: Option<u64>,
    pub(super) broken: Broken,
    /// What the destination holds before: a complete run with other options.
    pub(super) overwrite: bool,
}

/// What is the matter with the compressed source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    No,
    /// Its end is missing, and it does not matter.
    Allowed,
    /// Its end is missing until the run has said so.
    Mended,
}

const HEADER: &str = r#"{"resourceType":"Parameters","parameter":[{"name":"header"}]}"#;
const GOAL: &str = r#"{"resourceType":"Goal","id":"of a block"}"#;
const DELETION: &str =
    "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{\"request\":{}}]}\n";
const OUTCOME: &str = "{\"resourceType\":\"OperationOutcome\"}\nno outcome\n";

pub(super) const PLAIN: Case = Case {
    death: Death::Kill,
    threads: 1,
    codec: Codec::None,
    max_file_bytes: None,
    checkpoint_bytes: Some(2 * CHUNK_BYTES as u64),
    broken: Broken::No,
    overwrite: false,
};

/// A folder with sources, and one for what comes of them.
pub(super) struct Place {
    folder: TempDir,
    pub(super) case: Case,
    gzip: Vec<u8>,
}

impl Place {
    pub(super) fn new(case: Case) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let gzip = gzip_sample(folder.path());
        let place = Self { folder, case, gzip };
        place.put("a.ndjson", &sample(1, 60 << 10));
        place.put_gzip(case.broken != Broken::No);
        place.put("c.ndjson", &sample(3, 30 << 10));
        place.put("d.json", &bundle(5, 50 << 10));
        place.put_export();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A source that is as old as the others.
    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("written");
        let file = File::options().append(true).open(self.path(name)).expect("opened");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30)).expect("set");
    }

    pub(super) fn put_gzip(&self, broken: bool) {
        let length = self.gzip.len() - if broken { 9 } else { 0 };
        self.put("b.ndjson.gz", &self.gzip[..length]);
    }

    /// A folder whose manifest lists deletions, errors, and data in blocks.
    fn put_export(&self) {
        fs::create_dir_all(self.path("export")).expect("made");
        let blocks = [HEADER, "\n", GOAL, "\n", HEADER, "\n", GOAL, "\n"].concat();
        for (name, text) in [("1", blocks), ("2", DELETION.repeat(200)), ("3", OUTCOME.repeat(200))] {
            self.put(&format!("export/{name}.ndjson"), text.as_bytes());
        }
        let manifest = r#"{"outputOrganizedBy":"Patient","output":[{"url":"1.ndjson"}],
            "deleted":[{"url":"2.ndjson"}],"error":[{"url":"3.ndjson"}]}"#;
        self.put("export/manifest.json", manifest.as_bytes());
    }

    fn job(&self) -> Job {
        let sources = ["a.ndjson", "b.ndjson.gz", "c.ndjson", "d.json", "export"].map(|name| self.path(name));
        let mut job = Job::new(sources).expect("sources").memory_bytes(1 << 30).threads(self.case.threads);
        job = job.allow_incomplete(self.case.broken == Broken::Allowed);
        job.chunk_size = ChunkSize { max_bytes: CHUNK_BYTES, ..ChunkSize::default() };
        // All checkpoints are synced, or none but those of failed sources.
        job.sync_interval = if self.case.threads == 1 { Duration::ZERO } else { Duration::MAX };
        job
    }

    pub(super) fn to(&self, folder: &str) -> SplitJob {
        SplitJob::to(self.path(folder))
            .encoding(Encoding::new(self.case.codec, None).expect("the usual level"))
            .max_file_bytes(self.case.max_file_bytes)
            .checkpoint_bytes(self.case.checkpoint_bytes)
            .keep_entry_metadata(true)
            .overwrite(self.case.overwrite)
    }

    fn store(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(FolderStore::open(self.path(folder)).expect("a store"))
    }

    /// A run into a store over that folder, which has a life as given.
    fn run(&self, folder: &str, life: &Arc<Life>) -> Result<Report, JobError> {
        let store = DyingStore { inner: self.store(folder), life: Arc::clone(life) };
        self.run_into(Arc::new(store), &self.to(folder), &mut || ())
    }

    /// The same without checkpoints of its own.
    fn run_without_checkpoints(&self, folder: &str, life: &Arc<Life>) -> Result<Report, JobError> {
        let store = DyingStore { inner: self.store(folder), life: Arc::clone(life) };
        self.run_into(Arc::new(store), &self.to(folder).checkpoint_bytes(None), &mut || ())
    }

    pub(super) fn run_into(
        &self,
        store: Arc<dyn Store>,
        to: &SplitJob,
        on_commit: &mut dyn FnMut(),
    ) -> Result<Report, JobError> {
        self.run_job(&self.job(), store, to, on_commit)
    }

    fn run_job(
        &self,
        job: &Job,
        store: Arc<dyn Store>,
        to: &SplitJob,
        on_commit: &mut dyn FnMut(),
    ) -> Result<Report, JobError> {
        let mut plan = job.memory_plan(to.encoding).expect("enough");
        // So that members end, and are cut early, within so little input.
        (plan.block_bytes, plan.open_block_bytes) = (8 << 10, 24 << 10);
        let known = Known::of(job, to);
        let run = Run { job, to, plan, known, store, spools: Arc::new(MemorySpools) };
        run.run(&mut |event| {
            if let Event::Committed { .. } = event {
                on_commit();
                // Checkpoints take a tenth of the time at most, however little there is of it.
                thread::sleep(Duration::from_millis(1));
            }
        })
    }

    fn run_to_the_end(&self, folder: &str) -> Report {
        self.run(folder, &immortal()).expect("sound")
    }

    /// What a run leaves that nothing happens to.
    pub(super) fn unbroken(&self) -> Files {
        self.put_gzip(self.case.broken == Broken::Allowed);
        self.run_to_the_end("unbroken");
        self.put_gzip(self.case.broken != Broken::No);
        files(&self.path("unbroken"))
    }

    /// Puts what is to be overwritten.
    fn prepare(&self, folder: &str) {
        if self.case.overwrite {
            let other =
                Place { folder: tempfile::tempdir().expect("a folder"), case: PLAIN, gzip: Vec::new() };
            other.put("a.ndjson", &sample(9, 20 << 10));
            let job = Job::new([other.path("a.ndjson")]).expect("sources").memory_bytes(1 << 30);
            let to = SplitJob::to(self.path(folder)).durable(false);
            job.split(&to, &mut |_| {}).expect("sound");
        }
    }
}

fn immortal() -> Arc<Life> {
    Life::of(u64::MAX, Death::Kill)
}

fn sample(seed: u64, bytes: u64) -> Vec<u8> {
    let mut export = Vec::new();
    Sample::new(seed).target_bytes(bytes).broken_lines(true).write_to(&mut export).expect("into memory");
    export
}

/// A Bundle over many lines, in which every third entry has no resource.
fn bundle(seed: u64, bytes: u64) -> Vec<u8> {
    let mut export = Vec::new();
    Sample::new(seed).target_bytes(bytes).write_to(&mut export).expect("into memory");
    let export = String::from_utf8(export).expect("text");
    let mut entries = Vec::new();
    for (number, resource) in export.lines().enumerate() {
        entries.push(format!("{{\"fullUrl\":\"urn:fhirline:{number}\",\n\"resource\":{resource}}}"));
        if number % 2 == 0 {
            entries.push(format!("{{\"response\":{{\"status\":\"204\",\"location\":\"{number}\"}}}}"));
        }
    }
    let entries = entries.join(",\n");
    format!("{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\n\"entry\":[\n{entries}]}}\n").into_bytes()
}

/// A compressed source, made by what is tested.
fn gzip_sample(folder: &Path) -> Vec<u8> {
    let (plain, out) = (folder.join("plain"), folder.join("gzip"));
    fs::write(&plain, sample(2, 150 << 10)).expect("written");
    let to = SplitJob::to(&out)
        .encoding(Encoding::new(Codec::Gzip, None).expect("the usual level"))
        .durable(false);
    Job::new([&plain]).expect("sources").memory_bytes(1 << 30).split(&to, &mut |_| {}).expect("sound");
    let sizes = files(&out).into_iter().filter(|(name, _)| name.ends_with(".gz"));
    let (_, fattest) = sizes.max_by_key(|(_, bytes)| bytes.len()).expect("outputs");
    fs::remove_dir_all(&out).and_then(|()| fs::remove_file(&plain)).expect("removed");
    fattest
}

fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("below").display().to_string();
            found.insert(name, fs::read(&path).expect("a readable file"));
        }
    }
    found
}

#[track_caller]
pub(super) fn assert_same(found: &Files, wanted: &Files, of: &str) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(wanted), "the names {of}");
    for (name, bytes) in found {
        assert!(*bytes == wanted[name], "{name} {of}");
    }
}

/// How the runs that came behind a death went.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Continued from a checkpoint.
    pub(super) resumed: usize,
    /// Of these, within the compressed source.
    pub(super) within_gzip: usize,
    /// Of these, within the Bundle.
    within_bundle: usize,
    /// Begun afresh, although there was something.
    pub(super) afresh: usize,
    /// There was nothing to do but to give names.
    pub(super) sealed: usize,
}

impl Seen {
    pub(super) fn add(&mut self, report: &Report) {
        self.resumed += usize::from(report.resumed.is_some());
        self.within_gzip += usize::from(report.resumed.as_ref().is_some_and(|at| at.skipped_bytes > 0));
        let within_bundle = |at: &ResumedReport| at.source.ends_with("d.json") && at.byte > 0;
        self.within_bundle += usize::from(report.resumed.as_ref().is_some_and(within_bundle));
        self.afresh += usize::from(report.begun_afresh.is_some());
        self.sealed += usize::from(report.already_complete);
    }
}

/// Lets a run die at every operation, one after the other, until one is over before it dies; after each death the same run
/// again. Every other time that one dies, too, be it with checkpoints of its own or without.
#[track_caller]
fn dies_at_every_operation(case: Case) -> Seen {
    let seen = Mutex::new(Seen::default());
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let seen = &seen;
            scope.spawn(move || {
                let place = Place::new(case);
                let unbroken = place.unbroken();
                let mut operations = (worker as u64..).step_by(WORKERS);
                while let Some(report) = operations.next().and_then(|at| dies_at(&place, at, &unbroken)) {
                    seen.lock().expect("no other failed").add(&report);
                }
            });
        }
    });
    seen.into_inner().expect("none failed")
}

/// `None` if the run is over before it dies.
fn dies_at(place: &Place, operation: u64, unbroken: &Files) -> Option<Report> {
    let out = format!("out-{operation}");
    place.prepare(&out);
    let life = Life::of(operation, place.case.death);
    let first = place.run(&out, &life);
    if !life.has_ended() {
        return None;
    }
    assert!(first.is_err(), "a store that does nothing is noticed: operation {operation}");
    let again = Life::of(operation * 7 % 101, place.case.death);
    let _ = match operation % 6 {
        0 | 1 => place.run(&out, &again),
        2 => place.run_without_checkpoints(&out, &again),
        _ => first,
    };
    if place.case.broken == Broken::Mended {
        let report = place.run_to_the_end(&out);
        assert_eq!(report.account.sources.failed, 1);
        assert!(files(&place.path(&out)).keys().all(|name| name.ends_with(".partial")));
        place.put_gzip(false);
    }
    let report = place.run_to_the_end(&out);
    assert_same(&files(&place.path(&out)), unbroken, &format!("after a death at operation {operation}"));
    place.put_gzip(place.case.broken != Broken::No);
    fs::remove_dir_all(place.path(&out)).expect("removed");
    Some(report)
}

#[test]
fn killed_at_every_operation() {
    let seen = dies_at_every_operation(PLAIN);
    assert!(seen.within_bundle > 5, "{seen:?}");
    assert!(seen.resumed > 20 && seen.within_gzip > 5 && seen.afresh > 5 && seen.sealed > 5, "{seen:?}");
}

#[test]
fn killed_at_every_operation_with_compressed_outputs_in_many_files() {
    let case = Case { threads: 2, codec: Codec::Gzip, max_file_bytes: Some(20 << 10), ..PLAIN };
    let seen = dies_at_every_operation(case);
    assert!(seen.resumed > 20 && seen.within_gzip > 5 && seen.afresh > 5 && seen.sealed > 5, "{seen:?}");
}

#[test]
fn killed_in_the_middle_of_every_write() {
    let case = Case { death: Death::TornWrite, threads: 2, max_file_bytes: Some(20 << 10), ..PLAIN };
    let seen = dies_at_every_operation(case);
    assert!(seen.resumed > 20 && seen.sealed > 5, "{seen:?}");
}

#[test]
fn the_disk_is_full_at_every_operation() {
    let seen = dies_at_every_operation(Case { death: Death::Full, codec: Codec::Gzip, ..PLAIN });
    assert!(seen.resumed > 20 && seen.sealed > 5, "{seen:?}");
}

#[test]
fn killed_at_every_operation_while_a_source_that_is_not_whole_is_left_out() {
    let seen = dies_at_every_operation(Case { broken: Broken::Allowed, codec: Codec::Gzip, ..PLAIN });
    assert!(seen.resumed > 20 && seen.sealed > 5, "{seen:?}");
}

#[test]
fn killed_at_every_operation_while_a_source_is_not_whole_and_then_mended() {
    let seen = dies_at_every_operation(Case { broken: Broken::Mended, ..PLAIN });
    // The run that says so always leaves a checkpoint, at the beginning of that source.
    assert!(seen.resumed > 20 && seen.within_gzip + seen.afresh + seen.sealed == 0, "{seen:?}");
}

#[test]
fn killed_at_every_operation_while_a_complete_run_is_replaced() {
    // Begun afresh each time, as it is told to.
    let seen = dies_at_every_operation(Case { overwrite: true, ..PLAIN });
    assert_eq!(seen.resumed + seen.sealed, 0, "{seen:?}");
}

#[test]
fn killed_at_every_operation_without_checkpoints() {
    let seen = dies_at_every_operation(Case { checkpoint_bytes: None, ..PLAIN });
    assert!(seen.resumed == 0 && seen.afresh > 20 && seen.sealed > 5, "{seen:?}");
}

/// What a source that failed has cut of the blocks from before it is put together again.
#[test]
fn a_source_that_failed_moves_no_member() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let place = Place::new(Case { codec, ..PLAIN });
        let unbroken = place.unbroken();
        for lost_bytes in [9, 1000, 4000] {
            let folder = format!("out-{lost_bytes}");
            place.put("b.ndjson.gz", &place.gzip[..place.gzip.len() - lost_bytes]);
            assert_eq!(place.run_to_the_end(&folder).status, ExitStatus::Incomplete);
            place.put_gzip(false);
            place.run_to_the_end(&folder);
            assert_same(&files(&place.path(&folder)), &unbroken, &folder);
        }
    }
}

/// What is passed over before and behind the source in which the run stopped is told once.
#[test]
fn what_is_passed_over_is_told_as_in_an_unbroken_run() {
    let place = Place::new(PLAIN);
    for (number, name) in ["a", "c", "e"].into_iter().enumerate() {
        fs::create_dir_all(place.path(&format!("many/{name}"))).expect("made");
        place.put(&format!("many/{name}/.hidden"), b"{}");
        place.put(&format!("many/{name}.ndjson"), &sample(number as u64, 60 << 10));
    }
    let job = || {
        let mut job = Job::new([place.path("many")]).expect("sources").memory_bytes(1 << 30).threads(1);
        job.chunk_size = place.job().chunk_size;
        job
    };
    let to = |folder: &str| place.to(folder);
    place.run_job(&job(), place.store("unbroken"), &to("unbroken"), &mut || ()).expect("sound");
    for moment in [2, 6, 10, 12] {
        let (stopped, folder, mut commits) = (job(), format!("out-{moment}"), 0);
        let cancel = stopped.cancel.clone();
        let why = place.run_job(&stopped, place.store(&folder), &to(&folder), &mut || {
            commits += 1;
            if commits == moment {
                cancel.cancel();
            }
        });
        assert!(why.is_err(), "after {moment} commits");
        place.run_job(&job(), place.store(&folder), &to(&folder), &mut || ()).expect("sound");
        assert_same(&files(&place.path(&folder)), &files(&place.path("unbroken")), &folder);
    }
}

/// The second comes before the run is back where the first one met it: nothing may be noted then.
#[test]
fn interrupted_again_before_it_had_gone_on() {
    for threads in [1, 2] {
        for case in [PLAIN, Case { codec: Codec::Gzip, ..PLAIN }] {
            let place = Place::new(Case { threads, ..case });
            let unbroken = place.unbroken();
            for moment in [1, 3, 5, 8] {
                let folder = format!("out-{moment}");
                for after_commits in [moment, 0, 0] {
                    interrupt(&place, &folder, after_commits);
                }
                place.run_to_the_end(&folder);
                assert_same(&files(&place.path(&folder)), &unbroken, &folder);
            }
        }
    }
}

/// A run that is asked to stop after so many commits.
fn interrupt(place: &Place, folder: &str, after_commits: usize) {
    let (job, to) = (place.job(), place.to(folder));
    let (cancel, mut commits) = (job.cancel.clone(), 0);
    if after_commits == 0 {
        cancel.cancel();
    }
    let stopped = place.run_job(&job, place.store(folder), &to, &mut || {
        commits += 1;
        if commits == after_commits {
            cancel.cancel();
        }
    });
    let why = stopped.err().map(|error| error.exit_status());
    assert_eq!(why, Some(ExitStatus::Interrupted), "after {after_commits} commits");
}

/// A plain source of which so much was read when the run died.
#[test]
fn little_is_done_a_second_time() {
    let place = Place::new(Case { checkpoint_bytes: Some(64 << 10), ..PLAIN });
    let bytes = 2 << 20;
    place.put("a.ndjson", &sample(4, bytes));
    let life = immortal();
    let store = DyingStore { inner: place.store("out"), life: Arc::clone(&life) };
    let mut committed = 0;
    let died = place.run_into(Arc::new(store), &place.to("out"), &mut || {
        committed += CHUNK_BYTES as u64;
        if committed >= bytes * 8 / 10 {
            life.end();
        }
    });
    assert!(died.is_err());
    let resumed = place.run_to_the_end("out").resumed.expect("continued");
    assert!(resumed.source.ends_with("a.ndjson") && resumed.byte > bytes / 2, "{resumed:?}");
    assert_eq!(resumed.skipped_bytes, 0);
    assert!(resumed.reread_bytes() < bytes / 4, "{resumed:?}");
}
