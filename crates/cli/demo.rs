use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context;

use fhirline::sample::{Sample, SampleCounts};
use fhirline::{ExitStatus, Expectation, Job, Report, SplitJob};

use crate::args::DemoArgs;
use crate::summary;
use crate::trouble::Broken;

const EXPORT: &str = "export.jsonl";
const EVENT: &str = "event.json";
const OUT: &str = "out";

const EXPORT_BYTES: u64 = 8 << 20;
const BINARY_BYTES: u64 = 2 << 20;

/// Makes a small export of our own, splits it, and shows the result and what to try next.
pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<ExitStatus> {
    let folder = &args.folder;
    refuse_foreign(folder)?;
    let counts = make_export(folder).with_context(|| Broken(format!("cannot make {}", folder.display())))?;
    let event = fs::read(folder.join(EVENT)).context("cannot read the event back")?;
    let expectation = Expectation::read(&event).context("cannot take counts from the event")?;
    let to = SplitJob::to(folder.join(OUT)).overwrite(true);
    let report = Job::new([folder.join(EXPORT)])?.expect(expectation).split(&to, &mut |_| {})?;
    summary::print(&text(folder, &counts, &report))?;
    Ok(ExitStatus::Complete)
}

/// A folder that holds something else is left alone.
fn refuse_foreign(folder: &Path) -> anyhow::Result<()> {
    let Ok(mut entries) = fs::read_dir(folder) else { return Ok(()) };
    let ours = folder.join(EXPORT).exists() && folder.join(EVENT).exists();
    anyhow::ensure!(ours || entries.next().is_none(), "{} is not empty: name a new folder", folder.display());
    Ok(())
}

fn make_export(folder: &Path) -> std::io::Result<SampleCounts> {
    fs::create_dir_all(folder)?;
    let sample = Sample::new(1).target_bytes(EXPORT_BYTES).binary_bytes(BINARY_BYTES).broken_lines(true);
    let counts = sample.write_to(&mut BufWriter::new(File::create(folder.join(EXPORT))?))?;
    fs::write(folder.join(EVENT), sample.event(&counts, "https://example.org/export.jsonl"))?;
    Ok(counts)
}

fn text(folder: &Path, counts: &SampleCounts, report: &Report) -> String {
    let (folder, out) = (folder.display(), folder.join(OUT));
    let out = out.display();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "made {folder}/{EXPORT}: {} lines, {} of them broken on purpose",
        counts.lines, counts.broken
    );
    let _ = writeln!(text, "made {folder}/{EVENT}: the webhook event that announces it");
    let _ = writeln!(text, "$ fhirline split {folder}/{EXPORT} -o {out} --expect {folder}/{EVENT}\n");
    text.push_str(&summary::of_split(report, &out.to_string(), true));
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
