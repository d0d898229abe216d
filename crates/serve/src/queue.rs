//! Who does what is due: a queue of the crate `apalis`, in the same PostgreSQL or in a file beside that of SQLite.
//!
//! It hands each thing to one of the workers that ask, and hands it out again if that worker is not heard of any more: at least once. What is
//! handed out is a key into the [`Store`](crate::store::Store), which knows whether it is still to be done. The queue of SQLite belongs to one process;
//! it is made anew at each start, from what the store says is due.

use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use apalis::prelude::{
    BackendExt, BoxDynError, Data, TaskBuilder, TaskSink, WorkerBuilder, WorkerBuilderExt,
};
use apalis_postgres::{PgPool, PostgresStorage};
use apalis_sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};
use futures_util::stream::{self, Stream};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::warn;

use crate::ServeError;
use crate::store::{Due, DueKind, StorePlace, beside, has_ended};
use crate::work::Worker;

/// How often workers ask for something to do.
const POLL: Duration = Duration::from_millis(100);
/// Heartbeats that may be missed before a worker counts as gone.
const MISSED_HEARTBEATS: u32 = 2;
/// How long a worker whose queue failed waits before it asks again.
const PAUSE: Duration = Duration::from_secs(1);
/// The file beside that of the store.
const SUFFIX: &str = "-queue";

/// The queue.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    backend: Backend,
    heartbeat: Duration,
}

#[derive(Clone, Debug)]
enum Backend {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The two kinds of work: exports take minutes, errands do not wait behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Exports,
    Errands,
}

impl Lane {
    pub(crate) const ALL: [Self; 2] = [Self::Exports, Self::Errands];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exports => "fhirline-exports",
            Self::Errands => "fhirline-errands",
        }
    }

    fn of(kind: DueKind) -> Self {
        match kind {
            DueKind::Export => Self::Exports,
            DueKind::Request | DueKind::Poll | DueKind::Callback => Self::Errands,
        }
    }
}

impl Queue {
    /// Opens the queue that belongs to that store. A worker that is not heard of for `lease` counts as gone.
    pub(crate) async fn open(place: &StorePlace, lease: Duration) -> Result<Self, ServeError> {
        let backend = match place.file() {
            Some(file) => Backend::Sqlite(anew(&beside(file, SUFFIX)).await?),
            None => Backend::Postgres(shared(&place.url()).await?),
        };
        Ok(Self { backend, heartbeat: lease / MISSED_HEARTBEATS })
    }

    /// Hands something over. What was handed over before is not handed over again.
    pub(crate) async fn push(&self, due: &Due) -> Result<(), ServeError> {
        let lane = Lane::of(due.kind);
        // It fails only when the database does: then it is to be handed out again, however often.
        let task = TaskBuilder::new(due.clone()).idempotency_key(due.key()).max_attempts(1_000_000).build();
        match &self.backend {
            Backend::Sqlite(pool) => {
                self.of_sqlite(pool, lane).push_task(task).await.map_err(ServeError::queue)
            }
            Backend::Postgres(pool) => {
                self.of_postgres(pool, lane).push_task(task).await.map_err(ServeError::queue)
            }
        }
    }

    /// Does what comes, so many at a time, until the end is told; then what was begun is waited for.
    pub(crate) async fn work(&self, lane: Lane, at_once: usize, worker: Worker) {
        let mut stop = worker.stop.clone();
        let mut tries = 0;
        while !*stop.borrow() {
            // Names must be new: one that was heard of lately is refused.
            let name = format!("{}-{}-{tries}", worker.name, lane.name());
            let stopped = stop.clone();
            let ended = match &self.backend {
                Backend::Sqlite(pool) => {
                    let backend = self.of_sqlite(pool, lane).poll_with_stream(looks());
                    let builder = WorkerBuilder::new(&*name).backend(backend).data(worker.clone());
                    builder.concurrency(at_once).build(run).run_until(told(stopped)).await
                }
                Backend::Postgres(pool) => {
                    let backend = self.of_postgres(pool, lane).poll_with_stream(looks());
                    let builder = WorkerBuilder::new(&*name).backend(backend).data(worker.clone());
                    builder.concurrency(at_once).build(run).run_until(told(stopped)).await
                }
            };
            tries += 1;
            if let Err(error) = ended {
                warn!(lane = lane.name(), %error, "the queue failed, and is asked again");
            }
            let _ = tokio::time::timeout(PAUSE, stop.wait_for(|stop| *stop)).await;
        }
    }

