//! What the service shows: health, metrics, a JSON API and a page over it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as From;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Notify, watch};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::store::Store;

mod api;

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

/// All routes but those of deliveries.
pub(crate) fn router(shown: Shown) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(api::router())
        .with_state(shown)
}

/// Whether deliveries would be stored.
async fn ready(From(shown): From<Shown>) -> (StatusCode, &'static str) {
    if *shown.stop.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match shown.store.answers().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}

async fn metrics(From(shown): From<Shown>) -> Response {
    let counts = shown.store.counts().await.unwrap_or_default();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shown.metrics.text(&counts)).into_response()
}
