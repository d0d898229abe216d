//! The signatures of Standard Webhooks 1.0.0 (<https://github.com/standard-webhooks/standard-webhooks>).

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use ring::hmac;

/// What a secret begins with when it is shown.
const SECRET_PREFIX: &str = "whsec_";
/// The version of signatures by HMAC-SHA256.
const VERSION: &str = "v1";
/// How old or how far ahead a delivery may be: what the reference libraries allow.
const TOLERANCE: Duration = Duration::from_secs(300);
/// Most entries of a signature header that are looked at.
const MAX_SIGNATURES: usize = 32;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The secret of one webhook endpoint. Never shown.
#[derive(Clone)]
pub struct SigningSecret(hmac::Key);

/// Why a text is no signing secret; it is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningSecretError {
    /// It is no base64.
    #[error("a signing secret is whsec_ and base64, and this one is not")]
    NotBase64,
    /// There is nothing in it.
    #[error("the signing secret is empty")]
    Empty,
}

impl SigningSecret {
    /// Reads a secret as it is shown: `whsec_` and base64, or the base64 alone.
    ///
    /// # Errors
    /// [`SigningSecretError`].
    pub fn parse(text: &str) -> Result<Self, SigningSecretError> {
        let text = text.trim();
        let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
        let key = BASE64.decode(encoded).map_err(|_| SigningSecretError::NotBase64)?;
        if key.is_empty() {
            return Err(SigningSecretError::Empty);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// The signature header of a delivery, whose timestamp is in seconds since 1970.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(signed_head(id, &timestamp.to_string()).as_bytes());
        context.update(body);
        format!("{VERSION},{}", BASE64.encode(context.sign()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

/// What stands before the body in what is signed.
fn signed_head(id: &str, timestamp: &str) -> String {
    format!("{id}.{timestamp}.")
}

/// The three headers of a delivery; their names are compared without case.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignatureHeaders<'h> {
    /// `webhook-id`.
    pub id: Option<&'h str>,
    /// `webhook-timestamp`: seconds since 1970.
    pub timestamp: Option<&'h str>,
    /// `webhook-signature`: one or more, apart by spaces.
    pub signature: Option<&'h str>,
}

/// Why a delivery is not taken for the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// One of the three headers is not there.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// The timestamp is no number of seconds.
    #[error("the timestamp is not a number of seconds")]
    BadTimestamp,
    /// It was signed too long ago.
    #[error("the signature is older than {} s", TOLERANCE.as_secs())]
    TooOld,
    /// It was signed in the future.
    #[error("the signature is more than {} s ahead of this machine's clock", TOLERANCE.as_secs())]
    TooNew,
    /// None of the signatures is one of these bytes by one of the secrets.
    #[error("no signature fits")]
    Mismatch,
}

impl SignatureError {
    /// What to look at, if this is not a forgery.
    #[must_use]
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::TooOld | Self::TooNew => Some("check this machine's clock"),
            Self::Mismatch => Some(
                "check that the signing secret is the one of this endpoint: test and live have different ones; and that nothing \
                 between the sender and here writes the body anew",
            ),
            Self::Missing(_) => Some("a proxy may drop headers that it does not know"),
            Self::BadTimestamp => None,
        }
    }
}

/// Verifies deliveries of one endpoint. It may have several secrets, while one takes the place of another.
#[derive(Clone, Debug)]
pub struct Verifier {
    secrets: Vec<SigningSecret>,
}

impl Verifier {
    /// With these secrets, any of which will do. Without any, nothing is verified, and everything refused.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = SigningSecret>) -> Self {
        Self { secrets: secrets.into_iter().collect() }
    }

    /// Whether these are the bytes that were sent, at most 300 s ago (or ahead). `body` is what came, untouched.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(
        &self,
        headers: &SignatureHeaders<'_>,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), SignatureError> {
        self.verify_of_any_age(headers, body)?;
        let timestamp = headers.timestamp.ok_or(SignatureError::Missing("webhook-timestamp"))?;
        check_age(seconds_of(timestamp)?, now)
    }

    /// The same, however old it is: for deliveries that were stored, and are processed again on purpose.
    ///
    /// # Errors
    /// [`SignatureError`], but neither [`TooOld`](SignatureError::TooOld) nor [`TooNew`](SignatureError::TooNew).
    pub fn verify_of_any_age(
        &self,
        headers: &SignatureHeaders<'_>,
        body: &[u8],
    ) -> Result<(), SignatureError> {
        let id = headers.id.ok_or(SignatureError::Missing("webhook-id"))?;
        let timestamp = headers.timestamp.ok_or(SignatureError::Missing("webhook-timestamp"))?;
        let signature = headers.signature.ok_or(SignatureError::Missing("webhook-signature"))?;
        seconds_of(timestamp)?;
        let signed = [signed_head(id, timestamp).as_bytes(), body].concat();
        let fits = |tag: &Vec<u8>| {
            // In constant time for each of them.
            self.secrets.iter().any(|secret| hmac::verify(&secret.0, &signed, tag).is_ok())
        };
        if tags(signature).any(|tag| fits(&tag)) { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

/// The signatures of the version that we know; whatever else stands there is passed over.
fn tags(header: &str) -> impl Iterator<Item = Vec<u8>> {
    let entries = header.split(' ').filter(|entry| !entry.is_empty()).take(MAX_SIGNATURES);
    let known = entries.filter_map(|entry| entry.split_once(',').filter(|(version, _)| *version == VERSION));
    known.filter_map(|(_, encoded)| BASE64.decode(encoded).ok())
}

fn seconds_of(timestamp: &str) -> Result<u64, SignatureError> {
    // `parse` would take a sign.
    if !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignatureError::BadTimestamp);
    }
    timestamp.parse().map_err(|_| SignatureError::BadTimestamp)
}

