//! How sources beyond this machine are reached.

use std::error::Error;
use std::fmt;
#[cfg(any(feature = "http", feature = "cloud"))]
use std::io;
use std::sync::Arc;
#[cfg(feature = "http")]
use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use crate::manifest::ListedUrl;
#[cfg(feature = "http")]
use crate::{
    BulkError, Declared, Export, ExportEvent, FoundBy, HttpClient, HttpError, HttpOptions, HttpOrigin,
    ManifestFile, SecretUrl, StatusManifest, bulk::Watch, bulk::manifest_at, shown::shown,
};
#[cfg(feature = "cloud")]
use crate::{CloudOptions, cloud::WindowSizes};
use crate::{FetchError, Found};
#[cfg(feature = "http")]
use fhirline_core::SourceRole;

/// How servers and object stores are asked. Clones share connections, and what was seen of objects.
///
/// Its `Debug` shows no secret.
#[derive(Clone)]
pub struct Network {
    max_downloads: usize,
    #[cfg_attr(not(any(feature = "http", feature = "cloud")), expect(dead_code, reason = "nothing is held"))]
    held_bytes: usize,
    #[cfg_attr(not(feature = "cloud"), expect(dead_code, reason = "only readers of objects differ"))]
    turns: Turns,
    #[cfg(feature = "http")]
    http: Arc<Http>,
    #[cfg(feature = "http")]
    watch: Watch,
    #[cfg(feature = "cloud")]
    cloud: Arc<CloudOptions>,
    #[cfg(not(any(feature = "http", feature = "cloud")))]
    _none: Arc<()>,
}

/// Who reads sources that arrive at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turns {
    /// One source is read after the other.
    OneByOne,
    /// All are read at once.
    Together,
}

/// Downloads at once.
const MAX_DOWNLOADS: usize = 4;
/// What they hold together, whatever their number.
const HELD_BYTES: usize = 6 << 20;

impl Default for Network {
    /// As the environment says, with buffers that fit into a small ceiling on memory.
    fn default() -> Self {
        Self {
            max_downloads: MAX_DOWNLOADS,
            held_bytes: HELD_BYTES,
            turns: Turns::OneByOne,
            #[cfg(feature = "http")]
            http: Arc::default(),
            #[cfg(feature = "http")]
            watch: Watch::default(),
            #[cfg(feature = "cloud")]
            cloud: Arc::default(),
            #[cfg(not(any(feature = "http", feature = "cloud")))]
            _none: Arc::default(),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Network");
        shown.field("max_downloads", &self.max_downloads);
        #[cfg(feature = "http")]
        shown.field("http", &self.http.options);
        #[cfg(feature = "cloud")]
        shown.field("cloud", &self.cloud);
        shown.finish()
    }
}

#[cfg(feature = "http")]
#[derive(Default)]
struct Http {
    options: HttpOptions,
    /// Hosts that may get the credentials beside those of the URLs that were named.
    token_hosts: Vec<String>,
    client: OnceLock<Result<HttpClient, HttpError>>,
    /// What lies at the URLs that were looked at.
    seen: Mutex<HashMap<String, Seen>>,
}

#[cfg(feature = "http")]
#[derive(Clone)]
enum Seen {
    Data,
    Manifest(Arc<Files>),
    /// It was tried as long as it may be.
    Failed(Arc<BulkError>),
}

/// The files of a manifest, each with the client that it is asked for with.
#[cfg(feature = "http")]
struct Files {
    manifest: StatusManifest,
    clients: Vec<Result<HttpClient, Arc<BulkError>>>,
}

impl Network {
    /// How many sources from servers and stores arrive at once: the one that is read, and those behind it. 4 unless set; at
    /// least 1, at most 64.
    #[must_use]
    pub fn with_max_downloads(self, max_downloads: usize) -> Self {
        Self { max_downloads: max_downloads.clamp(1, 64), ..self }
    }

    /// What they hold together, in bytes; 6 MiB unless set.
    pub(crate) fn with_held_bytes(self, held_bytes: usize) -> Self {
        Self { held_bytes, ..self }
    }

    /// For whoever reads all of them at once.
    pub(crate) fn together(self) -> Self {
        Self { turns: Turns::Together, ..self }
    }

