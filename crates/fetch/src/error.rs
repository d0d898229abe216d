use std::io;
use std::path::Path;

/// Why something that was asked for cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nothing of that name exists, and it is no pattern either.
    #[error("no such file or folder: {name}")]
    NotFound {
        /// The name as given.
        name: String,
    },
    /// The file or folder exists, but the system refuses it.
    #[error("cannot read {name}")]
    Unreadable {
        /// Its path.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The pattern has no meaning.
    #[error("{pattern} is not a pattern: {reason} (at character {at})")]
    BadPattern {
        /// The pattern as given.
        pattern: String,
        /// The place of the mistake, in characters, from 0.
        at: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// No file or folder matches the pattern.
    #[error("nothing matches {pattern}")]
    NoMatch {
        /// The pattern as given.
        pattern: String,
    },
    /// Standard input was named more than once; it can be read only once.
    #[error("standard input (-) was named more than once")]
    StandardInputTwice,
    /// The source is a URL of a kind that this build does not read.
    #[error("{scheme}:// sources are not supported by this build")]
    SchemeNotSupported {
        /// What stands before `://`.
        scheme: String,
    },
    /// The folder's manifest is too large to be read; nothing of the folder was.
    #[error("{name} is larger than a manifest may be ({max_bytes} bytes, {max_outputs} outputs)")]
    ManifestTooLarge {
        /// Path of the manifest.
        name: String,
        /// The most bytes a manifest may have.
        max_bytes: u64,
        /// The most outputs a manifest may name.
        max_outputs: usize,
    },
    /// The folder's manifest names an output that is not in the folder.
    #[error("{manifest} names an output that is not in its folder: {url}")]
    MissingOutput {
        /// Path of the manifest.
        manifest: String,
        /// The output's URL, without user and query.
        url: String,
    },
    /// The folder's manifest names a path that leads out of the folder.
    #[error("{manifest} names an output outside its folder: {url}")]
    OutputOutside {
        /// Path of the manifest.
        manifest: String,
        /// The output's URL, without user and query.
        url: String,
    },
    /// An object store could not be opened, or what lies in it could not be found out.
    #[cfg(feature = "cloud")]
    #[error(transparent)]
    Cloud(#[from] crate::cloud::CloudError),
}

impl FetchError {
    pub(crate) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable { name: path.display().to_string(), source }
    }
}
