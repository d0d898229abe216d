use std::io;

use crate::ExitStatus;

/// Why rejected records cannot be run again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The folder holds no quarantine.
    #[error("{name} is no quarantine: it has no {missing}")]
    NoQuarantine {
        /// The folder as given.
        name: String,
        /// The file that is missing.
        missing: &'static str,
    },
    /// The run is complete and rejected nothing, or the quarantine is empty.
    #[error("there is nothing to run again: {name} holds no rejected record")]
    Nothing {
        /// The folder as given.
        name: String,
    },
    /// A file of the quarantine cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// Its path.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// A line of `outcome.ndjson` was not written by fhirline.
    #[error("line {line} of {name} is no outcome as fhirline writes it")]
    Foreign {
        /// Path of the file.
        name: String,
        /// The line, from 1.
        line: u64,
    },
    /// Records and outcomes do not belong together.
    #[error("{name} has {found} lines, but the outcomes beside it tell of {told}")]
    LinesDiffer {
        /// Path of `lines.raw`.
        name: String,
        /// Lines in it.
        found: u64,
        /// Lines that the records in it have together, as `outcome.ndjson` says.
        told: u64,
    },
    /// A file of the quarantine is not what it was when the run began.
    #[error("{name} was changed while it was being read")]
    Changed {
        /// Its path.
        name: String,
    },
    /// The destination lies in the run whose quarantine is run again.
    #[error("the destination {name} lies in the run whose rejected records are run again")]
    WithinRun {
        /// The destination as given.
        name: String,
    },
}

impl ReplayError {
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Read { .. } | Self::Changed { .. } => ExitStatus::Failed,
            _ => ExitStatus::Usage,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoQuarantine { .. } => {
                "name the folder _quarantine of a complete run, or the folder that holds it"
            }
            Self::Foreign { .. } => "leave outcome.ndjson as it was, and change lines.raw only",
            Self::LinesDiffer { .. } => {
                "mend records where they stand, one line for each line: empty a line to drop it, instead of deleting it"
            }
            Self::Changed { .. } => "run the same again once nobody writes to it",
            Self::WithinRun { .. } => "choose a destination outside of it",
            Self::Nothing { .. } | Self::Read { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
