//! What can be seen of an ID token before it is sent. Its signature is Fasten's to check.

use std::fmt;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhirline_fetch::SecretString;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use url::Url;

use super::IdentityProvider;
use crate::Mode;

/// An ID token of an identity provider: never shown, and wiped from memory when it is dropped.
#[derive(Clone)]
pub struct IdToken(SecretString);

/// What a token must be for Fasten to take it.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// The provider that is named in the request.
    pub idp: IdentityProvider,
    /// The provider's issuer, if it is configured: no list of them is published.
    pub issuer: Option<String>,
    /// The organization's id in TEFCA (HCID), for which the token must be made.
    pub hcid: String,
    /// The mode of the request.
    pub mode: Mode,
}

/// Why Fasten would refuse a token. Nothing of the token is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenFault {
    /// It is not three parts of base64 with a JSON object in the middle.
    #[error("the ID token is no JSON Web Token")]
    NotJwt,
    /// Its `iss` is not the one that is configured for the provider, or is that of another provider.
    #[error("the ID token is not of the provider that is named in the request")]
    Issuer,
    /// Its `aud` does not hold the HCID.
    #[error("the ID token is made for another audience than the configured HCID")]
    Audience,
    /// Its `exp` is over, or missing.
    #[error("the ID token has expired, or does not say when it does")]
    Expired,
}

/// What may be wrong with a token, and cannot be known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdTokenWarning {
    /// In test mode its e-mail is at a domain where real people may be.
    MaybeNotSynthetic,
    /// Its issuer is at no domain that is known for the provider.
    UnknownIssuer,
}

impl fmt::Display for IdTokenWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaybeNotSynthetic => {
                "test mode takes synthetic identities only, and the e-mail of this one is not at a domain reserved for examples"
            }
            Self::UnknownIssuer => "the token's issuer is at no domain that is known for this provider: configure its issuer",
        })
    }
}

impl IdToken {
    /// A token, with white space around it or not.
    #[must_use]
    pub fn new(token: SecretString) -> Self {
        let trimmed = token.expose_secret().trim();
        if trimmed.len() == token.expose_secret().len() { Self(token) } else { Self(trimmed.into()) }
    }

    pub(super) fn secret(&self) -> &SecretString {
        &self.0
    }

    /// Checks what Fasten will check, as far as it can be seen: that it is of that provider, for that audience, and not over.
    ///
    /// # Errors
    /// [`IdTokenFault`]: it would be refused.
    pub fn check(&self, rules: &TokenRules, now: SystemTime) -> Result<Vec<IdTokenWarning>, IdTokenFault> {
        let claims = claims(self.0.expose_secret()).ok_or(IdTokenFault::NotJwt)?;
        let issuer = check_issuer(&claims, rules)?;
        if !is_for(&claims, &rules.hcid) {
            return Err(IdTokenFault::Audience);
        }
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let ends = claims.get("exp").and_then(Value::as_f64).ok_or(IdTokenFault::Expired)?;
        if ends <= now as f64 {
            return Err(IdTokenFault::Expired);
        }
        let doubtful = rules.mode == Mode::Test && !has_example_email(&claims);
        Ok(issuer.into_iter().chain(doubtful.then_some(IdTokenWarning::MaybeNotSynthetic)).collect())
    }
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdToken")
    }
}

fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next().filter(|part| !part.is_empty())?);
    if parts.next().is_some() {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&claims).ok()
}

/// The providers' own domains. Issuers are not published by Fasten: this only tells one provider from the others.
fn domain_of(idp: IdentityProvider) -> &'static str {
    match idp {
        IdentityProvider::Clear => "clearme.com",
        IdentityProvider::IdMe => "id.me",
        IdentityProvider::Persona => "withpersona.com",
    }
}

fn check_issuer(
    claims: &Map<String, Value>,
    rules: &TokenRules,
) -> Result<Option<IdTokenWarning>, IdTokenFault> {
    let issuer = claims.get("iss").and_then(Value::as_str).ok_or(IdTokenFault::Issuer)?;
    if let Some(wanted) = &rules.issuer {
        return if issuer == wanted { Ok(None) } else { Err(IdTokenFault::Issuer) };
    }
    let url = Url::parse(issuer).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or(issuer);
    let of = |idp: &IdentityProvider| is_within(host, domain_of(*idp));
    match IdentityProvider::ALL.iter().find(|idp| of(idp)) {
        Some(idp) if *idp == rules.idp => Ok(None),
        Some(_) => Err(IdTokenFault::Issuer),
        None => Ok(Some(IdTokenWarning::UnknownIssuer)),
    }
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_for(claims: &Map<String, Value>, hcid: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(audience)) => audience == hcid,
        Some(Value::Array(all)) => all.iter().any(|audience| audience == hcid),
        _ => false,
    }
}

