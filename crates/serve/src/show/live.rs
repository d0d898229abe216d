//! What moves, as server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State as From;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::Stream;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::figures::Progress;
use super::{Shown, Site};
use crate::State;
use crate::store::{CountRow, ExportFilter, ExportRow, StoreError};

/// How often the store is looked at, for all who listen.
const LOOK: Duration = Duration::from_millis(500);
/// Running exports that are told of.
const MOST: i64 = 100;

/// What all who listen are told.
#[derive(Clone, Debug)]
pub(super) struct Live {
    told: Arc<watch::Sender<Option<Arc<str>>>>,
    stop: watch::Receiver<bool>,
}

/// What is told whenever it is another than before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pulse {
    /// How many exports are in each state.
    exports: BTreeMap<String, i64>,
    /// How much waits for a person.
    troubles: BTreeMap<String, i64>,
    /// When the export that was changed last was changed, in milliseconds since 1970.
    changed_at: i64,
    /// The exports that are worked on.
    running: Vec<RunningPulse>,
}

/// How far an export is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunningPulse {
    id: String,
    #[serde(flatten)]
    progress: Progress,
}

impl Live {
    /// Begins to look, whenever somebody listens, until the service stops.
    pub(super) fn start(shown: &Shown) -> Self {
        let told = Arc::new(watch::Sender::new(None));
        tokio::spawn(look(shown.clone(), Arc::clone(&told)));
        Self { told, stop: shown.stop.clone() }
    }
}

async fn look(shown: Shown, told: Arc<watch::Sender<Option<Arc<str>>>>) {
    let mut stop = shown.stop.clone();
    while !*stop.borrow() {
        if told.receiver_count() == 0 {
            // Nobody is told what was true some time ago.
            told.send_replace(None);
        } else if let Ok(pulse) = pulse(&shown).await {
            told.send_if_modified(|last| {
                let text = serde_json::to_string(&pulse).unwrap_or_default();
                let is_new = last.as_deref() != Some(text.as_str());
                *last = Some(text.into());
                is_new
            });
        }
        let _ = tokio::time::timeout(LOOK, stop.wait_for(|stop| *stop)).await;
    }
}

async fn pulse(shown: &Shown) -> Result<Pulse, StoreError> {
    let of = |rows: Vec<CountRow>| rows.into_iter().map(|row| (row.name, row.count)).collect();
    let last = ExportFilter { most: 1, ..ExportFilter::default() };
    let running = ExportFilter { state: Some(State::Running), most: MOST, ..ExportFilter::default() };
    Ok(Pulse {
        exports: of(shown.store.counts().await?),
        troubles: of(shown.store.troubles().await?),
        changed_at: shown.store.exports(&last).await?.first().map_or(0, |row| row.updated_at),
        running: shown.store.exports(&running).await?.iter().map(RunningPulse::of).collect(),
    })
}

impl RunningPulse {
    fn of(row: &ExportRow) -> Self {
        Self { id: row.id.clone(), progress: Progress::of(row) }
    }
}

pub(super) fn router() -> Router<Site> {
    Router::new().route("/api/v1/live", get(live))
}

/// What moves: an event at once, and another one whenever something has changed.
#[utoipa::path(get, path = "/api/v1/live", tag = "exports", responses(
    (status = 200, description = "Events, each of which has a Pulse as its data", body = Pulse, content_type = "text/event-stream")
))]
pub(super) async fn live(From(live): From<Live>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(events(&live)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

fn events(live: &Live) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let mut told = live.told.subscribe();
    told.mark_changed();
    stream::unfold((told, live.stop.clone()), |(mut told, mut stop)| async move {
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return None,
                changed = told.changed() => changed.ok()?,
            }
            let text = told.borrow_and_update().clone();
            if let Some(text) = text {
                return Some((Ok(Event::default().data(&*text)), (told, stop)));
            }
        }
    })
}