    pub(crate) fn max_downloads(&self) -> usize {
        self.max_downloads
    }

    /// Asks servers like this.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn with_http(self, options: HttpOptions) -> Self {
        let token_hosts = self.http.token_hosts.clone();
        Self { http: Arc::new(Http { options, token_hosts, ..Http::default() }), ..self }
    }

    /// Lets these hosts (`host` or `host:port`) have the credentials too if files that a manifest names on them want the access token:
    /// files on other servers than the manifest's URL, or those of a manifest that was no URL.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn with_token_hosts<T: Into<String>>(self, hosts: impl IntoIterator<Item = T>) -> Self {
        let (options, token_hosts) = (self.http.options.clone(), hosts.into_iter().map(Into::into).collect());
        Self { http: Arc::new(Http { options, token_hosts, ..Http::default() }), ..self }
    }

    /// Tells how it goes while a source is waited for that is the status of an export which a server still makes.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn telling(self, tell: impl Fn(&ExportEvent<'_>) + Send + Sync + 'static) -> Self {
        Self { watch: Watch { tell: Some(Arc::new(tell)), ..self.watch }, ..self }
    }

    /// Ends that wait as soon as this says so.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn stopped_by(self, stopped: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { watch: Watch { stopped: Some(Arc::new(stopped)), ..self.watch }, ..self }
    }

    /// Asks object stores like this, those that are written to as well; as the environment says unless set. How long windows are
    /// follows from what may be held.
    #[cfg(feature = "cloud")]
    #[must_use]
    pub fn with_cloud(self, options: CloudOptions) -> Self {
        Self { cloud: Arc::new(options), ..self }
    }

    /// The same with so many further attempts at a request to an object store.
    #[cfg(feature = "cloud")]
    #[must_use]
    pub fn with_retries_of_cloud(self, retries: usize) -> Self {
        let options = CloudOptions::clone(&self.cloud).retries(retries);
        self.with_cloud(options)
    }

    /// How object stores are asked.
    #[cfg(feature = "cloud")]
    #[must_use]
    pub fn cloud(&self) -> &CloudOptions {
        &self.cloud
    }

    /// The same for readers, whose windows have their part of what may be held.
    #[cfg(feature = "cloud")]
    pub(crate) fn cloud_to_read(&self) -> CloudOptions {
        CloudOptions::clone(&self.cloud).with_windows(self.windows())
    }

    /// One that is read alone has two thirds of what may be held, those behind it share the rest.
    #[cfg(feature = "cloud")]
    fn windows(&self) -> WindowSizes {
        match (self.turns, self.max_downloads - 1) {
            (Turns::OneByOne, 0) => WindowSizes::within(self.held_bytes, self.held_bytes),
            (Turns::OneByOne, waiting) => {
                WindowSizes::within(self.held_bytes / 3 * 2, self.held_bytes / 3 / waiting)
            }
            (Turns::Together, _) => {
                let reader_bytes = self.held_bytes / self.max_downloads;
                WindowSizes::within(reader_bytes, reader_bytes)
            }
        }
    }
}

#[cfg(not(feature = "http"))]
impl Network {
    /// Nothing is asked for by this build.
    pub(crate) fn found_elsewhere(&self, _: &ListedUrl, _: bool) -> Option<Result<Found, FetchError>> {
        None
    }

    /// Nothing is asked for by this build.
    pub(crate) fn found_on_page(&self, manifest: &str, _: &str) -> Vec<Result<Found, FetchError>> {
        vec![Err(FetchError::NextPage { name: manifest.to_owned() })]
    }
}

#[cfg(feature = "http")]
impl Network {
    /// A file that a manifest names which came from no server; `None` if its URL is none of the web. Credentials go to hosts only
    /// that are named for them.
    pub(crate) fn found_elsewhere(
        &self,
        file: &ListedUrl,
        wants_token: bool,
    ) -> Option<Result<Found, FetchError>> {
        let url = web_url(&file.url)?;
        let client = self.client().map_err(|source| BulkError::Http { step: "the first look", source });
        let client = client.and_then(|client| self.export_of(client).client_for_url(&url, wants_token));
        let client = client.map_err(Arc::new);
        Some(origin_of(&url, &client, self.ahead_bytes()).map(|origin| Found::Source {
            origin: Box::new(origin),
            by: FoundBy::Manifest,
            role: file.role,
            declared: file.declared.clone(),
        }))
    }

