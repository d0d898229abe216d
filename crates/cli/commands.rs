use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use fhirline::{
    Cancel, ChecksumKind, Codec, Encoding, ExitStatus, Expectation, Job, JobError, MemoryPlan, RejectLimit,
    Report, Selection, SplitJob,
};

use crate::args::{
    CatArgs, Checksum, Compress, Durability, ExpectArgs, InputArgs, OnReject, OutputArgs, ReplayArgs,
    ResourceArgs, ShapeArgs, SplitArgs, StatsArgs, TellArgs,
};
use crate::interrupt::stop_on_interrupt;
use crate::network::NetworkArgs;
use crate::reporter::Reporter;
use crate::summary;
use crate::trouble::{Broken, causes, hint_of, note, status_of, tell_failure, warn};
use crate::wording::report_in_options;

/// One stream per resource type.
pub(crate) fn split(args: &SplitArgs) -> anyhow::Result<ExitStatus> {
    reported(&args.tell, &args.sources.sources, args.tell.json, || do_split(args))
}

fn do_split(args: &SplitArgs) -> anyhow::Result<ExitStatus> {
    let to = split_job(&args.output)?;
    let job = with_expectation(
        job_of(&args.sources.sources, &args.input, &args.network, &args.resources, &args.tell)?,
        &args.expect,
    )?;
    split_to(&args.output, &to, job, &args.input, &args.tell)
}

/// The rejected records of an earlier split again.
pub(crate) fn replay(args: &ReplayArgs) -> anyhow::Result<ExitStatus> {
    let inner = ["", "_quarantine"].map(|folder| args.quarantine.join(folder));
    let files = inner.iter().flat_map(|folder| ["lines.raw", "outcome.ndjson"].map(|name| folder.join(name)));
    let files: Vec<OsString> = files.map(PathBuf::into_os_string).collect();
    reported(&args.tell, &files, args.tell.json, || do_replay(args))
}

fn do_replay(args: &ReplayArgs) -> anyhow::Result<ExitStatus> {
    let to = split_job(&args.output)?;
    let job = configured(Job::replay_of(&args.quarantine)?, &args.input, &args.resources)?;
    split_to(&args.output, &to, job, &args.input, &args.tell)
}

pub(crate) fn split_to(
    output: &OutputArgs,
    to: &SplitJob,
    job: Job,
    input: &InputArgs,
    tell: &TellArgs,
) -> anyhow::Result<ExitStatus> {
    tell_memory(|| job.split_memory_plan(to), tell)?;
    let mut reporter = Reporter::new(tell, total_bytes(&job, tell), false);
    let report = job.split(to, &mut |event| reporter.on_event(&event));
    reporter.finish();
    let report = report?;
    let sealed = report.account.sources.failed == 0 || input.allow_incomplete;
    let destination = output.folder.display().to_string();
    conclude(&report, tell, || summary::of_split(&report, &destination, sealed))
}

/// Clean NDJSON to standard output.
pub(crate) fn cat(args: &CatArgs) -> anyhow::Result<ExitStatus> {
    reported(&args.tell, &args.sources.sources, false, || do_cat(args))
}

fn do_cat(args: &CatArgs) -> anyhow::Result<ExitStatus> {
    anyhow::ensure!(
        !args.tell.json,
        "standard output holds the data: write the report to a file with --report FILE"
    );
    let job = job_of(&args.sources.sources, &args.input, &args.network, &args.resources, &args.tell)?;
    tell_memory(|| job.memory_plan(Encoding::plain()), &args.tell)?;
    let mut reporter = Reporter::new(&args.tell, total_bytes(&job, &args.tell), true);
    let mut out = io::stdout();
    let report = job.cat(&mut out, &mut |event| reporter.on_event(&event));
    reporter.finish();
    let report = report?;
    tell_failures(&report);
    write_report(&json_of(&report)?, args.tell.report.as_deref())?;
    Ok(report.status)
}

/// Counts by type.
pub(crate) fn stats(args: &StatsArgs) -> anyhow::Result<ExitStatus> {
    reported(&args.tell, &args.sources.sources, args.tell.json, || do_stats(args))
}

