//! What the service shows: health, metrics, a JSON API, and pages for people over it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, State as From};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Notify, watch};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::store::Store;

mod access;
mod api;
mod assets;
mod figures;
mod live;
mod openapi;
mod pages;

use access::Access;
use live::Live;

/// Most bytes of what people send: a token.
const MAX_FORM_BYTES: usize = 16 << 10;

/// What is shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) store: Store,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    /// Told when something became due.
    pub(crate) changed: Arc<Notify>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// What is shown, to whom, and what of it moves.
#[derive(Clone, Debug)]
struct Site {
    shown: Shown,
    access: Arc<Access>,
    live: Live,
}

impl FromRef<Site> for Shown {
    fn from_ref(site: &Site) -> Self {
        site.shown.clone()
    }
}

impl FromRef<Site> for Arc<Access> {
    fn from_ref(site: &Site) -> Self {
        Arc::clone(&site.access)
    }
}

impl FromRef<Site> for Live {
    fn from_ref(site: &Site) -> Self {
        site.live.clone()
    }
}

/// All routes but those of deliveries.
pub(crate) fn router(shown: Shown) -> Router {
    let access = Arc::new(Access::new(shown.config.page_token.as_ref()));
    let site = Site { live: Live::start(&shown), shown, access };
    let open = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .merge(assets::router());
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .merge(api::router())
        .merge(live::router())
        .merge(openapi::router())
        .merge(pages::router())
        .route_layer(from_fn_with_state(site.clone(), access::with_token));
    let doors = access::router().route_layer(from_fn_with_state(site.clone(), access::from_here));
    let all = open.merge(guarded).merge(doors).layer(map_response(with_headers));
    all.layer(DefaultBodyLimit::max(MAX_FORM_BYTES)).with_state(site)
}

/// What keeps browsers from loading anything that is not ours, from showing it inside of something else, and from storing it.
async fn with_headers(mut response: Response) -> Response {
    const HEADERS: [(header::HeaderName, &str); 4] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: forms would be sent without their origin, by which they are checked.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether deliveries would be stored.
async fn ready(From(shown): From<Shown>) -> (StatusCode, &'static str) {
    if *shown.stop.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    if shown.store.is_writable().await {
        return (StatusCode::OK, "ready\n");
    }
    (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be written to\n")
}

async fn metrics(From(shown): From<Shown>) -> Response {
    let counts = shown.store.counts().await.unwrap_or_default();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shown.metrics.text(&counts)).into_response()
}
