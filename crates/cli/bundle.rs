use std::path::Path;

use anyhow::Context;

use fhirline::{BaseUrl, BundleJob, ExitStatus, Form, RestoreJob};

use crate::args::{BundleArgs, BundleOutputArgs, BundleType, Durability, Method, OnDuplicate};
use crate::commands::{conclude, interruptible, job_of, reported, tell_plan, tell_report, total_bytes};
use crate::reporter::Reporter;
use crate::summary;

/// All resources as FHIR Bundles.
pub(crate) fn bundle(args: &BundleArgs) -> anyhow::Result<ExitStatus> {
    if let Some(run) = &args.restore {
        let manifest = run.join("manifest.json").into_os_string();
        return reported(&args.tell, &[manifest], args.tell.json, || restore(args, run));
    }
    reported(&args.tell, &args.sources, args.tell.json, || do_bundle(args))
}

/// The Bundles that an earlier split has read.
fn restore(args: &BundleArgs, run: &Path) -> anyhow::Result<ExitStatus> {
    let job = RestoreJob::new(run, &args.output.path)
        .pretty(args.output.pretty)
        .durable(args.output.durability == Durability::Seal)
        .overwrite(args.output.overwrite)
        .memory_bytes(args.resources.memory)
        .spool_dir(args.output.spool_dir.clone())
        .cancelled_by(interruptible()?);
    #[cfg(any(feature = "http", feature = "cloud"))]
    let job = job.network(args.network.network(&args.tell)?);
    let report = job.run()?;
    let destination = args.output.path.display().to_string();
    let json = serde_json::to_string_pretty(&report)? + "\n";
    tell_report(&json, &args.tell, || summary::of_restore(&report, &destination))?;
    Ok(report.status)
}

fn do_bundle(args: &BundleArgs) -> anyhow::Result<ExitStatus> {
    let to = bundle_job(&args.output)?;
    let job = job_of(&args.sources, &args.input, &args.network, &args.resources, &args.tell)?;
    if args.tell.verbose {
        tell_plan(&job.bundle_memory_plan()?);
    }
    let mut reporter = Reporter::new(&args.tell, total_bytes(&job, &args.tell), false);
    let report = job.bundle(&to, &mut |event| reporter.on_event(&event));
    reporter.finish();
    let report = report?;
    let destination = args.output.path.display().to_string();
    conclude(&report, &args.tell, || summary::of_bundle(&report, &destination))
}

fn bundle_job(args: &BundleOutputArgs) -> anyhow::Result<BundleJob> {
    let mut job = BundleJob::to(&args.path)
        .form(form(args)?)
        .max_entries(args.max_entries)
        .max_bytes(args.max_bytes)
        .pretty(args.pretty)
        .durable(args.durability == Durability::Seal)
        .overwrite(args.overwrite)
        .spool_dir(args.spool_dir.clone());
    if let Some(base) = &args.base {
        job = job.base(base.parse::<BaseUrl>().context("cannot use --base")?);
    }
    let on_duplicate = args.on_duplicate.map(|action| match action {
        OnDuplicate::Uuid => fhirline::OnDuplicate::Uuid,
        OnDuplicate::NewBundle => fhirline::OnDuplicate::NewBundle,
        OnDuplicate::Fail => fhirline::OnDuplicate::Fail,
    });
    let puts = args.bundle_type != BundleType::Collection && args.method != Some(Method::Post);
    anyhow::ensure!(
        !(puts && on_duplicate == Some(fhirline::OnDuplicate::Uuid)),
        "two entries of one Bundle cannot put the same resource: --on-duplicate uuid needs --method post or a collection"
    );
    Ok(on_duplicate.into_iter().fold(job, BundleJob::on_duplicate))
}

fn form(args: &BundleOutputArgs) -> anyhow::Result<Form> {
    let method = match args.method {
        Some(Method::Post) => fhirline::Method::Post,
        Some(Method::Put) | None => fhirline::Method::Put,
    };
    match args.bundle_type {
        BundleType::Batch => Ok(Form::Batch(method)),
        BundleType::Transaction => Ok(Form::Transaction(method)),
        BundleType::Collection => {
            anyhow::ensure!(
                args.method.is_none(),
                "nothing is done with a collection: --method needs --bundle-type batch or transaction"
            );
            Ok(Form::Collection)
        }
    }
}