fn check_age(timestamp: u64, now: SystemTime) -> Result<(), SignatureError> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now.saturating_sub(timestamp) > TOLERANCE.as_secs() {
        return Err(SignatureError::TooOld);
    }
    if timestamp.saturating_sub(now) > TOLERANCE.as_secs() {
        return Err(SignatureError::TooNew);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The vector of the standard's own libraries.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const TIMESTAMP: u64 = 1_649_367_553;
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn secret(text: &str) -> SigningSecret {
        SigningSecret::parse(text).expect("a secret")
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn verified(signature: &str, timestamp: &str, body: &[u8], now: u64) -> Result<(), SignatureError> {
        let headers =
            SignatureHeaders { id: Some(ID), timestamp: Some(timestamp), signature: Some(signature) };
        Verifier::new([secret(SECRET)]).verify(&headers, body, at(now))
    }

    #[test]
    fn the_published_vector() {
        assert_eq!(secret(SECRET).sign(ID, TIMESTAMP, BODY), SIGNATURE);
        assert_eq!(verified(SIGNATURE, "1649367553", BODY, TIMESTAMP), Ok(()));
        let bare = SECRET.strip_prefix("whsec_").expect("a prefix");
        assert_eq!(secret(bare).sign(ID, TIMESTAMP, BODY), SIGNATURE);
    }

    #[test]
    fn any_of_several_signatures_and_secrets_will_do() {
        let other = secret("whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz");
        let old = other.sign(ID, TIMESTAMP, BODY);
        let several = format!("v1a,bm90aGluZw== v2,AAAA v1 v1,AAAA v1,% {old}  {SIGNATURE}");
        assert_eq!(verified(&several, "1649367553", BODY, TIMESTAMP), Ok(()));
        assert_eq!(verified(&old, "1649367553", BODY, TIMESTAMP), Err(SignatureError::Mismatch));
        let headers = SignatureHeaders { id: Some(ID), timestamp: Some("1649367553"), signature: Some(&old) };
        let both = Verifier::new([secret(SECRET), other]);
        assert_eq!(both.verify(&headers, BODY, at(TIMESTAMP)), Ok(()));
        let none = Verifier::new([]);
        assert_eq!(none.verify(&headers, BODY, at(TIMESTAMP)), Err(SignatureError::Mismatch));
    }

    #[test]
    fn five_minutes_in_both_directions() {
        let of = |now| verified(SIGNATURE, "1649367553", BODY, now);
        assert_eq!((of(TIMESTAMP + 300), of(TIMESTAMP - 300)), (Ok(()), Ok(())));
        assert_eq!(of(TIMESTAMP + 301), Err(SignatureError::TooOld));
        assert_eq!(of(TIMESTAMP - 301), Err(SignatureError::TooNew));
        // What was not signed is no matter of age.
        assert_eq!(verified("v1,AAAA", "1649367553", BODY, 0), Err(SignatureError::Mismatch));
        let headers =
            SignatureHeaders { id: Some(ID), timestamp: Some("1649367553"), signature: Some(SIGNATURE) };
        assert_eq!(Verifier::new([secret(SECRET)]).verify_of_any_age(&headers, BODY), Ok(()));
    }

    #[test]
    fn each_header_is_needed() {
        let all =
            SignatureHeaders { id: Some(ID), timestamp: Some("1649367553"), signature: Some(SIGNATURE) };
        let verifier = Verifier::new([secret(SECRET)]);
        for (headers, name) in [
            (SignatureHeaders { id: None, ..all }, "webhook-id"),
            (SignatureHeaders { timestamp: None, ..all }, "webhook-timestamp"),
            (SignatureHeaders { signature: None, ..all }, "webhook-signature"),
        ] {
            assert_eq!(verifier.verify(&headers, BODY, at(TIMESTAMP)), Err(SignatureError::Missing(name)));
        }
        for timestamp in ["", "+1649367553", "1649367553.0", "99999999999999999999"] {
            let refused = verified(SIGNATURE, timestamp, BODY, TIMESTAMP);
            assert!(matches!(refused, Err(SignatureError::BadTimestamp)), "{timestamp}: {refused:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_shown() {
        assert_eq!(SigningSecret::parse("whsec_CAN ARY").err(), Some(SigningSecretError::NotBase64));
        assert_eq!(SigningSecret::parse("whsec_").err(), Some(SigningSecretError::Empty));
        assert_eq!(format!("{:?}", secret(SECRET)), "SigningSecret");
    }

    proptest! {
        /// Of everything that is signed no byte can be changed, nor moved from one part to the next.
        #[test]
        fn nothing_of_what_is_signed_can_be_changed(
            id in "[a-z0-9]{1,9}",
            timestamp in 0u64..4_000_000_000,
            body in prop::collection::vec(any::<u8>(), 1..80),
            place in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let signature = secret(SECRET).sign(&id, timestamp, &body);
            let written = timestamp.to_string();
            let of = |id: &str, timestamp: &str, body: &[u8]| {
                let headers =
                    SignatureHeaders { id: Some(id), timestamp: Some(timestamp), signature: Some(&signature) };
                Verifier::new([secret(SECRET)]).verify_of_any_age(&headers, body)
            };
            prop_assert_eq!(of(&id, &written, &body), Ok(()));
            let mut changed = body.clone();
            changed[place.index(body.len())] ^= flip;
            prop_assert_eq!(of(&id, &written, &changed), Err(SignatureError::Mismatch));
            prop_assert_eq!(of(&id, &(timestamp + 1).to_string(), &body), Err(SignatureError::Mismatch));
            prop_assert_eq!(of(&format!("{id}x"), &written, &body), Err(SignatureError::Mismatch));
        }
    }
}
