//! What happens to an export, written down for others.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use fhirline_fetch::{
    BulkError, ExportEvent, ExportLog, ExportRequest, ExportTotals, ItemType, ManifestFile, StatusManifest,
};

use crate::fetch::start::EXPORT_LOG;
use crate::{Account, FetchEvent, FetchReport, Report};

/// The log of an export. What goes wrong with it is told later: events can be told only.
pub(super) struct Log {
    log: ExportLog,
    failed: Option<BulkError>,
}

impl Log {
    /// The log in that folder.
    pub(super) fn open(folder: &Path, export_id: &str) -> Result<Self, BulkError> {
        Self::at(&folder.join(EXPORT_LOG), export_id)
    }

    /// The log in that file.
    pub(super) fn at(path: &Path, export_id: &str) -> Result<Self, BulkError> {
        Ok(Self { log: ExportLog::open(path, export_id)?, failed: None })
    }

    /// The first thing that went wrong.
    pub(super) fn check(&mut self) -> Result<(), BulkError> {
        self.failed.take().map_or(Ok(()), Err)
    }

    fn keep(&mut self, written: Result<(), BulkError>) {
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }

    pub(super) fn kicked_off(&mut self, request: &ExportRequest) {
        self.server(&ExportEvent::KickedOff { request });
    }

    pub(super) fn server(&mut self, event: &ExportEvent<'_>) {
        let written = self.log.note(event);
        self.keep(written);
    }

    pub(super) fn file(&mut self, manifest: &StatusManifest, event: &FetchEvent) {
        let written = match event {
            FetchEvent::Started { ordinal, .. } => of(manifest, *ordinal).map(|(item, file)| {
                self.log.download_request(&file.url, item, file.resource_type.as_deref())
            }),
            FetchEvent::Finished { ordinal, bytes, kept: false, .. } => {
                of(manifest, *ordinal).map(|(_, file)| self.log.download_complete(&file.url, None, *bytes))
            }
            FetchEvent::Failed { ordinal, why, .. } => of(manifest, *ordinal)
                .map(|(_, file)| self.log.download_error(&file.url, None, &io::Error::other(why.clone()))),
            _ => None,
        };
        self.keep(written.unwrap_or(Ok(())));
    }

    /// Everything has come, and is split.
    pub(super) fn split(&mut self, report: &Report, begun: SystemTime) -> Result<(), BulkError> {
        let Account { sources, ledger, .. } = &report.account;
        self.log.export_complete(&ExportTotals {
            files: sources.read,
            resources: ledger.records.read,
            bytes: ledger.bytes.read,
            duration: begun.elapsed().unwrap_or_default(),
        })
    }

    /// Everything has come.
    pub(super) fn complete(&mut self, report: &FetchReport, begun: SystemTime) -> Result<(), BulkError> {
        self.log.export_complete(&ExportTotals {
            files: report.files.len() as u64,
            // Nobody looks into files that are only fetched; what the sender says is all that is known.
            resources: report.files.iter().filter_map(|file| file.declared).sum(),
            bytes: report.stored_bytes,
            duration: begun.elapsed().unwrap_or_default(),
        })
    }
}

/// The file at that place of the manifest, and the list in which it stands.
fn of(manifest: &StatusManifest, place: usize) -> Option<(ItemType, &ManifestFile)> {
    let deleted_from = manifest.outputs.len();
    let item = match place {
        place if place < deleted_from => ItemType::Output,
        place if place < deleted_from + manifest.deleted.len() => ItemType::Deleted,
        _ => ItemType::Error,
    };
    manifest.files().nth(place).map(|file| (item, file))
}
