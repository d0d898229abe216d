use std::time::Instant;

use serde::Serialize;

use crate::ExitStatus;
use crate::report::SkippedReport;

/// What came of a download.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FetchReport {
    /// How it ended; also the exit status of the command line.
    pub status: ExitStatus,
    /// The exit status as a number.
    pub exit_code: u8,
    /// All conditions that apply, the most severe first; empty if everything was fetched.
    pub conditions: Vec<ExitStatus>,
    /// Whether an earlier run had done all this already, and nothing was done now.
    pub already_complete: bool,
    /// The files that are complete, in the order of their sources.
    pub files: Vec<FetchedReport>,
    /// The sources that could not be fetched to their end, in their order.
    pub failures: Vec<FetchFailureReport>,
    /// The bytes of all complete files.
    pub stored_bytes: u64,
    /// The bytes that came now, with those of incomplete files.
    pub fetched_bytes: u64,
    /// Things in folders that were not fetched.
    pub skipped: u64,
    /// The first 1,000 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped_names: Vec<SkippedReport>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// A file that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FetchedReport {
    /// Its name in the folder.
    pub name: String,
    /// Where it came from: a URL is shown without its query.
    pub source: String,
    /// The type of its resources, if the sender said it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// How many of them there are, if the sender said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<u64>,
    /// Its bytes.
    pub stored_bytes: u64,
    /// Their hash: `crc32c:…` or `sha256:…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// How many of its bytes an earlier run had left; all of them if it was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<u64>,
    /// Why what an earlier run left was not continued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_afresh: Option<String>,
}

/// A source that could not be fetched to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FetchFailureReport {
    /// The source; a URL is shown without its query.
    pub source: String,
    /// What its file is called in the folder, without `.partial`.
    pub name: String,
    /// The bytes that are there.
    pub stored_bytes: u64,
    /// Why, from the outermost cause to the innermost.
    pub causes: Vec<String>,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl FetchReport {
    /// The same of a run that began then.
    pub(crate) fn after(mut self, started: Instant) -> Self {
        self.seconds = started.elapsed().as_secs_f64();
        self
    }
}
