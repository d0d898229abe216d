//! An ETL of somebody else's with fhirline inside. A delivery of a webhook is verified, and the resources of some patients in the
//! export that it announces go into PostgreSQL. A run that was killed goes on where it was, and leaves the same rows.
//!
//! * [`delivery`]: the webhook, by `fhirline-connect`;
//! * [`patients`]: which resources are wanted, a [`fhirline::Filter`];
//! * [`table`]: where they go, a [`fhirline::sink::Sink`].
//!
//! `main.rs` puts them together. The program says nothing of what records hold: not in errors, and not in its report.

mod copy;
pub mod delivery;
mod error;
pub mod patients;
pub mod table;

pub use error::DatabaseError;
