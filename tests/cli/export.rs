//! `fhirline fetch --export` against a server on this machine.

use std::process::{Child, Stdio};

use serde_json::Value;

use super::place::{GOAL, PATIENT, Place, lines};
use crate::support::bulk_server::{BulkServer, SECRET};

const DELETED: &str = r#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/gone"}}]}"#;
const OUTCOME: &str =
    r#"{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"processing"}]}"#;
const KEY: &str = include_str!("../support/keys/ec384.pem");

pub(super) fn server() -> BulkServer {
    BulkServer::new(&[
        ("output/Goal/1", lines(&[GOAL]).as_bytes()),
        ("output/Patient/1", lines(&[PATIENT, PATIENT]).as_bytes()),
        ("output/Patient/2", lines(&[PATIENT]).as_bytes()),
        ("deleted/Bundle/1", lines(&[DELETED]).as_bytes()),
        ("error/OperationOutcome/1", lines(&[OUTCOME]).as_bytes()),
    ])
}

const FILES: [&str; 7] = [
    "Goal.ndjson",
    "Patient.0002.ndjson",
    "Patient.ndjson",
    "deleted/Bundle.ndjson",
    "error/OperationOutcome.ndjson",
    "log.ndjson",
    "manifest.json",
];

/// The port of the server is another each time.
fn shown(place: &Place, server: &BulkServer, arguments: &str, code: i32) -> String {
    let ran = place.run(arguments).ends_with(code);
    let host = server.base().replace("http://", "").replace("/fhir", "");
    ran.shown().replace(&host, "HOST")
}

/// What the log says happened, in order.
fn logged(place: &Place, folder: &str) -> Vec<String> {
    let log = place.text(&format!("{folder}/log.ndjson"));
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.map(|event| event["eventId"].as_str().expect("an event").to_owned()).collect()
}

#[track_caller]
fn nothing_is_secret(place: &Place, folder: &str) {
    for (name, bytes) in place.contents(folder) {
        // What leads back to an export has to hold the way.
        let private = name != "_export.partial";
        assert!(!private || !String::from_utf8_lossy(&bytes).contains(SECRET), "{name}");
    }
}

#[test]
fn all_the_way() {
    let (place, server) = (Place::new(), server());
    let command = format!("fetch {} --export -o out", server.base());
    insta::assert_snapshot!(shown(&place, &server, &command, 0));
    assert_eq!(place.files("out"), FILES);
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT, PATIENT]));
    let manifest = place.json("out/manifest.json");
    assert_eq!(manifest["transactionTime"], "2026-02-03T04:05:06Z");
    assert_eq!((&manifest["request"], &manifest["output"][1]["count"]), (&server.base().into(), &2.into()));
    assert_eq!(manifest["deleted"][0]["url"], "deleted/Bundle.ndjson");
    let log = logged(&place, "out");
    assert_eq!(log[..4], ["kickoff", "status_page_complete", "status_complete", "manifest_complete"]);
    assert_eq!((log.len(), log[14].as_str()), (15, "export_complete"));
    nothing_is_secret(&place, "out");

    // The deletions and errors keep their roles.
    let report = place.run("split out -o split --json").ends_with(0).json();
    assert_eq!(report["ledger"]["records"]["read"], 4);
    assert_eq!(place.text("split/_deleted.ndjson"), lines(&[DELETED]));
    assert_eq!(place.text("split/_errors.ndjson"), lines(&[OUTCOME]));

    let asked = server.bulk().seen.len();
    insta::assert_snapshot!("complete_already", shown(&place, &server, &command, 0));
    place.run(&format!("fetch {} --export Patient -o out", server.base())).ends_with(2);
    assert_eq!(server.bulk().seen.len(), asked);
    place.run(&format!("fetch {} --export Patient -o out --overwrite", server.base())).ends_with(0);
    assert_eq!(
        (place.files("out"), server.count("GET /fhir/Patient/$export")),
        (FILES.map(str::to_owned).to_vec(), 1)
    );
}

