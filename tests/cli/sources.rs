use std::fs;

use super::place::{BROKEN, GOAL, PATIENT, Place, gzip, lines};

fn patient(id: &str) -> String {
    format!("{{\"resourceType\":\"Patient\",\"id\":\"{id}\"}}\n")
}

/// The ids in the order in which `cat` delivers them.
fn ids(place: &Place, arguments: &str) -> String {
    let out = place.run(&format!("cat {arguments} -q")).ends_with(0);
    let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["id"].to_string();
    out.out().lines().map(|line| id(line).replace('"', "")).collect::<Vec<_>>().join(" ")
}

fn tree() -> Place {
    let place = Place::new();
    for name in ["c.ndjson", "a/z.ndjson", "a/deep/er/x.jsonl", "b", "a.ndjson", "_named.ndjson", ".hidden"] {
        place.put(&format!("in/{name}"), patient(name));
    }
    place.put("in/README.md", "# Notes\n");
    place.put("in/left.ndjson.partial", patient("left"));
    place.put("in/a/_log/l.ndjson", patient("log"));
    place
}

#[test]
fn a_folder_is_read_recursively_in_order_of_path_bytes() {
    assert_eq!(ids(&tree(), "in"), "a.ndjson a/deep/er/x.jsonl a/z.ndjson b c.ndjson");
}

#[test]
fn what_is_skipped_is_told() {
    let place = tree();
    insta::assert_snapshot!(place.run("split in -o out").ends_with(0).shown());
    let report = place.run("stats in --json -q").ends_with(0).json();
    assert_eq!(report["sources"]["skipped"], 5);
}

#[test]
fn many_skipped_names_are_cut_short_unless_asked_for() {
    let place = Place::new();
    (0..9).for_each(|number| place.put(&format!("in/_{number}"), ""));
    place.put("in/a", patient("a"));
    insta::assert_snapshot!(place.run("cat in").ends_with(0).stderr);
    let told = place.run("cat in -v").ends_with(0).stderr;
    assert_eq!(told.matches("skipped").count(), 9, "{told}");
}

#[test]
fn several_sources_keep_the_order_in_which_they_are_named() {
    let place = tree();
    assert_eq!(ids(&place, "in/c.ndjson in/a in/b"), "c.ndjson a/deep/er/x.jsonl a/z.ndjson b");
}

#[test]
fn patterns() {
    let place = tree();
    assert_eq!(ids(&place, "in/*.ndjson"), "_named.ndjson a.ndjson c.ndjson");
    assert_eq!(ids(&place, "in/**/*.jsonl"), "a/deep/er/x.jsonl");
    insta::assert_snapshot!(place.run("cat in/*.csv").ends_with(2).shown());
}

#[test]
fn names_that_folders_skip_are_read_when_named() {
    let place = tree();
    let named = "in/_named.ndjson in/.hidden in/left.ndjson.partial in/a/_log";
    assert_eq!(ids(&place, named), "_named.ndjson .hidden left log");
}

#[test]
fn standard_input() {
    let place = tree();
    let ran = place.run_with_input("split - in/b -o out", lines(&[PATIENT, BROKEN]).as_bytes()).ends_with(3);
    insta::assert_snapshot!(ran.shown());
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT]) + &patient("b"));
    insta::assert_snapshot!("standard_input_twice", place.run("cat - -").ends_with(2).shown());
}

#[test]
fn standard_input_may_be_compressed() {
    let place = Place::new();
    let ran = place.run_with_input("cat -", &gzip(lines(&[GOAL]))).ends_with(0);
    assert_eq!(ran.out(), lines(&[GOAL]));
}

#[test]
fn our_own_output_is_read_through_its_manifest() {
    let place = Place::new();
    place.put_sample("export.ndjson", 300_000);
    place.run("split export.ndjson -o one --compress gzip --max-file-records 100").ends_with(3);
    place.put("one/stranger.ndjson", patient("stranger"));
    place.run("split one -o two --max-file-records 100 --compress gzip").ends_with(0);
    let data = |folder: &str| -> Vec<_> {
        let files = place.contents(folder).into_iter();
        files.filter(|(name, _)| name.ends_with(".ndjson.gz")).collect()
    };
    let (one, two) = (data("one"), data("two"));
    assert!(one.len() > 5 && one == two, "{:?} {:?}", place.files("one"), place.files("two"));
}

#[test]
fn a_missing_output_of_a_manifest_is_an_incomplete_source() {
    let place = Place::with([("export.ndjson", lines(&[PATIENT, GOAL]))]);
    place.run("split export.ndjson -o one").ends_with(0);
    fs::remove_file(place.path("one/Goal.ndjson")).expect("removed");
    insta::assert_snapshot!(place.run("split one -o two").ends_with(5).shown());
}

#[test]
fn an_empty_file_is_legal_and_told() {
    let place = Place::with([("empty.ndjson", "")]);
    insta::assert_snapshot!(place.run("split empty.ndjson -o out").ends_with(0).shown());
    assert_eq!(place.files("out"), ["manifest.json"]);
    place.run("cat empty.ndjson").ends_with(0);
}

#[test]
fn a_folder_without_data_is_an_error() {
    let place = Place::with([("in/notes.md", "# Notes\n")]);
    insta::assert_snapshot!(place.run("split in -o out").ends_with(2).shown());
    assert!(!place.exists("out"), "{:?}", place.files("out"));
    fs::create_dir(place.path("empty")).expect("made");
    insta::assert_snapshot!("an_empty_folder", place.run("stats empty").ends_with(2).shown());
}

#[test]
fn what_does_not_exist_is_an_error() {
    let place = Place::new();
    insta::assert_snapshot!(place.run("split none.ndjson -o out").ends_with(2).shown());
    let url = "ftp://user:secret@example.org/export.ndjson?token=secret";
    let ran = place.run(&format!("cat {url}")).ends_with(2);
    assert!(ran.stderr.contains("ftp:// sources are not supported") && !ran.stderr.contains("secret"));
}
