use std::process::{Command, Stdio};

use serde_json::Value;
use serde_json::value::RawValue;

use super::place::{BROKEN, GOAL, PATIENT, Place, gzip, lines};

const NAMELESS: &str = r#"{"resourceType":"Observation","valueDecimal":1.00}"#;

/// The resources in a Bundle, byte for byte as they stand there.
fn resources(bundle: &str) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Bundle<'b> {
        #[serde(borrow, default)]
        entry: Vec<Entry<'b>>,
    }
    #[derive(serde::Deserialize)]
    struct Entry<'b> {
        #[serde(borrow)]
        resource: &'b RawValue,
    }
    let bundle: Bundle<'_> = serde_json::from_str(bundle).expect("a Bundle");
    bundle.entry.iter().map(|entry| entry.resource.get().to_owned()).collect()
}

/// What holds for every Bundle, by the rules of FHIR.
#[track_caller]
fn is_valid(bundle: &Value) {
    assert_eq!(bundle["resourceType"], "Bundle");
    let acts = bundle["type"] != "collection";
    assert!(bundle.get("total").is_none(), "bdl-1");
    let entries = bundle.get("entry").map(|entries| entries.as_array().expect("an array"));
    assert!(entries.is_none_or(|entries| !entries.is_empty()), "no empty arrays");
    let mut urls = std::collections::HashSet::new();
    for entry in entries.into_iter().flatten() {
        assert!(entry.get("search").is_none() && entry.get("response").is_none(), "bdl-2 and bdl-4");
        assert_eq!(entry.get("request").is_some(), acts, "bdl-3");
        assert!(entry["resource"].is_object(), "bdl-5");
        let url = entry["fullUrl"].as_str().expect("a text");
        assert!(urls.insert(url) && !url.contains("/_history/"), "bdl-7 and bdl-8");
    }
}

fn place() -> Place {
    let messy = format!("\u{FEFF}{PATIENT}\r\n\n  {GOAL}\n{BROKEN}\n{NAMELESS}\n{PATIENT}\n");
    Place::with([("messy.ndjson", messy)])
}

#[test]
fn a_collection_in_one_file() {
    let place = place();
    insta::assert_snapshot!(place.run("bundle messy.ndjson -o x.json").ends_with(3).shown());
    insta::assert_snapshot!("a_collection", place.text("x.json"));
    is_valid(&place.json("x.json"));
    assert_eq!(resources(&place.text("x.json")), [PATIENT, GOAL, NAMELESS, PATIENT]);
    assert_eq!(
        place.files("."),
        ["_x.quarantine/lines.raw", "_x.quarantine/outcome.ndjson", "messy.ndjson", "x.json"]
    );
    assert_eq!(place.text("_x.quarantine/lines.raw"), lines(&[BROKEN]));
}

#[test]
fn a_transaction_for_people() {
    let place = place();
    let command =
        "bundle messy.ndjson -o out --bundle-type transaction --pretty --base https://example.org/r4/";
    insta::assert_snapshot!(place.run(command).ends_with(3).shown());
    insta::assert_snapshot!("a_transaction", place.text("out/Bundle.0001.json"));
    let files =
        ["Bundle.0001.json", "Bundle.0002.json", "_quarantine/lines.raw", "_quarantine/outcome.ndjson"];
    assert_eq!(place.files("out"), files);
    for name in ["out/Bundle.0001.json", "out/Bundle.0002.json"] {
        is_valid(&place.json(name));
    }
}

#[test]
fn a_batch_that_posts() {
    let place = place();
    place.run("bundle messy.ndjson -o x.json --bundle-type batch --method post").ends_with(3);
    let bundle = place.json("x.json");
    is_valid(&bundle);
    let entries = bundle["entry"].as_array().expect("an array");
    let requests: Vec<_> = entries.iter().map(|entry| entry["request"]["url"].as_str()).collect();
    assert_eq!(requests, [Some("Patient"), Some("Goal"), Some("Observation"), Some("Patient")]);
}

#[test]
fn nothing_at_all_is_a_bundle_without_entries() {
    let place = Place::with([("empty.ndjson", "")]);
    let ran = place.run("bundle empty.ndjson -o x.json").ends_with(0);
    assert_eq!(place.text("x.json"), "{\"resourceType\":\"Bundle\",\"type\":\"collection\"}\n");
    insta::assert_snapshot!(ran.shown());
}

#[test]
fn duplicates_by_request() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT, GOAL, PATIENT]))]);
    place.run("bundle a.ndjson -o two.json --on-duplicate new-bundle").ends_with(0);
    assert_eq!(resources(&place.text("two.0002.json")), [PATIENT]);
    insta::assert_snapshot!(
        place.run("bundle a.ndjson -o none.json --on-duplicate fail").ends_with(1).shown()
    );
    assert!(!place.exists("none.json"));
}

