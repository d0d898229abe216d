use super::{Store, StoreError};

/// What a purge took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Purged {
    /// Events.
    pub events: u64,
    /// Exports that were over.
    pub exports: u64,
    /// Messages that were sent or given up, and requests.
    pub messages: u64,
}

impl Store {
    /// Takes away what is over and was last changed before that time (milliseconds since 1970). Outputs are left alone, and so are connections,
    /// of which exports to come are told.
    pub(crate) async fn purge(&self, before: i64) -> Result<Purged, StoreError> {
        self.do_purge(before).await.map_err(StoreError::on("purge"))
    }

    async fn do_purge(&self, before: i64) -> sqlx::Result<Purged> {
        let over =
            "state IN ('done', 'done_with_rejects', 'mismatch', 'failed', 'expired') AND updated_at < $1";
        let mut transaction = self.writes.begin().await?;
        let mut counts = [0; 5];
        let statements = [
            "DELETE FROM callbacks WHERE due_at IS NULL AND created_at < $1".to_owned(),
            "DELETE FROM requests WHERE due_at IS NULL AND created_at < $1".to_owned(),
            format!("DELETE FROM steps WHERE export_id IN (SELECT id FROM exports WHERE {over})"),
            format!("DELETE FROM exports WHERE {over}"),
            "DELETE FROM events WHERE last_at < $1 AND id NOT IN (SELECT event_id FROM exports WHERE event_id IS NOT NULL)"
                .to_owned(),
        ];
        for (count, statement) in counts.iter_mut().zip(statements) {
            let deleted = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(before);
            *count = deleted.execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        let [callbacks, requests, _, exports, events] = counts;
        Ok(Purged { events, exports, messages: callbacks + requests })
    }
}
