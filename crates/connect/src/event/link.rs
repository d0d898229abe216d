use std::fmt;

use fhirline_fetch::shown;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::lenient::text;

/// Where an export is, in one format.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DownloadLink {
    /// The URL: opaque, and not to be made from the id of the task.
    pub url: LinkUrl,
    /// The format: `jsonl`, `fhir_bundle`; an open set.
    #[serde(default, deserialize_with = "text")]
    pub export_type: Option<String>,
    /// The media type, such as `application/fhir+ndjson`.
    #[serde(default, deserialize_with = "text")]
    pub content_type: Option<String>,
    /// What else there is.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl DownloadLink {
    /// A link of which nothing but its URL is known.
    #[must_use]
    pub fn to(url: impl Into<String>) -> Self {
        Self { url: LinkUrl(url.into()), export_type: None, content_type: None, other: Map::new() }
    }
}

impl fmt::Debug for DownloadLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadLink")
            .field("url", &self.url)
            .field("export_type", &self.export_type)
            .finish_non_exhaustive()
    }
}

/// A URL as it was sent. `Debug` and `Display` leave its query out: that may be a signature.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkUrl(String);

impl LinkUrl {
    /// All of it, to ask a server with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for LinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Links as objects or as plain URLs; what is neither is passed over.
pub(super) fn links<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DownloadLink>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        Some(Value::Array(all)) => all.into_iter().filter_map(link_of).collect(),
        Some(one) => link_of(one).into_iter().collect(),
        None => Vec::new(),
    })
}

pub(super) fn link<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DownloadLink>, D::Error> {
    Ok(Option::<Value>::deserialize(deserializer)?.and_then(link_of))
}

fn link_of(value: Value) -> Option<DownloadLink> {
    match value {
        Value::String(url) => Some(DownloadLink::to(url)),
        object => serde_json::from_value(object).ok(),
    }
}
