//! Sources behind URLs, from a server over loopback that breaks and refuses on demand.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fhirline::sample::Sample;
use serde_json::json;

use super::fault_server::{Asked, FaultServer, Object, Reply};
use super::place::{GOAL, PATIENT, Place, lines};

const CANARY: &str = "canary-7f3a";
const HEADER: &str = r#"{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/p"}}]}"#;
const DELETION: &str = r#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Goal/1"}}]}"#;
const OUTCOME: &str =
    r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}"#;

fn sample(bytes: u64) -> Vec<u8> {
    let mut export = Vec::new();
    Sample::new(3).target_bytes(bytes).broken_lines(true).write_to(&mut export).expect("in memory");
    export
}

/// How a server answers.
type Answers = dyn Fn(&Asked) -> Reply + Send + Sync;

/// What a split leaves, but for what tells of its sources.
pub(super) fn outputs(place: &Place, folder: &str) -> Vec<(String, Vec<u8>)> {
    let own = ["manifest.json", "_quarantine/outcome.ndjson"];
    place.contents(folder).into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect()
}

#[test]
fn what_a_url_gives_is_what_the_file_gives() {
    let export = sample(300 << 10);
    let server = FaultServer::of(Object::new(export.clone()).etag("\"v1\""));
    let place = Place::with([("export.ndjson", export)]);
    let url = server.url("/export.ndjson");
    place.run("split export.ndjson -o local").ends_with(3);
    place.run(&format!("split {url} -o remote")).ends_with(3);
    assert!(outputs(&place, "remote") == outputs(&place, "local"));
    let cat = place.run(&format!("cat {url}")).ends_with(3);
    assert!(cat.stdout == place.run("cat export.ndjson").stdout);
    let stats = place.run(&format!("stats {url} --json")).ends_with(3).json();
    assert_eq!(stats["lengths"], place.run("stats export.ndjson --json").json()["lengths"]);
    // Nothing is read again of a complete run.
    let asked = server.asked().len();
    let again = place.run(&format!("split {url} -o remote")).ends_with(3);
    assert!(again.out().contains("nothing was done"), "{}", again.shown());
    assert!(server.asked().len() <= asked + 2, "only looked at");
}

#[test]
fn what_is_no_whole_export_is_incomplete() {
    let data = lines(&[PATIENT, GOAL]);
    let short = data.len() + 100;
    let cases: [(&str, Box<Answers>); 4] = [
        ("short", Box::new(move |_| Reply::new(200, data.clone()).stated_length(short))),
        (
            "page",
            Box::new(|_| {
                Reply::new(200, format!("<html>{CANARY}</html>")).header("Content-Type", "text/html")
            }),
        ),
        (
            "error",
            Box::new(|_| {
                let body = format!(r#"{{"message":"{CANARY}"}}"#);
                Reply::new(200, body).header("Content-Type", "application/json")
            }),
        ),
        ("gone", Box::new(|_| Reply::new(404, CANARY))),
    ];
    for (name, script) in cases {
        let server = FaultServer::start(script);
        let place = Place::new();
        let url = server.url(&format!("/{name}?key={CANARY}"));
        let ran = place.run(&format!("split {url} -o out --retries 1")).ends_with(5);
        assert!(ran.stderr.contains("hint: "), "{}", ran.shown());
        assert!(
            !ran.stderr.contains(CANARY) && !ran.out().contains(&format!("?key={CANARY}")),
            "{}",
            ran.stderr
        );
        assert!(!place.exists("out/manifest.json") && !place.exists("out/Patient.ndjson"), "{name}");
    }
}

/// A server of a manifest of two pages, which wants a token.
fn bulk_server() -> FaultServer {
    let address = Mutex::new(String::new());
    FaultServer::start(move |asked| {
        if asked.header("authorization") != Some(&format!("Bearer {CANARY}")) {
            return Reply::new(401, "");
        }
        let host = format!("http://{}", asked.header("host").expect("a host"));
        address.lock().expect("no panic").clone_from(&host);
        let file = |name: &str| format!("{host}/{name}?key={CANARY}");
        let body = match asked.path().split('?').next().expect("a path") {
            "/status" => json!({
                "transactionTime": "2026-01-01T00:00:00Z", "requiresAccessToken": true, "outputOrganizedBy": "Patient",
                "output": [{"url": file("1.ndjson")}],
                "error": [{"type": "OperationOutcome", "url": file("errors.ndjson")}],
                "link": [{"relation": "next", "url": file("page")}],
            })
            .to_string(),
            "/page" => json!({
                "transactionTime": "2026-01-01T00:00:00Z", "requiresAccessToken": true, "outputOrganizedBy": "Patient",
                "output": [{"url": file("2.ndjson")}],
                "deleted": [{"type": "Bundle", "url": file("gone.ndjson")}],
            })
            .to_string(),
            "/1.ndjson" => lines(&[HEADER, PATIENT]),
            "/2.ndjson" => lines(&[HEADER, GOAL]),
            "/errors.ndjson" => lines(&[OUTCOME]),
            "/gone.ndjson" => lines(&[DELETION]),
            _ => return Reply::new(404, ""),
        };
        Object::new(body).etag("\"v1\"").reply(asked)
    })
}

#[test]
fn a_manifest_by_its_url_is_its_files() {
    let server = bulk_server();
    let place = Place::new();
    let url = server.url(&format!("/status?job={CANARY}"));
    let mut command = place.command(&format!("split {url} -o out --bearer-env TOKEN"));
    let output = command.env("TOKEN", CANARY).output().expect("run");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT]));
    assert_eq!(place.text("out/Goal.ndjson"), lines(&[GOAL]));
    assert_eq!(place.text("out/_deleted.ndjson"), lines(&[DELETION]));
    assert_eq!(place.text("out/_errors.ndjson"), lines(&[OUTCOME]));
    assert_eq!(place.text("out/_headers.ndjson"), lines(&[HEADER, HEADER]));
    let told = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&told).contains(CANARY), "secrets are not shown");
    for (name, bytes) in place.contents("out") {
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{name} holds no secret");
    }
}

