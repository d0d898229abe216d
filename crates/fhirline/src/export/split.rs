//! An export that goes straight into a split.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use fhirline_core::PARTIAL_SUFFIX;
use fhirline_fetch::{Cancelled, ExportEvent, ExportState};

use super::files::{Link, sources_of};
use super::{ExportJob, ExportProgress, OnExport};
use crate::split::recorded_export;
use crate::{ExitStatus, FetchJob, Job, JobError, OnEvent, Report, SplitJob};

impl ExportJob {
    /// Splits the files of the export while they come, without keeping them. Of `job` the options count; its sources are
    /// replaced. What is known of the export is kept beside the folder, in `_NAME.export.partial` (mode 0600), until the split is
    /// complete: the same job takes it up again.
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
        let note = note_beside(folder);
        if let Some(report) = recorded_export(&job, to)? {
            remove(&note, to)?;
            return Ok(report);
        }
        let export = self.client()?;
        let stopped = || self.cancel.is_cancelled();
        let mut tell = |event: &ExportEvent<'_>| on_export(ExportProgress::Server(event));
        let mut state = match ExportState::load(&note)? {
            Some(state) if state.request == self.request => state,
            Some(_) if !to.overwrite => return Err(self.other(&FetchJob::to(folder))),
            _ => {
                if let Some(parent) = note.parent() {
                    fs::create_dir_all(parent).map_err(to.failed("make"))?;
                }
                let state = export.kick_off(&self.request, &mut tell, &stopped)?;
                state.save(&note)?;
                state
            }
        };
        let manifest = export.wait(&mut state, &mut tell, &stopped)?;
        state.save(&note)?;
        let link = Link::new(export, state, manifest.clone(), self.cancel.clone());
        job.sources = sources_of(&link, &manifest)?;
        let allow_incomplete = job.allow_incomplete;
        let report = job.split(to, on_event)?;
        if report.status != ExitStatus::Incomplete || allow_incomplete {
            remove(&note, to)?;
        }
        Ok(report)
    }

    /// Tells the server that the export which is split into that folder is not wanted any more. What the split has left stays.
    ///
    /// # Errors
    /// [`JobError::NoExport`] if there is none, and what the server says.
    pub fn cancel_split(&self, to: &SplitJob) -> Result<Cancelled, JobError> {
        let folder = to.folder()?;
        let note = note_beside(folder);
        let Some(state) = ExportState::load(&note)? else {
            return Err(JobError::NoExport { name: to.name() });
        };
        if state.request != self.request {
            return Err(self.other(&FetchJob::to(folder)));
        }
        let cancelled = self.client()?.cancel(&state)?;
        remove(&note, to)?;
        Ok(cancelled)
    }
}

/// Where it is noted how far the export is: in the folder it would be the file of a stranger.
fn note_beside(folder: &Path) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut name = OsString::from("_");
    name.push(folder.file_name().unwrap_or_default());
    name.push(format!(".export{PARTIAL_SUFFIX}"));
    folder.with_file_name(name)
}

fn remove(note: &Path, to: &SplitJob) -> Result<(), JobError> {
    match fs::remove_file(note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(to.failed("clean")(error)),
        _ => Ok(()),
    }
}
