//! The service behind Fasten Connect's webhooks: signed deliveries in, one finished output for each export.
//!
//! This crate owns
//!
//! * [`Config`]: the file `fhirline.toml`, in which secrets are named and not written;
//! * [`Service`]: the receiver, the workers, the page and the API over them, started and stopped in order;
//! * [`State`]: where an export is on its way, and the rows that the page and the API show.
//!
//! ```
//! use fhirline_serve::{Template, TemplateValues};
//!
//! let template = Template::parse("exports/{api_mode}/{external_id}/{task_id}")?;
//! let values = TemplateValues { api_mode: "test", external_id: Some("../a"), task_id: Some("t1"), ..Default::default() };
//! assert_eq!(template.fill(&values), "exports/test/..%2Fa/t1");
//! # Ok::<(), fhirline_serve::TemplateError>(())
//! ```
//!
//! A delivery is answered once its event is on the disk, by one transaction for all that wait. What follows from it stands in the same
//! database, and is handed to the workers by a queue that can be made again from it; so whatever is redelivered, reordered or killed, each export
//! comes to one finished output. Decision 0016 has the reasons.
//!
//! Cut this way, the service knows nothing of pipelines but `fhirline`'s `Job`, and nothing of Fasten but what `fhirline-connect` says.

mod clock;
mod config;
mod error;
mod inbox;
mod lock;
mod metrics;
mod queue;
mod receive;
mod replay;
mod service;
mod show;
mod state;
mod store;
mod work;

pub use config::{
    Config, ConfigError, FastenConfig, OnComplete, OutputConfig, Template, TemplateError, TemplateValues,
};
pub use error::ServeError;
pub use replay::{Replayed, SavedDelivery, replay};
pub use service::{Service, purge_now};
pub use state::{State, UnknownState};
pub use store::{CountRow, EventRow, ExportRow, Purged, StepRow, Store, StoreError};
