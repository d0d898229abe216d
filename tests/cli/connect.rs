//! `fhirline connect` and `fhirline process`, against the simulator.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::place::{GOAL, PATIENT, Place, Ran, lines};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const KEY: &str = "private_test_CANARY";
const CONNECTION: &str = "00000000-0000-4000-8000-000000000001";

/// A simulator that ends with the test.
struct Simulated {
    child: Child,
    api: String,
    identity: String,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_keys(command: &mut Command) -> &mut Command {
    command
        .env("FASTEN_PUBLIC_ID", "public_test_us")
        .env("FASTEN_PRIVATE_KEY", KEY)
        .env("FASTEN_SIGNING_SECRET", SECRET)
}

fn simulated(place: &Place, arguments: &str) -> Simulated {
    let mut command = place.command(&format!("connect simulate --port 0 {arguments}"));
    let mut child = with_keys(&mut command).stdout(Stdio::piped()).spawn().expect("run");
    let mut told = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut value = |name: &str| {
        let line = told.next().expect("a line").expect("text");
        line.strip_prefix(&format!("{name}=")).expect("as it is documented").to_owned()
    };
    let (api, identity) = (value("FASTEN_API_BASE_URL"), value("FASTEN_IDENTITY_BASE_URL"));
    // It may write more, and must not wait for a reader.
    thread::spawn(move || told.for_each(drop));
    Simulated { child, api, identity }
}

impl Simulated {
    fn run(&self, place: &Place, arguments: &str) -> Ran {
        let mut command = place.command(arguments);
        with_keys(&mut command)
            .env("FASTEN_API_BASE_URL", &self.api)
            .env("FASTEN_IDENTITY_BASE_URL", &self.identity);
        let output = command.stdin(Stdio::null()).output().expect("run");
        let ran = Ran::new(&format!("fhirline {arguments}"), output);
        assert!(!ran.shown().contains("CANARY"), "{}", ran.shown());
        ran
    }
}

/// Receives one delivery, and gives its body.
fn receiver() -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/webhooks/fasten/test", listener.local_addr().expect("an address"));
    let received = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut stream = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).expect("a header");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("the body");
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("answered");
        body
    });
    (url, received)
}

#[test]
fn an_export_from_its_request_to_the_folder() {
    let place = Place::with([("export.jsonl", lines(&[PATIENT, GOAL, PATIENT]))]);
    let (url, received) = receiver();
    let simulated = simulated(&place, &format!("--export export.jsonl --webhook {url}"));
    let ran = simulated.run(&place, &format!("connect export {CONNECTION} --wait --every 1")).ends_with(0);
    assert!(ran.out().ends_with("  success\n"), "{}", ran.out());
    let task = ran.out().split_whitespace().next().expect("a task").to_owned();
    let status = simulated.run(&place, &format!("connect --json status {task}")).ends_with(0);
    let status: Value = serde_json::from_str(status.out()).expect("JSON");
    assert_eq!(
        (status["task_id"].as_str(), status["status"].as_str()),
        (Some(task.as_str()), Some("success"))
    );

    place.put("event.json", received.join().expect("a delivery"));
    let ran = simulated.run(&place, "process --event event.json -o out --json").ends_with(0);
    let report: Value = serde_json::from_str(ran.out()).expect("JSON");
    assert_eq!(report["reconciliation"]["matches"], true, "{report:#}");
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT, PATIENT]));
    assert_eq!(place.text("out/Goal.ndjson"), lines(&[GOAL]));
    // Done is done.
    simulated.run(&place, "process --event event.json -o out").ends_with(0);

    let mut event: Value = serde_json::from_str(&place.text("event.json")).expect("JSON");
    event["data"]["stats"]["total_by_resource_type"]["Goal"] = 7.into();
    place.put("other.json", event.to_string());
    simulated.run(&place, "process --event other.json -o mismatched").ends_with(4);
    assert!(place.exists("mismatched/Goal.ndjson"));

    event["api_mode"] = "live".into();
    place.put("live.json", event.to_string());
    let refused = simulated.run(&place, "process --event live.json -o never").ends_with(2);
    assert!(refused.stderr.contains("the event is of live mode"), "{}", refused.stderr);
    assert!(!place.exists("never"));
    let shown = place
        .contents("out")
        .into_iter()
        .map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned()));
    shown.for_each(|(name, text)| assert!(!text.contains("X-Amz") && !text.contains("CANARY"), "{name}"));
}

