use std::sync::atomic::Ordering;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_UNMODIFIED_SINCE,
    LOCATION, RANGE,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::access::Access;
use super::error::cause;
use super::patience::Fault;
use super::target::Target;
use super::{HttpClient, HttpError};
use crate::shown::shown;

const MAX_REDIRECTS: usize = 10;

/// What a server elsewhere may get to see of a request. Anything else could be a secret.
const HARMLESS: [HeaderName; 7] = [
    ACCEPT,
    ACCEPT_ENCODING,
    CONTENT_TYPE,
    IF_MATCH,
    IF_UNMODIFIED_SINCE,
    RANGE,
    HeaderName::from_static("prefer"),
];

/// One question, as it is sent.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether a redirect is an answer like any other.
    pub(super) stays: bool,
}

impl Question {
    pub(super) fn get(headers: HeaderMap) -> Self {
        Self { method: Method::GET, headers, body: Bytes::new(), stays: false }
    }

    /// What is asked where a redirect leads (the Fetch standard, section "HTTP-redirect fetch").
    fn redirected(&mut self, status: StatusCode) {
        let becomes_get = match status.as_u16() {
            301 | 302 => self.method == Method::POST,
            303 => !matches!(self.method, Method::GET | Method::HEAD),
            _ => false,
        };
        if becomes_get {
            self.method = Method::GET;
            self.headers.remove(CONTENT_TYPE);
            self.body = Bytes::new();
        }
    }
}

/// Asks and follows redirects, until there is an answer, whatever its status. `url` is where the target leads now.
pub(super) async fn exchange(
    client: &HttpClient,
    target: &Target,
    url: &Url,
    question: &Question,
) -> Result<Response, Fault> {
    let access = Access::to(target, &client.options.credentials, &client.extra).await?;
    let response = follow(client, target, url, question, &access).await?;
    if response.status() != StatusCode::UNAUTHORIZED || !may_know(client, target, response.url()) {
        return Ok(response);
    }
    match access.renewed(target).await? {
        Some(access) => follow(client, target, url, question, &access).await,
        None => Ok(response),
    }
}

async fn follow(
    client: &HttpClient,
    target: &Target,
    url: &Url,
    question: &Question,
    access: &Access,
) -> Result<Response, Fault> {
    let mut question = question.clone();
    let mut url = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let response = hop(client, target, &url, &question, access).await?;
        let takes_success = client.options.takes_location_of_success && target.is_home(&url);
        let location = location_of(&response, takes_success).filter(|_| !question.stays);
        let Some(location) = location else { return Ok(response) };
        let to = target.redirect(&url, location)?;
        question.redirected(response.status());
        if !question.body.is_empty() && !target.is_home(&to) {
            let reason = "another server, which must not get the body of the request";
            return Err(
                HttpError::BadRedirect { url: shown(url.as_str()), to: shown(to.as_str()), reason }.into()
            );
        }
        url = to;
    }
    Err(HttpError::TooManyRedirects { url: shown(target.url.as_str()), max_redirects: MAX_REDIRECTS }.into())
}

fn location_of(response: &Response, takes_success: bool) -> Option<&str> {
    match response.status().as_u16() {
        200 if takes_success => response.headers().get(LOCATION)?.to_str().ok(),
        301 | 302 | 303 | 307 | 308 => response.headers().get(LOCATION)?.to_str().ok(),
        _ => None,
    }
}

async fn hop(
    client: &HttpClient,
    target: &Target,
    url: &Url,
    question: &Question,
    access: &Access,
) -> Result<Response, Fault> {
    let mut request = reqwest::Request::new(question.method.clone(), url.clone());
    let may_know = may_know(client, target, url);
    *request.headers_mut() = headers_for(may_know, question, access);
    if !question.body.is_empty() || question.method == Method::POST {
        *request.body_mut() = Some(question.body.clone().into());
    }
    let retry = &client.options.retry;
    let longest = retry.connect + retry.idle;
    match tokio::time::timeout(longest, client.sender(url)?.execute(request)).await {
        Ok(Ok(response)) => {
            client.answered.store(true, Ordering::Relaxed);
            Ok(response)
        }
        Ok(Err(error)) if client.answered.load(Ordering::Relaxed) => Err(fault(url, error)),
        Ok(Err(error)) => Err(fault(url, error).at_first()),
        Err(_) => Err(Fault::passing(HttpError::Silent { url: shown(url.as_str()), waited: longest })),
    }
}

/// Whether what is secret may go there.
fn may_know(client: &HttpClient, target: &Target, url: &Url) -> bool {
    target.is_home(url) && (!client.options.secrets_end_at_redirects || *url == target.url)
}

fn headers_for(may_know: bool, question: &Question, access: &Access) -> HeaderMap {
    let mut headers = question.headers.clone();
    if !may_know {
        let harmless = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
        return harmless.filter(|(name, _)| HARMLESS.contains(name)).collect();
    }
    // The first value of a name replaces what the question has, the next ones stand beside it.
    for name in access.headers.keys() {
        headers.remove(name);
    }
    for (name, value) in &access.headers {
        headers.append(name, HeaderValue::clone(value));
    }
    headers
}

/// What a failure to get an answer means.
pub(super) fn fault(url: &Url, error: reqwest::Error) -> Fault {
    let url = shown(url.as_str());
    let (connecting, lasting) = (error.is_connect(), error.is_builder());
    let source = cause(error);
    // A certificate that is not trusted now will not be so in a minute.
    let lasting = lasting || (connecting && source.kind() == std::io::ErrorKind::InvalidData);
    let error =
        if connecting { HttpError::NoConnection { url, source } } else { HttpError::Broken { url, source } };
    if lasting { error.into() } else { Fault::passing(error) }
}
