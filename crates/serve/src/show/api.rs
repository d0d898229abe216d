//! The JSON API.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State as From};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Shown, Site};
use crate::State;
use crate::clock::{now_ms, rfc3339};
use crate::store::{CountRow, EventRow, ExportFilter, ExportRow, StepRow, StoreError};

/// Exports that are listed unless a number is asked for, and at most.
const USUAL: i64 = 50;
const MOST: i64 = 500;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/api/v1/summary", get(summary))
        .route("/api/v1/exports", get(exports))
        .route("/api/v1/exports/{id}", get(export))
        .route("/api/v1/exports/{id}/retry", post(retry))
        .route("/api/v1/events", get(events))
}

/// How much there is of everything.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Summary {
    /// The modes that are configured.
    modes: Vec<String>,
    /// Exports by state. A state that no export is in is left out.
    exports: Vec<CountRow>,
    /// What waits for a person: `events_not_understood`, `callbacks_given_up`, `requests_given_up`.
    troubles: Vec<CountRow>,
}

/// How much there is of everything.
#[utoipa::path(get, path = "/api/v1/summary", tag = "exports", responses((status = 200, body = Summary)))]
pub(super) async fn summary(From(shown): From<Shown>) -> Result<Json<Summary>, Refusal> {
    Ok(Json(Summary {
        modes: shown.config.modes().map(|mode| mode.to_string()).collect(),
        exports: shown.store.counts().await?,
        troubles: shown.store.troubles().await?,
    }))
}

/// Which exports are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Listed {
    /// Those in this state.
    #[param(inline)]
    state: Option<State>,
    /// Those with this in an id of theirs: ours, the task's, the connection's, the company's.
    q: Option<String>,
    /// Those that last changed before that: `next_before` of an earlier answer.
    before: Option<i64>,
    /// So many at most: 50 unless it is given, never more than 500.
    limit: Option<i64>,
}

/// Exports.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Exports {
    /// The last changed first, without their reports.
    exports: Vec<ExportRow>,
    /// By which the next ones are asked for, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<i64>,
}

/// Exports, the last changed first.
#[utoipa::path(get, path = "/api/v1/exports", tag = "exports", params(Listed), responses(
    (status = 200, body = Exports), (status = 400, body = Wrong)
))]
pub(super) async fn exports(
    From(shown): From<Shown>,
    listed: Result<Query<Listed>, QueryRejection>,
) -> Result<Json<Exports>, Refusal> {
    let Query(listed) = listed?;
    let filter = ExportFilter {
        state: listed.state,
        search: listed.q.filter(|text| !text.is_empty()),
        before: listed.before,
        most: listed.limit.unwrap_or(USUAL).clamp(1, MOST),
    };
    let (mut exports, next_before) = page(&shown, filter).await?;
    // The report of each is asked for by its id.
    exports.iter_mut().for_each(|row| row.report = None);
    Ok(Json(Exports { exports, next_before }))
}

/// As many as are wanted, and by which the next ones are asked for.
pub(super) async fn page(
    shown: &Shown,
    filter: ExportFilter,
) -> Result<(Vec<ExportRow>, Option<i64>), StoreError> {
    let most = filter.most;
    let mut rows = shown.store.exports(&ExportFilter { most: most + 1, ..filter }).await?;
    let next = cut(&mut rows, usize::try_from(most).unwrap_or(usize::MAX), |row| row.updated_at);
    Ok((rows, next))
}

/// Cuts off what is more than that. What was changed in the same millisecond stays together, as far as it is not more than a page itself.
fn cut<T>(rows: &mut Vec<T>, most: usize, at: impl Fn(&T) -> i64) -> Option<i64> {
    let next = at(rows.get(most)?);
    let whole = rows.iter().take_while(|row| at(row) > next).count();
    rows.truncate(if whole == 0 { most } else { whole });
    Some(if whole == 0 { next } else { next.saturating_add(1) })
}

/// An export with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Whole {
    export: ExportRow,
    /// What happened to it, in order.
    steps: Vec<StepRow>,
}

