use std::fs;

use super::place::{BROKEN, GOAL, PATIENT, Place, Ran, lines};

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
