//! What a delivery changes: the event, and what follows from it, in one transaction for all that wait.

use bytes::Bytes;
use sqlx::AnyConnection;
use uuid::Uuid;

use fhirline_connect::{
    AuthorizationRevoked, ConnectionSuccess, Event, EventData, ExportFailed, ExportSuccess, FailureReason,
    Mode,
};

use super::{Store, StoreError, steps};
use crate::State;

/// The format of a task that is taken unless another one is configured.
const USUAL_TYPE: &str = "jsonl";
/// What ids of exports are made of, beside mode, task and format.
const NAMESPACE: Uuid = Uuid::from_u128(0x9c7d_2f0b_6b1f_4e0e_9d37_5d0a_2c41_7be1);

/// Ids of events and connections are UUIDs.
const MAX_ID_BYTES: usize = 500;

/// A delivery whose signature was verified.
pub(crate) struct Delivery {
    /// The mode of the path that it came to.
    pub(crate) mode: Mode,
    /// The header, which tells deliveries apart that are not understood.
    pub(crate) webhook_id: String,
    /// The exact bytes.
    pub(crate) body: Bytes,
    /// What they say, or why that is not understood.
    pub(crate) event: Result<Event, String>,
    pub(crate) received_at: i64,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// What the configuration says of events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// The format that is taken.
    pub(crate) export_type: Option<String>,
    /// Whether a new connection's export is requested.
    pub(crate) auto_export: bool,
    /// Whether exports of revoked connections are held.
    pub(crate) hold_revoked: bool,
    /// Whether somebody wants to be told when exports end.
    pub(crate) calls_back: bool,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// Its event is stored.
    Stored,
    /// Its event came before.
    Duplicate,
    /// It is stored, and waits for a person.
    NotUnderstood,
}

impl Rules {
    /// The id of what comes of a task.
    pub(crate) fn export_id(&self, mode: Mode, task_id: &str) -> String {
        let wanted = self.export_type.as_deref().unwrap_or(USUAL_TYPE);
        Uuid::new_v5(&NAMESPACE, format!("{mode}\0{task_id}\0{wanted}").as_bytes()).to_string()
    }
}

impl Store {
    /// Takes all of them, or none: they are on the disk when this returns.
    pub(crate) async fn accept(
        &self,
        deliveries: &[Delivery],
        rules: &Rules,
    ) -> Result<Vec<Accepted>, StoreError> {
        let accepted = self.do_accept(deliveries, rules).await;
        match &accepted {
            Ok(_) => self.readiness.note(true),
            Err(_) => self.readiness.doubt(),
        }
        accepted.map_err(StoreError::on("write to"))
    }

    async fn do_accept(&self, deliveries: &[Delivery], rules: &Rules) -> sqlx::Result<Vec<Accepted>> {
        let mut transaction = self.writes.begin().await?;
        let mut all = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            all.push(take(&mut transaction, delivery, rules).await?);
        }
        transaction.commit().await?;
        Ok(all)
    }
}

/// Mode and id. An id that is too long for an index stands there by its hash.
pub(super) fn key_of(mode: Mode, id: &str) -> String {
    if id.len() <= MAX_ID_BYTES {
        return format!("{mode}:{id}");
    }
    format!("{mode}:{}", Uuid::new_v5(&NAMESPACE, id.as_bytes()))
}

/// Everything about one delivery that its changes need.
struct Taken<'d> {
    mode: Mode,
    now: i64,
    /// Key of the event.
    event: String,
    rules: &'d Rules,
}

async fn take(c: &mut AnyConnection, delivery: &Delivery, rules: &Rules) -> sqlx::Result<Accepted> {
    let (mode, now) = (delivery.mode, delivery.received_at);
    let named = delivery.event.as_ref().ok().and_then(|event| event.id.as_deref());
    let taken = Taken { mode, now, event: key_of(mode, named.unwrap_or(&delivery.webhook_id)), rules };
    if !is_new(c, &taken, delivery).await? && !is_understood_now(c, &taken, delivery).await? {
        return Ok(Accepted::Duplicate);
    }
    let follow = match &delivery.event {
        Ok(event) => act(c, &taken, &event.data).await?,
        Err(why) => Some(why.clone()),
    };
    let Some(flag) = follow else { return Ok(Accepted::Stored) };
    let flagged = sqlx::query("UPDATE events SET flag = $2 WHERE id = $1").bind(&taken.event).bind(flag);
    flagged.execute(c).await?;
    Ok(Accepted::NotUnderstood)
}

