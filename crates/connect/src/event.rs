//! What webhooks say.
//!
//! Everything that is not needed may be missing, everything that is unknown is kept (`other`), and a type that is unknown is an event all
//! the same: whoever answers it with an error makes the sender disable the endpoint for all patients.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Mode;
use crate::lenient::text;

pub use export::{ExportFailed, ExportSuccess, Stats};
pub use failure::FailureReason;
pub use link::{DownloadLink, LinkUrl};

mod export;
mod failure;
mod link;

/// One event, whichever delivery of it.
#[derive(Clone, PartialEq)]
pub struct Event {
    /// Which event: the same in every delivery, so that it can be told whether it came before.
    pub id: Option<String>,
    /// The mode. One that is neither `test` nor `live` is no event that could be worked on.
    pub mode: Mode,
    /// When this delivery was tried (RFC 3339): not the time of the event.
    pub date: Option<String>,
    /// The type, such as `patient.ehi_export_success`.
    pub kind: String,
    /// What happened.
    pub data: EventData,
    /// What else stands beside these.
    pub other: Map<String, Value>,
}

/// What happened, by the type of the event.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum EventData {
    /// `patient.ehi_export_success`
    ExportSuccess(ExportSuccess),
    /// `patient.ehi_export_failed`
    ExportFailed(ExportFailed),
    /// `patient.connection_success`
    ConnectionSuccess(ConnectionSuccess),
    /// `patient.authorization_revoked`
    AuthorizationRevoked(AuthorizationRevoked),
    /// `patient.request_health_system`
    RequestHealthSystem(HealthSystemRequest),
    /// `patient.request_support`
    RequestSupport(SupportRequest),
    /// `webhook.test`
    Test(WebhookTest),
    /// A type that was not known when this was written.
    Unknown(Value),
}

/// A patient has connected a health system.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionSuccess {
    /// The connection, by which exports are requested.
    #[serde(deserialize_with = "text")]
    pub org_connection_id: Option<String>,
    /// `authorized`, usually.
    #[serde(deserialize_with = "text")]
    pub connection_status: Option<String>,
    /// Such as `epic`; an open set.
    #[serde(deserialize_with = "text")]
    pub platform_type: Option<String>,
    /// The endpoint in the catalog. It may be missing for TEFCA, as may the next two.
    #[serde(deserialize_with = "text")]
    pub endpoint_id: Option<String>,
    /// The portal in the catalog.
    #[serde(deserialize_with = "text")]
    pub portal_id: Option<String>,
    /// The brand in the catalog.
    #[serde(deserialize_with = "text")]
    pub brand_id: Option<String>,
    /// The source, for TEFCA.
    #[serde(deserialize_with = "text")]
    pub tefca_directory_id: Option<String>,
    /// The request that led to it.
    #[serde(deserialize_with = "text")]
    pub request_id: Option<String>,
    /// Whatever the company gave along: outside input. Events of exports do not repeat it.
    #[serde(deserialize_with = "text")]
    pub external_id: Option<String>,
    /// The same.
    #[serde(deserialize_with = "text")]
    pub external_state: Option<String>,
    /// What the patient allowed.
    #[serde(deserialize_with = "text")]
    pub scope: Option<String>,
    /// Until when (RFC 3339), if the source says so.
    #[serde(deserialize_with = "text")]
    pub consent_expires_at: Option<String>,
    /// What else there is.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A connection does not work any more: the periodic renewal of its token failed.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthorizationRevoked {
    /// The connection.
    #[serde(deserialize_with = "text")]
    pub org_connection_id: Option<String>,
    /// `revoked`.
    #[serde(deserialize_with = "text")]
    pub connection_status: Option<String>,
    /// Such as `epic`; an open set.
    #[serde(deserialize_with = "text")]
    pub platform_type: Option<String>,
    /// What else there is.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A patient asks for a health system that is not in the catalog. All of it is about a person, and not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthSystemRequest {
    /// Who asks.
    #[serde(deserialize_with = "text")]
    pub email: Option<String>,
    /// Name of the health system.
    #[serde(deserialize_with = "text")]
    pub name: Option<String>,
    /// Its website.
    #[serde(deserialize_with = "text")]
    pub website: Option<String>,
    /// Its address.
    #[serde(deserialize_with = "text")]
    pub street_address: Option<String>,
    /// What else there is.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A patient asks for help. The text may hold anything about them; none of it is shown by `Debug`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SupportRequest {
    /// Who asks.
    #[serde(deserialize_with = "text")]
    pub email: Option<String>,
    /// Their name.
    #[serde(deserialize_with = "text")]
    pub name: Option<String>,
    /// What they wrote.
    #[serde(deserialize_with = "text")]
    pub body: Option<String>,
    /// What else there is.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A delivery that only shows that deliveries come.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookTest {
    /// A greeting.
    #[serde(deserialize_with = "text")]
    pub hello: Option<String>,
    /// What else there is.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Why a text is no event. Nothing of the text is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// It is no JSON object.
    #[error("the body is not a JSON object")]
    NotJson,
    /// It has no `type`.
    #[error("the event has no type")]
    NoType,
    /// Its `api_mode` is missing, or neither `test` nor `live`.
    #[error("the event's api_mode is neither test nor live")]
    NoMode,
    /// What stands under `data` does not fit the type.
    #[error("the event's data is not an object")]
    BadData,
}

