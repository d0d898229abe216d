//! The example against a real PostgreSQL: rows, kills, refusals, and what it says.

mod conformance;
mod killed;
mod place;
#[path = "../../../../tests/support/postgres.rs"]
mod postgres;
mod private;
mod refused;
mod rows;
#[path = "../../../../crates/fetch/tests/support/servers.rs"]
mod servers;
mod slow_reader;
