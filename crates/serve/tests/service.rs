//! The service against the simulator of Fasten, over loopback, on SQLite.

mod support;

use serde_json::{Value, json};

use fhirline::sample::Sample;
use fhirline_connect::{Misbehaviour, Simulator};
use support::{
    CONNECTION, OTHER_SECRET, Place, Running, SECRET, client, link_of, read, success, with_webhook,
};

const PATH: &str = "/webhooks/fasten/test";

#[test]
fn a_delivery_becomes_an_output() {
    let place = Place::new(300);
    let (service, simulator) = with_webhook(&place, "", &[]);
    let task = client(&simulator).request_export(CONNECTION, None).expect("requested").task_id;
    let export = service.export_in("done");
    assert_eq!(export["task_id"], json!(task));
    let folder = place.path("exports").join("test").join(CONNECTION).join(&task);
    assert_eq!(export["destination"], json!(folder.display().to_string()));
    let lines = String::from_utf8(read(&place.path("export.ndjson"))).expect("text");
    for kind in ["Patient", "Observation"] {
        let of_kind: String =
            lines.lines().filter(|line| line.contains(kind)).map(|line| format!("{line}\n")).collect();
        assert_eq!(read(&folder.join(format!("{kind}.ndjson"))), of_kind.as_bytes(), "{kind}");
    }
    let whole = service.report(&export);
    assert_eq!(whole["export"]["report"]["ledger"]["records"]["delivered"], 300);
    assert_eq!(whole["export"]["report"]["reconciliation"]["matches"], true);
    let states: Vec<_> =
        whole["steps"].as_array().expect("steps").iter().map(|step| step["state"].clone()).collect();
    assert_eq!(states, ["queued", "running", "done"]);
    let label: Value = serde_json::from_slice(&read(&folder.join("_export.json"))).expect("JSON");
    assert_eq!(label["task_id"], json!(task));
}

#[test]
fn whatever_is_redelivered_or_reordered_comes_to_one_output() {
    for how in [Misbehaviour::Duplicates, Misbehaviour::Reordered, Misbehaviour::WrongSignature] {
        let place = Place::new(20);
        let (service, simulator) = with_webhook(&place, "", &[how]);
        client(&simulator).request_export(CONNECTION, None).expect("requested");
        let export = service.export_in("done");
        let steps = service.report(&export)["steps"].clone();
        let runs = steps.as_array().expect("steps").iter().filter(|step| step["state"] == "running").count();
        assert_eq!(runs, 1, "{how:?}: {steps:#}");
    }
}

#[test]
fn broken_lines_are_set_aside_and_counts_compared() {
    let place = Place::new(50);
    let (service, simulator) = with_webhook(&place, "", &[Misbehaviour::Malformed]);
    client(&simulator).request_export(CONNECTION, None).expect("requested");
    let export = service.exports_when(|all| all.iter().any(|one| one["finished_at"].is_string()));
    assert_eq!(export[0]["state"], "done_with_rejects");
    let report = &service.report(&export[0])["export"]["report"];
    assert_eq!(report["ledger"]["records"]["quarantined"], 5);

    let place = Place::new(50);
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let service = Running::start(place.config(&simulator.api_url(), ""));
    let mut told = success("e1", "t1", &link_of(&simulator));
    told["data"]["stats"] = json!({ "total_resources": 51, "total_by_resource_type": {} });
    assert_eq!(service.tell(&told), 200);
    let export = service.export_in("mismatch");
    assert_eq!(
        service.report(&export)["export"]["report"]["reconciliation"]["differences"][0]["declared"],
        51
    );
}

/// Counts of the simulator are those of a sender: of what is a resource, and of nothing else.
#[test]
fn what_is_broken_in_each_way_is_set_aside_and_nothing_is_missing() {
    let place = Place::new(0);
    let sample = Sample::new(1).broken_lines(true);
    let mut export = Vec::new();
    let counts = sample.write_to(&mut export).expect("a sample");
    std::fs::write(place.path("export.ndjson"), export).expect("written");
    let (service, simulator) = with_webhook(&place, "", &[]);
    client(&simulator).request_export(CONNECTION, None).expect("requested");
    let export = service.exports_when(|all| all.iter().any(|one| one["finished_at"].is_string()));
    let report = &service.report(&export[0])["export"]["report"];
    assert_eq!(export[0]["state"], "done_with_rejects", "{:#}", report["reconciliation"]);
    assert_eq!(report["ledger"]["records"]["quarantined"], json!(counts.broken));
    assert_eq!(export[0]["stats"]["total_resources"], json!(counts.resources));
}

