use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::BulkError;
use crate::shown::shown;

/// A URL whose query may be a signature: whoever has it may read what it names.
///
/// `Debug` and `Display` show scheme, host and path only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// An absolute URL of any scheme.
    ///
    /// # Errors
    /// [`BulkError::BadUrl`].
    pub fn parse(url: &str) -> Result<Self, BulkError> {
        Url::parse(url).map(Self).map_err(|_| BulkError::BadUrl { url: shown(url) })
    }

    /// The URL of a file of this machine; `None` if its path is not absolute.
    #[must_use]
    pub fn of_file(path: &Path) -> Option<Self> {
        Url::from_file_path(path).ok().map(Self)
    }

    /// The path, if this is the URL of a file of this machine.
    #[must_use]
    pub fn to_file(&self) -> Option<PathBuf> {
        if self.0.scheme() == "file" { self.0.to_file_path().ok() } else { None }
    }

    /// The URL with everything in it, to ask a server with.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// The host, if the URL has one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.0.host_str()
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// Scheme and host (and port), without the path.
    pub(crate) fn shown_origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl From<Url> for SecretUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.0.as_str()))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_kept_and_not_shown() {
        let url = SecretUrl::parse("https://host/a?CANARY").expect("a URL");
        assert_eq!(url.expose(), "https://host/a?CANARY");
        assert_eq!(format!("{url} {url:?}"), "https://host/a https://host/a");
        let error = SecretUrl::parse("//host/a?CANARY").expect_err("no URL");
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
    }

    #[test]
    fn files_go_there_and_back() {
        let path = Path::new("/a folder/manifest.json");
        let url = SecretUrl::of_file(path).expect("a URL");
        assert_eq!(
            (url.expose(), url.to_file().as_deref()),
            ("file:///a%20folder/manifest.json", Some(path))
        );
        assert_eq!(SecretUrl::of_file(Path::new("a")), None);
        assert_eq!(SecretUrl::parse("https://host/a").expect("a URL").to_file(), None);
    }
}
