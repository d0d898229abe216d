use std::fmt;

use fhirline_core::{Origin, SourceRole};

/// What a [`Selection`](crate::Selection) comes upon.
#[derive(Debug)]
pub enum Found {
    /// A source to be read.
    Source {
        /// Where its bytes come from.
        origin: Box<dyn Origin>,
        /// What it was found by.
        by: FoundBy,
        /// What it is to the manifest that names it; data if none does.
        role: SourceRole,
        /// What that manifest declares of it, if it is one of its outputs.
        declared: Option<Declared>,
    },
    /// Something that is not read, and why.
    Skipped {
        /// Its path.
        name: String,
        /// Why it is not read.
        why: SkipReason,
    },
}

impl Found {
    /// A source that no manifest names.
    pub(crate) fn source(origin: impl Origin + 'static, by: FoundBy) -> Self {
        Self::Source { origin: Box::new(origin), by, role: SourceRole::Data, declared: None }
    }
}

/// What a manifest declares of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Declared {
    /// The type of its resources (`type`).
    pub resource_type: Option<String>,
    /// How many there are (`count`).
    pub count: Option<u64>,
}

/// What a source was found by: how certain it is that it was meant to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FoundBy {
    /// The user named it, or wrote a pattern that it matches.
    Name,
    /// A manifest names it.
    Manifest,
    /// It lay in a folder that the user named; whether it is data only its bytes can tell.
    Folder,
}

/// Why something in a folder is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// Its name begins with `_` or `.`.
    Hidden,
    /// Its name ends in `.partial`: somebody is still writing it.
    Partial,
    /// It is neither a file nor a folder (a pipe, a socket, a device).
    Special,
    /// It is the manifest through which its folder is read.
    Manifest,
    /// Its folder is read through a manifest, which does not name it.
    NotInManifest,
    /// The manifest of its folder names it as a file of errors, and it is not in the folder.
    NoErrors,
    /// It tells of records that an earlier run of ours rejected: `fhirline replay` reads it.
    Quarantine,
    /// It is the destination, or lies in it.
    Destination,
    /// It is a link to a folder that it lies in itself.
    Loop,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => "its name begins with _ or .",
            Self::Partial => "it is still being written",
            Self::Special => "it is neither a file nor a folder",
            Self::Manifest => "it is the manifest of its folder",
            Self::NotInManifest => "the manifest of its folder does not name it",
            Self::NoErrors => "the manifest of its folder names it as a file of errors, but it is not there",
            Self::Quarantine => "it tells of rejected records, which fhirline replay reads",
            Self::Destination => "it is the destination or lies in it",
            Self::Loop => "it is a link to a folder that it lies in",
        })
    }
}
