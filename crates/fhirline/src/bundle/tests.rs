use super::*;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn goal(id: &str) -> String {
    format!("{{\"resourceType\":\"Goal\",\"id\":\"{id}\"}}\n")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
}

fn run(sources: &[&Path], to: &BundleJob) -> Result<Report, JobError> {
    Job::new(sources)?.memory_bytes(1 << 30).threads(1).bundle(to, &mut |_| {})
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("listed").file_name().into_string();
    let mut names: Vec<String> = entries.map(|entry| name(entry).expect("UTF-8")).collect();
    names.sort();
    names
}

fn entries(path: &Path) -> usize {
    let bundle: Value = serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON");
    bundle["entry"].as_array().map_or(0, Vec::len)
}

#[test]
fn files_stand_beside_others_and_nothing_else_is_touched() {
    let folder = folder();
    let (source, out) = (folder.path().join("a.ndjson"), folder.path().join("x.json"));
    write(&source, &["1", "2", "3"].map(goal).concat());
    write(&folder.path().join("x.0003.json"), "mine");
    let to = BundleJob::to(&out).max_entries(Some(2));
    let report = run(&[&source], &to).expect("a run");
    assert_eq!(names(folder.path()), ["a.ndjson", "x.0002.json", "x.0003.json", "x.json"]);
    assert_eq!((entries(&out), entries(&folder.path().join("x.0002.json"))), (2, 1));
    let bundles = report.bundles.expect("sealed");
    assert_eq!((bundles.written, bundles.entries, bundles.ended.max_entries), (2, 3, 1));
    let listed: Vec<_> = report.outputs.iter().map(|output| (&*output.name, output.records)).collect();
    assert_eq!(listed, [("x.json", 2), ("x.0002.json", 1)]);
}

#[test]
fn what_exists_is_replaced_on_request_only_and_completely() {
    let folder = folder();
    let (source, out) = (folder.path().join("a.ndjson"), folder.path().join("x.json"));
    write(&source, &(goal("1") + &goal("2") + "broken\n"));
    let to = BundleJob::to(&out).max_entries(Some(1));
    run(&[&source], &to).expect("a run");
    let before = names(folder.path());
    assert_eq!(before, ["_x.quarantine", "a.ndjson", "x.0002.json", "x.json"]);
    let refused = run(&[&source], &to).expect_err("it exists");
    assert!(matches!(&refused, JobError::Exists { name } if name.ends_with("x.json")), "{refused:?}");
    assert_eq!(refused.exit_status(), crate::ExitStatus::Usage);
    write(&source, &goal("3"));
    run(&[&source], &to.overwrite(true)).expect("a run");
    assert_eq!(names(folder.path()), ["a.ndjson", "x.json"]);
    assert!(fs::read_to_string(out).expect("read").contains("Goal/3"));
}

#[test]
fn a_folder_must_be_empty_or_ours() {
    let folder = folder();
    let (source, out) = (folder.path().join("a.ndjson"), folder.path().join("out"));
    write(&source, &goal("1"));
    let to = BundleJob::to(&out);
    run(&[&source], &to).expect("a new folder");
    assert_eq!(names(&out), ["Bundle.0001.json"]);
    assert!(matches!(run(&[&source], &to), Err(JobError::Exists { .. })));
    run(&[folder.path()], &to.clone().overwrite(true)).expect("ours, and not read");
    assert_eq!(entries(&out.join("Bundle.0001.json")), 1);
    write(&out.join("notes.txt"), "mine");
    for to in [to.clone(), to.overwrite(true)] {
        assert!(matches!(run(&[&source], &to), Err(JobError::NotOurs { .. })));
    }
    assert_eq!(names(&out), ["Bundle.0001.json", "notes.txt"]);
}

#[test]
fn what_an_interrupted_run_left_is_begun_again() {
    let folder = folder();
    let source = folder.path().join("a.ndjson");
    write(&source, &goal("1"));
    let cases =
        [("x.json", "x.json", "x.0002.json"), ("out", "out/Bundle.0001.json", "out/Bundle.0002.json")];
    for (out, first, later) in cases {
        let (first, later) = (folder.path().join(first), folder.path().join(later));
        fs::create_dir_all(first.parent().expect("a folder")).expect("made");
        write(&first.with_extension("json.partial"), "half");
        write(&later.with_extension("json.partial"), "half");
        // The later one had its name already when the run died: the first comes last.
        write(&later, "whole");
        run(&[&source], &BundleJob::to(folder.path().join(out))).expect("a run");
        assert_eq!(entries(&first), 1);
        assert!(!later.exists() && !later.with_extension("json.partial").exists());
    }
    assert_eq!(names(folder.path()), ["a.ndjson", "out", "x.json"]);
}

