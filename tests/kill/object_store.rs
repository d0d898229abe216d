//! The same into object stores, each run with an empty spool: the next one may be on another machine.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fhirline_core::Store;
use fhirline_fetch::{CloudBucket, CloudOptions, CloudStore, CloudStoreOptions};

use super::{Dice, Place};
use crate::support::servers::Server;
use crate::support::{Files, assert_same, files_in, sample, say};

const KILLS: usize = 10;

/// A place below a server.
struct Remote<'s> {
    place: Place,
    settings: Vec<(&'static str, String)>,
    /// Prefixes begin so.
    url: &'static str,
    _server: &'s Server,
}

impl Remote<'_> {
    fn command(&self, out: &str) -> Command {
        let mut command = self.place.command(&format!("{}/{out}", self.url));
        command.args(["--spool-dir", "spool"]).envs(self.settings.iter().cloned());
        command
    }

    #[track_caller]
    fn run(&self, out: &str, code: i32) -> serde_json::Value {
        let output = self.command(out).output().expect("run");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a report")
    }

    fn kill(&self, out: &str, after: Duration) -> bool {
        let mut child = self.command(out).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run");
        thread::sleep(after);
        child.kill().expect("killed");
        child.wait().expect("ended").code().is_none()
    }

    /// All that lies below a prefix, what only serves the program too.
    fn files(&self, out: &str) -> Files {
        let options = self
            .settings
            .iter()
            .fold(CloudOptions::new(), |options, (name, value)| options.set(*name, value));
        let url = format!("{}/{out}", self.url).parse().expect("a URL");
        let bucket = CloudBucket::open(&url, &options).expect("opened");
        for name in ["_uploads.partial", "_fhirline-lock.partial"] {
            let object = bucket.object(&format!("{out}/{name}")).expect("a key");
            assert!(fhirline_core::Origin::identity(&object).is_err(), "{name} is left");
        }
        let store = CloudStore::new(bucket, CloudStoreOptions::default());
        let names = store.list().expect("listed").into_iter();
        names.map(|name| (name.clone(), store.get(&name, 1 << 30).expect("read").expect("listed"))).collect()
    }
}

fn killed_and_run_again(
    server: &Server,
    url: &'static str,
    settings: Vec<(&'static str, String)>,
    options: &str,
) {
    // Long enough for parts of 8 MiB.
    let place = Place::with(&[("a.ndjson", sample(1, 40 << 20)), ("c.ndjson", sample(3, 2 << 20))], options);
    fs::create_dir(place.path("spool")).expect("made");
    place.run("folder", 3);
    let unbroken = files_in(&place.path("folder"));
    let remote = Remote { place, settings, url, _server: server };
    let begun = Instant::now();
    remote.run("unbroken", 3);
    let takes = begun.elapsed();
    assert_same(&remote.files("unbroken"), &unbroken, "of a run that nobody killed");
    let (mut dice, mut hits, mut resumed) = (Dice(0x0B1E_C757), 0, 0);
    for kill in 0..KILLS {
        let out = format!("out-{kill}");
        for _ in 0..=(dice.next() % 6).saturating_sub(3) {
            hits += usize::from(remote.kill(&out, takes.mul_f64(dice.share())));
        }
        let report = remote.run(&out, 3);
        resumed += usize::from(report.get("resumedFrom").is_some());
        assert_same(&remote.files(&out), &unbroken, &format!("what was killed {options} ({kill})"));
    }
    say(&format!("{url} {options}: {hits} hits, {resumed} resumed of {KILLS}, {takes:?} unbroken"));
    assert!(hits >= KILLS / 3 && resumed > 0, "{hits} hits, {resumed} resumed");
    let left = fs::read_dir(remote.place.path("spool")).expect("listed").count();
    assert_eq!(left, 0, "spools have no names");
}

#[test]
fn killed_while_writing_to_s3() {
    let Some(server) = Server::moto("killed_while_writing_to_s3") else { return };
    server.s3_bucket("killed");
    killed_and_run_again(&server, "s3://killed", server.s3_settings(), "--threads 2");
}

#[test]
fn killed_while_writing_compressed_outputs_to_s3() {
    let Some(server) = Server::moto("killed_while_writing_compressed_outputs_to_s3") else { return };
    server.s3_bucket("killed");
    killed_and_run_again(
        &server,
        "s3://killed",
        server.s3_settings(),
        "--compress gzip --level 1 --checksum sha256",
    );
}

#[test]
fn killed_while_writing_to_azure() {
    let Some(server) = Server::azurite("killed_while_writing_to_azure") else { return };
    server.azure_container("killed");
    killed_and_run_again(&server, "az://killed", server.azure_settings(), "--max-file-bytes 12MiB");
}
