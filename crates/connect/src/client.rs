//! The REST API (<https://docs.connect.fastenhealth.com/api-reference/openapi.yaml>).

use std::fmt;
use std::sync::Arc;

use fhirline_core::Origin;
use fhirline_fetch::{HttpClient, HttpOptions, HttpOrigin, Request};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{ApiKeys, ConnectError, DownloadLink, Mode};
use base::ApiBase;
use reply::{plain, wrapped};

pub use catalog::{Catalog, CatalogItem, CatalogLinks, SearchHit, SearchPage};
pub use export::{ExportState, ExportTask, TefcaFixture};
pub use organization::{OrgConnection, Organization};

pub(crate) mod base;
mod catalog;
mod export;
mod organization;
pub(crate) mod reply;

/// Most bytes of an answer that is no export.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How a [`Client`] asks.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The API, with or without `/v1`; `https://api.connect.fastenhealth.com/v1` unless set. Plain `http://` only on this machine.
    pub base_url: String,
    /// Retries and other bounds. Its credentials are not used.
    pub http: HttpOptions,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { base_url: "https://api.connect.fastenhealth.com/v1".to_owned(), http: HttpOptions::default() }
    }
}

/// Fasten Connect, as one organization sees it in one mode. Blocks; clones are cheap.
///
/// ```no_run
/// use fhirline_connect::{ApiKeys, Client, ClientOptions, Mode};
///
/// let keys = ApiKeys::new(Mode::Test, "public_test_…", "private_test_…".into())?;
/// let client = Client::new(keys, &ClientOptions::default())?;
/// let task = client.request_export("1ff1f8a3-6a86-4b1c-9d2e-0a6f3d6f8c11", None)?;
/// println!("{}: {}", task.task_id, task.state.name());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    keys: ApiKeys,
    base: ApiBase,
    /// Sends the keys, but to no other server than the API's.
    http: HttpClient,
}

impl Client {
    /// A client with these keys. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ConnectError::BadBase`], and [`ConnectError::Http`] if the network cannot be made ready.
    pub fn new(keys: ApiKeys, options: &ClientOptions) -> Result<Self, ConnectError> {
        let base = ApiBase::parse(&options.base_url)?;
        let http = options.http.clone().with_credentials(keys.credentials());
        let http = http.taking_location_of_success(true).ending_secrets_at_redirects(true);
        let http =
            HttpClient::new(http).map_err(|source| ConnectError::Http { step: "the set-up", source })?;
        Ok(Self { keys, base, http })
    }

