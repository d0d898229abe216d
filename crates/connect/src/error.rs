use fhirline_fetch::HttpError;

/// Why an exchange with Fasten Connect failed. No key, token or query of a URL is in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The base URL is none to which keys could be sent.
    #[error("{url} cannot be the base of the API: {reason}")]
    BadBase {
        /// The URL, without user and query.
        url: String,
        /// Why not.
        reason: &'static str,
    },
    /// There was no answer.
    #[error("{step} failed")]
    Http {
        /// What was tried.
        step: &'static str,
        /// Why.
        source: HttpError,
    },
    /// The server refused.
    #[error("{step}: the server answered with status {status}{}", says(.message.as_deref()))]
    Refused {
        /// What was tried.
        step: &'static str,
        /// The status.
        status: u16,
        /// What the server says of it, if that is a short text.
        message: Option<String>,
    },
    /// The answer is not what is documented.
    #[error("{step}: the answer is not what the documentation says: {reason}")]
    BadAnswer {
        /// What was tried.
        step: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

fn says(message: Option<&str>) -> String {
    message.map(|message| format!(" ({message})")).unwrap_or_default()
}

impl ConnectError {
    /// What to look at.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused { status: 401 | 403, .. } => Some(
                "check that both keys are of one organization and one mode, and that the private key is still in use",
            ),
            Self::Refused { status: 404, .. } => {
                Some("check the id: ids of test mode are unknown in live mode")
            }
            Self::Refused { status: 429, .. } => {
                Some("ask again later: the server limits how often it is asked")
            }
            Self::Http { source, .. } => source.hint(),
            Self::BadBase { .. } => Some("the API is at https://api.connect.fastenhealth.com/v1"),
            _ => None,
        }
    }

    /// The status, if the server refused.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}
