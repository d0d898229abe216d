//! The JSON API.

use axum::extract::{Path, Query, State as From};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::Shown;
use crate::State;
use crate::clock::now_ms;
use crate::store::{ExportFilter, StoreError};

/// Exports that are listed unless a number is asked for, and at most.
const USUAL: i64 = 50;
const MOST: i64 = 500;

pub(super) fn router() -> Router<Shown> {
    Router::new()
        .route("/api/v1/summary", get(summary))
        .route("/api/v1/exports", get(exports))
        .route("/api/v1/exports/{id}", get(export))
        .route("/api/v1/exports/{id}/retry", post(retry))
        .route("/api/v1/events", get(events))
}

/// Which exports are listed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listed {
    state: Option<State>,
    q: Option<String>,
    before: Option<i64>,
    limit: Option<i64>,
}

impl Listed {
    fn filter(self) -> ExportFilter {
        ExportFilter {
            state: self.state,
            search: self.q.filter(|text| !text.is_empty()),
            before: self.before,
            most: self.limit.unwrap_or(USUAL).clamp(1, MOST),
        }
    }
}

async fn summary(From(shown): From<Shown>) -> Result<Response, Refusal> {
    let (exports, troubles) = (shown.store.counts().await?, shown.store.troubles().await?);
    let modes: Vec<_> = shown.config.modes().collect();
    Ok(Json(json!({ "modes": modes, "exports": exports, "troubles": troubles })).into_response())
}

async fn exports(From(shown): From<Shown>, Query(listed): Query<Listed>) -> Result<Response, Refusal> {
    let mut rows = shown.store.exports(&listed.filter()).await?;
    // The account of each is a page of its own.
    rows.iter_mut().for_each(|row| row.report = None);
    Ok(Json(json!({ "exports": rows })).into_response())
}

async fn export(From(shown): From<Shown>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let export = shown.store.export(&id).await?.ok_or(Refusal::Unknown)?;
    let steps = shown.store.steps(&id).await?;
    Ok(Json(json!({ "export": export, "steps": steps })).into_response())
}

async fn retry(From(shown): From<Shown>, Path(id): Path<String>) -> Result<Response, Refusal> {
    shown.store.export(&id).await?.ok_or(Refusal::Unknown)?;
    if !shown.store.retry(&id).await? {
        return Err(Refusal::NothingToRetry);
    }
    shown.changed.notify_one();
    Ok((StatusCode::ACCEPTED, Json(json!({ "queued_at": crate::clock::rfc3339(now_ms()) }))).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListedEvents {
    flagged: bool,
    limit: Option<i64>,
}

async fn events(From(shown): From<Shown>, Query(listed): Query<ListedEvents>) -> Result<Response, Refusal> {
    let most = listed.limit.unwrap_or(USUAL).clamp(1, MOST);
    let rows = shown.store.events(listed.flagged, most).await?;
    Ok(Json(json!({ "events": rows })).into_response())
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    Unknown,
    NothingToRetry,
    Store(StoreError),
}

impl std::convert::From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::Unknown => (StatusCode::NOT_FOUND, "there is no such export"),
            Self::NothingToRetry => (
                StatusCode::CONFLICT,
                "only what failed, expired or is held, and has links, can be tried again",
            ),
            Self::Store(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a question could not be answered");
                (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer")
            }
        };
        (status, Json(json!({ "error": why }))).into_response()
    }
}