/// Stores the event, or counts one more delivery of it.
async fn is_new(c: &mut AnyConnection, taken: &Taken<'_>, delivery: &Delivery) -> sqlx::Result<bool> {
    let event = delivery.event.as_ref().ok();
    let inserted = sqlx::query(
        "INSERT INTO events (id, mode, kind, received_at, deliveries, last_at, task_id, org_connection_id, body)
         VALUES ($1, $2, $3, $4, 1, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&taken.event)
    .bind(taken.mode.name())
    .bind(event.map_or("", |event| event.kind.as_str()))
    .bind(taken.now)
    .bind(event.and_then(|event| event.data.task_id()))
    .bind(event.and_then(|event| event.data.org_connection_id()))
    .bind(delivery.body.to_vec())
    .execute(&mut *c)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(true);
    }
    let counted = "UPDATE events SET deliveries = deliveries + 1, last_at = $2 WHERE id = $1";
    sqlx::query(counted).bind(&taken.event).bind(taken.now).execute(c).await?;
    Ok(false)
}

/// Whether it came before and was not understood then: another version, or another configuration, may know what to do.
async fn is_understood_now(
    c: &mut AnyConnection,
    taken: &Taken<'_>,
    delivery: &Delivery,
) -> sqlx::Result<bool> {
    let Ok(event) = &delivery.event else { return Ok(false) };
    let changed = sqlx::query(
        "UPDATE events SET flag = NULL, kind = $2, task_id = $3, org_connection_id = $4, body = $5
         WHERE id = $1 AND flag IS NOT NULL",
    )
    .bind(&taken.event)
    .bind(event.kind.as_str())
    .bind(event.data.task_id())
    .bind(event.data.org_connection_id())
    .bind(delivery.body.to_vec())
    .execute(c)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// What an event that is new asks for; why it asks for nothing, if it should.
async fn act(c: &mut AnyConnection, taken: &Taken<'_>, data: &EventData) -> sqlx::Result<Option<String>> {
    match data {
        EventData::ExportSuccess(export) => return ready(c, taken, export).await,
        EventData::ExportFailed(export) => failed(c, taken, export).await?,
        EventData::ConnectionSuccess(connection) => connected(c, taken, connection).await?,
        EventData::AuthorizationRevoked(connection) => revoked(c, taken, connection).await?,
        _ => {}
    }
    Ok(None)
}

async fn ready(
    c: &mut AnyConnection,
    taken: &Taken<'_>,
    export: &ExportSuccess,
) -> sqlx::Result<Option<String>> {
    let Some(link) = export.link(taken.rules.export_type.as_deref()) else {
        return Ok(Some("the event has no link to an export of the wanted type".to_owned()));
    };
    let id = row_of_task(c, taken, export.task_id.as_deref(), export.org_connection_id.as_deref()).await?;
    let state = current(c, &id).await?;
    if !state.takes_new_links() {
        let told = format!("told again by {}: no work", taken.event);
        return steps::note(c, &id, taken.now, state, Some(&told)).await.map(|()| None);
    }
    let held = taken.rules.hold_revoked && is_revoked(c, taken, export.org_connection_id.as_deref()).await?;
    let next = if held { State::Held } else { State::Queued };
    let stats = export.stats.as_ref().and_then(|stats| serde_json::to_string(stats).ok());
    sqlx::query(
        "UPDATE exports SET state = $2, generation = generation + 1, turn = turn + 1, attempts = 0, due_at = $3,
         event_id = $4, link = $5, export_type = $6, stats = $7, failure = NULL, action = NULL,
         progress = NULL, report = NULL, started_at = NULL, finished_at = NULL WHERE id = $1",
    )
    .bind(&id)
    .bind(next.name())
    .bind(taken.now)
    .bind(&taken.event)
    .bind(link.url.expose())
    .bind(link.export_type.as_deref().unwrap_or(USUAL_TYPE))
    .bind(stats)
    .execute(&mut *c)
    .await?;
    let why = if held { "its connection is revoked" } else { "an event told of its links" };
    steps::note(c, &id, taken.now, next, Some(why)).await?;
    Ok(None)
}

async fn failed(c: &mut AnyConnection, taken: &Taken<'_>, export: &ExportFailed) -> sqlx::Result<()> {
    let id = row_of_task(c, taken, export.task_id.as_deref(), export.org_connection_id.as_deref()).await?;
    let state = current(c, &id).await?;
    let reason = export.failure_reason.as_ref();
    let failure = reason.map_or("no reason was given".to_owned(), |reason| reason.name().to_owned());
    if !state.takes_new_links() {
        let told = format!("{} tells of a failure ({failure}): what is at work goes on", taken.event);
        return steps::note(c, &id, taken.now, state, Some(&told)).await;
    }
    let changed = "UPDATE exports SET state = $2, turn = turn + 1, due_at = NULL, event_id = $3, failure = $4, action = $5,
         finished_at = $6 WHERE id = $1";
    sqlx::query(changed)
        .bind(&id)
        .bind(State::Failed.name())
        .bind(&taken.event)
        .bind(format!("the export could not be made: {failure}"))
        .bind(reason.map(FailureReason::action))
        .bind(taken.now)
        .execute(&mut *c)
        .await?;
    steps::note(c, &id, taken.now, State::Failed, Some(&failure)).await?;
    if taken.rules.calls_back {
        super::callbacks::ask(c, &id, taken.now).await?;
    }
    Ok(())
}

async fn connected(
    c: &mut AnyConnection,
    taken: &Taken<'_>,
    connection: &ConnectionSuccess,
) -> sqlx::Result<()> {
    let Some(id) = connection.org_connection_id.as_deref() else { return Ok(()) };
    sqlx::query(
        "INSERT INTO connections (id, mode, org_connection_id, status, external_id, request_id, platform_type, data,
         updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, external_id = excluded.external_id,
         request_id = excluded.request_id, platform_type = excluded.platform_type, data = excluded.data,
         updated_at = excluded.updated_at",
    )
    .bind(key_of(taken.mode, id))
    .bind(taken.mode.name())
    .bind(id)
    .bind(connection.connection_status.as_deref().unwrap_or("authorized"))
    .bind(connection.external_id.as_deref())
    .bind(connection.request_id.as_deref())
    .bind(connection.platform_type.as_deref())
    .bind(serde_json::to_string(connection).ok())
    .bind(taken.now)
    .execute(&mut *c)
    .await?;
    if taken.rules.auto_export {
        super::requests::ask(c, taken.mode, id, &taken.event, "a new connection", taken.now).await?;
    }
    Ok(())
}

async fn revoked(
    c: &mut AnyConnection,
    taken: &Taken<'_>,
    connection: &AuthorizationRevoked,
) -> sqlx::Result<()> {
    let Some(id) = connection.org_connection_id.as_deref() else { return Ok(()) };
    sqlx::query(
        "INSERT INTO connections (id, mode, org_connection_id, status, platform_type, updated_at)
         VALUES ($1, $2, $3, 'revoked', $4, $5)
         ON CONFLICT (id) DO UPDATE SET status = 'revoked', updated_at = excluded.updated_at",
    )
    .bind(key_of(taken.mode, id))
    .bind(taken.mode.name())
    .bind(id)
    .bind(connection.platform_type.as_deref())
    .bind(taken.now)
    .execute(c)
    .await?;
    Ok(())
}

/// The row of a task, which is made if it is not there. Without a task each event is one of its own.
async fn row_of_task(
    c: &mut AnyConnection,
    taken: &Taken<'_>,
    task: Option<&str>,
    connection: Option<&str>,
) -> sqlx::Result<String> {
    let task = task.map_or_else(|| format!("event-{}", taken.event), str::to_owned);
    let id = taken.rules.export_id(taken.mode, &task);
    make_row(c, &id, taken.mode, &task, connection, taken.now).await?;
    Ok(id)
}

/// A row that was neither asked for nor told of yet.
pub(super) async fn make_row(
    c: &mut AnyConnection,
    id: &str,
    mode: Mode,
    task: &str,
    connection: Option<&str>,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO exports (id, mode, task_id, export_type, org_connection_id, state, generation, turn, attempts,
         created_at, updated_at, polls, steps) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, $7, $7, 0, 0)
         ON CONFLICT (id) DO UPDATE SET org_connection_id = COALESCE(exports.org_connection_id, excluded.org_connection_id)",
    )
    .bind(id)
    .bind(mode.name())
    .bind(task)
    .bind(USUAL_TYPE)
    .bind(connection)
    .bind(State::Requested.name())
    .bind(now)
    .execute(c)
    .await?;
    Ok(())
}

/// Its state. The row is locked until the end of the transaction: it was written to.
async fn current(c: &mut AnyConnection, id: &str) -> sqlx::Result<State> {
    let state: String =
        sqlx::query_scalar("SELECT state FROM exports WHERE id = $1").bind(id).fetch_one(c).await?;
    state.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

async fn is_revoked(
    c: &mut AnyConnection,
    taken: &Taken<'_>,
    connection: Option<&str>,
) -> sqlx::Result<bool> {
    let Some(id) = connection else { return Ok(false) };
    let status: Option<Option<String>> = sqlx::query_scalar("SELECT status FROM connections WHERE id = $1")
        .bind(key_of(taken.mode, id))
        .fetch_optional(c)
        .await?;
    Ok(status.flatten().as_deref() == Some("revoked"))
}
