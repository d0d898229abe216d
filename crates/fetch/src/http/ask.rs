use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Method, Response};

use super::access::extra_headers;
use super::exchange::{Question, exchange, fault};
use super::patience::{Again, Fault, Patience, is_passing};
use super::target::Target;
use super::{Answer, HttpClient, HttpError, Request};
use crate::shown::shown;

pub(super) async fn ask(
    client: &HttpClient,
    target: &Target,
    request: &Request,
) -> Result<Answer, HttpError> {
    let question = question(client, request)?;
    let patience = Patience::new(client.options.retry);
    let mut patience = if request.once { patience.once() } else { patience };
    loop {
        patience.begin();
        match attempt(client, target, &question, request.max_bytes).await {
            Ok(answer) => {
                let Some(fault) = again(&question.method, &answer) else { return Ok(answer) };
                if patience.pause(fault).await.is_err() {
                    return Ok(answer);
                }
            }
            Err(fault) => patience.pause(bounded(&question.method, fault)).await?,
        }
    }
}

fn question(client: &HttpClient, request: &Request) -> Result<Question, HttpError> {
    let mut headers = HeaderMap::new();
    if let Some(accept) = &client.options.accept {
        headers.insert(ACCEPT, accept_value(accept)?);
    }
    // Small bodies are not worth a compression, and nobody here takes it off.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.extend(extra_headers(&request.headers)?);
    let (method, body) = (request.method.clone(), request.body.clone());
    Ok(Question { method, headers, body, stays: request.status_only })
}

pub(super) fn accept_value(accept: &str) -> Result<HeaderValue, HttpError> {
    let reason = "its value holds line breaks or control characters";
    HeaderValue::from_str(accept).map_err(|_| HttpError::BadHeader { name: "accept".to_owned(), reason })
}

/// Why to ask again although there is an answer.
fn again(method: &Method, answer: &Answer) -> Option<Fault> {
    let asked = answer.retry_after();
    let repeatable = *method != Method::POST || (matches!(answer.status(), 429 | 503) && asked.is_some());
    if !repeatable || !is_passing(answer.status) {
        return None;
    }
    let error = HttpError::Refused { url: shown(answer.url.as_str()), status: answer.status() };
    Some(Fault { error, again: Again::After(asked) })
}

/// A `POST` that may have reached the server is not sent twice.
fn bounded(method: &Method, fault: Fault) -> Fault {
    match fault.error {
        HttpError::NoConnection { .. } => fault,
        error if *method == Method::POST => error.into(),
        error => Fault { error, again: fault.again },
    }
}

async fn attempt(
    client: &HttpClient,
    target: &Target,
    question: &Question,
    max_bytes: usize,
) -> Result<Answer, Fault> {
    let mut response = exchange(client, target, &target.url, question).await?;
    let body = if question.stays { Bytes::new() } else { whole(&mut response, client, max_bytes).await? };
    Ok(Answer {
        url: response.url().clone(),
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body,
    })
}

async fn whole(response: &mut Response, client: &HttpClient, max_bytes: usize) -> Result<Bytes, Fault> {
    if let Some(coding) = coding_of(response.headers()) {
        return Err(HttpError::Coding { url: shown(response.url().as_str()), coding }.into());
    }
    body(response, client.options.retry.idle, max_bytes).await
}

/// The content coding, if it is one; its name is fit to be shown.
pub(super) fn coding_of(headers: &HeaderMap) -> Option<String> {
    let coding = headers.get(CONTENT_ENCODING)?;
    // `aws-chunked` is about the upload of an object; some stores keep it and say it of the download.
    let codings = coding.to_str().unwrap_or("?").split(',').map(str::trim);
    let codings = codings.filter(|coding| !matches!(*coding, "" | "identity" | "aws-chunked"));
    let codings = codings.collect::<Vec<_>>().join(", ").to_ascii_lowercase();
    (!codings.is_empty()).then(|| codings.chars().take(40).collect())
}

async fn body(response: &mut Response, idle: Duration, max_bytes: usize) -> Result<Bytes, Fault> {
    let mut body = BytesMut::new();
    while let Some(bytes) = next_bytes(response, idle).await? {
        if body.len() + bytes.len() > max_bytes {
            return Err(HttpError::TooLarge { url: shown(response.url().as_str()), max_bytes }.into());
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body.freeze())
}

/// The next bytes of a body; `None` at its end.
pub(super) async fn next_bytes(response: &mut Response, idle: Duration) -> Result<Option<Bytes>, Fault> {
    match tokio::time::timeout(idle, response.chunk()).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(fault(response.url(), error)),
        Err(_) => {
            Err(Fault::passing(HttpError::Silent { url: shown(response.url().as_str()), waited: idle }))
        }
    }
}
