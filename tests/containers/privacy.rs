//! What Bundles and providers say of themselves is data: it lies in the outputs, and is told nowhere else.

use std::process::{Command, Stdio};

use crate::support::files_in;

const CANARY: &str = "Canary-7d20e5";

/// A name that reports tell: it is of an institution.
const PROVIDER: &str = "Provider-91c4af";

/// The canary wherever there is a place for one, as `~`; and the name of a provider.
const SOURCES: [&str; 3] = [
    r#"{"id":"~","resourceType":"Bundle","type":"~","~":"~","link":[{"url":"~"}],"entry":[
{"fullUrl":"~","resource":{"resourceType":"Patient","~":"~"},"search":{"mode":"~"}},
{"request":{"url":"~"}},"~",{"resource":"~"}],"signature":{"data":"~"}}"#,
    r#"{"entry":[{"~":"~","resource":{"id":"~","resourceType":"Goal"}}],"id":"~","resourceType":"Bundle","type":"batch"}"#,
    r#"{"providers":[{"name":"!","fhir":{"~":[{"resourceType":"Patient","x":"~"},"~"],"y":"~"}},"~",{"fhir":"~"}],"~":"~"}"#,
];

const COMMANDS: [&str; 4] = [
    "split -o out --keep-entry-metadata -v",
    "split -o out --json --trust-input",
    "cat -v --report report.json",
    "stats --json --on-reject fail",
];

/// Runs a command over the source, and looks for the canary in all that is told.
#[track_caller]
fn is_private(source: &str, command: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("source.json"), source).expect("written");
    let mut program = Command::new(env!("CARGO_BIN_EXE_fhirline"));
    program.current_dir(folder.path()).stdin(Stdio::null());
    let (name, options) = command.split_once(' ').expect("a command with options");
    program.arg(name).arg("source.json").args(options.split_whitespace()).args(["--progress", "never"]);
    let output = program.output().expect("run");
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!told.contains(CANARY) && !told.contains(PROVIDER), "{command}: {told}");
    let mut reports = if name == "cat" { Vec::new() } else { vec![output.stdout] };
    for (name, bytes) in files_in(folder.path()) {
        if name.contains("manifest.json") || name.ends_with("outcome.ndjson") || name == "report.json" {
            reports.push(bytes);
        }
    }
    for report in reports {
        assert!(!String::from_utf8_lossy(&report).contains(CANARY), "{command}: {}", source.len());
    }
}

/// Whole, and cut off at many places: there is trouble of every kind at one of them.
#[test]
fn test_what_bundles_say_is_told_nowhere() {
    for source in SOURCES.map(|source| source.replace('~', CANARY).replace('!', PROVIDER)) {
        for command in COMMANDS {
            for length in (1..source.len()).step_by(11).chain([source.len()]) {
                is_private(&source[..length], command);
            }
        }
    }
}
