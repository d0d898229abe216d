//! What writes folders writes prefixes of object stores: here below a bucket of moto.

use std::io::Read;
use std::process::{Command, Stdio};

use fhirline::{BundleJob, Job, Network, SplitJob};
use fhirline_core::{Origin, Store};
use fhirline_fetch::{CloudBucket, CloudOptions, CloudStore, CloudStoreOptions};

use super::export::{kill, server as bulk_server, wait_until};
use super::fault_server::{FaultServer, Reply};
use super::place::{BROKEN, GOAL, PATIENT, Place, Ran, gzip, lines};
use crate::support::bulk_server::SECRET;

#[path = "../../crates/fetch/tests/support/servers.rs"]
#[allow(clippy::duplicate_mod, reason = "tests of other themes have servers of their own")]
mod servers;

use servers::Server;

/// A folder to run in, beside a bucket.
pub(super) struct Beside {
    pub(super) place: Place,
    pub(super) server: Server,
    bucket: &'static str,
}

impl Beside {
    pub(super) fn new(test: &str, bucket: &'static str) -> Option<Self> {
        let server = Server::moto(test)?;
        server.s3_bucket(bucket);
        Some(Self { place: Place::new(), server, bucket })
    }

    /// The program; `s3:` at the beginning of an argument is the bucket.
    fn command(&self, line: &str) -> Command {
        let mut command = self.place.command(&line.replace(" s3:", &format!(" s3://{}/", self.bucket)));
        command.envs(self.server.s3_settings());
        command
    }

    pub(super) fn run(&self, line: &str) -> Ran {
        Ran::new(line, self.command(line).output().expect("run"))
    }

    fn options(&self) -> CloudOptions {
        let set = |options: CloudOptions, (name, value)| options.set(name, value);
        self.server.s3_settings().into_iter().fold(CloudOptions::new(), set)
    }

    fn open(&self, key: &str) -> CloudBucket {
        let url = format!("s3://{}/{key}", self.bucket).parse().expect("a URL");
        CloudBucket::open(&url, &self.options()).expect("opened")
    }

    /// What lies below a prefix under such a name, whatever it serves.
    fn contents_of(&self, prefix: &str, wanted: impl Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
        let bucket = self.open(prefix);
        let mut names = CloudStore::new(bucket.clone(), CloudStoreOptions::default()).list().expect("listed");
        names.retain(|name| wanted(name));
        let read = |name: String| {
            let object = bucket.object(&format!("{prefix}/{name}")).expect("a key");
            let mut bytes = Vec::new();
            object.open_at(0).expect("opened").read_to_end(&mut bytes).expect("read");
            (name, bytes)
        };
        names.into_iter().map(read).collect()
    }

    /// All that lies below a prefix; nothing of it only serves the program.
    pub(super) fn contents(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let bucket = self.open(prefix);
        for name in ["_uploads.partial", "_fhirline-lock.partial"] {
            let object = bucket.object(&format!("{prefix}/{name}")).expect("a key");
            assert!(object.identity().is_err(), "{name} is left");
        }
        self.contents_of(prefix, |_| true)
    }
}

#[test]
fn bundles_below_a_prefix_are_those_of_a_folder() {
    let Some(beside) = Beside::new("bundles_below_a_prefix_are_those_of_a_folder", "bundles") else { return };
    beside.place.put_sample("export.ndjson", 300 << 10);
    let ran = beside.run("bundle export.ndjson -o folder --max-entries 40 --json").ends_with(3);
    let remote = beside.run("bundle export.ndjson -o s3:out --max-entries 40 --json").ends_with(3);
    assert_eq!(remote.json()["bundles"], ran.json()["bundles"]);
    let folder = beside.place.contents("folder");
    assert!(folder.len() > 4 && beside.contents("out") == folder);
    // Nothing is replaced unasked, and all of it if asked.
    let again = beside.run("bundle export.ndjson -o s3:out").ends_with(2);
    assert!(again.stderr.contains("/out/Bundle.0001.json exists already"), "{}", again.shown());
    beside.place.put("one.ndjson", lines(&[GOAL]));
    beside.run("bundle one.ndjson -o one").ends_with(0);
    beside.run("bundle one.ndjson -o s3:out/ --overwrite").ends_with(0);
    assert!(beside.contents("out") == beside.place.contents("one"));
}

