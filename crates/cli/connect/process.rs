use std::fs;
use std::io::{self, Read};

use anyhow::{Context, bail, ensure};

use fhirline::{ExitStatus, Expectation, Job};
use fhirline_connect::{Event, EventData, ExportSuccess};

use super::args::ProcessArgs;
use super::{client, keys};
use crate::commands::{configured, reported, split_job, split_to};
use crate::trouble::{Broken, note};

/// Most bytes of an event: those that are documented have a few thousand.
const MAX_EVENT_BYTES: u64 = 16 << 20;

/// The job behind one event, in the foreground.
pub(crate) fn process(args: &ProcessArgs) -> anyhow::Result<ExitStatus> {
    let event = args.event.clone().into_os_string();
    reported(&args.tell, &[event], args.tell.json, || do_process(args))
}

fn do_process(args: &ProcessArgs) -> anyhow::Result<ExitStatus> {
    let name = args.event.display().to_string();
    let text = read(args).with_context(|| format!("cannot read {name}"))?;
    let event = Event::parse(&text).with_context(|| format!("{name} is no event of Fasten Connect"))?;
    let export = success(&event)?;
    let link = export.link(args.export_type.as_deref()).with_context(|| match &args.export_type {
        Some(wanted) => format!("the event has no link to an export of the type {wanted}"),
        None => "the event has no link to an export".to_owned(),
    })?;
    let keys = keys()?;
    ensure!(
        keys.mode() == event.mode,
        "the event is of {} mode, and the keys in the environment are of {} mode",
        event.mode,
        keys.mode()
    );
    let origin = client(keys)?.download(link)?;
    let mut job = configured(Job::of_origins([origin]), &args.input, &args.resources)?;
    match Expectation::read(&text) {
        Ok(expectation) => job = job.expect(expectation),
        Err(_) => note("the event declares no counts: there is nothing to compare with"),
    }
    split_to(&args.output, &split_job(&args.output)?, job, &args.input, &args.tell)
}

fn read(args: &ProcessArgs) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if args.event.as_os_str() == "-" {
        io::stdin().lock().take(MAX_EVENT_BYTES).read_to_end(&mut text)?;
    } else {
        fs::File::open(&args.event)?.take(MAX_EVENT_BYTES).read_to_end(&mut text)?;
    }
    Ok(text)
}

fn success(event: &Event) -> anyhow::Result<&ExportSuccess> {
    match &event.data {
        EventData::ExportSuccess(export) => Ok(export),
        EventData::ExportFailed(failed) => {
            let Some(reason) = &failed.failure_reason else {
                bail!(Broken("the export has failed".to_owned()))
            };
            let told = Broken(format!("the export has failed: {}", reason.name().escape_debug()));
            Err(anyhow::anyhow!(reason.action()).context(told))
        }
        _ => bail!("the event is not that of an export, which has the type patient.ehi_export_success"),
    }
}