impl Event {
    /// Reads the body of a delivery, which was verified before.
    ///
    /// # Errors
    /// [`EventError`]. The sender means something by it all the same: keep the bytes, and answer that they came.
    pub fn parse(body: &[u8]) -> Result<Self, EventError> {
        let mut other: Map<String, Value> = serde_json::from_slice(body).map_err(|_| EventError::NotJson)?;
        let mut take = |key: &str| match other.remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let kind = take("type").ok_or(EventError::NoType)?;
        let mode = take("api_mode").and_then(|mode| mode.parse().ok()).ok_or(EventError::NoMode)?;
        let (id, date) = (take("id"), take("date"));
        let data = EventData::of(&kind, other.remove("data").unwrap_or_default())?;
        Ok(Self { id, mode, date, kind, data, other })
    }
}

impl EventData {
    fn of(kind: &str, data: Value) -> Result<Self, EventError> {
        // Some deliveries are said to leave the first word out.
        let name = kind.strip_prefix("patient.").unwrap_or(kind);
        Ok(match name {
            "ehi_export_success" => Self::ExportSuccess(read(data)?),
            "ehi_export_failed" => Self::ExportFailed(read(data)?),
            "connection_success" => Self::ConnectionSuccess(read(data)?),
            "authorization_revoked" => Self::AuthorizationRevoked(read(data)?),
            "request_health_system" => Self::RequestHealthSystem(read(data)?),
            "request_support" => Self::RequestSupport(read(data)?),
            "webhook.test" => Self::Test(read(data)?),
            _ => Self::Unknown(data),
        })
    }

    /// The connection that it is about, if it is about one.
    #[must_use]
    pub fn org_connection_id(&self) -> Option<&str> {
        match self {
            Self::ExportSuccess(export) => export.org_connection_id.as_deref(),
            Self::ExportFailed(export) => export.org_connection_id.as_deref(),
            Self::ConnectionSuccess(connection) => connection.org_connection_id.as_deref(),
            Self::AuthorizationRevoked(connection) => connection.org_connection_id.as_deref(),
            Self::RequestHealthSystem(_) | Self::RequestSupport(_) | Self::Test(_) | Self::Unknown(_) => None,
        }
    }

    /// The task of the export that it is about, if it is about one. An opaque text.
    #[must_use]
    pub fn task_id(&self) -> Option<&str> {
        match self {
            Self::ExportSuccess(export) => export.task_id.as_deref(),
            Self::ExportFailed(export) => export.task_id.as_deref(),
            _ => None,
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(data: Value) -> Result<T, EventError> {
    if data.is_object() {
        serde_json::from_value(data).map_err(|_| EventError::BadData)
    } else {
        Err(EventError::BadData)
    }
}

/// Ids and the kind only: the rest is outside input, and may be about a person.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("mode", &self.mode).field("data", &self.data).finish_non_exhaustive()
    }
}

impl fmt::Debug for EventData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExportSuccess(_) => "ExportSuccess",
            Self::ExportFailed(_) => "ExportFailed",
            Self::ConnectionSuccess(_) => "ConnectionSuccess",
            Self::AuthorizationRevoked(_) => "AuthorizationRevoked",
            Self::RequestHealthSystem(_) => "RequestHealthSystem",
            Self::RequestSupport(_) => "RequestSupport",
            Self::Test(_) => "Test",
            Self::Unknown(_) => "Unknown",
        })
    }
}

impl fmt::Debug for ConnectionSuccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionSuccess")
    }
}

impl fmt::Debug for AuthorizationRevoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorizationRevoked")
    }
}

impl fmt::Debug for HealthSystemRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthSystemRequest")
    }
}

impl fmt::Debug for SupportRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SupportRequest")
    }
}

impl fmt::Debug for WebhookTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookTest")
    }
}

#[cfg(test)]
mod tests;
