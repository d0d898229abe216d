use super::place::{BROKEN, GOAL, PATIENT, Place, lines};

/// Compares two patients, a goal and a broken line with what a file declares.
fn compared(expectation: &str, arguments: &str) -> super::place::Ran {
    let place = Place::with([
        ("export.ndjson", lines(&[PATIENT, GOAL, BROKEN, PATIENT])),
        ("expect.json", expectation.to_owned()),
    ]);
    place.run(&format!("split export.ndjson -o out --expect expect.json {arguments}"))
}

fn event(stats: &str) -> String {
    format!(r#"{{"type":"patient.ehi_export_success","data":{{"task_id":"t","stats":{stats}}}}}"#)
}

#[test]
fn an_event_that_matches() {
    let stats = r#"{"total_resources":3,"total_by_resource_type":{"Patient":2,"Goal":1}}"#;
    insta::assert_snapshot!(compared(&event(stats), "").ends_with(3).shown());
}

#[test]
fn filters_do_not_change_what_was_read() {
    let stats = r#"{"total_by_resource_type":{"Patient":2,"Goal":1}}"#;
    insta::assert_snapshot!(compared(&event(stats), "--type Goal").ends_with(3).shown());
}

#[test]
fn an_event_that_differs_by_type() {
    let stats = r#"{"total_resources":5,"total_by_resource_type":{"Patient":4,"Observation":1}}"#;
    insta::assert_snapshot!(compared(&event(stats), "").ends_with(4).shown());
}

#[test]
fn a_total_only() {
    compared(&event(r#"{"total_resources":4}"#), "").ends_with(3);
    insta::assert_snapshot!(compared(&event(r#"{"total_resources":12}"#), "").ends_with(4).shown());
}

#[test]
fn a_total_that_contradicts_its_types_is_a_note() {
    let stats = r#"{"total_resources":12,"total_by_resource_type":{"Patient":2,"Goal":1}}"#;
    insta::assert_snapshot!(compared(&event(stats), "").ends_with(3).shown());
}

#[test]
fn a_bulk_data_manifest() {
    let output = |counts: &str| format!(r#"{{"transactionTime":"t","output":[{counts}],"error":[]}}"#);
    let matching = r#"{"type":"Patient","url":"1","count":1},{"type":"Patient","url":"2","count":1},{"type":"Goal","url":"3"}"#;
    compared(&output(matching), "").ends_with(3);
    let other = r#"{"type":"Patient","url":"1","count":1},{"type":"Goal","url":"3","count":1}"#;
    let ran = compared(&output(other), "--json").ends_with(4);
    let difference = serde_json::json!([{"resource_type": "Patient", "declared": 1, "read": 2}]);
    assert_eq!(ran.json()["reconciliation"]["differences"], difference);
}

#[test]
fn a_manifest_without_files_declares_that_there_is_nothing() {
    insta::assert_snapshot!(compared(r#"{"output":[]}"#, "").ends_with(4).shown());
}

#[test]
fn our_own_manifest_is_an_expectation() {
    let place = Place::with([("export.ndjson", lines(&[PATIENT, GOAL]))]);
    place.run("split export.ndjson -o out").ends_with(0);
    place.run("stats out --expect out/manifest.json").ends_with(0);
    place.put("export.ndjson", lines(&[PATIENT]));
    place.run("stats export.ndjson --expect out/manifest.json").ends_with(4);
}

#[test]
fn a_file_without_counts_is_refused() {
    let files = [
        "{\"data\":{}}",
        "{\"data\":{\"stats\":{}}}",
        "{\"data\":{\"stats\":{\"total_resources\":-1}}}",
        "{\"output\":[{\"type\":\"Patient\"}]}",
        "[]",
        "{\"resourceType\":\"Patient\"}",
        "{\"data\":",
        "no JSON",
        "",
    ];
    let told: Vec<String> =
        files.iter().map(|file| format!("{file}\n{}\n", compared(file, "").ends_with(2).stderr)).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_missing_file_is_refused_before_anything_is_made() {
    let place = Place::with([("export.ndjson", PATIENT)]);
    insta::assert_snapshot!(place.run("split export.ndjson -o out --expect none.json").ends_with(2).shown());
    assert!(!place.exists("out"));
}
