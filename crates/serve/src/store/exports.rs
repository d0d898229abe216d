//! What workers do to exports.

use serde_json::Value;
use sqlx::AnyConnection;
use sqlx::error::DatabaseError;

use super::{ExportRow, Store, StoreError, callbacks, requests, steps};
use crate::State;
use crate::clock::now_ms;

/// An export that this worker works on.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) export: ExportRow,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With an output.
    Finished {
        /// Which of the three.
        state: State,
        /// The account.
        report: Value,
    },
    /// With trouble that may pass: again at that time.
    Again {
        /// What happened.
        failure: String,
        /// When.
        due_at: i64,
    },
    /// With trouble that will not pass.
    Failed {
        /// What happened.
        failure: String,
        /// What can be done about it.
        action: Option<String>,
    },
    /// Its links have ended for good.
    Expired {
        /// What happened.
        failure: String,
        /// Whether it is requested again.
        request_again: bool,
    },
    /// Not by itself: the service stops.
    Stopped,
}

impl Store {
    /// Takes an export into work, if that turn is still its turn. One that is in work already was left by a worker that is no more.
    pub(crate) async fn claim(
        &self,
        id: &str,
        turn: i64,
        worker: &str,
    ) -> Result<Option<Claimed>, StoreError> {
        self.do_claim(id, turn, worker).await.map_err(StoreError::on("write to"))
    }

    async fn do_claim(&self, id: &str, turn: i64, worker: &str) -> sqlx::Result<Option<Claimed>> {
        let now = now_ms();
        let mut transaction = self.writes.begin().await?;
        let taken = sqlx::query(
            "UPDATE exports SET state = 'running', attempts = attempts + 1, worker = $3, started_at = $4, due_at = NULL,
             progress = NULL WHERE id = $1 AND turn = $2 AND state IN ('queued', 'running')",
        );
        let taken = taken.bind(id).bind(turn).bind(worker).bind(now).execute(&mut *transaction).await?;
        if taken.rows_affected() == 0 {
            return Ok(None);
        }
        steps::note(&mut transaction, id, now, State::Running, None).await?;
        transaction.commit().await?;
        Ok(self.find_export(id).await?.map(|export| Claimed { export }))
    }

    /// Says where it goes, the first time. `false` if another export goes there.
    pub(crate) async fn place(&self, id: &str, destination: &str) -> Result<bool, StoreError> {
        let placed = "UPDATE exports SET destination = $2 WHERE id = $1 AND destination IS NULL";
        match sqlx::query(placed).bind(id).bind(destination).execute(&self.writes).await {
            Ok(_) => Ok(true),
            Err(error) if is_taken(&error) => Ok(false),
            Err(error) => Err(StoreError::on("write to")(error)),
        }
    }

    /// Notes how far a running export is.
    pub(crate) async fn progress(&self, id: &str, turn: i64, progress: &Value) -> Result<(), StoreError> {
        let changed = "UPDATE exports SET progress = $3 WHERE id = $1 AND turn = $2 AND state = 'running'";
        let changed = sqlx::query(changed).bind(id).bind(turn).bind(progress.to_string());
        changed.execute(&self.writes).await.map_err(StoreError::on("write to"))?;
        Ok(())
    }

    /// Notes the end of an attempt. `false` if another worker has done so before.
    pub(crate) async fn end(
        &self,
        claimed: &Claimed,
        ended: &Ended,
        calls_back: bool,
    ) -> Result<bool, StoreError> {
        self.do_end(&claimed.export, ended, calls_back).await.map_err(StoreError::on("write to"))
    }

