//! Deliveries: verified over their exact bytes, stored, answered. In that order.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use tracing::{info, warn};

use fhirline_connect::{Event, Mode, SignatureError, SignatureHeaders};

use crate::clock::ms_of;
use crate::config::FastenConfig;
use crate::inbox::Inbox;
use crate::metrics::Metrics;
use crate::store::{Accepted, Delivery};

use room::NoBody;
pub(crate) use room::Room;

mod room;

/// When whoever found no room may come again, in seconds.
const LATER: HeaderValue = HeaderValue::from_static("10");

/// What receives the deliveries of one mode.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) mode: Mode,
    pub(crate) fasten: Arc<FastenConfig>,
    pub(crate) inbox: Inbox,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) room: Room,
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
    TooLarge,
    NoRoom,
    Broken,
}

impl From<NoBody> for Answer {
    fn from(why: NoBody) -> Self {
        match why {
            NoBody::TooLarge => Self::TooLarge,
            NoBody::NoRoom => Self::NoRoom,
            NoBody::Broken => Self::Broken,
        }
    }
}

impl Answer {
    fn status(self) -> StatusCode {
        match self {
            Self::Stored | Self::Duplicate | Self::NotUnderstood => StatusCode::OK,
            Self::Unsigned | Self::Stale => StatusCode::UNAUTHORIZED,
            Self::OtherMode => StatusCode::FORBIDDEN,
            Self::NotStored | Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
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
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::Broken => "broken",
        }
    }
}

/// The route of the deliveries of one mode.
pub(crate) fn route() -> MethodRouter<Receiver> {
    post(receive)
}

async fn receive(Shared(receiver): Shared<Receiver>, headers: HeaderMap, body: Body) -> Response {
    let held = receiver.room.read(body).await;
    // How long its sender takes to send it is not our time.
    let begun = Instant::now();
    let answer = match &held {
        Ok(held) => take(&receiver, &headers, held.bytes.clone(), SystemTime::now()).await,
        Err(why) => Answer::from(*why),
    };
    receiver.metrics.delivered(receiver.mode.name(), answer.name(), begun.elapsed());
    match answer {
        Answer::NoRoom => (answer.status(), [(header::RETRY_AFTER, LATER)]).into_response(),
        _ => answer.status().into_response(),
    }
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
