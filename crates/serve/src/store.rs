//! What the service knows: events, exports, connections, requests and callbacks, in SQLite or PostgreSQL.
//!
//! The statements are the same for both, by `sqlx`'s driver for any database; only the type of the bodies differs. This is the truth: what
//! the queue holds follows from it and can be made again from it.

use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, AssertSqlSafe, SqlSafeStr};

pub(crate) use callbacks::Callback;
pub(crate) use due::{Due, DueKind};
pub(crate) use exports::{Claimed, Ended};
pub(crate) use inbox::{Accepted, Delivery, Rules};
pub(crate) use place::StorePlace;
pub use purge::Purged;
pub use rows::{CountRow, EventRow, ExportRow, StepRow};
pub(crate) use rows::{ExportFilter, GivenUpRow};

mod callbacks;
mod due;
mod exports;
mod first;
mod inbox;
mod place;
mod purge;
mod ready;
mod requests;
mod rows;
mod steps;

/// The tables, as SQLite takes them, in the order in which versions of this program made them.
const TABLES: [(i64, &str); 2] = [
    (1, include_str!("../migrations/0001_tables.sql")),
    (VERSION, include_str!("../migrations/0002_probes.sql")),
];
/// The last of these.
const VERSION: i64 = 2;
/// The step before all others.
const OPEN: &str = "open";
/// Connections to the database.
const MAX_CONNECTIONS: u32 = 8;

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    reads: AnyPool,
    /// One connection in SQLite, of which one writes at a time: whoever waits for it here has his turn, and is woken for it. Whoever waits for
    /// the lock of the file looks again every now and then, up to 100 ms later.
    writes: AnyPool,
    readiness: ready::Readiness,
}

/// The database refused. No value of a row is in it, nor its URL.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} the database{}", place.iter().map(|place| format!(" {place}")).collect::<String>())]
pub struct StoreError {
    step: &'static str,
    /// Which, as far as it can be shown and is not known.
    place: Option<String>,
    source: StoreCause,
}

/// Why.
#[derive(Debug, thiserror::Error)]
enum StoreCause {
    #[error(transparent)]
    Refused(#[from] sqlx::Error),
    #[error("its file cannot be written to")]
    File(#[source] std::io::Error),
    #[error("its URL is not understood")]
    Url,
    #[error("it did not answer within {0} s")]
    Silent(u64),
    #[error("a newer fhirline has made its tables")]
    Newer,
}

impl StoreError {
    pub(crate) fn on(step: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self { step, place: None, source: source.into() }
    }

    /// What can be done about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self.source {
            StoreCause::Newer => Some("use that version, or another database (`store`)"),
            _ if self.step == OPEN => Some(
                "see `store` in the configuration: a file of SQLite in a folder that may be written to, or postgres://USER@HOST/DATABASE",
            ),
            _ => None,
        }
    }
}

impl Store {
    /// Opens the database, and makes its tables if they are not there.
    pub(crate) async fn open(place: &StorePlace) -> Result<Self, StoreError> {
        install_default_drivers();
        first::look(place).await?;
        let options: AnyConnectOptions = place.url().parse().map_err(StoreError::on("open"))?;
        let reads = connect(place, &options, MAX_CONNECTIONS).await?;
        let writes = if place.is_sqlite() { connect(place, &options, 1).await? } else { reads.clone() };
        let store = Self { reads, writes, readiness: ready::Readiness::default() };
        store.migrate(place).await?;
        Ok(store)
    }

    async fn migrate(&self, place: &StorePlace) -> Result<(), StoreError> {
        let migrations = TABLES.map(|(version, tables)| {
            let tables =
                if place.is_sqlite() { tables.to_owned() } else { tables.replace(" BLOB ", " BYTEA ") };
            let tables = AssertSqlSafe(tables).into_sql_str();
            Migration::new(version, "tables".into(), MigrationType::Simple, tables, false)
        });
        let mut migrator = Migrator::with_migrations(migrations.to_vec());
        // In PostgreSQL the queue has its migrations in the same table.
        migrator.set_ignore_missing(true);
        migrator.run(&self.writes).await.map_err(|error| StoreError::on("make the tables of")(error.into()))
    }

    /// Ends all connections.
    pub(crate) async fn close(&self) {
        self.writes.close().await;
        self.reads.close().await;
    }
}

async fn connect(place: &StorePlace, options: &AnyConnectOptions, most: u32) -> Result<AnyPool, StoreError> {
    let pool = AnyPoolOptions::new().max_connections(most).acquire_timeout(Duration::from_secs(30));
    let pool = if place.is_sqlite() { of_sqlite(pool) } else { pool };
    pool.connect_with(options.clone()).await.map_err(StoreError::on("open"))
}

/// A commit is on the disk before it is told, and whoever finds the database locked waits.
fn of_sqlite(pool: AnyPoolOptions) -> AnyPoolOptions {
    pool.after_connect(|connection, _| {
        Box::pin(async move {
            for pragma in [
                "PRAGMA busy_timeout = 20000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
            ] {
                sqlx::query(pragma).execute(&mut *connection).await?;
            }
            Ok(())
        })
    })
    .after_release(|connection, _| Box::pin(has_ended(connection)))
}

/// Whether a connection may be used again. When the disk is full SQLite ends a transaction by itself, and the driver's count of them is off from
/// then on: what follows is put into one that nobody commits, and told to be on the disk.
pub(crate) async fn has_ended(connection: &mut impl sqlx::Connection) -> sqlx::Result<bool> {
    // Behind a rollback that is on its way.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Has the files of the queue, which are made anew at each start, for their owner alone.
pub(crate) fn keep_private(files: &[std::path::PathBuf]) {
    for file in files {
        let only_owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        // One that is not there needs none.
        let _ = std::fs::set_permissions(file, only_owner);
    }
}

/// Where the queue of a database in a file is: beside it.
pub(crate) fn beside(file: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
