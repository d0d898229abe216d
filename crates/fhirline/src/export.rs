use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Instant;

use fhirline_core::{ChecksumKind, Store};
use fhirline_fetch::{
    BulkError, Cancelled, Export, ExportEvent, ExportPace, ExportRequest, ExportState, FolderStore,
    HttpClient, HttpOptions, SmartOptions, SmartTokens,
};
use fhirline_flow::Cancel;
use fhirline_sink::Hasher;

use crate::fetch::note::Note;
use crate::fetch::run::{THE_EXPORT, recorded};
use crate::fetch::start::{self, EXPORT_LOG, EXPORT_STATE, Holds};
use crate::fetch::{FetchJob, claim};
use crate::{FetchEvent, FetchReport, JobError};

mod files;
mod log;
mod notes;
#[cfg(feature = "cloud")]
mod prefix_notes;
mod run;
mod split;

use run::ExportRun;

/// Most bytes of what is noted of an export: a manifest of 65,536 files with long URLs.
const MAX_STATE_BYTES: u64 = 256 << 20;

/// Whoever exports wants resources by line.
const ACCEPT: &str = "application/fhir+ndjson";

/// What happens on the way to the files of an export.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ExportProgress<'e> {
    /// The server makes them.
    Server(&'e ExportEvent<'e>),
    /// They are fetched.
    Files(&'e FetchEvent),
}

/// What is called with each event of an export.
pub type OnExport<'e> = dyn FnMut(ExportProgress<'_>) + 'e;

/// A FHIR Bulk Data export: a server is asked for it, waited for, and its files are fetched.
///
/// What is known of it is kept in the folder for the files (`_export.partial`, mode 0600), so that the same job takes it up
/// again wherever it was interrupted. `log.ndjson` there is the log that others write and read
/// (<https://github.com/smart-on-fhir/bulk-data-client/wiki/Bulk-Data-Export-Log-Items>).
#[derive(Clone)]
pub struct ExportJob {
    request: ExportRequest,
    http: HttpOptions,
    smart: Option<SmartOptions>,
    token_hosts: Vec<String>,
    pace: ExportPace,
    cancel: Cancel,
}

impl ExportJob {
    /// Asks for this.
    #[must_use]
    pub fn new(request: ExportRequest) -> Self {
        Self {
            request,
            http: HttpOptions::default(),
            smart: None,
            token_hosts: Vec::new(),
            pace: ExportPace::default(),
            cancel: Cancel::new(),
        }
    }

    /// How to speak to the server.
    #[must_use]
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// As whom to ask for access tokens (SMART Backend Services). They are renewed as long as the job goes on.
    #[must_use]
    pub fn smart(mut self, options: SmartOptions) -> Self {
        self.smart = Some(options);
        self
    }