#[test]
fn counts_of_a_manifest_are_compared() {
    let server = FaultServer::start(|asked| {
        let host = format!("http://{}", asked.header("host").expect("a host"));
        let body = match asked.path() {
            "/status" => json!({
                "transactionTime": "2026-01-01T00:00:00Z", "requiresAccessToken": false,
                "output": [{"type": "Patient", "url": format!("{host}/1"), "count": 2}],
            })
            .to_string(),
            _ => lines(&[PATIENT]),
        };
        Object::new(body).reply(asked)
    });
    let place = Place::new();
    let ran = place.run(&format!("stats {} --json", server.url("/status"))).ends_with(4);
    let difference = json!([{"resource_type": "Patient", "declared": 2, "read": 1}]);
    assert_eq!(ran.json()["reconciliation"]["differences"], difference);
}

#[test]
fn a_killed_run_goes_on_and_another_version_is_refused() {
    let export = sample(2 << 20);
    let version = std::sync::Arc::new(Mutex::new("\"v1\""));
    let stalls = std::sync::Arc::new(AtomicUsize::new(1));
    let server = FaultServer::start({
        let (version, stalls, export) = (version.clone(), stalls.clone(), export.clone());
        move |asked| {
            let version = *version.lock().expect("no panic");
            let reply = Object::new(export.clone()).etag(version).reply(asked);
            let is_whole = asked.range_begin().is_none();
            // The first is only a look.
            match stalls.load(Ordering::SeqCst) {
                2 if is_whole => reply.stall(3 << 19),
                1 if is_whole => {
                    stalls.store(2, Ordering::SeqCst);
                    reply
                }
                _ => reply,
            }
        }
    });
    let place = Place::with([("export.ndjson", export)]);
    place.run("split export.ndjson -o local").ends_with(3);
    let line = format!("split {} -o out --checkpoint-bytes 64KiB --threads 1", server.url("/export.ndjson"));
    let mut child = place.command(&line).stdout(std::process::Stdio::null()).spawn().expect("run");
    server.wait_until_held();
    // What came before the stall is committed, with checkpoints, as fast as it may be.
    let marker = place.path("out/_fhirline.partial");
    while std::fs::metadata(&marker).map_or(0, |marker| marker.len()) == 0 {
        std::thread::yield_now();
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    stalls.store(0, Ordering::SeqCst);
    *version.lock().expect("no panic") = "\"v2\"";
    let refused = place.run(&line).ends_with(2);
    assert!(refused.stderr.contains("its version differs"), "{}", refused.shown());
    *version.lock().expect("no panic") = "\"v1\"";
    let ran = place.run(&format!("{line} --json")).ends_with(3);
    assert!(ran.json()["resumed_from"]["byte"].as_u64().is_some_and(|byte| byte > 0), "{}", ran.shown());
    assert!(outputs(&place, "out") == outputs(&place, "local"));
}

#[test]
fn secrets_are_named_and_never_given() {
    let place = Place::new();
    let ran = place.run(&format!("cat http://127.0.0.1:9/x --header Authorization:{CANARY}")).ends_with(2);
    assert!(ran.stderr.contains("--header-env Authorization=VAR"), "{}", ran.shown());
    let ran = place.run("cat http://127.0.0.1:9/x --bearer-env NOT_SET_HERE").ends_with(2);
    assert!(ran.stderr.contains("NOT_SET_HERE"), "{}", ran.shown());
    let ran = place.run(&format!("cat http://user:{CANARY}@example.org/x?{CANARY}")).ends_with(2);
    assert!(ran.stderr.contains("http://example.org/x is not encrypted"), "{}", ran.shown());
    assert!(!ran.stderr.contains(CANARY), "{}", ran.stderr);
}

#[test]
fn a_manifest_on_this_machine_is_its_files_wherever_they_are() {
    let server = bulk_server();
    let place = Place::with([("there.ndjson", lines(&[GOAL]))]);
    let address = server.url("");
    let file = |name: &str| json!({"url": format!("{address}/{name}?key={CANARY}")});
    let manifest = json!({
        "transactionTime": "2026-01-01T00:00:00Z", "requiresAccessToken": true, "outputOrganizedBy": "Patient",
        "output": [file("1.ndjson"), file("there.ndjson")],
        "error": [file("errors.ndjson")],
        "link": [{"relation": "next", "url": format!("{address}/page?key={CANARY}")}],
    });
    place.put("status.json", manifest.to_string());
    let told = |line: &str| {
        let mut command = place.command(line);
        let output = command.env("TOKEN", CANARY).output().expect("run");
        let told = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        assert!(!told.contains(CANARY), "secrets are not shown: {told}");
        (output.status.code(), told)
    };
    // Nobody has said that the server that a file names may have it.
    let (code, refused) = told("split status.json -o out --bearer-env TOKEN");
    assert_eq!(code, Some(5), "{refused}");
    assert!(refused.contains("wants the access token") && refused.contains("--token-host"), "{refused}");
    let with_token = |asked: &Asked| asked.header("authorization").is_some();
    assert!(!server.asked().iter().any(with_token));

    let host = address.trim_start_matches("http://");
    let (code, done) =
        told(&format!("split status.json -o out --bearer-env TOKEN --token-host {host} --overwrite"));
    assert_eq!(code, Some(0), "{done}");
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT]));
    assert_eq!(place.text("out/Goal.ndjson"), lines(&[GOAL, GOAL]));
    assert_eq!(place.text("out/_deleted.ndjson"), lines(&[DELETION]));
    assert_eq!(place.text("out/_errors.ndjson"), lines(&[OUTCOME]));
    assert_eq!(place.text("out/_headers.ndjson"), lines(&[HEADER, HEADER]));

    let network = format!("--bearer-env TOKEN --token-host {host}");
    let (code, done) = told(&format!("fetch status.json -o files {network}"));
    assert_eq!(code, Some(0), "{done}");
    assert_eq!(place.text("files/1.ndjson"), lines(&[HEADER, PATIENT]));
    assert_eq!(place.text("files/there.ndjson"), lines(&[GOAL]));
    let (code, done) = told(&format!("stats status.json --json {network}"));
    assert!(code == Some(0) && done.contains("\"complete\""), "{done}");
    let (code, done) = told(&format!("bundle status.json -o all.json {network}"));
    assert_eq!(code, Some(0), "{done}");
    assert!(place.text("all.json").contains(PATIENT));
}

