use super::*;
use std::fs::File;
use std::time::{Duration, SystemTime};

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
    assert!(matches!(&refused, JobError::Damaged { file, .. } if file == "Patient.ndjson"), "{refused:?}");
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
