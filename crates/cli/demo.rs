use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use anyhow::Context;

use fhirline::sample::{Sample, SampleCounts};
use fhirline::{ExitStatus, Expectation, Job, Report, SplitJob};

use crate::args::DemoArgs;
use crate::summary;
use crate::trouble::{Broken, shown};

const EXPORT: &str = "export.jsonl";
const EVENT: &str = "event.json";
const OUT: &str = "out";

const EXPORT_BYTES: u64 = 8 << 20;
const BINARY_BYTES: u64 = 2 << 20;

/// Makes a small export of our own, splits it, and shows the result and what to try next.
pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<ExitStatus> {
    let folder = &args.folder;
    let made = Made::new().context(Broken("cannot make the export".into()))?;
    made.refuse_foreign(folder)?;
    made.write(folder).with_context(|| Broken(format!("cannot make {}", folder.display())))?;
    let expectation =
        Expectation::read(made.event.as_bytes()).context("cannot take counts from the event")?;
    let to = SplitJob::to(folder.join(OUT)).overwrite(true);
    let report = Job::new([folder.join(EXPORT)])?.expect(expectation).split(&to, &mut |_| {})?;
    summary::print(&text(folder, &made.counts, &report))?;
    Ok(ExitStatus::Complete)
}

/// The sample in memory. It is the same each time: that tells a folder of ours from one that holds somebody's data.
struct Made {
    export: Vec<u8>,
    event: String,
    counts: SampleCounts,
}

impl Made {
    fn new() -> io::Result<Self> {
        let sample = Sample::new(1).target_bytes(EXPORT_BYTES).binary_bytes(BINARY_BYTES).broken_lines(true);
        let mut export = Vec::new();
        let counts = sample.write_to(&mut export)?;
        let event = sample.event(&counts, "https://example.org/export.jsonl");
        Ok(Self { export, event, counts })
    }

    /// A folder that holds something else is left alone.
    fn refuse_foreign(&self, folder: &Path) -> anyhow::Result<()> {
        let Ok(mut entries) = fs::read_dir(folder) else { return Ok(()) };
        let ours = || {
            let event = fs::read(folder.join(EVENT)).is_ok_and(|event| event == self.event.as_bytes());
            event && self.is_export(&folder.join(EXPORT)) && is_destination(&folder.join(OUT))
        };
        anyhow::ensure!(
            entries.next().is_none() || ours(),
            "{} holds what this demo did not make: name a new folder",
            folder.display()
        );
        Ok(())
    }

    /// Whether there is our export, as far as a demo that was stopped came with it, or none.
    fn is_export(&self, file: &Path) -> bool {
        let Ok(about) = file.symlink_metadata() else { return !file.exists() };
        let fits = about.is_file() && about.len() <= self.export.len() as u64;
        fits && fs::read(file).is_ok_and(|bytes| self.export.starts_with(&bytes))
    }

    /// The event first: with it, a demo that was stopped is known again.
    fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(EVENT), &self.event)?;
        fs::write(folder.join(EXPORT), &self.export)
    }
}

/// Whether a split may write there: a folder with a run of fhirline, an empty one, or none.
fn is_destination(folder: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(folder) else { return folder.symlink_metadata().is_err() };
    let is_run = |name: &str| {
        let json = fs::read(folder.join(name)).ok();
        let manifest = json.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
        manifest.is_some_and(|manifest| manifest["extension"]["fhirline"].is_object())
    };
    if folder.join("manifest.json").exists() {
        return is_run("manifest.json");
    }
    // What a split that did not come to its end leaves.
    let is_begun = folder.join("_fhirline.partial").exists();
    entries.next().is_none() || is_begun || is_run("manifest.json.partial")
}

fn text(folder: &Path, counts: &SampleCounts, report: &Report) -> String {
    let (folder, out) = (folder.display().to_string(), folder.join(OUT).display().to_string());
    let (folder, out) = (shown(&folder), shown(&out));
    let mut text = String::new();
    let _ = writeln!(
        text,
        "made {folder}/{EXPORT}: {} lines, {} of them broken on purpose",
        counts.lines, counts.broken
    );
    let _ = writeln!(text, "made {folder}/{EVENT}: the webhook event that announces it");
    let _ = writeln!(text, "$ fhirline split {folder}/{EXPORT} -o {out} --expect {folder}/{EVENT}\n");
    text.push_str(&summary::of_split(report, &out, true));
    text.push_str("\nTry next:\n");
    let next = [
        (format!("fhirline stats {folder}/{EXPORT}"), "counts, lengths and faults by type"),
        (format!("fhirline cat {folder}/{EXPORT} --type Patient | jq ."), "clean NDJSON for other tools"),
        (format!("cat {out}/_quarantine/outcome.ndjson"), "why and where each broken line was set aside"),
        ("fhirline split --help".to_owned(), "compression, rotation, limits, reports"),
    ];
    let width = next.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    for (command, what) in next {
        let _ = writeln!(text, "  {command:width$}  {what}");
    }
    text
}
