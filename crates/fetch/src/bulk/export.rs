use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use reqwest::Url;

use super::access::Access;
use super::assertion::random_id;
use super::error::{CANCEL, KICK_OFF, STATUS};
use super::issue::issues_of;
use super::pace::pause;
use super::poll::{Status, is_passing, status_of};
use super::{
    BulkError, ExportEvent, ExportPace, ExportRequest, ExportState, FhirBase, Issue, KickOffMethod,
    ManifestError, ManifestFile, SecretUrl, StatusManifest,
};
use crate::shown::shown;
use crate::{Answer, HttpClient, HttpError, Request};

/// Most pages of a manifest.
const MAX_PAGES: usize = 10_000;

/// Asks a FHIR server for exports, and waits for them.
///
/// The credentials of its client go to the FHIR server (its scheme, host and port), and to hosts that were named; to no
/// other, whatever the server says. Every call blocks; what is waited for is told, and the wait ends at once when the caller
/// wants it to.
///
/// ```no_run
/// use fhirline_fetch::{Export, ExportLevel, ExportRequest, ExportState, FhirBase, HttpClient, HttpOptions};
/// use std::path::Path;
///
/// let base = FhirBase::parse("https://bulk.example/fhir")?;
/// let request = ExportRequest::new(base, ExportLevel::Patient)?.types(["Patient"]);
/// let export = Export::new(HttpClient::new(HttpOptions::default())?, request.base());
/// let note = Path::new("export.json");
/// let mut state = match ExportState::load(note)? {
///     Some(state) if state.request == request => state,
///     _ => export.kick_off(&request, &mut |_| (), &|| false)?,
/// };
/// state.save(note)?;
/// let manifest = export.wait(&mut state, &mut |event| println!("{event:?}"), &|| false)?;
/// for file in manifest.outputs {
///     println!("{}", file.url);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Export {
    access: Access,
    pace: ExportPace,
}

/// What became of a request to end an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The server took it: the export ends, or its files may go.
    Accepted,
    /// The server does not know the export (any more).
    Unknown,
}

impl Export {
    /// Exports from the FHIR server at `base`, asked for with this client and its credentials.
    #[must_use]
    pub fn new(client: HttpClient, base: &FhirBase) -> Self {
        Self { access: Access::new(client, Some(base.clone())), pace: ExportPace::default() }
    }

    /// For a manifest that came from nowhere: its credentials go to hosts only that are named.
    pub(crate) fn without_base(client: HttpClient) -> Self {
        Self { access: Access::new(client, None), pace: ExportPace::default() }
    }

    /// The credentials may also go to these hosts (`host` or `host:port`), encrypted if the FHIR server is.
    #[must_use]
    pub fn token_hosts<T: Into<String>>(mut self, hosts: impl IntoIterator<Item = T>) -> Self {
        self.access = self.access.with_token_hosts(hosts.into_iter().map(Into::into).collect());
        self
    }

    /// Sets how often it asks.
    #[must_use]
    pub fn pace(mut self, pace: ExportPace) -> Self {
        self.pace = pace;
        self
    }

