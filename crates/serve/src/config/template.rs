//! Names of destinations.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// Longest name that a value gives, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// A destination with places for what is known of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    /// What a destination that is a relative path is below.
    folder: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Name),
}

/// What stands in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    ApiMode,
    OrgConnectionId,
    TaskId,
    ExternalId,
    ExportId,
}

const NAMES: [(&str, Name); 5] = [
    ("api_mode", Name::ApiMode),
    ("org_connection_id", Name::OrgConnectionId),
    ("task_id", Name::TaskId),
    ("external_id", Name::ExternalId),
    ("export_id", Name::ExportId),
];

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A brace is not closed, or was never opened.
    #[error("a brace is missing")]
    Brace,
    /// Nothing of that name is known of exports.
    #[error("there is no {{{0}}}: known are api_mode, org_connection_id, task_id, external_id and export_id")]
    UnknownName(String),
    /// It has nothing that tells exports apart.
    #[error("it needs {{task_id}} or {{export_id}}: exports would take each other's place")]
    SamePlace,
    /// It is a URL, but not that of an object store.
    #[error("it is neither a folder nor a prefix such as s3://, gs:// or az://")]
    UnknownScheme,
}

/// What is known of an export.
#[derive(Clone, Copy, Debug, Default)]
pub struct TemplateValues<'v> {
    /// `test` or `live`.
    pub api_mode: &'v str,
    /// The connection.
    pub org_connection_id: Option<&'v str>,
    /// The task at Fasten.
    pub task_id: Option<&'v str>,
    /// What the company calls the patient: outside input.
    pub external_id: Option<&'v str>,
    /// The id here.
    pub export_id: &'v str,
}

impl Template {
    /// Reads `…{name}…`.
    ///
    /// # Errors
    /// [`TemplateError`]
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.contains("://") && !fhirline::is_object_store(text) {
            return Err(TemplateError::UnknownScheme);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let inside = rest[at..].strip_prefix('{').ok_or(TemplateError::Brace)?;
            let (name, behind) = inside.split_once('}').ok_or(TemplateError::Brace)?;
            let known = NAMES.into_iter().find(|(known, _)| *known == name);
            let (_, name) = known.ok_or_else(|| TemplateError::UnknownName(name.to_owned()))?;
            parts.push(Part::Text(rest[..at].to_owned()));
            parts.push(Part::Value(name));
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        let tells_apart = |part: &Part| matches!(part, Part::Value(Name::TaskId | Name::ExportId));
        if !parts.iter().any(tells_apart) {
            return Err(TemplateError::SamePlace);
        }
        Ok(Self { parts, folder: None })
    }

    /// The same, with relative paths below that folder.
    #[must_use]
    pub(crate) fn below(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// The destination of one export. No value can name another folder than the one that it stands for.
    #[must_use]
    pub fn fill(&self, values: &TemplateValues<'_>) -> String {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value(name) => filled.push_str(&escaped(values.get(*name))),
            }
        }
        match &self.folder {
            Some(folder) if !filled.contains("://") => folder.join(filled).display().to_string(),
            _ => filled,
        }
    }
}

impl<'v> TemplateValues<'v> {
    fn get(&self, name: Name) -> Option<&'v str> {
        match name {
            Name::ApiMode => Some(self.api_mode),
            Name::OrgConnectionId => self.org_connection_id,
            Name::TaskId => self.task_id,
            Name::ExternalId => self.external_id,
            Name::ExportId => Some(self.export_id),
        }
    }
}

/// What is no letter, digit or one of `._-` as `%` and two digits; a missing value as `_none`. Dots alone would name other folders.
fn escaped(value: Option<&str>) -> String {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return "_none".to_owned() };
    let only_dots = value.bytes().all(|byte| byte == b'.');
    let mut escaped = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) || (byte == b'.' && !only_dots) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    if escaped.len() > MAX_NAME_BYTES {
        // File systems take no longer names; what is cut off still tells them apart.
        escaped.truncate(MAX_NAME_BYTES - 40);
        let _ = write!(escaped, "~{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, value.as_bytes()));
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, external_id: Option<&str>) -> String {
        let values = TemplateValues {
            api_mode: "test",
            org_connection_id: Some("c"),
            task_id: Some("t"),
            external_id,
            export_id: "e",
        };
        Template::parse(template).expect("a template").fill(&values)
    }

    #[test]
    fn values_stay_in_their_places() {
        assert_eq!(filled("x/{api_mode}/{org_connection_id}/{task_id}", None), "x/test/c/t");
        for (value, expected) in [
            (Some("a b/../c"), "a%20b%2F..%2Fc"),
            (Some(".."), "%2E%2E"),
            (Some("."), "%2E"),
            (Some("a.b"), "a.b"),
            (Some("é\0"), "%C3%A9%00"),
            (Some(""), "_none"),
            (None, "_none"),
        ] {
            assert_eq!(filled("{external_id}/{export_id}", value), format!("{expected}/e"), "{value:?}");
        }
        let long = |end: &str| filled("{external_id}{export_id}", Some(&("é".repeat(200) + end)));
        assert!(long("a").len() <= 201 && long("a") != long("b") && long("a") == long("a"));
        let below = Template::parse("{task_id}").expect("a template").below(Path::new("/data"));
        assert_eq!(
            below.fill(&TemplateValues { task_id: Some("/etc"), ..TemplateValues::default() }),
            "/data/%2Fetc"
        );
        let bucket = Template::parse("s3://b/{task_id}").expect("a template").below(Path::new("/data"));
        assert_eq!(
            bucket.fill(&TemplateValues { task_id: Some("t"), ..TemplateValues::default() }),
            "s3://b/t"
        );
    }

    #[test]
    fn what_is_no_template() {
        assert_eq!(Template::parse("{task_id"), Err(TemplateError::Brace));
        assert_eq!(Template::parse("}{task_id}"), Err(TemplateError::Brace));
        assert_eq!(Template::parse("{taskid}"), Err(TemplateError::UnknownName("taskid".into())));
        assert_eq!(Template::parse("{external_id}"), Err(TemplateError::SamePlace));
        assert_eq!(Template::parse("https://host/{task_id}"), Err(TemplateError::UnknownScheme));
    }
}
