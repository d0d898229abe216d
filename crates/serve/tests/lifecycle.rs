//! What becomes of exports: links that end, connections that come and go, ends that are told, services that stop.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use fhirline_connect::{Misbehaviour, SignatureHeaders, SigningSecret, Simulator, Verifier};
use fhirline_serve::{Replayed, SavedDelivery, purge_now, replay};
use support::{CONNECTION, OTHER_SECRET, Place, Running, link_of, read, secret, success, with_webhook};

fn no_such_link(simulator: &Simulator) -> String {
    format!("{}/bridge/fhir/ehi-export/gone/download/gone.jsonl", simulator.api_url())
}

fn event(id: &str, kind: &str, data: &Value) -> Value {
    json!({ "api_mode": "test", "date": "2026-08-14T10:00:00Z", "id": id, "type": kind, "data": data })
}

fn connected(id: &str, external_id: &str) -> Value {
    let data = json!({
        "org_connection_id": CONNECTION, "connection_status": "authorized", "platform_type": "epic",
        "request_id": "r1", "external_id": external_id,
    });
    event(id, "patient.connection_success", &data)
}

#[test]
fn links_that_have_ended_are_followed_by_new_ones() {
    let place = Place::new(30);
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let service = Running::start(place.config(&simulator.api_url(), ""));
    assert_eq!(service.tell(&success("e1", "t1", &no_such_link(&simulator))), 200);
    let export = service.export_in("expired");
    assert!(export["action"].as_str().expect("an action").contains("request the export again"), "{export:#}");
    assert!(!place.path("exports/test").join(CONNECTION).join("t1").exists());
    // The same event again is no news.
    assert_eq!(service.tell(&success("e1", "t1", &no_such_link(&simulator))), 200);
    assert_eq!(service.tell(&success("e2", "t1", &link_of(&simulator))), 200);
    let export = service.export_in("done");
    assert_eq!((&export["generation"], &export["attempts"]), (&json!(2), &json!(1)));
    let parent = place.path("exports/test").join(CONNECTION);
    let names: Vec<_> =
        std::fs::read_dir(parent).expect("a folder").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(names, ["t1"]);
}

#[test]
fn a_failure_is_told_with_what_to_do_and_a_later_success_counts() {
    let place = Place::new(30);
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let service = Running::start(place.config(&simulator.api_url(), ""));
    let data = json!({ "org_connection_id": CONNECTION, "task_id": "t1", "failure_reason": "token_refresh_failure" });
    assert_eq!(service.tell(&event("e1", "patient.ehi_export_failed", &data)), 200);
    let export = service.export_in("failed");
    assert!(export["failure"].as_str().expect("a failure").contains("token_refresh_failure"), "{export:#}");
    assert!(export["action"].as_str().expect("an action").contains("reconnect"), "{export:#}");
    assert_eq!(service.tell(&success("e2", "t1", &link_of(&simulator))), 200);
    service.export_in("done");
    // A failure that comes late changes nothing.
    assert_eq!(service.tell(&event("e3", "patient.ehi_export_failed", &data)), 200);
    assert_eq!(service.get("/api/v1/exports")["exports"][0]["state"], "done");
}

#[test]
fn what_has_expired_is_requested_again() {
    let place = Place::new(30);
    let (service, simulator) = with_webhook(&place, "re_request = true", &[]);
    assert_eq!(service.tell(&success("e1", "t1", &no_such_link(&simulator))), 200);
    let all = service.exports_when(|all| all.len() == 2 && all.iter().any(|one| one["state"] == "done"));
    let expired = all.iter().find(|one| one["task_id"] == "t1").expect("there");
    assert_eq!(expired["state"], "expired");
}

