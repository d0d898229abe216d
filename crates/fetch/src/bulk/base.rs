use std::fmt;

use reqwest::Url;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::BulkError;
use crate::shown::shown;

/// The base URL of a FHIR server. It has no user and no query, and may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct FhirBase(Url);

impl FhirBase {
    /// Reads a base such as `https://host/fhir`.
    ///
    /// # Errors
    /// [`BulkError::BadBase`] when it is no `http` or `https` URL, or has a user, a query or a fragment.
    pub fn parse(base: &str) -> Result<Self, BulkError> {
        let bad = || BulkError::BadBase { url: shown(base) };
        let url = Url::parse(base).map_err(|_| bad())?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        let is_plain = !has_user && url.query().is_none() && url.fragment().is_none();
        if is_plain && ["http", "https"].contains(&url.scheme()) { Ok(Self(url)) } else { Err(bad()) }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// The URL that has these segments behind the base's path.
    pub(crate) fn below<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.0.clone();
        // Only a URL without a path, such as `mailto:`, has no segments; a base is of the web.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl fmt::Display for FhirBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.0.as_str()))
    }
}

impl fmt::Debug for FhirBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for FhirBase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for FhirBase {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(|_| D::Error::custom("not a base"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_has_neither_user_nor_query_and_is_not_shown_with_them() {
        for base in
            ["ftp://host", "https://CANARY@host/", "https://host/?CANARY", "host", "https://host/#CANARY"]
        {
            let error = FhirBase::parse(base).expect_err("no base");
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
        }
    }
}
