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

const BUNDLE: &str = r#"{"resourceType":"Bundle","id":"b","type":"batch-response","signature":{},"entry":[
{"fullUrl":"urn:fhirline:1","resource":{"resourceType":"Patient","id":"1"}},
{"response":{"status":"204"}}]}
"#;

fn split_with_metadata(source: &Path, out: &Path, overwrite: bool) -> Result<Report, JobError> {
    let to = SplitJob::to(out).keep_entry_metadata(true).overwrite(overwrite);
    Job::new([source])?.memory_bytes(1 << 30).split(&to, &mut |_| {})
}

fn names_in(folder: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("entry").file_name().into_string();
    let names: Result<Vec<_>, _> = fs::read_dir(folder).expect("listed").map(name).collect();
    let mut names = names.expect("text");
    names.sort();
    names
}

const SIDECARS: [&str; 3] = ["_bundles.ndjson", "_entries.ndjson", "_entry_metadata.ndjson"];

#[test]
fn sidecars_are_told_beside_the_outputs() {
    let folder = folder();
    let (source, out) = (folder.path().join("bundle.json"), folder.path().join("out"));
    write(&source, BUNDLE);
    let report = split_with_metadata(&source, &out, false).expect("sound");
    let names =
        |files: &[crate::OutputReport]| -> Vec<_> { files.iter().map(|of| of.name.clone()).collect() };
    assert_eq!(names(&report.outputs), ["Patient.ndjson"]);
    assert_eq!(names(&report.sidecars), SIDECARS);
    assert_eq!(report.sidecars.iter().map(|of| of.records).collect::<Vec<_>>(), [1, 1, 2]);
    assert!(report.sidecars.iter().all(|of| of.resource_type.is_none() && of.checksum.is_some()));
    assert_eq!(report.account.types.len(), 1);
    let containers = report.account.ledger.containers;
    assert_eq!((containers.bundles, containers.bare_entries, containers.signed_bundles), (1, 1, 1));
    assert!(report.account.notes.iter().any(|note| note.contains("signature")), "{:?}", report.account.notes);
    assert_eq!(
        fs::read(out.join("_entries.ndjson")).expect("read"),
        b"{\"response\":{\"status\":\"204\"}}\n"
    );

    let json = fs::read(out.join("manifest.json")).expect("read");
    let manifest: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(manifest["output"].as_array().map(Vec::len), Some(1));
    assert_eq!(manifest["extension"]["fhirline"]["sidecars"].as_array().map(Vec::len), Some(3));

    let again = split_with_metadata(&source, &out, false).expect("the same run");
    assert!(again.already_complete && again.sidecars == report.sidecars && again.account == report.account);
    let refused = run(&source, &out).expect_err("another option");
    let JobError::OtherRun { differences, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(differences, &["`keep_entry_metadata`"]);
}

#[test]
fn sidecars_are_read_back_by_nobody() {
    let folder = folder();
    let (source, out) = (folder.path().join("bundle.json"), folder.path().join("out"));
    write(&source, BUNDLE);
    split_with_metadata(&source, &out, false).expect("sound");
    let mut read = Vec::new();
    Job::new([&out]).expect("a source").memory_bytes(1 << 30).cat(&mut read, &mut |_| {}).expect("sound");
    assert_eq!(read, PATIENT.as_bytes());
}

#[test]
fn sidecars_belong_to_the_run() {
    let folder = folder();
    let (source, out) = (folder.path().join("bundle.json"), folder.path().join("out"));
    write(&source, BUNDLE);
    split_with_metadata(&source, &out, false).expect("sound");
    fs::write(out.join("_entries.ndjson"), "").expect("cut to nothing");
    let refused = split_with_metadata(&source, &out, false).expect_err("damaged");
    assert!(matches!(&refused, JobError::Damaged { file, .. } if file == "_entries.ndjson"), "{refused:?}");
    write(&source, PATIENT);
    let report = split_with_metadata(&source, &out, true).expect("replaced");
    assert!(report.sidecars.is_empty());
    assert_eq!(names_in(&out), ["Patient.ndjson", "manifest.json"]);
}

/// A Bundle is one record then, and there is nothing beside it.
#[test]
fn bundles_can_be_kept() {
    let folder = folder();
    let (source, out) = (folder.path().join("bundle.json"), folder.path().join("out"));
    write(&source, BUNDLE);
    let job = Job::new([&source]).expect("a source").memory_bytes(1 << 30).keep_bundles(true);
    let report = job.split(&SplitJob::to(&out), &mut |_| {}).expect("sound");
    assert_eq!(report.account.ledger.records.delivered, 1);
    assert!(report.account.ledger.containers.is_empty());
    assert_eq!(names_in(&out), ["Bundle.ndjson", "manifest.json"]);
    let refused = run(&source, &out).expect_err("another option");
    let JobError::OtherRun { differences, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(differences, &["`keep_bundles`"]);
}

/// An account of before there were Bundles can still be read.
#[test]
fn an_older_account_has_no_containers() {
    let mut account = serde_json::to_value(crate::Account::default()).expect("JSON");
    let ledger = &mut account["ledger"];
    assert!(ledger.get("containers").is_none(), "left out where there are none");
    let removed = ledger["bytes"].as_object_mut().and_then(|bytes| bytes.remove("metadata"));
    assert_eq!(removed, Some(0.into()));
    let read: crate::Account = serde_json::from_value(account).expect("an account");
    assert_eq!(read, crate::Account::default());
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
    assert_eq!(names_in(&out), ["Patient.ndjson", "manifest.json"]);
}
