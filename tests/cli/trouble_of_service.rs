//! `fhirline serve` where the machine, its configuration or its callers are against it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::SystemTime;

use assert_cmd::cargo::cargo_bin;
use serde_json::{Value, json};
use tempfile::TempDir;

use fhirline_connect::SigningSecret;

use crate::support::postgres::Postgres;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A folder with a configuration, and what is started by it.
struct Place {
    folder: TempDir,
    port: u16,
    service: Option<Child>,
}

impl Place {
    /// With these lines before the part of test mode, and these in it.
    fn new(before: &str, inside: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let config = format!("listen = \"127.0.0.1:{port}\"\n{before}\n[test]\n{inside}\n");
        fs::write(folder.path().join("fhirline.toml"), config).expect("written");
        Self { folder, port, service: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn with_environment(&self, program: &mut Command) {
        program
            .args(["serve", "--config"])
            .arg(self.path("fhirline.toml"))
            .env("FASTEN_PUBLIC_ID", "public_test_us")
            .env("FASTEN_PRIVATE_KEY", "private_test_CANARYkey")
            .env("FASTEN_SIGNING_SECRET", SECRET)
            .env("FASTEN_API_BASE_URL", "http://127.0.0.1:9/v1");
    }

    /// Starts it by that program, which gets the rest as arguments.
    fn start_by(&mut self, mut program: Command) -> u32 {
        self.with_environment(&mut program);
        let log = fs::File::create(self.path("log")).expect("a log");
        let mut child = program.stdout(Stdio::piped()).stderr(log).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("an output")).read_line(&mut line).expect("a line");
        assert!(line.starts_with("listening on http://"), "{line} {}", self.log());
        self.service.insert(child).id()
    }

    fn start(&mut self) -> u32 {
        self.start_by(Command::new(cargo_bin("fhirline")))
    }

    fn kill(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
    }

    /// Runs it to its end, which must come by itself.
    fn refused(&self) -> Output {
        let mut program = Command::new(cargo_bin("fhirline"));
        self.with_environment(&mut program);
        program.output().expect("run")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Status and body.
    fn asked(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        let head = format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all([head.as_str(), body].concat().as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.asked(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n"), "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Delivers an event as Fasten does; the status of the answer.
    fn deliver(&self, event: &Value) -> u16 {
        self.deliver_as(event["id"].as_str().expect("an id"), event)
    }

    /// The same, with that id in its head.
    fn deliver_as(&self, id: &str, event: &Value) -> u16 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let body = event.to_string();
        let signature = SigningSecret::parse(SECRET).expect("a secret").sign(id, now, body.as_bytes());
        let head = format!(
            "POST /webhooks/fasten/test HTTP/1.1\r\nhost: x\r\nwebhook-id: {id}\r\nwebhook-timestamp: {now}\r\n\
             webhook-signature: {signature}\r\n"
        );
        self.asked(&head, &body).0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An event that asks for nothing.
fn event(id: &str, letters: usize) -> Value {
    json!({ "api_mode": "test", "id": id, "type": "webhook.test", "data": { "hello": "x".repeat(letters) } })
}

/// On a disk that is full for a while every answer of 200 is true, and when there is room again deliveries are taken again. No file of the
/// process may grow beyond a limit, which is as good as a disk that is full.
#[test]
fn nothing_that_was_answered_is_lost_when_the_disk_is_full() {
    let mut place = Place::new("", "");
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; exec prlimit --fsize=2000000:unlimited \"$0\" \"$@\""]);
    limited.arg(cargo_bin("fhirline"));
    let pid = place.start_by(limited).to_string();
    let mut answers: Vec<(String, u16)> = Vec::new();
    while answers.iter().filter(|(_, status)| *status == 503).count() < 12 {
        let id = format!("e{}", answers.len());
        let status = place.deliver(&event(&id, 100_000));
        answers.push((id, status));
        assert!(answers.len() < 100, "{answers:?}");
    }
    let lifted = ["--pid", &pid, "--fsize=unlimited:unlimited"];
    assert!(Command::new("prlimit").args(lifted).status().expect("prlimit").success());
    for number in 0..10 {
        let id = format!("later{number}");
        let status = place.deliver(&event(&id, 100_000));
        assert_eq!(status, 200, "{id}: {}", place.log());
        answers.push((id, status));
    }
    place.kill();
    place.start();
    let stored = place.get("/api/v1/events?limit=500").to_string();
    for (id, status) in answers {
        assert!([200, 503].contains(&status), "{id}: {status}");
        assert!(
            status == 503 || stored.contains(&format!("\"test:{id}\"")),
            "{id} was answered, and is lost"
        );
    }
}

/// Bodies tell of patients: whoever else is on the machine does not read them.
#[test]
fn files_of_the_database_are_for_their_owner_alone() {
    let mut place = Place::new("", "");
    place.start();
    assert_eq!(place.deliver(&event("e1", 1)), 200);
    let mut seen = Vec::new();
    for entry in fs::read_dir(place.folder.path()).expect("a folder") {
        let entry = entry.expect("one");
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("fhirline.db") {
            let mode = entry.metadata().expect("its mode").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
            seen.push(name);
        }
    }
    seen.sort();
    let all = ["", "-lock", "-queue", "-queue-shm", "-queue-wal", "-shm", "-wal"];
    assert_eq!(seen, all.map(|suffix| format!("fhirline.db{suffix}")));
}

/// What is told when it does not start.
fn told(place: &Place) -> String {
    let output = place.refused();
    assert!(!output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains("CANARY") && !told.contains(SECRET), "{told}");
    told
}

#[test]
fn a_database_that_cannot_be_used_is_told_with_what_to_do() {
    let place = Place::new("store = \"no-database\"", "");
    fs::write(place.path("no-database"), [b'x'; 8192]).expect("written");
    let why = told(&place);
    let path = place.path("no-database");
    assert!(why.starts_with(&format!("error: cannot open the database {}\n", path.display())), "{why}");
    assert!(
        why.contains("caused by: error returned from database: (code: 26) file is not a database"),
        "{why}"
    );
    assert!(why.contains("hint: see `store`"), "{why}");

    let why = told(&Place::new("store = \"/proc/nothing/x.db\"", ""));
    assert!(why.contains("error: cannot lock the database /proc/nothing/x.db\n"), "{why}");
    assert!(
        why.contains("caused by: No such file or directory") && why.contains("hint: see `store`"),
        "{why}"
    );

    let why = told(&Place::new("store = \"postgres://me:CANARY@127.0.0.1:1/x\"", ""));
    assert!(why.starts_with("error: cannot open the database PostgreSQL\n"), "{why}");
    assert!(why.contains("Connection refused"), "{why}");

    let why = told(&Place::new("store = \"postgres://me@127.0.0.1/x?sslmode=CANARY\"", ""));
    assert!(why.contains("caused by: its URL is not understood\n"), "{why}");
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let mut place = Place::new("", "");
    place.start();
    place.kill();
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(\"INSERT INTO _sqlx_migrations \
        SELECT 2, 'newer', installed_on, success, x'00', execution_time FROM _sqlx_migrations\"); c.commit()";
    let made = Command::new("python3").args(["-c", script]).arg(place.path("fhirline.db")).status();
    assert!(made.expect("python3").success());
    let why = told(&place);
    assert!(
        why.contains("caused by: a newer fhirline has made its tables\n") && why.contains("hint: use that"),
        "{why}"
    );
}

#[test]
fn a_configuration_that_makes_no_sense_is_told_with_what_to_do() {
    for (before, inside, wanted) in [
        ("max_jobs = 0", "", "error: max_jobs: must be 1 or more\n"),
        (
            "",
            "path = \"/login\"",
            "error: test.path: must begin with / and a name that no page of the service has",
        ),
        (
            "",
            "private_key_env = \"private_test_CANARY\"",
            "error: test.private_key: the environment has no variable",
        ),
        (
            "on_complete = \"https://host/?CANARY\"",
            "",
            "error: the configuration is not understood: line 2: invalid type",
        ),
        ("store = \"mysql://me:CANARY@host/x\"", "", "error: store: is neither a file nor postgres://"),
    ] {
        let why = told(&Place::new(before, inside));
        assert!(why.starts_with(wanted), "{why}");
        assert!(why.contains("hint: docs/serve.md lists all settings"), "{why}");
    }
    let place = Place::new("", "");
    fs::remove_file(place.path("fhirline.toml")).expect("removed");
    let why = told(&place);
    assert!(
        why.contains("caused by: No such file") && why.contains("hint: --config names another file"),
        "{why}"
    );
}

/// What is too long for an index of PostgreSQL, or in none of its texts, is refused by nobody: the sender would send it again, and switch the endpoint off.
#[test]
fn ids_of_any_length_are_stored_in_postgresql() {
    let Some(server) = Postgres::start("ids_of_any_length_are_stored_in_postgresql") else { return };
    let mut place = Place::new(&format!("store = \"{}\"\nauto_export = true", server.url()), "");
    place.start();
    // It must not be so regular that it is stored in less.
    let long: String =
        (0..3000u32).map(|number| format!("{:x}", number.wrapping_mul(2_654_435_761))).collect();
    let connected = json!({
        "api_mode": "test", "id": long, "type": "patient.connection_success",
        "data": { "org_connection_id": long, "external_id": long },
    });
    for expected in ["the first", "a duplicate"] {
        assert_eq!(place.deliver_as("m1", &connected), 200, "{expected}: {}", place.log());
    }
    let ready = json!({
        "api_mode": "test", "id": format!("{long}2"), "type": "patient.ehi_export_success",
        "data": { "task_id": long, "org_connection_id": long, "download_link": "http://127.0.0.1:9/x" },
    });
    assert_eq!(place.deliver_as("m2", &ready), 200, "{}", place.log());
    let events = place.get("/api/v1/events")["events"].clone();
    assert_eq!(events.as_array().expect("events").len(), 2);
    assert_eq!(place.get("/api/v1/exports?q=%00")["exports"], json!([]));
    let (status, _) = place.asked("GET /api/v1/exports/%00 HTTP/1.1\r\nhost: localhost\r\n", "");
    assert_eq!(status, 404);
}
