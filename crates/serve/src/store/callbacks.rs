//! Who is told that exports have ended: at least once.

use sqlx::AnyConnection;

use super::{Store, StoreError, rows};
use crate::clock::now_ms;

/// One message.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Callback {
    /// By which its receiver tells repetitions apart.
    pub(crate) id: String,
    pub(crate) export_id: String,
    pub(crate) body: String,
    pub(crate) turn: i64,
    pub(crate) attempts: i64,
}

/// Notes that somebody is to be told of the end that an export has come to.
pub(super) async fn ask(c: &mut AnyConnection, export_id: &str, now: i64) -> sqlx::Result<()> {
    let Some(export) = rows::export_of(&mut *c, export_id).await? else { return Ok(()) };
    let id = format!("{export_id}-{}", export.turn);
    let body = serde_json::json!({ "id": id, "type": format!("export.{}", export.state), "export": export });
    sqlx::query(
        "INSERT INTO callbacks (id, export_id, state, body, created_at, turn, attempts, due_at)
         VALUES ($1, $2, $3, $4, $5, 1, 0, $5) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&id)
    .bind(export_id)
    .bind(&export.state)
    .bind(body.to_string())
    .bind(now)
    .execute(c)
    .await?;
    Ok(())
}

impl Store {
    /// The message, if that turn is still its turn.
    pub(crate) async fn callback(&self, id: &str, turn: i64) -> Result<Option<Callback>, StoreError> {
        let asked = "SELECT id, export_id, body, turn, attempts FROM callbacks WHERE id = $1 AND turn = $2 AND due_at IS NOT NULL";
        let found = sqlx::query_as(asked).bind(id).bind(turn).fetch_optional(&self.reads).await;
        found.map_err(StoreError::on("read from"))
    }

    /// Notes how the attempt went: told, or again at that time, or given up.
    pub(crate) async fn called(
        &self,
        callback: &Callback,
        failure: Option<&str>,
        due_at: Option<i64>,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(
            "UPDATE callbacks SET attempts = attempts + 1, turn = turn + 1, failure = $3, due_at = $4, done_at = $5
             WHERE id = $1 AND turn = $2",
        )
        .bind(&callback.id)
        .bind(callback.turn)
        .bind(failure)
        .bind(due_at)
        .bind(failure.is_none().then(now_ms));
        changed.execute(&self.writes).await.map_err(StoreError::on("write to"))?;
        Ok(())
    }
}
