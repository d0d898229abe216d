use std::fmt;

use reqwest::Url;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::BulkError;
use crate::shown::shown;

/// Whose data an export asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExportLevel {
    /// All of the server: `[base]/$export`.
    System,
    /// All patients: `[base]/Patient/$export`.
    Patient,
    /// The members of a group: `[base]/Group/[id]/$export`.
    Group(String),
}

/// How the export is kicked off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KickOffMethod {
    /// With parameters in the query. Every server of versions 2 and 3 knows it.
    #[default]
    Get,
    /// With a `Parameters` resource. The only way from the ballot of version 4 on.
    Post,
}

/// What to export. `Debug` does not show [`type_filters`](Self::type_filters): they may name a person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportRequest {
    #[serde(serialize_with = "write_url", deserialize_with = "read_url")]
    base: Url,
    level: ExportLevel,
    #[serde(default)]
    method: KickOffMethod,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    type_filters: Vec<String>,
    #[serde(default)]
    elements: Vec<String>,
}

impl ExportRequest {
    /// Asks the FHIR server at `base` for everything that `level` spans.
    ///
    /// # Errors
    /// [`BulkError::BadBase`] when `base` is no `http` or `https` URL, or has a user or a query. [`BulkError::BadGroup`]
    /// when the group's id is none.
    pub fn new(base: &str, level: ExportLevel) -> Result<Self, BulkError> {
        let bad = || BulkError::BadBase { url: shown(base) };
        let base = Url::parse(base).map_err(|_| bad())?;
        let plain = base.username().is_empty() && base.password().is_none() && base.query().is_none();
        if !["http", "https"].contains(&base.scheme()) || !plain || base.fragment().is_some() {
            return Err(bad());
        }
        if matches!(&level, ExportLevel::Group(id) if id.is_empty() || id == "." || id == "..") {
            return Err(BulkError::BadGroup);
        }
        let (method, since) = (KickOffMethod::default(), None);
        let (types, type_filters, elements) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { base, level, method, since, types, type_filters, elements })
    }

    /// Only what was modified after this instant (`_since`).
    #[must_use]
    pub fn since(mut self, instant: impl Into<String>) -> Self {
        self.since = Some(instant.into());
        self
    }

    /// Only these types (`_type`).
    #[must_use]
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = types.into_iter().map(Into::into).collect();
        self
    }

    /// Only what these searches find, as in `Observation?category=laboratory` (`_typeFilter`).
    #[must_use]
    pub fn type_filters<T: Into<String>>(mut self, filters: impl IntoIterator<Item = T>) -> Self {
        self.type_filters = filters.into_iter().map(Into::into).collect();
        self
    }

    /// Only these elements of the resources (`_elements`).
    #[must_use]
    pub fn elements<T: Into<String>>(mut self, elements: impl IntoIterator<Item = T>) -> Self {
        self.elements = elements.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how the export is kicked off (`GET` unless set).
    #[must_use]
    pub fn method(mut self, method: KickOffMethod) -> Self {
        self.method = method;
        self
    }

    /// The FHIR server.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) fn kick_off_method(&self) -> KickOffMethod {
        self.method
    }

    /// Where the operation is, without parameters.
    pub(crate) fn operation_url(&self) -> Url {
        let segments: &[&str] = match &self.level {
            ExportLevel::System => &[],
            ExportLevel::Patient => &["Patient"],
            ExportLevel::Group(id) => &["Group", id],
        };
        below(&self.base, segments.iter().copied().chain(["$export"]))
    }

    /// Where a kick-off by `GET` goes.
    ///
    /// Types and elements are comma lists, which every server reads. Searches may hold commas of their own: each is a
    /// parameter of its own.
    pub(crate) fn kick_off_url(&self) -> Url {
        let mut url = self.operation_url();
        let joined = |list: &[String]| (!list.is_empty()).then(|| list.join(","));
        let lists = [("_since", self.since.clone()), ("_type", joined(&self.types))];
        let mut parameters: Vec<_> =
            lists.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        parameters.extend(self.type_filters.iter().map(|filter| ("_typeFilter", filter.clone())));
        parameters.extend(joined(&self.elements).map(|elements| ("_elements", elements)));
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        url
    }

    /// The body of a kick-off by `POST`: every value a parameter of its own, as version 4 wants it.
    pub(crate) fn parameters(&self) -> Value {
        let since = self.since.iter().map(|since| json!({"name": "_since", "valueInstant": since}));
        let texts = |name: &'static str, values: &'_ [String]| {
            values.iter().map(|value| json!({"name": name, "valueString": value})).collect::<Vec<_>>()
        };
        let parameter: Vec<Value> = since
            .chain(texts("_type", &self.types))
            .chain(texts("_typeFilter", &self.type_filters))
            .chain(texts("_elements", &self.elements))
            .collect();
        json!({"resourceType": "Parameters", "parameter": parameter})
    }

    /// The parameters as they may be told: without the searches, which may name a person.
    pub(crate) fn told_parameters(&self) -> Value {
        let mut told = serde_json::Map::new();
        if let Some(since) = &self.since {
            told.insert("_since".to_owned(), json!(since));
        }
        for (name, list) in [("_type", &self.types), ("_elements", &self.elements)] {
            if !list.is_empty() {
                told.insert(name.to_owned(), json!(list.join(",")));
            }
        }
        Value::Object(told)
    }
}

