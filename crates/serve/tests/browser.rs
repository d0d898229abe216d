//! The pages in a real browser: `tests/browser/page.mjs` says what is looked at.

mod support;

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use fhirline_connect::{ApiKeys, Misbehaviour, Mode, Simulator};
use support::{OTHER_SECRET, Place, Running, link_by, success};

const CHROMIUM: &str = "/usr/bin/chromium";
/// In how many parts the download of the export comes that is watched.
const PARTS: usize = 30;
/// How often each type stands in an export.
const TYPES: [(&str, usize); 12] = [
    ("Observation", 212),
    ("Claim", 58),
    ("Procedure", 41),
    ("Encounter", 37),
    ("DiagnosticReport", 33),
    ("DocumentReference", 29),
    ("Condition", 21),
    ("MedicationRequest", 18),
    ("Immunization", 12),
    ("AllergyIntolerance", 5),
    ("CarePlan", 3),
    ("Patient", 1),
];

/// The package playwright-core and the browser, or a loud word that they are missing.
fn installed() -> Option<PathBuf> {
    let cache = std::env::var_os("FHIRLINE_TEST_SERVERS").map(PathBuf::from).or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        Some(cache?.join("fhirline-servers"))
    })?;
    let package = cache.join("node/node_modules/playwright-core");
    if package.is_dir() && Path::new(CHROMIUM).is_file() {
        return Some(package);
    }
    // Written past the test harness, which would keep it to itself.
    let line = "SKIPPED: the_pages_work_in_a_browser: chromium or playwright-core is not installed (see .ci/servers)\n";
    io::stderr().write_all(line.as_bytes()).expect("standard error");
    if let Some(path) = std::env::var_os("FHIRLINE_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("the list");
        file.write_all(line.as_bytes()).expect("written");
    }
    None
}

fn export_of_many_types() -> String {
    let mut export = String::new();
    for (kind, count) in TYPES {
        for number in 0..count {
            let text = "A note as records have them, of the usual length. ".repeat(4);
            writeln!(export, r#"{{"resourceType":"{kind}","id":"{kind}-{number}","text":"{text}"}}"#)
                .expect("text");
        }
    }
    export
}

/// An API whose only download comes in parts, each but the first when it is asked for.
fn api_of(body: Vec<u8>, next: Receiver<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (body, next, file) = (Arc::new(body), Arc::new(Mutex::new(next)), format!("{url}/file"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, body, next, file) =
                (stream.expect("a connection"), Arc::clone(&body), Arc::clone(&next), file.clone());
            // Whoever goes away in the middle is not of interest.
            std::thread::spawn(move || answer(stream, &body, &next, &file).ok());
        }
    });
    url
}

fn answer(mut stream: TcpStream, body: &[u8], next: &Mutex<Receiver<()>>, file: &str) -> io::Result<()> {
    let mut asked = BufReader::new(stream.try_clone()?).lines();
    let first = asked.next().transpose()?.unwrap_or_default();
    while asked.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    if !first.contains(" /file ") {
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nlocation: {file}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())?;
    for (number, part) in body.chunks(body.len().div_ceil(PARTS)).enumerate() {
        if number > 0 {
            let _ = next.lock().expect("no panic").recv();
        }
        stream.write_all(part)?;
        stream.flush()?;
    }
    Ok(())
}

