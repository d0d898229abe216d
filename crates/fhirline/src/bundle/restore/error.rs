use std::io;

use fhirline_core::Setting;

use crate::ExitStatus;

/// Why Bundles cannot be put together again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The folder holds no complete run.
    #[error("there is no complete run of fhirline in {name}")]
    NoRun {
        /// The folder as given.
        name: String,
    },
    /// The run had no Bundles to read.
    #[error("the run in {name} read no Bundle")]
    NoBundles {
        /// The folder as given.
        name: String,
    },
    /// What Bundles and entries said beside resources was not kept.
    #[error("the run in {name} did not keep what its Bundles say beside resources")]
    NoMetadata {
        /// The folder as given.
        name: String,
    },
    /// The run did not deliver all that it read.
    #[error("{name} does not hold all that was read: {what}: {count}")]
    NotAll {
        /// The folder as given.
        name: String,
        /// How many of them.
        count: u64,
        /// Records or sources, and what became of them.
        what: &'static str,
    },
    /// A Bundle had no end.
    #[error("the Bundle {bundle} has no end")]
    NoEnd {
        /// The ordinal of its source and the byte at which it began.
        bundle: String,
    },
    /// The run holds records that came from elsewhere, and nothing tells them from the others.
    #[error("the run holds records that came from no Bundle: {records} in {output}")]
    Outside {
        /// The output.
        output: String,
        /// So many of those that it holds.
        records: u64,
    },
    /// The outputs of more types are needed than can be read at once.
    #[error("the run in {name} has {outputs} outputs, and no more than {most} can be read at once")]
    TooManyOutputs {
        /// The folder as given.
        name: String,
        /// How many there are.
        outputs: usize,
        /// How many there may be.
        most: usize,
    },
    /// Decoders of all outputs do not fit.
    #[error("cannot read the outputs of all types at once within the memory given")]
    Memory {
        /// What would be enough.
        least_bytes: u64,
    },
    /// A file of the run is not as the run left it.
    #[error("{name} is not as the run left it")]
    Damaged {
        /// Its path.
        name: String,
    },
    /// A line of a sidecar was not written by fhirline, or does not belong there.
    #[error("line {line} of {name} is not what fhirline writes there")]
    Foreign {
        /// The output that the line belongs to.
        name: String,
        /// The line, from 1, counted through all its files.
        line: u64,
    },
    /// An output ends although entries say that there is more.
    #[error("{name} holds fewer records than entries say")]
    TooFew {
        /// The output.
        name: String,
    },
    /// A file of the run cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// Its path.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The destination lies in the run.
    #[error("the destination {name} lies in the run whose Bundles are restored")]
    WithinRun {
        /// The destination as given.
        name: String,
    },
}

impl RestoreError {
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Damaged { .. } | Self::Foreign { .. } | Self::TooFew { .. } | Self::Read { .. } => {
                ExitStatus::Failed
            }
            _ => ExitStatus::Usage,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoRun { .. } => {
                return Some(format!(
                    "name a folder that a split with {} has finished",
                    Setting::KeepEntryMetadata
                ));
            }
            Self::NoMetadata { .. } => {
                return Some(format!("split the Bundles again with {}", Setting::KeepEntryMetadata));
            }
            Self::NotAll { .. } => {
                let (only, except) = (Setting::Types, Setting::ExceptTypes);
                return Some(format!(
                    "split the Bundles again, whole and mended, without {only} and {except}"
                ));
            }
            Self::NoEnd { .. } => "split the Bundles again once they are whole",
            Self::Outside { .. } => "split the Bundles by themselves, without other sources",
            Self::Memory { least_bytes } => {
                let least_mib = least_bytes.div_ceil(1 << 20);
                return Some(format!("give {} {least_mib}MiB or more", Setting::Memory));
            }
            Self::Damaged { .. } | Self::Foreign { .. } | Self::TooFew { .. } => {
                "split the Bundles again: nothing in the folder of a run may be changed"
            }
            Self::WithinRun { .. } => "choose a destination outside of it",
            Self::NoBundles { .. } | Self::TooManyOutputs { .. } | Self::Read { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
