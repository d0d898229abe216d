use std::fmt;

use bytes::Bytes;
use reqwest::Method;
use secrecy::SecretString;

use crate::shown::shown;

/// One question of a small exchange, see [`HttpClient::ask`](super::HttpClient::ask).
///
/// ```
/// use fhirline_fetch::Request;
///
/// let request = Request::post("https://host/token").with_header("accept", "application/json").with_body("grant_type=x");
/// assert_eq!(format!("{request:?}"), "Request { method: POST, url: \"https://host/token\", body: 12 }");
/// ```
#[derive(Clone)]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(String, SecretString)>,
    pub(super) body: Bytes,
    pub(super) max_bytes: usize,
    pub(super) once: bool,
    pub(super) status_only: bool,
}

impl Request {
    /// A `GET`.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url.into())
    }

    /// A `POST`.
    #[must_use]
    pub fn post(url: impl Into<String>) -> Self {
        Self::new(Method::POST, url.into())
    }

    /// A `DELETE`.
    #[must_use]
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new(Method::DELETE, url.into())
    }

    fn new(method: Method, url: String) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            body: Bytes::new(),
            max_bytes: 16 << 20,
            once: false,
            status_only: false,
        }
    }

    /// With one more header. Only `Accept`, `Prefer`, `Content-Type` and those of ranges follow a redirect to another server.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body. It follows no redirect to another server.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With this as the most bytes that the answer's body may have (16 MiB by default).
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Asked once: whatever comes is the answer, and the caller waits and asks again.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Asked once, and of the answer only the status counts: a redirect is not followed, and no body is read.
    #[must_use]
    pub fn status_only(mut self) -> Self {
        self.status_only = true;
        self.once()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &shown(&self.url))
            .field("body", &self.body.len())
            .finish()
    }
}
