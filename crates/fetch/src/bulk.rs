//! FHIR Bulk Data: exports asked for, waited for, and told about.
//!
//! The facts are those of the HL7 guide "Bulk Data Access" (versions 2 and 3, and the ballot of 4) and of SMART Backend
//! Services. Everything here blocks, and no file is downloaded: a [`StatusManifest`] says where the files are, and
//! [`Export::client_for_file`] with which client to read one.

mod access;
mod assertion;
mod at_url;
mod base;
mod error;
mod event;
mod export;
mod issue;
mod jwks;
mod log;
mod manifest;
mod pace;
mod poll;
mod request;
mod secret_url;
mod smart;
mod state;
mod token;
mod watch;

pub(crate) use at_url::manifest_at;
pub use base::FhirBase;
pub use error::BulkError;
pub use event::ExportEvent;
pub use export::{Cancelled, Export};
pub use issue::Issue;
pub use jwks::{KeyError, KeyFile, SigningAlgorithm};
pub use log::{ExportLog, ExportTotals, ItemType};
pub use manifest::{ManifestError, ManifestFile, StatusManifest};
pub use pace::ExportPace;
pub use request::{ExportLevel, ExportRequest, KickOffMethod};
pub use secret_url::SecretUrl;
pub use smart::{SmartOptions, SmartTokens};
pub use state::ExportState;
pub use token::TokenRefusal;
pub(crate) use watch::Watch;
