use super::place::{BROKEN, GOAL, PATIENT, Place, lines};

fn place() -> Place {
    Place::with([("a.ndjson", lines(&[PATIENT, GOAL, BROKEN, PATIENT, "{\"resourceType\":\"x-y\"}"]))])
}

#[test]
fn a_table_by_type() {
    insta::assert_snapshot!(place().run("stats a.ndjson").ends_with(3).shown());
}

#[test]
fn with_filters() {
    insta::assert_snapshot!(place().run("stats a.ndjson --type Goal").ends_with(3).shown());
}

#[test]
fn the_report_as_json() {
    let mut report = place().run("stats a.ndjson --json").ends_with(3).json();
    let fields = report.as_object_mut().expect("an object");
    let memory = fields.remove("memory").expect("how the memory was divided");
    assert_eq!(memory["ceiling"], 64 << 20);
    assert!(fields.remove("seconds").expect("time").is_f64());
    insta::assert_snapshot!(format!("{report:#}"));
}

#[test]
fn nothing_is_written() {
    let place = place();
    place.run("stats a.ndjson").ends_with(3);
    assert_eq!(place.files(""), ["a.ndjson"]);
}