#[test]
fn a_new_connection_is_exported_under_the_name_that_the_company_has_for_it() {
    let place = Place::new(30);
    let more = "auto_export = true\ndestination = \"out/{external_id}/{task_id}\"";
    let (service, _simulator) = with_webhook(&place, more, &[]);
    assert_eq!(service.tell(&connected("e1", "../<patient> 7")), 200);
    let export = service.export_in("done");
    assert_eq!((&export["external_id"], &export["request_id"]), (&json!("../<patient> 7"), &json!("r1")));
    let folder = Path::new(export["destination"].as_str().expect("a folder"));
    assert_eq!(folder.parent(), Some(place.path("out/..%2F%3Cpatient%3E%207").as_path()));
    assert!(folder.join("manifest.json").is_file());
    let states: Vec<_> = service.report(&export)["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| step["state"].clone())
        .collect();
    assert!(states.ends_with(&[json!("running"), json!("done")]), "{states:?}");
}

#[test]
fn exports_of_revoked_connections_are_held() {
    let place = Place::new(30);
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let service = Running::start(place.config(&simulator.api_url(), "on_revoked = \"hold\""));
    let revoked =
        json!({ "org_connection_id": CONNECTION, "connection_status": "revoked", "platform_type": "epic" });
    assert_eq!(service.tell(&event("e1", "patient.authorization_revoked", &revoked)), 200);
    assert_eq!(service.tell(&success("e2", "t1", &link_of(&simulator))), 200);
    let export = service.export_in("held");
    let path = format!("/api/v1/exports/{}/retry", export["id"].as_str().expect("an id"));
    assert_eq!(service.post(&path), 202);
    service.export_in("done");
    assert_eq!(service.post(&path), 409, "it is done");
}

/// By what is usual they are; and where they are held, a connection that was given back since is none of them.
#[test]
fn exports_of_revoked_connections_are_processed_unless_they_are_to_be_held() {
    let revoked = json!({ "org_connection_id": CONNECTION, "connection_status": "revoked" });
    for (more, comes_back) in
        [("", false), ("on_revoked = \"process\"", false), ("on_revoked = \"hold\"", true)]
    {
        let place = Place::new(30);
        let simulator = Simulator::start(place.simulated()).expect("a simulator");
        let service = Running::start(place.config(&simulator.api_url(), more));
        assert_eq!(service.tell(&event("e1", "patient.authorization_revoked", &revoked)), 200);
        if comes_back {
            assert_eq!(service.tell(&connected("e2", "x")), 200);
        }
        assert_eq!(service.tell(&success("e3", "t1", &link_of(&simulator))), 200);
        service.export_in("done");
    }
}

/// What only a person can take out of the way is not tried again and again.
#[test]
fn something_in_the_place_of_an_output_is_told_and_left_alone() {
    for in_the_way in ["out", "out/t1", "out/.t1.attempt-1"] {
        let place = Place::new(30);
        let file = place.path(in_the_way);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(&file, "of somebody else").expect("written");
        let simulator = Simulator::start(place.simulated()).expect("a simulator");
        let service = Running::start(place.config(&simulator.api_url(), "destination = \"out/{task_id}\""));
        assert_eq!(service.tell(&success("e1", "t1", &link_of(&simulator))), 200);
        let export = service.export_in("failed");
        let failure = export["failure"].as_str().expect("a failure");
        assert!(failure.contains(&format!("destination {}", place.path("out").display())), "{failure}");
        assert!(export["action"].is_string() && export["attempts"] == 1, "{export:#}");
        assert_eq!(read(&file), b"of somebody else");
        std::fs::remove_file(&file).expect("removed");
        let path = format!("/api/v1/exports/{}/retry", export["id"].as_str().expect("an id"));
        assert_eq!(service.post(&path), 202);
        service.export_in("done");
    }
}

/// Lines that are too long to be held wait in the folder that the configuration names, which is relative to its own.
#[test]
fn long_lines_wait_where_they_are_told_to() {
    let place = Place::new(0);
    let line = format!("{{\"resourceType\":\"Binary\",\"data\":\"{}\"}}\n", "x".repeat(6 << 20));
    std::fs::write(place.path("export.ndjson"), line).expect("written");
    std::fs::write(place.path("spools"), "no folder").expect("written");
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let more = "split.spool_dir = \"spools\"\nmax_attempts = 1";
    let service = Running::start(place.config(&simulator.api_url(), more));
    assert_eq!(service.tell(&success("e1", "t1", &link_of(&simulator))), 200);
    let export = service.export_in("failed");
    assert!(
        export["failure"].as_str().expect("a failure").contains("the spool of a long line"),
        "{export:#}"
    );
    std::fs::remove_file(place.path("spools")).expect("removed");
    std::fs::create_dir(place.path("spools")).expect("made");
    let path = format!("/api/v1/exports/{}/retry", export["id"].as_str().expect("an id"));
    assert_eq!(service.post(&path), 202);
    service.export_in("done");
    let left = std::fs::read_dir(place.path("spools")).expect("a folder").count();
    assert_eq!(left, 0, "nothing waits any more");
}

#[test]
fn nothing_heard_of_what_was_requested_is_told() {
    let place = Place::new(30);
    // It is ready at once, and no webhook says so.
    let simulator = Simulator::start(place.simulated().export_takes(Duration::ZERO)).expect("a simulator");
    let more = "auto_export = true\npoll = { first_minutes = 0 }";
    let service = Running::start(place.config(&simulator.api_url(), more));
    assert_eq!(service.tell(&connected("e1", "x")), 200);
    let export = service.export_in("failed");
    assert_eq!(export["failure"], "the export is ready, but no event has told of its links");
    assert!(export["action"].as_str().expect("an action").contains("links come by webhook alone"));
}

#[test]
fn a_command_is_told_of_the_end_until_it_takes_it() {
    let place = Place::new(30);
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let (tried, told) = (place.path("tried"), place.path("told"));
    let script = format!(
        "test -e '{0}' || {{ touch '{0}'; exit 7; }}; cat > '{1}.partial' && mv '{1}.partial' '{1}'",
        tried.display(),
        told.display()
    );
    let more = format!("on_complete.command = [\"sh\", \"-c\", {}]", json!(script));
    let service = Running::start(place.config(&simulator.api_url(), &more));
    assert_eq!(service.tell(&success("e1", "t1", &link_of(&simulator))), 200);
    let export = service.export_in("done");
    service.exports_when(|_| told.exists());
    let message: Value = serde_json::from_slice(&read(&told)).expect("JSON");
    assert_eq!((&message["type"], &message["export"]["id"]), (&json!("export.done"), &export["id"]));
    assert_eq!(message["export"]["report"]["ledger"]["records"]["delivered"], 30);
    assert!(message["id"].as_str().expect("an id").starts_with(export["id"].as_str().expect("an id")));
    let text = message.to_string();
    assert!(!text.contains("CANARY") && !text.contains("download"), "{text}");
}

/// Statuses and bodies of what a receiver of messages gets; it refuses the first.
fn listener() -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/told", listener.local_addr().expect("an address"));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for (turn, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("a connection");
            let mut text = Vec::new();
            let mut bytes = [0; 4096];
            let (head, body) = loop {
                let count = stream.read(&mut bytes).expect("readable");
                text.extend_from_slice(&bytes[..count]);
                let Some(at) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                let head = String::from_utf8_lossy(&text[..at]).to_ascii_lowercase();
                let length =
                    head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if text.len() >= at + 4 + length.unwrap_or(0) {
                    break (String::from_utf8_lossy(&text[..at]).into_owned(), text[at + 4..].to_vec());
                }
            };
            let status = if turn == 0 { "500 No" } else { "204 Yes" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).expect("answered");
            if sender.send((head, body)).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

#[test]
fn a_message_of_the_end_is_signed_and_sent_until_it_is_taken() {
    let place = Place::new(30);
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let (url, messages) = listener();
    let more = format!("on_complete = {{ url = \"{url}\", signing_secret_file = \"other-secret\" }}");
    let service = Running::start(place.config(&simulator.api_url(), &more));
    assert_eq!(service.tell(&success("e1", "t1", &link_of(&simulator))), 200);
    service.export_in("done");
    let verifier = Verifier::new([SigningSecret::parse(OTHER_SECRET).expect("a secret")]);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (head, body) = messages.recv_timeout(Duration::from_secs(60)).expect("a message");
        let of = |name: &str| {
            let named = |line: &&str| line.to_ascii_lowercase().starts_with(&format!("{name}: "));
            head.lines().find(named).map(|line| line[name.len() + 2..].to_owned())
        };
        let (id, timestamp, signature) = (of("webhook-id"), of("webhook-timestamp"), of("webhook-signature"));
        let headers = SignatureHeaders {
            id: id.as_deref(),
            timestamp: timestamp.as_deref(),
            signature: signature.as_deref(),
        };
        assert_eq!(verifier.verify(&headers, &body, SystemTime::now()), Ok(()));
        ids.push(id.expect("an id"));
    }
    assert_eq!(ids[0], ids[1], "the same message");
}

