//! What is read back: for the page, the API and messages. Links are left out of all of them.

use serde::{Serialize, Serializer};
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe};
use utoipa::ToSchema;

use fhirline_connect::Mode;

use super::{Store, StoreError};
use crate::State;
use crate::clock::rfc3339;

/// An export, with what its connection was told to be.
#[derive(Clone, Serialize, sqlx::FromRow, ToSchema)]
#[non_exhaustive]
pub struct ExportRow {
    /// Its id here.
    pub id: String,
    /// `test` or `live`.
    pub mode: String,
    /// Its id at Fasten.
    pub task_id: String,
    /// The format that was taken, such as `jsonl`.
    pub export_type: String,
    /// The connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_connection_id: Option<String>,
    /// What the company calls the patient, as it was told at the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The request of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Such as `epic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_type: Option<String>,
    /// Where it is on its way: the names of [`State`].
    pub state: String,
    /// How often it was begun with new links.
    pub generation: i64,
    #[serde(skip)]
    pub(crate) turn: i64,
    /// Attempts with these links.
    pub attempts: i64,
    /// When the next attempt or question is due.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<i64>,
    /// The event that told of its links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    #[serde(skip)]
    pub(crate) link: Option<String>,
    /// Counts that the sender declares.
    #[serde(serialize_with = "json", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub stats: Option<String>,
    /// The folder or prefix of its outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// When it was first heard of.
    #[serde(serialize_with = "always_time")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// When anything about it last changed.
    #[serde(serialize_with = "always_time")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: i64,
    /// When it was asked for, if it was.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub requested_at: Option<i64>,
    #[serde(skip)]
    pub(crate) polls: i64,
    /// When the last attempt began.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<i64>,
    /// When it was over.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<i64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// How far it is, while it runs: `bytes`, `records`, `rejects`, `source_bytes` where it is known.
    #[serde(serialize_with = "json", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub progress: Option<String>,
    /// The account, once it is finished: the report of `fhirline split --json`.
    #[serde(serialize_with = "json", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub report: Option<String>,
}

impl ExportRow {
    pub(crate) fn mode(&self) -> Mode {
        // Written by this program only.
        self.mode.parse().unwrap_or(Mode::Live)
    }

    /// Where it is on its way.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.parse().unwrap_or(State::Failed)
    }

    /// The account as JSON, if there is one.
    #[must_use]
    pub fn account(&self) -> Option<Value> {
        self.report.as_deref().and_then(|report| serde_json::from_str(report).ok())
    }
}

/// Without the link, and without what others say of a patient.
impl std::fmt::Debug for ExportRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportRow").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

/// Something that happened to an export.
#[derive(Clone, Debug, Serialize, sqlx::FromRow, ToSchema)]
#[non_exhaustive]
pub struct StepRow {
    /// When.
    #[serde(serialize_with = "always_time")]
    #[schema(value_type = String, format = DateTime)]
    pub at: i64,
    /// Where it was afterwards.
    pub state: String,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// An event, without its body.
#[derive(Clone, Serialize, sqlx::FromRow, ToSchema)]
#[non_exhaustive]
pub struct EventRow {
    /// Mode and id.
    pub id: String,
    /// `test` or `live`.
    pub mode: String,
    /// The type; empty if it was not understood.
    pub kind: String,
    /// When it first came.
    #[serde(serialize_with = "always_time")]
    #[schema(value_type = String, format = DateTime)]
    pub received_at: i64,
    /// How often it came.
    pub deliveries: i64,
    /// Why a person should look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// The task that it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The connection that it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_connection_id: Option<String>,
}

impl std::fmt::Debug for EventRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventRow").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// How many there are of something, and since when the oldest waits.
#[derive(Clone, Debug, Serialize, sqlx::FromRow, ToSchema)]
#[non_exhaustive]
pub struct CountRow {
    /// Of what.
    pub name: String,
    /// How many.
    pub count: i64,
    /// When the one that was changed longest ago was changed.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_at: Option<i64>,
}

/// Something that is not tried any more.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct GivenUpRow {
    /// `callback` or `request`.
    pub(crate) kind: String,
    /// The export whose end was to be told, or the connection whose export was to be requested.
    pub(crate) about: String,
    pub(crate) attempts: i64,
    pub(crate) created_at: i64,
    pub(crate) failure: Option<String>,
}

impl std::fmt::Debug for GivenUpRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GivenUpRow").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Which exports to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExportFilter {
    pub(crate) state: Option<State>,
    /// A part of an id: ours, the task's, the connection's, the company's.
    pub(crate) search: Option<String>,
    /// Only those that last changed before that (milliseconds since 1970).
    pub(crate) before: Option<i64>,
    pub(crate) most: i64,
}

const EXPORTS: &str = "SELECT e.id, e.mode, e.task_id, e.export_type, e.org_connection_id, c.external_id, c.request_id,
    c.platform_type, e.state, e.generation, e.turn, e.attempts, e.due_at, e.event_id, e.link, e.stats, e.destination,
    e.created_at, e.updated_at, e.requested_at, e.polls, e.started_at, e.finished_at, e.failure, e.action, e.progress, e.report
    FROM exports e LEFT JOIN connections c ON c.id = e.mode || ':' || e.org_connection_id";

