use std::io;
use std::path::Path;

use anyhow::Context;

use fhirline::{
    Cancel, ChecksumKind, Codec, Encoding, ExitStatus, Expectation, Job, RejectLimit, Report, Selection,
    SplitJob,
};

use crate::args::{
    CatArgs, Checksum, Compress, Durability, ExpectArgs, InputArgs, OnReject, SplitArgs, StatsArgs, TellArgs,
};
use crate::interrupt::stop_on_interrupt;
use crate::reporter::Reporter;
use crate::summary;
use crate::trouble::{tell_failure, warn};

/// One stream per resource type.
pub(crate) fn split(args: &SplitArgs) -> anyhow::Result<ExitStatus> {
    let to = split_job(args)?;
    let job = with_expectation(job_of(&args.input)?, &args.expect)?;
    tell_memory(&job, encoding_of(args)?, &args.tell)?;
    let mut reporter = Reporter::new(&args.tell, total_bytes(&job, &args.tell), false);
    let report = job.split(&to, &mut |event| reporter.on_event(&event));
    reporter.finish();
    let report = report?;
    conclude(&report, &args.tell, || summary::of_split(&report, &args.output.display().to_string()))
}

/// Clean NDJSON to standard output.
pub(crate) fn cat(args: &CatArgs) -> anyhow::Result<ExitStatus> {
    anyhow::ensure!(
        !args.tell.json,
        "standard output holds the data: write the report to a file with --report FILE"
    );
    let job = job_of(&args.input)?;
    tell_memory(&job, Encoding::plain(), &args.tell)?;
    let mut reporter = Reporter::new(&args.tell, total_bytes(&job, &args.tell), true);
    let mut out = io::stdout();
    let report = job.cat(&mut out, &mut |event| reporter.on_event(&event));
    reporter.finish();
    let report = report?;
    write_report(&report, args.tell.report.as_deref())?;
    tell_failures(&report);
    Ok(report.status)
}

/// Counts by type.
pub(crate) fn stats(args: &StatsArgs) -> anyhow::Result<ExitStatus> {
    let job = with_expectation(job_of(&args.input)?, &args.expect)?;
    tell_memory(&job, Encoding::plain(), &args.tell)?;
    let mut reporter = Reporter::new(&args.tell, total_bytes(&job, &args.tell), false);
    let report = job.stats(&mut |event| reporter.on_event(&event));
    reporter.finish();
    let report = report?;
    conclude(&report, &args.tell, || summary::of_stats(&report))
}

/// Tells what came of a run, in words or as JSON.
fn conclude(report: &Report, tell: &TellArgs, words: impl FnOnce() -> String) -> anyhow::Result<ExitStatus> {
    write_report(report, tell.report.as_deref())?;
    if tell.json {
        summary::print(&(json_of(report)? + "\n")).context("cannot write to standard output")?;
    } else if !tell.quiet {
        summary::print(&words()).context("cannot write to standard output")?;
    }
    tell_failures(report);
    Ok(report.status)
}

fn tell_failures(report: &Report) {
    let sources = &report.account.sources;
    sources.failures.iter().for_each(tell_failure);
    let more = sources.failed - sources.failures.len() as u64;
    if more > 0 {
        warn(format_args!("{more} more sources could not be read to their end"));
    }
}

fn write_report(report: &Report, file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, json_of(report)? + "\n").with_context(|| format!("cannot write {}", file.display()))
}

fn json_of(report: &Report) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(report)?)
}

/// The job as the arguments describe it, stopped by Ctrl-C.
fn job_of(args: &InputArgs) -> anyhow::Result<Job> {
    let cancel = Cancel::new();
    stop_on_interrupt(&cancel).context("cannot listen for Ctrl-C")?;
    let selection = Selection {
        only: args.types.iter().copied().collect(),
        except: args.exclude_type.iter().copied().collect(),
    };
    let mut job = Job::new(&args.sources)?
        .memory_bytes(args.memory)
        .max_line_bytes(usize::try_from(args.max_line_bytes).unwrap_or(usize::MAX))
        .allow_incomplete(args.allow_incomplete)
        .trust_input(args.trust_input)
        .select(selection)
        .cancelled_by(cancel);
    if let Some(threads) = args.threads {
        job = job.threads(threads.into());
    }
    let limit = match args.on_reject {
        OnReject::Fail => Some(RejectLimit::Records(0)),
        OnReject::Quarantine => args.max_rejects.map(|rejects| rejects.0),
    };
    Ok(limit.into_iter().fold(job, Job::max_rejects))
}

fn with_expectation(job: Job, args: &ExpectArgs) -> anyhow::Result<Job> {
    let Some(file) = &args.expect else { return Ok(job) };
    let name = file.display();
    let json = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
    let expectation = Expectation::read(&json).with_context(|| format!("cannot take counts from {name}"))?;
    Ok(job.expect(expectation))
}

fn split_job(args: &SplitArgs) -> anyhow::Result<SplitJob> {
    let checksum = match args.checksum {
        Checksum::Crc32c => Some(ChecksumKind::Crc32c),
        Checksum::Sha256 => Some(ChecksumKind::Sha256),
        Checksum::None => None,
    };
    Ok(SplitJob::to(&args.output)
        .encoding(encoding_of(args)?)
        .checksum(checksum)
        .max_file_bytes(args.max_file_bytes)
        .max_file_records(args.max_file_records)
        .durable(args.durability == Durability::Seal)
        .overwrite(args.overwrite))
}

fn encoding_of(args: &SplitArgs) -> anyhow::Result<Encoding> {
    let codec = match args.compress {
        Compress::None => Codec::None,
        Compress::Gzip => Codec::Gzip,
        Compress::Zstd => Codec::Zstd,
    };
    Encoding::new(codec, args.level).context("cannot use --level")
}

fn total_bytes(job: &Job, tell: &TellArgs) -> Option<u64> {
    if tell.quiet { None } else { job.total_bytes() }
}

fn tell_memory(job: &Job, encoding: Encoding, tell: &TellArgs) -> anyhow::Result<()> {
    if tell.verbose {
        let plan = job.memory_plan(encoding)?;
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        warn(format_args!(
            "memory: {} MiB = {} base + {} overhead + {} compression + {} heart (of which {} for a decoder)",
            mib(plan.ceiling_bytes),
            mib(plan.base_bytes),
            mib(plan.overhead_bytes),
            mib(plan.open_block_bytes + plan.compression_bytes),
            mib(plan.heart_bytes),
            mib(plan.decoder_bytes)
        ));
    }
    Ok(())
}
