use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};

use super::patience::retry_after;
use super::{HttpError, target};
use crate::shown::shown;

/// An answer with its whole body, see [`HttpClient::ask`](super::HttpClient::ask).
#[derive(Clone)]
pub struct Answer {
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The first header of that name, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the server wants to be left alone (`Retry-After`, in seconds or as a date).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What a reference in this answer means: a URL, or a path beside the one that gave the answer.
    ///
    /// # Errors
    /// [`HttpError::BadUrl`].
    pub fn resolve(&self, reference: &str) -> Result<String, HttpError> {
        let url = self.url.join(reference).map_err(|error| target::no_url(&error))?;
        Ok(url.into())
    }

    /// The answer, if its status is one of success.
    ///
    /// # Errors
    /// [`HttpError::Refused`].
    pub fn accepted(self) -> Result<Self, HttpError> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(HttpError::Refused { url: shown(self.url.as_str()), status: self.status.as_u16() })
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("url", &shown(self.url.as_str()))
            .field("status", &self.status.as_u16())
            .field("body", &self.body.len())
            .finish()
    }
}
