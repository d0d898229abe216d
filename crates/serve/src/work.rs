//! What a worker does: one thing that is due, to its end.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::BoxDynError;
use fhirline::Cancel;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::aside::aside;
use crate::clock::{after, now_ms};
use crate::config::{Config, TemplateValues};
use crate::metrics::Metrics;
use crate::store::{Claimed, Due, DueKind, Ended, Store, StoreError};

mod attempt;
mod callback;
mod place;
mod progress;
mod request;
mod verdict;

use progress::Progress;

/// How often a running export's progress is noted.
const PROGRESS: Duration = Duration::from_millis(500);
/// Time for a database to come to itself.
const PAUSE: Duration = Duration::from_secs(1);
/// No wait between two attempts is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Works on what is due.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) store: Store,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    /// The process, as it is shown.
    pub(crate) name: Arc<str>,
    /// Set once the service stops.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Worker {
    /// Does one thing. An error is one of the database: it is then handed out again.
    pub(crate) async fn run(self, due: Due) -> Result<(), BoxDynError> {
        if *self.stop.borrow() {
            // Whoever starts next finds it in the store.
            return Err("the service stops".into());
        }
        let done = match due.kind {
            DueKind::Export => self.export(&due).await,
            DueKind::Request => request::request(&self, &due).await,
            DueKind::Poll => request::poll(&self, &due).await,
            DueKind::Callback => callback::call(&self, &due).await,
        };
        if let Err(error) = &done {
            error!(id = %due.id, error = error as &dyn std::error::Error, "something due could not be done, and is tried again");
            // The queue hands it out again at once.
            tokio::time::sleep(PAUSE).await;
        }
        Ok(done?)
    }

    async fn export(&self, due: &Due) -> Result<(), StoreError> {
        let Some(claimed) = self.store.claim(&due.id, due.turn, &self.name).await? else { return Ok(()) };
        info!(export = %due.id, attempt = claimed.export.attempts, "an export is begun");
        let begun = std::time::Instant::now();
        let ended = self.attempted(&claimed).await?;
        let state = ended.state();
        if self.store.end(&claimed, &ended, self.config.rules.calls_back).await? {
            self.metrics.export_ended(&ended, begun.elapsed());
            match &ended {
                Ended::Finished { .. } | Ended::Stopped => {
                    info!(export = %due.id, %state, "an export has ended");
                }
                Ended::Again { failure, .. } => {
                    warn!(export = %due.id, failure, "an export is tried again later");
                }
                Ended::Failed { failure, .. } | Ended::Expired { failure, .. } => {
                    error!(export = %due.id, %state, failure, "an export has ended without an output");
                }
            }
        }
        Ok(())
    }

    /// One attempt, with its place found and its progress noted.
    async fn attempted(&self, claimed: &Claimed) -> Result<Ended, StoreError> {
        let export = &claimed.export;
        let destination = export.destination.clone().unwrap_or_else(|| self.destination(claimed));
        if !self.store.place(&export.id, &destination).await? {
            let failure = "another export has the same destination".to_owned();
            let action = Some("name {export_id} in the template of destinations".to_owned());
            return Ok(Ended::Failed { failure, action });
        }
        let progress = Progress::default();
        let cancel = Cancel::new();
        let (config, row) = (self.config.clone(), export.clone());
        let (seen, asked) = (progress.clone(), cancel.clone());
        let attempt = move || attempt::attempt(&config, &row, &destination, &asked, &seen);
        let mut job = std::pin::pin!(aside("fhirline-export", attempt));
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                ended = &mut job => return Ok(ended.unwrap_or_else(|_| verdict::of_panic())),
                // It changes once.
                Ok(()) = stop.changed() => { cancel.cancel(); }
                () = tokio::time::sleep(PROGRESS) => {
                    self.store.progress(&export.id, export.turn, &progress.told()).await?;
                }
            }
        }
    }

    fn destination(&self, claimed: &Claimed) -> String {
        let export = &claimed.export;
        self.config.destination.fill(&TemplateValues {
            api_mode: &export.mode,
            org_connection_id: export.org_connection_id.as_deref(),
            task_id: Some(&export.task_id),
            external_id: export.external_id.as_deref(),
            export_id: &export.id,
        })
    }
}

/// When the attempt after so many is due: each wait is twice the one before, and none is exactly like another. None is shorter than a server has
/// asked for.
pub(crate) fn next_attempt(first: Duration, attempts: i64, asked: Duration) -> i64 {
    let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 20)).unwrap_or_default();
    let wait = first.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    after(now_ms(), wait.mul_f64(0.8 + 0.4 * fastrand::f64()).max(asked.min(LONGEST_WAIT)))
}