/// The URL that has these segments behind `base`'s path.
pub(crate) fn below<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // Only a URL without a path, such as `mailto:`, has no segments; a base is of the web.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

fn write_url<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(url.as_str())
}

fn read_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    Url::parse(&String::deserialize(deserializer)?).map_err(|_| D::Error::custom("not a URL"))
}

impl fmt::Debug for ExportRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportRequest")
            .field("base", &shown(self.base.as_str()))
            .field("level", &self.level)
            .field("method", &self.method)
            .field("since", &self.since)
            .field("types", &self.types)
            .field("type_filters", &self.type_filters.len())
            .field("elements", &self.elements)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(base: &str, level: ExportLevel) -> ExportRequest {
        ExportRequest::new(base, level).expect("a request")
    }

    #[test]
    fn the_operation_lies_below_the_base() {
        let group = ExportLevel::Group("a b/c".to_owned());
        for (base, level, url) in [
            ("https://host/fhir", ExportLevel::System, "https://host/fhir/$export"),
            ("https://host/fhir/", ExportLevel::Patient, "https://host/fhir/Patient/$export"),
            ("http://host", group, "http://host/Group/a%20b%2Fc/$export"),
        ] {
            assert_eq!(request(base, level).kick_off_url().as_str(), url);
        }
    }

    #[test]
    fn a_base_has_neither_user_nor_query_and_is_not_shown_with_them() {
        for base in
            ["ftp://host", "https://CANARY@host/", "https://host/?CANARY", "host", "https://host/#CANARY"]
        {
            let error = ExportRequest::new(base, ExportLevel::System).expect_err("no base");
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
        }
        for id in ["", ".", ".."] {
            assert!(ExportRequest::new("https://host", ExportLevel::Group(id.to_owned())).is_err());
        }
    }

    fn narrow() -> ExportRequest {
        request("https://host/fhir", ExportLevel::System)
            .since("2026-01-01T00:00:00+01:00")
            .types(["Patient", "Observation"])
            .type_filters(["Observation?code=a,b", "Patient?identifier=CANARY"])
            .elements(["id", "Patient.name"])
    }

    #[test]
    fn parameters_of_a_query() {
        let url = narrow().kick_off_url();
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            pairs,
            [
                pair("_since", "2026-01-01T00:00:00+01:00"),
                pair("_type", "Patient,Observation"),
                pair("_typeFilter", "Observation?code=a,b"),
                pair("_typeFilter", "Patient?identifier=CANARY"),
                pair("_elements", "id,Patient.name"),
            ]
        );
        assert_eq!(
            url.query().filter(|query| query.contains("%2B01%3A00")),
            url.query(),
            "a plus would be a space"
        );
    }

    #[test]
    fn parameters_of_a_body() {
        let text = |name: &str, value: &str| json!({"name": name, "valueString": value});
        let expected = json!({"resourceType": "Parameters", "parameter": [
            {"name": "_since", "valueInstant": "2026-01-01T00:00:00+01:00"},
            text("_type", "Patient"),
            text("_type", "Observation"),
            text("_typeFilter", "Observation?code=a,b"),
            text("_typeFilter", "Patient?identifier=CANARY"),
            text("_elements", "id"),
            text("_elements", "Patient.name"),
        ]});
        assert_eq!(narrow().parameters(), expected);
    }

    #[test]
    fn searches_are_not_told() {
        assert!(!narrow().told_parameters().to_string().contains("CANARY"));
        assert!(!format!("{:?}", narrow()).contains("CANARY"));
    }

    #[test]
    fn a_request_is_kept_as_it_is() {
        let text = serde_json::to_string(&narrow()).expect("JSON");
        assert_eq!(serde_json::from_str::<ExportRequest>(&text).expect("a request"), narrow());
    }
}
