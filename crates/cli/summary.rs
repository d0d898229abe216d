//! What is shown at the end of a run.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use indicatif::{HumanBytes, HumanCount};

use fhirline::{BundlesReport, BytesReport, ExitStatus, FetchReport, Reconciliation, Report, RestoreReport};

use crate::trouble::{on_standard_output, shown};

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const ODD: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Prints a text for people on standard output, with colours if it is a terminal.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    on_standard_output(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Prints bytes on standard output as they are.
pub(crate) fn print_plain(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    on_standard_output(out.write_all(bytes).and_then(|()| out.flush()))
}

/// The end of a split: a table by type, the account, and how it ended. `sealed` says whether the outputs have their names.
pub(crate) fn of_split(report: &Report, destination: &str, sealed: bool) -> String {
    let destination = shown(destination);
    let mut text = types_table(report);
    text.push_str(&account(report));
    if sealed {
        let files = report.outputs.len() + report.sidecars.len();
        let _ = writeln!(text, "{} in {destination}, listed in manifest.json", counted(files as u64, "file"));
    }
    if report.already_complete {
        let _ = writeln!(text, "nothing was done: {destination} holds this run already");
    } else if !sealed && report.account.ledger.records.read > 0 {
        let _ = writeln!(
            text,
            "no output in {destination} has its final name: run the same command again once all sources are whole"
        );
    }
    text.push_str(&continued(report));
    text.push_str(&ending(report));
    text
}

/// The end of a run that writes Bundles: the account, the Bundles, and how it ended.
pub(crate) fn of_bundle(report: &Report, destination: &str) -> String {
    let destination = shown(destination);
    let mut text = account(report);
    match &report.bundles {
        Some(bundles) => text.push_str(&of_bundles(bundles, &destination)),
        None => {
            let _ = writeln!(
                text,
                "nothing in {destination} has its final name (what arrived ends in .partial): run the same command again once all sources are whole"
            );
        }
    }
    text.push_str(&ending(report));
    text
}

/// The end of a run that gives Bundles back.
pub(crate) fn of_restore(report: &RestoreReport, destination: &str) -> String {
    let (bundles, noun) =
        (counted(report.bundles, "Bundle"), if report.entries == 1 { "entry" } else { "entries" });
    let (destination, entries, bytes) =
        (shown(destination), HumanCount(report.entries), HumanBytes(report.bytes));
    format!(
        "{bundles} in {destination}: {entries} {noun}, {bytes}\n{GOOD}{}{GOOD:#} (exit status {})\n",
        report.status, report.exit_code
    )
}

/// The end of a download: the files, what was done for them, and how it ended.
pub(crate) fn of_fetch(report: &FetchReport, destination: &str) -> String {
    let destination = shown(destination);
    let mut text = fetched_files(report);
    let files = counted(report.files.len() as u64, "file");
    let bytes = HumanBytes(report.stored_bytes);
    let listed = if report.failures.is_empty() { ", listed in manifest.json" } else { "" };
    let _ = writeln!(text, "{files} in {destination}{listed}: {bytes}");
    if report.already_complete {
        let _ = writeln!(text, "nothing was done: {destination} holds this download already");
    } else if report.stored_bytes > report.fetched_bytes && report.failures.is_empty() {
        let now = HumanBytes(report.fetched_bytes);
        let _ = writeln!(text, "an interrupted download was continued: {now} were fetched now");
    }
    if !report.failures.is_empty() {
        let missing = counted(report.failures.len() as u64, "file");
        let _ = writeln!(
            text,
            "{BAD}{missing} missing{BAD:#}: what has come ends in .partial, and the same command goes on with it"
        );
    }
    text.push_str(&ending_with(report.status));
    text
}

/// Files of a download that are told one by one.
const TOLD_FILES: usize = 20;

fn fetched_files(report: &FetchReport) -> String {
    let told = &report.files[..report.files.len().min(TOLD_FILES)];
    let width = told.iter().map(|file| file.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for file in told {
        let _ = writeln!(text, "{:width$}  {:>12}", file.name, HumanBytes(file.stored_bytes).to_string());
    }
    match report.files.len() - told.len() {
        0 => {}
        more => {
            let _ = writeln!(text, "and {} more", HumanCount(more as u64));
        }
    }
    text
}

/// How many Bundles there are, and what is odd about them.
fn of_bundles(bundles: &BundlesReport, destination: &str) -> String {
    let (written, entries) = (counted(bundles.written, "Bundle"), HumanCount(bundles.entries));
    let noun = if bundles.entries == 1 { "entry" } else { "entries" };
    let mut text = format!("{written} in {destination}: {entries} {noun}, {}\n", HumanBytes(bundles.bytes));
    let odd = [
        ("duplicates", bundles.duplicates, "resource", "with the fullUrl of another in the same Bundle"),
        ("urn:uuid", bundles.uuids, "resource", "without a URL of their own"),
        ("too-long", bundles.too_long, "Bundle", "of one entry that is longer than --max-bytes"),
        (
            "memory",
            bundles.ended.fingerprints,
            "Bundle",
            "ended because --memory is too little to remember more URLs",
        ),
    ];
    for (what, count, noun, why) in odd.into_iter().filter(|(_, count, ..)| *count > 0) {
        let _ = writeln!(text, "{ODD}{what}{ODD:#}: {} {why}", counted(count, noun));
    }
    text
}

/// Whether an interrupted run was continued, or why not.
fn continued(report: &Report) -> String {
    if let Some(at) = &report.resumed {
        if at.source.is_empty() {
            return "an interrupted run was continued behind its last source\n".to_owned();
        }
        let again = match at.reread_bytes() {
            0 => String::new(),
            bytes => format!("; {} were done again", HumanBytes(bytes)),
        };
        let (source, line, byte) = (shown(&at.source), at.line, at.byte);
        return format!("an interrupted run was continued in {source}, line {line}, byte {byte}{again}\n");
    }
    let why = report.begun_afresh.iter();
    why.map(|why| format!("an interrupted run was begun afresh: {}\n", shown(why))).collect()
}

/// The end of a count: a table by type with lengths, the faults, and how it ended.
pub(crate) fn of_stats(report: &Report) -> String {
    let mut text = lengths_table(report);
    text.push_str(&account(report));
    text.push_str(&ending(report));
    text
}

fn types_table(report: &Report) -> String {
    let all: u64 = report.account.types.iter().map(|of_type| of_type.bytes).sum();
    let filters = report.account.types.iter().any(|of_type| of_type.filtered > 0);
    let mut head = vec!["type", "records", "bytes", "share"];
    if filters {
        head.push("filtered");
    }
    let rows = report.account.types.iter().map(|of_type| {
        let (records, bytes) =
            (HumanCount(of_type.records).to_string(), HumanBytes(of_type.bytes).to_string());
        let mut row = vec![of_type.resource_type.clone(), records, bytes, share(of_type.bytes, all)];
        if filters {
            row.push(HumanCount(of_type.filtered).to_string());
        }
        row
    });
    table(&head, &rows.collect::<Vec<_>>())
}

fn lengths_table(report: &Report) -> String {
    let all: u64 = report.lengths.iter().map(|of_type| of_type.bytes).sum();
    let head = ["type", "resources", "bytes", "share", "shortest", "mean", "p99", "longest"];
    let rows = report.lengths.iter().map(|of_type| {
        let count = |number| HumanCount(number).to_string();
        vec![
            of_type.resource_type.clone(),
            count(of_type.records),
            HumanBytes(of_type.bytes).to_string(),
            share(of_type.bytes, all),
            count(of_type.shortest),
            count(of_type.mean),
            count(of_type.p99),
            count(of_type.longest),
        ]
    });
    table(&head, &rows.collect::<Vec<_>>())
}

/// Columns as wide as they need to be: the first to the left, numbers to the right.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let widths: Vec<usize> = (0..head.len())
        .map(|column| rows.iter().map(|row| row[column].len()).chain([head[column].len()]).max().unwrap_or(0))
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (number, cell) in cells.enumerate() {
            let width = widths[number];
            let _ =
                if number == 0 { write!(line, "{cell:width$}") } else { write!(line, "  {cell:>width$}") };
        }
        line
    };
    let mut text = format!("{HEAD}{}{HEAD:#}\n", line(&mut head.iter().copied()));
    for row in rows {
        let _ = writeln!(text, "{}", line(&mut row.iter().map(String::as_str)));
    }
    text.push('\n');
    text
}

