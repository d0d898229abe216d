use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::HeaderMap;
use reqwest::{Response, Url};

use super::exchange::{Question, exchange};
use super::patience::Fault;
use super::target::Target;
use super::{HttpClient, HttpError};
use crate::shown::shown;

/// Gives a new URL for an object whose URL expired, or says why there is none.
pub(super) type Renew = dyn Fn() -> Result<String, String> + Send + Sync;

/// Where an object is to be found now. Shared by the readers of one origin, so that a URL is renewed once for all.
pub(super) struct Lead {
    url: Mutex<Url>,
    renew: Option<Arc<Renew>>,
}

impl Lead {
    pub(super) fn new(url: Url, renew: Option<Arc<Renew>>) -> Self {
        Self { url: Mutex::new(url), renew }
    }

    fn url(&self) -> Url {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a new URL in place of `refused`, unless somebody did so already. False if there is nobody to ask.
    async fn renew(&self, refused: &Url, allow_http: bool) -> Result<bool, String> {
        if self.url() != *refused {
            return Ok(true);
        }
        let Some(renew) = self.renew.clone() else { return Ok(false) };
        // It may block.
        let renewed = tokio::task::spawn_blocking(move || renew()).await;
        let renewed = renewed.unwrap_or_else(|_| Err("the source of new URLs failed".to_owned()))?;
        let target = Target::parse(&renewed, allow_http).map_err(|error| error.to_string())?;
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = target.url;
        Ok(true)
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").field("renews", &self.renew.is_some()).finish_non_exhaustive()
    }
}

/// The way of one reader to its object.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: HttpClient,
    pub(super) target: Arc<Target>,
    pub(super) lead: Arc<Lead>,
    /// Whether the URL was renewed since the last byte that came.
    renewed: bool,
}

impl Link {
    pub(super) fn new(client: HttpClient, target: Arc<Target>, lead: Arc<Lead>) -> Self {
        Self { client, target, lead, renewed: false }
    }

    /// A new byte came.
    pub(super) fn progress(&mut self) {
        self.renewed = false;
    }

    /// Asks for the object with these headers; renews its URL if the server refuses it.
    pub(super) async fn ask(&mut self, headers: &HeaderMap) -> Result<Response, Fault> {
        loop {
            let url = self.lead.url();
            let question = Question::get(headers.clone());
            let response = exchange(&self.client, &self.target, &url, &question).await?;
            let status = response.status().as_u16();
            if self.renewed || !is_gone(status) {
                return Ok(response);
            }
            let renewed = self.lead.renew(&url, self.client.options.allow_http).await;
            let not_renewed = |reason| HttpError::NotRenewed { url: shown(url.as_str()), status, reason };
            if !renewed.map_err(not_renewed)? {
                return Ok(response);
            }
            self.renewed = true;
        }
    }
}

/// Whether a status is that of a link that expired.
pub(super) fn is_gone(status: u16) -> bool {
    matches!(status, 401 | 403 | 404 | 410)
}