/// A receiver that leads elsewhere has not got the message; one that says a lot has.
#[test]
fn a_message_is_told_once_its_receiver_says_so_and_not_before() {
    let told = "200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1000000";
    for (answer, wanted) in [
        ("302 Found\r\nlocation: /elsewhere".to_owned(), Err("the receiver answered with status 302")),
        ("307 Temporary\r\nlocation: /elsewhere".to_owned(), Err("the receiver answered with status 307")),
        ("500 Broken".to_owned(), Err("the receiver answered with status 500")),
        (told.to_owned(), Ok(())),
    ] {
        let (url, asked) = always(answer);
        let place = Place::new(1);
        let more = format!(
            "on_complete = {{ url = \"{url}\", signing_secret_file = \"other-secret\", max_attempts = 3 }}"
        );
        let service = Running::start(place.config("http://127.0.0.1:9", &more));
        let data = json!({ "task_id": "t1", "failure_reason": "token_refresh_failure" });
        assert_eq!(service.tell(&event("e1", "patient.ehi_export_failed", &data)), 200);
        let counted = if wanted.is_ok() { "told\"} 1" } else { "failed\"} 3" };
        let counted = format!("fhirline_callbacks_total{{outcome=\"{counted}");
        let metrics = service.page_when("/metrics", |text| text.contains(&counted));
        assert_eq!(metrics.contains("outcome=\"told\""), wanted.is_ok(), "{metrics}");
        if let Err(failure) = wanted {
            service.page_when("/", |page| page.contains(failure) && page.contains("3 attempts"));
        }
        let times = if wanted.is_ok() { 1 } else { 3 };
        assert_eq!(asked.load(Ordering::Relaxed), times, "{wanted:?}");
    }
}

