//! One attempt at an export: the links of its event, the pipeline of the command line, its place. Blocks.

use fhirline::{Cancel, Event, Expectation, Job, JobError, Report};
use fhirline_connect::DownloadLink;
use serde_json::Value;

use super::place::{self, Place};
use super::progress::Progress;
use super::verdict::{self, Trouble};
use crate::config::Config;
use crate::store::{Ended, ExportRow};

/// Fetches and splits the export, and tells what became of it.
pub(super) fn attempt(
    config: &Config,
    export: &ExportRow,
    destination: &str,
    cancel: &Cancel,
    progress: &Progress,
) -> Ended {
    let place = Place::of(destination, export.generation);
    match place.finished(&export.id) {
        // The service ended between the last two steps of an earlier attempt.
        Ok(Some(account)) => return verdict::of_account(account),
        Ok(None) => {}
        Err(error) => return verdict::of_io(config, export, place.name(), error),
    }
    let mut trouble = Trouble::default();
    let done = run(config, export, &place, cancel, progress, &mut trouble);
    match done {
        Ok(report) => sealed(config, export, &place, &report, &trouble),
        // Whatever it says: it was not its own end.
        Err(_) if cancel.is_cancelled() => Ended::Stopped,
        Err(error) => verdict::of_error(config, export, &error, &mut trouble),
    }
}

/// The run; once more from the beginning if what an interrupted one left does not fit any more.
fn run(
    config: &Config,
    export: &ExportRow,
    place: &Place<'_>,
    cancel: &Cancel,
    progress: &Progress,
    trouble: &mut Trouble,
) -> Result<Report, JobError> {
    let mut afresh = place.begins_afresh(export.attempts);
    loop {
        let job = job(config, export, cancel)?;
        let to = config.output.split_to(&place.work()).overwrite(afresh);
        let done = job.split(&to, &mut |event: Event<'_>| {
            progress.see(&event);
            trouble.see(&event);
        });
        match done {
            Err(error) if !afresh && is_of_other_run(&error) => afresh = true,
            done => return done,
        }
    }
}

fn job(config: &Config, export: &ExportRow, cancel: &Cancel) -> Result<Job, JobError> {
    let link = DownloadLink::to(export.link.as_deref().unwrap_or_default());
    let fasten = config.fasten.get(export.mode());
    let origin = fasten.ok_or_else(|| place::refused(export, "its mode is not configured any more"))?;
    let stop = cancel.clone();
    let downloads = origin.downloads.stopped_by(move || stop.is_cancelled());
    let origin = downloads.download(&link).map_err(|error| place::refused(export, &error.to_string()))?;
    let job = config.output.applied_to(Job::of_origins([origin])).cancelled_by(cancel.clone());
    Ok(match expectation(export.stats.as_deref()) {
        Some(expectation) => job.expect(expectation),
        None => job,
    })
}

/// What the sender counted, if it did.
fn expectation(stats: Option<&str>) -> Option<Expectation> {
    let stats: Value = serde_json::from_str(stats?).ok()?;
    Expectation::read(serde_json::json!({ "data": { "stats": stats } }).to_string().as_bytes()).ok()
}

/// Whether the place holds a part of a run over something else: links lead to a file of another version, or options were changed.
fn is_of_other_run(error: &JobError) -> bool {
    matches!(
        error,
        JobError::SourceChanged { .. }
            | JobError::OtherOptions { .. }
            | JobError::OtherRun { .. }
            | JobError::Damaged { .. }
    )
}

/// Gives the output of a complete run its name.
fn sealed(
    config: &Config,
    export: &ExportRow,
    place: &Place<'_>,
    report: &Report,
    trouble: &Trouble,
) -> Ended {
    let account = serde_json::to_value(report).unwrap_or_default();
    let Some(state) = verdict::state_of(report.status) else {
        return verdict::of_incomplete(config, export, report, trouble);
    };
    match place.seal(export, state) {
        Ok(()) => Ended::Finished { state, report: account },
        Err(error) => verdict::of_io(config, export, place.name(), error),
    }
}
