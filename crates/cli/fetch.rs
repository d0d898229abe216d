use std::path::Path;

use anyhow::Context;

use fhirline::{ExitStatus, FetchJob, FetchReport, Job};

use crate::args::{Durability, FetchArgs};
use crate::commands::{checksum_of, interruptible, reported, tell_report, total_bytes};
use crate::downloads::Downloads;
use crate::summary;
use crate::trouble::tell_broken_download;
use crate::wording::download_in_options;

/// Failures that are told one by one.
const TOLD_FAILURES: usize = 1000;

/// Sources as they are, into a folder.
pub(crate) fn fetch(args: &FetchArgs) -> anyhow::Result<ExitStatus> {
    reported(&args.tell, &args.sources.sources, args.tell.json, || {
        #[cfg(feature = "http")]
        if let Some(level) = &args.export.export {
            return crate::export::export(args, level);
        }
        do_fetch(args)
    })
}

fn do_fetch(args: &FetchArgs) -> anyhow::Result<ExitStatus> {
    let folder = folder_of(args)?;
    let to = fetch_job(args, folder);
    let job =
        args.network.applied_to(Job::new(&args.sources.sources)?, &args.tell)?.cancelled_by(interruptible()?);
    let mut shown = Downloads::new(&args.tell, total_bytes(&job, &args.tell));
    let report = job.fetch(&to, &mut |event| shown.on_event(event));
    shown.finish();
    conclude(&report?, args, folder)
}

/// The folder, which there is unless everything is split.
pub(crate) fn folder_of(args: &FetchArgs) -> anyhow::Result<&Path> {
    args.folder.as_deref().context("give -o DIR")
}

pub(crate) fn fetch_job(args: &FetchArgs, folder: &Path) -> FetchJob {
    #[cfg(feature = "http")]
    let max_downloads = args.network.max_downloads;
    #[cfg(not(feature = "http"))]
    let max_downloads = args.max_downloads;
    FetchJob::to(folder)
        .max_downloads(max_downloads.into())
        .checksum(checksum_of(args.checksum))
        .durable(args.durability == Durability::Seal)
        .overwrite(args.overwrite)
}

pub(crate) fn conclude(report: &FetchReport, args: &FetchArgs, folder: &Path) -> anyhow::Result<ExitStatus> {
    let destination = folder.display().to_string();
    let json = serde_json::to_string_pretty(&download_in_options(report.clone()))? + "\n";
    let told = tell_report(&json, &args.tell, || summary::of_fetch(report, &destination));
    report.failures.iter().take(TOLD_FAILURES).for_each(tell_broken_download);
    told?;
    Ok(report.status)
}
