//! The first look at a database, before a pool has it: a pool keeps to itself why it gets no connection, and asks again until its time is over.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, Connection};
use tokio::time::timeout;

use super::{OPEN, StoreCause, StoreError, StorePlace, VERSION};

/// Time for a database to take up a connection.
const ANSWER: Duration = Duration::from_secs(30);
/// In PostgreSQL the queue has its migrations in the same table. Their versions are times, such as 20220530084123.
const FIRST_OF_QUEUE: i64 = 1_000_000;

/// Whether there is a database that this version can use, or room for one.
pub(super) async fn look(place: &StorePlace) -> Result<(), StoreError> {
    let at_open = |source| StoreError { step: OPEN, place: Some(format!("{place:?}")), source };
    if let Some(file) = place.file() {
        make_private(file).map_err(|error| at_open(StoreCause::File(error)))?;
    }
    let looked = timeout(ANSWER, ask(place)).await;
    looked.unwrap_or(Err(StoreCause::Silent(ANSWER.as_secs()))).map_err(at_open)
}

async fn ask(place: &StorePlace) -> Result<(), StoreCause> {
    let options: AnyConnectOptions = place.url().parse().map_err(without_url)?;
    let mut connection = AnyConnection::connect_with(&options).await.map_err(without_url)?;
    let anything = if place.is_sqlite() { "SELECT COUNT(*) FROM sqlite_master" } else { "SELECT 1" };
    sqlx::query(anything).execute(&mut connection).await?;
    let newest = "SELECT MAX(version) FROM _sqlx_migrations WHERE version < $1";
    let newest = sqlx::query_scalar(newest).bind(FIRST_OF_QUEUE).fetch_one(&mut connection).await;
    // There is no such table yet.
    let newest: Option<i64> = newest.unwrap_or_default();
    connection.close().await?;
    if newest > Some(VERSION) { Err(StoreCause::Newer) } else { Ok(()) }
}

/// What the driver says of a URL that it does not understand shows parts of it.
fn without_url(error: sqlx::Error) -> StoreCause {
    match error {
        sqlx::Error::Configuration(_) => StoreCause::Url,
        error => error.into(),
    }
}

/// Bodies of events tell of patients: the file is for its owner. What SQLite puts beside it has the mode that it has.
pub(super) fn make_private(file: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(file).map(drop)
}