#[test]
fn what_is_asked_for() {
    let (place, server) = (Place::new(), server());
    let options = "--since 2026-01-31T00:00:00Z --types Patient,Goal --type-filter Goal?status=active";
    place.run(&format!("fetch {} --export Group/7 -o out {options}", server.base())).ends_with(0);
    assert_eq!(server.count("GET /fhir/Group/7/$export"), 1);
    let query = server.bulk().queries[0].clone();
    for part in ["_since=2026-01-31", "_type=Patient", "_typeFilter=Goal"] {
        assert!(query.contains(part), "{query}");
    }
    place.run(&format!("fetch {} --export -o posted --post", server.base())).ends_with(0);
    assert_eq!(server.count("POST /fhir/$export"), 1);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    for wrong in [
        "fetch https://h/fhir --export patient -o out",
        "fetch https://h/fhir https://h/fhir --export -o out",
        "fetch https://user:key@h/fhir --export -o out",
        "fetch https://h/fhir --export --since 2026-01-31 -o out",
        "fetch https://h/fhir --since 2026-01-31T00:00:00Z -o out",
        "fetch https://h/fhir --export --smart-client-id me -o out",
        "fetch https://h/fhir --export --cancel -o out",
    ] {
        place.run(wrong).ends_with(2);
        assert!(!place.exists("out"), "{wrong}");
    }
}

#[test]
fn straight_into_a_split() {
    let (place, server) = (Place::new(), server());
    let command = format!("fetch {} --export --split out --json", server.base());
    let report = place.run(&command).ends_with(0).json();
    assert_eq!(report["ledger"]["records"]["read"], 4);
    let files =
        ["Goal.ndjson", "Patient.ndjson", "_deleted.ndjson", "_errors.ndjson", "log.ndjson", "manifest.json"];
    let events = logged(&place, "out");
    assert_eq!(
        (events.first().map(String::as_str), events.last().map(String::as_str)),
        (Some("kickoff"), Some("export_complete"))
    );
    assert_eq!(
        (place.files("."), place.files("out")),
        (files.map(|name| format!("out/{name}")).to_vec(), files.map(str::to_owned).to_vec())
    );
    nothing_is_secret(&place, "out");
    let asked = server.bulk().seen.len();
    assert_eq!(place.run(&command).ends_with(0).json()["already_complete"], true);
    place.run(&format!("fetch {} --export Patient --split out", server.base())).ends_with(2);
    assert_eq!(server.bulk().seen.len(), asked);
}

#[test]
fn a_split_of_an_export_takes_the_options_of_split() {
    let (place, server) = (Place::new(), server());
    let base = server.base();
    let command =
        format!("fetch {base} --export --split out --compress gzip --type Goal --memory 128MiB --threads 1");
    place.run(&command).ends_with(0);
    let files = ["Goal.ndjson.gz", "_deleted.ndjson.gz", "_errors.ndjson.gz", "log.ndjson", "manifest.json"];
    assert_eq!(place.files("out"), files);
    // What is only fetched is what it is.
    let refused = place.run(&format!("fetch {base} --export -o kept --compress gzip")).ends_with(2);
    assert!(refused.stderr.contains("--compress") && !place.exists("kept"), "{}", refused.shown());
}

#[test]
fn an_export_that_is_thrown_away_is_cancelled() {
    for to in ["-o out", "--split out"] {
        let (place, server) = (Place::new(), server());
        server.bulk().held = Some(("output/Patient/1".to_owned(), 10));
        let child = begun(&place, &format!("fetch {} --export {to}", server.base()));
        wait_until(|| server.count("GET /files/output/Patient/1") > 0);
        kill(child);
        server.release();
        assert_eq!(server.count("DELETE"), 0);
        let other = format!("fetch {} --export Patient {to}", server.base());
        place.run(&other).ends_with(2);
        assert_eq!(server.count("DELETE"), 0);
        let ran = place.run(&format!("{other} --overwrite")).ends_with(0);
        assert_eq!(server.count("DELETE /status/1"), 1, "{to}");
        assert!(ran.stderr.contains("the export of before"), "{}", ran.shown());
        nothing_is_secret(&place, "out");
    }
}