#[test]
fn what_is_not_signed_is_not_stored() {
    let place = Place::new(1);
    let service = Running::start(place.config("http://127.0.0.1:9", ""));
    let body = success("e1", "t1", "http://127.0.0.1:9/x").to_string();
    assert_eq!(service.deliver(PATH, OTHER_SECRET, "m1", &body, 0), 401, "another secret");
    assert_eq!(service.deliver(PATH, SECRET, "m1", &body, 301), 401, "too old");
    assert_eq!(service.deliver("/webhooks/fasten/live", SECRET, "m1", &body, 0), 404, "no such path");
    let live = body.replace("\"test\"", "\"live\"");
    assert_eq!(service.deliver(PATH, SECRET, "m1", &live, 0), 403, "of the other mode");
    assert_eq!(service.get("/api/v1/events")["events"], json!([]));
    assert_eq!(service.get("/api/v1/exports")["exports"], json!([]));
    let metrics = service.get("/metrics");
    let metrics = metrics.as_str().expect("text");
    for counted in [
        "fhirline_deliveries_total{mode=\"test\",outcome=\"unsigned\"} 1",
        "fhirline_deliveries_total{mode=\"test\",outcome=\"stale\"} 1",
        "fhirline_deliveries_total{mode=\"test\",outcome=\"other_mode\"} 1",
    ] {
        assert!(metrics.contains(counted), "{counted}: {metrics}");
    }
}

#[test]
fn what_is_signed_is_stored_whatever_it_says() {
    let place = Place::new(1);
    let service = Running::start(place.config("http://127.0.0.1:9", ""));
    for (id, body) in [("m1", "no JSON \u{1F600}"), ("m2", "{\"api_mode\":\"test\"}"), ("m3", "[]")] {
        assert_eq!(service.deliver(PATH, SECRET, id, body, 0), 200, "{body}");
    }
    let unknown = json!({ "api_mode": "test", "id": "e4", "type": "patient.new", "data": [1], "more": {} });
    assert_eq!(service.tell(&unknown), 200);
    assert_eq!(service.tell(&unknown), 200);
    let events = service.get("/api/v1/events")["events"].clone();
    assert_eq!(events.as_array().expect("events").len(), 4);
    let flagged = service.get("/api/v1/events?flagged=true")["events"].clone();
    assert_eq!(flagged.as_array().expect("events").len(), 3, "{flagged:#}");
    let known = events
        .as_array()
        .expect("events")
        .iter()
        .find(|event| event["kind"] == "patient.new")
        .expect("there");
    assert_eq!(known["deliveries"], 2);
}

/// What a configuration or a version did not understand is not lost to the next one: it is a duplicate of nothing that was done.
#[test]
fn what_was_not_understood_is_tried_when_it_comes_again() {
    let place = Place::new(20);
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let told = success("e1", "t1", &link_of(&simulator));
    let service = Running::start(place.config(&simulator.api_url(), "export_type = \"parquet\""));
    assert_eq!((service.tell(&told), service.tell(&told)), (200, 200));
    assert_eq!(service.get("/api/v1/events?flagged=true")["events"][0]["deliveries"], 2);
    assert_eq!(service.get("/api/v1/exports")["exports"], json!([]));
    service.stop();
    let service = Running::start(place.config(&simulator.api_url(), ""));
    assert_eq!(service.tell(&told), 200);
    service.export_in("done");
    assert_eq!(service.tell(&told), 200);
    assert_eq!(service.get("/api/v1/events?flagged=true")["events"], json!([]));
    let events = service.get("/api/v1/events")["events"].clone();
    assert_eq!((events.as_array().expect("events").len(), &events[0]["deliveries"]), (1, &json!(4)));
}

#[test]
fn a_command_is_found_from_the_folder_of_the_configuration() {
    let place = Place::new(20);
    let script = place.path("told.sh");
    std::fs::write(&script, "#!/bin/sh\ntouch \"$(dirname \"$0\")/told\"\n").expect("written");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("its mode");
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let service = Running::start(place.config(&simulator.api_url(), "on_complete.command = [\"./told.sh\"]"));
    assert_eq!(service.tell(&success("e1", "t1", &link_of(&simulator))), 200);
    service.exports_when(|_| place.path("told").exists());
}
