//! An export that goes straight into a split.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use fhirline_core::PARTIAL_SUFFIX;
use fhirline_fetch::{Cancelled, Export, ExportEvent, ExportState};

use super::files::{Link, sources_of};
use super::log::Log;
use super::{ExportJob, ExportProgress, OnExport};
use crate::fetch::start::EXPORT_LOG;
use crate::split::recorded_export;
use crate::{ExitStatus, FetchJob, Job, JobError, OnEvent, Report, SplitJob};

/// What is noted of an export that is split: how far it is, and its log.
const STATE: &str = "export";
const LOG: &str = "export-log";

impl ExportJob {
    /// Splits the files of the export while they come, without keeping them. Of `job` the options count; its sources are
    /// replaced. What is known of the export is kept beside the folder, in `_NAME.export.partial` (mode 0600), until the split is
    /// complete: the same job takes it up again. The export's log, `log.ndjson`, is there as `_NAME.export-log.partial` until then, and
    /// tells nothing of single files: none is kept.
    ///
    /// # Errors
    /// [`JobError`]; a file that is incomplete is none, but told in the report.
    pub fn split(
        &self,
        job: Job,
        to: &SplitJob,
        on_export: &mut OnExport<'_>,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Report, JobError> {
        let mut job = job.cancelled_by(self.cancel.clone());
        job.export = Some(self.fingerprint());
        let folder = to.folder()?;
        let [note, log_path] = [STATE, LOG].map(|what| beside(folder, what));
        if let Some(report) = recorded_export(&job, to)? {
            if log_path.exists() {
                place_log(&log_path, folder, to)?;
            }
            remove(&note, to)?;
            return Ok(report);
        }
        let export = self.client()?;
        let mut state = self.taken_up(&export, to, &note, &log_path, on_export)?;
        let mut log = Log::at(&log_path, &state.export_id)?;
        let mut tell = |event: &ExportEvent<'_>| {
            log.server(event);
            on_export(ExportProgress::Server(event));
        };
        let manifest = export.wait(&mut state, &mut tell, &|| self.cancel.is_cancelled())?;
        log.check()?;
        state.save(&note)?;
        let kicked_off_at = state.kicked_off_at;
        let link = Link::new(export, state, manifest.clone(), self.cancel.clone());
        job.sources = sources_of(&link, &manifest)?;
        let allow_incomplete = job.allow_incomplete;
        let report = job.split(to, on_event)?;
        if report.status != ExitStatus::Incomplete || allow_incomplete {
            log.split(&report, kicked_off_at)?;
            drop(log);
            place_log(&log_path, folder, to)?;
            remove(&note, to)?;
        }
        Ok(report)
    }

    /// The export that is noted, or a new one. It is noted before anything else: nothing else leads back to it.
    fn taken_up(
        &self,
        export: &Export,
        to: &SplitJob,
        note: &Path,
        log: &Path,
        on_export: &mut OnExport<'_>,
    ) -> Result<ExportState, JobError> {
        match ExportState::load(note)? {
            Some(state) if state.request == self.request => return Ok(state),
            Some(_) if !to.overwrite => return Err(self.other(&FetchJob::to(to.folder()?))),
            Some(state) => {
                self.abandon(&state, on_export);
                remove(log, to)?;
            }
            None => {}
        }
        if let Some(parent) = note.parent() {
            fs::create_dir_all(parent).map_err(to.failed("make"))?;
        }
        let mut tell = |event: &ExportEvent<'_>| on_export(ExportProgress::Server(event));
        let state = export.kick_off(&self.request, &mut tell, &|| self.cancel.is_cancelled())?;
        state.save(note)?;
        Log::at(log, &state.export_id)?.kicked_off(&self.request);
        Ok(state)
    }

    /// Tells the server that the export which is split into that folder is not wanted any more. What the split has left stays.
    ///
    /// # Errors
    /// [`JobError::NoExport`] if there is none, and what the server says.
    pub fn cancel_split(&self, to: &SplitJob) -> Result<Cancelled, JobError> {
        let folder = to.folder()?;
        let [note, log] = [STATE, LOG].map(|what| beside(folder, what));
        let Some(state) = ExportState::load(&note)? else {
            return Err(JobError::NoExport { name: to.name() });
        };
        if state.request != self.request {
            return Err(self.other(&FetchJob::to(folder)));
        }
        let cancelled = self.client()?.cancel(&state)?;
        [&note, &log].into_iter().try_for_each(|path| remove(path, to))?;
        Ok(cancelled)
    }
}

/// Where something is noted of the export: in the folder it would be the file of a stranger.
fn beside(folder: &Path, what: &str) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut name = OsString::from("_");
    name.push(folder.file_name().unwrap_or_default());
    name.push(format!(".{what}{PARTIAL_SUFFIX}"));
    folder.with_file_name(name)
}

/// Puts the log where others look for it, once nobody takes it for the file of a stranger.
fn place_log(log: &Path, folder: &Path, to: &SplitJob) -> Result<(), JobError> {
    fs::rename(log, folder.join(EXPORT_LOG)).map_err(to.failed("write the log into"))
}

fn remove(note: &Path, to: &SplitJob) -> Result<(), JobError> {
    match fs::remove_file(note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(to.failed("clean")(error)),
        _ => Ok(()),
    }
}