#[test]
fn a_source_that_would_be_replaced_is_refused() {
    let folder = folder();
    let (source, out) = (folder.path().join("a.ndjson"), folder.path().join("x.json"));
    write(&source, &goal("1"));
    write(&out, &goal("2"));
    let to = BundleJob::to(&out).overwrite(true);
    for sources in [&[&*out][..], &[folder.path()]] {
        let refused = run(sources, &to).expect_err("a source is replaced");
        assert!(matches!(refused, JobError::SourceInDestination { .. }), "{refused:?}");
    }
    let into_its_folder = run(&[&source], &BundleJob::to(folder.path()));
    assert!(matches!(into_its_folder, Err(JobError::SourceInDestination { .. })));
    run(&[&source], &to).expect("beside the source");
}

#[test]
fn a_bundle_takes_one_run_at_a_time() {
    let folder = folder();
    let (source, out) = (folder.path().join("a.ndjson"), folder.path().join("x.json"));
    write(&source, &goal("1"));
    let target = Target::of(&out).expect("a target");
    write(&folder.path().join("x.json.partial"), "");
    let claim = target.claim_first().expect("nobody else");
    assert!(matches!(run(&[&source], &BundleJob::to(&out)), Err(JobError::InUse { .. })));
    run(&[&source], &BundleJob::to(folder.path().join("y.json"))).expect("another file");
    drop(claim);
    run(&[&source], &BundleJob::to(&out)).expect("free");
}

#[test]
fn a_run_over_nothing_leaves_nothing() {
    let folder = folder();
    let nothing = folder.path().join("nothing");
    fs::create_dir(&nothing).expect("made");
    write(&nothing.join("_skipped"), "");
    for out in ["out", "x.json", "new/x.json"] {
        let refused = run(&[&nothing], &BundleJob::to(folder.path().join(out))).expect_err("no source");
        assert!(matches!(refused, JobError::NothingToRead { skipped: 1 }), "{refused:?}");
    }
    assert_eq!(names(folder.path()), ["nothing"]);
}

#[test]
fn an_incomplete_source_leaves_no_final_name() {
    let folder = folder();
    let (good, out) = (folder.path().join("a.ndjson"), folder.path().join("x.json"));
    write(&good, &goal("1"));
    let cut = folder.path().join("b.gz");
    fs::write(&cut, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab]).expect("written");
    let report = run(&[&good, &cut], &BundleJob::to(&out)).expect("told in the report");
    assert_eq!((report.status, report.bundles), (crate::ExitStatus::Incomplete, None));
    assert_eq!(names(folder.path()), ["a.ndjson", "b.gz", "x.json.partial"]);
    assert!(fs::read_to_string(folder.path().join("x.json.partial")).expect("read").contains("Goal/1"));
    let job = Job::new([&good, &cut]).expect("sources").memory_bytes(1 << 30).allow_incomplete(true);
    let report = job.bundle(&BundleJob::to(&out), &mut |_| {}).expect("told in the report");
    assert_eq!((report.status, entries(&out)), (crate::ExitStatus::Incomplete, 1));
}

#[test]
fn what_cannot_be_put_goes_to_quarantine() {
    let folder = folder();
    let (source, out) = (folder.path().join("a.ndjson"), folder.path().join("out"));
    let lines = ["{\"resourceType\":\"Goal\"}\n".to_owned(), goal("a b"), goal("1"), goal("1")];
    write(&source, &lines.concat());
    let to = BundleJob::to(&out).form(Form::Transaction(Method::Put));
    let report = run(&[&source], &to).expect("a run");
    assert_eq!(report.account.ledger.records.quarantined, 2);
    let faults: Vec<_> = report.account.faults.iter().map(|fault| &*fault.fault).collect();
    assert_eq!(faults, ["no-id", "illegal-id"]);
    let bundles = report.bundles.expect("sealed");
    assert_eq!((bundles.written, bundles.duplicates, bundles.uuids), (2, 1, 0));
    assert_eq!(fs::read_to_string(out.join("_quarantine/lines.raw")).expect("read"), lines[..2].concat());
}

#[test]
fn the_memory_bounds_what_is_known_of_urls() {
    let folder = folder();
    let (source, out) = (folder.path().join("a.ndjson"), folder.path().join("x.json"));
    let plan = Job::new([folder.path()]).expect("a source").bundle_memory_plan().expect("enough");
    assert_eq!(plan.set_aside_bytes, 16 << 20);
    write(&source, &(0..1000).map(|id| goal(&id.to_string())).collect::<String>());
    let report = run(&[&source], &BundleJob::to(&out)).expect("a run");
    assert_eq!(report.bundles.map(|bundles| bundles.ended.fingerprints), Some(0));
}