    /// Hosts (`host` or `host:port`), beside that of the FHIR server, that may get credentials if files on them want the token.
    #[must_use]
    pub fn token_hosts<T: Into<String>>(mut self, hosts: impl IntoIterator<Item = T>) -> Self {
        self.token_hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// How often the server is asked.
    #[must_use]
    pub fn pace(mut self, pace: ExportPace) -> Self {
        self.pace = pace;
        self
    }

    /// Lets somebody else stop the job. The export goes on at the server, and the same job takes it up again.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Fetches the export into a folder: `Patient.ndjson`, `Patient.0002.ndjson`, …, `deleted/Bundle.ndjson`,
    /// `error/OperationOutcome.ndjson`, `log.ndjson`, and `manifest.json` last.
    ///
    /// # Errors
    /// [`JobError`]; a file that is incomplete is none, but told in the report.
    pub fn fetch(&self, to: &FetchJob, on_event: &mut OnExport<'_>) -> Result<FetchReport, JobError> {
        let started = Instant::now();
        if to.folder.exists() && !to.folder.is_dir() {
            return Err(JobError::NotAFolder { name: to.name() });
        }
        let is_new = !to.folder.exists();
        let store = FolderStore::open(&to.folder).map_err(to.failed("make"))?;
        let _claim = claim(&store, to)?;
        let report = match self.prepare(&store, to, on_event)? {
            Some(report) => Ok(report),
            None => self.export_to(&store, to, on_event),
        };
        if is_new && report.is_err() {
            // Empty still; if there is something in it, it stays.
            let _ = fs::remove_dir(&to.folder);
        }
        Ok(report?.after(started))
    }

    /// Tells the server that the export which is fetched into that folder is not wanted any more, and removes what has come of
    /// it.
    ///
    /// # Errors
    /// [`JobError::NoExport`] if there is none, and what the server says.
    pub fn cancel(&self, folder: &Path) -> Result<Cancelled, JobError> {
        let to = FetchJob::to(folder);
        if !folder.is_dir() {
            return Err(JobError::NoExport { name: to.name() });
        }
        let store = FolderStore::open(folder).map_err(to.failed("look into"))?;
        let _claim = claim(&store, &to)?;
        let holds = start::look(&store, true).map_err(to.failed("look into"))?;
        let (Holds::Nothing | Holds::Interrupted(_), Some(state)) = (&holds, load(&store, &to)?) else {
            return Err(JobError::NoExport { name: to.name() });
        };
        if state.request != self.request {
            return Err(self.other(&to));
        }
        let cancelled = self.client()?.cancel(&state)?;
        clear(&store, &to, holds)?;
        Ok(cancelled)
    }

    fn client(&self) -> Result<Export, JobError> {
        let step = "speaking to the server";
        let failed = |source| BulkError::Http { step, source };
        let mut client = HttpClient::new(self.http.clone().with_accept(ACCEPT)).map_err(failed)?;
        if let Some(smart) = &self.smart {
            let tokens = SmartTokens::discover(&client, self.request.base(), smart)?;
            client = client.with_credentials(tokens.credentials());
        }
        let export = Export::new(client, self.request.base());
        Ok(export.token_hosts(self.token_hosts.clone()).pace(self.pace))
    }

    /// A hash of what is asked for. That itself may name a person.
    fn fingerprint(&self) -> String {
        let mut hasher = Hasher::new(Some(ChecksumKind::Sha256));
        // Strings and lists of them into memory: nothing here can fail.
        hasher.update(&serde_json::to_vec(&self.request).unwrap_or_default());
        hasher.finish().map(|checksum| checksum.to_string()).unwrap_or_default()
    }

    /// Makes sure that the folder is free for this export, or holds a part of it. The report if it holds all of it.
    fn prepare(
        &self,
        store: &FolderStore,
        to: &FetchJob,
        on_event: &mut OnExport<'_>,
    ) -> Result<Option<FetchReport>, JobError> {
        let holds = start::look(store, true).map_err(to.failed("look into"))?;
        let state = if matches!(holds, Holds::Others) { None } else { load(store, to)? };
        let is_this = |request: Option<&String>| request == Some(&self.fingerprint());
        match &holds {
            Holds::Others => return Err(JobError::NotOurs { name: to.name() }),
            _ if to.overwrite => {
                state.iter().for_each(|state| self.abandon(state, on_event));
                clear(store, to, holds)?;
            }
            Holds::Complete(manifest) => {
                let export = manifest.extension.fhirline.export.as_ref();
                if !is_this(export.map(|export| &export.request)) {
                    let differences = vec![THE_EXPORT.to_owned()];
                    return Err(JobError::OtherRun { name: to.name(), differences });
                }
                let Holds::Complete(manifest) = holds else { return Ok(None) };
                return recorded(to, store, *manifest).map(Some);
            }
            Holds::Interrupted(note) => {
                let export = note.export.as_ref();
                if !note.files.is_empty() && !is_this(export.map(|export| &export.request)) {
                    return Err(self.other(to));
                }
                if state.is_none() {
                    // Its export is not known any more: what came of it cannot be put together with what comes of another.
                    clear(store, to, holds)?;
                }
            }
            Holds::Nothing => {}
        }
        match state {
            Some(state) if !to.overwrite && state.request != self.request => Err(self.other(to)),
            _ => Ok(None),
        }
    }

    /// Tells the server that an export is not wanted any more which was noted. Nothing depends on whether it can be told.
    fn abandon(&self, state: &ExportState, on_event: &mut OnExport<'_>) {
        let told = self.client().ok().and_then(|export| export.cancel(state).ok());
        on_event(ExportProgress::Server(&ExportEvent::Abandoned { told }));
    }

    fn other(&self, to: &FetchJob) -> JobError {
        JobError::OtherOptions { name: to.name(), differences: vec![THE_EXPORT.to_owned()] }
    }

    /// Takes the export up where it is, and fetches it.
    fn export_to(
        &self,
        store: &FolderStore,
        to: &FetchJob,
        on_event: &mut OnExport<'_>,
    ) -> Result<FetchReport, JobError> {
        let state = load(store, to)?;
        let run = ExportRun { job: self, to, store, export: self.client()? };
        run.run(state, on_event)
    }
}

impl fmt::Debug for ExportJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportJob")
            .field("request", &self.request)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

/// What is known of the export that is fetched into that folder; nothing if there is none.
fn load(store: &FolderStore, to: &FetchJob) -> Result<Option<ExportState>, JobError> {
    let bytes = store.get(EXPORT_STATE, MAX_STATE_BYTES).map_err(to.failed("look into"))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| BulkError::BadState)?;
    // Whoever replaces it need not understand it.
    if to.overwrite {
        Ok(ExportState::from_json(&text).ok())
    } else {
        Ok(Some(ExportState::from_json(&text)?))
    }
}

/// Removes all that there is of an export.
fn clear(store: &FolderStore, to: &FetchJob, holds: Holds) -> Result<(), JobError> {
    let mut leftover = match holds {
        Holds::Complete(manifest) => start::names_complete(&manifest),
        Holds::Interrupted(note) => start::names_left(&note),
        Holds::Nothing | Holds::Others => Vec::new(),
    };
    leftover.extend([EXPORT_LOG, EXPORT_STATE].map(str::to_owned));
    let mut note = Note::new(None, None, Vec::new());
    note.leftover = leftover;
    let cleared = start::clear(store, note, to.durable).and_then(|_| start::tidy(store));
    cleared.map_err(to.failed("clean"))
}
