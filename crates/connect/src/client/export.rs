use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// A request for an export, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportTask {
    /// An opaque text, though it looks like an id without dashes.
    pub task_id: String,
    /// How far it is.
    #[serde(rename = "status")]
    pub state: ExportState,
    /// What else the server says.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How far an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportState {
    /// Being made.
    Pending,
    /// Made: the link comes, or came, by webhook.
    Success,
    /// It could not be made: the reason comes, or came, by webhook.
    Failed,
    /// A state that was not known when this was written.
    Other(String),
}

impl ExportState {
    /// The name in the API.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Other(name) => name,
        }
    }
}

impl<'de> Deserialize<'de> for ExportState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(match name.as_str() {
            "pending" => Self::Pending,
            "success" => Self::Success,
            "failed" => Self::Failed,
            _ => Self::Other(name),
        })
    }
}

impl Serialize for ExportState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A document that TEFCA gives in test mode, where it has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TefcaFixture {
    /// `myra-jones.xml`
    MyraJones,
    /// `lennie-connell.xml`
    LennieConnell,
    /// `myra-jones-v2.xml`
    MyraJonesV2,
    /// `myra-jones-v7.xml`
    MyraJonesV7,
    /// `bernice-maxwell.xml`
    BerniceMaxwell,
}

impl TefcaFixture {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::MyraJones, Self::LennieConnell, Self::MyraJonesV2, Self::MyraJonesV7, Self::BerniceMaxwell];

    /// The name in the API.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::MyraJones => "myra-jones.xml",
            Self::LennieConnell => "lennie-connell.xml",
            Self::MyraJonesV2 => "myra-jones-v2.xml",
            Self::MyraJonesV7 => "myra-jones-v7.xml",
            Self::BerniceMaxwell => "bernice-maxwell.xml",
        }
    }
}

impl FromStr for TefcaFixture {
    type Err = UnknownFixture;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_named = |fixture: &Self| {
            let file_name = fixture.file_name();
            name == file_name || file_name.strip_suffix(".xml") == Some(name)
        };
        Self::ALL.into_iter().find(is_named).ok_or(UnknownFixture)
    }
}

/// A name that none of the fixtures has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFixture;

impl std::error::Error for UnknownFixture {}

impl fmt::Display for UnknownFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = TefcaFixture::ALL.map(TefcaFixture::file_name).join(", ");
        write!(f, "the fixtures are {names}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_keep_what_is_not_known() {
        let text = r#"{"task_id":"t","status":"paused","new":[1]}"#;
        let task: ExportTask = serde_json::from_str(text).expect("a task");
        assert_eq!(task.state, ExportState::Other("paused".to_owned()));
        assert_eq!(serde_json::to_string(&task).expect("JSON"), text);
    }

    #[test]
    fn fixtures_are_named_with_and_without_their_ending() {
        for fixture in TefcaFixture::ALL {
            let name = fixture.file_name();
            assert_eq!(name.parse(), Ok(fixture));
            assert_eq!(name.trim_end_matches(".xml").parse(), Ok(fixture));
        }
        let unknown = "myra".parse::<TefcaFixture>().expect_err("unknown");
        assert!(unknown.to_string().contains("bernice-maxwell.xml"));
    }
}