/// What stands in the open Bundle is found out from what went up of it, which a store does not give back.
#[test]
fn bundles_without_incomplete_sources_go_below_prefixes_too() {
    let test = "bundles_without_incomplete_sources_go_below_prefixes_too";
    let Some(beside) = Beside::new(test, "incomplete") else { return };
    let place = &beside.place;
    place.put_sample("first.ndjson", 12 << 20);
    let all = String::from_utf8_lossy(&place.read("first.ndjson")).into_owned();
    // The second repeats a few of the first and has others of its own; the third repeats some of each.
    let others = all.replace("\"id\":\"", "\"id\":\"other-");
    let few = |text: &str, lines: usize| text.split_inclusive('\n').take(lines).collect::<String>();
    let whole = gzip(few(&all, 50) + &others);
    place.put("second.ndjson.gz", &whole[..whole.len() / 2]);
    place.put("third.ndjson", few(&others, 60) + &few(&all, 70));
    let sources = "bundle first.ndjson second.ndjson.gz third.ndjson --allow-incomplete --json";
    let local = beside.run(&format!("{sources} -o folder")).ends_with(5).json();
    let remote = beside.run(&format!("{sources} -o s3:out")).ends_with(5).json();
    assert_eq!(remote["bundles"], local["bundles"]);
    assert!(local["bundles"]["bytes"].as_u64().is_some_and(|bytes| bytes > 9 << 20), "parts went up");
    assert!(beside.contents("out") == place.contents("folder"));
}

#[test]
fn an_export_is_split_straight_into_a_prefix() {
    let test = "an_export_is_split_straight_into_a_prefix";
    let Some(beside) = Beside::new(test, "exports") else { return };
    let server = bulk_server();
    server.bulk().held = Some(("output/Patient/1".to_owned(), 10));
    let line = format!("fetch {} --export --split s3:runs/out --json", server.base());
    let mut command = beside.command(&line);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("run");
    wait_until(|| server.count("GET /files/output/Patient/1") > 0);
    kill(child);
    let noted = beside.contents_of("runs", |name| name.starts_with('_'));
    let names: Vec<_> = noted.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["_out.export-log.partial", "_out.export.partial"]);
    server.release();

    // Something else may not begin there; the same is taken up again.
    beside.run(&line.replace("--export", "--export Patient")).ends_with(2);
    let report = beside.run(&line).ends_with(0).json();
    assert_eq!((&report["ledger"]["records"]["read"], server.count("GET /fhir/$export")), (&4.into(), 1));
    assert_eq!(beside.contents_of("runs", |name| name.starts_with('_')), []);
    beside.run(&format!("fetch {} --export --split folder", server.base())).ends_with(0);
    let (mut remote, mut local) = (beside.contents("runs/out"), beside.place.contents("folder"));
    let log = |files: &mut Vec<(String, Vec<u8>)>| {
        let at = files.iter().position(|(name, _)| name == "log.ndjson").expect("a log");
        let log = String::from_utf8(files.remove(at).1).expect("text");
        assert!(log.contains("export_complete") && !log.contains(SECRET), "{log}");
        log.matches("kickoff").count()
    };
    assert_eq!((log(&mut remote), log(&mut local)), (1, 1));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&remote), names(&local));
    let goals = |files: &[(String, Vec<u8>)]| files.iter().find(|(name, _)| name == "Goal.ndjson").cloned();
    assert_eq!(goals(&remote), goals(&local));

    let asked = server.bulk().seen.len();
    assert_eq!(beside.run(&line).ends_with(0).json()["already_complete"], true);
    assert_eq!(server.bulk().seen.len(), asked);
    // Beside a bucket is nothing.
    let refused = beside.run(&format!("fetch {} --export --split s3:", server.base())).ends_with(2);
    assert!(refused.stderr.contains("beside"), "{}", refused.shown());
}

