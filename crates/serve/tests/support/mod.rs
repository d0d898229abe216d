//! A service and a simulator of Fasten, both over loopback, and a folder for what they write.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use fhirline_connect::{
    ApiKeys, Client, ClientOptions, ExportState, Misbehaviour, Mode, SigningSecret, Simulator,
    SimulatorOptions,
};
use fhirline_serve::{Config, Service};

pub(crate) const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
pub(crate) const OTHER_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz";
pub(crate) const CONNECTION: &str = "00000000-0000-4000-8000-000000000001";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn keys() -> ApiKeys {
    ApiKeys::new(Mode::Test, "public_test_us", "private_test_CANARYkey".into()).expect("keys")
}

pub(crate) fn secret() -> SigningSecret {
    SigningSecret::parse(SECRET).expect("a secret")
}

/// A folder with the secrets, an export and the outputs.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn new(lines: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key"), "private_test_CANARYkey\n").expect("written");
        std::fs::write(folder.path().join("secret"), format!("{SECRET}\n")).expect("written");
        std::fs::write(folder.path().join("other-secret"), OTHER_SECRET).expect("written");
        let mut export = Vec::new();
        for number in 0..lines {
            let kind = if number % 3 == 0 { "Patient" } else { "Observation" };
            writeln!(export, r#"{{"resourceType":"{kind}","id":"{number}","text":"CANARYrecord"}}"#)
                .expect("written");
        }
        std::fs::write(folder.path().join("export.ndjson"), export).expect("written");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn simulated(&self) -> SimulatorOptions {
        SimulatorOptions::new(self.path("export.ndjson"))
            .keys(keys())
            .secret(secret())
            .export_takes(Duration::from_millis(20))
    }

    /// The configuration for that API, with more of it before the part of test mode.
    pub(crate) fn config(&self, api_url: &str, more: &str) -> Config {
        let text = format!(
            "listen = \"127.0.0.1:0\"\nfirst_retry_seconds = 0.05\n{more}\n[test]\npublic_id = \"public_test_us\"\n\
             private_key_file = \"key\"\nsigning_secret_file = \"secret\"\napi_base_url = \"{api_url}\"\n"
        );
        Config::parse(&text, self.folder.path()).expect("a configuration")
    }
}

/// A service on a runtime of its own.
pub(crate) struct Running {
    runtime: Runtime,
    pub(crate) url: String,
    stop: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let service = runtime.block_on(Service::start(config, true)).expect("a service");
        let url = format!("http://{}", service.address().expect("it listens"));
        let (sender, receiver) = oneshot::channel::<()>();
        let stopped = runtime.spawn(service.until_stopped(async {
            let _ = receiver.await;
        }));
        Self { runtime, url, stop: Some((sender, stopped)) }
    }

    pub(crate) fn stop(mut self) {
        self.do_stop();
    }

    fn do_stop(&mut self) {
        if let Some((sender, stopped)) = self.stop.take() {
            let _ = sender.send(());
            self.runtime.block_on(stopped).expect("it stops");
        }
    }

    /// The JSON that it answers with.
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = exchange(&self.url, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n"), b"");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or(Value::String(body))
    }

    /// A page as text, once it is as that wants it.
    pub(crate) fn page_when(&self, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let (_, page) = exchange(&self.url, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n"), b"");
            if wanted(&page) {
                return page;
            }
            assert!(begun.elapsed() < PATIENCE, "{page}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn post(&self, path: &str) -> u16 {
        exchange(&self.url, &format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n"), b"").0
    }

    /// Delivers a body as Fasten does.
    pub(crate) fn deliver(&self, path: &str, secret: &str, id: &str, body: &str, seconds_ago: u64) -> u16 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let timestamp = now.as_secs() - seconds_ago;
        let signature = SigningSecret::parse(secret).expect("a secret").sign(id, timestamp, body.as_bytes());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nwebhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n"
        );
        exchange(&self.url, &head, body.as_bytes()).0
    }

    /// Delivers to test mode.
    pub(crate) fn tell(&self, body: &Value) -> u16 {
        let id = format!("msg_{}", body["id"].as_str().unwrap_or_default());
        self.deliver("/webhooks/fasten/test", SECRET, &id, &body.to_string(), 0)
    }

    /// All exports, once they are as that wants them.
    pub(crate) fn exports_when(&self, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let exports = self.get("/api/v1/exports")["exports"].as_array().cloned().expect("exports");
            if wanted(&exports) {
                return exports;
            }
            assert!(begun.elapsed() < PATIENCE, "{exports:#?}");
            std::thread::yield_now();
        }
    }

    /// The only export, once it is in that state.
    pub(crate) fn export_in(&self, state: &str) -> Value {
        let mut all = self.exports_when(|all| all.len() == 1 && all[0]["state"] == state);
        all.remove(0)
    }

    pub(crate) fn report(&self, export: &Value) -> Value {
        self.get(&format!("/api/v1/exports/{}", export["id"].as_str().expect("an id")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.do_stop();
    }
}

fn exchange(url: &str, head: &str, body: &[u8]) -> (u16, String) {
    let (status, _, body) = ask(url, head, body);
    (status, body)
}

/// One request on a connection of its own, and its answer: status, head and body.
pub(crate) fn ask(url: &str, head: &str, body: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("connected");
    let head = format!("{head}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (status, head.to_owned(), body.to_owned())
}

pub(crate) fn client(simulator: &Simulator) -> Client {
    let options = ClientOptions { base_url: simulator.api_url(), ..ClientOptions::default() };
    Client::new(keys(), &options).expect("a client")
}

/// A link to an export that exists, as the simulator makes them.
pub(crate) fn link_of(simulator: &Simulator) -> String {
    link_by(&client(simulator), simulator)
}

/// The same, asked for by that client.
pub(crate) fn link_by(client: &Client, simulator: &Simulator) -> String {
    let task = client.request_export(CONNECTION, None).expect("requested");
    while client.export_state(&task.task_id).expect("a state").state == ExportState::Pending {
        std::thread::yield_now();
    }
    simulator.link_of(&task.task_id).expect("a link")
}

/// An event that an export is ready, as it is documented.
pub(crate) fn success(id: &str, task: &str, url: &str) -> Value {
    json!({
        "api_mode": "test", "date": "2026-08-14T10:00:00Z", "id": id, "type": "patient.ehi_export_success",
        "data": {
            "org_connection_id": CONNECTION, "org_id": "o", "task_id": task,
            "download_links": [{ "url": url, "export_type": "jsonl", "content_type": "application/fhir+ndjson" }],
        },
    })
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A service whose API is a simulator that delivers to it.
pub(crate) fn with_webhook(place: &Place, more: &str, how: &[Misbehaviour]) -> (Running, Simulator) {
    // Each needs the address of the other: the service's is taken first, by one that knows no API yet.
    let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = probe.local_addr().expect("an address").port();
    drop(probe);
    let options =
        place.simulated().webhook(format!("http://127.0.0.1:{port}/webhooks/fasten/test")).speed(2000.0);
    let options = how.iter().fold(options, |options, how| options.misbehaving(*how));
    let simulator = Simulator::start(options.export_takes(Duration::from_secs(2))).expect("a simulator");
    let mut config = place.config(&simulator.api_url(), more);
    config.listen.set_port(port);
    (Running::start(config), simulator)
}
