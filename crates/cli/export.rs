use std::path::Path;

use anyhow::Context;

use fhirline::{
    Cancelled, ExitStatus, ExportEvent, ExportJob, ExportLevel, ExportProgress, ExportRequest, FhirBase, Job,
    JobError, KeyFile, KickOffMethod, SmartOptions, SplitJob,
};

use crate::args::{Durability, ExportArgs, FetchArgs};
use crate::commands::{self, checksum_of, described, interruptible};
use crate::downloads::Downloads;
use crate::fetch::{conclude, fetch_job, folder_of};
use crate::reporter::Reporter;
use crate::summary;
use crate::trouble::note;

/// A FHIR Bulk Data export, into a folder.
pub(crate) fn export(args: &FetchArgs, level: &ExportLevel) -> anyhow::Result<ExitStatus> {
    let job = export_job(args, level)?.cancelled_by(interruptible()?);
    if let Some(folder) = &args.export.split {
        return split(&job, args, folder);
    }
    let folder = folder_of(args)?;
    if args.export.cancel {
        return tell_cancelled(job.cancel(folder)?, args);
    }
    let mut shown = Downloads::new(&args.tell, None);
    let report = job.fetch(&fetch_job(args, folder), &mut |progress| match progress {
        ExportProgress::Server(event) => shown.on_server(event),
        ExportProgress::Files(event) => shown.on_event(event),
        _ => {}
    });
    shown.finish();
    conclude(&report?, args, folder)
}

/// The same, split while it comes.
fn split(export: &ExportJob, args: &FetchArgs, folder: &Path) -> anyhow::Result<ExitStatus> {
    let to = commands::shaped(SplitJob::to(folder), &args.shape)?
        .checksum(checksum_of(args.checksum))
        .durable(args.durability == Durability::Seal)
        .overwrite(args.overwrite);
    let no_sources: [&str; 0] = [];
    let job = args.network.applied_to(Job::new(no_sources)?, &args.tell)?;
    if args.export.cancel {
        return tell_cancelled(export.cancel_split(&job, &to)?, args);
    }
    let job = commands::with_expectation(described(job, &args.input, &args.resources), &args.expect)?;
    let mut shown = Downloads::new(&args.tell, None);
    let mut reporter = Reporter::new(&args.tell, None, false);
    let report = export.split(
        job,
        &to,
        &mut |progress| {
            if let ExportProgress::Server(event) = progress {
                shown.on_server(event);
                if matches!(event, ExportEvent::Complete { .. }) {
                    shown.finish();
                }
            }
        },
        &mut |event| reporter.on_event(&event),
    );
    shown.finish();
    reporter.finish();
    let report = report?;
    let sealed = report.account.sources.failed == 0 || args.input.allow_incomplete;
    let destination = folder.display().to_string();
    commands::conclude(&report, &args.tell, || summary::of_split(&report, &destination, sealed))
}

fn tell_cancelled(cancelled: Cancelled, args: &FetchArgs) -> anyhow::Result<ExitStatus> {
    if !args.tell.quiet {
        note(match cancelled {
            Cancelled::Accepted => "the server has cancelled the export",
            Cancelled::Unknown => "the server does not know the export any more",
        });
    }
    Ok(ExitStatus::Complete)
}

fn export_job(args: &FetchArgs, level: &ExportLevel) -> anyhow::Result<ExportJob> {
    let export = &args.export;
    let [base] = args.sources.sources.as_slice() else {
        anyhow::bail!("--export takes one source: the base URL of the FHIR server");
    };
    let base = base.to_str().context("the base URL of the FHIR server is not UTF-8")?;
    let base = FhirBase::parse(base).map_err(JobError::from)?;
    let mut request = ExportRequest::new(base, level.clone()).map_err(JobError::from)?;
    if let Some(since) = &export.since {
        request = request.since(since);
    }
    if !export.asked_types.is_empty() {
        request = request.types(export.asked_types.iter().map(ToString::to_string));
    }
    if !export.type_filter.is_empty() {
        request = request.type_filters(export.type_filter.iter().cloned());
    }
    if export.post {
        request = request.method(KickOffMethod::Post);
    }
    let network = &args.network;
    let job = ExportJob::new(request).http(network.http()?).token_hosts(network.token_host.iter().cloned());
    Ok(smart_options(export).into_iter().fold(job, ExportJob::smart))
}

fn smart_options(export: &ExportArgs) -> Option<SmartOptions> {
    let jwks = export.smart_jwks.clone().map(KeyFile::Jwks);
    let pem = || {
        let (path, kid) = (export.smart_key.clone()?, export.smart_key_id.clone()?);
        Some(KeyFile::Pem { path, kid })
    };
    Some(SmartOptions {
        client_id: export.smart_client_id.clone()?,
        key: jwks.or_else(pem)?,
        scope: export.smart_scope.clone(),
        token_url: None,
        algorithm: None,
    })
}