#[test]
fn an_export_into_a_prefix_is_cancelled() {
    let test = "an_export_into_a_prefix_is_cancelled";
    let Some(beside) = Beside::new(test, "cancelled") else { return };
    let server = bulk_server();
    server.bulk().held = Some(("output/Patient/1".to_owned(), 10));
    let line = format!("fetch {} --export --split s3:out", server.base());
    let mut command = beside.command(&line);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("run");
    wait_until(|| server.count("GET /files/output/Patient/1") > 0);
    kill(child);
    server.release();
    beside.run(&format!("{line} --cancel")).ends_with(0);
    assert_eq!(server.count("DELETE /status/1"), 1);
    beside.run(&format!("{line} --cancel")).ends_with(2);
}

/// As a file and behind a URL.
#[test]
fn a_manifest_that_is_an_object_is_its_files() {
    let test = "a_manifest_that_is_an_object_is_its_files";
    let Some(beside) = Beside::new(test, "manifests") else { return };
    let web = FaultServer::start(|_| Reply::new(200, lines(&[GOAL])));
    let manifest = serde_json::json!({
        "transactionTime": "2026-01-01T00:00:00Z", "requiresAccessToken": false,
        "output": [{"url": "https://server.invalid/files/a.ndjson"}, {"url": web.url("/goals.ndjson")}],
    });
    for (key, bytes) in [("x/manifest.json", manifest.to_string()), ("x/a.ndjson", lines(&[PATIENT]))] {
        beside.server.s3_put(beside.bucket, key, bytes.as_bytes());
    }
    beside.run("split s3:x/manifest.json -o s3:out").ends_with(0);
    let outputs = beside.contents("out");
    for (name, line) in [("Goal.ndjson", GOAL), ("Patient.ndjson", PATIENT)] {
        assert!(outputs.contains(&(name.to_owned(), lines(&[line]).into_bytes())), "{name}");
    }
    beside.run("fetch s3:x/manifest.json -o files").ends_with(0);
    assert_eq!(beside.place.text("files/a.ndjson"), lines(&[PATIENT]));
    assert_eq!(beside.place.text("files/goals.ndjson"), lines(&[GOAL]));
}

/// A checkpoint holds bytes of records: the tails, and in the state of a SHA-256 up to 63 of an output.
#[test]
fn what_an_interrupted_run_leaves_lies_below_its_prefix() {
    let test = "what_an_interrupted_run_leaves_lies_below_its_prefix";
    let Some(beside) = Beside::new(test, "left") else { return };
    beside.place.put_sample("whole.ndjson", 300 << 10);
    let cut = gzip(lines(&[PATIENT; 40]));
    beside.place.put("cut.ndjson.gz", &cut[..cut.len() - 9]);
    std::fs::create_dir(beside.place.path("spool")).expect("made");
    let sources = "split whole.ndjson cut.ndjson.gz -o s3:runs/out --spool-dir spool";
    beside.run(&format!("{sources} --checksum sha256 --compress gzip")).ends_with(5);
    let left = beside.server.s3_left(beside.bucket);
    assert!(left.contains(&"runs/out/_fhirline.partial".to_owned()), "{left:?}");
    let checkpoint = beside.contents_of("runs/out", |name| name == "_fhirline.partial").remove(0).1;
    assert!(String::from_utf8_lossy(&checkpoint).contains("hash_state"), "of hashes the state");
    assert!(left.iter().all(|key| key.starts_with("runs/out/")), "{left:?}");
    assert_eq!(beside.place.files("spool"), Vec::<String>::new());
}

