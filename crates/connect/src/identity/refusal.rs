use std::fmt;

use serde_json::{Map, Value};

use crate::ConnectError;

/// Why an authorization request was not taken.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParError {
    /// The server says one of the errors that are documented, or another one.
    #[error("the authorization request was refused with {refusal} (status {status})")]
    Refused {
        /// Which.
        refusal: ParRefusal,
        /// The status, which is not documented.
        status: u16,
    },
    /// What the server gave is no longer good.
    #[error("the request_uri has expired: push the request again")]
    Expired,
    /// The exchange itself failed.
    #[error(transparent)]
    Exchange(#[from] ConnectError),
}

/// The errors that are documented, with their causes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParRefusal {
    /// Bad credentials.
    InvalidClient,
    /// TEFCA or BYOI is off for the mode.
    UnauthorizedClient,
    /// The audience is not one that Fasten allows.
    InvalidTarget,
    /// A bad body, scope or redirect URI; or issuer, HCID or e-mail do not fit.
    InvalidRequest,
    /// A `request_uri` that is bad, over, used, or another client's.
    InvalidRequestUri,
    /// A code that is invalid, over, used or not consented to; or PKCE failed.
    InvalidGrant,
    /// One that was not known when this was written, if it is a short plain word.
    Other(Option<String>),
}

const KNOWN: [(&str, ParRefusal); 6] = [
    ("invalid_client", ParRefusal::InvalidClient),
    ("unauthorized_client", ParRefusal::UnauthorizedClient),
    ("invalid_target", ParRefusal::InvalidTarget),
    ("invalid_request", ParRefusal::InvalidRequest),
    ("invalid_request_uri", ParRefusal::InvalidRequestUri),
    ("invalid_grant", ParRefusal::InvalidGrant),
];

impl ParRefusal {
    /// The word in the answer.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Other(code) => code.as_deref().unwrap_or("unknown"),
            known => KNOWN.iter().find(|(_, refusal)| refusal == known).map_or("unknown", |(code, _)| code),
        }
    }

    /// What to look at.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InvalidClient => "check the public id and the private key",
            Self::UnauthorizedClient => {
                "TEFCA and Bring Your Own Identity must be enabled for this organization, in this mode"
            }
            Self::InvalidTarget => "the token's audience must be one that Fasten allows",
            Self::InvalidRequest => {
                "check the form, the scope and the redirect URI; that the token's issuer fits the provider, its audience is the \
                 organization's HCID, and its e-mail is a synthetic one in test mode"
            }
            Self::InvalidRequestUri => {
                "a request_uri is good for one use within 90 s, by the client that pushed it"
            }
            Self::InvalidGrant => {
                "start the connection anew: the authorization code is used, over, or was not consented to"
            }
            Self::Other(_) => "this error is not documented: ask Fasten's support",
        }
    }
}

impl fmt::Display for ParRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl ParError {
    /// What an answer says that is no success.
    pub(super) fn of(status: u16, body: &[u8]) -> Self {
        let reply: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let code = reply.get("error").and_then(Value::as_str);
        let known = code.and_then(|code| KNOWN.iter().find(|(known, _)| *known == code));
        let refusal =
            known.map_or_else(|| ParRefusal::Other(code.and_then(word)), |(_, refusal)| refusal.clone());
        Self::Refused { refusal, status }
    }

    /// A word for it, fit to be kept and shown.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Refused { refusal, .. } => refusal.code().to_owned(),
            Self::Expired => "expired".to_owned(),
            Self::Exchange(_) => "no_answer".to_owned(),
        }
    }

    /// What to look at.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.hint()),
            Self::Expired => None,
            Self::Exchange(error) => error.hint(),
        }
    }
}

/// A code that is short and looks like one.
fn word(code: &str) -> Option<String> {
    let is_word = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (is_word && (1..=40).contains(&code.len())).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_six_errors_and_others() {
        for (code, wanted) in KNOWN {
            let body = format!(r#"{{"error":"{code}","error_description":"CANARY"}}"#);
            let error = ParError::of(400, body.as_bytes());
            let ParError::Refused { refusal, status: 400 } = &error else { panic!("another error") };
            assert_eq!((refusal, error.code().as_str()), (&wanted, code));
            assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("CANARY"));
        }
        for (body, code) in [
            (r#"{"error":"slow_down"}"#, "slow_down"),
            (r#"{"error":"CANARY"}"#, "unknown"),
            ("<html>CANARY", "unknown"),
        ] {
            let error = ParError::of(500, body.as_bytes());
            assert_eq!(error.code(), code);
            assert!(!format!("{error} {error:?}").contains("CANARY"));
        }
    }
}
