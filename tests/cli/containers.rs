//! Sources that do not hold one resource a line.

use super::place::{GOAL, PATIENT, Place, lines};

/// Deletes, answers and a signature beside two resources; what decides what it is comes last.
fn bundle() -> String {
    format!(
        r#"{{"entry":[{{"fullUrl":"urn:fhirline:1","resource":{PATIENT}}},
{{"request":{{"method":"DELETE","url":"Patient/2"}}}},
{{"resource":{GOAL},"search":{{"mode":"match"}}}}],
"id":"b","resourceType":"Bundle","signature":{{}},"type":"history"}}
"#
    )
}

#[test]
fn a_bundle() {
    let place = Place::with([("bundle.json", bundle())]);
    insta::assert_snapshot!(place.run("split bundle.json -o out").ends_with(0).shown());
    assert_eq!(place.files("out"), ["Goal.ndjson", "Patient.ndjson", "_entries.ndjson", "manifest.json"]);
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT]));
    assert_eq!(
        place.text("out/_entries.ndjson"),
        "{\"request\":{\"method\":\"DELETE\",\"url\":\"Patient/2\"}}\n"
    );
    insta::assert_snapshot!("a_bundle_in_numbers", place.run("stats bundle.json").ends_with(0).shown());
    assert_eq!(place.run("cat bundle.json").ends_with(0).out(), lines(&[PATIENT, GOAL]));
}

#[test]
fn what_a_bundle_says_of_itself_is_kept_on_request() {
    let place = Place::with([("bundle.json", bundle())]);
    let report = place.run("split bundle.json -o out --keep-entry-metadata --json").ends_with(0).json();
    let names = ["_bundles.ndjson", "_entries.ndjson", "_entry_metadata.ndjson"];
    assert_eq!(
        place.files("out"),
        [&["Goal.ndjson", "Patient.ndjson"], &names[..], &["manifest.json"]].concat()
    );
    let told: Vec<_> = report["sidecars"].as_array().expect("a list").iter().map(|of| &of["name"]).collect();
    assert_eq!(told, names);
    assert_eq!(report["ledger"]["bytes"]["metadata"], 0);
    assert_eq!(report["ledger"]["containers"]["bare_entries"], 1);
    assert!(place.text("out/_bundles.ndjson").contains("\"id\":\"b\""));
    assert!(place.text("out/_entry_metadata.ndjson").contains("urn:fhirline:1"));

    let without = place.run("split bundle.json -o without --json").ends_with(0).json();
    assert!(without["ledger"]["bytes"]["metadata"].as_u64().is_some_and(|bytes| bytes > 0), "counted");
    let refused = place.run("split bundle.json -o without --keep-entry-metadata").ends_with(2);
    assert!(refused.stderr.contains("--keep-entry-metadata"), "{}", refused.shown());
}

#[test]
fn a_bundle_can_be_a_record() {
    let place = Place::with([("bundle.json", bundle().replace('\n', "") + "\n")]);
    place.run("split bundle.json -o out --keep-bundles").ends_with(0);
    assert_eq!(place.files("out"), ["Bundle.ndjson", "manifest.json"]);
    assert_eq!(place.text("out/Bundle.ndjson"), place.text("bundle.json"));
    assert_eq!(place.run("cat bundle.json --keep-bundles").ends_with(0).out(), place.text("bundle.json"));
}

#[test]
fn arrays_and_values_over_several_lines() {
    let place = Place::with([
        ("array.json", format!("[\n{PATIENT},\n{GOAL}\n]\n")),
        ("one-line.json", format!("[{PATIENT},{GOAL}]")),
        ("pretty.json", format!("{}\n{GOAL}\n", PATIENT.replace(',', ",\n  "))),
    ]);
    for name in ["array.json", "one-line.json", "pretty.json"] {
        assert_eq!(place.run(&format!("cat {name}")).ends_with(0).out(), lines(&[PATIENT, GOAL]), "{name}");
    }
    insta::assert_snapshot!(place.run("stats array.json one-line.json pretty.json").ends_with(0).shown());
}

#[test]
fn providers_are_named_in_the_report() {
    let list = format!(
        r#"{{"providers":[{{"name":"Clinic B","fhir":{{"x":[{PATIENT}]}}}},{{"name":"Clinic A","fhir":{{}}}}]}}"#
    );
    let place = Place::with([("providers.json", list)]);
    let report = place.run("stats providers.json --json").json();
    assert_eq!(report["providers"], serde_json::json!(["Clinic A", "Clinic B"]));
    assert_eq!(report["ledger"]["containers"]["provider_lists"], 1);
}
