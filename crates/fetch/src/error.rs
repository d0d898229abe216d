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
    /// What looks like a manifest names its files in a way that cannot be understood.
    #[error("{name} looks like a Bulk Data manifest, but what it names makes no sense")]
    BadManifest {
        /// Its path.
        name: String,
    },
    /// A manifest has further pages, which cannot be asked for.
    #[error("{name} is one page of a manifest, and the next one cannot be had")]
    NextPage {
        /// Path of the manifest.
        name: String,
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
    /// A URL that cannot be asked for.
    #[cfg(feature = "http")]
    #[error("cannot read {url}")]
    Http {
        /// The URL, without user and query.
        url: String,
        /// Why.
        source: crate::HttpError,
    },
    /// What lies at a URL could not be found out, or is a manifest whose files cannot all be had.
    #[cfg(feature = "http")]
    #[error("cannot read {url}")]
    BulkData {
        /// The URL, without user and query.
        url: String,
        /// Why.
        source: std::sync::Arc<crate::BulkError>,
    },
    /// An object store could not be opened, or what lies in it could not be found out.
    #[cfg(feature = "cloud")]
    #[error(transparent)]
    Cloud(#[from] crate::cloud::CloudError),
}

impl FetchError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SchemeNotSupported { scheme } => {
                let feature = match scheme.to_ascii_lowercase().as_str() {
                    "http" | "https" => "http",
                    "s3" | "s3a" | "gs" | "gcs" | "az" | "azure" | "adl" | "abfs" | "abfss" => "cloud",
                    _ => return None,
                };
                Some(format!("build fhirline with the feature {feature}"))
            }
            error => crate::network_hint(error).map(str::to_owned),
        }
    }

    pub(crate) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable { name: path.display().to_string(), source }
    }
}
