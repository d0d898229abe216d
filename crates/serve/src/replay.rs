use std::fmt;

use serde::Deserialize;

use fhirline_connect::{Mode, SignatureHeaders};

use crate::ServeError;
use crate::clock::now_ms;
use crate::config::Config;
use crate::receive::delivery_of;
use crate::store::{Accepted, Store};

/// A delivery as it was saved: a line of JSON with the headers that sign it, and its body as a text.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SavedDelivery {
    /// The header `webhook-id`.
    pub webhook_id: String,
    /// The header `webhook-timestamp`.
    pub webhook_timestamp: String,
    /// The header `webhook-signature`.
    pub webhook_signature: String,
    /// The exact body.
    pub body: String,
}

/// What became of a saved delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replayed {
    /// Its event is stored, and worked on.
    Stored,
    /// Its event was stored before.
    Duplicate,
    /// It is stored, and waits for a person.
    NotUnderstood,
    /// No secret of any mode has signed it.
    Unsigned,
    /// It is of the other mode than the secret that has signed it.
    OtherMode,
}

/// Stores the events of saved deliveries whatever their age, in their order; signatures are checked all the same.
///
/// # Errors
/// [`ServeError`], when the database cannot be had.
pub async fn replay(config: &Config, saved: &[SavedDelivery]) -> Result<Vec<Replayed>, ServeError> {
    let store = Store::open(&config.store).await?;
    let mut all = Vec::with_capacity(saved.len());
    for delivery in saved {
        all.push(take(config, &store, delivery).await?);
    }
    store.close().await;
    Ok(all)
}

async fn take(config: &Config, store: &Store, saved: &SavedDelivery) -> Result<Replayed, ServeError> {
    let Some(mode) = signer(config, saved) else { return Ok(Replayed::Unsigned) };
    let delivery = delivery_of(mode, &saved.webhook_id, saved.body.clone().into(), now_ms());
    if delivery.event.as_ref().is_ok_and(|event| event.mode != mode) {
        return Ok(Replayed::OtherMode);
    }
    let accepted = store.accept(&[delivery], &config.rules).await?;
    Ok(match accepted.first() {
        Some(Accepted::Duplicate) => Replayed::Duplicate,
        Some(Accepted::NotUnderstood) => Replayed::NotUnderstood,
        _ => Replayed::Stored,
    })
}

/// The mode whose secret has signed it.
fn signer(config: &Config, saved: &SavedDelivery) -> Option<Mode> {
    let headers = SignatureHeaders {
        id: Some(&saved.webhook_id),
        timestamp: Some(&saved.webhook_timestamp),
        signature: Some(&saved.webhook_signature),
    };
    let has_signed = |verifier: &fhirline_connect::Verifier| {
        verifier.verify_of_any_age(&headers, saved.body.as_bytes()).is_ok()
    };
    config.fasten.iter().find(|(_, fasten)| has_signed(&fasten.verifier)).map(|(mode, _)| mode)
}

impl fmt::Debug for SavedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SavedDelivery")
    }
}