pub(super) async fn export_of(c: &mut AnyConnection, id: &str) -> sqlx::Result<Option<ExportRow>> {
    let statement = format!("{EXPORTS} WHERE e.id = $1");
    sqlx::query_as(AssertSqlSafe(statement)).bind(id).fetch_optional(c).await
}

impl Store {
    pub(super) async fn find_export(&self, id: &str) -> sqlx::Result<Option<ExportRow>> {
        export_of(&mut *self.reads.acquire().await?, id).await
    }

    /// One export.
    pub(crate) async fn export(&self, id: &str) -> Result<Option<ExportRow>, StoreError> {
        if is_in_no_text(id) {
            return Ok(None);
        }
        self.find_export(id).await.map_err(StoreError::on("read from"))
    }

    /// Exports, the last changed first.
    pub(crate) async fn exports(&self, filter: &ExportFilter) -> Result<Vec<ExportRow>, StoreError> {
        if filter.search.as_deref().is_some_and(is_in_no_text) {
            return Ok(Vec::new());
        }
        let statement = format!(
            "{EXPORTS} WHERE ($1 IS NULL OR e.state = $1) AND ($2 IS NULL OR e.updated_at < $2)
             AND ($3 IS NULL OR LOWER(e.id || ' ' || e.task_id || ' ' || COALESCE(e.org_connection_id, '') || ' ' ||
             COALESCE(c.external_id, '')) LIKE $3 ESCAPE '\\') ORDER BY e.updated_at DESC, e.id LIMIT $4"
        );
        sqlx::query_as(AssertSqlSafe(statement))
            .bind(filter.state.map(State::name))
            .bind(filter.before)
            .bind(filter.search.as_deref().map(pattern))
            .bind(filter.most)
            .fetch_all(&self.reads)
            .await
            .map_err(StoreError::on("read from"))
    }

    /// What happened to an export, in order.
    pub(crate) async fn steps(&self, id: &str) -> Result<Vec<StepRow>, StoreError> {
        let statement = "SELECT at, state, note FROM steps WHERE export_id = $1 ORDER BY step";
        let rows = sqlx::query_as(statement).bind(id).fetch_all(&self.reads).await;
        rows.map_err(StoreError::on("read from"))
    }

    /// Events, the newest first; only those that a person should look at, if it is said so.
    pub(crate) async fn events(&self, flagged: bool, most: i64) -> Result<Vec<EventRow>, StoreError> {
        let statement = format!(
            "SELECT id, mode, kind, received_at, deliveries, flag, task_id, org_connection_id FROM events {}
             ORDER BY received_at DESC, id LIMIT $1",
            if flagged { "WHERE flag IS NOT NULL" } else { "" }
        );
        let rows = sqlx::query_as(AssertSqlSafe(statement)).bind(most).fetch_all(&self.reads).await;
        rows.map_err(StoreError::on("read from"))
    }

    /// How many exports are in each state, and since when.
    pub(crate) async fn counts(&self) -> Result<Vec<CountRow>, StoreError> {
        let statement = "SELECT state AS name, COUNT(*) AS count, MIN(updated_at) AS oldest_at FROM exports GROUP BY state ORDER BY state";
        let rows = sqlx::query_as(statement).fetch_all(&self.reads).await;
        rows.map_err(StoreError::on("read from"))
    }

    /// Messages that could not be delivered and exports that could not be requested, the newest first.
    pub(crate) async fn given_up(&self, most: i64) -> Result<Vec<GivenUpRow>, StoreError> {
        let statement =
            "SELECT 'callback' AS kind, export_id AS about, attempts, created_at, failure FROM callbacks
             WHERE due_at IS NULL AND done_at IS NULL
             UNION ALL SELECT 'request', org_connection_id, attempts, created_at, failure FROM requests
             WHERE due_at IS NULL AND failure IS NOT NULL
             ORDER BY created_at DESC LIMIT $1";
        let rows = sqlx::query_as(statement).bind(most).fetch_all(&self.reads).await;
        rows.map_err(StoreError::on("read from"))
    }

    /// How many events wait for a person, and how many messages could not be delivered.
    pub(crate) async fn troubles(&self) -> Result<Vec<CountRow>, StoreError> {
        let statement =
            "SELECT 'events_not_understood' AS name, COUNT(*) AS count, MIN(received_at) AS oldest_at
             FROM events WHERE flag IS NOT NULL
             UNION ALL SELECT 'callbacks_given_up', COUNT(*), MIN(created_at) FROM callbacks
             WHERE due_at IS NULL AND done_at IS NULL
             UNION ALL SELECT 'requests_given_up', COUNT(*), MIN(created_at) FROM requests
             WHERE due_at IS NULL AND failure IS NOT NULL";
        let rows = sqlx::query_as(statement).fetch_all(&self.reads).await;
        rows.map_err(StoreError::on("read from"))
    }
}

/// PostgreSQL keeps U+0000 in no text, and does not like to be asked for it.
fn is_in_no_text(asked: &str) -> bool {
    asked.contains('\0')
}

/// What LIKE takes for a part of a text, in small letters.
fn pattern(part: &str) -> String {
    let mut pattern = String::from("%");
    for letter in part.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern + "%"
}

#[expect(clippy::ref_option, reason = "serde wants it so")]
fn time<S: Serializer>(ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    ms.map(rfc3339).serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn always_time<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    rfc3339(*ms).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde wants it so")]
fn json<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let value: Option<Value> = text.as_deref().and_then(|text| serde_json::from_str(text).ok());
    value.serialize(serializer)
}
