use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::fixtures;
use super::generated::generated;
use super::table::Case;
use crate::support::slow_reader::{SlowReader, told_rejects};
use crate::support::{Files, decoded, files_in};

const MARK: &[u8] = b"\xEF\xBB\xBF";
const RAW: &str = "_quarantine/lines.raw";
const OUTCOMES: &str = "_quarantine/outcome.ndjson";

type Checked = Result<(), String>;

/// What came of a case.
struct Ran {
    code: i32,
    report: Value,
    told: String,
    /// The source, decoded; none if it cannot be, or not to its end.
    source: Option<Vec<u8>>,
    files: Files,
}

/// Runs a case, and checks all that the table says of it and all that holds for any source.
pub(super) fn check(case: &Case) -> Checked {
    let ran = run(case)?;
    let checks =
        [status(case, &ran), counts(case, &ran), told(case, &ran), account(&ran), outputs(case, &ran)];
    let trouble: Vec<String> = checks.into_iter().filter_map(Result::err).collect();
    if trouble.is_empty() { Ok(()) } else { Err(trouble.join("\n") + "\non standard error:\n" + &ran.told) }
}

fn run(case: &Case) -> Result<Ran, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, out) = (place(case, folder.path()), folder.path().join("out"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_fhirline"));
    command.current_dir(fixtures()).stdin(Stdio::null()).arg("split").arg(&source).arg("-o").arg(&out);
    command.args(["--json", "--progress", "never"]).args(case.options.split_whitespace());
    let output = command.output().expect("run");
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    let report = serde_json::from_slice(&output.stdout).map_err(|_| format!("there is no report\n{told}"))?;
    let stored = fs::read(fixtures().join(source)).expect("a source");
    Ok(Ran {
        code: output.status.code().expect("not ended by a signal"),
        report,
        told,
        source: (case.exit != 5).then(|| plain(&stored)),
        files: if out.is_dir() { files_in(&out) } else { Files::new() },
    })
}

/// The decoded bytes. Unlike the readers of other tests, this one knows that zeros may follow a gzip member.
fn plain(stored: &[u8]) -> Vec<u8> {
    if !stored.starts_with(&[0x1F, 0x8B]) {
        return decoded(stored);
    }
    let (mut plain, mut rest) = (Vec::new(), stored);
    while rest.starts_with(&[0x1F]) {
        let mut member = flate2::bufread::GzDecoder::new(rest);
        member.read_to_end(&mut plain).expect("gzip");
        rest = member.into_inner();
    }
    plain
}

/// Where the source lies: its name in the folder of fixtures, or a path to what was made.
fn place(case: &Case, folder: &Path) -> PathBuf {
    if let Some(fixture) = &case.fixture {
        return fixture.into();
    }
    let path = folder.join("generated.ndjson");
    fs::write(&path, generated(case.generate.as_deref().expect("a fixture or a name"))).expect("written");
    path
}

fn same<T: Debug + PartialEq>(what: &str, found: &T, wanted: &T) -> Checked {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?}, not {wanted:?}")) }
}

fn status(case: &Case, ran: &Ran) -> Checked {
    same("exit status", &ran.code, &case.exit)?;
    same("exit status in the report", &ran.report["exit_code"], &case.exit.into())
}

/// A count for each entry of a list in the report.
fn by(list: &Value, name: &str) -> BTreeMap<String, u64> {
    let count = |entry: &Value| (text(&entry[name]), entry["records"].as_u64().expect("a count"));
    list.as_array().into_iter().flatten().map(count).collect()
}

/// What is not told is none.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn counts(case: &Case, ran: &Ran) -> Checked {
    let ledger = &ran.report["ledger"];
    same("delivered", &by(&ran.report["types"], "type"), &case.delivered)?;
    same("faults", &by(&ran.report["faults"], "fault"), &case.faults)?;
    same("quarantined", &ledger["records"]["quarantined"], &case.quarantined().into())?;
    same("blank lines", &ledger["blank_lines"], &case.blank_lines.into())?;
    same("entries without a resource", &number(&ledger["containers"]["bare_entries"]), &case.bare_entries)?;
    same("duplicate keys", &ledger["duplicate_keys"], &case.duplicate_keys.into())?;
    same("bytes of marks", &ledger["bytes"]["byte_order_marks"], &case.byte_order_marks.into())?;
    let differences = ran.report["reconciliation"]["differences"].as_array().cloned().unwrap_or_default();
    let differs: Vec<String> = differences.iter().map(|found| text(&found["resource_type"])).collect();
    same("types that differ", &differs, &case.differs)
}

fn told(case: &Case, ran: &Ran) -> Checked {
    let hints = || ran.told.lines().filter_map(|line| line.trim_start().strip_prefix("hint: "));
    match (&case.says, &case.hint) {
        (Some(says), _) if !ran.told.contains(says) => Err(format!("it does not say: {says}")),
        (_, Some(hint)) if !hints().any(|line| line.contains(hint)) => Err(format!("no hint: {hint}")),
        _ => Ok(()),
    }
}

