//! What writes folders writes prefixes of object stores: here below a bucket of moto.

use std::io::Read;

use fhirline::{BundleJob, Job, Network, SplitJob};
use fhirline_core::{Origin, Store};
use fhirline_fetch::{CloudBucket, CloudOptions, CloudStore, CloudStoreOptions};

use super::place::{BROKEN, GOAL, PATIENT, Place, Ran, lines};

#[path = "../../crates/fetch/tests/support/servers.rs"]
#[allow(clippy::duplicate_mod, reason = "tests of other themes have servers of their own")]
mod servers;

use servers::Server;

/// A folder to run in, beside a bucket.
struct Beside {
    place: Place,
    server: Server,
    bucket: &'static str,
}

impl Beside {
    fn new(test: &str, bucket: &'static str) -> Option<Self> {
        let server = Server::moto(test)?;
        server.s3_bucket(bucket);
        Some(Self { place: Place::new(), server, bucket })
    }

    /// Runs the program; `s3:` at the beginning of an argument is the bucket.
    fn run(&self, line: &str) -> Ran {
        let line = line.replace(" s3:", &format!(" s3://{}/", self.bucket));
        let mut command = self.place.command(&line);
        let output = command.envs(self.server.s3_settings()).output().expect("run");
        Ran::new(&line, output)
    }

    fn options(&self) -> CloudOptions {
        let set = |options: CloudOptions, (name, value)| options.set(name, value);
        self.server.s3_settings().into_iter().fold(CloudOptions::new(), set)
    }

    fn open(&self, key: &str) -> CloudBucket {
        let url = format!("s3://{}/{key}", self.bucket).parse().expect("a URL");
        CloudBucket::open(&url, &self.options()).expect("opened")
    }

    /// All that lies below a prefix; nothing of it only serves the program.
    fn contents(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let bucket = self.open(prefix);
        for name in ["_uploads.partial", "_fhirline-lock.partial"] {
            let object = bucket.object(&format!("{prefix}/{name}")).expect("a key");
            assert!(object.identity().is_err(), "{name} is left");
        }
        let names = CloudStore::new(bucket.clone(), CloudStoreOptions::default()).list().expect("listed");
        let read = |name: String| {
            let object = bucket.object(&format!("{prefix}/{name}")).expect("a key");
            let mut bytes = Vec::new();
            object.open_at(0).expect("opened").read_to_end(&mut bytes).expect("read");
            (name, bytes)
        };
        names.into_iter().map(read).collect()
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

#[test]
fn what_is_no_place_for_bundles_is_refused() {
    let Some(beside) = Beside::new("what_is_no_place_for_bundles_is_refused", "refused") else { return };
    beside.place.put("one.ndjson", lines(&[GOAL]));
    beside.open("").put("mine/notes.txt", b"mine").expect("put");
    for (arguments, told) in [
        ("s3:mine", "was not made by fhirline"),
        ("s3:all.json", "Bundles have numbers below a prefix"),
        ("s3:out --allow-incomplete", "cannot be read back"),
    ] {
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