/// A server that says that to all, and then nothing; it tells of each who comes.
fn silent_behind(said: &'static str) -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/silent", listener.local_addr().expect("an address"));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = [0; 64 << 10];
            let _ = stream.read(&mut head);
            // Who has gone will not read it.
            let _ = stream.write_all(said.as_bytes());
            kept.push(stream);
            let _ = sender.send(());
        }
    });
    (url, receiver)
}

/// Whatever it waits for at that moment, a stop is not held up by it: neither by a receiver of messages nor by a download that does not go on.
#[test]
fn a_stop_waits_for_nobody_who_is_silent() {
    let place = Place::new(1);
    let (url, came) = silent_behind("");
    let more = format!(
        "stop_seconds = 80000\non_complete = {{ url = \"{url}\", signing_secret_file = \"other-secret\", timeout_seconds = 80000 }}"
    );
    let service = Running::start(place.config("http://127.0.0.1:9", &more));
    let data = json!({ "task_id": "t1", "failure_reason": "token_refresh_failure" });
    assert_eq!(service.tell(&event("e1", "patient.ehi_export_failed", &data)), 200);
    came.recv().expect("a message");
    service.stop();

    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\netag: \"x\"\r\n\r\n{\"resourceType\":";
    // It is asked what it has, and then for that.
    for (said, requests) in [("", 1), (begun, 2)] {
        let place = Place::new(1);
        let (url, came) = silent_behind(said);
        let config = || place.config("http://127.0.0.1:9", "stop_seconds = 20");
        let service = Running::start(config());
        assert_eq!(service.tell(&success("e1", "t1", &url)), 200);
        for _ in 0..requests {
            came.recv().expect("a request");
        }
        service.stop();
        let service = Running::start(config());
        let export = service.exports_when(|all| all[0]["state"] == "running").remove(0);
        assert_eq!((&export["attempts"], &export["failure"]), (&json!(1), &Value::Null), "{export:#}");
        let steps = service.report(&export)["steps"].to_string();
        let (noted, left) = ("the service stops", "the service was stopped in the middle");
        assert!(steps.contains(noted) && !steps.contains(left), "it was not waited for: {steps}");
    }
}

/// A server that gives the same answer to all, and how often it was asked.
fn always(answer: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/export.ndjson", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or_default() == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            counted.fetch_add(1, Ordering::Relaxed);
            let length = if answer.contains("content-length") { "" } else { "\r\ncontent-length: 0" };
            let answer = format!("HTTP/1.1 {answer}{length}\r\nconnection: close\r\n\r\n");
            // Who has gone will not read it.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, asked)
}

