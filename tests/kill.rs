//! The program killed at random moments, and the same command again: the destination is as if nothing had happened.

mod containers;
#[cfg(feature = "cloud")]
mod object_store;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::support::{Files, assert_same, files_in, gzip_members, sample, say};

/// In each of four tests.
const KILLS: usize = 25;

/// What of the compressed source is there until it is mended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gzip {
    Whole,
    CutOff,
}

/// Sources, and the options of a run over them.
struct Place {
    folder: TempDir,
    sources: Vec<&'static str>,
    options: String,
    gzip: Vec<u8>,
}

/// How the kills went.
#[derive(Debug, Default)]
struct Seen {
    /// Those that ended a process.
    hits: usize,
    /// Last runs that went on from a checkpoint.
    resumed: usize,
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

    fn with(sources: &[(&'static str, Vec<u8>)], options: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let names = sources.iter().map(|(name, _)| *name).collect();
        let place = Self { folder, sources: names, options: options.to_owned(), gzip: Vec::new() };
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

    fn put_gzip(&self, gzip: Gzip) {
        let missing = if gzip == Gzip::CutOff { 9 } else { 0 };
        self.put("b.ndjson.gz", &self.gzip[..self.gzip.len() - missing]);
    }

    fn command(&self, out: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fhirline"));
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.arg("split").args(&self.sources).args(["-o", out, "--json", "--checkpoint-bytes", "256KiB"]);
        command.args(self.options.split_whitespace());
        command
    }

    #[track_caller]
    fn run(&self, out: &str, code: i32) -> serde_json::Value {
        let output: Output = self.command(out).output().expect("run");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a report")
    }

    /// Starts the run and kills it so much later; whether it was still running.
    fn kill(&self, out: &str, after: Duration) -> bool {
        let mut child = self.command(out).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run");
        thread::sleep(after);
        child.kill().expect("killed");
        child.wait().expect("ended").code().is_none()
    }

    /// The outputs of a run that nobody kills, and how long it takes.
    fn unbroken(&self) -> (Files, Duration) {
        let took = |out: &str| {
            let begun = Instant::now();
            self.run(out, 3);
            begun.elapsed()
        };
        let shortest = ["one", "two", "three"].into_iter().map(took).min().expect("three");
        (files_in(&self.path("one")), shortest)
    }
}

/// Numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn share(&mut self) -> f64 {
        (self.next() % 1000) as f64 / 1000.0
    }
}

/// Whatever has its final name is what it will be.
#[track_caller]
fn what_has_its_name_is_whole(place: &Place, out: &str, unbroken: &Files) {
    let out = place.path(out);
    // A kill may come before there is a folder.
    let files = if out.exists() { files_in(&out) } else { Files::new() };
    for (name, bytes) in files {
        let whole = name.ends_with(".partial") || unbroken.get(&name) == Some(&bytes);
        assert!(whole, "{name} is not whole");
    }
}

#[track_caller]
fn killed_and_run_again(options: &'static str, first: Gzip, seed: u64) {
    let place = Place::new(options);
    let (unbroken, takes) = place.unbroken();
    let (nothing, mut dice, mut seen) = (Files::new(), Dice(seed), Seen::default());
    for kill in 0..KILLS {
        let out = format!("out-{kill}");
        place.put_gzip(first);
        // One in three is killed twice, or three times.
        for _ in 0..=(dice.next() % 6).saturating_sub(3) {
            seen.hits += usize::from(place.kill(&out, takes.mul_f64(dice.share())));
            what_has_its_name_is_whole(&place, &out, if first == Gzip::Whole { &unbroken } else { &nothing });
        }
        if first == Gzip::CutOff {
            place.run(&out, 5);
            place.put_gzip(Gzip::Whole);
        }
        let report = place.run(&out, 3);
        seen.resumed += usize::from(report.get("resumedFrom").is_some());
        assert_same(&files_in(&place.path(&out)), &unbroken, &format!("what was killed {options} ({kill})"));
        fs::remove_dir_all(place.path(&out)).expect("removed");
    }
    say(&format!("{options}: {seen:?} of {KILLS}, {takes:?} unbroken"));
    // On a machine that does other things meanwhile, some come late.
    assert!(seen.hits >= KILLS / 3 && seen.resumed >= KILLS / 12, "{seen:?}");
}

#[test]
fn killed_with_outputs_in_many_files() {
    killed_and_run_again("--max-file-bytes 300KiB", Gzip::Whole, 0x1234_5678_9ABC);
}

#[test]
fn killed_with_compressed_outputs() {
    killed_and_run_again("--compress gzip --max-file-records 900 --threads 2", Gzip::Whole, 0xBEEF_0042);
}

#[test]
fn killed_without_waiting_for_the_disk() {
    killed_and_run_again("--durability none --threads 1 --compress zstd", Gzip::Whole, 0x5EED_5EED);
}

#[test]
fn killed_while_a_source_is_not_whole() {
    killed_and_run_again("--max-file-bytes 300KiB --compress gzip", Gzip::CutOff, 0xF00D_F00D);
}