fn do_stats(args: &StatsArgs) -> anyhow::Result<ExitStatus> {
    let job = with_expectation(
        job_of(&args.sources.sources, &args.input, &args.network, &args.resources, &args.tell)?,
        &args.expect,
    )?;
    tell_memory(|| job.memory_plan(Encoding::plain()), &args.tell)?;
    let mut reporter = Reporter::new(&args.tell, total_bytes(&job, &args.tell), false);
    let report = job.stats(&mut |event| reporter.on_event(&event));
    reporter.finish();
    let report = report?;
    conclude(&report, &args.tell, || summary::of_stats(&report))
}

/// Tells what came of a run, in words or as JSON.
pub(crate) fn conclude(
    report: &Report,
    tell: &TellArgs,
    words: impl FnOnce() -> String,
) -> anyhow::Result<ExitStatus> {
    let told = tell_report(&json_of(report)?, tell, words);
    tell_failures(report);
    told?;
    Ok(report.status)
}

/// Tells a report in words or as the JSON that it is given as, and writes that to the file that was asked for.
pub(crate) fn tell_report(json: &str, tell: &TellArgs, words: impl FnOnce() -> String) -> anyhow::Result<()> {
    let written = write_report(json, tell.report.as_deref());
    if tell.json {
        summary::print_plain(json.as_bytes())?;
    } else if !tell.quiet {
        summary::print(&words())?;
    }
    written
}

fn tell_failures(report: &Report) {
    let sources = &report.account.sources;
    sources.failures.iter().for_each(tell_failure);
    let more = sources.failed - sources.failures.len() as u64;
    if more > 0 {
        warn(format_args!("{more} more sources could not be read to their end"));
    }
}

fn write_report(json: &str, file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, json).with_context(|| Broken(format!("cannot write {}", file.display())))
}

/// Sees to it that whoever asked for a report gets one of a run that could not be done, too. A run that stopped because
/// nobody reads it any more is no failure.
pub(crate) fn reported(
    tell: &TellArgs,
    sources: &[OsString],
    to_standard_output: bool,
    run: impl FnOnce() -> anyhow::Result<ExitStatus>,
) -> anyhow::Result<ExitStatus> {
    let refused = refuse_source_as_report(tell, sources);
    let file = tell.report.as_deref().filter(|_| refused.is_ok());
    let done = refused.and_then(|()| run());
    let Err(error) = &done else { return done };
    let status = status_of(error);
    if status == ExitStatus::Complete {
        let notes = ["the reader of standard output has gone: what was read until then is not counted"];
        let report =
            json!({ "status": status, "exit_code": status.code(), "conditions": [], "notes": notes });
        write_report(&format!("{report:#}\n"), file)?;
        return done;
    }
    let report = json!({
        "status": status,
        "exit_code": status.code(),
        "conditions": [status],
        "causes": causes(error),
        "hint": hint_of(error),
    });
    // The run's own trouble is told next, and more important.
    let json = format!("{report:#}\n");
    let _ = write_report(&json, file);
    if to_standard_output {
        let _ = summary::print_plain(json.as_bytes());
    }
    done
}

/// A report that replaces what was read would be the end of an export.
fn refuse_source_as_report(tell: &TellArgs, sources: &[OsString]) -> anyhow::Result<()> {
    let Some(report) = tell.report.as_deref() else { return Ok(()) };
    // What does not exist yet is no source.
    let Ok(place) = report.canonicalize() else { return Ok(()) };
    let is_source = sources.iter().any(|text| Path::new(text).canonicalize().is_ok_and(|at| at == place));
    anyhow::ensure!(!is_source, "the report {} would replace a source", report.display());
    Ok(())
}

fn json_of(report: &Report) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&report_in_options(report.clone()))? + "\n")
}

pub(crate) fn job_of(
    sources: &[OsString],
    args: &InputArgs,
    network: &NetworkArgs,
    resources: &ResourceArgs,
    tell: &TellArgs,
) -> anyhow::Result<Job> {
    configured(network.applied_to(Job::new(sources)?, tell)?, args, resources)
}

/// The job as the arguments describe it, stopped by Ctrl-C.
pub(crate) fn configured(job: Job, args: &InputArgs, resources: &ResourceArgs) -> anyhow::Result<Job> {
    Ok(described(job, args, resources).cancelled_by(interruptible()?))
}

