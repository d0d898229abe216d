//! The service behind Fasten Connect's webhooks: signed deliveries in, one finished output for each export.
//!
//! With the feature `service`, this crate owns
//!
//! * `Config`: the file `fhirline.toml`, in which secrets are named and not written;
//! * `Service`: the receiver, the workers, the page and the API over them, started and stopped in order;
//! * `State`: where an export is on its way, and the rows that the page and the API show.
//!
//! ```
//! # #[cfg(feature = "service")]
//! # fn main() -> Result<(), fhirline_serve::TemplateError> {
//! use fhirline_serve::{Template, TemplateValues};
//!
//! let template = Template::parse("exports/{api_mode}/{external_id}/{task_id}")?;
//! let values = TemplateValues { api_mode: "test", external_id: Some("../a"), task_id: Some("t1"), ..Default::default() };
//! assert_eq!(template.fill(&values), "exports/test/..%2Fa/t1");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "service"))]
//! # fn main() {}
//! ```
//!
//! A delivery is answered once its event is on the disk, by one transaction for all that wait. What follows from it stands in the same
//! database, and is handed to the workers by a queue that can be made again from it; so whatever is redelivered, reordered or killed, each export
//! comes to one finished output. Decision 0016 has the reasons.
//!
//! Cut this way, the service knows nothing of pipelines but `fhirline`'s `Job`, and nothing of Fasten but what `fhirline-connect` says.

#![forbid(unsafe_code)]

#[cfg(feature = "service")]
mod aside;
#[cfg(feature = "service")]
mod clock;
#[cfg(feature = "service")]
mod config;
#[cfg(feature = "service")]
mod error;
#[cfg(feature = "service")]
mod inbox;
#[cfg(feature = "service")]
mod lock;
#[cfg(feature = "service")]
mod metrics;
#[cfg(feature = "service")]
mod process;
#[cfg(feature = "service")]
mod queue;
#[cfg(feature = "service")]
mod receive;
#[cfg(feature = "service")]
mod replay;
#[cfg(feature = "service")]
mod server;
#[cfg(feature = "service")]
mod service;
#[cfg(feature = "service")]
mod show;
#[cfg(feature = "service")]
mod state;
#[cfg(feature = "service")]
mod store;
#[cfg(feature = "service")]
mod work;

#[cfg(feature = "service")]
pub use config::{
    Config, ConfigError, FastenConfig, OnComplete, OutputConfig, Template, TemplateError, TemplateValues,
};
#[cfg(feature = "service")]
pub use error::ServeError;
#[cfg(feature = "service")]
pub use process::forbid_core_dumps;
#[cfg(feature = "service")]
pub use replay::{Replayed, SavedDelivery, replay};
#[cfg(feature = "service")]
pub use service::{Service, purge_now};
#[cfg(feature = "service")]
pub use state::{State, UnknownState};
#[cfg(feature = "service")]
pub use store::{CountRow, EventRow, ExportRow, Purged, StepRow, Store, StoreError};
