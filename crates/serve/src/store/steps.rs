use sqlx::AnyConnection;

use crate::State;

/// Notes what happened to an export, behind what is noted already.
pub(super) async fn note(
    connection: &mut AnyConnection,
    export: &str,
    now: i64,
    state: State,
    note: Option<&str>,
) -> sqlx::Result<()> {
    let counted = "UPDATE exports SET steps = steps + 1, updated_at = $2 WHERE id = $1 RETURNING steps";
    let step: i64 = sqlx::query_scalar(counted).bind(export).bind(now).fetch_one(&mut *connection).await?;
    sqlx::query("INSERT INTO steps (export_id, step, at, state, note) VALUES ($1, $2, $3, $4, $5)")
        .bind(export)
        .bind(step)
        .bind(now)
        .bind(state.name())
        .bind(note)
        .execute(connection)
        .await?;
    Ok(())
}
