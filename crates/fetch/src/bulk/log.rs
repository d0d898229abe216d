use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{BulkError, ExportEvent, ExportRequest, Issue, SecretUrl, StatusManifest};
use crate::shown::shown;

/// How far from its end a log is searched for the last whole line.
const TAIL_BYTES: u64 = 1 << 20;

/// The log of an export, `log.ndjson` in its folder: what bulk-data-client and smart-fetch write and cumulus-etl reads.
///
/// The events and their fields are those of
/// <https://github.com/smart-on-fhir/bulk-data-client/wiki/Bulk-Data-Export-Log-Items>, one line each: `kickoff`,
/// `status_progress`, `status_error`, `status_page_complete`, `status_complete`, `manifest_complete`, `download_request`,
/// `download_complete`, `download_error`, `export_complete`. Times are UTC, durations milliseconds.
///
/// It says less than it could, because it must hold no secret: URLs are without their query (it may be a signature),
/// `responseHeaders` is empty, a `body` is an OperationOutcome of codes alone, `requestParameters` has no `_typeFilter` (it
/// may name a person), and what the server's CapabilityStatement would say is `null`, because it is not asked for.
///
/// The file is made with mode 0600. Lines are only added; one that was cut short by a crash is taken off first.
pub struct ExportLog {
    file: File,
    path: PathBuf,
    export_id: String,
}

/// In which list of the manifest a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemType {
    /// Data.
    Output,
    /// What was deleted.
    Deleted,
    /// OperationOutcomes.
    Error,
}

/// What an export came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportTotals {
    /// Files.
    pub files: u64,
    /// Resources in them.
    pub resources: u64,
    /// Bytes, uncompressed.
    pub bytes: u64,
    /// From kick-off to the end.
    pub duration: Duration,
}

impl ExportLog {
    /// Opens or makes the log at `path`; its lines carry `export_id` (see [`ExportState`](super::ExportState)).
    ///
    /// # Errors
    /// [`BulkError::Note`].
    pub fn open(path: impl Into<PathBuf>, export_id: impl Into<String>) -> Result<Self, BulkError> {
        let path = path.into();
        let file = open(&path).map_err(|source| failed("open", &path, source))?;
        Ok(Self { file, path, export_id: export_id.into() })
    }

    /// Writes down what happens to the export.
    ///
    /// # Errors
    /// [`BulkError::Note`].
    pub fn note(&mut self, event: &ExportEvent<'_>) -> Result<(), BulkError> {
        match *event {
            ExportEvent::KickedOff { request } => self.kicked_off(request, None, &Value::Null),
            ExportEvent::NotKickedOff { request, status: None, .. } => {
                self.kicked_off(request, None, &json!("no answer"))
            }
            ExportEvent::NotKickedOff { request, status, issues } => {
                self.kicked_off(request, status, &outcome(issues))
            }
            // It is asked again, and the format has one event for how that ends. It has none for another export's end.
            ExportEvent::Faltering { kicked_off: false, .. } | ExportEvent::Abandoned { .. } => Ok(()),
            ExportEvent::Working { progress, retry_after, .. } => {
                let retry_after = retry_after.map(|wait| wait.as_secs().to_string());
                self.line(
                    "status_progress",
                    &json!({"body": null, "xProgress": progress, "retryAfter": retry_after}),
                )
            }
            ExportEvent::Faltering { status, issues, .. } | ExportEvent::Failed { status, issues } => {
                self.line("status_error", &trouble(status, issues, "no manifest"))
            }
            ExportEvent::Page { page, .. } => {
                self.line("status_page_complete", &counts(page, ["output", "deleted", "error"]))
            }
            ExportEvent::Complete { pages, manifest } => self.complete(pages, manifest),
        }
    }

    /// A download begins.
    ///
    /// # Errors
    /// [`BulkError::Note`].
    pub fn download_request(
        &mut self,
        url: &SecretUrl,
        item: ItemType,
        resource_type: Option<&str>,
    ) -> Result<(), BulkError> {
        let item = match item {
            ItemType::Output => "output",
            ItemType::Deleted => "deleted",
            ItemType::Error => "error",
        };
        let detail = json!({"fileUrl": url.to_string(), "itemType": item, "resourceType": resource_type});
        self.line("download_request", &detail)
    }