    async fn do_end(&self, export: &ExportRow, ended: &Ended, calls_back: bool) -> sqlx::Result<bool> {
        let now = now_ms();
        let mut transaction = self.writes.begin().await?;
        if !write_end(&mut transaction, export, ended, now).await? {
            return Ok(false);
        }
        let state = ended.state();
        steps::note(&mut transaction, &export.id, now, state, ended.note()).await?;
        if let (Ended::Expired { request_again: true, .. }, Some(connection)) =
            (ended, export.org_connection_id.as_deref())
        {
            let reason = format!("{} of generation {}", export.id, export.generation);
            requests::ask(&mut transaction, export.mode(), connection, &reason, "its links have ended", now)
                .await?;
        }
        if calls_back && state.is_over() {
            callbacks::ask(&mut transaction, &export.id, now).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Everything that was in work when the service ended, waits again: at the start of the only service there is.
    pub(crate) async fn recover(&self) -> Result<u64, StoreError> {
        self.do_recover().await.map_err(StoreError::on("write to"))
    }

    async fn do_recover(&self) -> sqlx::Result<u64> {
        let now = now_ms();
        let mut transaction = self.writes.begin().await?;
        for table in [
            "UPDATE exports SET pushed = -1",
            "UPDATE requests SET pushed = -1",
            "UPDATE callbacks SET pushed = -1",
        ] {
            sqlx::query(table).execute(&mut *transaction).await?;
        }
        let left: Vec<String> = sqlx::query_scalar(
            "UPDATE exports SET state = 'queued', turn = turn + 1, due_at = $1 WHERE state = 'running' RETURNING id",
        )
        .bind(now)
        .fetch_all(&mut *transaction)
        .await?;
        for id in &left {
            let why = "the service was stopped in the middle";
            steps::note(&mut transaction, id, now, State::Queued, Some(why)).await?;
        }
        transaction.commit().await?;
        Ok(left.len() as u64)
    }

    /// Lets a person try again what failed, expired or is held. `false` if it is none of these, or has no link.
    pub(crate) async fn retry(&self, id: &str) -> Result<bool, StoreError> {
        self.do_retry(id).await.map_err(StoreError::on("write to"))
    }

    async fn do_retry(&self, id: &str) -> sqlx::Result<bool> {
        let now = now_ms();
        let mut transaction = self.writes.begin().await?;
        let changed = sqlx::query(
            "UPDATE exports SET state = 'queued', turn = turn + 1, attempts = 0, due_at = $2, failure = NULL, action = NULL,
             finished_at = NULL WHERE id = $1 AND state IN ('failed', 'expired', 'held') AND link IS NOT NULL",
        );
        let changed = changed.bind(id).bind(now).execute(&mut *transaction).await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        steps::note(&mut transaction, id, now, State::Queued, Some("somebody asked for another attempt"))
            .await?;
        transaction.commit().await?;
        Ok(true)
    }
}

impl Ended {
    /// Where the export is after it.
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Finished { state, .. } => *state,
            Self::Again { .. } | Self::Stopped => State::Queued,
            Self::Failed { .. } => State::Failed,
            Self::Expired { .. } => State::Expired,
        }
    }

    fn note(&self) -> Option<&str> {
        match self {
            Self::Finished { .. } => None,
            Self::Again { failure, .. } | Self::Failed { failure, .. } | Self::Expired { failure, .. } => {
                Some(failure)
            }
            Self::Stopped => Some("the service stops"),
        }
    }

    fn action(&self) -> Option<&str> {
        match self {
            Self::Failed { action, .. } => action.as_deref(),
            Self::Expired { request_again: false, .. } => {
                Some("request the export again: fhirline connect export ORG_CONNECTION_ID")
            }
            _ => None,
        }
    }
}

/// Whether another row has the value that is to be one row's only.
fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(DatabaseError::is_unique_violation)
}

async fn write_end(c: &mut AnyConnection, export: &ExportRow, ended: &Ended, now: i64) -> sqlx::Result<bool> {
    let state = ended.state();
    let due_at = match ended {
        Ended::Again { due_at, .. } => Some(*due_at),
        Ended::Stopped => Some(now),
        _ => None,
    };
    let failure = ended.note().filter(|_| !matches!(ended, Ended::Stopped));
    let report = if let Ended::Finished { report, .. } = ended { Some(report.to_string()) } else { None };
    let changed = sqlx::query(
        "UPDATE exports SET state = $3, turn = turn + 1, due_at = $4, failure = $5, action = $6, report = $7, progress = NULL,
         finished_at = $8, worker = NULL, attempts = attempts - $9 WHERE id = $1 AND turn = $2 AND state = 'running'",
    )
    .bind(&export.id)
    .bind(export.turn)
    .bind(state.name())
    .bind(due_at)
    .bind(failure)
    .bind(ended.action())
    .bind(report)
    .bind(state.is_over().then_some(now))
    // What was stopped was not an attempt that failed.
    .bind(i64::from(matches!(ended, Ended::Stopped)))
    .execute(c)
    .await?;
    Ok(changed.rows_affected() == 1)
}
