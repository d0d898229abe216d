use std::error::Error;

use fhirline_core::{Origin, SourceRole};

use crate::records::RecordLines;

/// One thing on the list of sources.
#[derive(Debug)]
pub enum Entry {
    /// A source to read.
    Source {
        /// Where its bytes come from.
        origin: Box<dyn Origin>,
        /// Whether somebody said that it is data. If not (a file that merely lay in a folder), it is skipped when its bytes
        /// do not look like data.
        meant: bool,
        /// What it holds.
        role: SourceRole,
    },
    /// A source of which it is known where each of its records ends, and that it is not compressed: its bytes decide
    /// nothing of that.
    Records {
        /// Where its bytes come from.
        origin: Box<dyn Origin>,
        /// How many lines each record has.
        lines: Box<dyn RecordLines>,
    },
    /// Something that is not read, and why.
    Skipped {
        /// Its name.
        name: String,
        /// Why it is not read.
        why: String,
    },
    /// A source that should be read and cannot even be opened: a file in a folder that may not be listed, say.
    Lost {
        /// Its name.
        name: String,
        /// Why.
        error: Box<dyn Error + Send + Sync>,
    },
}

impl Entry {
    /// A source that is meant to be data.
    pub fn named(origin: impl Origin + 'static) -> Self {
        Self::in_role(origin, SourceRole::Data)
    }

    /// A source that is meant, in that role.
    pub fn in_role(origin: impl Origin + 'static, role: SourceRole) -> Self {
        Self::Source { origin: Box::new(origin), meant: true, role }
    }
}
