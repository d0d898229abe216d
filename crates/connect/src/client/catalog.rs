use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::LinkUrl;
use crate::lenient::{count, text};

/// What to look up in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Catalog {
    /// A brand, by its id.
    Brand(String),
    /// A portal, by its id.
    Portal(String),
    /// A source of TEFCA, by its id. These stay in the catalog for two weeks.
    TefcaDirectory(String),
}

impl Catalog {
    pub(super) fn pair(&self) -> (&'static str, &str) {
        match self {
            Self::Brand(id) => ("brand_id", id),
            Self::Portal(id) => ("portal_id", id),
            Self::TefcaDirectory(id) => ("tefca_directory_id", id),
        }
    }
}

/// A brand or a portal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CatalogItem {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub id: Option<String>,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: Option<String>,
    /// What is said of it.
    #[serde(deserialize_with = "text")]
    pub description: Option<String>,
    /// What else the server says, such as `brand_website`, `aliases`, `portal_ids` and `endpoint_ids`.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One page of what a search finds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SearchPage {
    /// How many hits there are on all pages, if the server says so.
    pub total: Option<u64>,
    /// Those on this page, the best first.
    pub hits: Vec<SearchHit>,
}

impl SearchPage {
    /// What to ask for the next page with; `None` behind the last.
    #[must_use]
    pub fn next(&self) -> Option<&[Value]> {
        self.hits.last().map(|hit| hit.sort.as_slice()).filter(|sort| !sort.is_empty())
    }
}

/// One hit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchHit {
    /// Its id.
    #[serde(rename = "_id", deserialize_with = "text")]
    pub id: Option<String>,
    /// Where it stands among the hits: numbers and strings, to be given back unchanged.
    pub sort: Vec<Value>,
    /// The brand.
    #[serde(rename = "_source")]
    pub item: CatalogItem,
    /// What else the server says.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Deserialize)]
struct Found {
    hits: Hits,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hits {
    total: Total,
    hits: Vec<SearchHit>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Total {
    #[serde(deserialize_with = "count")]
    value: Option<u64>,
}

impl<'de> Deserialize<'de> for SearchPage {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Hits { total, hits } = Found::deserialize(deserializer)?.hits;
        Ok(Self { total: total.value, hits })
    }
}

/// Where the whole catalog is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CatalogLinks {
    /// All brands.
    #[serde(rename = "brands.json")]
    pub brands: LinkUrl,
    /// All portals.
    #[serde(rename = "portals.json")]
    pub portals: LinkUrl,
    /// All endpoints.
    #[serde(rename = "endpoints.json")]
    pub endpoints: LinkUrl,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_as_the_search_engine_writes_them() {
        let page: SearchPage = serde_json::from_str(
            r#"{"took":1,"hits":{"total":{"value":2,"relation":"eq"},"hits":[
                {"_id":"a","_score":1.5,"sort":[1.5,"a"],"_source":{"id":"a","name":"Foo","aliases":["F"]}},
                {"_id":"b","_score":null,"sort":[0.5,"b"],"_source":{"id":"b"}}]}}"#,
        )
        .expect("a page");
        assert_eq!((page.total, page.hits.len()), (Some(2), 2));
        assert_eq!(page.hits[0].item.name.as_deref(), Some("Foo"));
        assert_eq!(page.next(), Some(&[Value::from(0.5), Value::from("b")][..]));
        let empty: SearchPage = serde_json::from_str(r#"{"hits":{"hits":[]}}"#).expect("a page");
        assert_eq!((empty.total, empty.next()), (None, None));
    }
}