    /// What lies on the further pages of a manifest which came from no server.
    pub(crate) fn found_on_page(&self, manifest: &str, next: &str) -> Vec<Result<Found, FetchError>> {
        let Some(url) = web_url(next) else {
            return vec![Err(FetchError::NextPage { name: manifest.to_owned() })];
        };
        let seen = self.seen_at(next, |client| {
            let export = self.export_of(client.clone());
            let mut tell = |event: &ExportEvent<'_>| self.watch.tell(event);
            let (manifest, _) = export.pages(url.url(), &mut tell, &|| self.watch.is_over())?;
            Ok(Some((export, manifest)))
        });
        self.found_there(next, seen)
    }

    fn export_of(&self, client: HttpClient) -> Export {
        Export::without_base(client).token_hosts(self.http.token_hosts.clone())
    }

    /// Whether that URL may be asked for at all. Nothing is sent.
    pub(crate) fn check(&self, url: &str) -> Result<(), FetchError> {
        let origin = self.client().and_then(|client| HttpOrigin::new(&client, url));
        origin.map(drop).map_err(|source| FetchError::Http { url: shown(url), source })
    }

    /// What lies at that URL: data, or the files of a manifest. It is looked at once.
    pub(crate) fn found_at(&self, url: &str) -> Vec<Result<Found, FetchError>> {
        let seen = self.seen_at(url, |client| manifest_at(client, url, &self.http.token_hosts, &self.watch));
        self.found_there(url, seen)
    }

    fn found_there(&self, url: &str, seen: Seen) -> Vec<Result<Found, FetchError>> {
        match seen {
            Seen::Data => {
                let origin = self.client().and_then(|client| HttpOrigin::new(&client, url));
                let failed = |source| FetchError::Http { url: shown(url), source };
                vec![origin.map_err(failed).map(|origin| Found::source(origin, FoundBy::Name))]
            }
            Seen::Manifest(files) => files.found(self.ahead_bytes()),
            Seen::Failed(error) => vec![Err(match &*error {
                BulkError::Http { source, .. } => {
                    FetchError::Http { url: shown(url), source: source.clone() }
                }
                _ => FetchError::BulkData { url: shown(url), source: error },
            })],
        }
    }

    /// What one reader may be behind. As much waits in the client below, where readers share a connection.
    fn ahead_bytes(&self) -> usize {
        self.held_bytes / self.max_downloads / 2
    }

    /// The client, whose readers share what they may hold.
    fn client(&self) -> Result<HttpClient, HttpError> {
        let ahead_bytes = self.ahead_bytes();
        let client = || HttpClient::new(self.http.options.clone().with_ahead_bytes(ahead_bytes));
        let client = self.http.client.get_or_init(client).clone()?.with_ahead_bytes(ahead_bytes);
        Ok(match self.watch.stopped.clone() {
            Some(stopped) => client.stopped_by(move || stopped()),
            None => client,
        })
    }

    fn seen_at(
        &self,
        url: &str,
        look: impl FnOnce(&HttpClient) -> Result<Option<(Export, StatusManifest)>, BulkError>,
    ) -> Seen {
        let seen = || self.http.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = seen().get(url) {
            return seen.clone();
        }
        let step = "the first look";
        let client = self.client().map_err(|source| BulkError::Http { step, source });
        let looked = client.and_then(|client| look(&client));
        let found = match looked {
            Ok(None) => Seen::Data,
            Ok(Some((export, manifest))) => {
                let client = |file| export.client_for_file(&manifest, file).map_err(Arc::new);
                let clients = manifest.files().map(client).collect();
                Seen::Manifest(Arc::new(Files { manifest, clients }))
            }
            Err(error) => Seen::Failed(Arc::new(error)),
        };
        seen().insert(url.to_owned(), found.clone());
        found
    }
}

