use std::error::Error;
use std::fmt;
use std::io;

use fhirline_core::{Imbalance, Setting};
use fhirline_decompress::{Compression, DecompressError};
use fhirline_sink::SinkError;

use crate::plan::MemoryPlan;
use crate::progress::SourceChanged;

/// Why a source could not be read to its end. What was read before may be sound, but it is not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It could not be found or opened.
    #[error("cannot be found or opened")]
    Lost(#[source] Box<dyn Error + Send + Sync>),
    /// It could not be opened.
    #[error("cannot be opened")]
    Open(#[source] io::Error),
    /// Reading it failed.
    #[error("cannot be read on")]
    Read(#[source] io::Error),
    /// Decoding it failed.
    #[error("cannot be decoded to its end")]
    Decompress(#[source] DecompressError),
    /// It holds no JSON.
    #[error("does not hold FHIR resources in JSON: it is {0}")]
    NotLines(NotLines),
    /// It ends within a container.
    #[error("ends within {what}")]
    CutOff {
        /// The container.
        what: &'static str,
    },
    /// It is shorter than it said.
    #[error("ended after {read_bytes} of {stated_bytes} bytes")]
    Short {
        /// The stored length that it had when it was opened.
        stated_bytes: u64,
        /// The stored bytes that it gave.
        read_bytes: u64,
    },
}

impl SourceError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self, memory: &MemoryPlan) -> Option<String> {
        match self {
            Self::NotLines(what) => Some(what.hint().to_owned()),
            Self::Decompress(DecompressError::WindowTooLarge { needed_bytes, .. }) => {
                let needed = memory.ceiling_for_decoder(*needed_bytes) >> 20;
                Some(format!("give {} {needed}MiB or more", Setting::Memory))
            }
            Self::Decompress(DecompressError::Unsupported { .. }) => {
                Some("unpack it first and name the files inside".into())
            }
            Self::Decompress(DecompressError::TooExpanded { .. }) => Some(trusted_hint(Setting::MaxRatio)),
            Self::Decompress(DecompressError::TooLong { .. }) => Some(trusted_hint(Setting::MaxDecodedBytes)),
            Self::Decompress(_) | Self::Short { .. } | Self::CutOff { .. } => {
                Some("the file is damaged or was cut off: get it again".into())
            }
            Self::Open(error) => permission_hint(error),
            Self::Lost(error) => {
                let causes = std::iter::successors(error.source(), |&cause| cause.source());
                causes.filter_map(|cause| cause.downcast_ref()).find_map(permission_hint)
            }
            _ => None,
        }
    }
}

fn trusted_hint(bound: Setting) -> String {
    format!("if the source is to be trusted, raise {bound}")
}

/// Of what the system refuses; what wraps another error has hints of its own.
fn permission_hint(error: &io::Error) -> Option<String> {
    (error.kind() == io::ErrorKind::PermissionDenied && error.get_ref().is_none())
        .then(|| "check who may read it".to_owned())
}

/// What a source is that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotLines {
    /// HTML or XML: an error page, most often.
    Markup,
    /// UTF-16 text.
    Utf16,
    /// Compressed twice.
    Nested(Compression),
    /// An archive or a format that is recognised, but not read.
    Other(&'static str),
}

impl fmt::Display for NotLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Markup => f.write_str("HTML or XML"),
            Self::Utf16 => f.write_str("UTF-16 text"),
            Self::Nested(inner) => write!(f, "compressed twice ({} inside)", inner.name()),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl NotLines {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Markup => "most likely an error page was saved in place of the export; download it again",
            Self::Utf16 => "convert it first: iconv -f UTF-16 -t UTF-8",
            Self::Nested(_) => "take off the outer compression first",
            Self::Other(_) => "unpack it first and name the files inside",
        }
    }
}

/// Why a run had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The sink cannot go on.
    #[error("cannot write the output")]
    Sink(#[from] SinkError),
    /// The numbers do not add up: a defect of fhirline.
    #[error("an internal check failed")]
    Ledger(#[from] Imbalance),
    /// What the run has done could not be noted.
    #[error("cannot note how far the run has come")]
    Checkpoint(#[source] io::Error),
    /// A source changed while an interrupted run was taken up again.
    #[error("cannot go on with the interrupted run")]
    Changed(#[source] SourceChanged),
    /// What an interrupted run noted is no place in any source.
    #[error("cannot go on with the interrupted run: what it noted is damaged")]
    Misled,
    /// Where a record stood originally, or where it ends, cannot be told.
    #[error("cannot tell where a rejected record stood")]
    Places(#[source] Box<dyn Error + Send + Sync>),
    /// More records were rejected than the caller allows.
    #[error("{rejected} of {read} records were rejected, more than {limit}")]
    TooManyRejects {
        /// Records rejected so far.
        rejected: u64,
        /// Records read so far.
        read: u64,
        /// The limit, as text: `100`, `5%`.
        limit: String,
    },
    /// Somebody asked the run to stop.
    #[error("stopped on request")]
    Cancelled,
    /// A worker ended without a result: a defect of fhirline.
    #[error("a worker ended before it gave its result back")]
    WorkerLost,
    /// The threads could not be started.
    #[error("cannot start the worker threads")]
    Threads(#[source] Box<dyn Error + Send + Sync>),
}

impl RunError {
    /// Whether the run ended because nobody reads its output any more: for a stream no failure.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Sink(SinkError::Closed))
    }
}
