//! `fhirline serve` where the machine, its configuration or its callers are against it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::SystemTime;

use assert_cmd::cargo::cargo_bin;
use serde_json::{Value, json};
use tempfile::TempDir;

use fhirline_connect::SigningSecret;

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
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let (id, body) = (event["id"].as_str().expect("an id"), event.to_string());
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
        assert!(status == 503 || stored.contains(&format!("\"test:{id}\"")), "{id} was answered, and is lost");
    }
}