#[test]
fn killed_on_the_way_into_a_split() {
    let (place, server) = (Place::new(), server());
    server.bulk().held = Some(("output/Patient/1".to_owned(), 10));
    let command = format!("fetch {} --export --split out --json", server.base());
    let child = begun(&place, &command);
    wait_until(|| server.count("GET /files/output/Patient/1") > 0);
    kill(child);
    assert!(place.exists("_out.export.partial"));
    server.release();
    let report = place.run(&command).ends_with(0).json();
    assert_eq!((&report["ledger"]["records"]["read"], server.count("GET /fhir/$export")), (&4.into(), 1));
    assert!(!place.exists("_out.export.partial"));
}

fn begun(place: &Place, arguments: &str) -> Child {
    let mut command = place.command(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("run")
}

#[track_caller]
pub(super) fn wait_until(holds: impl Fn() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("waited in vain");
}

pub(super) fn kill(mut child: Child) {
    child.kill().expect("killed");
    assert_eq!(child.wait().expect("ended").code(), None);
}

#[test]
fn killed_while_the_server_is_at_work() {
    let (place, server) = (Place::new(), server());
    server.bulk().ready = false;
    let command = format!("fetch {} --export -o out", server.base());
    let child = begun(&place, &command);
    wait_until(|| place.exists("out/log.ndjson") && place.text("out/log.ndjson").contains("42% of it"));
    kill(child);
    assert_eq!(place.files("out"), ["_export.partial", "log.ndjson"]);
    nothing_is_secret(&place, "out");
    server.bulk().ready = true;
    // Something else may not begin there.
    place.run(&format!("fetch {} --export Patient -o out", server.base())).ends_with(2);
    place.put("a.ndjson", lines(&[PATIENT]));
    place.run("fetch a.ndjson -o out").ends_with(2);
    place.run(&command).ends_with(0);
    assert_eq!(
        (place.files("out"), server.count("GET /fhir/$export")),
        (FILES.map(str::to_owned).to_vec(), 1)
    );
    assert_eq!(logged(&place, "out").iter().filter(|event| *event == "kickoff").count(), 1);
}

#[test]
fn killed_while_files_come() {
    let place = Place::new();
    let long = lines(&[PATIENT; 40_000]);
    let server = BulkServer::new(&[
        ("output/Goal/1", lines(&[GOAL]).as_bytes()),
        ("output/Patient/1", long.as_bytes()),
    ]);
    server.bulk().held = Some(("output/Patient/1".to_owned(), 1_000_000));
    let command = format!("fetch {} --export -o out --json", server.base());
    let child = begun(&place, &command);
    let length =
        || std::fs::metadata(place.path("out/Patient.ndjson.partial")).map_or(0, |metadata| metadata.len());
    wait_until(|| length() == 1_000_000 && place.exists("out/Goal.ndjson"));
    kill(child);
    server.release();
    let report = place.run(&command).ends_with(0).json();
    assert_eq!(report["files"][1]["resumed_from"], 1_000_000);
    assert!(place.text("out/Patient.ndjson") == long);
    assert_eq!(place.files("out"), ["Goal.ndjson", "Patient.ndjson", "log.ndjson", "manifest.json"]);
    assert_eq!(server.count("GET /fhir/$export"), 1);
    let from = 1_000_000 - 65_536;
    assert!(
        server
            .bulk()
            .ranges
            .iter()
            .any(|range| range.starts_with(&format!("output/Patient/1 bytes={from}-")))
    );
    nothing_is_secret(&place, "out");
}

#[test]
fn links_that_expired_are_renewed() {
    let (place, server) = (Place::new(), server());
    server.bulk().ready = false;
    let command = format!("fetch {} --export -o out", server.base());
    let child = begun(&place, &command);
    wait_until(|| place.exists("out/log.ndjson") && place.text("out/log.ndjson").contains("42% of it"));
    kill(child);
    {
        let mut bulk = server.bulk();
        (bulk.ready, bulk.held) = (true, Some(("output/Patient/1".to_owned(), 10)));
    }
    let child = begun(&place, &command);
    wait_until(|| server.count("GET /files/output/Patient/1") > 0 && place.exists("out/Patient.0002.ndjson"));
    kill(child);
    server.release();
    server.bulk().expired = true;
    place.run(&command).ends_with(0);
    assert_eq!(place.files("out"), FILES);
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT, PATIENT]));
}

