//! An export that goes straight into a split.

use fhirline_fetch::{Cancelled, Export, ExportEvent, ExportState};

use super::files::{Link, sources_of};
use super::log::Log;
use super::notes::Notes;
use super::{ExportJob, ExportProgress, OnExport};
use crate::split::recorded_export;
use crate::{ExitStatus, FetchJob, Job, JobError, OnEvent, Report, SplitJob};

impl ExportJob {
    /// Splits the files of the export while they come, without keeping them. Of `job` the options count; its sources are
    /// replaced. What is known of the export is kept beside the folder or prefix, in `_NAME.export.partial` (a file with mode 0600, or
    /// an object with the rights of its bucket), until the split is complete: the same job takes it up again. The export's log,
    /// `log.ndjson`, is there as `_NAME.export-log.partial` until then, and tells nothing of single files: none is kept.
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
        let network = job.sources.network().clone();
        let notes = Notes::of(to, &network)?;
        if let Some(report) = recorded_export(&job, to)? {
            notes.conclude()?;
            return Ok(report);
        }
        let export = self.client()?;
        let mut state = self.taken_up(&export, to, &notes, on_export)?;
        let mut log = Log::at(notes.log(), &state.export_id)?;
        let mut tell = |event: &ExportEvent<'_>| {
            log.server(event);
            on_export(ExportProgress::Server(event));
        };
        let manifest = export.wait(&mut state, &mut tell, &|| self.cancel.is_cancelled())?;
        log.check()?;
        notes.keep_log()?;
        notes.save(&state)?;
        let kicked_off_at = state.kicked_off_at;
        let link = Link::new(export, state, manifest.clone(), self.cancel.clone());
        job.sources = sources_of(&link, &manifest)?.with_network(network)?;
        let allow_incomplete = job.allow_incomplete;
        let report = job.split(to, on_event)?;
        if report.status != ExitStatus::Incomplete || allow_incomplete {
            log.split(&report, kicked_off_at)?;
            drop(log);
            notes.conclude()?;
        }
        Ok(report)
    }

    /// The export that is noted, or a new one. It is noted before anything else: nothing else leads back to it.
    fn taken_up(
        &self,
        export: &Export,
        to: &SplitJob,
        notes: &Notes,
        on_export: &mut OnExport<'_>,
    ) -> Result<ExportState, JobError> {
        match notes.load()? {
            Some(state) if state.request == self.request => return Ok(state),
            Some(_) if !to.overwrite => return Err(self.other(&FetchJob::to(to.name()))),
            Some(state) => {
                self.abandon(&state, on_export);
                notes.remove_log()?;
            }
            None => {}
        }
        let mut tell = |event: &ExportEvent<'_>| on_export(ExportProgress::Server(event));
        let state = export.kick_off(&self.request, &mut tell, &|| self.cancel.is_cancelled())?;
        notes.save(&state)?;
        Log::at(notes.log(), &state.export_id)?.kicked_off(&self.request);
        notes.keep_log()?;
        Ok(state)
    }

    /// Tells the server that the export which is split into that folder or below that prefix is not wanted any more. What the
    /// split has left stays. Of `job` its network counts.
    ///
    /// # Errors
    /// [`JobError::NoExport`] if there is none, and what the server says.
    pub fn cancel_split(&self, job: &Job, to: &SplitJob) -> Result<Cancelled, JobError> {
        let notes = Notes::of(to, job.sources.network())?;
        let Some(state) = notes.load()? else {
            return Err(JobError::NoExport { name: to.name() });
        };
        if state.request != self.request {
            return Err(self.other(&FetchJob::to(to.name())));
        }
        let cancelled = self.client()?.cancel(&state)?;
        notes.remove()?;
        Ok(cancelled)
    }
}
