//! Exports that the API is asked for, and those that nothing was heard of.

use sqlx::AnyConnection;

use fhirline_connect::Mode;

use super::{Rules, Store, StoreError, inbox, steps};
use crate::State;
use crate::clock::now_ms;

/// An export to ask for.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) mode: String,
    pub(crate) org_connection_id: String,
    pub(crate) turn: i64,
    pub(crate) attempts: i64,
}

/// Notes that an export is to be asked for, once for each cause.
pub(super) async fn ask(
    c: &mut AnyConnection,
    mode: Mode,
    connection: &str,
    cause: &str,
    reason: &str,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO requests (id, mode, org_connection_id, reason, created_at, turn, attempts, due_at)
         VALUES ($1, $2, $3, $4, $5, 1, 0, $5) ON CONFLICT (id) DO NOTHING",
    )
    .bind(inbox::key_of(mode, &format!("{connection}:{cause}")))
    .bind(mode.name())
    .bind(connection)
    .bind(reason)
    .bind(now)
    .execute(c)
    .await?;
    Ok(())
}

impl Store {
    /// The request, if that turn is still its turn.
    pub(crate) async fn request(&self, id: &str, turn: i64) -> Result<Option<Request>, StoreError> {
        let asked = "SELECT id, mode, org_connection_id, turn, attempts FROM requests WHERE id = $1 AND turn = $2 AND due_at IS NOT NULL";
        let found = sqlx::query_as(asked).bind(id).bind(turn).fetch_optional(&self.reads).await;
        found.map_err(StoreError::on("read from"))
    }

    /// The API took the request: from now on its event is waited for, and asked for from that time on.
    pub(crate) async fn requested(
        &self,
        request: &Request,
        mode: Mode,
        task_id: &str,
        rules: &Rules,
        poll_at: i64,
    ) -> Result<(), StoreError> {
        let done = async {
            let now = now_ms();
            let mut c = self.writes.begin().await?;
            let ended =
                "UPDATE requests SET due_at = NULL, attempts = attempts + 1, failure = NULL WHERE id = $1";
            sqlx::query(ended).bind(&request.id).execute(&mut *c).await?;
            let id = rules.export_id(mode, task_id);
            inbox::make_row(&mut c, &id, mode, task_id, Some(&request.org_connection_id), now).await?;
            let waits = "UPDATE exports SET state = 'requested', requested_at = $2, due_at = $3, polls = 0, turn = turn + 1,
                 failure = NULL, action = NULL, finished_at = NULL
                 WHERE id = $1 AND state IN ('requested', 'expired', 'failed')";
            let changed = sqlx::query(waits).bind(&id).bind(now).bind(poll_at).execute(&mut *c).await?;
            if changed.rows_affected() == 1 {
                steps::note(&mut c, &id, now, State::Requested, Some("asked for by the API")).await?;
            }
            c.commit().await
        };
        done.await.map_err(StoreError::on("write to"))
    }

    /// The API did not take it: again at that time, or never.
    pub(crate) async fn request_failed(
        &self,
        request: &Request,
        failure: &str,
        due_at: Option<i64>,
    ) -> Result<(), StoreError> {
        let changed =
            "UPDATE requests SET attempts = attempts + 1, turn = turn + 1, failure = $3, due_at = $4
             WHERE id = $1 AND turn = $2";
        let changed = sqlx::query(changed).bind(&request.id).bind(request.turn).bind(failure).bind(due_at);
        changed.execute(&self.writes).await.map_err(StoreError::on("write to"))?;
        Ok(())
    }

    /// What the API says of an export whose event has not come: asked again at that time, or never.
    pub(crate) async fn polled(
        &self,
        id: &str,
        turn: i64,
        told: Option<(State, &str, &str)>,
        due_at: Option<i64>,
    ) -> Result<(), StoreError> {
        let done = async {
            let now = now_ms();
            let mut c = self.writes.begin().await?;
            let state = told.map_or(State::Requested, |(state, ..)| state);
            let changed = sqlx::query(
                "UPDATE exports SET polls = polls + 1, turn = turn + 1, state = $3, failure = $4, action = $5, due_at = $6,
                 finished_at = $7 WHERE id = $1 AND turn = $2 AND state = 'requested'",
            )
            .bind(id)
            .bind(turn)
            .bind(state.name())
            .bind(told.map(|(_, failure, _)| failure))
            .bind(told.map(|(.., action)| action))
            .bind(due_at)
            .bind(state.is_over().then_some(now))
            .execute(&mut *c)
            .await?;
            if let (1, Some((state, failure, _))) = (changed.rows_affected(), told) {
                steps::note(&mut c, id, now, state, Some(failure)).await?;
            }
            c.commit().await
        };
        done.await.map_err(StoreError::on("write to"))
    }
}
