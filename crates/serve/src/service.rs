//! The service: everything started, and stopped in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::ServeError;
use crate::clock::now_ms;
use crate::config::{Config, ConfigError};
use crate::inbox::Inbox;
use crate::lock::Lock;
use crate::metrics::Metrics;
use crate::queue::{Lane, Queue};
use crate::receive::{self, Receiver, Room};
use crate::server::{self, Bounds};
use crate::show;
use crate::store::{Store, beside, keep_private};
use crate::work::Worker;

/// How often it is looked whether something is due, if nobody says so.
const LOOK: Duration = Duration::from_millis(500);
/// Errands that are run at the same time.
const ERRANDS: usize = 8;
/// How often what is too old is taken away.
const PURGE: Duration = Duration::from_secs(3600);
/// What was done is known to the queue for so long.
const REMEMBERED: Duration = Duration::from_secs(86_400);
/// Answers that are being written get so long at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The service behind the webhooks.
///
/// ```no_run
/// use fhirline_serve::{Config, Service};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::read("fhirline.toml".as_ref())?;
/// let service = Service::start(config, true).await?;
/// println!("listening on {:?}", service.address());
/// service.until_stopped(std::future::pending()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Service {
    config: Arc<Config>,
    store: Store,
    address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    /// What ends by itself once it is told to.
    parts: JoinSet<()>,
    /// What ends with the last answer.
    server: Option<tokio::task::JoinHandle<()>>,
    inbox: Option<tokio::task::JoinHandle<()>>,
    _lock: Option<Lock>,
}

impl Service {
    /// Starts to work on what is due; and to listen, if it is said so (`false`: a worker beside other processes, on PostgreSQL).
    ///
    /// # Errors
    /// [`ServeError`], when the database, the queue or the address cannot be had.
    pub async fn start(config: Config, listens: bool) -> Result<Self, ServeError> {
        let config = Arc::new(config);
        let lock = config.store.file().map(Lock::take).transpose()?;
        let store = Store::open(&config.store).await?;
        let queue = Queue::open(&config.store, config.lease).await?;
        if let Some(file) = config.store.file() {
            keep_private(&["-queue", "-queue-wal", "-queue-shm"].map(|suffix| beside(file, suffix)));
        }
        if config.store.is_sqlite() {
            let left = store.recover().await?;
            if left > 0 {
                info!(exports = left, "exports that were in work go on");
            }
        }
        let (stop, stopped) = watch::channel(false);
        let metrics = Arc::new(Metrics::new());
        let stored = Arc::new(Notify::new());
        let mut service = Self {
            config: Arc::clone(&config),
            store: store.clone(),
            address: None,
            stop,
            parts: JoinSet::new(),
            server: None,
            inbox: None,
            _lock: lock,
        };
        if listens {
            let (inbox, writer) = Inbox::start(store.clone(), config.rules.clone(), Arc::clone(&stored));
            service.inbox = Some(writer);
            service.listen(inbox, &metrics, &stored, stopped.clone()).await?;
        }
        service.work(&queue, &metrics, &stopped);
        service.parts.spawn(dispatch(store.clone(), queue.clone(), stored, stopped.clone()));
        service.parts.spawn(purge(store, queue, config.keep, stopped));
        Ok(service)
    }

    async fn listen(
        &mut self,
        inbox: Inbox,
        metrics: &Arc<Metrics>,
        stored: &Arc<Notify>,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), ServeError> {
        let address = self.config.listen;
        let refused = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        self.address = Some(listener.local_addr().map_err(refused)?);
        let shown = show::Shown {
            store: self.store.clone(),
            config: Arc::clone(&self.config),
            metrics: Arc::clone(metrics),
            changed: Arc::clone(stored),
            stop: stopped.clone(),
        };
        let (mut router, room) = (show::router(shown), Room::default());
        for (mode, fasten) in self.config.fasten.iter() {
            let receiver = Receiver {
                mode,
                fasten: Arc::new(fasten.clone()),
                inbox: inbox.clone(),
                metrics: Arc::clone(metrics),
                room: room.clone(),
            };
            router = router.merge(Router::new().route(&fasten.path, receive::route()).with_state(receiver));
        }
        self.server = Some(tokio::spawn(server::serve(listener, router, Bounds::default(), stopped)));
        Ok(())
    }

    fn work(&mut self, queue: &Queue, metrics: &Arc<Metrics>, stopped: &watch::Receiver<bool>) {
        let name = format!("fhirline-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let worker = Worker {
            store: self.store.clone(),
            config: Arc::clone(&self.config),
            metrics: Arc::clone(metrics),
            name: name.into(),
            stop: stopped.clone(),
        };
        for lane in Lane::ALL {
            let at_once = if lane == Lane::Exports { self.config.max_jobs } else { ERRANDS };
            let (queue, worker) = (queue.clone(), worker.clone());
            self.parts.spawn(async move { queue.work(lane, at_once, worker).await });
        }
    }

    /// Where it listens, if it does.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Goes on until that is over. Then it takes no new work, has what runs note how far it is, and ends within the time that is
    /// configured.
    pub async fn until_stopped(mut self, stop: impl Future<Output = ()>) {
        stop.await;
        info!("the service stops");
        self.stop.send_replace(true);
        let all = async { while self.parts.join_next().await.is_some() {} };
        if tokio::time::timeout(self.config.stop_within, all).await.is_err() {
            warn!("what is not at its end by now goes on after the next start");
        }
        for part in [self.server.take(), self.inbox.take()].into_iter().flatten() {
            let abort = part.abort_handle();
            if tokio::time::timeout(LAST_ANSWERS, part).await.is_err() {
                abort.abort();
            }
        }
        self.store.close().await;
    }
}

/// Hands what is due to the queue.
async fn dispatch(store: Store, queue: Queue, stored: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(error) = hand_over(&store, &queue).await {
            warn!(error = &error as &dyn std::error::Error, "what is due could not be handed to the queue");
        }
        tokio::select! {
            () = stored.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

async fn hand_over(store: &Store, queue: &Queue) -> Result<(), ServeError> {
    for due in store.due(now_ms()).await? {
        queue.push(&due).await?;
        store.pushed(&due).await?;
    }
    Ok(())
}

/// Takes away what is too old.
async fn purge(store: Store, queue: Queue, keep: Option<Duration>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let done = async {
            queue.forget(REMEMBERED).await?;
            if let Some(keep) = keep {
                store
                    .purge(now_ms().saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX)))
                    .await?;
            }
            Ok::<_, ServeError>(())
        };
        if let Err(error) = done.await {
            warn!(error = &error as &dyn std::error::Error, "what is too old could not be taken away");
        }
        let _ = tokio::time::timeout(PURGE, stop.wait_for(|stop| *stop)).await;
    }
}

/// Takes away what is over and older than that, or than what the configuration keeps.
///
/// # Errors
/// [`ServeError`], when neither says for how long things are kept, or when the database cannot be had.
pub async fn purge_now(config: &Config, keep: Option<Duration>) -> Result<crate::Purged, ServeError> {
    let why = "nothing says for how long events and reports are kept";
    let keep = keep.or(config.keep).ok_or_else(|| ConfigError::value("keep_days", why))?;
    let store = Store::open(&config.store).await?;
    let before = now_ms().saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    let purged = store.purge(before).await?;
    store.close().await;
    Ok(purged)
}