/// Everything that was read is somewhere.
fn account(ran: &Ran) -> Checked {
    let sums_up = |part: &str| {
        let numbers = ran.report["ledger"][part].as_object().ok_or("there is no account of the run")?;
        let number = |name: &str| numbers[name].as_u64().expect("a number");
        let read = number("read");
        same(part, &(numbers.keys().map(|name| number(name)).sum::<u64>() - read), &read)
    };
    sums_up("records")?;
    sums_up("bytes")?;
    let Some(source) = &ran.source else { return Ok(()) };
    let bytes = &ran.report["ledger"]["bytes"];
    same("bytes read", &bytes["read"], &source.len().into())?;
    let line_ends: u64 = source.split_inclusive(|&byte| byte == b'\n').map(line_end_bytes).sum();
    // Within what a Bundle says of itself, they are a part of that.
    let at_least = if number(&bytes["metadata"]) == 0 { line_ends } else { 0 };
    let counted = number(&bytes["terminators"]) + line_ends_in(&ran.files);
    same("bytes of line ends", &(at_least..=line_ends).contains(&counted), &true)
}

/// Those in records that were set aside.
fn line_ends_in(files: &Files) -> u64 {
    let (raw, told) = (bytes_of(files, RAW), told_rejects(bytes_of(files, OUTCOMES)));
    raw.split_inclusive(|&byte| byte == b'\n').map(line_end_bytes).sum::<u64>() - told.len() as u64
}

fn line_end_bytes(line: &[u8]) -> u64 {
    match line {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    }
}

fn outputs(case: &Case, ran: &Ran) -> Checked {
    let Some(source) = &ran.source else {
        let last: Vec<_> = ran.files.keys().filter(|name| !name.ends_with(".partial")).collect();
        same("final names of a source that failed", &last, &Vec::new())?;
        return arrived(case, &ran.files);
    };
    for (name, records) in &case.delivered {
        let lines = ran.files.get(&format!("{name}.ndjson")).map_or(0, |bytes| lines(bytes).len() as u64);
        same(&format!("lines of {name}.ndjson"), &lines, records)?;
    }
    rejects(source, case, &ran.files)?;
    kept(source, case, &ran.files)
}

/// What came of a source before it failed is kept under names that say so.
fn arrived(case: &Case, files: &Files) -> Checked {
    for (name, records) in &case.delivered {
        let lines = lines(bytes_of(files, &format!("{name}.ndjson.partial"))).len() as u64;
        same(&format!("lines of {name}.ndjson.partial"), &lines, records)?;
    }
    Ok(())
}

/// The rejects lie where the outcomes say, byte for byte.
fn rejects(source: &[u8], case: &Case, files: &Files) -> Checked {
    let (mut raw, told) = (bytes_of(files, RAW), told_rejects(bytes_of(files, OUTCOMES)));
    let mut faults = BTreeMap::<String, u64>::new();
    for (reject, fault) in told {
        let (at, length) = (reject.byte as usize, reject.length as usize);
        let wanted = source.get(at..at + length).ok_or("a reject is behind the end")?;
        let rest = raw.strip_prefix(wanted).and_then(|rest| rest.strip_prefix(b"\n"));
        raw = rest.ok_or("a reject is not at its place")?;
        same("the line of a reject", &reject.line, &(lines_before(source, at) + 1))?;
        *faults.entry(fault).or_default() += 1;
    }
    same("bytes in quarantine that nobody tells of", &raw.len(), &0)?;
    same("faults in the outcomes", &faults, &case.faults)
}

fn lines_before(source: &[u8], at: usize) -> u64 {
    source[..at].iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// Every record is in an output or in quarantine, and nothing else is.
fn kept(source: &[u8], case: &Case, files: &Files) -> Checked {
    let is_kept = case.options.contains("--keep-bundles");
    let mut slow = if is_kept { SlowReader::keeping_bundles() } else { SlowReader::new(u64::MAX) };
    slow.read("source", source);
    if slow.spans_lines || slow.unwrapped > 0 {
        kept_of_values(&slow, files)
    } else {
        kept_of_lines(source, files)
    }
}

/// Where lines are no records, the slow reader finds them. Of what is not sound it does not say what becomes of it.
fn kept_of_values(slow: &SlowReader, files: &Files) -> Checked {
    let outputs = files.iter().filter(|(name, _)| *name != OUTCOMES && *name != "manifest.json");
    let found: Files = outputs.map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
    if !slow.unpredicted.is_empty() || found == slow.files {
        return Ok(());
    }
    Err("what went in is not what came out".to_owned())
}

/// Every line that is not blank is in an output or in quarantine.
fn kept_of_lines(source: &[u8], files: &Files) -> Checked {
    let text = source.strip_prefix(MARK).unwrap_or(source);
    let mut wanted: Vec<&[u8]> =
        text.split(|&byte| byte == b'\n').map(trimmed).filter(|line| !line.is_empty()).collect();
    let outputs = files.iter().filter(|(name, _)| name.ends_with(".ndjson") && *name != OUTCOMES);
    let mut found: Vec<&[u8]> = outputs.flat_map(|(_, bytes)| lines(bytes)).collect();
    // A reject is kept with the white space around it.
    found.extend(lines(bytes_of(files, RAW)).into_iter().map(trimmed));
    wanted.sort_unstable();
    found.sort_unstable();
    if found == wanted { Ok(()) } else { Err("what went in is not what came out".to_owned()) }
}

fn bytes_of<'f>(files: &'f Files, name: &str) -> &'f [u8] {
    files.get(name).map_or(&[], Vec::as_slice)
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let Some(whole) = bytes.strip_suffix(b"\n") else { return Vec::new() };
    whole.split(|&byte| byte == b'\n').collect()
}

/// Without the white space of JSON around it.
fn trimmed(line: &[u8]) -> &[u8] {
    let is_solid = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r');
    let start = line.iter().position(is_solid).unwrap_or(line.len());
    let end = line.iter().rposition(is_solid).map_or(start, |last| last + 1);
    &line[start..end]
}