#[cfg(feature = "http")]
impl Files {
    /// The files, each to be read so far behind the network.
    fn found(&self, ahead_bytes: usize) -> Vec<Result<Found, FetchError>> {
        let outputs = match self.manifest.organized_by {
            Some(_) => SourceRole::Organized,
            None => SourceRole::Data,
        };
        let roles = std::iter::repeat_n(outputs, self.manifest.outputs.len())
            .chain(std::iter::repeat_n(SourceRole::Deleted, self.manifest.deleted.len()))
            .chain(std::iter::repeat(SourceRole::Errors));
        let files = self.manifest.files().zip(&self.clients).zip(roles);
        files.map(|((file, client), role)| found(file, client, role, ahead_bytes)).collect()
    }
}

#[cfg(feature = "http")]
fn found(
    file: &ManifestFile,
    client: &Result<HttpClient, Arc<BulkError>>,
    role: SourceRole,
    ahead_bytes: usize,
) -> Result<Found, FetchError> {
    let origin = origin_of(&file.url, client, ahead_bytes)?;
    let declared = Declared { resource_type: file.resource_type.clone(), count: file.count };
    let declared = role.sidecar().is_none().then_some(declared);
    Ok(Found::Source { origin: Box::new(origin), by: FoundBy::Manifest, role, declared })
}

#[cfg(feature = "http")]
fn origin_of(
    file: &SecretUrl,
    client: &Result<HttpClient, Arc<BulkError>>,
    ahead_bytes: usize,
) -> Result<HttpOrigin, FetchError> {
    let url = || file.to_string();
    let client =
        client.as_ref().map_err(|error| FetchError::BulkData { url: url(), source: Arc::clone(error) })?;
    HttpOrigin::new(&client.with_ahead_bytes(ahead_bytes), file.expose())
        .map_err(|source| FetchError::Http { url: url(), source })
}

/// The URL, if it is one of the web.
#[cfg(feature = "http")]
fn web_url(url: &str) -> Option<SecretUrl> {
    let url = SecretUrl::parse(url).ok()?;
    ["http", "https"].contains(&url.url().scheme()).then_some(url)
}

/// What can be done about trouble with the network that lies behind an error.
#[must_use]
pub fn network_hint(error: &(dyn Error + 'static)) -> Option<&'static str> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(hint_of)
}

#[cfg(not(any(feature = "http", feature = "cloud")))]
fn hint_of(_error: &(dyn Error + 'static)) -> Option<&'static str> {
    None
}

#[cfg(any(feature = "http", feature = "cloud"))]
fn hint_of(error: &(dyn Error + 'static)) -> Option<&'static str> {
    // The source of an error of the system is that of what it holds, and not what it holds.
    let held = error.downcast_ref().and_then(io::Error::get_ref);
    let error = held.map_or(error, |held| held as &(dyn Error + 'static));
    #[cfg(feature = "http")]
    if let Some(error) = error.downcast_ref::<HttpError>() {
        return error.hint();
    }
    #[cfg(feature = "http")]
    if let Some(error) = error.downcast_ref::<Arc<BulkError>>() {
        return error.hint();
    }
    #[cfg(feature = "cloud")]
    if let Some(error) = error.downcast_ref::<crate::CloudError>() {
        return error.hint();
    }
    None
}

#[cfg(all(test, feature = "cloud"))]
mod tests {
    use super::*;

    /// All that readers of objects hold together.
    fn held(sizes: WindowSizes, reading: usize, waiting: usize) -> usize {
        reading * (sizes.ahead + 1) * sizes.most_bytes + waiting * sizes.first_bytes
    }

    #[test]
    fn objects_hold_no_more_than_they_may() {
        for held_bytes in [3 << 20, 6 << 20, 24 << 20] {
            let network = Network::default().with_held_bytes(held_bytes);
            for downloads in [1, 2, 4, 12] {
                let network = network.clone().with_max_downloads(downloads);
                let one_by_one = held(network.windows(), 1, downloads - 1);
                assert!(one_by_one <= held_bytes, "{downloads}: {:?}", network.windows());
                assert!(one_by_one >= held_bytes / 2, "{downloads}: {:?}", network.windows());
                let together = network.together().windows();
                assert!(held(together, downloads, 0) <= held_bytes, "{downloads}: {together:?}");
            }
        }
    }
}
