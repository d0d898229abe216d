//! What the service knows: events, exports, connections, requests and callbacks, in SQLite or PostgreSQL.
//!
//! The statements are the same for both, by `sqlx`'s driver for any database; only the type of the bodies differs. This is the truth: what
//! the queue holds follows from it and can be made again from it.

use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, AssertSqlSafe, Connection as _, SqlSafeStr};

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
mod inbox;
mod place;
mod purge;
mod requests;
mod rows;
mod steps;

/// The tables, as SQLite takes them.
const TABLES: &str = include_str!("../migrations/0001_tables.sql");
/// Connections to the database; one of them writes at a time in SQLite.
const MAX_CONNECTIONS: u32 = 8;

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
}

/// The database refused. No value of a row is in it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} the database")]
pub struct StoreError {
    step: &'static str,
    source: sqlx::Error,
}

impl StoreError {
    pub(crate) fn on(step: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self { step, source }
    }
}

impl Store {
    /// Opens the database, and makes its tables if they are not there.
    pub(crate) async fn open(place: &StorePlace) -> Result<Self, StoreError> {
        install_default_drivers();
        let options: AnyConnectOptions = place.url().parse().map_err(StoreError::on("open"))?;
        let pool = AnyPoolOptions::new().max_connections(MAX_CONNECTIONS);
        let pool = pool.acquire_timeout(Duration::from_secs(30));
        let pool = if place.is_sqlite() { of_sqlite(pool) } else { pool };
        let pool = pool.connect_with(options).await.map_err(StoreError::on("open"))?;
        let store = Self { pool };
        store.migrate(place).await?;
        Ok(store)
    }

    async fn migrate(&self, place: &StorePlace) -> Result<(), StoreError> {
        let tables = if place.is_sqlite() { TABLES.to_owned() } else { TABLES.replace(" BLOB ", " BYTEA ") };
        let tables = AssertSqlSafe(tables).into_sql_str();
        let mut migrator = Migrator::with_migrations(vec![Migration::new(
            1,
            "tables".into(),
            MigrationType::Simple,
            tables,
            false,
        )]);
        // In PostgreSQL the queue has its migrations in the same table.
        migrator.set_ignore_missing(true);
        migrator.run(&self.pool).await.map_err(|error| StoreError::on("make the tables of")(error.into()))
    }

    /// Whether it answers.
    pub(crate) async fn answers(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map_err(StoreError::on("ask"))?;
        Ok(())
    }

    /// Ends all connections.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
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
    // When the disk is full SQLite ends a transaction by itself, and the driver's count of them is off from then on: what follows is put into one
    // that nobody commits, and told to be on the disk. So a connection is used again only if its transaction is over.
    .after_release(|connection, _| {
        Box::pin(async move {
            // Behind a rollback that is on its way.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

/// Where the queue of a database in a file is: beside it.
pub(crate) fn beside(file: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
