use super::place::{BROKEN, GOAL, PATIENT, Place, gzip, lines};

fn place() -> Place {
    let cut = gzip(lines(&[GOAL]));
    Place::with([
        ("a.ndjson", lines(&[PATIENT, BROKEN]).as_bytes()),
        ("b.ndjson", &cut[..cut.len() - 1]),
        ("c.ndjson", lines(&[PATIENT, GOAL]).as_bytes()),
    ])
}

#[test]
fn nothing_is_sealed_and_the_others_are_still_counted() {
    let place = place();
    insta::assert_snapshot!(place.run("split a.ndjson b.ndjson c.ndjson -o out").ends_with(5).shown());
    let files = place.files("out");
    assert!(!files.is_empty() && files.iter().all(|name| name.ends_with(".partial")), "{files:?}");
}

#[test]
fn with_allow_incomplete_the_good_ones_are_sealed_and_the_missing_one_is_named() {
    let place = place();
    let ran = place.run("split a.ndjson b.ndjson c.ndjson -o out --allow-incomplete").ends_with(5);
    insta::assert_snapshot!(ran.shown());
    let sealed = ["Goal.ndjson", "Patient.ndjson", "_quarantine/lines.raw", "_quarantine/outcome.ndjson"];
    assert_eq!(place.files("out"), [&sealed[..], &["manifest.json"]].concat());
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT, PATIENT]));
    assert_eq!(place.text("out/Goal.ndjson"), lines(&[GOAL]));
    let manifest = place.json("out/manifest.json");
    let sources = &manifest["extension"]["fhirline"]["account"]["sources"];
    assert_eq!(sources["failed"], 1);
    assert_eq!(sources["failures"][0]["source"], "b.ndjson");
}

#[test]
fn a_repaired_source_lets_the_same_command_succeed() {
    let place = place();
    let command = "split a.ndjson b.ndjson c.ndjson -o out";
    place.run(command).ends_with(5);
    place.put("b.ndjson", gzip(lines(&[GOAL])));
    place.run(command).ends_with(3);
    assert_eq!(place.text("out/Goal.ndjson"), lines(&[GOAL, GOAL]));
    assert!(place.files("out").iter().all(|name| !name.ends_with(".partial")));
}

#[test]
fn cat_delivers_what_came_before_and_nothing_behind() {
    let place = place();
    insta::assert_snapshot!(place.run("cat c.ndjson b.ndjson a.ndjson").ends_with(5).shown());
    let ran = place.run("cat b.ndjson c.ndjson --allow-incomplete -q").ends_with(5);
    assert!(ran.out().ends_with(&lines(&[PATIENT, GOAL])), "{}", ran.shown());
}

#[test]
fn stats_counts_what_could_be_read() {
    let report = place().run("stats b.ndjson c.ndjson --json").ends_with(5).json();
    assert_eq!(report["ledger"]["records"]["read"], 3);
    assert_eq!(report["sources"]["failures"][0]["records"], 1);
}
