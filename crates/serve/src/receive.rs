//! Deliveries: verified over their exact bytes, stored, answered. In that order.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{MethodRouter, post};
use tracing::{info, warn};

use fhirline_connect::{Event, Mode, SignatureError, SignatureHeaders};

use crate::clock::ms_of;
use crate::config::FastenConfig;
use crate::inbox::Inbox;
use crate::metrics::Metrics;
use crate::store::{Accepted, Delivery};

/// Most bytes of a delivery: those that are documented have a few thousand.
const MAX_DELIVERY_BYTES: usize = 4 << 20;

/// What receives the deliveries of one mode.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) mode: Mode,
    pub(crate) fasten: Arc<FastenConfig>,
    pub(crate) inbox: Inbox,
    pub(crate) metrics: Arc<Metrics>,
}

/// What a delivery is answered with, and counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Stored,
    Duplicate,
    NotUnderstood,
    Unsigned,
    Stale,
    OtherMode,
    NotStored,
}

impl Answer {
    fn status(self) -> StatusCode {
        match self {
            Self::Stored | Self::Duplicate | Self::NotUnderstood => StatusCode::OK,
            Self::Unsigned | Self::Stale => StatusCode::UNAUTHORIZED,
            Self::OtherMode => StatusCode::FORBIDDEN,
            Self::NotStored => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::NotUnderstood => "not_understood",
            Self::Unsigned => "unsigned",
            Self::Stale => "stale",
            Self::OtherMode => "other_mode",
            Self::NotStored => "not_stored",
        }
    }
}

/// The route of the deliveries of one mode.
pub(crate) fn route() -> MethodRouter<Receiver> {
    post(receive).layer::<_, Infallible>(DefaultBodyLimit::max(MAX_DELIVERY_BYTES))
}

async fn receive(Shared(receiver): Shared<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let begun = Instant::now();
    let answer = take(&receiver, &headers, body, SystemTime::now()).await;
    receiver.metrics.delivered(receiver.mode.name(), answer.name(), begun.elapsed());
    answer.status()
}

async fn take(receiver: &Receiver, headers: &HeaderMap, body: Bytes, now: SystemTime) -> Answer {
    let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = SignatureHeaders {
        id: of("webhook-id"),
        timestamp: of("webhook-timestamp"),
        signature: of("webhook-signature"),
    };
    if let Err(why) = receiver.fasten.verifier.verify(&signed, &body, now) {
        warn!(mode = %receiver.mode, %why, "a delivery was refused");
        return match why {
            SignatureError::TooOld | SignatureError::TooNew => Answer::Stale,
            _ => Answer::Unsigned,
        };
    }
    let delivery = delivery_of(receiver.mode, signed.id.unwrap_or_default(), body, ms_of(now));
    keep(&receiver.inbox, delivery).await
}

pub(crate) fn delivery_of(mode: Mode, webhook_id: &str, body: Bytes, received_at: i64) -> Delivery {
    let event =
        if has_nul(&body) { Err(NUL.to_owned()) } else { Event::parse(&body).map_err(|why| why.to_string()) };
    Delivery { mode, webhook_id: webhook_id.to_owned(), body, event, received_at }
}

const NUL: &str = "the event holds U+0000, which PostgreSQL keeps in no text";

/// Whether a text in it may hold that character, which JSON always writes so.
fn has_nul(body: &[u8]) -> bool {
    body.windows(6).any(|six| six == b"\\u0000")
}

/// Stores it, unless it is of the other mode.
async fn keep(inbox: &Inbox, delivery: Delivery) -> Answer {
    let mode = delivery.mode;
    if delivery.event.as_ref().is_ok_and(|event| event.mode != mode) {
        warn!(%mode, "a delivery of the other mode was refused");
        return Answer::OtherMode;
    }
    let kind = delivery.event.as_ref().map_or("", |event| event.kind.as_str()).escape_debug().to_string();
    match inbox.put(delivery).await {
        Some(Accepted::Stored) => {
            info!(%mode, kind, "an event was stored");
            Answer::Stored
        }
        Some(Accepted::Duplicate) => Answer::Duplicate,
        Some(Accepted::NotUnderstood) => {
            warn!(%mode, "a signed delivery was not understood, and was stored as it is");
            Answer::NotUnderstood
        }
        None => Answer::NotStored,
    }
}
