//! A delivery, an export, a list of patients, a database, and the program over them.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use ::postgres::{Client, NoTls};
use fhirline::sample::Sample;
use fhirline_connect::SigningSecret;
use serde_json::Value;
use tempfile::TempDir;

use crate::postgres::Postgres;
use crate::slow_reader::{self, Row};

pub(crate) const SECRET: &str = "whsec_Y2FuYXJ5LXNlY3JldC1vZi0yNC1i";
/// What must be in nothing that the program says.
pub(crate) const CANARY: &str = "canary";

pub(crate) struct Place {
    server: Postgres,
    folder: TempDir,
    sources: Vec<(String, Vec<u8>)>,
    patients: Vec<String>,
}

impl Place {
    /// `None`, and a loud word, where there is no PostgreSQL.
    pub(crate) fn new(test: &str, sources: &[(&str, Vec<u8>)]) -> Option<Self> {
        let server = Postgres::start(test)?;
        let sources: Vec<_> =
            sources.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        let all = sources.iter().flat_map(|(_, bytes)| slow_reader::patients(bytes));
        // Every second of them, and one that the export does not know.
        let patients = all.step_by(2).chain([format!("{CANARY}-patient")]).collect();
        let place = Self { server, folder: TempDir::new().expect("a folder"), sources, patients };
        for (name, bytes) in &place.sources {
            place.put(name, bytes);
        }
        place.put("patients", place.patients.join("\n").as_bytes());
        Some(place)
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.server.url(), NoTls).expect("connected")
    }

    /// Saves a delivery that announces a task, signed so many seconds ago.
    pub(crate) fn deliver(&self, task: &str, age: u64) {
        let mut event: Value = serde_json::from_str(
            &Sample::new(1)
                .event(&slow_reader::counts(&self.sources), "https://files.example/e?key=canary-query"),
        )
        .expect("an event");
        event["data"]["task_id"] = task.into();
        self.deliver_event(&event, age);
    }

    pub(crate) fn deliver_event(&self, event: &Value, age: u64) {
        let body = event.to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let secret = SigningSecret::parse(SECRET).expect("a secret");
        let signature = secret.sign("msg_1", now - age, body.as_bytes());
        let headers = format!(
            "Webhook-Id: msg_1\r\nwebhook-timestamp: {}\nwebhook-signature: {signature}\n",
            now - age
        );
        self.put("event", body.as_bytes());
        self.put("headers", headers.as_bytes());
    }

    /// The program over the delivery that was saved last, with a checkpoint as often as there can be one.
    pub(crate) fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etl"));
        let sources = self.sources.iter().map(|(name, _)| OsStr::new(name));
        command.current_dir(self.folder.path());
        command.args(["--event", "event", "--headers", "headers", "--patients", "patients"]);
        command.args(["--checkpoint-bytes", "262144"]).args(options).args(sources);
        // Any password will do.
        let url = self.server.url().replace("fhirline@", "fhirline:canary-password@");
        command.env("FASTEN_SIGNING_SECRET", SECRET).env("DATABASE_URL", url);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it; everything it says.
    #[track_caller]
    pub(crate) fn run(&self, options: &[&str], code: i32) -> Output {
        let output = self.command(options).output().expect("run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        for said in [&output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(said);
            assert!(!said.contains(CANARY) && !said.contains(&SECRET[6..]), "{said}");
        }
        output
    }

    /// The rows that must be there.
    pub(crate) fn expected(&self) -> Vec<Row> {
        slow_reader::rows(&self.sources, &self.patients)
    }

    /// The rows that are there.
    pub(crate) fn rows(&self, task: &str) -> Vec<Row> {
        let mut client = self.client();
        let resources = client.query(
            "SELECT source, byte, line, resource_type, id, convert_to(resource, 'UTF8') \
             FROM resources WHERE export = $1 ORDER BY source, byte",
            &[&task],
        );
        let rejects = client.query(
            "SELECT source, byte, line, NULL::text, NULL::text, record FROM rejects WHERE export = $1 ORDER BY source, byte",
            &[&task],
        );
        let rows = [(false, resources), (true, rejects)];
        let row = |rejected, row: &::postgres::Row| Row {
            rejected,
            source: row.get(0),
            byte: row.get(1),
            line: row.get(2),
            resource_type: row.get(3),
            id: row.get(4),
            bytes: row.get(5),
        };
        rows.into_iter()
            .flat_map(|(rejected, found)| {
                let found = found.expect("rows");
                found.iter().map(|found| row(rejected, found)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Whether a run of that task came to its end; `None` if it left nothing.
    pub(crate) fn complete(&self, task: &str) -> Option<bool> {
        let row = self.client().query_opt("SELECT complete FROM exports WHERE export = $1", &[&task]);
        row.expect("a table").map(|row| row.get(0))
    }
}

/// A sample with some broken lines.
pub(crate) fn sample(seed: u64, bytes: u64) -> Vec<u8> {
    let mut export = Vec::new();
    Sample::new(seed).target_bytes(bytes).broken_lines(true).write_to(&mut export).expect("into memory");
    export
}

#[track_caller]
pub(crate) fn assert_same(found: &[Row], expected: &[Row]) {
    assert_eq!(found.len(), expected.len(), "rows");
    let other = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert!(other.is_none(), "{other:?}");
}