/// The job as the arguments describe it.
pub(crate) fn described(job: Job, args: &InputArgs, resources: &ResourceArgs) -> Job {
    let selection = Selection {
        only: args.types.iter().copied().collect(),
        except: args.exclude_type.iter().copied().collect(),
    };
    let mut job = job
        .memory_bytes(resources.memory)
        .max_line_bytes(args.max_line_bytes)
        .max_ratio(args.max_ratio)
        .max_decoded_bytes(args.max_decoded_bytes)
        .allow_incomplete(args.allow_incomplete)
        .keep_bundles(args.keep_bundles)
        .trust_input(args.trust_input)
        .select(selection);
    if let Some(threads) = resources.threads {
        job = job.threads(threads.into());
    }
    let limit = match args.on_reject {
        OnReject::Fail => Some(RejectLimit::Records(0)),
        OnReject::Quarantine => args.max_rejects.map(|rejects| rejects.0),
    };
    limit.into_iter().fold(job, Job::max_rejects)
}

/// What Ctrl-C stops.
pub(crate) fn interruptible() -> anyhow::Result<Cancel> {
    let cancel = Cancel::new();
    stop_on_interrupt(&cancel).context(Broken("cannot listen for Ctrl-C".into()))?;
    Ok(cancel)
}

pub(crate) fn with_expectation(job: Job, args: &ExpectArgs) -> anyhow::Result<Job> {
    let Some(file) = &args.expect else { return Ok(job) };
    let name = file.display();
    let json = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
    let expectation = Expectation::read(&json).with_context(|| format!("cannot take counts from {name}"))?;
    Ok(job.expect(expectation))
}

pub(crate) fn split_job(args: &OutputArgs) -> anyhow::Result<SplitJob> {
    Ok(shaped(SplitJob::to(&args.folder), &args.shape)?
        .checksum(checksum_of(args.checksum))
        .durable(args.durability == Durability::Seal)
        .overwrite(args.overwrite))
}

/// The split as the arguments describe it.
pub(crate) fn shaped(to: SplitJob, args: &ShapeArgs) -> anyhow::Result<SplitJob> {
    Ok(to
        .encoding(encoding_of(args)?)
        .max_file_bytes(args.max_file_bytes)
        .max_file_records(args.max_file_records)
        .keep_entry_metadata(args.keep_entry_metadata)
        .checkpoint_bytes(Some(args.checkpoint_bytes).filter(|bytes| *bytes > 0))
        .spool_dir(args.spool_dir.clone()))
}

pub(crate) fn checksum_of(checksum: Checksum) -> Option<ChecksumKind> {
    match checksum {
        Checksum::Crc32c => Some(ChecksumKind::Crc32c),
        Checksum::Sha256 => Some(ChecksumKind::Sha256),
        Checksum::None => None,
    }
}

fn encoding_of(args: &ShapeArgs) -> anyhow::Result<Encoding> {
    let codec = match args.compress {
        Compress::None => Codec::None,
        Compress::Gzip => Codec::Gzip,
        Compress::Zstd => Codec::Zstd,
    };
    Encoding::new(codec, args.level).context("cannot use --level")
}

pub(crate) fn total_bytes(job: &Job, tell: &TellArgs) -> Option<u64> {
    if tell.quiet { None } else { job.total_bytes() }
}

fn tell_memory(plan: impl FnOnce() -> Result<MemoryPlan, JobError>, tell: &TellArgs) -> anyhow::Result<()> {
    if tell.verbose {
        tell_plan(&plan()?);
    }
    Ok(())
}

/// Tells how the memory is divided.
pub(crate) fn tell_plan(plan: &MemoryPlan) {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    note(format_args!(
        "memory: {} MiB = {} base + {} overhead + {} outputs + {} compression + {} heart (of which {} for a decoder)",
        mib(plan.ceiling_bytes),
        mib(plan.base_bytes),
        mib(plan.overhead_bytes),
        mib(plan.open_block_bytes),
        mib(plan.compression_bytes),
        mib(plan.heart_bytes),
        mib(plan.decoder_bytes)
    ));
}