/// Where all records and bytes went, and what was wrong with the rejected ones.
fn account(report: &Report) -> String {
    let account = &report.account;
    let (records, bytes) = (account.ledger.records, account.ledger.bytes);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} read = {} delivered + {} filtered + {} quarantined",
        counted(records.read, "record"),
        HumanCount(records.delivered),
        HumanCount(records.filtered),
        HumanCount(records.quarantined)
    );
    let _ = writeln!(
        text,
        "{} read = {} delivered + {} filtered + {} quarantined + {} around them",
        counted(bytes.read, "byte"),
        HumanCount(bytes.delivered),
        HumanCount(bytes.filtered),
        HumanCount(bytes.quarantined),
        HumanCount(around(&bytes))
    );
    text.push_str(&containers(report));
    text.push_str(&sidecars(report));
    for fault in &account.faults {
        let first = &fault.first;
        let _ = writeln!(
            text,
            "{ODD}{}{ODD:#}: {}, the first in {}, line {}, byte {}",
            fault.fault,
            counted(fault.records, "record"),
            shown(&first.source),
            first.line,
            first.byte
        );
    }
    if let Some(found) = &account.reconciliation {
        text.push_str(&reconciliation(found));
    }
    for note in &account.notes {
        let _ = writeln!(text, "note: {}", shown(note));
    }
    text
}

