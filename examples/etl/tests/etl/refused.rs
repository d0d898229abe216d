//! What is not the sender's is refused, and nothing is written.

use std::fs;

use serde_json::{Value, json};

use crate::place::{Place, sample};

fn place(test: &str) -> Option<Place> {
    Place::new(test, &[("a.jsonl", sample(7, 1 << 20))])
}

/// Refused, with that in what it says, before the database was even asked.
#[track_caller]
fn refused(place: &Place, why: &str) {
    let output = place.run(&[], 2);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(why) && output.stdout.is_empty(), "{said}");
    let tables = place.client().query_one("SELECT count(*) FROM pg_tables WHERE tablename = 'exports'", &[]);
    assert_eq!(tables.expect("a count").get::<_, i64>(0), 0);
}

#[test]
fn a_delivery_that_is_forged_or_stale_is_refused() {
    let Some(place) = place("a_delivery_that_is_forged_or_stale_is_refused") else { return };
    place.deliver("task-1", 0);
    let body = fs::read(place.path("event")).expect("a body");
    place.put("event", &String::from_utf8(body).expect("text").replace("task-1", "task-2").into_bytes());
    refused(&place, "no signature fits");

    place.deliver("task-1", 0);
    place.put("headers", b"webhook-id: msg_1\nwebhook-timestamp: 1786000000\n");
    refused(&place, "the header webhook-signature is missing");

    place.deliver("task-1", 3600);
    refused(&place, "the signature is older than 300 s");
    // On purpose.
    place.run(&["--again"], 3);
    assert_eq!(place.complete("task-1"), Some(true));
}

#[test]
fn an_event_without_an_export_is_refused() {
    let Some(place) = place("an_event_without_an_export_is_refused") else { return };
    let event = |kind: &str, data: Value| json!({"api_mode": "test", "id": "1", "type": kind, "data": data});
    place.deliver_event(&event("webhook.test", json!({"hello": "canary"})), 0);
    refused(&place, "the event is Test, which announces no export");
    place.deliver_event(&event("patient.ehi_export_success", json!({"download_links": []})), 0);
    refused(&place, "the event names no task");
    place.deliver_event(&json!({"canary": 1}), 0);
    refused(&place, "the event has no type");
}
