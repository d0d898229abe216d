use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use fhirline_core::{Identity, Origin};

use super::link::{Lead, Link};
use super::pin::{Pin, Seen};
use super::probe::probe;
use super::queue::queue;
use super::reader::HttpReader;
use super::target::Target;
use super::transfer::Transfer;
use super::{HttpClient, HttpError};
use crate::net;
use crate::shown::shown;

/// An object behind a URL.
///
/// ```no_run
/// use fhirline_core::Origin;
/// use fhirline_fetch::{HttpClient, HttpOptions, HttpOrigin};
///
/// let client = HttpClient::new(HttpOptions::default())?;
/// let origin = HttpOrigin::new(&client, "https://host/export/Patient.ndjson?signature=…")?;
/// assert_eq!(origin.name(), "https://host/export/Patient.ndjson");
/// std::io::copy(&mut origin.open_at(0)?, &mut std::io::sink())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # One object, or an error
///
/// A long download breaks. A reader goes on where it broke, within the bounds of [`Retry`](super::Retry), and never puts two objects
/// together. What the answers say of the object (its length, `ETag`, `Last-Modified`, content coding) is pinned for the life of
/// the client: every later answer, also to an origin of the same URL that is made later, must say the same. A continuation asks
/// with `If-Match` where there is a strong `ETag`. Where there is none, or the server does not repeat it, the last bytes that were
/// delivered (64 KiB, less after attempts that brought nothing) are asked for again and compared. A server without ranges
/// sends the object from its beginning: what was delivered is hashed (SHA-256), and the second sending must begin with the same.
///
/// What cannot be seen:
///
/// * another object of the same length in the place of the first, from a server that answers ranges and sends no validator or
///   an unchanged one, if the bytes before the break are the same in both;
/// * the same where a server sends an unchanged strong `ETag` for other bytes;
/// * a change of what lies before the offset that a reader was opened at, except by length and validators;
/// * that a body without `Content-Length` and chunks (HTTP/1.0) was cut off: its only end is that of the connection.
///
/// # Data, or an error
///
/// A status that is not 200 or 206 is an error, and so is a body that begins with `<` (a page, or the error of an object store),
/// or that is one JSON object of an error. Compressed bodies are handed out as they are; their content coding may be `gzip` or
/// `zstd`, which is found by their first bytes.
///
/// Errors of readers hold an [`HttpError`]; see [`HttpError::of`].
#[derive(Clone)]
pub struct HttpOrigin {
    client: HttpClient,
    target: Arc<Target>,
    lead: Arc<Lead>,
    pin: Arc<Pin>,
    name: String,
}

impl HttpOrigin {
    /// The object behind that URL; nothing is asked yet. A user and password in the URL are used as credentials, and not
    /// shown.
    ///
    /// # Errors
    /// [`HttpError::BadUrl`] and [`HttpError::NotEncrypted`].
    pub fn new(client: &HttpClient, url: &str) -> Result<Self, HttpError> {
        let target = Target::parse(url, client.options.allow_http)?;
        Ok(Self {
            client: client.clone(),
            lead: Arc::new(Lead::new(target.url.clone(), None)),
            pin: client.pins.of(&target.url),
            name: shown(target.url.as_str()),
            target: Arc::new(target),
        })
    }

    /// The same, with somebody who gives a new URL when this one expired: when the server answers 401, 403, 404 or 410, at the start
    /// or in the middle. What is behind the new URL must be the same object. Credentials go to it only if it is on the scheme, host
    /// and port of the first URL. `renew` may block; it is asked once, and again only after a new byte. Why there is no new URL is
    /// shown as it says it, so it must say it without secrets.
    #[must_use]
    pub fn renewed_by(self, renew: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        let lead = Lead::new(self.target.url.clone(), Some(Arc::new(renew)));
        Self { lead: Arc::new(lead), ..self }
    }

    /// What stands for the state of the object: its `ETag`, or else its `Last-Modified`, as the server writes it; `None` if it
    /// sends neither.
    ///
    /// # Errors
    /// As [`Origin::identity`].
    pub fn validator(&self) -> io::Result<Option<String>> {
        let seen = self.seen()?;
        Ok(seen.etag.or(seen.modified))
    }

    /// What is pinned, or what the server says now.
    fn seen(&self) -> Result<Seen, HttpError> {
        if let Some(seen) = self.pin.seen() {
            return Ok(seen);
        }
        let (mut link, pin) = (self.link(), Arc::clone(&self.pin));
        self.client.wait(&self.name, async move { probe(&mut link, &pin).await })
    }

    fn link(&self) -> Link {
        Link::new(self.client.clone(), Arc::clone(&self.target), Arc::clone(&self.lead))
    }
}

impl Origin for HttpOrigin {
    /// Asks the server once in the life of the client; a change after that is an error of a reader.
    fn identity(&self) -> io::Result<Identity> {
        let seen = self.seen()?;
        let modified = seen.modified_time();
        // A weak one is that of several versions, which need not be the same to the byte.
        let tag = seen.etag.filter(|tag| !tag.starts_with("W/"));
        Ok(Identity { name: self.name.clone(), stored_bytes: seen.stored_bytes, modified, tag })
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// Begins the transfer and returns at once: what the server refuses is an error of the first read.
    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        match self.pin.stored_bytes() {
            Some(stored_bytes) if offset == stored_bytes => return Ok(Box::new(io::empty())),
            Some(stored_bytes) if offset > stored_bytes => {
                return Err(HttpError::BehindEnd { url: self.name.clone(), offset, stored_bytes }.into());
            }
            _ => {}
        }
        let (feed, pieces) = queue(self.client.options.ahead_bytes);
        let transfer = Transfer::new(self.link(), Arc::clone(&self.pin), feed, offset);
        let task = net::runtime()?.spawn(transfer.run());
        let stopped = self.client.stopped.clone();
        Ok(Box::new(HttpReader::new(self.name.clone(), pieces, task.abort_handle(), stopped)))
    }

    fn arrives_by_itself(&self) -> bool {
        true
    }
}

impl fmt::Debug for HttpOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOrigin")
            .field("name", &self.name)
            .field("lead", &self.lead)
            .finish_non_exhaustive()
    }
}
