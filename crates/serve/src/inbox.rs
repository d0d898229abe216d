//! All deliveries that wait are stored by one transaction.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};
use tracing::error;

use crate::store::{Accepted, Delivery, Rules, Store};

/// Deliveries that may wait; whoever comes then waits to wait.
const WAITING: usize = 4096;
/// Most deliveries of one transaction.
const MOST_AT_ONCE: usize = 256;

/// Where deliveries are put. What is answered is on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(mpsc::Sender<Waiting>);

#[derive(Debug)]
struct Waiting {
    delivery: Delivery,
    answer: oneshot::Sender<Accepted>,
}

impl Inbox {
    /// Begins to write what is put there. `stored` is told after each transaction. The writer ends with the last clone of the inbox.
    pub(crate) fn start(
        store: Store,
        rules: Rules,
        stored: Arc<Notify>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), tokio::spawn(write(receiver, store, rules, stored)))
    }

    /// Stores a delivery. `None` if that failed: then nothing of it is stored.
    pub(crate) async fn put(&self, delivery: Delivery) -> Option<Accepted> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Waiting { delivery, answer }).await.ok()?;
        answered.await.ok()
    }
}

async fn write(mut waiting: mpsc::Receiver<Waiting>, store: Store, rules: Rules, stored: Arc<Notify>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
        let (deliveries, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|waiting| (waiting.delivery, waiting.answer)).unzip();
        match store.accept(&deliveries, &rules).await {
            Ok(all) => {
                for (accepted, answer) in all.into_iter().zip(answers) {
                    // A sender that has gone will send again.
                    let _ = answer.send(accepted);
                }
                stored.notify_one();
            }
            // Without an answer each of them is told that it was not stored.
            Err(error) => error!(error = &error as &dyn std::error::Error, "deliveries could not be stored"),
        }
    }
}
