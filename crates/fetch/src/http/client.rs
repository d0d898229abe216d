use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Url};

use super::access::extra_headers;
use super::error::cause;
use super::pin::Pins;
use super::target::{Target, is_loopback};
use super::{Answer, Credentials, HttpError, HttpOptions, Request, ask};
use crate::net;
use crate::shown::shown;

/// What one connection of HTTP/2 may have on its way to one reader: as much as that may be behind, within these bounds. A reader
/// that is slow holds up no other, because the connection as a whole may have many times as much.
const STREAM_WINDOW_BYTES: RangeInclusive<usize> = 64 << 10..=1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;

/// Asks servers. Clones are cheap and share connections, and what is pinned of objects (see [`HttpOrigin`](super::HttpOrigin)).
#[derive(Clone)]
pub struct HttpClient {
    http: reqwest::Client,
    /// For servers on this machine: what is for them goes through no proxy. Made when it is first needed.
    local: Arc<OnceLock<reqwest::Client>>,
    pub(super) options: Arc<HttpOptions>,
    pub(super) extra: Arc<HeaderMap>,
    pub(super) pins: Arc<Pins>,
    /// Whether any server has answered: before that, trouble to connect is most likely that of a wrong name or port.
    pub(super) answered: Arc<AtomicBool>,
    /// Whether what is waited for is still wanted.
    pub(super) stopped: Option<Arc<Stopped>>,
}

/// Whether a wait is to end.
pub(super) type Stopped = dyn Fn() -> bool + Send + Sync;

impl HttpClient {
    /// A client with these options. It honours the system's proxies (but not to reach this machine), and trusts the certificates
    /// that the system trusts, or on Linux those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name in their place.
    ///
    /// # Errors
    /// [`HttpError::BadHeader`], and [`HttpError::Setup`].
    pub fn new(options: HttpOptions) -> Result<Self, HttpError> {
        let extra = Arc::new(extra_headers(&options.headers)?);
        net::ready_tls();
        let http = build(builder(&options))?;
        let (local, pins, answered) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self { http, local, options: Arc::new(options), extra, pins, answered, stopped: None })
    }

    /// The same client with other credentials.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        let options = HttpOptions::clone(&self.options).with_credentials(credentials);
        Self { options: Arc::new(options), ..self.clone() }
    }

    /// The same client without credentials and without the headers that the user added, for URLs that the user did not name.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut options = HttpOptions::clone(&self.options).with_credentials(Credentials::None);
        options.headers.clear();
        Self { options: Arc::new(options), extra: Arc::default(), ..self.clone() }
    }

    /// The same client for somebody who may be told to stop: as soon as this says so, a read or a question of it that waits for a server ends
    /// with [`HttpError::Stopped`]. It is asked some 20 times a second while something is waited for.
    #[must_use]
    pub fn stopped_by(&self, stopped: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { stopped: Some(Arc::new(stopped)), ..self.clone() }
    }

    /// Asks, and reads the whole answer. Blocks; for small exchanges.
    ///
    /// What may be better the next time is tried again within the bounds of [`Retry`](super::Retry): no connection, a broken one, a
    /// silent one (before anything answered at most [three times](super::Retry)), and the statuses 408, 425, 429, 500, 502, 503 and 504. A `POST` is tried again only if it did not reach the server,
    /// or the server said 429 or 503 and when to come again. In the end every status is an answer; see [`Answer::accepted`].
    ///
    /// # Errors
    /// When there is no answer, or its body is larger than [`Request::max_bytes`].
    pub fn ask(&self, request: &Request) -> Result<Answer, HttpError> {
        let target = Target::parse(&request.url, self.options.allow_http)?;
        let (client, request) = (self.clone(), request.clone());
        let asked = client.clone();
        let url = request.url.clone();
        asked.wait(&url, async move { ask::ask(&client, &target, &request).await })
    }
}

impl HttpClient {
    /// The same client for readers that may be so far behind the network.
    pub(crate) fn with_ahead_bytes(&self, ahead_bytes: usize) -> Self {
        let options = HttpOptions::clone(&self.options).with_ahead_bytes(ahead_bytes);
        Self { options: Arc::new(options), ..self.clone() }
    }

    /// Runs what asks that URL on the threads of the network, for as long as it is wanted.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        url: &str,
        future: impl Future<Output = Result<T, HttpError>> + Send + 'static,
    ) -> Result<T, HttpError> {
        let url = shown(url);
        let waited = match &self.stopped {
            Some(stopped) => net::wait_unless(future, &**stopped),
            None => net::wait(future).map(Some),
        };
        let answer = waited.map_err(|error: io::Error| HttpError::Setup { source: Arc::new(error) })?;
        answer.unwrap_or(Err(HttpError::Stopped { url }))
    }

    /// What sends requests to that URL.
    pub(super) fn sender(&self, url: &Url) -> Result<&reqwest::Client, HttpError> {
        if !url.host_str().is_some_and(is_loopback) {
            return Ok(&self.http);
        }
        if let Some(local) = self.local.get() {
            return Ok(local);
        }
        let local = build(builder(&self.options).no_proxy())?;
        Ok(self.local.get_or_init(|| local))
    }
}

fn builder(options: &HttpOptions) -> ClientBuilder {
    let (least, most) = (*STREAM_WINDOW_BYTES.start(), *STREAM_WINDOW_BYTES.end());
    let stream_window = options.ahead_bytes.clamp(least, most) as u32;
    ClientBuilder::new()
        .redirect(Policy::none())
        .referer(false)
        .user_agent(concat!("fhirline/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.retry.connect)
        .http2_initial_stream_window_size(stream_window)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
}

fn build(builder: ClientBuilder) -> Result<reqwest::Client, HttpError> {
    builder.build().map_err(|error| HttpError::Setup { source: cause(error) })
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("options", &self.options).finish_non_exhaustive()
    }
}
