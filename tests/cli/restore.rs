use super::place::{BROKEN, GOAL, PATIENT, Place, lines};

const SEARCHSET: &str = r#"{"resourceType":"Bundle","type":"searchset","total":2,"link":[{"relation":"self","url":"https://example.org/r4/Goal"}],"entry":[
{"fullUrl":"https://example.org/r4/Goal/1","search":{"mode":"match"},"resource":{"resourceType":"Goal","id":"1","value":1.00}},
{"fullUrl":"https://example.org/r4/Patient/1","search":{"mode":"include"},"resource":{"resourceType":"Patient","id":"1"}}]}
"#;

const HISTORY: &str = r#"{"resourceType":"Bundle","type":"history","entry":[
{"fullUrl":"https://example.org/r4/Goal/1","request":{"method":"DELETE","url":"Goal/1"}}]}
"#;

/// Two Bundles that were split.
fn place() -> Place {
    let place = Place::with([("a.json", SEARCHSET), ("b.json", HISTORY)]);
    place.run("split a.json b.json -o run --keep-entry-metadata --compress zstd").ends_with(0);
    place
}

#[test]
fn bundles_come_back() {
    let place = place();
    insta::assert_snapshot!(place.run("bundle --restore run -o x.json").ends_with(0).shown());
    assert_eq!((place.text("x.json"), place.text("x.0002.json")), (SEARCHSET.to_owned(), HISTORY.to_owned()));
    let mut report = place.run("bundle --restore run -o out --pretty --json").ends_with(0).json();
    report["seconds"] = 0.into();
    insta::assert_snapshot!("the_report_as_json", format!("{report:#}"));
    assert_eq!(place.files("out"), ["Bundle.0001.json", "Bundle.0002.json"]);
    insta::assert_snapshot!("for_people", place.text("out/Bundle.0002.json"));
}

/// Split, restored and split again: the same outputs.
#[test]
fn what_came_back_splits_into_the_same() {
    let place = place();
    place.run("bundle --restore run -o out").ends_with(0);
    place.run("split out -o again --keep-entry-metadata --compress zstd").ends_with(0);
    for name in ["Goal.ndjson.zst", "Patient.ndjson.zst", "_entries.ndjson.zst", "_entry_metadata.ndjson.zst"]
    {
        assert!(place.read(&format!("run/{name}")) == place.read(&format!("again/{name}")), "{name}");
    }
}

#[test]
fn what_is_not_all_is_refused() {
    let place = place();
    let sources = [
        ("mixed", format!("{}\n{GOAL}\n", SEARCHSET.replace('\n', ""))),
        ("broken", format!("{}\n{BROKEN}\n", SEARCHSET.replace('\n', ""))),
        ("lines", lines(&[PATIENT])),
    ];
    for (name, source) in &sources {
        place.put(&format!("{name}.ndjson"), source);
        place.run(&format!("split {name}.ndjson -o {name} --keep-entry-metadata -q"));
    }
    place.run("split a.json -o plain -q").ends_with(0);
    let told = ["mixed", "broken", "lines", "plain", "nothing"].map(|run| {
        let ran = place.run(&format!("bundle --restore {run} -o x.json")).ends_with(2);
        assert!(!place.exists("x.json") && !place.exists("x.json.partial"));
        ran.shown()
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_damaged_run_is_refused() {
    let place = place();
    let mut goals = place.read("run/Goal.ndjson.zst");
    goals.pop();
    place.put("run/Goal.ndjson.zst", goals);
    insta::assert_snapshot!(place.run("bundle --restore run -o x.json").ends_with(1).shown());
    assert_eq!(
        place.files("."),
        place.files(".").into_iter().filter(|name| !name.contains("x.")).collect::<Vec<_>>()
    );
}

#[test]
fn what_exists_is_replaced_on_request_only() {
    let place = place();
    place.put("x.json", "mine");
    place.run("bundle --restore run -o x.json").ends_with(2);
    assert_eq!(place.text("x.json"), "mine");
    place.run("bundle --restore run -o x.json --overwrite").ends_with(0);
    assert_eq!(place.text("x.json"), SEARCHSET);
    insta::assert_snapshot!(place.run("bundle --restore run -o run/x.json").ends_with(2).shown());
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let place = place();
    let options = [
        "a.json",
        "--type Goal",
        "--bundle-type batch",
        "--max-entries 3",
        "--on-reject fail",
        "--threads 2",
    ];
    for option in options {
        let ran = place.run(&format!("bundle --restore run -o x.json {option}")).ends_with(2);
        assert!(ran.shown().contains("cannot be used with"), "{}", ran.shown());
    }
    insta::assert_snapshot!(place.run("bundle -o x.json").ends_with(2).shown());
    assert!(!place.exists("x.json"));
}
