//! `fhirline serve`, killed at will, by a sender that somebody else could have written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use assert_cmd::cargo::cargo_bin;
use serde_json::{Value, json};
use tempfile::TempDir;

use fhirline_connect::{
    ApiKeys, Client, ClientOptions, ExportState, Mode, SigningSecret, Simulator, SimulatorOptions,
};

use crate::support::postgres::Postgres;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const KEY: &str = "private_test_CANARYkey";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at what goes on meanwhile: the processes need the machine more.
const LOOK: Duration = Duration::from_millis(20);
const EVENTS: usize = 500;
const KILLS: usize = 20;

/// A folder with a configuration, and processes that run by it.
pub(super) struct Chaos {
    folder: TempDir,
    pub(super) port: u16,
    /// What they have in their environment beside what is there.
    pub(super) environment: Vec<(&'static str, String)>,
    /// `serve`, and then workers.
    pub(super) processes: Vec<Child>,
}

impl Chaos {
    pub(super) fn new(api_url: &str, store: &str) -> Self {
        Self::with(api_url, &format!("store = \"{store}\""))
    }

    /// The same, with more of the configuration before its parts.
    pub(super) fn with(api_url: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let config = format!(
            "listen = \"127.0.0.1:{port}\"\n{more}\nlease_seconds = 2\nfirst_retry_seconds = 0.1\n\
             [split]\ndurable = false\n[test]\npublic_id = \"public_test_us\"\napi_base_url = \"{api_url}\"\n"
        );
        fs::write(folder.path().join("fhirline.toml"), config).expect("written");
        let environment =
            vec![("FASTEN_PRIVATE_KEY", KEY.to_owned()), ("FASTEN_SIGNING_SECRET", SECRET.to_owned())];
        Self { folder, port, environment, processes: Vec::new() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts `serve` or `work`; what is logged is kept, to be looked through.
    pub(super) fn start(&self, command: &str) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).expect("a log");
        let mut child = Command::new(cargo_bin("fhirline"))
            .args([command, "--config"])
            .arg(self.path("fhirline.toml"))
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("started");
        if command == "serve" {
            let mut line = String::new();
            let out = child.stdout.as_mut().expect("an output");
            BufReader::new(out).read_line(&mut line).expect("a line");
            assert!(line.starts_with("listening on http://"), "{line} {}", self.log());
        }
        child
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(super) fn kill_and_start(&mut self, which: usize) {
        self.processes[which].kill().expect("killed");
        self.processes[which].wait().expect("waited");
        self.processes[which] = self.start(if which == 0 { "serve" } else { "work" });
    }

    pub(super) fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        serde_json::from_str(body).expect("JSON")
    }

