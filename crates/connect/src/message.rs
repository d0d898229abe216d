use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fhirline_fetch::{HttpClient, HttpError, HttpOptions, Request, Retry};

use crate::SigningSecret;

/// Sends signed messages, as webhooks are sent (Standard Webhooks, <https://www.standardwebhooks.com>). Blocks.
#[derive(Clone)]
pub struct Messenger {
    http: HttpClient,
    longest_answer: Duration,
    stopped: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Messenger {
    /// A receiver that has not answered after so long has failed. Messages go to `https://` only, and to this machine.
    ///
    /// # Errors
    /// [`HttpError::Setup`], if the network cannot be made ready.
    pub fn new(longest_answer: Duration) -> Result<Self, HttpError> {
        let retry = Retry { idle: longest_answer, max_elapsed: longest_answer, ..Retry::default() };
        let http = HttpClient::new(HttpOptions::default().with_retry(retry))?;
        Ok(Self { http, longest_answer, stopped: Arc::new(|| false) })
    }

    /// The same for somebody who may be told to stop: as soon as this says so, no answer is waited for.
    #[must_use]
    pub fn stopped_by(self, stopped: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { stopped: Arc::new(stopped), ..self }
    }

    /// Sends one, once. The id says which it is, and stays the same when it is sent again; time and signature are new. Returns the status of the
    /// answer, whose body is not read. A redirect is no success: who is led elsewhere by one would ask there without the message.
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
            .status_only();
        if let Some(secret) = secret {
            post = post.with_header("webhook-signature", secret.sign(id, timestamp, body.as_bytes()));
        }
        // Connecting and a slow head are a part of it.
        let (begun, longest, stopped) = (Instant::now(), self.longest_answer, Arc::clone(&self.stopped));
        let http = self.http.stopped_by(move || begun.elapsed() >= longest || stopped());
        http.ask(&post).map(|answer| answer.status())
    }
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Messenger")
    }
}
