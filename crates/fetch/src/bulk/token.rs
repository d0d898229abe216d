use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// How long a token is taken to live when the server does not say: what the standard recommends.
const USUAL_LIFE: Duration = Duration::from_secs(300);
/// A token that lives no longer than this is not used.
const MOST_MARGIN: Duration = Duration::from_secs(60);

/// An access token, and how long it lives from when it came.
pub(crate) struct Token {
    pub(crate) bearer: SecretString,
    pub(crate) life: Duration,
}

impl Token {
    /// For how long it is used: until a minute, or a fifth of its life if that is less, are left.
    pub(crate) fn useful_life(&self) -> Duration {
        self.life - MOST_MARGIN.min(self.life / 5)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("life", &self.life).finish_non_exhaustive()
    }
}

/// Why a token server's answer is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefusal {
    /// An error of RFC 6749, section 5.2.
    #[error("{0}")]
    Error(&'static str),
    /// No such error, and no token either.
    #[error("the answer has no access token")]
    NoToken,
    /// A token of another kind than `bearer`.
    #[error("the token is of another kind than bearer")]
    NotBearer,
}

impl TokenRefusal {
    /// What to look at.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Error("invalid_client") => Some(
                "the server does not accept the signed assertion: check the client id, that the public key is \
                 registered under this kid, the token URL, and this machine's clock",
            ),
            Self::Error("invalid_scope") => Some("name a scope that the client is registered for"),
            Self::Error("unauthorized_client" | "unsupported_grant_type") => {
                Some("the client is not registered for SMART Backend Services (client_credentials)")
            }
            _ => None,
        }
    }
}

// RFC 6749, section 5.2
const ERRORS: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

#[derive(Deserialize)]
struct Reply {
    access_token: Option<SecretText>,
    token_type: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    error: Option<String>,
}

struct SecretText(SecretString);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}

/// Seconds, also as a string: some servers write them so.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(f64),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Option::<Seconds>::deserialize(deserializer)? {
        Some(Seconds::Number(number)) if number >= 0.0 => Some(number as u64),
        Some(Seconds::Text(text)) => text.parse().ok(),
        Some(Seconds::Number(_) | Seconds::Other(_)) | None => None,
    })
}

/// Reads a token server's answer (RFC 6749, sections 5.1 and 5.2).
pub(crate) fn token_of(body: &[u8]) -> Result<Token, TokenRefusal> {
    let reply: Reply = serde_json::from_slice(body).map_err(|_| TokenRefusal::NoToken)?;
    if let Some(error) = reply.error {
        let listed = ERRORS.into_iter().find(|listed| *listed == error);
        return Err(TokenRefusal::Error(listed.unwrap_or("an error that OAuth does not list")));
    }
    let bearer = reply.access_token.map(|text| text.0).ok_or(TokenRefusal::NoToken)?;
    let text = bearer.expose_secret();
    // What a header may hold; anything else would be cut or smuggled.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenRefusal::NoToken);
    }
    if !reply.token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(TokenRefusal::NotBearer);
    }
    Ok(Token { bearer, life: reply.expires_in.map_or(USUAL_LIFE, Duration::from_secs) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(expires_in: &str) -> u64 {
        let body = format!(r#"{{"access_token":"t","token_type":"bearer"{expires_in}}}"#);
        token_of(body.as_bytes()).expect("a token").life.as_secs()
    }

    #[test]
    fn a_token_lives_as_long_as_the_server_says() {
        assert_eq!(life(r#","expires_in":900"#), 900);
        assert_eq!(life(r#","expires_in":"900""#), 900);
        for unsaid in ["", r#","expires_in":null"#, r#","expires_in":-1"#, r#","expires_in":[]"#] {
            assert_eq!(life(unsaid), 300, "{unsaid}");
        }
    }

    #[test]
    fn a_token_is_not_used_to_its_last_moment() {
        for (life, useful) in [(300, 240), (3600, 3540), (50, 40), (0, 0)] {
            let token = Token { bearer: "t".into(), life: Duration::from_secs(life) };
            assert_eq!(token.useful_life().as_secs(), useful);
        }
    }

    #[test]
    fn bearer_is_bearer_in_any_case() {
        for kind in ["bearer", "Bearer", "BEARER"] {
            let body = format!(r#"{{"access_token":"CANARY","token_type":"{kind}"}}"#);
            let token = token_of(body.as_bytes()).expect("a token");
            assert_eq!(token.bearer.expose_secret(), "CANARY");
            assert!(!format!("{token:?}").contains("CANARY"));
        }
    }

    #[test]
    fn other_answers_are_refusals_that_tell_nothing() {
        for (body, refusal) in [
            (
                r#"{"error":"invalid_client","error_description":"CANARY"}"#,
                TokenRefusal::Error("invalid_client"),
            ),
            (r#"{"access_token":"t","token_type":"mac"}"#, TokenRefusal::NotBearer),
            (r#"{"access_token":"t"}"#, TokenRefusal::NotBearer),
            (r#"{"access_token":"a\nb","token_type":"bearer"}"#, TokenRefusal::NoToken),
            (r#"{"access_token":"","token_type":"bearer"}"#, TokenRefusal::NoToken),
            (r#"{"token_type":"bearer"}"#, TokenRefusal::NoToken),
            ("<html>", TokenRefusal::NoToken),
        ] {
            assert_eq!(token_of(body.as_bytes()).expect_err("no token"), refusal, "{body}");
        }
        let other = token_of(br#"{"error":"CANARY"}"#).expect_err("no token");
        assert_eq!(other.to_string(), "an error that OAuth does not list");
        assert!(TokenRefusal::Error("invalid_client").hint().is_some_and(|hint| hint.contains("kid")));
    }
}
