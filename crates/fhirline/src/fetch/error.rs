use std::error::Error;
use std::io;

use fhirline_fetch::{FetchError, network_hint};

/// Why a source could not be downloaded to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// It could not be found.
    #[error("cannot be found")]
    Lost(#[source] FetchError),
    /// It cannot be asked for.
    #[error("cannot be asked for")]
    Denied(#[source] Box<dyn Error + Send + Sync>),
    /// It could not be opened.
    #[error("cannot be opened")]
    Open(#[source] io::Error),
    /// Reading it failed.
    #[error("cannot be read on")]
    Read(#[source] io::Error),
    /// It is shorter than it said.
    #[error("ended after {read_bytes} of {stated_bytes} bytes")]
    Short {
        /// The length that it said it had.
        stated_bytes: u64,
        /// The bytes that there are.
        read_bytes: u64,
    },
    /// It is longer than it said.
    #[error("did not end after its {stated_bytes} bytes")]
    Long {
        /// The length that it said it had.
        stated_bytes: u64,
    },
}

impl DownloadError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open(error) | Self::Read(error) if network_hint(error).is_some() => {
                network_hint(error).map(str::to_owned)
            }
            Self::Open(error)
                if error.kind() == io::ErrorKind::PermissionDenied && error.get_ref().is_none() =>
            {
                Some("check who may read it".to_owned())
            }
            Self::Read(_) | Self::Short { .. } => Some("run the same again: what has come stays".to_owned()),
            Self::Long { .. } => Some("it is being written, most likely: run the same again".to_owned()),
            _ => None,
        }
    }
}
