use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;
use serde_json::json;

use super::jwks::SigningKey;

/// The standard allows five minutes; clocks differ.
const LIFE: Duration = Duration::from_secs(4 * 60);
/// Of the random id that no other assertion has.
const ID_BYTES: usize = 24;

/// The JWT by which a client of SMART Backend Services says who it is; `None` if there is no randomness.
pub(crate) fn assertion(
    key: &SigningKey,
    client_id: &str,
    token_url: &str,
    now: SystemTime,
) -> Option<SecretString> {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut header = json!({"alg": key.algorithm().name(), "typ": "JWT"});
    if let Some(kid) = &key.kid {
        header["kid"] = json!(kid);
    }
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "iat": seconds,
        "exp": seconds + LIFE.as_secs(),
        "jti": random_id()?,
    });
    let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())?);
    Some(SecretString::from(format!("{message}.{signature}")))
}

/// An id that nobody can guess and nobody had before.
pub(crate) fn random_id() -> Option<String> {
    let mut bytes = [0; ID_BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat() {
        let ids: HashSet<_> = (0..1000).map(|_| random_id().expect("randomness")).collect();
        assert_eq!(ids.len(), 1000);
    }
}