#[test]
fn what_does_not_answer_is_left_to_the_next_attempt() {
    let place = Place::new(1);
    let (url, asked) = always("302 Found\r\nlocation: http://127.0.0.1:9/signed".to_owned());
    let config = place.config("http://127.0.0.1:9", "network_retry_seconds = 0\nmax_attempts = 3");
    let service = Running::start(config);
    assert_eq!(service.tell(&success("e1", "t1", &url)), 200);
    let export = service.export_in("failed");
    assert!(export["failure"].as_str().expect("a failure").ends_with("(tried 3 times)"), "{export:#}");
    // An attempt looks what lies there, and begins to read it: by three requests at most, none of which is repeated.
    let asked = asked.load(Ordering::Relaxed);
    assert!((3..=9).contains(&asked), "asked {asked} times");
}

#[test]
fn a_server_that_wants_to_be_left_alone_is() {
    let place = Place::new(1);
    let (url, _) = always("503 Busy\r\nretry-after: 1000".to_owned());
    let config = place.config("http://127.0.0.1:9", "network_retry_seconds = 1");
    let service = Running::start(config);
    let told_at = SystemTime::now();
    assert_eq!(service.tell(&success("e1", "t1", &url)), 200);
    let all = service.exports_when(|all| all[0]["failure"].is_string());
    let due_at = humantime::parse_rfc3339(all[0]["due_at"].as_str().expect("a time")).expect("a time");
    assert!(due_at >= told_at + Duration::from_secs(1000), "{:#}", all[0]);
}

#[test]
fn a_service_that_is_stopped_in_the_middle_goes_on_where_it_was() {
    let place = Place::new(300);
    let simulator = place.simulated().misbehaving(Misbehaviour::Huge);
    let simulator = Simulator::start(simulator).expect("a simulator");
    let service = Running::start(place.config(&simulator.api_url(), ""));
    assert_eq!(service.tell(&success("e1", "t1", &link_of(&simulator))), 200);
    service.exports_when(|all| {
        all.len() == 1 && all[0]["progress"]["records"].as_u64() > Some(0) || all[0]["state"] == "done"
    });
    service.stop();
    let service = Running::start(place.config(&simulator.api_url(), ""));
    let export = service.export_in("done");
    let report = &service.report(&export)["export"]["report"];
    assert_eq!(report["ledger"]["records"]["delivered"], 300_000);
}

#[test]
fn saved_deliveries_are_taken_whatever_their_age_if_they_are_signed() {
    let place = Place::new(30);
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let config = place.config(&simulator.api_url(), "");
    let body = success("e1", "t1", &link_of(&simulator)).to_string();
    let signature = secret().sign("m1", 1_600_000_000, body.as_bytes());
    let saved = SavedDelivery {
        webhook_id: "m1".into(),
        webhook_timestamp: "1600000000".into(),
        webhook_signature: signature,
        body,
    };
    let forged = SavedDelivery { body: saved.body.replace("e1", "e2"), ..saved.clone() };
    let runtime = Runtime::new().expect("a runtime");
    let all = runtime.block_on(replay(&config, &[saved.clone(), forged, saved])).expect("replayed");
    assert_eq!(all, [Replayed::Stored, Replayed::Unsigned, Replayed::Duplicate]);
    Running::start(config).export_in("done");
}

#[test]
fn a_purge_takes_what_is_over_and_leaves_outputs() {
    let place = Place::new(30);
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let service = Running::start(place.config(&simulator.api_url(), "on_revoked = \"hold\""));
    let revoked = json!({ "org_connection_id": "c2", "connection_status": "revoked" });
    assert_eq!(service.tell(&event("e1", "patient.authorization_revoked", &revoked)), 200);
    let mut held = success("e2", "t2", "https://api.connect.fastenhealth.com/x");
    held["data"]["org_connection_id"] = "c2".into();
    assert_eq!(service.tell(&held), 200);
    assert_eq!(service.tell(&success("e3", "t1", &link_of(&simulator))), 200);
    let all = service.exports_when(|all| all.iter().any(|one| one["state"] == "done"));
    let done = all.iter().find(|one| one["state"] == "done").expect("there").clone();
    service.stop();
    let config = place.config(&simulator.api_url(), "");
    let runtime = Runtime::new().expect("a runtime");
    let purged = runtime.block_on(purge_now(&config, Some(Duration::ZERO))).expect("purged");
    assert_eq!((purged.exports, purged.events), (1, 2), "what is held waits, and so does its event");
    assert!(Path::new(done["destination"].as_str().expect("a folder")).join("manifest.json").is_file());
    let service = Running::start(config);
    assert_eq!(service.export_in("held")["task_id"], "t2");
}
