use askama::Template;
use axum::extract::{Query, State as From};
use axum::response::Response;
use serde::Deserialize;

use super::{Frame, Sorry, html};
use crate::State;
use crate::show::figures::{Chip, Moment, Progress, grouped, tone, words};
use crate::show::{Site, api};
use crate::store::{CountRow, ExportFilter, ExportRow, GivenUpRow};

/// Exports on a page, and running ones at the top of it.
const ROWS: i64 = 50;
/// What could not be told or requested.
const GIVEN_UP: i64 = 20;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    changed_at: i64,
    counts: Vec<Count>,
    total: String,
    running: Vec<Running>,
    not_understood: u64,
    given_up: Vec<GivenUp>,
    more_given_up: i64,
    search: Search,
    rows: Vec<Row>,
    older: Option<String>,
}

struct Count {
    name: &'static str,
    words: String,
    tone: &'static str,
    count: String,
    oldest: Option<Moment>,
}

struct Running {
    id: String,
    label: String,
    progress: Progress,
    since: Option<Moment>,
}

struct GivenUp {
    is_callback: bool,
    about: String,
    attempts: i64,
    at: Moment,
    failure: String,
}

struct Search {
    text: String,
    states: Vec<(&'static str, String, bool)>,
    is_active: bool,
}

struct Row {
    id: String,
    mode: String,
    task: String,
    connection: String,
    external: String,
    state: Chip,
    records: String,
    rejects: String,
    note: String,
    changed: Moment,
}

/// What is looked for. A form leaves nothing out, so nothing is the same as what is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    state: String,
    before: String,
}

pub(super) async fn overview(From(site): From<Site>, Query(asked): Query<Asked>) -> Result<Response, Sorry> {
    let store = &site.shown.store;
    let counts = store.counts().await?;
    let running = ExportFilter { state: Some(State::Running), most: ROWS, ..ExportFilter::default() };
    let running = store.exports(&running).await?;
    let last = store.exports(&ExportFilter { most: 1, ..ExportFilter::default() }).await?;
    let (rows, next) = api::page(&site.shown, asked.filter()).await?;
    let troubles = store.troubles().await?;
    let of = |name: &str| troubles.iter().find(|row| row.name == name).map_or(0, |row| row.count);
    let given_up: Vec<_> = store.given_up(GIVEN_UP).await?.into_iter().map(GivenUp::of).collect();
    let all_given_up = of("callbacks_given_up") + of("requests_given_up");
    Ok(html(&Overview {
        frame: Frame::new(&site, "Exports"),
        changed_at: last.first().map_or(0, |row| row.updated_at),
        total: grouped(counts.iter().map(|row| u64::try_from(row.count).unwrap_or_default()).sum()),
        counts: State::ALL.into_iter().map(|state| Count::of(state, &counts)).collect(),
        running: running.iter().map(Running::of).collect(),
        not_understood: u64::try_from(of("events_not_understood")).unwrap_or_default(),
        more_given_up: all_given_up - i64::try_from(given_up.len()).unwrap_or_default(),
        given_up,
        older: next.map(|before| asked.path(before)),
        search: Search::of(&asked),
        rows: rows.iter().map(Row::of).collect(),
    }))
}

impl Asked {
    fn filter(&self) -> ExportFilter {
        ExportFilter {
            state: self.state.parse().ok(),
            search: Some(self.q.trim().to_owned()).filter(|text| !text.is_empty()),
            before: self.before.parse().ok(),
            most: ROWS,
        }
    }

    /// Where the older ones are.
    fn path(&self, before: i64) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("q", &self.q), ("state", &self.state)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("/?{}", query.append_pair("before", &before.to_string()).finish())
    }
}

impl Search {
    fn of(asked: &Asked) -> Self {
        let states =
            State::ALL.into_iter().map(|state| (state.name(), words(state), asked.state == state.name()));
        let is_active = !asked.q.is_empty() || !asked.state.is_empty() || !asked.before.is_empty();
        Self { text: asked.q.clone(), states: states.collect(), is_active }
    }
}

impl Count {
    fn of(state: State, all: &[CountRow]) -> Self {
        let row = all.iter().find(|row| row.name == state.name());
        let count = row.map_or(0, |row| u64::try_from(row.count).unwrap_or_default());
        // What is over does not wait.
        let oldest = row.and_then(|row| row.oldest_at).filter(|_| !state.is_over()).map(Moment);
        Self {
            name: state.name(),
            words: words(state),
            tone: if count == 0 { "none" } else { tone(state) },
            count: grouped(count),
            oldest,
        }
    }
}

impl Running {
    fn of(row: &ExportRow) -> Self {
        Self {
            id: row.id.clone(),
            label: row.external_id.clone().unwrap_or_else(|| row.task_id.clone()),
            progress: Progress::of(row),
            since: row.started_at.map(Moment),
        }
    }
}

impl GivenUp {
    fn of(row: GivenUpRow) -> Self {
        Self {
            is_callback: row.kind == "callback",
            about: row.about,
            attempts: row.attempts,
            at: Moment(row.created_at),
            failure: row.failure.unwrap_or_default(),
        }
    }
}

impl Row {
    fn of(row: &ExportRow) -> Self {
        let account = row.account().unwrap_or_default();
        let records = &account["ledger"]["records"];
        let of = |name: &str| records[name].as_u64().map(grouped).unwrap_or_default();
        Self {
            id: row.id.clone(),
            mode: row.mode.clone(),
            task: row.task_id.clone(),
            connection: row.org_connection_id.clone().unwrap_or_default(),
            external: row.external_id.clone().unwrap_or_default(),
            state: Chip(row.state()),
            records: of("delivered"),
            rejects: of("quarantined"),
            note: row.failure.clone().unwrap_or_default(),
            changed: Moment(row.updated_at),
        }
    }
}
