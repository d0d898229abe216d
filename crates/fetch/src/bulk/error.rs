use std::io;
use std::time::Duration;

use super::issue::listed;
use super::{Issue, KeyError, ManifestError, TokenRefusal};
use crate::HttpError;

/// Why an export did not come about.
///
/// URLs are shown without user and query, and of what a server says only the status and codes that FHIR and OAuth list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// The base of the FHIR server is no URL to ask, or has a user or a query.
    #[error("not the base URL of a FHIR server: {url}")]
    BadBase {
        /// The base, as far as it may be shown.
        url: String,
    },
    /// What should be a URL is none.
    #[error("not a URL: {url}")]
    BadUrl {
        /// What was given, as far as it may be shown.
        url: String,
    },
    /// A group has no such id.
    #[error("not the id of a group")]
    BadGroup,
    /// No exchange with the server.
    #[error("{step} failed")]
    Http {
        /// What was tried.
        step: &'static str,
        /// What went wrong.
        source: HttpError,
    },
    /// The server answered, and said no.
    #[error("{step} failed: {url} answered with status {status}{}", listed(issues))]
    Refused {
        /// What was tried.
        step: &'static str,
        /// What was asked for.
        url: String,
        /// The status of the answer, or of the export where the two are kept apart.
        status: u16,
        /// What the server says is wrong.
        issues: Vec<Issue>,
        /// The host to which the access token did not go, if that may be the reason.
        token_withheld_from: Option<String>,
    },
    /// The server took the request, but did not say where its status is.
    #[error("{url} took the export but gave no Content-Location that can be followed")]
    NoStatusUrl {
        /// What was asked for.
        url: String,
    },
    /// What the server says is ready is no manifest.
    #[error("cannot read the manifest at {url}")]
    Manifest {
        /// Where it is.
        url: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The export was not ready in the time that it was given.
    #[error("the export is not ready after {waited:?}")]
    NotReady {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The caller said stop.
    #[error("stopped")]
    Stopped,
    /// There is no key to sign with.
    #[error("no key for SMART Backend Services")]
    Key {
        /// What is wrong with it.
        #[from]
        source: KeyError,
    },
    /// The server does not say where its tokens are.
    #[error("{url} names no token endpoint that can be asked")]
    NoTokenEndpoint {
        /// The server's SMART configuration.
        url: String,
    },
    /// The server knows none of the algorithms that can be signed with.
    #[error("{url} takes no assertion signed with RS384 or ES384")]
    NoAlgorithm {
        /// The server's SMART configuration.
        url: String,
    },
    /// The token server gave no token.
    #[error("no access token from {url} (status {status}): {refusal}")]
    NoToken {
        /// The token server.
        url: String,
        /// The status of its answer.
        status: u16,
        /// What it says.
        refusal: TokenRefusal,
    },
    /// A file wants the access token, but is neither on the FHIR server nor on a host that was named for it.
    #[error("{url} wants the access token{}", withheld(base.as_deref()))]
    ForeignFile {
        /// The file.
        url: String,
        /// The FHIR server, if one was named.
        base: Option<String>,
    },
    /// There is no randomness to sign with.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// What was noted of an earlier run is damaged, or of a newer version.
    #[error("what was noted of the export is damaged or of another version")]
    BadState,
    /// What is noted of the run cannot be read or written.
    #[error("cannot {verb} {name}")]
    Note {
        /// What was tried.
        verb: &'static str,
        /// The file.
        name: String,
        /// What the system says.
        source: io::Error,
    },
}

impl BulkError {
    /// The status of the answer that said no, and what it said; nothing where there was no such answer.
    #[must_use]
    pub fn answer(&self) -> (Option<u16>, &[Issue]) {
        match self {
            Self::Refused { status, issues, .. } => (Some(*status), issues),
            _ => (None, &[]),
        }
    }

    /// What the user may try; `None` where there is nothing to say.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Http { source, .. } => source.hint(),
            Self::NoToken { refusal, .. } => refusal.hint(),
            Self::Refused { token_withheld_from: Some(_), .. } | Self::ForeignFile { .. } => {
                Some("name the host as one that may have the token, if you trust it (`token_hosts`)")
            }
            Self::Refused { status: 401 | 403, .. } => {
                Some("the server wants credentials, or these do not allow the export")
            }
            Self::Refused { status: 404 | 410, step: STATUS, .. } => {
                Some("the server has forgotten the export; start a new one")
            }
            Self::Refused { status: 404 | 405, .. } => {
                Some("the server may not know this export; version 4 of Bulk Data wants POST")
            }
            Self::Refused { status: 429, .. } => Some("another export may be running; try again later"),
            Self::NoTokenEndpoint { .. } => Some("name the token URL"),
            Self::Key { source: KeyError::NotAKeyFile { .. } } => {
                Some("`openssl pkcs8 -topk8 -nocrypt` turns other private keys into PKCS #8")
            }
            _ => None,
        }
    }
}

fn withheld(base: Option<&str>) -> String {
    match base {
        Some(base) => format!(" of {base}, which goes to no other host"),
        None => ", which goes to hosts only that are named for it".to_owned(),
    }
}

/// The step that asks for the status.
pub(crate) const STATUS: &str = "asking for the status of the export";
/// The step that begins an export.
pub(crate) const KICK_OFF: &str = "starting the export";
/// The step that ends one.
pub(crate) const CANCEL: &str = "cancelling the export";
