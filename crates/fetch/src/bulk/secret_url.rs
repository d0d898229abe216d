use std::fmt;

use reqwest::Url;

use crate::shown::shown;

/// A URL whose query may be a signature: whoever has it may read what it names.
///
/// `Debug` and `Display` show scheme, host and path only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// The URL itself, to ask a server with.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// The host, if the URL has one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.0.host_str()
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