#[test]
fn what_is_no_place_for_bundles_is_refused() {
    let Some(beside) = Beside::new("what_is_no_place_for_bundles_is_refused", "refused") else { return };
    beside.place.put("one.ndjson", lines(&[GOAL]));
    beside.open("").put("mine/notes.txt", b"mine").expect("put");
    for (arguments, told) in
        [("s3:mine", "was not made by fhirline"), ("s3:all.json", "Bundles have numbers below a prefix")]
    {
        let ran = beside.run(&format!("bundle one.ndjson -o {arguments}")).ends_with(2);
        assert!(ran.stderr.contains(told), "{}", ran.shown());
    }
    let names: Vec<_> = beside.contents("mine").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["notes.txt"]);
    // What is incomplete gets no names, and leaves no uploads.
    beside.place.put("cut.ndjson.gz", [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1]);
    beside.run("bundle one.ndjson cut.ndjson.gz -o s3:out").ends_with(5);
    assert_eq!(beside.contents("out"), []);
}

#[test]
fn bundles_that_were_being_given_names_are_made_again() {
    let test = "bundles_that_were_being_given_names_are_made_again";
    let Some(beside) = Beside::new(test, "killed") else { return };
    beside.place.put("one.ndjson", lines(&[GOAL]));
    // What a run leaves that is killed then.
    for name in ["_sealing.partial", "Bundle.0002.json", "_quarantine/lines.raw"] {
        beside.open("").put(&format!("out/{name}"), b"old").expect("put");
    }
    beside.run("bundle one.ndjson -o s3:out").ends_with(0);
    beside.run("bundle one.ndjson -o folder").ends_with(0);
    assert!(beside.contents("out") == beside.place.contents("folder"));
}

#[test]
fn restored_bundles_and_replayed_records_go_below_prefixes_too() {
    let test = "restored_bundles_and_replayed_records_go_below_prefixes_too";
    let Some(beside) = Beside::new(test, "others") else { return };
    beside.place.put("a.ndjson", lines(&[PATIENT, GOAL]));
    beside.run("bundle a.ndjson -o bundle.json").ends_with(0);
    beside.run("split bundle.json -o split --keep-entry-metadata").ends_with(0);
    beside.run("bundle --restore split -o again").ends_with(0);
    beside.run("bundle --restore split -o s3:again").ends_with(0);
    assert!(beside.contents("again") == beside.place.contents("again"));

    beside.place.put("b.ndjson", lines(&[PATIENT, BROKEN]));
    beside.run("split b.ndjson -o broken").ends_with(3);
    beside.place.put("broken/_quarantine/lines.raw", lines(&[GOAL]));
    beside.run("replay broken -o mended").ends_with(0);
    beside.run("replay broken -o s3:mended").ends_with(0);
    let (remote, local) = (beside.contents("mended"), beside.place.contents("mended"));
    assert!(remote.iter().any(|(name, bytes)| name == "Goal.ndjson" && *bytes == lines(&[GOAL]).as_bytes()));
    assert!(remote == local);
}

/// This process has nothing of the server in its environment.
#[test]
fn destinations_are_reached_as_the_job_says() {
    let test = "destinations_are_reached_as_the_job_says";
    let Some(beside) = Beside::new(test, "library") else { return };
    beside.place.put("one.ndjson", lines(&[GOAL]));
    let job = || {
        // All tests of this program are in the process, and so in the base that the ceiling is over.
        let job = Job::new([beside.place.path("one.ndjson")]).expect("a source").memory_bytes(4 << 30);
        job.network(Network::default().with_cloud(beside.options())).expect("no URL")
    };
    job().split(&SplitJob::to("s3://library/split"), &mut |_| {}).expect("split");
    job().bundle(&BundleJob::to("s3://library/bundles"), &mut |_| {}).expect("Bundles");
    let names = |prefix| beside.contents(prefix).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names("split"), ["Goal.ndjson", "manifest.json"]);
    assert_eq!(names("bundles"), ["Bundle.0001.json"]);
}
