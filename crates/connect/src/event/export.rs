use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{DownloadLink, FailureReason};
use crate::lenient::{count, text};

/// The type of link that is taken unless another one is asked for.
const PREFERRED_TYPE: &str = "jsonl";

/// An export is ready.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportSuccess {
    /// Where: usually one link, and one for each format where support has enabled more. All of them have the same data.
    #[serde(deserialize_with = "super::link::links")]
    pub download_links: Vec<DownloadLink>,
    /// Where, as it was said before October 2025.
    #[serde(deserialize_with = "super::link::link")]
    pub download_link: Option<DownloadLink>,
    /// The connection.
    #[serde(deserialize_with = "text")]
    pub org_connection_id: Option<String>,
    /// The task: an opaque text.
    #[serde(deserialize_with = "text")]
    pub task_id: Option<String>,
    /// The company.
    #[serde(deserialize_with = "text")]
    pub org_id: Option<String>,
    /// What the sender counted.
    #[serde(deserialize_with = "stats")]
    pub stats: Option<Stats>,
    /// What else there is.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ExportSuccess {
    /// The one link to take: the first of that type, or of `jsonl`, or the only format there is, or the link of the old form. Never more
    /// than one: each has all the data.
    #[must_use]
    pub fn link(&self, export_type: Option<&str>) -> Option<&DownloadLink> {
        let of = |wanted: &str| {
            self.download_links.iter().find(|link| link.export_type.as_deref() == Some(wanted))
        };
        match export_type {
            Some(wanted) => of(wanted),
            None => of(PREFERRED_TYPE).or(self.download_links.first()).or(self.download_link.as_ref()),
        }
    }
}

/// What the sender counted: advisory. In the documentation's own example the total is not the sum of the types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// All resources.
    #[serde(deserialize_with = "count")]
    pub total_resources: Option<u64>,
    /// Those of each type.
    #[serde(deserialize_with = "counts")]
    pub total_by_resource_type: BTreeMap<String, u64>,
}

/// An export could not be made.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportFailed {
    /// Why.
    #[serde(deserialize_with = "reason")]
    pub failure_reason: Option<FailureReason>,
    /// The connection.
    #[serde(deserialize_with = "text")]
    pub org_connection_id: Option<String>,
    /// The task.
    #[serde(deserialize_with = "text")]
    pub task_id: Option<String>,
    /// The company.
    #[serde(deserialize_with = "text")]
    pub org_id: Option<String>,
    /// What else there is.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn stats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Stats>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.filter(Value::is_object).and_then(|value| serde_json::from_value(value).ok()))
}

fn counts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, u64>, D::Error> {
    let Some(Value::Object(all)) = Option::<Value>::deserialize(deserializer)? else {
        return Ok(BTreeMap::new());
    };
    Ok(all.into_iter().filter_map(|(name, value)| Some((name, value.as_u64()?))).collect())
}

fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FailureReason>, D::Error> {
    Ok(text(deserializer)?.map(|name| FailureReason::from(name.as_str())))
}

impl fmt::Debug for ExportSuccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportSuccess")
            .field("download_links", &self.download_links)
            .field("download_link", &self.download_link)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ExportFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportFailed").field("failure_reason", &self.failure_reason).finish_non_exhaustive()
    }
}
