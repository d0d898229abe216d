//! The program killed at random moments, and the same command again: the destination is as if nothing had happened.

mod containers;
#[cfg(feature = "cloud")]
mod object_store;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

#[cfg(feature = "cloud")]
use object_store::Remote;

use super::support::{Dice, Files, assert_same, files_in, gzip_members, sample, say};

/// In each of the tests of files.
const KILLS: usize = 25;

/// What of the compressed source is there until it is mended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gzip {
    Whole,
    CutOff,
}

/// Sources, the options of a run over them, and where it writes.
struct Place {
    folder: TempDir,
    sources: Vec<String>,
    options: String,
    gzip: Vec<u8>,
    /// Runs write into this; into the folder if there is none.
    #[cfg(feature = "cloud")]
    remote: Option<Remote>,
}

/// How the kills went.
#[derive(Debug, Default)]
struct Seen {
    /// Those that ended a process.
    hits: usize,
    /// Last runs that went on from a checkpoint.
    resumed: usize,
    /// Those that went on within the last source.
    inside: usize,
}

impl Seen {
    /// What the report of a last run says.
    fn add(&mut self, report: &Value, last: &str) {
        let Some(from) = report.get("resumed_from") else { return };
        self.resumed += 1;
        self.inside += usize::from(from["source"] == last && from["byte"].as_u64() > Some(0));
    }
}

impl Place {
    fn new(options: &str) -> Self {
        let plain = sample(2, 1 << 20);
        let sources =
            [("a.ndjson", sample(1, 4 << 20)), ("b.ndjson.gz", Vec::new()), ("c.ndjson", sample(3, 2 << 20))];
        let mut place = Self::with(&sources, options);
        // Members of other lengths than anything else here.
        place.gzip = gzip_members(&plain.chunks(300_000).collect::<Vec<_>>());
        place.put_gzip(Gzip::Whole);
        place
    }

    fn with(sources: &[(&str, Vec<u8>)], options: &str) -> Self {
        let place = Self {
            folder: TempDir::new().expect("a folder"),
            sources: sources.iter().map(|(name, _)| (*name).to_owned()).collect(),
            options: format!("--checkpoint-bytes 256KiB {options}"),
            gzip: Vec::new(),
            #[cfg(feature = "cloud")]
            remote: None,
        };
        sources.iter().for_each(|(name, bytes)| place.put(name, bytes));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A source that is as old as the others.
    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("written");
        let file = File::options().append(true).open(self.path(name)).expect("opened");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30)).expect("set");
    }

    /// The compressed source, if there is one.
    fn put_gzip(&self, gzip: Gzip) {
        let missing = if gzip == Gzip::CutOff { 9 } else { 0 };
        if !self.gzip.is_empty() {
            self.put("b.ndjson.gz", &self.gzip[..self.gzip.len() - missing]);
        }
    }

    fn command(&self, out: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fhirline"));
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(feature = "cloud")]
        let out =
            &self.remote.as_ref().map_or_else(|| out.to_owned(), |remote| remote.reach(out, &mut command));
        command.arg("split").args(&self.sources).args(["-o", out, "--json"]);
        command.args(self.options.split_whitespace());
        command
    }

    #[track_caller]
    fn run(&self, out: &str, code: i32) -> Value {
        let output: Output = self.command(out).output().expect("run");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a report")
    }

    /// Starts the run, waits, and kills it; whether it was still running.
    fn kill(&self, out: &str, wait: impl FnOnce(&mut Child)) -> bool {
        let mut child = self.command(out).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run");
        wait(&mut child);
        child.kill().expect("killed");
        child.wait().expect("ended").code().is_none()
    }

    /// What is there under that name; nothing if there is nothing.
    fn files(&self, out: &str) -> Files {
        #[cfg(feature = "cloud")]
        if let Some(remote) = &self.remote {
            return remote.files(out);
        }
        // A kill may come before there is a folder.
        let out = self.path(out);
        if out.exists() { files_in(&out) } else { Files::new() }
    }

    fn remove(&self, out: &str) {
        let out = self.path(out);
        if out.exists() {
            fs::remove_dir_all(out).expect("removed");
        }
    }

    /// The outputs of a run that nobody kills, and how long it takes.
    fn unbroken(&self) -> (Files, Duration) {
        let took = |out: &str| {
            let begun = Instant::now();
            self.run(out, 3);
            begun.elapsed()
        };
        let shortest = ["one", "two", "three"].into_iter().map(took).min().expect("three");
        (self.files("one"), shortest)
    }
}

/// Whatever has its final name is what it will be.
#[track_caller]
fn what_has_its_name_is_whole(place: &Place, out: &str, unbroken: &Files) {
    #[cfg(feature = "cloud")]
    if place.remote.is_some() {
        // Who looks at a prefix clears it up.
        return;
    }
    for (name, bytes) in place.files(out) {
        let whole = name.ends_with(".partial") || unbroken.get(&name) == Some(&bytes);
        assert!(whole, "{name} is not whole");
    }
}

/// Kills runs at random moments, and runs each once more: it leaves what one leaves that nobody kills.
#[track_caller]
fn killed_and_run_again(place: &Place, first: Gzip, kills: usize, seed: u64) -> Seen {
    let (unbroken, takes) = place.unbroken();
    let last = place.sources.last().expect("a source");
    let (nothing, mut dice, mut seen) = (Files::new(), Dice(seed), Seen::default());
    for kill in 0..kills {
        let out = format!("out-{kill}");
        place.put_gzip(first);
        // One in three is killed twice, or three times.
        for _ in 0..=(dice.next() % 6).saturating_sub(3) {
            let after = takes.mul_f64(dice.share());
            seen.hits += usize::from(place.kill(&out, |_| thread::sleep(after)));
            what_has_its_name_is_whole(place, &out, if first == Gzip::Whole { &unbroken } else { &nothing });
        }
        if first == Gzip::CutOff {
            place.run(&out, 5);
            place.put_gzip(Gzip::Whole);
        }
        seen.add(&place.run(&out, 3), last);
        assert_same(&place.files(&out), &unbroken, &format!("what was killed {} ({kill})", place.options));
        place.remove(&out);
    }
    say(&format!("{}: {seen:?} of {kills}, {takes:?} unbroken", place.options));
    // On a machine that does other things meanwhile, some come late.
    assert!(seen.hits >= kills / 3, "{seen:?}");
    seen
}

/// The same with a source of each kind.
#[track_caller]
fn killed_among_files(options: &str, first: Gzip, seed: u64) {
    let seen = killed_and_run_again(&Place::new(options), first, KILLS, seed);
    assert!(seen.resumed >= KILLS / 12, "{seen:?}");
}

#[test]
fn killed_with_outputs_in_many_files() {
    killed_among_files("--max-file-bytes 300KiB", Gzip::Whole, 0x1234_5678_9ABC);
}

#[test]
fn killed_with_compressed_outputs() {
    killed_among_files("--compress gzip --max-file-records 900 --threads 2", Gzip::Whole, 0xBEEF_0042);
}

#[test]
fn killed_without_waiting_for_the_disk() {
    killed_among_files("--durability none --threads 1 --compress zstd", Gzip::Whole, 0x5EED_5EED);
}

#[test]
fn killed_while_a_source_is_not_whole() {
    killed_among_files("--max-file-bytes 300KiB --compress gzip", Gzip::CutOff, 0xF00D_F00D);
}