    /// The mode of its keys.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.keys.mode()
    }

    /// Requests an export of all that a connection gives. Asked twice, the server answers with the request that it has already. The
    /// data comes by webhook, and in no other way.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn request_export(
        &self,
        org_connection_id: &str,
        fixture: Option<TefcaFixture>,
    ) -> Result<ExportTask, ConnectError> {
        const STEP: &str = "requesting the export";
        let mut wanted = json!({ "org_connection_id": org_connection_id });
        if let Some(fixture) = fixture {
            wanted["fixtures"] = json!({ "tefca_ccda": fixture.file_name() });
        }
        let url = self.base.below(["bridge", "fhir", "ehi-export"]);
        self.ask(STEP, post_json(url, &wanted))
    }

    /// The state of an export: never its links, and never its data.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn export_state(&self, task_id: &str) -> Result<ExportTask, ConnectError> {
        let url = self.base.below(["bridge", "fhir", "ehi-export", task_id]);
        self.ask("asking for the state of the export", Request::get(url))
    }

    /// What is known of a connection.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connection(&self, org_connection_id: &str) -> Result<OrgConnection, ConnectError> {
        let url = self.base.below(["bridge", "org_connection", org_connection_id]);
        self.ask("asking for the connection", Request::get(url))
    }

    /// The organization of these keys. It is asked for by the public id alone.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn organization(&self) -> Result<Organization, ConnectError> {
        let url = self.base.asking(["bridge", "org"], &[("public_id", self.keys.public_id())]);
        self.ask_openly("asking for the organization", Request::get(url))
    }

    /// A brand, a portal or a TEFCA directory of the catalog.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn catalog(&self, item: &Catalog) -> Result<CatalogItem, ConnectError> {
        let mut pairs = self.public_pairs();
        pairs.push(item.pair());
        let url = self.base.asking(["bridge", "catalog"], &pairs);
        self.ask_openly("asking the catalog", Request::get(url))
    }

    /// One page of what the catalog finds. `after` is [`SearchPage::next`] of the page before.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn search_catalog(&self, query: &str, after: Option<&[Value]>) -> Result<SearchPage, ConnectError> {
        let mut wanted = json!({ "query": query });
        if let Some(after) = after {
            wanted["searchAfter"] = json!(after);
        }
        let url = self.base.asking(["bridge", "catalog", "search"], &self.public_pairs());
        self.ask_openly("searching the catalog", post_json(url, &wanted))
    }

    /// Where the whole catalog is, for an hour.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn export_catalog(&self) -> Result<CatalogLinks, ConnectError> {
        const STEP: &str = "asking for the export of the catalog";
        let url = self.base.below(["bridge", "catalog", "export"]);
        let answer = self.answer(&self.http, STEP, Request::get(url))?;
        plain(STEP, &answer)
    }

    /// An export as a source. The keys go to the API only: it answers with a signed URL elsewhere, which gets none. That URL lives for
    /// minutes; each request, also one that goes on in mid-file, asks the API for a new one.
    ///
    /// A link to another server than the API is read without keys.
    ///
    /// # Errors
    /// [`ConnectError::Http`], when the link is none.
    pub fn download(&self, link: &DownloadLink) -> Result<Arc<dyn Origin>, ConnectError> {
        let url = link.url.expose();
        let http = if self.base.is_home(url) { self.http.clone() } else { self.http.without_secrets() };
        let again = url.to_owned();
        let origin = HttpOrigin::new(&http, url).map(|origin| origin.renewed_by(move || Ok(again.clone())));
        let origin =
            origin.map_err(|source| ConnectError::Http { step: "the link of the export", source })?;
        Ok(Arc::new(origin))
    }

    /// The same for somebody who may be told to stop: as soon as this says so, what waits for the API or reads an export ends.
    #[must_use]
    pub fn stopped_by(&self, stopped: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { http: self.http.stopped_by(stopped), ..self.clone() }
    }

    fn public_pairs(&self) -> Vec<(&'static str, &str)> {
        vec![("api_mode", self.mode().name()), ("public_id", self.keys.public_id())]
    }

    fn ask<T: DeserializeOwned>(&self, step: &'static str, request: Request) -> Result<T, ConnectError> {
        wrapped(step, &self.answer(&self.http, step, request)?)
    }

    /// The same without the private key.
    fn ask_openly<T: DeserializeOwned>(
        &self,
        step: &'static str,
        request: Request,
    ) -> Result<T, ConnectError> {
        wrapped(step, &self.answer(&self.http.without_secrets(), step, request)?)
    }

    fn answer(
        &self,
        http: &HttpClient,
        step: &'static str,
        request: Request,
    ) -> Result<Vec<u8>, ConnectError> {
        let answer = http.ask(&request.with_header("accept", "application/json").max_bytes(MAX_ANSWER_BYTES));
        let answer = answer.map_err(|source| ConnectError::Http { step, source })?;
        if (200..300).contains(&answer.status()) {
            return Ok(answer.body().to_vec());
        }
        Err(ConnectError::Refused { step, status: answer.status(), message: reply::message(answer.body()) })
    }
}

fn post_json(url: String, body: &Value) -> Request {
    Request::post(url).with_header("content-type", "application/json").with_body(body.to_string())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("keys", &self.keys).field("base", &self.base).finish_non_exhaustive()
    }
}