/// NDJSON to Bundles and back is the identity, also where a Bundle is laid out for people, and through any number of files.
#[test]
fn there_and_back_again() {
    let place = Place::new();
    place.put_sample("export.ndjson", 2 << 20);
    let before = place.run("cat export.ndjson -q").ends_with(3).stdout;
    for (number, options) in
        ["", "--pretty", "--max-entries 100", "--max-bytes 100KB --pretty"].iter().enumerate()
    {
        let report =
            place.run(&format!("bundle export.ndjson -o {number}.json --json {options}")).ends_with(3);
        let bundles = &report.json()["bundles"]["written"];
        let mut names = format!("{number}.json");
        for later in 2..=bundles.as_u64().expect("a number") {
            names.push_str(&format!(" {number}.{later:04}.json"));
        }
        names.split(' ').for_each(|name| is_valid(&place.json(name)));
        assert!(place.run(&format!("cat {names} -q")).ends_with(0).stdout == before, "{options}");
    }
}

#[test]
fn the_threads_change_nothing() {
    let place = Place::new();
    place.put_sample("export.ndjson", 3 << 20);
    for threads in [1, 2, 5] {
        let options = format!("--threads {threads} --max-bytes 300KB");
        place.run(&format!("bundle export.ndjson -o {threads} {options}")).ends_with(3);
    }
    let one = place.contents("1");
    assert!(one.len() > 5 && one == place.contents("2") && one == place.contents("5"));
}

#[test]
fn a_resource_that_is_longer_than_memory_passes() {
    let place = Place::new();
    let long = format!("{{\"data\":\"{}\",\"id\":\"b\",\"resourceType\":\"Binary\"}}", "A".repeat(9 << 20));
    place.put("long.ndjson", lines(&[PATIENT, &long, GOAL]));
    let report = place.run("bundle long.ndjson -o x.json --max-bytes 1MiB --json").ends_with(0).json();
    assert_eq!((&report["bundles"]["written"], &report["bundles"]["too_long"]), (&3.into(), &1.into()));
    let bundle = place.text("x.0002.json");
    assert!(bundle.contains("\"fullUrl\":\"https://fhirline.invalid/fhir/Binary/b\""));
    assert!(resources(&bundle) == [long]);
}

#[test]
fn what_exists_is_replaced_on_request_only() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT])), ("x.json", "mine".to_owned())]);
    insta::assert_snapshot!(place.run("bundle a.ndjson -o x.json").ends_with(2).shown());
    assert_eq!(place.text("x.json"), "mine");
    place.run("bundle a.ndjson -o x.json --overwrite").ends_with(0);
    assert_eq!(resources(&place.text("x.json")), [PATIENT]);
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT])), ("out/notes.txt", "mine".to_owned())]);
    insta::assert_snapshot!(place.run("bundle a.ndjson -o out --overwrite").ends_with(2).shown());
}

#[test]
fn an_incomplete_source_leaves_what_arrived() {
    let cut = gzip(lines(&[GOAL]));
    let place = Place::with([
        ("a.ndjson", lines(&[PATIENT]).into_bytes()),
        ("b.ndjson", cut[..cut.len() - 1].to_vec()),
    ]);
    insta::assert_snapshot!(place.run("bundle a.ndjson b.ndjson -o x.json").ends_with(5).shown());
    assert_eq!(place.files("."), ["a.ndjson", "b.ndjson", "x.json.partial"]);
    assert!(place.text("x.json.partial").contains(PATIENT));
    place.put("b.ndjson", gzip(lines(&[GOAL])));
    place.run("bundle a.ndjson b.ndjson -o x.json").ends_with(0);
    assert_eq!(place.files("."), ["a.ndjson", "b.ndjson", "x.json"]);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT]))]);
    let told: Vec<String> = [
        "--method post",
        "--base example.org",
        "--base https://example.org/r4?key=1",
        "--base https://example.org/_history/",
        "--max-entries 0",
        "--max-bytes 0",
    ]
    .iter()
    .map(|options| place.run(&format!("bundle a.ndjson -o x.json {options}")).ends_with(2).shown())
    .collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(place.files("."), ["a.ndjson"]);
}

#[test]
fn stopped_on_request() {
    let place = Place::new();
    let mut command = place.command("bundle - -o x.json --progress never");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("run");
    let stdin = child.stdin.take();
    while !place.exists("x.json.partial") {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signal.expect("run").success());
    assert_eq!(child.wait_with_output().expect("ended").status.code(), Some(130));
    drop(stdin);
    assert_eq!(place.files("."), ["x.json.partial"]);
    place.put("a.ndjson", lines(&[GOAL]));
    place.run("bundle a.ndjson -o x.json").ends_with(0);
    assert_eq!(place.files("."), ["a.ndjson", "x.json"]);
}
