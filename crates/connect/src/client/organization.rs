use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lenient::text;

/// What is known of a connection.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrgConnection {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub org_connection_id: Option<String>,
    /// The organization's.
    #[serde(deserialize_with = "text")]
    pub org_id: Option<String>,
    /// The brand in the catalog. For TEFCA it may be missing, as may the next two.
    #[serde(deserialize_with = "text")]
    pub catalog_brand_id: Option<String>,
    /// The portal in the catalog.
    #[serde(deserialize_with = "text")]
    pub catalog_portal_id: Option<String>,
    /// The endpoint in the catalog.
    #[serde(deserialize_with = "text")]
    pub catalog_endpoint_id: Option<String>,
    /// The source, for TEFCA.
    #[serde(deserialize_with = "text")]
    pub tefca_directory_id: Option<String>,
    /// Such as `epic`; an open set.
    #[serde(deserialize_with = "text")]
    pub platform_type: Option<String>,
    /// `test` or `live`.
    #[serde(deserialize_with = "text")]
    pub api_mode: Option<String>,
    /// `authorized`, `revoked` or `refreshing`.
    #[serde(deserialize_with = "text")]
    pub status: Option<String>,
    /// What the patient allowed.
    #[serde(deserialize_with = "text")]
    pub scope: Option<String>,
    /// Until when (RFC 3339), if the source says so.
    #[serde(deserialize_with = "text")]
    pub consent_expires_at: Option<String>,
    /// What else the server says.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl fmt::Debug for OrgConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrgConnection")
            .field("api_mode", &self.api_mode)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A company, as patients see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Organization {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub id: Option<String>,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: Option<String>,
    /// Its logo.
    #[serde(deserialize_with = "text")]
    pub logo_uri: Option<String>,
    /// Its privacy policy.
    #[serde(deserialize_with = "text")]
    pub privacy_policy_uri: Option<String>,
    /// Its website.
    #[serde(deserialize_with = "text")]
    pub website_uri: Option<String>,
    /// Its plan.
    #[serde(deserialize_with = "text")]
    pub plan: Option<String>,
    /// `active` or `inactive`.
    #[serde(deserialize_with = "text")]
    pub status: Option<String>,
    /// What else the server says.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
