//! A folder whose manifest lists more than data.

use serde_json::json;

use super::place::{BROKEN, GOAL, PATIENT, Place, lines};

const HEADER: &str = r#"{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/p"}}]}"#;
const DELETION: &str = r#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Goal/1"}}]}"#;
const OUTCOME: &str =
    r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}"#;

/// An export of a patient and a goal, in blocks, with two deletions and an error.
fn export() -> Place {
    let manifest = json!({
        "transactionTime": "2026-01-01T00:00:00Z",
        "request": "https://server/$export",
        "requiresAccessToken": false,
        "outputOrganizedBy": "Patient",
        "output": [{"url": "https://server/files/1.ndjson?key=secret"}],
        "deleted": [{"type": "Bundle", "url": "https://server/files/gone.ndjson"}],
        "error": [{"type": "OperationOutcome", "url": "https://server/files/errors.ndjson"}],
    });
    Place::with([
        ("export/1.ndjson", lines(&[HEADER, PATIENT, GOAL])),
        ("export/gone.ndjson", lines(&[DELETION, BROKEN, DELETION])),
        ("export/errors.ndjson", lines(&[OUTCOME])),
        ("export/manifest.json", manifest.to_string()),
    ])
}

#[test]
fn what_is_no_data_goes_to_sidecars() {
    let place = export();
    insta::assert_snapshot!(place.run("split export -o out").ends_with(3).shown());
    assert_eq!(
        place.files("out"),
        [
            "Goal.ndjson",
            "Patient.ndjson",
            "_deleted.ndjson",
            "_errors.ndjson",
            "_headers.ndjson",
            "_quarantine/lines.raw",
            "_quarantine/outcome.ndjson",
            "manifest.json",
        ]
    );
    assert_eq!(place.text("out/_deleted.ndjson"), lines(&[DELETION, DELETION]));
    assert_eq!(place.text("out/_errors.ndjson"), lines(&[OUTCOME]));
    assert_eq!(place.text("out/_headers.ndjson"), lines(&[HEADER]));
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT]));
    let manifest = place.json("out/manifest.json");
    let listed = |list: &str| -> Vec<String> {
        let files = manifest[list].as_array().expect("a list").iter();
        files
            .map(|file| format!("{} {} {}", file["type"], file["url"], file["count"]).replace('"', ""))
            .collect()
    };
    assert_eq!(listed("output"), ["Goal Goal.ndjson 1", "Patient Patient.ndjson 1"]);
    assert_eq!(listed("deleted"), ["Bundle _deleted.ndjson 2"]);
    assert_eq!(
        listed("error"),
        ["OperationOutcome _errors.ndjson 1", "OperationOutcome _quarantine/outcome.ndjson 1"]
    );
    let ledger = &manifest["extension"]["fhirline"]["account"]["ledger"];
    assert_eq!(ledger["sidecars"], json!({"deleted": 2, "errors": 1, "headers": 1}));
    assert_eq!(ledger["records"]["read"], 3);
}

#[test]
fn cat_prints_data_only_and_stats_counts_the_rest_apart() {
    let place = export();
    assert_eq!(place.run("cat export").ends_with(3).stdout, lines(&[PATIENT, GOAL]).into_bytes());
    insta::assert_snapshot!(place.run("stats export").ends_with(3).shown());
}

#[test]
fn our_own_outputs_split_again_are_the_same() {
    let place = export();
    place.run("split export -o out").ends_with(3);
    // What was rejected is left to `fhirline replay`; a header belongs to the order of a file that is no more.
    place.run("split out -o again").ends_with(0);
    for name in ["Goal.ndjson", "Patient.ndjson", "_deleted.ndjson", "_errors.ndjson"] {
        assert_eq!(place.text(&format!("again/{name}")), place.text(&format!("out/{name}")), "{name}");
    }
    assert_eq!(place.files("again").len(), 5);
    place.run("split export -o out").ends_with(3);
    place.run("split export -o out --overwrite").ends_with(3);
    assert_eq!(place.text("out/_errors.ndjson"), lines(&[OUTCOME]));
}

#[test]
fn counts_that_a_folder_declares_are_compared() {
    let place = Place::with([("export.ndjson", lines(&[PATIENT, GOAL]))]);
    place.run("split export.ndjson -o out").ends_with(0);
    let ran = place.run("stats out --json").ends_with(0);
    assert_eq!(ran.json()["reconciliation"]["matches"], true);
    place.put("out/Goal.ndjson", lines(&[GOAL, GOAL]));
    insta::assert_snapshot!(place.run("split out -o again").ends_with(4).shown());
    // What the user says counts.
    place.put("expect.json", r#"{"output":[{"type":"Patient","count":1},{"type":"Goal","count":2}]}"#);
    place.run("stats out --expect expect.json").ends_with(0);
    // A file that nobody counted may hold anything.
    let ran = place.run("stats out export.ndjson --json").ends_with(0);
    assert!(ran.json()["reconciliation"].is_null());
}

#[test]
fn a_file_of_deletions_that_is_missing_is_an_incomplete_export() {
    let place = export();
    std::fs::remove_file(place.path("export/gone.ndjson")).expect("removed");
    std::fs::remove_file(place.path("export/errors.ndjson")).expect("removed");
    insta::assert_snapshot!(place.run("split export -o out").ends_with(5).shown());
}
