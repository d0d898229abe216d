//! `fhirline serve` writes below prefixes of object stores what it writes to folders: here below a bucket of moto.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use fhirline_connect::Simulator;

use super::serve::{Chaos, simulated_so};
use super::stores::Beside;

/// A service whose outputs go into a bucket.
struct Serving {
    beside: Beside,
    bucket: &'static str,
    /// Where the simulator has the export from.
    _folder: TempDir,
    simulator: Simulator,
    chaos: Chaos,
    connection: String,
    task: String,
}

impl Serving {
    fn new(test: &str, bucket: &'static str) -> Option<Self> {
        Self::with_records_of(test, bucket, None)
    }

    /// The same, with records that have so many bytes more.
    fn with_records_of(test: &str, bucket: &'static str, longer: Option<usize>) -> Option<Self> {
        let beside = Beside::new(test, bucket)?;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("export.ndjson");
        let (simulator, mut tasks) = simulated_so(folder.path(), 1, |options| {
            if let Some(bytes) = longer {
                let export = fs::read_to_string(&file).expect("readable");
                let export = export.replace("CANARY", &"x".repeat(bytes));
                fs::write(&file, export).expect("written");
            }
            options
        });
        let export = fs::read(&file).expect("readable");
        beside.place.put("export.ndjson", export);
        let (connection, task) = tasks.remove(0);
        let destination = format!("s3://{bucket}/{{api_mode}}/{{org_connection_id}}/{{task_id}}");
        let mut chaos = Chaos::with(&simulator.api_url(), &format!("destination = \"{destination}\""));
        chaos.environment.extend(beside.server.s3_settings());
        Some(Self { beside, bucket, _folder: folder, simulator, chaos, connection, task })
    }

    fn start(&mut self) {
        self.chaos.processes.push(self.chaos.start("serve"));
    }

    fn kill(&mut self) {
        let mut process = self.chaos.processes.remove(0);
        process.kill().expect("killed");
        process.wait().expect("waited");
    }

    /// An event that the export is at that link.
    fn tell(&self, id: &str, link: &str) {
        let links = json!([{ "url": link, "export_type": "jsonl" }]);
        let data =
            json!({ "task_id": self.task, "org_connection_id": self.connection, "download_links": links });
        let kind = "patient.ehi_export_success";
        self.chaos.tell(&json!({ "api_mode": "test", "id": id, "type": kind, "data": data }));
    }

    fn link(&self) -> String {
        self.simulator.link_of(&self.task).expect("a link")
    }

    /// The only export, once it is as that wants it.
    fn export_when(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.chaos.wait_for(|| {
            let export = self.chaos.get("/api/v1/exports")["exports"][0].clone();
            assert_ne!(export["state"], "failed", "{export:#}");
            wanted(&export).then_some(export)
        })
    }

    fn prefix(&self) -> String {
        format!("test/{}/{}", self.connection, self.task)
    }

    /// What a folder would hold lies below the prefix, and nothing else lies in the bucket.
    fn is_complete(&self) {
        self.beside.run("split export.ndjson -o folder").ends_with(0);
        let but_manifest = |all: Vec<(String, Vec<u8>)>| -> Vec<_> {
            all.into_iter().filter(|(name, _)| name != "manifest.json").collect()
        };
        let below = self.beside.contents(&self.prefix());
        assert!(below.iter().any(|(name, _)| name == "manifest.json"));
        let below = but_manifest(below);
        assert!(below == but_manifest(self.beside.place.contents("folder")) && below.len() == 3);
        assert_eq!(self.beside.contents("test").len(), 4, "nothing is left elsewhere");
        assert_eq!(self.beside.server.s3_left(self.bucket), Vec::<String>::new());
    }
}

#[test]
fn exports_go_below_prefixes_once_their_bucket_is_there() {
    let test = "exports_go_below_prefixes_once_their_bucket_is_there";
    let Some(mut serving) = Serving::new(test, "later") else { return };
    serving.beside.server.s3_remove_bucket("later");
    serving.start();
    serving.tell("e1", &serving.link());
    let failed = serving.export_when(|export| export["failure"].is_string());
    assert_eq!(failed["state"], "queued", "{failed:#}");
    serving.beside.server.s3_bucket("later");
    let done = serving.export_when(|export| export["state"] == "done");
    assert_eq!(done["destination"], json!(format!("s3://later/{}", serving.prefix())));
    serving.is_complete();
}

#[test]
fn a_prefix_that_was_complete_before_its_end_was_noted_is_left_as_it_is() {
    let test = "a_prefix_that_was_complete_before_its_end_was_noted_is_left_as_it_is";
    let Some(mut serving) = Serving::new(test, "noted") else { return };
    serving.start();
    serving.tell("e1", &serving.link());
    let done = serving.export_when(|export| export["state"] == "done");
    serving.kill();
    let before = serving.beside.contents(&serving.prefix());
    // As if it had been killed a moment earlier.
    let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
                  db.execute(\"UPDATE exports SET state = 'running', report = NULL\"); db.commit()";
    let python = Command::new("python3").args(["-c", script]).arg(serving.chaos.path("fhirline.db")).status();
    assert!(python.expect("python3").success());
    serving.start();
    let again = serving.export_when(|export| export["state"] == "done");
    assert_eq!(again["attempts"], 2);
    let report = |export: &Value| {
        let path = format!("/api/v1/exports/{}", export["id"].as_str().expect("an id"));
        serving.chaos.get(&path)["export"]["report"]["ledger"].clone()
    };
    assert_eq!(report(&again)["records"]["delivered"], 40, "{:#}", report(&again));
    assert_eq!(done["id"], again["id"]);
    assert!(serving.beside.contents(&serving.prefix()) == before);
    serving.is_complete();
}

#[test]
fn links_that_have_ended_are_followed_by_new_ones_at_the_same_prefix() {
    let test = "links_that_have_ended_are_followed_by_new_ones_at_the_same_prefix";
    let Some(mut serving) = Serving::new(test, "ended") else { return };
    serving.start();
    serving.tell("e1", &serving.link().replace("/download/", "/download/gone-"));
    serving.export_when(|export| export["state"] == "expired");
    serving.tell("e2", &serving.link());
    let done = serving.export_when(|export| export["state"] == "done");
    assert_eq!(done["generation"], 2);
    serving.is_complete();
}

/// Parts of objects are on their way when it is killed.
#[test]
fn a_service_that_is_killed_while_it_uploads_finishes_once() {
    let test = "a_service_that_is_killed_while_it_uploads_finishes_once";
    let Some(mut serving) = Serving::with_records_of(test, "killed", Some(1 << 20)) else { return };
    serving.start();
    serving.tell("e1", &serving.link());
    serving.chaos.wait_for(|| (!serving.beside.server.s3_uploads(serving.bucket).is_empty()).then_some(()));
    serving.kill();
    serving.start();
    let done = serving.export_when(|export| export["state"] == "done");
    let whole = serving.chaos.get(&format!("/api/v1/exports/{}", done["id"].as_str().expect("an id")));
    let steps = whole["steps"].as_array().expect("steps");
    let left = steps.iter().filter(|step| step["note"] == "the service was stopped in the middle");
    assert_eq!((left.count(), &done["generation"]), (1, &json!(1)), "{steps:#?}");
    assert_eq!(steps.iter().filter(|step| step["state"] == "done").count(), 1, "{steps:#?}");
    serving.is_complete();
}
