use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fhirline::sample::Sample;
use serde_json::Value;
use tempfile::TempDir;

pub(super) const FHIRLINE: &str = env!("CARGO_BIN_EXE_fhirline");

pub(super) const PATIENT: &str = r#"{"resourceType":"Patient","id":"p"}"#;
pub(super) const GOAL: &str = r#"{"id":"g","resourceType":"Goal"}"#;
pub(super) const BROKEN: &str = "this is no record";

/// A folder of its own for a test, in which the program runs.
pub(super) struct Place(TempDir);

/// What came of a command.
pub(super) struct Ran {
    line: String,
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Place {
    pub(super) fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    /// With these files in it.
    pub(super) fn with<'f, B: AsRef<[u8]>>(files: impl IntoIterator<Item = (&'f str, B)>) -> Self {
        let place = Self::new();
        for (name, bytes) in files {
            place.put(name, bytes);
        }
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    }

    /// An export with every kind of content, and as many broken lines as the sample has.
    pub(super) fn put_sample(&self, name: &str, bytes: u64) {
        let mut export = Vec::new();
        Sample::new(3).target_bytes(bytes).broken_lines(true).write_to(&mut export).expect("in memory");
        self.put(name, export);
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(super) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("UTF-8")
    }

    pub(super) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).expect("JSON")
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The files in a folder and below, by name.
    pub(super) fn files(&self, folder: &str) -> Vec<String> {
        let root = self.path(folder);
        let mut names = Vec::new();
        list(&root, &root, &mut names);
        names.sort();
        names
    }

    /// Everything in a folder, by name.
    pub(super) fn contents(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let read = |name: String| {
            let bytes = fs::read(self.path(folder).join(&name)).expect("read");
            (name, bytes)
        };
        self.files(folder).into_iter().map(read).collect()
    }

    /// The program with these arguments, ready to run.
    pub(super) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(FHIRLINE);
        command.args(arguments.split_whitespace());
        self.settle(&mut command);
        command
    }

    /// Runs the program with these arguments, separated by white space.
    pub(super) fn run(&self, arguments: &str) -> Ran {
        let output = self.command(arguments).stdin(Stdio::null()).output().expect("run");
        Ran::new(&format!("fhirline {arguments}"), output)
    }

    /// Runs the program with something on its standard input.
    pub(super) fn run_with_input(&self, arguments: &str, input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("run");
        let mut stdin = child.stdin.take().expect("piped");
        // Smaller than a pipe, or read to its end: this does not wait for output that nobody takes.
        stdin.write_all(input).expect("read by the program");
        drop(stdin);
        Ran::new(&format!("fhirline {arguments}"), child.wait_with_output().expect("ended"))
    }

    /// Runs a command line, with `fhirline` on the path.
    pub(super) fn shell(&self, line: &str) -> Ran {
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdin(Stdio::null());
        self.settle(&mut command);
        let programs = Path::new(FHIRLINE).parent().expect("a folder").to_owned();
        let before = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(programs).chain(std::env::split_paths(&before));
        command.env("PATH", std::env::join_paths(all).expect("a path"));
        Ran::new(line, command.output().expect("run"))
    }

    fn settle(&self, command: &mut Command) {
        command.current_dir(self.0.path());
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "TERM", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
    }
}

impl Ran {
    pub(super) fn new(line: &str, output: Output) -> Self {
        Self {
            line: line.to_owned(),
            code: output.status.code().expect("not ended by a signal"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    pub(super) fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).expect("JSON")
    }

    /// The same, if it ended with that status.
    #[track_caller]
    pub(super) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.shown());
        self
    }

    /// All that the user sees.
    pub(super) fn shown(&self) -> String {
        let stdout = String::from_utf8_lossy(&self.stdout);
        format!("$ {}\n{stdout}---- stderr\n{}---- exit {}", self.line, self.stderr, self.code)
    }
}

fn list(root: &Path, folder: &Path, into: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            list(root, &path, into);
        } else {
            into.push(path.strip_prefix(root).expect("below").display().to_string());
        }
    }
}

/// Lines, each ended by LF.
pub(super) fn lines(records: &[&str]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

/// Says that a test could not be done here.
pub(super) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Whether a program can be run here.
pub(super) fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$0\" >/dev/null", program]).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        skipped(&format!("there is no {program} here"));
    }
    found
}

/// The text compressed by a program that reads standard input and writes standard output.
pub(super) fn through(program: &str, arguments: &[&str], text: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run");
    let mut stdin = child.stdin.take().expect("piped");
    let text = text.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&text));
    let output = child.wait_with_output().expect("ended");
    writer.join().expect("no panic").expect("read to its end");
    assert!(output.status.success(), "{program}");
    output.stdout
}

pub(super) fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(text.as_ref()).expect("in memory");
    encoder.finish().expect("in memory")
}

pub(super) fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut text).expect("gzip");
    text
}

/// Sizes that depend on the machine are left out of what is compared.
pub(super) fn without_sizes() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d+ ?MiB", "[N]MiB");
    settings.add_filter(r"\d+ are allowed", "[N] are allowed");
    settings.add_filter(r"\d+ (base|overhead|outputs|compression|heart|for a decoder)", "[N] $1");
    settings.bind_to_scope()
}
