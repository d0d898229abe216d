use std::path;

use fhirline_core::{ChecksumKind, Origin, SourceRole};
use fhirline_fetch::{Declared, FetchError};
use fhirline_sink::Hasher;
use serde::{Deserialize, Serialize};

use super::error::DownloadError;

/// What a file is to whoever reads the download: the list of the manifest in which it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    /// Resources.
    #[default]
    Output,
    /// Resources in blocks behind header lines.
    Organized,
    /// Bundles that name what was deleted.
    Deleted,
    /// OperationOutcomes.
    Error,
}

impl From<SourceRole> for Part {
    fn from(role: SourceRole) -> Self {
        match role {
            SourceRole::Data => Self::Output,
            SourceRole::Organized => Self::Organized,
            SourceRole::Deleted => Self::Deleted,
            SourceRole::Errors => Self::Error,
        }
    }
}

impl From<Part> for SourceRole {
    fn from(part: Part) -> Self {
        match part {
            Part::Output => Self::Data,
            Part::Organized => Self::Organized,
            Part::Deleted => Self::Deleted,
            Part::Error => Self::Errors,
        }
    }
}

impl Part {
    /// The folder for its files: the names that bulk-data-client gives them, which others read.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Output | Self::Organized => "",
            Self::Deleted => "deleted/",
            Self::Error => "error/",
        }
    }
}

/// One file to be fetched.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Where it comes from, to be shown.
    pub(crate) source: String,
    /// The source itself, or why there is none.
    pub(crate) origin: Result<Box<dyn Origin>, DownloadError>,
    pub(crate) part: Part,
    /// The type of its resources, if the sender says it.
    pub(crate) resource_type: Option<String>,
    /// How many there are, if the sender says it.
    pub(crate) count: Option<u64>,
    /// Its place in the manifest of an export: the server may give it another URL every time.
    pub(crate) place: Option<usize>,
}

impl Wanted {
    pub(crate) fn new(source: String, origin: Result<Box<dyn Origin>, DownloadError>) -> Self {
        Self { source, origin, part: Part::Output, resource_type: None, count: None, place: None }
    }

    pub(crate) fn source(origin: Box<dyn Origin>) -> Self {
        let source = origin.name().to_owned();
        Self::new(source, Ok(origin))
    }

    pub(crate) fn listed(origin: Box<dyn Origin>, role: SourceRole, declared: Declared) -> Self {
        let Declared { resource_type, count } = declared;
        Self { part: role.into(), resource_type, count, ..Self::source(origin) }
    }

    pub(crate) fn lost(source: String, error: FetchError) -> Self {
        Self::new(source, Err(DownloadError::Lost(error)))
    }

    /// Tells it from others: by its name, and where that is. A query of a URL does not count, for a link may be signed anew.
    pub(crate) fn key(&self) -> String {
        let mut hasher = Hasher::new(Some(ChecksumKind::Crc32c));
        if let Some(place) = self.place {
            hasher.update(format!("{place} {:?} {:?}", self.part, self.resource_type).as_bytes());
            return hasher.finish().map(|checksum| checksum.to_string()).unwrap_or_default();
        }
        // The same name may mean another file in another folder.
        let place = path::absolute(&self.source).ok().filter(|_| !self.source.contains("://"));
        hasher.update(format!("{:?} {place:?} {:?}", self.source, self.part).as_bytes());
        hasher.finish().map(|checksum| checksum.to_string()).unwrap_or_default()
    }
}
