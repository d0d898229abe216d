use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};

use super::HttpError;
use super::content_range::ContentRange;
use super::link::Link;
use super::patience::{Fault, Patience};
use super::pin::{Pin, Seen};
use super::transfer::{asking, refusal};
use crate::shown::shown;

/// Asks what the server says of the object, and pins it.
///
/// By a `GET` of its first byte: links that are signed for `GET` refuse a `HEAD`.
pub(super) async fn probe(link: &mut Link, pin: &Pin) -> Result<Seen, HttpError> {
    let mut patience = Patience::new(link.client.options.retry);
    // What may be compressed on the fly is asked for as it will be read: a range of it is a range of something else.
    let mut whole = link.client.options.accepts_gzip;
    loop {
        patience.begin();
        let headers = headers(link, whole)?;
        match attempt(link, pin, &headers).await {
            Ok(Some(seen)) => return Ok(seen),
            Ok(None) if whole => return Err(no_range(link)),
            Ok(None) => whole = true,
            Err(fault) => patience.pause(fault).await?,
        }
    }
}

fn headers(link: &Link, whole: bool) -> Result<HeaderMap, HttpError> {
    let mut headers = asking(&link.client.options)?;
    if !whole {
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
    }
    Ok(headers)
}

fn no_range(link: &Link) -> HttpError {
    let url = shown(link.target.url.as_str());
    HttpError::BadAnswer { url, reason: "it refuses a range that was not asked for" }
}

/// `None` if the server has no first byte to give, and does not say how many it has.
async fn attempt(link: &mut Link, pin: &Pin, headers: &HeaderMap) -> Result<Option<Seen>, Fault> {
    let response = link.ask(headers).await?;
    let seen = match response.status().as_u16() {
        status @ (200 | 206) => Seen::of(status, response.headers()),
        416 if is_empty(&response) => Seen { stored_bytes: Some(0), ranges: true, ..Seen::default() },
        416 => return Ok(None),
        _ => return Err(refusal(&response, 0)),
    };
    let changed = |what| HttpError::Changed { url: shown(response.url().as_str()), what };
    Ok(Some(pin.admit(&seen).map_err(changed)?))
}

fn is_empty(response: &Response) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.and_then(ContentRange::parse) == Some(ContentRange::Unsatisfied { total: 0 })
}