/// One export, with its report and what happened to it.
#[utoipa::path(get, path = "/api/v1/exports/{id}", tag = "exports", params(("id" = String, Path, description = "The export's id here")), responses(
    (status = 200, body = Whole), (status = 404, body = Wrong)
))]
pub(super) async fn export(From(shown): From<Shown>, Path(id): Path<String>) -> Result<Json<Whole>, Refusal> {
    let export = shown.store.export(&id).await?.ok_or(Refusal::Unknown)?;
    let steps = shown.store.steps(&id).await?;
    Ok(Json(Whole { export, steps }))
}

/// It was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Queued {
    #[schema(format = DateTime)]
    queued_at: String,
}

/// Tries an export again with the links that it has: what failed, has expired, or is held.
#[utoipa::path(post, path = "/api/v1/exports/{id}/retry", tag = "exports", params(("id" = String, Path, description = "The export's id here")), responses(
    (status = 202, body = Queued), (status = 404, body = Wrong), (status = 409, body = Wrong)
))]
pub(super) async fn retry(From(shown): From<Shown>, Path(id): Path<String>) -> Result<Response, Refusal> {
    queue_again(&shown, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(Queued { queued_at: rfc3339(now_ms()) })).into_response())
}

/// Has it tried again.
pub(super) async fn queue_again(shown: &Shown, id: &str) -> Result<(), Refusal> {
    shown.store.export(id).await?.ok_or(Refusal::Unknown)?;
    if !shown.store.retry(id).await? {
        return Err(Refusal::NothingToRetry);
    }
    shown.changed.notify_one();
    Ok(())
}

/// Which events are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListedEvents {
    /// Only those that a person should look at.
    #[param(required = false)]
    flagged: bool,
    /// So many at most: 50 unless it is given, never more than 500.
    limit: Option<i64>,
}

/// Events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Events {
    /// The newest first, without their bodies.
    events: Vec<EventRow>,
}

/// Events, the newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(ListedEvents), responses(
    (status = 200, body = Events), (status = 400, body = Wrong)
))]
pub(super) async fn events(
    From(shown): From<Shown>,
    listed: Result<Query<ListedEvents>, QueryRejection>,
) -> Result<Json<Events>, Refusal> {
    let Query(listed) = listed?;
    let most = listed.limit.unwrap_or(USUAL).clamp(1, MOST);
    Ok(Json(Events { events: shown.store.events(listed.flagged, most).await? }))
}

/// Why there is no other answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Wrong {
    error: String,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    Unknown,
    NothingToRetry,
    Question(String),
    Store(StoreError),
}

impl std::convert::From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl std::convert::From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::Question(rejection.body_text())
    }
}

impl Refusal {
    /// As a status and in words.
    pub(super) fn told(self) -> (StatusCode, String) {
        match self {
            Self::Unknown => (StatusCode::NOT_FOUND, "there is no such export".to_owned()),
            Self::NothingToRetry => (
                StatusCode::CONFLICT,
                "only what failed, expired or is held, and has links, can be tried again".to_owned(),
            ),
            Self::Question(why) => (StatusCode::BAD_REQUEST, why),
            Self::Store(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a question could not be answered");
                (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer".to_owned())
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error) = self.told();
        (status, Json(Wrong { error })).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_between_two_moments() {
        let cut_of = |times: &[i64], most| {
            let mut rows = times.to_vec();
            let next = cut(&mut rows, most, |at| *at);
            (rows, next)
        };
        assert_eq!(cut_of(&[9, 8], 2), (vec![9, 8], None), "all there is");
        assert_eq!(cut_of(&[9, 8, 7], 2), (vec![9, 8], Some(8)));
        assert_eq!(cut_of(&[9, 8, 8], 2), (vec![9], Some(9)), "the next page has both");
        assert_eq!(cut_of(&[8, 8, 8], 2), (vec![8, 8], Some(8)), "more than a page of one moment");
    }
}