#[test]
fn events_that_are_no_export_say_what_they_are() {
    let place = Place::with([
        (
            "failed.json",
            r#"{"api_mode":"test","type":"patient.ehi_export_failed","data":{"failure_reason":"scope_patient_missing"}}"#,
        ),
        ("test.json", r#"{"api_mode":"test","type":"webhook.test","data":{}}"#),
        ("linkless.json", r#"{"api_mode":"test","type":"patient.ehi_export_success","data":{}}"#),
        ("none.json", "CANARY"),
    ]);
    let run = |name: &str, code| {
        let ran = place.run(&format!("process --event {name} -o out")).ends_with(code);
        assert!(!ran.shown().contains("CANARY"));
        ran.stderr
    };
    insta::assert_snapshot!(run("failed.json", 1), @r"
    error: the export has failed: scope_patient_missing
      caused by: ask the patient to reconnect, and to leave Demographics ticked on the page of the health system
    ");
    insta::assert_snapshot!(run("test.json", 2), @"error: the event is not that of an export, which has the type patient.ehi_export_success");
    insta::assert_snapshot!(run("linkless.json", 2), @"error: the event has no link to an export");
    insta::assert_snapshot!(run("none.json", 2), @r"
    error: none.json is no event of Fasten Connect
      caused by: the body is not a JSON object
    ");
}

#[test]
fn what_is_asked_of_the_api() {
    let place = Place::with([("export.jsonl", lines(&[PATIENT]))]);
    let simulated = simulated(&place, "--export export.jsonl");
    let run = |arguments: &str| simulated.run(&place, arguments).ends_with(0);
    assert!(run(&format!("connect connection {CONNECTION}")).out().contains("platform_type: epic\n"));
    assert!(run("connect org").out().contains("name: A simulated company\n"));
    assert!(run("connect catalog search clinic").out().ends_with("  FooClinic\n"));
    let nothing = run("connect catalog search nowhere");
    assert!(nothing.out().is_empty() && nothing.stderr.contains("city and state"), "{}", nothing.shown());
    run("connect catalog export -o catalog");
    assert_eq!(place.files("catalog"), ["brands.json", "endpoints.json", "portals.json"]);
    let unknown = simulated.run(&place, "connect status nothing").ends_with(1);
    assert!(unknown.stderr.contains("hint: check the id"), "{}", unknown.stderr);

    place.put("token", "a.CANARY.c\n");
    let uri = run("connect par --idp idme_csp --id-token-file token");
    assert!(uri.out().starts_with("urn:ietf:params:oauth:request_uri:"), "{}", uri.out());
    place.put("token", "invalid_grant");
    let refused = simulated.run(&place, "connect par --idp idme_csp --id-token-file token").ends_with(1);
    assert!(refused.stderr.contains("refused with invalid_grant"), "{}", refused.stderr);
    let fault =
        simulated.run(&place, "connect par --idp idme_csp --id-token-file token --hcid x").ends_with(2);
    assert!(fault.stderr.contains("no JSON Web Token"), "{}", fault.stderr);
}

#[test]
fn without_keys_it_says_which_are_missing() {
    let place = Place::new();
    let mut command = place.command("connect org");
    let output =
        command.env_remove("FASTEN_PUBLIC_ID").env_remove("FASTEN_PRIVATE_KEY").output().expect("run");
    let ran = Ran::new("fhirline connect org", output).ends_with(2);
    assert_eq!(ran.stderr, "error: the environment has no FASTEN_PUBLIC_ID\n");
    let mut command = place.command("connect org");
    command.env("FASTEN_PUBLIC_ID", "public_test_x").env("FASTEN_PRIVATE_KEY", "private_live_CANARY");
    let ran = Ran::new("fhirline connect org", command.output().expect("run")).ends_with(2);
    assert_eq!(ran.stderr, "error: the private key of test mode does not begin with private_test_\n");
}

#[test]
fn a_malformed_export_is_set_aside_and_told() {
    let place = Place::with([("export.jsonl", lines(&[PATIENT; 20]))]);
    let (url, received) = receiver();
    let simulated =
        simulated(&place, &format!("--export export.jsonl --webhook {url} --misbehave malformed,429"));
    simulated.run(&place, &format!("connect export {CONNECTION}")).ends_with(0);
    place.put("event.json", received.join().expect("a delivery"));
    simulated.run(&place, "process --event event.json -o out").ends_with(3);
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT; 20]));
    assert_eq!(place.text("out/_quarantine/outcome.ndjson").lines().count(), 2);
}
