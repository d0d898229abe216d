use std::path::PathBuf;

use fhirline_fetch::shown;

/// Beginnings of URLs of object stores.
const SCHEMES: [&str; 9] = ["s3", "s3a", "gs", "gcs", "az", "azure", "adl", "abfs", "abfss"];

/// Where a run writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Folder(PathBuf),
    /// A prefix in an object store, as given.
    Url(String),
}

impl Target {
    pub(crate) fn of(destination: PathBuf) -> Self {
        match destination.to_str() {
            Some(text) if is_object_store(text) => Self::Url(text.to_owned()),
            _ => Self::Folder(destination),
        }
    }

    /// As it was given.
    #[cfg(all(feature = "cloud", feature = "http"))]
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Folder(folder) => folder.to_str().unwrap_or_default(),
            Self::Url(url) => url,
        }
    }

    /// What to call it. Of a URL nothing is shown that may be a secret.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Url(url) => shown(url),
        }
    }
}

/// Whether a destination is a prefix in an object store (`s3://…`, `gs://…`, `az://…`), and no folder.
#[must_use]
pub fn is_object_store(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| SCHEMES.contains(&&*scheme))
}

/// Without the feature `cloud`.
#[cfg(not(feature = "cloud"))]
pub(super) fn into_store(
    _: crate::Job,
    to: &crate::SplitJob,
    _: &str,
    _: &mut crate::OnEvent<'_>,
) -> Result<crate::Report, crate::JobError> {
    Err(lacks_feature(to.name()))
}

/// Without the feature `cloud`.
#[cfg(all(not(feature = "cloud"), feature = "http"))]
pub(super) fn present_prefix(
    _: &crate::Job,
    to: &crate::SplitJob,
) -> Result<Option<Box<dyn fhirline_core::Store>>, crate::JobError> {
    Err(lacks_feature(to.name()))
}

/// Without the feature `cloud`.
#[cfg(not(feature = "cloud"))]
pub(crate) fn lacks_feature(name: String) -> crate::JobError {
    let why = "this build knows no object stores (it lacks the feature `cloud`)".to_owned();
    crate::JobError::BadDestination { name, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_folders_and_shown_without_secrets() {
        for (text, name) in [
            ("s3://bucket/a/b", "s3://bucket/a/b"),
            ("S3://bucket", "S3://bucket"),
            ("az://container/a?sig=canary", "az://container/a"),
            ("s3://key:canary@bucket/a", "s3://bucket/a"),
            ("s3://key:canary@bucket?canary", "s3://bucket"),
        ] {
            let target = Target::of(text.into());
            assert!(matches!(target, Target::Url(_)), "{text}");
            assert_eq!(target.name(), name);
        }
        for folder in ["out", "./s3:", "s3:/out", "ftp://host/a", "file:///a", ""] {
            assert_eq!(Target::of(folder.into()), Target::Folder(folder.into()));
        }
    }
}
