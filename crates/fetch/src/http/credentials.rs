use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

use super::{HttpError, Netrc};

/// By what a server knows the user. They go only to the scheme, host and port of the URL that was named.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// Nothing, except what stands in the URL.
    #[default]
    None,
    /// A token that stays the same.
    Bearer(SecretString),
    /// A token that is renewed, such as one of SMART Backend Services.
    Tokens(TokenSource),
    /// User and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// What a `.netrc` file has for the host, unless the URL itself names a user.
    Netrc(Netrc),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer",
            Self::Tokens(_) => "Tokens",
            Self::Basic { .. } => "Basic",
            Self::Netrc(_) => "Netrc",
        })
    }
}

type Ask = dyn Fn(Option<&SecretString>) -> Result<SecretString, HttpError> + Send + Sync;

/// Where bearer tokens come from that do not live as long as a download.
///
/// It is asked before every request, so it keeps the token that it has until that is about to expire. When a server answers
/// 401, it is asked once more with the token that was refused, and what it gives then is tried unless it is the same one. It
/// may block, and may use an [`HttpClient`](super::HttpClient): it runs on a thread of its own.
#[derive(Clone)]
pub struct TokenSource(Arc<Ask>);

impl TokenSource {
    /// A source that asks this function for a token; its argument is the token that a server has just refused.
    #[must_use]
    pub fn new(
        ask: impl Fn(Option<&SecretString>) -> Result<SecretString, HttpError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(ask))
    }

    pub(super) fn token(&self, refused: Option<&SecretString>) -> Result<SecretString, HttpError> {
        (self.0)(refused)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}
