use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::Builder;

use super::{BulkError, ExportRequest, SecretUrl, StatusManifest};

/// Of the form that is written. A state of another version is not taken up.
const VERSION: u32 = 1;

/// What must be known to take an export up again where it was left: kept by the caller, and saved whenever it changes.
///
/// Its JSON holds the status URL and the files' URLs as they are; whoever reads it may read the export. `Debug` shows the
/// status URL's host only.
#[derive(Clone, PartialEq, Eq)]
pub struct ExportState {
    /// What was asked for.
    pub request: ExportRequest,
    /// The id under which the export log has this export.
    pub export_id: String,
    /// Where the server tells how far it is.
    pub status_url: SecretUrl,
    /// When the server took the export.
    pub kicked_off_at: SystemTime,
    /// What the export has come to, once it is known with all its pages.
    pub manifest: Option<StatusManifest>,
    /// The files that the caller has done with, under names of its own. URLs would not do: a server may give new ones.
    pub files_done: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    version: u32,
    request: ExportRequest,
    export_id: String,
    status_url: String,
    kicked_off_at: String,
    manifest: Option<Value>,
    files_done: BTreeSet<String>,
}

impl ExportState {
    /// The state as text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let form = Form {
            version: VERSION,
            request: self.request.clone(),
            export_id: self.export_id.clone(),
            status_url: self.status_url.expose().to_string(),
            kicked_off_at: humantime::format_rfc3339_millis(self.kicked_off_at).to_string(),
            manifest: self.manifest.as_ref().map(StatusManifest::to_json),
            files_done: self.files_done.clone(),
        };
        // Maps with names for keys and nothing that can fail.
        serde_json::to_string(&form).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`BulkError::BadState`].
    pub fn from_json(text: &str) -> Result<Self, BulkError> {
        let form: Form = serde_json::from_str(text).map_err(|_| BulkError::BadState)?;
        if form.version != VERSION {
            return Err(BulkError::BadState);
        }
        let status_url = Url::parse(&form.status_url).map_err(|_| BulkError::BadState)?;
        let manifest = form.manifest.map(|manifest| {
            StatusManifest::parse(manifest.to_string().as_bytes(), &status_url)
                .map_err(|_| BulkError::BadState)
        });
        Ok(Self {
            request: form.request,
            export_id: form.export_id,
            kicked_off_at: humantime::parse_rfc3339(&form.kicked_off_at).map_err(|_| BulkError::BadState)?,
            manifest: manifest.transpose()?,
            files_done: form.files_done,
            status_url: status_url.into(),
        })
    }

    /// Writes the state to a file that only its owner may read (mode 0600), whole or not at all.
    ///
    /// # Errors
    /// [`BulkError::Note`].
    pub fn save(&self, path: &Path) -> Result<(), BulkError> {
        replace(path, self.to_json().as_bytes()).map_err(|source| note("write", path, source))
    }

    /// Reads the state from a file; `None` if there is no such file.
    ///
    /// # Errors
    /// [`BulkError::Note`], [`BulkError::BadState`].
    pub fn load(path: &Path) -> Result<Option<Self>, BulkError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::from_json(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(BulkError::BadState),
            Err(error) => Err(note("read", path, error)),
        }
    }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made with mode 0600.
    let mut file = Builder::new().prefix(".export-").suffix(".partial").tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

fn note(verb: &'static str, path: &Path, source: io::Error) -> BulkError {
    BulkError::Note { verb, name: path.display().to_string(), source }
}

impl fmt::Debug for ExportState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportState")
            .field("request", &self.request)
            .field("export_id", &self.export_id)
            .field("status_url", &self.status_url.shown_origin())
            .field("kicked_off_at", &self.kicked_off_at)
            .field("manifest", &self.manifest)
            .field("files_done", &self.files_done.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::bulk::ExportLevel;

    fn state() -> ExportState {
        let base = Url::parse("https://host/status/CANARY?CANARY").expect("a URL");
        let manifest = br#"{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":true,
            "output":[{"type":"Patient","url":"a?CANARY","count":2},{"type":"Patient","url":"b","fileSize":9}],
            "deleted":[{"type":"Bundle","url":"c"}],"outcome":[{"url":"d","continuesInFile":"e"}],
            "link":[{"relation":"next","url":"f"}],"request":"https://host/$export"}"#;
        ExportState {
            request: ExportRequest::new("https://host", ExportLevel::Patient)
                .expect("a request")
                .types(["Patient"]),
            export_id: "7".to_owned(),
            manifest: Some(StatusManifest::parse(manifest, &base).expect("a manifest")),
            status_url: base.into(),
            kicked_off_at: UNIX_EPOCH + Duration::from_millis(1_234_567_890_123),
            files_done: ["Patient.000.ndjson".to_owned()].into(),
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        assert_eq!(ExportState::load(&path).expect("no file yet"), None);
        for export_id in ["7", "8"] {
            let state = ExportState { export_id: export_id.to_owned(), ..state() };
            state.save(&path).expect("saved");
            assert_eq!(ExportState::load(&path).expect("read").expect("a state"), state);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left there");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        fs::write(&path, "{}").expect("written");
        state().save(&path).expect("saved");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let text = state().to_json();
        for end in 0..text.len() {
            assert!(matches!(ExportState::from_json(&text[..end]), Err(BulkError::BadState)), "{end}");
        }
        let newer = text.replace("\"version\":1", "\"version\":2");
        assert!(matches!(ExportState::from_json(&newer), Err(BulkError::BadState)));
    }

    #[test]
    fn debug_shows_no_secrets() {
        let shown = format!("{:?}", state());
        assert!(shown.contains("https://host") && !shown.contains("CANARY"), "{shown}");
    }
}
