use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use super::Credentials;

/// How an [`HttpClient`](super::HttpClient) asks.
///
/// ```
/// use fhirline_fetch::{Credentials, HttpOptions};
///
/// let options = HttpOptions::default()
///     .with_credentials(Credentials::Bearer("canary-7f".into()))
///     .with_header("x-tenant", "17")
///     .with_accept("application/fhir+ndjson");
/// assert!(!format!("{options:?}").contains("canary-7f"));
/// ```
#[derive(Clone)]
pub struct HttpOptions {
    pub(super) headers: Vec<(String, SecretString)>,
    pub(super) credentials: Credentials,
    pub(super) allow_http: bool,
    pub(super) retry: Retry,
    pub(super) accepts_gzip: bool,
    pub(super) accept: Option<String>,
    pub(super) ahead_bytes: usize,
    pub(super) takes_location_of_success: bool,
    pub(super) secrets_end_at_redirects: bool,
}

/// When to try again, and when to give up. All of it counts from the last byte that came: a transfer may take as long as it
/// takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Most attempts in a row that bring no new byte. To connect there are at most three as long as
    /// nothing has answered.
    pub max_attempts: u32,
    /// Longest time without a new byte, over all attempts and waits.
    pub max_elapsed: Duration,
    /// Longest wait of our own choice between two attempts. A server's `Retry-After` may be longer; it is honoured as far
    /// as `max_elapsed` allows.
    pub max_wait: Duration,
    /// A connection that is silent for so long counts as broken.
    pub idle: Duration,
    /// Longest time to connect.
    pub connect: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            max_elapsed: Duration::from_secs(600),
            max_wait: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            connect: Duration::from_secs(20),
        }
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            credentials: Credentials::None,
            allow_http: false,
            retry: Retry::default(),
            accepts_gzip: false,
            accept: None,
            ahead_bytes: 2 << 20,
            takes_location_of_success: false,
            secrets_end_at_redirects: false,
        }
    }
}

impl HttpOptions {
    /// With one more header. Like credentials it goes only to the scheme, host and port that were named. It replaces what
    /// would be sent under that name otherwise.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With these credentials.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Whether `http://` may be used to hosts other than this machine, and a redirect may lead from `https://` to it.
    #[must_use]
    pub fn allowing_http(mut self, allow_http: bool) -> Self {
        self.allow_http = allow_http;
        self
    }

    /// With these bounds.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Whether a server may compress a body for the transfer. It saves bytes where it does, but what is compressed on the fly
    /// has no length and cannot be continued: it is sent again from the beginning after a break.
    #[must_use]
    pub fn accepting_gzip(mut self, accepts_gzip: bool) -> Self {
        self.accepts_gzip = accepts_gzip;
        self
    }

    /// With this `Accept` header on every request that does not bring its own.
    #[must_use]
    pub fn with_accept(mut self, accept: impl Into<String>) -> Self {
        self.accept = Some(accept.into());
        self
    }

    /// Whether a server that was named leads elsewhere with `Location` also when it answers 200, as some APIs are documented that mean
    /// a redirect.
    #[must_use]
    pub fn taking_location_of_success(mut self, takes: bool) -> Self {
        self.takes_location_of_success = takes;
        self
    }

    /// Whether what is named alone gets headers and credentials, and nothing that it leads to, be it on the same server: some APIs
    /// lead to links that are signed, and stores refuse these together with credentials.
    #[must_use]
    pub fn ending_secrets_at_redirects(mut self, ends: bool) -> Self {
        self.secrets_end_at_redirects = ends;
        self
    }

    /// How many bytes a reader may be behind the network: what it holds in memory (2 MiB by default).
    #[must_use]
    pub fn with_ahead_bytes(mut self, ahead_bytes: usize) -> Self {
        self.ahead_bytes = ahead_bytes;
        self
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("credentials", &self.credentials)
            .field("allow_http", &self.allow_http)
            .field("retry", &self.retry)
            .field("accepts_gzip", &self.accepts_gzip)
            .field("accept", &self.accept)
            .field("ahead_bytes", &self.ahead_bytes)
            .field("takes_location_of_success", &self.takes_location_of_success)
            .field("secrets_end_at_redirects", &self.secrets_end_at_redirects)
            .finish()
    }
}