#[test]
fn tokens_are_renewed_on_the_way() {
    let (place, server) = (Place::new(), server());
    {
        let mut bulk = server.bulk();
        (bulk.tokens, bulk.uses) = (true, Some(2));
    }
    place.put("key.pem", KEY);
    let smart = "--smart-client-id me --smart-key key.pem --smart-key-id k1 --max-downloads 1";
    place.run(&format!("fetch {} --export -o out {smart} -v", server.base())).ends_with(0);
    assert_eq!(place.files("out"), FILES);
    assert!(server.count("POST /token") >= 3, "{:?}", server.bulk().seen);
    nothing_is_secret(&place, "out");
    // Without a token there is nothing to have, and the folder stays free.
    insta::assert_snapshot!(shown(&place, &server, &format!("fetch {} --export -o none", server.base()), 1));
    assert!(!place.exists("none"));
}

#[test]
fn an_export_is_cancelled() {
    let (place, server) = (Place::new(), server());
    let command = format!("fetch {} --export -o out", server.base());
    place.run(&format!("{command} --cancel")).ends_with(2);
    server.bulk().ready = false;
    let child = begun(&place, &command);
    wait_until(|| place.exists("out/log.ndjson"));
    kill(child);
    insta::assert_snapshot!(shown(&place, &server, &format!("{command} --cancel"), 0));
    assert_eq!((server.count("DELETE /status/1"), place.files("out").len()), (1, 0));
    server.bulk().ready = true;
    place.run(&command).ends_with(0);
    assert_eq!(server.count("GET /fhir/$export"), 2);
    place.run(&format!("{command} --cancel")).ends_with(2);
    assert_eq!(place.files("out"), FILES);
}

#[test]
fn a_file_that_is_refused_is_told_with_its_status() {
    for status in [401, 403] {
        let (place, server) = (Place::new(), server());
        server.bulk().refused = Some(("output/Patient/2".to_owned(), status));
        for command in ["-o out", "--split split"] {
            let ran = place.run(&format!("fetch {} --export {command}", server.base())).ends_with(5);
            let answer = format!("/files/output/Patient/2 answered with status {status}\n");
            assert!(ran.stderr.contains(&answer), "{}", ran.shown());
            let hint = ran.stderr.lines().find(|line| line.contains("hint: ")).expect("a hint");
            assert!(hint.contains("--bearer-env") && hint.contains("--smart-client-id"), "{}", ran.shown());
            assert!(!ran.shown().contains(SECRET), "{}", ran.shown());
        }
    }
}

#[test]
fn a_file_that_is_refused_leaves_the_others_whole() {
    let (place, server) = (Place::new(), server());
    server.bulk().files.insert("output/Patient/3".to_owned(), lines(&[PATIENT]).into_bytes());
    server.bulk().ready = false;
    let command = format!("fetch {} --export -o out", server.base());
    let child = begun(&place, &command);
    wait_until(|| place.exists("out/log.ndjson") && place.text("out/log.ndjson").contains("42% of it"));
    kill(child);
    server.bulk().ready = true;
    server.bulk().held = Some(("output/Patient/3".to_owned(), 3));
    let child = begun(&place, &command);
    wait_until(|| server.count("GET /files/output/Patient/3") > 0);
    kill(child);
    server.release();
    let lost = server.bulk().files.remove("output/Patient/3");
    insta::assert_snapshot!(shown(&place, &server, &command, 5));
    assert!(place.exists("out/Patient.ndjson") && !place.exists("out/manifest.json"));
    nothing_is_secret(&place, "out");
    server.bulk().files.extend(lost.map(|bytes| ("output/Patient/3".to_owned(), bytes)));
    place.run(&command).ends_with(0);
    assert_eq!(place.text("out/Patient.0003.ndjson"), lines(&[PATIENT]));
}