/// A server that is at work on an export until it has said so a few times.
fn working_server(times: usize) -> FaultServer {
    let asked_before = AtomicUsize::new(0);
    FaultServer::start(move |asked| {
        if !asked.path().starts_with("/status") {
            return Object::new(lines(&[PATIENT])).reply(asked);
        }
        let number = asked_before.fetch_add(1, Ordering::SeqCst);
        if number < times {
            let progress = format!("{}%", number * 10);
            return Reply::new(202, CANARY).header("Retry-After", "0").header("X-Progress", progress);
        }
        let host = format!("http://{}", asked.header("host").expect("a host"));
        let manifest = json!({
            "transactionTime": "2026-01-01T00:00:00Z", "requiresAccessToken": false,
            "output": [{"type": "Patient", "url": format!("{host}/1"), "count": 1}],
        });
        Object::new(manifest.to_string()).reply(asked)
    })
}

#[test]
fn a_status_that_is_not_there_yet_is_waited_for() {
    let server = working_server(4);
    let place = Place::new();
    let ran =
        place.run(&format!("split {} -o out", server.url(&format!("/status?job={CANARY}")))).ends_with(0);
    assert_eq!(place.text("out/Patient.ndjson"), lines(&[PATIENT]));
    // The first answer is only a look.
    for told in ["the server is at work: 10%", "30%", "the export is ready: 1 files"] {
        assert!(ran.stderr.contains(told), "{}", ran.shown());
    }
    assert!(!ran.stderr.contains(CANARY), "{}", ran.shown());
    let server = working_server(2);
    let quiet = place.run(&format!("stats {} --quiet", server.url("/status"))).ends_with(0);
    assert_eq!(quiet.stderr, "");
}

#[cfg(unix)]
#[test]
fn a_wait_for_a_status_ends_when_it_is_stopped() {
    let server = FaultServer::start(|_| Reply::new(202, "").header("Retry-After", "3600"));
    let place = Place::new();
    let mut command = place.command(&format!("split {} -o out", server.url("/status")));
    let child = command.stderr(std::process::Stdio::piped()).spawn().expect("run");
    // The second question is the one that is waited for.
    while server.asked().len() < 2 {
        std::thread::yield_now();
    }
    let interrupt = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.expect("run").success());
    let output = child.wait_with_output().expect("ended");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(!place.exists("out"), "nothing was made");
}
