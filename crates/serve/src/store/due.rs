use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// Most rows that are handed over at once.
const MOST: i64 = 500;

/// Something that is to be done now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Due {
    pub(crate) kind: DueKind,
    pub(crate) id: String,
    pub(crate) turn: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DueKind {
    /// An export is to be processed.
    Export,
    /// An export is to be requested of the API.
    Request,
    /// The API is to be asked what became of one.
    Poll,
    /// Somebody is to be told.
    Callback,
}

impl DueKind {
    const ALL: [Self; 4] = [Self::Export, Self::Request, Self::Poll, Self::Callback];

    fn table(self) -> &'static str {
        match self {
            Self::Export | Self::Poll => "exports",
            Self::Request => "requests",
            Self::Callback => "callbacks",
        }
    }

    fn condition(self) -> &'static str {
        match self {
            Self::Export => "state = 'queued'",
            Self::Poll => "state = 'requested' AND requested_at IS NOT NULL",
            Self::Request | Self::Callback => "due_at IS NOT NULL",
        }
    }
}

impl Due {
    /// What the queue has once only.
    pub(crate) fn key(&self) -> String {
        format!("{:?}:{}:{}", self.kind, self.id, self.turn)
    }
}

impl Store {
    /// What is due and not in the queue yet, the longest due first.
    pub(crate) async fn due(&self, now: i64) -> Result<Vec<Due>, StoreError> {
        let mut all = Vec::new();
        for kind in DueKind::ALL {
            let statement = format!(
                "SELECT id, turn FROM {} WHERE {} AND pushed <> turn AND due_at <= $1 ORDER BY due_at LIMIT {MOST}",
                kind.table(),
                kind.condition()
            );
            let rows: Vec<(String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
                .bind(now)
                .fetch_all(&self.reads)
                .await
                .map_err(StoreError::on("read from"))?;
            all.extend(rows.into_iter().map(|(id, turn)| Due { kind, id, turn }));
        }
        Ok(all)
    }

    /// Notes that the queue has it.
    pub(crate) async fn pushed(&self, due: &Due) -> Result<(), StoreError> {
        let statement = format!("UPDATE {} SET pushed = $2 WHERE id = $1 AND turn = $2", due.kind.table());
        let changed = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(&due.id).bind(due.turn);
        changed.execute(&self.writes).await.map_err(StoreError::on("write to"))?;
        Ok(())
    }
}
