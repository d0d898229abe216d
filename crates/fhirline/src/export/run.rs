use fhirline_core::Store;
use fhirline_fetch::{Export, ExportEvent, ExportState, FolderStore, StatusManifest};

use super::files::{Link, wanted_of};
use super::log::Log;
use super::{ExportJob, ExportProgress, OnExport};
use crate::fetch::FetchJob;
use crate::fetch::note::ExportMark;
use crate::fetch::run::Run;
use crate::fetch::start::EXPORT_STATE;
use crate::{FetchReport, JobError};

/// An export on its way to a folder that nobody else writes to.
pub(super) struct ExportRun<'r> {
    pub(super) job: &'r ExportJob,
    pub(super) to: &'r FetchJob,
    pub(super) store: &'r FolderStore,
    pub(super) export: Export,
}

impl ExportRun<'_> {
    /// Takes the export up where it is, and fetches it.
    pub(super) fn run(
        &self,
        state: Option<ExportState>,
        on_event: &mut OnExport<'_>,
    ) -> Result<FetchReport, JobError> {
        let (mut state, mut log) = match state {
            Some(state) => {
                let log = Log::open(self.store.path(), &state.export_id)?;
                (state, log)
            }
            None => self.kick_off(on_event)?,
        };
        let manifest = self.wait(&mut state, &mut log, on_event)?;
        let mark = self.mark(&state, &manifest);
        let link = Link::new(self.export.clone(), state.clone(), manifest.clone(), self.job.cancel.clone());
        let wanted = wanted_of(&link, &manifest);
        let to = self.to.clone().overwrite(false);
        let run = Run {
            to: &to,
            store: self.store,
            cancel: &self.job.cancel,
            wanted: &wanted,
            export: Some(&mark),
        };
        let report = run.run(&mut |event| {
            log.file(&manifest, event);
            on_event(ExportProgress::Files(event));
        });
        log.check()?;
        let report = report?;
        if report.failures.is_empty() {
            log.complete(&report, state.kicked_off_at)?;
        }
        Ok(report)
    }

    /// Starts the export. It is noted before anything else: nothing else leads back to it.
    fn kick_off(&self, on_event: &mut OnExport<'_>) -> Result<(ExportState, Log), JobError> {
        let mut tell = |event: &ExportEvent<'_>| on_event(ExportProgress::Server(event));
        let state = self.export.kick_off(&self.job.request, &mut tell, &|| self.job.cancel.is_cancelled())?;
        self.save(&state)?;
        let mut log = Log::open(self.store.path(), &state.export_id)?;
        log.kicked_off(&self.job.request);
        Ok((state, log))
    }

    fn wait(
        &self,
        state: &mut ExportState,
        log: &mut Log,
        on_event: &mut OnExport<'_>,
    ) -> Result<StatusManifest, JobError> {
        let mut tell = |event: &ExportEvent<'_>| {
            log.server(event);
            on_event(ExportProgress::Server(event));
        };
        let manifest = self.export.wait(state, &mut tell, &|| self.job.cancel.is_cancelled());
        log.check()?;
        let manifest = manifest?;
        self.save(state)?;
        Ok(manifest)
    }

    fn save(&self, state: &ExportState) -> Result<(), JobError> {
        let json = state.to_json();
        self.store.replace(EXPORT_STATE, json.as_bytes(), true).map_err(self.to.failed("write to"))
    }

    fn mark(&self, state: &ExportState, manifest: &StatusManifest) -> ExportMark {
        ExportMark {
            request: self.job.fingerprint(),
            id: state.export_id.clone(),
            // A base has no user and no query.
            url: self.job.request.base().to_string(),
            transaction_time: manifest.transaction_time.clone(),
            organized_by: manifest.organized_by.clone(),
        }
    }
}
