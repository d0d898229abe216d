use serde_json::{Value, json};

use super::place::{BROKEN, GOAL, PATIENT, Place, gzip, lines};

/// Counts that the good file has, and the broken one, too.
const EVENT: &str =
    r#"{"data":{"stats":{"total_resources":2,"total_by_resource_type":{"Patient":1,"Goal":1}}}}"#;
const OTHER_EVENT: &str =
    r#"{"data":{"stats":{"total_resources":3,"total_by_resource_type":{"Patient":3}}}}"#;

fn place() -> Place {
    let good = lines(&[PATIENT, GOAL]);
    let cut = gzip(&good);
    Place::with([
        ("good.ndjson", good.as_bytes()),
        ("broken.ndjson", lines(&[PATIENT, BROKEN, GOAL]).as_bytes()),
        ("cut.ndjson.gz", &cut[..cut.len() - 4]),
        ("event.json", EVENT.as_bytes()),
        ("other-event.json", OTHER_EVENT.as_bytes()),
    ])
}

/// Runs `split` and `stats` with these arguments and sees to it that process, JSON and report file tell the same.
#[track_caller]
fn ends(arguments: &str, code: i32, status: &str, conditions: &[&str]) {
    let place = place();
    let runs = [
        format!("split {arguments} -o out --json --report report.json"),
        format!("stats {arguments} --json --report report.json"),
    ];
    for run in runs {
        let ran = place.run(&run).ends_with(code);
        let told = ran.json();
        assert_eq!(summary(&told), json!([status, code, conditions]), "{run}");
        assert_eq!(told, place.json("report.json"), "{run}");
    }
}

fn summary(report: &Value) -> Value {
    json!([report["status"], report["exit_code"], report["conditions"]])
}

#[test]
fn complete() {
    ends("good.ndjson", 0, "complete", &[]);
    ends("good.ndjson --expect event.json", 0, "complete", &[]);
}

#[test]
fn failed() {
    ends("broken.ndjson --max-rejects 0", 1, "failed", &["failed"]);
    ends("broken.ndjson --on-reject fail", 1, "failed", &["failed"]);
}

#[test]
fn refused() {
    ends("no-such-file.ndjson", 2, "usage", &["usage"]);
    ends("good.ndjson --memory 1MiB", 2, "usage", &["usage"]);
    ends("good.ndjson --expect broken.ndjson", 2, "usage", &["usage"]);
}

#[test]
fn what_clap_refuses_is_usage_too() {
    let place = place();
    for arguments in ["split good.ndjson", "split", "no-such-command", "stats --type patient good.ndjson", ""]
    {
        let ran = place.run(arguments).ends_with(2);
        assert!(ran.stderr.contains("Usage") || ran.stderr.contains("error:"), "{}", ran.shown());
    }
}

#[test]
fn quarantined() {
    ends("broken.ndjson", 3, "quarantined", &["quarantined"]);
    ends("broken.ndjson --expect event.json", 3, "quarantined", &["quarantined"]);
}

#[test]
fn mismatch() {
    ends("good.ndjson --expect other-event.json", 4, "mismatch", &["mismatch"]);
}

#[test]
fn incomplete() {
    ends("cut.ndjson.gz", 5, "incomplete", &["incomplete"]);
    ends("good.ndjson cut.ndjson.gz --allow-incomplete", 5, "incomplete", &["incomplete"]);
}

#[test]
fn the_most_severe_wins_and_all_are_told() {
    let all = &["incomplete", "mismatch", "quarantined"];
    ends("broken.ndjson cut.ndjson.gz --expect other-event.json", 5, "incomplete", all);
    ends("cut.ndjson.gz broken.ndjson --expect other-event.json", 5, "incomplete", all);
    let expected = "--expect other-event.json";
    ends(&format!("broken.ndjson {expected}"), 4, "mismatch", &["mismatch", "quarantined"]);
    ends("cut.ndjson.gz broken.ndjson", 5, "incomplete", &["incomplete", "quarantined"]);
    ends(&format!("cut.ndjson.gz broken.ndjson --max-rejects 0 {expected}"), 1, "failed", &["failed"]);
    ends("cut.ndjson.gz broken.ndjson --max-rejects 0 --memory 1MiB", 2, "usage", &["usage"]);
}

#[test]
fn a_report_that_cannot_be_written_fails_the_run_but_not_its_outputs() {
    let place = place();
    let ran = place.run("split good.ndjson -o out --report no/such/folder.json").ends_with(1);
    insta::assert_snapshot!(ran.shown());
    assert!(place.exists("out/manifest.json"));
}

#[test]
fn the_report_of_a_failed_run() {
    let place = place();
    place.run("split broken.ndjson -o out --max-rejects 0 --report report.json -q").ends_with(1);
    insta::assert_snapshot!(place.text("report.json"));
}