    /// Delivers an event as Fasten does.
    pub(super) fn tell(&self, event: &Value) {
        let (id, body) = (event["id"].as_str().expect("an id"), event.to_string());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let signature = SigningSecret::parse(SECRET).expect("a secret").sign(id, now, body.as_bytes());
        let head = format!(
            "POST /webhooks/fasten/test HTTP/1.1\r\nhost: x\r\nwebhook-id: {id}\r\nwebhook-timestamp: {now}\r\n\
             webhook-signature: {signature}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Looks until that is there.
    pub(super) fn wait_for<T>(&self, mut wanted: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = wanted() {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", self.log());
            thread::sleep(LOOK);
        }
    }

    /// How many exports are in each state.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let summary = self.get("/api/v1/summary");
        let rows = summary["exports"].as_array().expect("counts");
        rows.iter()
            .map(|row| {
                (row["name"].as_str().expect("a name").to_owned(), row["count"].as_u64().expect("a count"))
            })
            .collect()
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The API, with an export that is ready for each of the connections.
pub(super) fn simulated(folder: &Path, connections: usize) -> (Simulator, Vec<(String, String)>) {
    simulated_so(folder, connections, |options| options)
}

/// The same, as those options are changed.
pub(super) fn simulated_so(
    folder: &Path,
    connections: usize,
    so: impl Fn(SimulatorOptions) -> SimulatorOptions,
) -> (Simulator, Vec<(String, String)>) {
    let mut export = String::new();
    for number in 0..40 {
        let kind = ["Patient", "Observation", "Condition"][number % 3];
        export.push_str(
            &json!({ "resourceType": kind, "id": number.to_string(), "text": "CANARYrecord" }).to_string(),
        );
        export.push('\n');
    }
    fs::write(folder.join("export.ndjson"), export).expect("written");
    let ids: Vec<String> =
        (0..connections).map(|number| format!("00000000-0000-4000-8000-{number:012}")).collect();
    let keys = ApiKeys::new(Mode::Test, "public_test_us", KEY.into()).expect("keys");
    let options = SimulatorOptions::new(folder.join("export.ndjson"))
        .keys(keys.clone())
        .connections(ids.clone())
        .export_takes(Duration::ZERO);
    let simulator = Simulator::start(so(options)).expect("a simulator");
    let client =
        Client::new(keys, &ClientOptions { base_url: simulator.api_url(), ..ClientOptions::default() });
    let client = client.expect("a client");
    let tasks = ids.iter().map(|id| {
        let task = client.request_export(id, None).expect("requested");
        assert_ne!(task.state, ExportState::Failed);
        (id.clone(), task.task_id)
    });
    let tasks = tasks.collect();
    (simulator, tasks)
}

/// Events of all exports, one in ten of them signed wrongly.
fn events(simulator: &Simulator, tasks: &[(String, String)]) -> (String, BTreeSet<String>) {
    let mut lines = String::new();
    let mut signed_tasks = BTreeSet::new();
    for (number, (connection, task)) in tasks.iter().enumerate() {
        let signed = number % 10 != 7;
        let link = simulator.link_of(task).expect("a link");
        let body = json!({
            "api_mode": "test", "id": format!("event-{number}"), "type": "patient.ehi_export_success",
            "data": {
                "org_connection_id": connection, "org_id": "o", "task_id": task,
                "download_links": [{ "url": link, "export_type": "jsonl", "content_type": "application/fhir+ndjson" }],
                "stats": { "total_resources": 40,
                    "total_by_resource_type": { "Patient": 14, "Observation": 13, "Condition": 13 } },
            },
        });
        lines.push_str(
            &json!({ "id": format!("event-{number}"), "signed": signed, "body": body }).to_string(),
        );
        lines.push('\n');
        if signed {
            signed_tasks.insert(task.clone());
        }
    }
    (lines, signed_tasks)
}

/// Delivers all events while the processes are killed, and waits until nothing is to be done.
fn storm(chaos: &mut Chaos, events: &str, wanted: usize) -> Vec<Value> {
    fs::write(chaos.path("events.ndjson"), events).expect("written");
    let url = format!("http://127.0.0.1:{}/webhooks/fasten/test", chaos.port);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos/sender.py");
    let mut sender = Command::new("python3");
    sender.arg(script).args([&url, SECRET]).arg(chaos.path("events.ndjson")).arg(chaos.path("sent")).arg("7");
    let mut sender = sender.spawn().expect("python3");
    let begun = Instant::now();
    let answers = |chaos: &Chaos| -> Vec<Value> {
        let text = fs::read_to_string(chaos.path("sent")).unwrap_or_default();
        // The last line may be half written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    for kill in 1..=KILLS {
        let accepted = |chaos: &Chaos| answers(chaos).iter().filter(|answer| answer["status"] != 0).count();
        while accepted(chaos) < kill * EVENTS / (KILLS + 1) * 2
            && sender.try_wait().expect("a child").is_none()
        {
            assert!(begun.elapsed() < PATIENCE, "{}", chaos.log());
            thread::sleep(LOOK);
        }
        chaos.kill_and_start(kill % chaos.processes.len());
    }
    assert!(sender.wait().expect("a child").success());
    while chaos.counts().get("done").copied().unwrap_or_default() < wanted as u64 {
        assert!(begun.elapsed() < PATIENCE, "{:?} {}", chaos.counts(), chaos.log());
        thread::sleep(LOOK);
    }
    answers(chaos)
}

/// Every export that was told of is finished once, and nothing else is.
fn check(chaos: &Chaos, tasks: &BTreeSet<String>, answers: &[Value]) {
    let done = [("done".to_owned(), tasks.len() as u64)];
    assert_eq!(chaos.counts(), BTreeMap::from(done));
    let listed = chaos.get("/api/v1/exports?limit=500");
    let exports = listed["exports"].as_array().expect("exports");
    let listed: BTreeSet<String> =
        exports.iter().map(|one| one["task_id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(&listed, tasks);
    let kinds = ["Patient", "Observation", "Condition"];
    let export = fs::read_to_string(chaos.path("export.ndjson")).expect("readable");
    for one in exports {
        let folder = Path::new(one["destination"].as_str().expect("a folder"));
        for kind in kinds {
            let own: String =
                export.lines().filter(|line| line.contains(kind)).map(|line| format!("{line}\n")).collect();
            assert_eq!(fs::read_to_string(folder.join(format!("{kind}.ndjson"))).expect("readable"), own);
        }
        let steps = chaos.get(&format!("/api/v1/exports/{}", one["id"].as_str().expect("an id")));
        let ends =
            steps["steps"].as_array().expect("steps").iter().filter(|step| step["state"] == "done").count();
        // Deliveries that came after its end are noted with the state that it has.
        let told = steps["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .filter(|step| step["note"].is_null() && step["state"] == "done");
        assert_eq!(told.count(), 1, "{ends}: {steps:#}");
    }
    stored_events(chaos, answers);
    assert_eq!(leftovers(&chaos.path("exports")), Vec::<PathBuf>::new());
    no_canary(chaos);
}

/// Neither in the log nor in a file of the database: records, keys, secrets, signed links.
fn no_canary(chaos: &Chaos) {
    let files = fs::read_dir(chaos.folder.path()).expect("a folder").map(|entry| entry.expect("one").path());
    let own = |path: &PathBuf| {
        path.is_file()
            && path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                name == "log" || name.starts_with("fhirline.db")
            })
    };
    for file in files.filter(own) {
        let bytes = fs::read(&file).expect("readable");
        for canary in ["CANARY", SECRET, "X-Amz-Signature"] {
            let found = bytes.windows(canary.len()).any(|part| part == canary.as_bytes());
            assert!(!found, "{canary} in {}", file.display());
        }
    }
}

/// No answer of 200 without a stored event, and no event that was signed wrongly.
fn stored_events(chaos: &Chaos, answers: &[Value]) {
    let stored = chaos.get("/api/v1/events?limit=500");
    let stored = stored["events"].as_array().expect("events").iter();
    let stored: BTreeSet<String> =
        stored.map(|event| event["id"].as_str().expect("an id").replace("test:", "")).collect();
    for answer in answers {
        let id = answer["id"].as_str().expect("an id");
        match (answer["signed"].as_bool(), answer["status"].as_u64()) {
            (Some(true), Some(200)) => assert!(stored.contains(id), "{id} was answered, and is not stored"),
            (Some(false), Some(status)) => {
                assert!([0, 401].contains(&status) && !stored.contains(id), "{id}");
            }
            (Some(true), Some(0 | 503)) => {}
            other => panic!("{id}: {other:?}"),
        }
    }
}

/// Folders of attempts that were not removed.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut left = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains(".attempt-") {
            left.push(entry.path());
        } else if entry.path().is_dir() {
            left.extend(leftovers(&entry.path()));
        }
    }
    left
}

fn chaos(store: &str, workers: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let (simulator, tasks) = simulated(folder.path(), EVENTS);
    let (lines, signed) = events(&simulator, &tasks);
    let mut chaos = Chaos::new(&simulator.api_url(), store);
    fs::copy(folder.path().join("export.ndjson"), chaos.path("export.ndjson")).expect("copied");
    chaos.processes.push(chaos.start("serve"));
    for _ in 1..workers {
        chaos.processes.push(chaos.start("work"));
    }
    let answers = storm(&mut chaos, &lines, signed.len());
    check(&chaos, &signed, &answers);
    assert_eq!(simulator.leaked_keys(), 0);
}

#[test]
fn every_export_is_finished_once_whatever_is_killed_on_sqlite() {
    chaos("fhirline.db", 1);
}

#[test]
fn every_export_is_finished_once_whatever_is_killed_on_postgresql() {
    let Some(server) = Postgres::start("every_export_is_finished_once_whatever_is_killed_on_postgresql")
    else {
        return;
    };
    chaos(&server.url(), 3);
}

#[test]
fn a_service_ends_when_it_is_asked_to_and_serves_its_file_alone() {
    let mut chaos = Chaos::new("http://127.0.0.1:9/v1", "fhirline.db");
    let first = chaos.start("serve");
    chaos.processes.push(first);
    let second = program(&chaos, &["serve"]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        told.contains("error: another process serves the database")
            && told.contains("hint: a file of SQLite"),
        "{told}"
    );
    let worker = program(&chaos, &["work"]);
    assert_eq!(worker.status.code(), Some(2), "{worker:?}");
    let pid = chaos.processes[0].id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    assert_eq!(chaos.processes[0].wait().expect("waited").code(), Some(0), "{}", chaos.log());
    let unsaid = program(&chaos, &["serve", "purge"]);
    let told = String::from_utf8_lossy(&unsaid.stderr).into_owned();
    assert!(unsaid.status.code() == Some(2) && told.contains("error: keep_days: nothing says"), "{unsaid:?}");
    let purged = program(&chaos, &["serve", "purge", "--keep-days", "3"]);
    assert_eq!(String::from_utf8_lossy(&purged.stdout), "0 events, 0 exports, 0 messages were taken away\n");
}

/// The program, to its end.
fn program(chaos: &Chaos, arguments: &[&str]) -> std::process::Output {
    Command::new(cargo_bin("fhirline"))
        .args(arguments)
        .arg("--config")
        .arg(chaos.path("fhirline.toml"))
        .env("FASTEN_PRIVATE_KEY", KEY)
        .env("FASTEN_SIGNING_SECRET", SECRET)
        .output()
        .expect("run")
}