/// What a company's service knows after some days: one of each.
fn told_of_some(service: &Running, live: &Simulator) {
    for (number, external) in ["mrn-20417", "mrn-88310", "mrn-51266"].iter().enumerate() {
        let connected = json!({
            "api_mode": "test", "id": format!("c{number}"), "type": "patient.connection_success",
            "date": "2026-08-14T10:00:00Z",
            "data": { "org_connection_id": connection(number), "external_id": external, "platform_type": "epic" },
        });
        assert_eq!(service.tell(&connected), 200);
    }
    let failed = json!({
        "api_mode": "test", "id": "f1", "type": "patient.ehi_export_failed", "date": "2026-08-14T10:00:00Z",
        "data": { "org_connection_id": connection(1), "task_id": "7d0c5b2e94e14f6f8a31d4c27b90e6aa", "failure_reason": "token_refresh_failure" },
    });
    assert_eq!(service.tell(&failed), 200);
    let told = |id: &str, task: &str, stats: Value| {
        let mut told = success(id, task, &live_link(live));
        told["api_mode"] = json!("live");
        told["data"]["org_connection_id"] = json!(connection(2));
        told["data"]["stats"] = stats;
        service.deliver("/webhooks/fasten/live", OTHER_SECRET, id, &told.to_string(), 0)
    };
    assert_eq!(told("e1", "c41f9a6e2b7d4c0c9d52e8f0a1b37765", json!({ "total_resources": 517 })), 200);
    assert_eq!(told("e2", "91b3de5570c844d6b3f2a09c6e1d8f24", json!({ "total_resources": 512 })), 200);
    let unknown = json!({ "api_mode": "test", "type": "patient.ehi_export_success" });
    assert_eq!(service.tell(&unknown), 200);
    service.exports_when(|all| all.len() == 3 && all.iter().all(|one| one["finished_at"].is_string()));
}

fn connection(number: usize) -> String {
    format!("5f0e2c84-6a1b-4d7c-9e35-00000000000{number}")
}

fn live_keys() -> ApiKeys {
    ApiKeys::new(Mode::Live, "public_live_us", "private_live_CANARYkey".into()).expect("keys")
}

fn live_link(simulator: &Simulator) -> String {
    let options = fhirline_connect::ClientOptions {
        base_url: simulator.api_url(),
        ..fhirline_connect::ClientOptions::default()
    };
    link_by(&fhirline_connect::Client::new(live_keys(), &options).expect("a client"), simulator)
}

#[test]
fn the_pages_work_in_a_browser() {
    let Some(playwright) = installed() else { return };
    let place = Place::new(0);
    std::fs::write(place.path("export.ndjson"), export_of_many_types()).expect("written");
    std::fs::write(place.path("live-key"), "private_live_CANARYkey").expect("written");
    let (more, next) = mpsc::channel();
    let api = api_of(export_of_many_types().repeat(200).into_bytes(), next);
    let live = place.simulated().keys(live_keys()).misbehaving(Misbehaviour::Malformed);
    let live = Simulator::start(live).expect("a simulator");
    let of_live = format!(
        "[split]\nmemory_mib = 256\n[live]\npublic_id = \"public_live_us\"\nprivate_key_file = \"live-key\"\nsigning_secret_file = \"other-secret\"\n\
         api_base_url = \"{}\"\n",
        live.api_url()
    );
    let service = Running::start(place.config(&api, &of_live));
    told_of_some(&service, &live);
    let task = "3a9be1c7d2f04b58a6c05d7e8f912b4c";
    let mut told =
        success("e9", task, &format!("{api}/bridge/fhir/ehi-export/{task}/download/2026-08-14.jsonl"));
    told["data"]["org_connection_id"] = json!(connection(0));
    let counts = TYPES.map(|(kind, count)| (kind.to_owned(), json!(count * 200)));
    told["data"]["stats"] = json!({ "total_by_resource_type": serde_json::Map::from_iter(counts) });
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut script = Command::new("node");
    script.arg(root.join("tests/browser/page.mjs")).arg(playwright).args([CHROMIUM, &service.url, task]);
    script.arg(place.path("exports/test").join(connection(0)).join(task));
    script.args(std::env::var_os("FHIRLINE_PICTURE"));
    let mut script = script.stdout(Stdio::piped()).spawn().expect("node");
    let mut lines = BufReader::new(script.stdout.take().expect("its output")).lines();
    assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("open"));
    assert_eq!(service.tell(&told), 200);
    for line in lines {
        assert_eq!(line.expect("a line"), "more");
        more.send(()).expect("the download goes on");
    }
    assert!(script.wait().expect("it ends").success(), "see above");
}
