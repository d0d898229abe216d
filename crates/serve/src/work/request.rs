//! What is asked of the API: exports, and what became of them.

use std::time::Duration;

use fhirline_connect::{Client, ConnectError, ExportState, ExportTask};
use tracing::{info, warn};

use super::{Worker, next_attempt};
use crate::State;
use crate::aside::aside;
use crate::clock::{after, now_ms};
use crate::store::{Due, StoreError};

/// Asks for an export.
pub(super) async fn request(worker: &Worker, due: &Due) -> Result<(), StoreError> {
    let Some(request) = worker.store.request(&due.id, due.turn).await? else { return Ok(()) };
    let mode = request.mode.parse().ok();
    let Some((mode, fasten)) = mode.and_then(|mode| Some((mode, worker.config.fasten.get(mode)?))) else {
        return worker.store.request_failed(&request, "its mode is not configured any more", None).await;
    };
    let connection = request.org_connection_id.clone();
    let asked = ask(worker, &fasten.client, move |client| client.request_export(&connection, None)).await;
    match asked {
        Ok(task) => {
            info!(mode = %mode, "an export was requested");
            let poll_at = after(now_ms(), worker.config.poll.first());
            worker.store.requested(&request, mode, &task.task_id, &worker.config.rules, poll_at).await
        }
        Err(failure) => {
            warn!(failure = %failure.text, "an export could not be requested");
            let more = !failure.is_final && request.attempts + 1 < attempts_of(worker);
            let first = worker.config.first_retry;
            let due_at = more.then(|| next_attempt(first, request.attempts + 1, Duration::ZERO));
            worker.store.request_failed(&request, &failure.text, due_at).await
        }
    }
}

/// Asks what became of an export that was requested, and whose event has not come.
pub(super) async fn poll(worker: &Worker, due: &Due) -> Result<(), StoreError> {
    let Some(export) = worker.store.export(&due.id).await? else { return Ok(()) };
    if export.turn != due.turn || export.state() != State::Requested {
        return Ok(());
    }
    let Some(fasten) = worker.config.fasten.get(export.mode()) else { return Ok(()) };
    let task = export.task_id.clone();
    let asked = ask(worker, &fasten.client, move |client| client.export_state(&task)).await;
    let now = now_ms();
    let next = after(now, worker.config.poll.every());
    let last = after(export.requested_at.unwrap_or(now), worker.config.poll.most());
    let told = match asked {
        Ok(ExportTask { state: ExportState::Success, .. }) => {
            Some((State::Failed, UNHEARD, LOOK_AT_WEBHOOKS))
        }
        Ok(ExportTask { state: ExportState::Failed, .. }) => Some((State::Failed, FAILED, LOOK_AT_WEBHOOKS)),
        _ if next > last => Some((State::Failed, SILENT, LOOK_AT_WEBHOOKS)),
        _ => None,
    };
    worker.store.polled(&export.id, export.turn, told, told.is_none().then_some(next)).await
}

const UNHEARD: &str = "the export is ready, but no event has told of its links";
const FAILED: &str = "the export has failed, and no event has told why";
const SILENT: &str = "nothing was heard of the export in time";
const LOOK_AT_WEBHOOKS: &str = "links come by webhook alone: check in Fasten's portal that the endpoint is enabled, has this URL and takes the export events, \
    look at its delivery log, and request the export again";

fn attempts_of(worker: &Worker) -> i64 {
    i64::try_from(worker.config.max_attempts).unwrap_or(i64::MAX)
}

struct Refusal {
    text: String,
    is_final: bool,
}

/// Asks, and waits elsewhere for the answer, until the service stops.
async fn ask<T: Send + 'static>(
    worker: &Worker,
    client: &Client,
    question: impl FnOnce(&Client) -> Result<T, ConnectError> + Send + 'static,
) -> Result<T, Refusal> {
    let stop = worker.stop.clone();
    let client = client.stopped_by(move || *stop.borrow());
    let asked = aside("fhirline-errand", move || question(&client)).await;
    match asked {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let is_final = matches!(error.status(), Some(400 | 401 | 403 | 404 | 422));
            Err(Refusal { text: error.to_string(), is_final })
        }
        Err(_) => Err(Refusal { text: "the question ended by a defect".to_owned(), is_final: true }),
    }
}
