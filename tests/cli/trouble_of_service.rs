//! `fhirline serve` where the machine, its configuration or its callers are against it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use assert_cmd::cargo::cargo_bin;
use serde_json::{Value, json};
use tempfile::TempDir;

use fhirline_connect::{
    ApiKeys, Client, ClientOptions, ExportState, Mode, SigningSecret, Simulator, SimulatorOptions,
};

use super::place::skipped;
use crate::support::postgres::Postgres;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const CALLBACK_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz";
const KEY: &str = "private_test_CANARYkey";
const TOKEN: &str = "CANARYtoken-of-the-page";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A folder with a configuration, and what is started by it.
struct Place {
    folder: TempDir,
    port: u16,
    service: Option<Child>,
    /// Where the API is.
    api: String,
}

impl Place {
    /// With these lines before the part of test mode, and these in it.
    fn new(before: &str, inside: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let config = format!("listen = \"127.0.0.1:{port}\"\n{before}\n[test]\n{inside}\n");
        fs::write(folder.path().join("fhirline.toml"), config).expect("written");
        Self { folder, port, service: None, api: "http://127.0.0.1:9/v1".to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn with_environment(&self, program: &mut Command) {
        program
            .args(["serve", "--config"])
            .arg(self.path("fhirline.toml"))
            .env("FASTEN_PUBLIC_ID", "public_test_us")
            .env("FASTEN_PRIVATE_KEY", KEY)
            .env("PAGE_TOKEN", TOKEN)
            .env("CALLBACK_SECRET", CALLBACK_SECRET)
            .env("FASTEN_SIGNING_SECRET", SECRET)
            .env("FASTEN_API_BASE_URL", &self.api);
    }

    /// Starts it by that program, which gets the rest as arguments.
    fn start_by(&mut self, program: Command) -> u32 {
        self.start_with(program, &[])
    }

    fn start_with(&mut self, mut program: Command, more: &[&str]) -> u32 {
        self.with_environment(&mut program);
        program.args(more);
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

    /// Looks until that is so.
    fn wait_for(&self, wanted: impl Fn() -> bool) {
        let begun = Instant::now();
        while !wanted() {
            assert!(begun.elapsed() < PATIENCE, "{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
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

/// A disk of 4 MiB for the database and the queue, which others may fill: a file system of the service's own.
fn start_on_small_disk(place: &mut Place) -> Option<PathBuf> {
    fs::create_dir(place.path("disk")).expect("made");
    let mut shell = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=4m tmpfs \"$0\" && exec \"$@\"";
    shell.args(["-rm", "sh", "-c", mount]).arg(place.path("disk"));
    let mut probe = Command::new("unshare");
    probe.args(["-rm", "sh", "-c", "mount -t tmpfs tmpfs \"$0\""]);
    if !probe.arg(place.path("disk")).output().is_ok_and(|output| output.status.success()) {
        skipped("no file system can be mounted here");
        return None;
    }
    shell.arg(cargo_bin("fhirline"));
    let pid = place.start_by(shell);
    // Seen from outside of its mounts.
    Some(PathBuf::from(format!("/proc/{pid}/root{}", place.path("disk").display())))
}

/// Takes all the room that there is, but for so many bytes.
fn fill(disk: &Path, left: u64) {
    let mut file = fs::File::create(disk.join("others")).expect("made");
    for bytes in [1 << 16, 1 << 12] {
        while file.write_all(&vec![b'x'; bytes]).is_ok() {}
    }
    let taken = file.metadata().expect("its length").len();
    file.set_len(taken.saturating_sub(left)).expect("shorter");
}

/// What was accepted while the disk filled up is worked on once there is room again, without a new start: the queue beside the database has its
/// own connections and transactions.
#[test]
fn what_was_accepted_on_a_disk_that_fills_up_is_done_when_there_is_room() {
    let mut place =
        Place::new("store = \"disk/fhirline.db\"\nfirst_retry_seconds = 0.1\nmax_attempts = 1000", "");
    let folder = tempfile::tempdir().expect("a folder");
    let (simulator, link) = exported(folder.path());
    place.api = simulator.api_url();
    let Some(disk) = start_on_small_disk(&mut place) else { return };
    let mut accepted = 0;
    for round in 1..=3 {
        fill(&disk, round * 150_000);
        let mut refused = 0;
        while refused < 20 {
            let id = format!("{round}-{accepted}-{refused}");
            let mut told = success(&id, &link);
            told["data"]["task_id"] = id.clone().into();
            match place.deliver(&told) {
                200 => accepted += 1,
                503 => refused += 1,
                other => panic!("{other}: {}", place.log()),
            }
            assert!(accepted < 2000, "the disk does not fill up");
        }
        fs::remove_file(disk.join("others")).expect("removed");
    }
    assert!(accepted > 0, "{}", place.log());
    let all = json!([{ "name": "done_with_rejects", "count": accepted }]);
    place.wait_for(|| {
        let mut counts = place.get("/api/v1/summary")["exports"].take();
        counts.as_array_mut().expect("counts").iter_mut().for_each(|row| {
            row.as_object_mut().expect("a row").retain(|name, _| name == "name" || name == "count");
        });
        counts == all
    });
}

/// Whoever leads deliveries to where they can be stored is told where they cannot.
#[test]
fn a_service_that_cannot_store_is_not_ready() {
    let mut place = Place::new("", "");
    let mut deaf = Command::new("sh");
    deaf.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(cargo_bin("fhirline"));
    let pid = place.start_by(deaf).to_string();
    let limit = |bytes: &str| {
        let limited = ["--pid", &pid, &format!("--fsize={bytes}:unlimited")];
        assert!(Command::new("prlimit").args(limited).status().expect("prlimit").success());
    };
    let ready = || place.asked("GET /readyz HTTP/1.1\r\nhost: localhost\r\n", "");
    assert_eq!(ready(), (200, "ready\n".to_owned()));
    limit("1");
    assert_eq!(place.deliver(&event("e1", 1)), 503);
    assert_eq!(ready(), (503, "the database cannot be written to\n".to_owned()));
    limit("unlimited");
    place.wait_for(|| place.deliver(&event("e1", 1)) == 200);
    assert_eq!(ready(), (200, "ready\n".to_owned()));
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
        SELECT 99, 'newer', installed_on, success, x'00', execution_time FROM _sqlx_migrations LIMIT 1\"); c.commit()";
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

/// What an export is at the API: its link, which leads to a signed one.
fn exported(folder: &Path) -> (Simulator, String) {
    let line = r#"{"resourceType":"Patient","id":"1","text":"CANARYrecord"}"#;
    let export = format!("{line}\n{line}\n{{\"resourceType\":\"Patient\",\"id\":CANARYrecord}}\n");
    fs::write(folder.join("export.ndjson"), export).expect("written");
    let keys = ApiKeys::new(Mode::Test, "public_test_us", KEY.into()).expect("keys");
    let options = SimulatorOptions::new(folder.join("export.ndjson")).keys(keys.clone());
    let simulator = Simulator::start(options.export_takes(Duration::ZERO)).expect("a simulator");
    let options = ClientOptions { base_url: simulator.api_url(), ..ClientOptions::default() };
    let client = Client::new(keys, &options).expect("a client");
    let task =
        client.request_export("00000000-0000-4000-8000-000000000001", None).expect("requested").task_id;
    while client.export_state(&task).expect("a state").state == ExportState::Pending {
        thread::yield_now();
    }
    let link = simulator.link_of(&task).expect("a link");
    (simulator, link)
}

fn success(id: &str, link: &str) -> Value {
    json!({
        "api_mode": "test", "id": id, "type": "patient.ehi_export_success", "more": "CANARYbody",
        "data": { "task_id": id, "org_connection_id": "c1", "download_link": link, "more": "CANARYbody" },
    })
}

/// Deliveries that are good, forged and not understood, an export that works and one that has no link any more, callers with the token and without.
fn used(place: &Place, link: &str, gone: &str) {
    let bearer = format!("host: localhost\r\nauthorization: Bearer {TOKEN}\r\n");
    assert_eq!(place.deliver(&success("e1", link)), 200);
    assert_eq!(place.deliver(&success("e2", gone)), 200);
    assert_eq!(place.deliver_as("m3", &json!({ "more": "CANARYbody" })), 200);
    let forged = "POST /webhooks/fasten/test HTTP/1.1\r\nhost: x\r\nwebhook-id: CANARYhead\r\nwebhook-timestamp: 1\r\n\
        webhook-signature: v1,CANARYhead\r\n";
    assert_eq!(place.asked(forged, "CANARYbody").0, 401);
    let begun = Instant::now();
    let finished = loop {
        let (status, listed) = place.asked(&format!("GET /api/v1/exports HTTP/1.1\r\n{bearer}"), "");
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        assert_eq!(status, 200);
        let exports = listed["exports"].as_array().expect("exports");
        if exports.len() == 2 && exports.iter().all(|one| one["finished_at"].is_string()) {
            break exports.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{}", place.log());
        thread::sleep(Duration::from_millis(20));
    };
    let mut paths: Vec<String> =
        ["/", "/events", "/metrics", "/openapi.json", "/api/v1/summary", "/api/v1/events", "/?q=CANARY"]
            .map(str::to_owned)
            .into();
    for export in &finished {
        paths.extend(
            ["/exports/", "/api/v1/exports/"]
                .map(|of| format!("{of}{}", export["id"].as_str().expect("an id"))),
        );
    }
    for path in &paths {
        let (status, shown) = place.asked(&format!("GET {path} HTTP/1.1\r\n{bearer}"), "");
        assert_eq!(status, 200, "{path}");
        assert!(path.contains("CANARY") || !shown.contains("CANARY"), "{path}: {shown}");
    }
    // Behind the others: after ten of them nobody's token is compared for a while.
    for path in &paths {
        let wrong = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer CANARYno\r\n");
        assert!(matches!(place.asked(&wrong, "").0, 401 | 429), "{path}");
    }
    let form = "POST /login HTTP/1.1\r\nhost: localhost\r\n";
    assert_eq!(place.asked(form, &format!("token={TOKEN}&to=/")).0, 303);
    assert_eq!(place.asked(form, "token=CANARYno&to=/CANARY").0, 401);
}

/// All files below it, with their names.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("one").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push((path.display().to_string(), fs::read(&path).expect("readable")));
        }
    }
    all
}

fn has(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|at| at == part.as_bytes())
}

/// Keys, secrets, tokens, queries, bodies and records, with everything logged that can be: the log knows none of them, the database no secret and no
/// record, the account none at all.
#[test]
fn nothing_is_told_that_is_nobodys_business() {
    for format in ["text", "json"] {
        let before = "max_attempts = 1\nfirst_retry_seconds = 0.01\npage.token_env = \"PAGE_TOKEN\"\n\
            on_complete = { url = \"http://127.0.0.1:9/told?CANARYquery\", signing_secret_env = \"CALLBACK_SECRET\", max_attempts = 2 }";
        let (folder, mut place) = (tempfile::tempdir().expect("a folder"), Place::new(before, ""));
        let (simulator, link) = exported(folder.path());
        place.api = simulator.api_url();
        let mut program = Command::new(cargo_bin("fhirline"));
        program.env("FHIRLINE_LOG", "trace,sqlx::query=trace,hyper=trace");
        let pid = place.start_with(program, &["--log-format", format]).to_string();
        let gone = format!(
            "{}/bridge/fhir/ehi-export/gone/download/gone.jsonl?sig=CANARYquery",
            simulator.api_url()
        );
        used(&place, &link, &gone);
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        place.service.take().expect("there").wait().expect("waited");
        let secrets =
            [KEY, TOKEN, SECRET, CALLBACK_SECRET, &SECRET[6..], &CALLBACK_SECRET[6..], "X-Amz-Signature"];
        let mut looked_at = 0;
        for (name, bytes) in files(place.folder.path()) {
            for secret in secrets {
                assert!(!has(&bytes, secret), "{secret} in {name}");
            }
            let is_log = name.ends_with("/log");
            let is_database = name.contains("fhirline.db");
            let is_of_account =
                ["manifest.json", "_export.json", "outcome.ndjson"].iter().any(|end| name.ends_with(end));
            assert!(
                !has(&bytes, "CANARYrecord") || !(is_log || is_database || is_of_account),
                "a record in {name}"
            );
            assert!(
                !has(&bytes, "CANARY") || !(is_log || is_of_account),
                "{name}: {}",
                String::from_utf8_lossy(&bytes)
            );
            looked_at += usize::from(is_log || is_database || is_of_account);
        }
        assert!(looked_at >= 5, "{looked_at}");
        assert!(
            place.log().contains(if format == "json" { "{\"timestamp\"" } else { " INFO " }),
            "{}",
            place.log()
        );
    }
}
