use std::collections::BTreeMap;

use serde::Deserialize;

/// `fixtures/faults.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) row: Vec<Row>,
}

/// One kind of trouble.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) number: u32,
    pub(super) name: String,
    /// What happens, in words.
    pub(super) does: String,
    /// Who looks after the part that is no file.
    pub(super) belongs_to: Option<String>,
    /// That part.
    pub(super) there: Option<String>,
    #[serde(default)]
    pub(super) case: Vec<Case>,
    #[serde(default)]
    pub(super) reply: Vec<Reply>,
}

/// The same kind of trouble as a server makes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    /// What the server does.
    pub(super) what: String,
    /// What comes of it.
    pub(super) does: String,
    /// The tests that show it: file, `::`, function.
    pub(super) tests: Vec<String>,
}

/// A source, and all that must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) fixture: Option<String>,
    pub(super) generate: Option<String>,
    pub(super) what: String,
    #[serde(default)]
    pub(super) options: String,
    #[serde(default)]
    pub(super) delivered: BTreeMap<String, u64>,
    #[serde(default)]
    pub(super) faults: BTreeMap<String, u64>,
    pub(super) exit: i32,
    pub(super) says: Option<String>,
    pub(super) hint: Option<String>,
    #[serde(default)]
    pub(super) blank_lines: u64,
    #[serde(default)]
    pub(super) bare_entries: u64,
    #[serde(default)]
    pub(super) duplicate_keys: u64,
    #[serde(default)]
    pub(super) byte_order_marks: u64,
    #[serde(default)]
    pub(super) differs: Vec<String>,
}

impl Table {
    pub(super) fn read(text: &str) -> Self {
        toml::from_str(text).expect("a table of faults")
    }
}

impl Case {
    pub(super) fn title(&self) -> String {
        let source = self.fixture.as_deref().or(self.generate.as_deref()).unwrap_or("no source");
        format!("{source} {}", self.options)
    }

    pub(super) fn quarantined(&self) -> u64 {
        self.faults.values().sum()
    }
}
