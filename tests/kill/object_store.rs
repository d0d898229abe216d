//! The same into object stores, each run with an empty spool: the next one may be on another machine.

use std::fs;
use std::process::{Child, Command};
use std::thread;
use std::time::Instant;

use fhirline_core::{Identity, Origin, Store};
use fhirline_fetch::{CloudBucket, CloudOptions, CloudStore, CloudStoreOptions};

use super::{Gzip, Place, killed_and_run_again};
use crate::support::servers::Server;
use crate::support::{Dice, Files, assert_same, proof_export, sample, say};

const KILLS: usize = 10;

/// Where the program keeps what lets it go on.
const CHECKPOINT: &str = "_fhirline.partial";

/// A bucket, and how it is reached.
pub(super) struct Remote {
    settings: Vec<(&'static str, String)>,
    /// Prefixes begin so.
    url: &'static str,
}

impl Remote {
    /// The URL of a prefix, for a program that now can reach it.
    pub(super) fn reach(&self, out: &str, command: &mut Command) -> String {
        command.envs(self.settings.iter().cloned());
        format!("{}/{out}", self.url)
    }

    fn bucket(&self, out: &str) -> CloudBucket {
        let options = self
            .settings
            .iter()
            .fold(CloudOptions::new(), |options, (name, value)| options.set(*name, value));
        let url = format!("{}/{out}", self.url).parse().expect("a URL");
        CloudBucket::open(&url, &options).expect("opened")
    }

    /// What an object is at the moment, if there is one.
    fn identity(&self, out: &str, name: &str) -> Option<Identity> {
        let object = self.bucket(out).object(&format!("{out}/{name}")).expect("a key");
        object.identity().ok()
    }

    /// All that lies below a prefix at the end of a run.
    pub(super) fn files(&self, out: &str) -> Files {
        for name in ["_uploads.partial", "_fhirline-lock.partial"] {
            assert!(self.identity(out, name).is_none(), "{name} is left");
        }
        let store = CloudStore::new(self.bucket(out), CloudStoreOptions::default());
        let names = store.list().expect("listed").into_iter();
        names.map(|name| (name.clone(), store.get(&name, 1 << 30).expect("read").expect("listed"))).collect()
    }
}

impl Place {
    /// From now on runs write into a bucket.
    fn write_into(&mut self, remote: Remote) {
        fs::create_dir(self.path("spool")).expect("made");
        self.options += " --spool-dir spool";
        self.remote = Some(remote);
    }
}

/// Nothing waits on the disk behind a run.
#[track_caller]
fn no_spool_is_left(place: &Place) {
    let left = fs::read_dir(place.path("spool")).expect("listed").count();
    assert_eq!(left, 0, "spools have no names");
}

fn killed_while_writing(url: &'static str, settings: Vec<(&'static str, String)>, options: &str) {
    // Long enough for parts of 8 MiB.
    let mut place =
        Place::with(&[("a.ndjson", sample(1, 40 << 20)), ("c.ndjson", sample(3, 2 << 20))], options);
    place.run("folder", 3);
    let folder = place.files("folder");
    place.write_into(Remote { settings, url });
    let seen = killed_and_run_again(&place, Gzip::Whole, KILLS, 0x0B1E_C757);
    assert!(seen.resumed > 0, "{seen:?}");
    assert_same(&place.files("one"), &folder, "of a run that nobody killed");
    no_spool_is_left(&place);
}

#[test]
fn killed_while_writing_to_s3() {
    let Some(server) = Server::moto("killed_while_writing_to_s3") else { return };
    server.s3_bucket("killed");
    killed_while_writing("s3://killed", server.s3_settings(), "--threads 2");
}

#[test]
fn killed_while_writing_compressed_outputs_to_s3() {
    let Some(server) = Server::moto("killed_while_writing_compressed_outputs_to_s3") else { return };
    server.s3_bucket("killed");
    let options = "--compress gzip --level 1 --checksum sha256";
    killed_while_writing("s3://killed", server.s3_settings(), options);
}

#[test]
fn killed_while_writing_to_azure() {
    let Some(server) = Server::azurite("killed_while_writing_to_azure") else { return };
    server.azure_container("killed");
    killed_while_writing("az://killed", server.azure_settings(), "--max-file-bytes 12MiB");
}

/// Waits until there is another checkpoint below that prefix than before, or the run is over.
fn wait_for_checkpoint(remote: &Remote, out: &str, before: &Option<Identity>, child: &mut Child) {
    while child.try_wait().expect("a child's state").is_none() {
        let now = remote.identity(out, CHECKPOINT);
        if now.is_some() && now != *before {
            return;
        }
    }
}

/// Without what names the sources.
fn data(mut files: Files) -> Files {
    files.retain(|name, _| !["manifest.json", "_quarantine/outcome.ndjson"].contains(&name.as_str()));
    files
}

/// One run from a bucket into a bucket, killed ten times, each time at a random moment behind a checkpoint of its own.
#[test]
fn killed_ten_times_from_s3_to_s3() {
    let Some(server) = Server::moto("killed_ten_times_from_s3_to_s3") else { return };
    server.s3_bucket("killed");
    let export = proof_export(48);
    server.s3_put("killed", "in/export.ndjson", &export);
    let mut place = Place::with(&[("export.ndjson", export)], "");
    let code = place.command("folder").output().expect("run").status.code().expect("not killed");
    let folder = place.files("folder");
    place.sources = vec!["s3://killed/in/".to_owned()];
    place.write_into(Remote { settings: server.s3_settings(), url: "s3://killed" });
    let begun = Instant::now();
    place.run("unbroken", code);
    let (takes, unbroken) = (begun.elapsed(), place.files("unbroken"));
    assert_same(&data(unbroken.clone()), &data(folder), "what went from S3 to S3");

    let remote = place.remote.as_ref().expect("set");
    let (mut dice, mut hits) = (Dice(0x0053_0053), 0);
    for _ in 0..KILLS {
        let (before, after) = (remote.identity("out", CHECKPOINT), takes.mul_f64(dice.share() / 6.0));
        hits += usize::from(place.kill("out", |child| {
            wait_for_checkpoint(remote, "out", &before, child);
            thread::sleep(after);
        }));
    }
    let report = place.run("out", code);
    say(&format!("{hits} of {KILLS} hit, {takes:?} unbroken, at last from {}", report["resumed_from"]));
    assert!(hits >= KILLS / 3, "{hits}");
    assert_same(&place.files("out"), &unbroken, "what was killed ten times");
    assert_eq!(server.s3_left("killed"), Vec::<String>::new(), "what only serves to go on");
    no_spool_is_left(&place);
}
