//! Whether what is delivered now would be stored.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Store;
use crate::clock::now_ms;

/// Whoever asks within this time gets the same answer: a write of its own for each question would be a load that anybody may cause.
const FRESH: Duration = Duration::from_secs(5);
/// Whoever asks has less patience than the database.
const ANSWER: Duration = Duration::from_secs(4);

/// What the last write told.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness {
    last: Arc<Mutex<Option<(Instant, bool)>>>,
    /// One asks, and the others learn from it.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Readiness {
    pub(super) fn note(&self, is_writable: bool) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), is_writable));
    }

    /// Something was refused, which may be its own fault: who wants to know tries.
    pub(super) fn doubt(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn recent(&self) -> Option<bool> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, is_writable)| is_writable)
    }
}

impl Store {
    /// Whether something was put on its disk in the last seconds, or could be now.
    pub(crate) async fn is_writable(&self) -> bool {
        let _turn = self.readiness.turn.lock().await;
        if let Some(known) = self.readiness.recent() {
            return known;
        }
        let probe =
            "INSERT INTO probes (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
        let written = timeout(ANSWER, sqlx::query(probe).bind(now_ms()).execute(&self.writes)).await;
        let is_writable = matches!(written, Ok(Ok(_)));
        self.readiness.note(is_writable);
        is_writable
    }
}