/// The bytes that are no record's.
fn around(bytes: &BytesReport) -> u64 {
    let white = bytes.terminators + bytes.white_space + bytes.byte_order_marks;
    white + bytes.container + bytes.metadata + bytes.sidecars
}

/// What was opened, and what in it is no record; nothing if nothing was.
fn containers(report: &Report) -> String {
    let found = report.account.ledger.containers;
    let counts =
        [(found.bundles, "Bundle"), (found.arrays, "array"), (found.provider_lists, "provider list")];
    let opened = counts.iter().filter(|(count, _)| *count > 0).map(|(count, noun)| counted(*count, noun));
    let mut text = opened.collect::<Vec<_>>().join(", ");
    if found.bare_entries > 0 {
        let kept = report.sidecars.iter().find(|file| file.name.starts_with("_entries."));
        let place = kept.map_or_else(String::new, |file| format!(" in {}", shown(&file.name)));
        let entries = if found.bare_entries == 1 { "entry" } else { "entries" };
        let _ = write!(text, "; {} {entries} without a resource{place}", HumanCount(found.bare_entries));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// What the sender lists beside its data; nothing if there is nothing.
fn sidecars(report: &Report) -> String {
    let found = report.account.ledger.sidecars;
    let counts = [
        (found.deleted, "deletions", "_deleted."),
        (found.errors, "errors", "_errors."),
        (found.headers, "headers", "_headers."),
    ];
    let mut text = String::new();
    for (count, what, name) in counts.into_iter().filter(|(count, ..)| *count > 0) {
        let kept = report.sidecars.iter().find(|file| file.name.starts_with(name));
        let place = kept.map_or_else(String::new, |file| format!(" in {}", shown(&file.name)));
        let _ = writeln!(text, "{} of {what}{place}", counted(count, "line"));
    }
    text
}

fn reconciliation(found: &Reconciliation) -> String {
    let mut text = String::new();
    if found.matches {
        let _ = writeln!(text, "{GOOD}the counts are as the sender declared{GOOD:#}");
    }
    for difference in &found.differences {
        let what = shown(difference.resource_type.as_deref().unwrap_or("all types together"));
        let (declared, read) = (HumanCount(difference.declared), HumanCount(difference.read));
        let _ = writeln!(text, "{ODD}{what}{ODD:#}: {declared} declared, {read} read");
    }
    if !found.matches && found.quarantined > 0 {
        let records = counted(found.quarantined, "record");
        let _ = writeln!(text, "{records} in quarantine may explain the difference: they have no type");
    }
    for note in &found.notes {
        let _ = writeln!(text, "note: {}", shown(note));
    }
    text
}

fn ending(report: &Report) -> String {
    ending_with(report.status)
}

fn ending_with(status: ExitStatus) -> String {
    let style = match status {
        ExitStatus::Complete => GOOD,
        ExitStatus::Quarantined | ExitStatus::Mismatch => ODD,
        _ => BAD,
    };
    format!("{style}{status}{style:#} (exit status {})\n", status.code())
}

fn share(part: u64, all: u64) -> String {
    let permille = (part * 1000 + all / 2).checked_div(all).unwrap_or(0);
    format!("{}.{}%", permille / 10, permille % 10)
}

fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(count))
}
