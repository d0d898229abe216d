//! A saved delivery of a webhook: its body as it came, and its headers.

use std::time::SystemTime;

use fhirline::{Expectation, ExpectationError};
use fhirline_connect::{
    Event, EventData, EventError, SignatureError, SignatureHeaders, SigningSecret, SigningSecretError,
    Verifier,
};

/// Which export a delivery announces.
#[derive(Debug)]
pub struct Announced {
    /// The task of the export: what its rows are called by.
    pub task: String,
    /// What the sender says that it counted.
    pub counts: Expectation,
}

/// Why nothing is done about a delivery. Nothing of its body is in it.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The secret is none.
    #[error("cannot verify the delivery")]
    Secret(#[from] SigningSecretError),
    /// It is not the sender's, or too old.
    #[error("the delivery is refused")]
    Refused(#[from] SignatureError),
    /// Its body is no event.
    #[error("cannot read the event")]
    Event(#[from] EventError),
    /// It announces no export.
    #[error("the event is {kind}, which announces no export")]
    NoExport {
        /// What it is instead.
        kind: String,
    },
    /// It does not say which export it announces.
    #[error("the event names no task")]
    NoTask,
    /// What it says of its counts makes no sense.
    #[error("cannot read the counts of the event")]
    Counts(#[from] ExpectationError),
}

/// Verifies a delivery and reads what it announces. Without `now` it may be of any age: one that was stored, and is worked on again.
///
/// # Errors
/// [`DeliveryError`]; nothing of a delivery is looked at before its signature.
pub fn announced(
    body: &[u8],
    headers: &str,
    secret: &str,
    now: Option<SystemTime>,
) -> Result<Announced, DeliveryError> {
    let verifier = Verifier::new([SigningSecret::parse(secret)?]);
    let headers = signature_headers(headers);
    match now {
        Some(now) => verifier.verify(&headers, body, now)?,
        None => verifier.verify_of_any_age(&headers, body)?,
    }
    let event = Event::parse(body)?;
    match &event.data {
        EventData::ExportSuccess(_) => {
            let task = event.data.task_id().ok_or(DeliveryError::NoTask)?.to_owned();
            Ok(Announced { task, counts: Expectation::read(body)? })
        }
        other => Err(DeliveryError::NoExport { kind: format!("{other:?}") }),
    }
}

/// The headers that matter, out of lines such as `webhook-id: msg_1`.
fn signature_headers(lines: &str) -> SignatureHeaders<'_> {
    let of = |wanted: &str| {
        let mut headers = lines.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    SignatureHeaders {
        id: of("webhook-id"),
        timestamp: of("webhook-timestamp"),
        signature: of("webhook-signature"),
    }
}
