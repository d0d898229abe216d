use std::fs::{self, File};
use std::time::SystemTime;

use super::place::{BROKEN, GOAL, PATIENT, Place, Ran, gzip, lines};

fn place() -> Place {
    Place::with([("in/a.ndjson", lines(&[PATIENT, BROKEN])), ("in/b.ndjson", lines(&[GOAL]))])
}

/// A place with a complete run in `out`.
fn split() -> Place {
    let place = place();
    place.run("split in -o out").ends_with(3);
    place
}

#[track_caller]
fn refused(place: &Place, arguments: &str) -> Ran {
    let before = place.contents("");
    let ran = place.run(arguments).ends_with(2);
    assert_eq!(place.contents(""), before, "something was touched");
    ran
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    let place = place();
    place.put("out/notes.txt", "mine");
    insta::assert_snapshot!(refused(&place, "split in -o out").shown());
    refused(&place, "split in -o out --overwrite");
}

#[test]
fn a_manifest_of_somebody_else_does_not_make_it_ours() {
    let place = place();
    place.put("out/manifest.json", r#"{"output":[{"type":"Patient","url":"in/a.ndjson","count":1}]}"#);
    refused(&place, "split in -o out --overwrite");
}

#[test]
fn a_file_is_refused() {
    let place = place();
    insta::assert_snapshot!(refused(&place, "split in/a.ndjson -o in/b.ndjson").shown());
}

#[test]
fn a_source_in_the_destination_is_refused() {
    let place = split();
    insta::assert_snapshot!(refused(&place, "split out/Patient.ndjson -o out").shown());
    refused(&place, "split out -o out --overwrite");
    refused(&place, "split in out/_quarantine/lines.raw -o out --overwrite");
    refused(&place, "split in/a.ndjson out/*.ndjson -o out --overwrite");
    refused(&place, "split ou[t]/*.ndjson -o out --overwrite");
}

#[test]
fn a_run_with_nothing_to_read_replaces_nothing() {
    let place = split();
    fs::create_dir(place.path("empty")).expect("made");
    insta::assert_snapshot!(refused(&place, "split empty -o out --overwrite").shown());
}

#[test]
fn a_destination_inside_a_source_is_not_read() {
    let place = place();
    place.run("split in -o in/out").ends_with(3);
    let ran = place.run("split in -o in/out --type Goal --overwrite").ends_with(3);
    insta::assert_snapshot!(ran.shown());
    assert_eq!(place.text("in/out/Goal.ndjson"), lines(&[GOAL]));
}

#[test]
fn the_same_run_again_does_nothing_and_says_so() {
    let place = split();
    let moments = |place: &Place| -> Vec<_> {
        let file =
            |name: &String| fs::metadata(place.path(&format!("out/{name}"))).expect("there").modified();
        place.files("out").iter().map(|name| file(name).expect("known")).collect()
    };
    let before = (place.contents("out"), moments(&place));
    insta::assert_snapshot!(place.run("split in -o out").ends_with(3).shown());
    // What does not change the outputs does not count.
    place.run("split in -o out --threads 1 --memory 80MiB -v --progress never").ends_with(3);
    assert!(before == (place.contents("out"), moments(&place)), "something was touched");
    let report = place.run("split in -o out --json").ends_with(3).json();
    assert_eq!(report["already_complete"], true);
    assert_eq!(report["ledger"]["records"]["read"], 3);
}

#[test]
fn other_options_or_other_input_are_refused() {
    let place = split();
    insta::assert_snapshot!(refused(&place, "split in -o out --compress gzip").shown());
    insta::assert_snapshot!("other_input_is_refused", refused(&place, "split in/b.ndjson -o out").shown());
    for other in ["--type Goal", "--max-line-bytes 1MiB", "--checksum sha256", "--max-rejects 5"] {
        refused(&place, &format!("split in -o out {other}"));
    }
    refused(&place, "split in/a.ndjson -o out");
    place.put("in/a.ndjson", lines(&[PATIENT]));
    refused(&place, "split in -o out");
}

#[test]
fn overwrite_removes_only_what_the_manifest_names() {
    let place = split();
    place.put("out/notes.txt", "mine");
    place.put("out/sub/Goal.ndjson", "mine");
    place.run("split in/a.ndjson -o out --overwrite --on-reject quarantine --type Patient").ends_with(3);
    let left = [
        "Patient.ndjson",
        "_quarantine/lines.raw",
        "_quarantine/outcome.ndjson",
        "manifest.json",
        "notes.txt",
        "sub/Goal.ndjson",
    ];
    assert_eq!(place.files("out"), left);
    assert_eq!(place.text("out/notes.txt"), "mine");
}

#[test]
fn an_old_quarantine_does_not_outlive_an_overwrite() {
    let place = split();
    place.run("split in/b.ndjson -o out --overwrite").ends_with(0);
    assert_eq!(place.files("out"), ["Goal.ndjson", "manifest.json"]);
}

#[test]
fn what_an_interrupted_run_left_is_cleaned_up() {
    let place = place();
    place.put("out/_fhirline.partial", "");
    place.put("out/Basic.ndjson.partial", "half a rec");
    place.put("out/_quarantine/lines.raw.partial", "half a li");
    place.put("out/notes.txt", "mine");
    place.run("split in -o out").ends_with(3);
    let files = place.files("out");
    assert!(files.iter().all(|name| !name.ends_with(".partial")), "{files:?}");
    assert!(!place.exists("out/Basic.ndjson") && place.exists("out/notes.txt"));
}

#[test]
fn an_empty_folder_and_a_nested_new_one_will_do() {
    let place = place();
    fs::create_dir(place.path("empty")).expect("made");
    place.run("split in -o empty").ends_with(3);
    place.run("split in -o a/b/c").ends_with(3);
    assert!(place.contents("empty") == place.contents("a/b/c"));
}

const INTERRUPTED: &str = "split a.ndjson b.ndjson.gz -o out";

/// A place in which that run could not go on in its second source.
fn interrupted() -> Place {
    let cut = gzip(lines(&[GOAL]));
    let place = Place::with([
        ("a.ndjson", lines(&[PATIENT, BROKEN]).as_bytes()),
        ("b.ndjson.gz", &cut[..cut.len() - 1]),
    ]);
    place.run(INTERRUPTED).ends_with(5);
    assert!(place.text("out/_fhirline.partial").contains("progress"));
    place
}

fn modified(place: &Place, name: &str) -> SystemTime {
    fs::metadata(place.path(name)).and_then(|about| about.modified()).expect("known")
}

fn set_modified(place: &Place, name: &str, time: SystemTime) {
    File::options().append(true).open(place.path(name)).expect("opened").set_modified(time).expect("set");
}

#[test]
fn an_interrupted_run_goes_on_with_the_source_that_was_mended() {
    let place = interrupted();
    place.put("b.ndjson.gz", gzip(lines(&[GOAL])));
    insta::assert_snapshot!(place.run(INTERRUPTED).ends_with(3).shown());
    place.run("split a.ndjson b.ndjson.gz -o unbroken").ends_with(3);
    assert!(place.contents("out") == place.contents("unbroken"));
    assert_eq!(
        place.files("out"),
        [
            "Goal.ndjson",
            "Patient.ndjson",
            "_quarantine/lines.raw",
            "_quarantine/outcome.ndjson",
            "manifest.json"
        ]
    );
}

#[test]
fn where_an_interrupted_run_went_on_is_in_the_report() {
    let place = interrupted();
    // What the outputs do not depend on does not count.
    let others =
        "--threads 1 --memory 80MiB -v --progress never --durability none --checkpoint-bytes 1MiB --json";
    let report = place.run(&format!("{INTERRUPTED} {others}")).ends_with(5).json();
    assert_eq!(report["resumed_from"], serde_json::json!({ "source": "b.ndjson.gz", "line": 1, "byte": 0 }));
    assert_eq!(report["reread_bytes"], lines(&[GOAL]).len(), "what it gave before");
    let report = place.run(&format!("{INTERRUPTED} --overwrite --json")).ends_with(5).json();
    assert!(report.get("resumed_from").is_none() && report.get("begun_afresh").is_none());
}

#[test]
fn an_interrupted_run_with_other_options_is_refused() {
    let place = interrupted();
    let other = format!("{INTERRUPTED} --compress gzip --max-file-records 5");
    insta::assert_snapshot!(refused(&place, &other).shown());
    for other in
        ["--type Goal", "--max-line-bytes 1MiB", "--checksum sha256", "--max-rejects 5", "--allow-incomplete"]
    {
        let ran = refused(&place, &format!("{INTERRUPTED} {other}"));
        let named = other.split(' ').next().expect("an option");
        assert!(ran.stderr.contains(named), "{}", ran.shown());
    }
    place.run(&format!("{other} --overwrite")).ends_with(5);
}

#[test]
fn a_source_that_changed_since_is_refused() {
    let (place, source) = (interrupted(), "a.ndjson");
    let (bytes, time) = (place.read(source), modified(&interrupted(), source));
    place.put(source, [&bytes[..], b"\n"].concat());
    let mut told = vec![refused(&place, INTERRUPTED).shown()];
    place.put(source, &bytes);
    set_modified(&place, source, time + std::time::Duration::from_secs(5));
    told.push(refused(&place, INTERRUPTED).shown());
    insta::assert_snapshot!(told.join("\n"));
    place.run(&format!("{INTERRUPTED} --overwrite")).ends_with(5);
}

#[test]
fn a_source_with_other_bytes_is_refused_whatever_its_length_and_time() {
    let (place, source) = (interrupted(), "a.ndjson");
    let (text, time) = (place.text(source), modified(&place, source));
    place.put(source, text.replace("\"id\":\"p\"", "\"id\":\"q\""));
    set_modified(&place, source, time);
    insta::assert_snapshot!(refused(&place, INTERRUPTED).shown());
    // Another source in its place, or none.
    refused(&place, "split b.ndjson.gz -o out");
    fs::remove_file(place.path(source)).expect("removed");
    refused(&place, INTERRUPTED);
}

#[test]
fn an_interrupted_run_that_lost_an_output_is_begun_afresh() {
    let place = interrupted();
    fs::remove_file(place.path("out/Patient.ndjson.partial")).expect("removed");
    place.put("b.ndjson.gz", gzip(lines(&[GOAL])));
    insta::assert_snapshot!(place.run(INTERRUPTED).ends_with(3).shown());
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT]));
}

#[test]
fn a_checkpoint_that_makes_no_sense_is_none() {
    let place = interrupted();
    place.put("b.ndjson.gz", gzip(lines(&[GOAL])));
    for name in ["out/_fhirline.partial", "out/_fhirline-safe.partial"] {
        let checkpoint = place.text(name);
        place.put(name, &checkpoint[..checkpoint.len() / 2]);
    }
    let ran = place.run(INTERRUPTED).ends_with(3);
    assert!(ran.out().contains("begun afresh: the checkpoint makes no sense"), "{}", ran.shown());
}

/// As after a crash of the machine that took what the latest vouches for.
#[test]
fn if_the_latest_checkpoint_does_not_hold_the_safe_one_does() {
    for latest in ["", "{\"half\":"] {
        let place = interrupted();
        place.put("b.ndjson.gz", gzip(lines(&[GOAL])));
        place.put("out/_fhirline.partial", latest);
        let ran = place.run(INTERRUPTED).ends_with(3);
        assert!(ran.out().contains("continued in b.ndjson.gz, line 1"), "{}", ran.shown());
        assert_eq!(place.text("out/Goal.ndjson"), lines(&[GOAL]));
        assert!(!place.path("out/_fhirline-safe.partial").exists());
    }
}
