use std::fmt;
use std::time::{Duration, SystemTime};

use fhirline_fetch::{HttpClient, HttpError, HttpOptions, Request, Retry};

use crate::SigningSecret;

/// Answers to messages are not read beyond these.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Sends signed messages, as webhooks are sent (Standard Webhooks, <https://www.standardwebhooks.com>). Blocks.
#[derive(Clone)]
pub struct Messenger(HttpClient);

impl Messenger {
    /// A receiver that is silent for so long has failed. Messages go to `https://` only, and to this machine.
    ///
    /// # Errors
    /// [`HttpError::Setup`], if the network cannot be made ready.
    pub fn new(longest_answer: Duration) -> Result<Self, HttpError> {
        let retry = Retry { idle: longest_answer, max_elapsed: longest_answer, ..Retry::default() };
        Ok(Self(HttpClient::new(HttpOptions::default().with_retry(retry))?))
    }

    /// Sends one, once. The id says which it is, and stays the same when it is sent again; time and signature are new. Returns the status of the
    /// answer.
    ///
    /// # Errors
    /// [`HttpError`], if there is no answer.
    pub fn send(
        &self,
        url: &str,
        secret: Option<&SigningSecret>,
        id: &str,
        body: &str,
    ) -> Result<u16, HttpError> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let timestamp = since.as_secs();
        let mut post = Request::post(url)
            .with_header("content-type", "application/json")
            .with_header("webhook-id", id.to_owned())
            .with_header("webhook-timestamp", timestamp.to_string())
            .with_body(body.to_owned())
            .max_bytes(MAX_ANSWER_BYTES)
            .once();
        if let Some(secret) = secret {
            post = post.with_header("webhook-signature", secret.sign(id, timestamp, body.as_bytes()));
        }
        self.0.ask(&post).map(|answer| answer.status())
    }
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Messenger")
    }
}