    /// Starts an export. The state that it gives must be saved before anything else: it is all that leads back to the
    /// export.
    ///
    /// A server that is busy (429, 503), or not there, is asked again. An answer that is lost on its way is not: the server
    /// may have begun an export.
    ///
    /// # Errors
    /// [`BulkError::Http`], [`BulkError::Refused`], [`BulkError::NoStatusUrl`], [`BulkError::NoRandomness`],
    /// [`BulkError::Stopped`].
    pub fn kick_off(
        &self,
        request: &ExportRequest,
        tell: &mut dyn FnMut(&ExportEvent<'_>),
        stopped: &dyn Fn() -> bool,
    ) -> Result<ExportState, BulkError> {
        let export_id = random_id().ok_or(BulkError::NoRandomness)?;
        let url = request.operation_url();
        let answer = match self.kick(request, tell, stopped) {
            Ok(answer) => answer,
            Err(error) => {
                let (status, issues) = error.answer();
                tell(&ExportEvent::NotKickedOff { request, status, issues });
                return Err(error);
            }
        };
        let status_url =
            status_url_of(&answer).ok_or_else(|| BulkError::NoStatusUrl { url: shown(url.as_str()) })?;
        tell(&ExportEvent::KickedOff { request });
        Ok(ExportState {
            request: request.clone(),
            export_id,
            status_url: status_url.into(),
            kicked_off_at: SystemTime::now(),
            manifest: None,
            files_done: [].into(),
        })
    }

    /// Waits until the export is ready, and gets its manifest with all pages. The state keeps it: what is known is not asked
    /// for again.
    ///
    /// # Errors
    /// [`BulkError::Http`], [`BulkError::Refused`], [`BulkError::Manifest`], [`BulkError::NotReady`], [`BulkError::Stopped`].
    pub fn wait(
        &self,
        state: &mut ExportState,
        tell: &mut dyn FnMut(&ExportEvent<'_>),
        stopped: &dyn Fn() -> bool,
    ) -> Result<StatusManifest, BulkError> {
        if let Some(manifest) = &state.manifest {
            return Ok(manifest.clone());
        }
        let (manifest, pages) = match self.pages(state.status_url.url(), tell, stopped) {
            Ok(pages) => pages,
            Err(BulkError::Stopped) => return Err(BulkError::Stopped),
            Err(error) => {
                let (status, issues) = error.answer();
                tell(&ExportEvent::Failed { status, issues });
                return Err(error);
            }
        };
        tell(&ExportEvent::Complete { pages, manifest: &manifest });
        state.manifest = Some(manifest.clone());
        Ok(manifest)
    }

    /// Gets the manifest again, for URLs that have not expired. What was done with files stays noted.
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait).
    pub fn refresh(
        &self,
        state: &mut ExportState,
        tell: &mut dyn FnMut(&ExportEvent<'_>),
        stopped: &dyn Fn() -> bool,
    ) -> Result<StatusManifest, BulkError> {
        state.manifest = None;
        self.wait(state, tell, stopped)
    }

    /// Tells the server that the export is not wanted any more: it ends, or, if it was complete, its files may go.
    ///
    /// # Errors
    /// [`BulkError::Http`], [`BulkError::Refused`].
    pub fn cancel(&self, state: &ExportState) -> Result<Cancelled, BulkError> {
        let url = state.status_url.url();
        let request = Request::delete(url.as_str()).with_header("accept", "application/json");
        let answer = self.access.client_for(url).ask(&request);
        let answer = answer.map_err(|source| BulkError::Http { step: CANCEL, source })?;
        match answer.status() {
            200..=299 => Ok(Cancelled::Accepted),
            404 | 410 => Ok(Cancelled::Unknown),
            status => Err(self.refused(CANCEL, url, status, issues_of(answer.body()))),
        }
    }

    /// The client to download a file of the manifest with. It has the credentials if, and only if, the manifest says that
    /// files want the access token. Options such as [`HttpOptions::with_accept`](crate::HttpOptions::with_accept) are those
    /// of this export's client: `application/fhir+ndjson` is what a file should be asked for as.
    ///
    /// # Errors
    /// [`BulkError::ForeignFile`]: the file wants the token, but is on a host that must not have it.
    pub fn client_for_file(
        &self,
        manifest: &StatusManifest,
        file: &ManifestFile,
    ) -> Result<HttpClient, BulkError> {
        self.access.client_for_file(&file.url, manifest.requires_access_token)
    }

    /// The client to download what is at a URL with, that wants the access token or not.
    pub(crate) fn client_for_url(&self, url: &SecretUrl, wants_token: bool) -> Result<HttpClient, BulkError> {
        self.access.client_for_file(url, wants_token)
    }

    pub(crate) fn pages(
        &self,
        first: &Url,
        tell: &mut dyn FnMut(&ExportEvent<'_>),
        stopped: &dyn Fn() -> bool,
    ) -> Result<(StatusManifest, usize), BulkError> {
        let deadline = Instant::now().checked_add(self.pace.max_total);
        let wrong = |url: &Url, source| BulkError::Manifest { url: shown(url.as_str()), source };
        let mut manifest = self.page(first, deadline, tell, stopped)?;
        let mut seen = HashSet::from([first.clone()]);
        tell(&ExportEvent::Page { number: 1, page: &manifest });
        while let Some(next) = manifest.next.clone() {
            let url = next.url();
            if !seen.insert(url.clone()) {
                return Err(wrong(url, ManifestError::PagesRepeat { url: next.to_string() }));
            }
            if seen.len() > MAX_PAGES {
                return Err(wrong(url, ManifestError::TooManyPages { max_pages: MAX_PAGES }));
            }
            let page = self.page(url, deadline, tell, stopped)?;
            tell(&ExportEvent::Page { number: seen.len(), page: &page });
            manifest = manifest.joined(page).map_err(|source| wrong(url, source))?;
        }
        Ok((manifest, seen.len()))
    }

    /// Asks until the page is there.
    fn page(
        &self,
        url: &Url,
        deadline: Option<Instant>,
        tell: &mut dyn FnMut(&ExportEvent<'_>),
        stopped: &dyn Fn() -> bool,
    ) -> Result<StatusManifest, BulkError> {
        let (mut waits, mut faults) = (0, 0);
        loop {
            let wait = match self.look(url)? {
                Look::Page(page) => return Ok(*page),
                Look::Working { progress, retry_after } => {
                    faults = 0;
                    let wait = self.pace.wait(waits, retry_after, fastrand::f64());
                    tell(&ExportEvent::Working { progress: progress.as_deref(), retry_after, wait });
                    wait
                }
                Look::Faltering { error, retry_after } => {
                    faults += 1;
                    self.falter(error, faults, retry_after, tell)?
                }
            };
            waits += 1;
            if deadline.is_some_and(|deadline| Instant::now() + wait > deadline) {
                return Err(BulkError::NotReady { waited: self.pace.max_total });
            }
            pause(wait, stopped)?;
        }
    }

    /// Asks once.
    fn look(&self, url: &Url) -> Result<Look, BulkError> {
        let question = Request::get(url.as_str()).with_header("accept", "application/json").once();
        let answer = match self.access.client_for(url).ask(&question) {
            Ok(answer) => answer,
            Err(source) => {
                let passing = is_passing(&source);
                let error = BulkError::Http { step: STATUS, source };
                return if passing { Ok(Look::Faltering { error, retry_after: None }) } else { Err(error) };
            }
        };
        let status = status_of(&answer, url);
        match status.map_err(|source| BulkError::Manifest { url: shown(url.as_str()), source })? {
            Status::Working { progress, retry_after } => Ok(Look::Working { progress, retry_after }),
            Status::Page(page) => Ok(Look::Page(page)),
            Status::Faltering { status, issues, retry_after } => {
                Ok(Look::Faltering { error: self.refused(STATUS, url, status, issues), retry_after })
            }
            Status::Failed { status, issues } => Err(self.refused(STATUS, url, status, issues)),
        }
    }

    /// Asks once, and again as long as nothing has begun: the server is not there, or busy.
    fn kick(
        &self,
        request: &ExportRequest,
        tell: &mut dyn FnMut(&ExportEvent<'_>),
        stopped: &dyn Fn() -> bool,
    ) -> Result<Answer, BulkError> {
        let question = kick_off_question(request);
        let url = request.operation_url();
        let client = self.access.client_for(&url);
        let mut faults = 0;
        loop {
            let (error, retry_after) = match client.ask(&question) {
                Ok(answer) if answer.status() == 202 => return Ok(answer),
                Ok(answer) => {
                    let error = self.refused(KICK_OFF, &url, answer.status(), issues_of(answer.body()));
                    if !matches!(answer.status(), 429 | 503) {
                        return Err(error);
                    }
                    (error, answer.retry_after())
                }
                Err(source @ HttpError::NoConnection { .. }) => {
                    (BulkError::Http { step: KICK_OFF, source }, None)
                }
                Err(source) => return Err(BulkError::Http { step: KICK_OFF, source }),
            };
            faults += 1;
            pause(self.falter(error, faults, retry_after, tell)?, stopped)?;
        }
    }

    /// How long to wait after a fault.
    ///
    /// # Errors
    /// The fault itself, when there were too many.
    fn falter(
        &self,
        error: BulkError,
        faults: u32,
        retry_after: Option<Duration>,
        tell: &mut dyn FnMut(&ExportEvent<'_>),
    ) -> Result<Duration, BulkError> {
        if faults >= self.pace.max_faults {
            return Err(error);
        }
        let wait = self.pace.wait(faults - 1, retry_after, fastrand::f64());
        let (status, issues) = error.answer();
        let kicked_off = !matches!(
            error,
            BulkError::Http { step: KICK_OFF, .. } | BulkError::Refused { step: KICK_OFF, .. }
        );
        tell(&ExportEvent::Faltering { kicked_off, status, issues, wait });
        Ok(wait)
    }

    fn refused(&self, step: &'static str, url: &Url, status: u16, issues: Vec<Issue>) -> BulkError {
        let withheld = matches!(status, 401 | 403).then(|| self.access.withheld_from(url)).flatten();
        BulkError::Refused { step, url: shown(url.as_str()), status, issues, token_withheld_from: withheld }
    }
}

/// What one question for the status came to.
enum Look {
    Working { progress: Option<String>, retry_after: Option<Duration> },
    Page(Box<StatusManifest>),
    Faltering { error: BulkError, retry_after: Option<Duration> },
}

fn status_url_of(answer: &Answer) -> Option<Url> {
    let url = Url::parse(&answer.resolve(answer.header("content-location")?).ok()?).ok()?;
    ["http", "https"].contains(&url.scheme()).then_some(url)
}

fn kick_off_question(request: &ExportRequest) -> Request {
    let question = match request.kick_off_method() {
        KickOffMethod::Get => Request::get(request.kick_off_url().as_str()),
        KickOffMethod::Post => Request::post(request.operation_url().as_str())
            .with_header("content-type", "application/fhir+json")
            .with_body(request.parameters().to_string()),
    };
    question.with_header("accept", "application/fhir+json").with_header("prefer", "respond-async").once()
}