    /// A download is complete: how many resources, if they were counted, and bytes (uncompressed).
    ///
    /// # Errors
    /// [`BulkError::Note`].
    pub fn download_complete(
        &mut self,
        url: &SecretUrl,
        resources: Option<u64>,
        bytes: u64,
    ) -> Result<(), BulkError> {
        let detail = json!({"fileUrl": url.to_string(), "resourceCount": resources, "fileSize": bytes});
        self.line("download_complete", &detail)
    }

    /// A download failed, with this status if there was an answer. `why` is written as it is: an error of ours, whose text
    /// has no secrets.
    ///
    /// # Errors
    /// [`BulkError::Note`].
    pub fn download_error(
        &mut self,
        url: &SecretUrl,
        status: Option<u16>,
        why: &dyn std::error::Error,
    ) -> Result<(), BulkError> {
        let mut detail = trouble(status, &[], &why.to_string());
        detail["fileUrl"] = json!(url.to_string());
        self.line("download_error", &detail)
    }

    /// All downloads are complete.
    ///
    /// # Errors
    /// [`BulkError::Note`].
    pub fn export_complete(&mut self, totals: &ExportTotals) -> Result<(), BulkError> {
        let detail = json!({
            "files": totals.files,
            "resources": totals.resources,
            "bytes": totals.bytes,
            "attachments": null,
            "duration": u64::try_from(totals.duration.as_millis()).unwrap_or(u64::MAX),
        });
        self.line("export_complete", &detail)
    }

    fn kicked_off(
        &mut self,
        request: &ExportRequest,
        status: Option<u16>,
        error: &Value,
    ) -> Result<(), BulkError> {
        let detail = json!({
            "exportUrl": shown(request.operation_url().as_str()),
            "softwareName": null,
            "softwareVersion": null,
            "softwareReleaseDate": null,
            "fhirVersion": null,
            "requestParameters": request.told_parameters(),
            "errorCode": status,
            "errorBody": error,
            "responseHeaders": {},
        });
        self.line("kickoff", &detail)
    }

    fn complete(&mut self, pages: usize, manifest: &StatusManifest) -> Result<(), BulkError> {
        self.line("status_complete", &json!({"transactionTime": manifest.transaction_time}))?;
        let mut detail = counts(manifest, ["totalOutput", "totalDeleted", "totalError"]);
        detail["totalManifests"] = json!(pages);
        self.line("manifest_complete", &detail)
    }

    fn line(&mut self, event: &str, detail: &Value) -> Result<(), BulkError> {
        let mut line = json!({
            "exportId": self.export_id,
            "timestamp": humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            "eventId": event,
            "eventDetail": detail,
        });
        if event == "kickoff" {
            // Clients may add properties; the names are those of smart-fetch.
            line["_client"] = json!("fhirline");
            line["_clientVersion"] = json!(env!("CARGO_PKG_VERSION"));
        }
        // In one piece, so that lines of two writers do not mix.
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|source| failed("write", &self.path, source))
    }
}

impl fmt::Debug for ExportLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportLog").field("path", &self.path).field("export_id", &self.export_id).finish()
    }
}

fn counts(manifest: &StatusManifest, [output, deleted, error]: [&str; 3]) -> Value {
    let mut detail = json!({"transactionTime": manifest.transaction_time});
    detail[format!("{output}FileCount")] = json!(manifest.outputs.len());
    detail[format!("{deleted}FileCount")] = json!(manifest.deleted.len());
    detail[format!("{error}FileCount")] = json!(manifest.outcomes.len());
    detail
}

fn trouble(status: Option<u16>, issues: &[Issue], message: &str) -> Value {
    let message = status.map_or_else(|| message.to_owned(), |status| format!("{message} (status {status})"));
    json!({"body": outcome(issues), "code": status, "message": message, "responseHeaders": {}})
}

/// The codes of an OperationOutcome, in its form.
fn outcome(issues: &[Issue]) -> Value {
    if issues.is_empty() {
        return Value::Null;
    }
    let issue = |issue: &Issue| json!({"severity": issue.severity, "code": issue.code});
    json!({"resourceType": "OperationOutcome", "issue": issues.iter().map(issue).collect::<Vec<_>>()})
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    (&file).take(TAIL_BYTES).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < tail.len() {
        file.set_len(from + whole as u64)?;
    }
    Ok(file)
}

fn failed(verb: &'static str, path: &Path, source: io::Error) -> BulkError {
    BulkError::Note { verb, name: path.display().to_string(), source }
}

#[cfg(test)]
mod tests;