    /// Forgets what was done before that long.
    pub(crate) async fn forget(&self, before: Duration) -> Result<(), ServeError> {
        let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
        match &self.backend {
            Backend::Sqlite(pool) => {
                let old = "DELETE FROM Jobs WHERE status = 'Done' AND done_at < strftime('%s', 'now') - $1";
                sqlx::query(old).bind(seconds).execute(pool).await.map(drop)
            }
            Backend::Postgres(pool) => {
                let old = "DELETE FROM apalis.jobs WHERE status = 'Done' AND job_type LIKE 'fhirline-%'
                     AND done_at < NOW() - make_interval(secs => $1)";
                sqlx::query(old).bind(before.as_secs_f64()).execute(pool).await.map(drop)
            }
        }
        .map_err(ServeError::queue)
    }

    fn of_sqlite(&self, pool: &SqlitePool, lane: Lane) -> SqliteStorage<Due> {
        // One at a time: what is fetched waits for this worker alone.
        let config = apalis_sqlite::Config::default().queue(lane.name()).batch_size(1);
        let config = config.heartbeat_interval(self.heartbeat).missed_heartbeats(MISSED_HEARTBEATS as usize);
        SqliteStorage::new(pool).with_config(config.persist_results(false))
    }

    fn of_postgres(&self, pool: &PgPool, lane: Lane) -> PostgresStorage<Due> {
        let config = apalis_postgres::Config::default().queue(lane.name()).batch_size(1);
        let config = config.heartbeat_interval(self.heartbeat).missed_heartbeats(MISSED_HEARTBEATS as usize);
        PostgresStorage::new(pool).with_config(config.persist_results(false))
    }
}

/// Wakes a worker every now and then. The queue's own `poll_with_interval` (1.0) begins a new wait without asking to be woken at its end: if a
/// look into the queue takes longer than the time between two, the worker sleeps until its next heartbeat.
fn looks() -> impl Stream<Item = ()> + Send + Unpin + 'static {
    let mut times = tokio::time::interval(POLL);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::poll_fn(move |context| {
        while times.poll_tick(context).is_ready() {}
        Poll::Pending
    })
}

async fn run(due: Due, worker: Data<Worker>) -> Result<(), BoxDynError> {
    // On a task of its own: heartbeats are not kept waiting by it, and its panic is an error here.
    tokio::spawn((*worker).clone().run(due)).await?
}

/// Ends when the end is told.
async fn told(mut stop: watch::Receiver<bool>) -> Result<(), std::io::Error> {
    let _ = stop.wait_for(|stop| *stop).await;
    Ok(())
}

/// A queue in a file that holds nothing. `SqliteStorage::setup` is not used: it would give up what is not on the disk.
async fn anew(file: &Path) -> Result<SqlitePool, ServeError> {
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::remove_file(beside(file, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ServeError::queue(error));
            }
            _ => {}
        }
    }
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // It can be made again from the store.
        .synchronous(SqliteSynchronous::Off)
        .busy_timeout(Duration::from_secs(20))
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new().max_connections(4);
    let pool = pool.after_release(|connection, _| Box::pin(has_ended(connection))).connect_with(options);
    let pool = pool.await.map_err(ServeError::queue)?;
    SqliteStorage::<()>::migrations().run(&pool).await.map_err(ServeError::queue)?;
    Ok(pool)
}

async fn shared(url: &str) -> Result<PgPool, ServeError> {
    let options: apalis_postgres::PgConnectOptions = url.parse().map_err(ServeError::queue)?;
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(4);
    let pool = pool.connect_with(options.disable_statement_logging()).await.map_err(ServeError::queue)?;
    let mut migrator = PostgresStorage::<()>::migrations();
    // The store has its migrations in the same table.
    migrator.set_ignore_missing(true);
    migrator.run(&pool).await.map_err(ServeError::queue)?;
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::task::{Context, Wake, Waker};

    use super::*;

    /// Tells that it was woken.
    struct Told(std::sync::Mutex<Sender<()>>);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            let _ = self.0.lock().expect("no panic").send(());
        }
    }

    /// Whoever looks late is woken again all the same. With the queue's own interval nobody is.
    #[test]
    fn a_look_that_took_longer_than_the_time_between_two_is_not_the_last() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let _inside = runtime.enter();
        let (sender, woken) = channel();
        let waker = Waker::from(Arc::new(Told(std::sync::Mutex::new(sender))));
        let mut looks = looks();
        for _ in 0..3 {
            let polled = Pin::new(&mut looks).poll_next(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            woken.recv_timeout(Duration::from_secs(60)).expect("woken");
            // The time of the next look passes as well.
            std::thread::sleep(POLL * 2);
        }
    }
}