/// Whether there is no e-mail, or it is at a domain of RFC 2606 or RFC 6761, where nobody lives.
fn has_example_email(claims: &Map<String, Value>) -> bool {
    const RESERVED: [&str; 7] =
        ["example.com", "example.net", "example.org", "example", "test", "invalid", "localhost"];
    let Some(email) = claims.get("email").and_then(Value::as_str) else { return true };
    let domain = email.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    RESERVED.iter().any(|reserved| is_within(&domain, reserved))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: u64 = 1_786_000_000;

    fn token(claims: &str) -> IdToken {
        IdToken::new(format!(" h.{}.s\n", URL_SAFE_NO_PAD.encode(claims)).into())
    }

    fn checked(claims: &str, mode: Mode, issuer: Option<&str>) -> Result<Vec<IdTokenWarning>, IdTokenFault> {
        let rules = TokenRules {
            idp: IdentityProvider::IdMe,
            issuer: issuer.map(str::to_owned),
            hcid: "urn:oid:1.2.3".to_owned(),
            mode,
        };
        token(claims).check(&rules, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn of(iss: &str, aud: &str, exp: u64, email: &str) -> String {
        format!(r#"{{"iss":"{iss}","aud":{aud},"exp":{exp},"email":"{email}"}}"#)
    }

    const AUD: &str = r#""urn:oid:1.2.3""#;
    const ISS: &str = "https://api.id.me/oidc";

    #[test]
    fn a_token_that_fits() {
        for aud in [AUD, r#"["other","urn:oid:1.2.3"]"#] {
            let claims = of(ISS, aud, NOW + 1, "a@example.com");
            assert_eq!(checked(&claims, Mode::Test, None), Ok(Vec::new()), "{aud}");
            assert_eq!(checked(&claims, Mode::Test, Some(ISS)), Ok(Vec::new()));
        }
    }

    #[test]
    fn what_would_be_refused() {
        for (claims, issuer, fault) in [
            ("[]".to_owned(), None, IdTokenFault::NotJwt),
            (of("https://verified.clearme.com", AUD, NOW + 1, ""), None, IdTokenFault::Issuer),
            (of(ISS, AUD, NOW + 1, ""), Some("https://api.id.me/other"), IdTokenFault::Issuer),
            (of(ISS, r#""other""#, NOW + 1, ""), None, IdTokenFault::Audience),
            (of(ISS, "17", NOW + 1, ""), None, IdTokenFault::Audience),
            (of(ISS, AUD, NOW, ""), None, IdTokenFault::Expired),
            (format!(r#"{{"iss":"{ISS}","aud":{AUD}}}"#), None, IdTokenFault::Expired),
            (format!(r#"{{"aud":{AUD},"exp":{}}}"#, NOW + 1), None, IdTokenFault::Issuer),
        ] {
            assert_eq!(checked(&claims, Mode::Live, issuer), Err(fault), "{claims}");
        }
        let rules =
            TokenRules { idp: IdentityProvider::Clear, issuer: None, hcid: String::new(), mode: Mode::Live };
        for text in ["", "a.b", "a.b.c.d", "a.%.c", "a.e30."] {
            assert_eq!(
                IdToken::new(text.into()).check(&rules, SystemTime::now()),
                Err(IdTokenFault::NotJwt),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_known_is_a_warning() {
        let claims = of("https://elsewhere.host", AUD, NOW + 1, "someone@hospital.com");
        let both = vec![IdTokenWarning::UnknownIssuer, IdTokenWarning::MaybeNotSynthetic];
        assert_eq!(checked(&claims, Mode::Test, None), Ok(both));
        assert_eq!(checked(&claims, Mode::Live, None), Ok(vec![IdTokenWarning::UnknownIssuer]));
        let near = of("https://notid.me", AUD, NOW + 1, "a@notexample.com");
        assert_eq!(checked(&near, Mode::Test, None).map(|warnings| warnings.len()), Ok(2));
    }
}
