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
        for (accepted, answer) in accepted(&store, &deliveries, &rules).await.into_iter().zip(answers) {
            // Without an answer its receiver says that it was not stored. A sender that has gone will send again.
            if let Some(accepted) = accepted {
                let _ = answer.send(accepted);
            }
        }
        stored.notify_one();
    }
}

/// All of them by one transaction; if that fails, each by its own, so that none stands in another's way.
async fn accepted(store: &Store, deliveries: &[Delivery], rules: &Rules) -> Vec<Option<Accepted>> {
    match store.accept(deliveries, rules).await {
        Ok(all) => return all.into_iter().map(Some).collect(),
        Err(error) => error!(error = &error as &dyn std::error::Error, "deliveries could not be stored"),
    }
    let mut all = Vec::with_capacity(deliveries.len());
    for delivery in deliveries.iter().filter(|_| deliveries.len() > 1) {
        let accepted = store.accept(std::slice::from_ref(delivery), rules).await;
        all.push(accepted.ok().and_then(|accepted| accepted.first().copied()));
    }
    all.resize(deliveries.len(), None);
    all
}
