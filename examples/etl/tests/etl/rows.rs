//! A run leaves the rows that a slow reader expects.

use serde_json::{Value, json};

use crate::place::{Place, assert_same, sample};
use crate::slow_reader::patients;

/// A sample and behind it what is odd or too long to be held.
fn export() -> Vec<u8> {
    let mut export = sample(7, 4 << 20);
    let patient = patients(&export).swap_remove(0);
    let subject = json!({"reference": format!("Patient/{patient}")});
    let long = "\\u0041\u{e9}\\t".repeat(1 << 20);
    let lines = [
        // An id that no text of PostgreSQL's can hold.
        json!({"resourceType": "Goal", "id": "a\0b", "subject": subject}).to_string(),
        format!(
            r#"{{"resourceType":"DocumentReference","subject":{subject},"text":"{long}","id":"long-1"}}"#
        ),
        format!(r#"{{"resourceType":"DocumentReference","subject":{subject},"text":"{long}","id":}}"#),
        json!({"resourceType": "Goal", "id": "last", "subject": subject}).to_string(),
    ];
    lines.iter().for_each(|line| export.extend(format!("{line}\n").bytes()));
    export
}

#[test]
fn the_rows_are_those_of_a_slow_reader() {
    let sources = [("a.jsonl", export()), ("b.jsonl", sample(8, 1 << 20))];
    let Some(place) = Place::new("the_rows_are_those_of_a_slow_reader", &sources) else { return };
    place.deliver("task-1", 0);
    let report: Value = serde_json::from_slice(&place.run(&[], 3).stdout).expect("a report");
    let expected = place.expected();
    assert_same(&place.rows("task-1"), &expected);
    let records = &report["ledger"]["records"];
    let (delivered, filtered) = (records["delivered"].as_u64(), records["filtered"].as_u64());
    let kept = expected.iter().filter(|row| !row.rejected).count() as u64;
    assert_eq!(delivered, Some(kept), "{report}");
    assert!(filtered > Some(100) && kept > 100, "{report}");
    assert_eq!(records["quarantined"], 17);
    assert_eq!(report["reconciliation"]["matches"], true, "{report}");
    assert_eq!(place.complete("task-1"), Some(true));

    // Again, and another task beside it.
    let report: Value = serde_json::from_slice(&place.run(&[], 3).stdout).expect("a report");
    assert_eq!(report["ledger"]["records"], *records);
    place.deliver("task-2", 0);
    place.run(&[], 3);
    for task in ["task-1", "task-2"] {
        assert_same(&place.rows(task), &expected);
    }
}

#[test]
fn another_list_of_patients_is_another_run() {
    let sources = [("a.jsonl", sample(7, 1 << 20))];
    let Some(place) = Place::new("another_list_of_patients_is_another_run", &sources) else { return };
    place.deliver("task-1", 0);
    place.run(&[], 3);
    let before = place.rows("task-1");
    place.put("patients", b"somebody-else");
    let said = place.run(&[], 2).stderr;
    assert!(String::from_utf8_lossy(&said).contains("differs"), "{}", String::from_utf8_lossy(&said));
    assert_same(&place.rows("task-1"), &before);
}
