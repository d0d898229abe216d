//! The second hop: a store of files that refuses keys, as S3 does beside a signed URL.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH,
    RANGE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde::Deserialize;

use super::{Shared, api};

const PIECE_BYTES: u64 = 256 << 10;

pub(super) fn routes(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/ehi-export/{file}", get(export))
        .route("/catalog/{file}", get(catalog))
        .with_state(Arc::clone(shared))
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "X-Amz-Signature")]
    signature: Option<String>,
}

fn xml(status: StatusCode, code: &str) -> Response {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code></Error>");
    (status, [(CONTENT_TYPE, "application/xml")], body).into_response()
}

/// Why a request is refused, whatever it asks for.
fn refusal(shared: &Shared, signed: &Signed, headers: &HeaderMap) -> Option<Response> {
    let now = shared.clock.now();
    let mut world = shared.world();
    if headers.contains_key(AUTHORIZATION) {
        world.leaked_keys += 1;
        return Some(xml(StatusCode::BAD_REQUEST, "InvalidArgument"));
    }
    let is_signed = signed.signature.as_deref().is_some_and(|signature| world.is_signed(signature, now));
    (!is_signed).then(|| xml(StatusCode::FORBIDDEN, "AccessDenied"))
}

async fn catalog(
    State(shared): State<Arc<Shared>>,
    Path(file): Path<String>,
    Query(signed): Query<Signed>,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = refusal(&shared, &signed, &headers) {
        return refusal;
    }
    match api::catalog_file(&file) {
        Some(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        None => xml(StatusCode::NOT_FOUND, "NoSuchKey"),
    }
}

async fn export(
    State(shared): State<Arc<Shared>>,
    Query(signed): Query<Signed>,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = refusal(&shared, &signed, &headers) {
        return refusal;
    }
    let content = &shared.content;
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(IF_MATCH).is_some_and(|wanted| wanted != content.etag) {
        return xml(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    let total = content.total_bytes();
    let range = text(RANGE).and_then(|range| range_of(range, total));
    let (from, to) = match range {
        Some(Some(range)) => range,
        Some(None) => {
            let header = [(CONTENT_RANGE, format!("bytes */{total}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, header).into_response();
        }
        None => (0, total),
    };
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = (status, body(Arc::clone(&shared), from, to)).into_response();
    let answer = response.headers_mut();
    let mut put =
        |name: HeaderName, value: String| value.parse().map(|value| answer.insert(name, value)).is_ok();
    put(CONTENT_LENGTH, (to - from).to_string());
    put(ETAG, content.etag.clone());
    put(ACCEPT_RANGES, "bytes".to_owned());
    put(CONTENT_TYPE, "application/fhir+ndjson".to_owned());
    if range.is_some() {
        put(CONTENT_RANGE, format!("bytes {from}-{}/{total}", to - 1));
    }
    response
}

/// `bytes=a-` and `bytes=a-b`; the inner `None` where there is nothing. Other forms are passed over.
fn range_of(header: &str, total: u64) -> Option<Option<(u64, u64)>> {
    let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
    let from: u64 = from.parse().ok()?;
    let to = if to.is_empty() { total } else { to.parse::<u64>().ok()?.saturating_add(1).min(total) };
    Some((from < to).then_some((from, to)))
}

/// The bytes, up to where the connection is to end.
fn body(shared: Arc<Shared>, from: u64, to: u64) -> Body {
    let end = to.min(shared.content.sent_bytes.max(from));
    let pieces = stream::unfold((shared, from), move |(shared, at)| async move {
        if at >= to {
            return None;
        }
        if at >= end {
            return Some((Err(io::ErrorKind::ConnectionReset.into()), (shared, to)));
        }
        let content = Arc::clone(&shared);
        let most = PIECE_BYTES.min(end - at);
        let read = tokio::task::spawn_blocking(move || content.content.read(at, most)).await;
        let read = read.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        let next = read.as_ref().map_or(to, |bytes| at + bytes.len() as u64);
        Some((read, (shared, next)))
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(range_of("bytes=3-", 10), Some(Some((3, 10))));
        assert_eq!(range_of("bytes=3-5", 10), Some(Some((3, 6))));
        assert_eq!(range_of("bytes=3-99", 10), Some(Some((3, 10))));
        assert_eq!(range_of("bytes=10-", 10), Some(None));
        assert_eq!(range_of("bytes=-3", 10), None);
        assert_eq!(range_of("lines=1-", 10), None);
    }
}
