//! Fasten Connect, typed: what a company that connects patients through it sends, gets and verifies.
//!
//! This crate owns
//!
//! * [`Mode`], [`ApiKeys`] and [`PerMode`]: test and live are two worlds, and nothing of one is used for the other;
//! * `Client` (feature `http`): the REST API, and exports as `Origin`s that renew their own links;
//! * [`Event`]: what webhooks say, tolerant of everything that may be added to it;
//! * [`Verifier`] and [`SigningSecret`]: the signatures of Standard Webhooks, and `Messenger` (feature `http`), which sends such messages;
//! * `Identity` (feature `http`): the pushed authorization request of Bring Your Own Identity;
//! * `Simulator` (feature `simulate`): a server that speaks the documented API and sends signed webhooks.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use fhirline_connect::{Event, EventData, SignatureHeaders, SigningSecret, Verifier};
//!
//! let secret = SigningSecret::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")?;
//! let verifier = Verifier::new([secret.clone()]);
//! let body = br#"{"api_mode":"test","date":"2026-08-14T10:00:00Z","id":"1","type":"webhook.test","data":{"hello":"world"}}"#;
//!
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_786_000_000);
//! let signature = secret.sign("msg_1", 1_786_000_000, body);
//! let headers = SignatureHeaders { id: Some("msg_1"), timestamp: Some("1786000000"), signature: Some(&signature) };
//! verifier.verify(&headers, body, now)?;
//!
//! let event = Event::parse(body)?;
//! assert!(matches!(event.data, EventData::Test(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Cut this way, a service that has its own queue and pipeline can take the contract from here and leave the rest. What is not
//! published (error bodies, rate limits, the life of links) is not assumed: whatever may be missing may be missing, what is unknown is
//! kept, and an unknown value is a value.
//!
//! Blocking, as everything outside of the network's rim: `Client` asks through `fhirline-fetch`, which has the retries, the
//! rules for secrets and the continuation of downloads. Facts about the API are from its documentation
//! (<https://docs.connect.fastenhealth.com>) and its OpenAPI text 1.0.11.

#![forbid(unsafe_code)]

#[cfg(feature = "http")]
mod client;
#[cfg(feature = "http")]
mod error;
mod event;
#[cfg(feature = "http")]
mod identity;
mod keys;
mod lenient;
#[cfg(feature = "http")]
mod message;
mod mode;
mod signature;
#[cfg(feature = "simulate")]
mod simulate;

#[cfg(feature = "http")]
pub use client::{
    Catalog, CatalogItem, CatalogLinks, Client, ClientOptions, ExportState, ExportTask, OrgConnection,
    Organization, SearchHit, SearchPage, TefcaFixture,
};
#[cfg(feature = "http")]
pub use error::ConnectError;
pub use event::{
    AuthorizationRevoked, ConnectionSuccess, DownloadLink, Event, EventData, EventError, ExportFailed,
    ExportSuccess, FailureReason, HealthSystemRequest, LinkUrl, Stats, SupportRequest, WebhookTest,
};
#[cfg(feature = "http")]
pub use identity::{
    IdToken, IdTokenFault, IdTokenWarning, Identity, IdentityOptions, IdentityProvider, ParAttempt, ParError,
    ParRefusal, PushedRequest, RequestUri, TokenRules,
};
pub use keys::{ApiKeys, KeyError};
#[cfg(feature = "http")]
pub use message::Messenger;
pub use mode::{Mode, PerMode, UnknownMode};
pub use secrecy::{ExposeSecret, SecretString};
pub use signature::{SignatureError, SignatureHeaders, SigningSecret, SigningSecretError, Verifier};
#[cfg(feature = "simulate")]
pub use simulate::{Misbehaviour, SimulateError, Simulator, SimulatorOptions};
