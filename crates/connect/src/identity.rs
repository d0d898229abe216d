//! Bring Your Own Identity: the pushed authorization request (RFC 9126) that hands a patient's proven identity to Fasten
//! (<https://docs.connect.fastenhealth.com/identity-proofing/bring-your-own-identity>).

use std::fmt;
use std::time::{Duration, SystemTime};

use fhirline_fetch::{HttpClient, HttpOptions, Request, SecretString};
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::form_urlencoded;

use crate::client::base::ApiBase;
use crate::{ApiKeys, ConnectError, Mode};

pub use refusal::{ParError, ParRefusal};
pub use token::{IdToken, IdTokenFault, IdTokenWarning, TokenRules};

mod refusal;
mod token;

const SCOPE: &str = "openid profile email";
const FORM: &str = "application/x-www-form-urlencoded";
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// How long a request lives when the server does not say: what is documented.
const USUAL_LIFE: Duration = Duration::from_secs(90);
const STEP: &str = "pushing the authorization request";

/// Who proved the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityProvider {
    /// CLEAR: `clear_csp`
    Clear,
    /// ID.me: `idme_csp`
    IdMe,
    /// Persona: `persona_csp`
    Persona,
}

impl IdentityProvider {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Clear, Self::IdMe, Self::Persona];

    /// The name in the request's `idp`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear_csp",
            Self::IdMe => "idme_csp",
            Self::Persona => "persona_csp",
        }
    }
}

/// Where identities are handed to.
#[derive(Clone, Debug)]
pub struct IdentityOptions {
    /// The identity server; `https://identity.fastenhealth.com` unless set.
    pub base_url: String,
    /// Retries and other bounds. Its credentials are not used.
    pub http: HttpOptions,
}

impl Default for IdentityOptions {
    fn default() -> Self {
        Self { base_url: "https://identity.fastenhealth.com".to_owned(), http: HttpOptions::default() }
    }
}

/// The identity server, as one organization speaks to it in one mode.
#[derive(Clone)]
pub struct Identity {
    keys: ApiKeys,
    base: ApiBase,
    http: HttpClient,
}

/// What is pushed: one of the two forms that are published. Ask Fasten which of them is served.
#[derive(Clone)]
pub struct PushedRequest {
    idp: Option<IdentityProvider>,
    pairs: Vec<(&'static str, SecretString)>,
}

impl PushedRequest {
    /// The form that carries the provider's ID token itself.
    #[must_use]
    pub fn with_id_token(idp: IdentityProvider, id_token: &IdToken) -> Self {
        let pairs = vec![
            ("scope", SCOPE.into()),
            ("response_type", "code".into()),
            ("idp", idp.name().into()),
            ("idp_id_token", id_token.secret().clone()),
        ];
        Self { idp: Some(idp), pairs }
    }

    /// The later form, which names a patient; Fasten then fetches the ID token from the organization by a token exchange.
    /// `redirect_uri` must be one that is registered, `patient_id` a stable id that says nothing.
    #[must_use]
    pub fn with_patient_id(patient_id: &str, redirect_uri: &str) -> Self {
        let pairs = vec![
            ("scope", SCOPE.into()),
            ("response_type", "code".into()),
            ("prompt", "consent".into()),
            ("redirect_uri", redirect_uri.into()),
            ("patient_id", patient_id.into()),
        ];
        Self { idp: None, pairs }
    }

    fn form(&self) -> SecretString {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(self.pairs.iter().map(|(name, value)| (name, value.expose_secret())));
        form.finish().into()
    }
}

/// Nothing but the provider.
impl fmt::Debug for PushedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushedRequest").field("idp", &self.idp).finish_non_exhaustive()
    }
}

/// What an authorization request was pushed to: for one use, within 90 s, by the page that connects the patient.
pub struct RequestUri {
    uri: SecretString,
    expires_at: SystemTime,
}

impl RequestUri {
    /// When it ends.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// The URI, which is used up with it.
    ///
    /// # Errors
    /// [`ParError::Expired`], if its time is over: the server would refuse it.
    pub fn take(self, now: SystemTime) -> Result<SecretString, ParError> {
        if now < self.expires_at { Ok(self.uri) } else { Err(ParError::Expired) }
    }
}

impl fmt::Debug for RequestUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestUri").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What is kept of an attempt, for support: never the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParAttempt {
    /// When.
    pub at: SystemTime,
    /// In which mode.
    pub mode: Mode,
    /// Who proved the identity, if the request says so.
    pub idp: Option<IdentityProvider>,
    /// The error's code, such as `invalid_grant`, or a word for what else went wrong; `None` if it went well.
    pub error_code: Option<String>,
    /// When what was given ends.
    pub expires_at: Option<SystemTime>,
}

impl Identity {
    /// The server, with these keys. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ConnectError::BadBase`], and [`ConnectError::Http`] if the network cannot be made ready.
    pub fn new(keys: ApiKeys, options: &IdentityOptions) -> Result<Self, ConnectError> {
        let base = ApiBase::unversioned(&options.base_url)?;
        let http = HttpClient::new(options.http.clone().with_credentials(keys.credentials()));
        let http = http.map_err(|source| ConnectError::Http { step: "the set-up", source })?;
        Ok(Self { keys, base, http })
    }

    /// Pushes a request, once: nothing tells whether one that got no answer arrived. Blocks.
    ///
    /// # Errors
    /// [`ParError`]; what is to be kept of the attempt comes in any case.
    pub fn push(&self, request: &PushedRequest) -> (ParAttempt, Result<RequestUri, ParError>) {
        let at = SystemTime::now();
        let pushed = self.pushed(request, at);
        let attempt = ParAttempt {
            at,
            mode: self.keys.mode(),
            idp: request.idp,
            error_code: pushed.as_ref().err().map(ParError::code),
            expires_at: pushed.as_ref().ok().map(RequestUri::expires_at),
        };
        (attempt, pushed)
    }

    fn pushed(&self, request: &PushedRequest, at: SystemTime) -> Result<RequestUri, ParError> {
        let url = self.base.below(["oauth2", "par"]);
        let post = Request::post(url)
            .with_header("content-type", FORM)
            .with_header("accept", "application/json")
            .with_body(request.form().expose_secret().to_owned())
            .max_bytes(MAX_ANSWER_BYTES)
            .once();
        let answer = self.http.ask(&post).map_err(|source| ConnectError::Http { step: STEP, source })?;
        if !matches!(answer.status(), 200 | 201) {
            return Err(ParError::of(answer.status(), answer.body()));
        }
        let bad = |reason| ConnectError::BadAnswer { step: STEP, reason };
        let reply: Reply = serde_json::from_slice(answer.body()).map_err(|_| bad("it has no request_uri"))?;
        let life = reply.expires_in.map_or(USUAL_LIFE, Duration::from_secs);
        let expires_at = at.checked_add(life).ok_or_else(|| bad("its expires_in is beyond all clocks"))?;
        Ok(RequestUri { uri: reply.request_uri.into(), expires_at })
    }
}

#[derive(Deserialize)]
struct Reply {
    request_uri: String,
    expires_in: Option<u64>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("keys", &self.keys).field("base", &self.base).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_the_parameters_that_are_published() {
        let token = IdToken::new("h.CANARY.s+/=".into());
        let first = PushedRequest::with_id_token(IdentityProvider::IdMe, &token);
        assert_eq!(
            first.form().expose_secret(),
            "scope=openid+profile+email&response_type=code&idp=idme_csp&idp_id_token=h.CANARY.s%2B%2F%3D"
        );
        let second = PushedRequest::with_patient_id("CANARY", "https://us/back?a=b");
        assert_eq!(
            second.form().expose_secret(),
            "scope=openid+profile+email&response_type=code&prompt=consent&redirect_uri=https%3A%2F%2Fus%2Fback%3Fa%3Db&\
             patient_id=CANARY"
        );
        assert!(!format!("{first:?} {second:?} {token:?}").contains("CANARY"));
    }

    #[test]
    fn what_has_ended_is_not_given_out() {
        let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(90);
        let given = || RequestUri { uri: "urn:CANARY".into(), expires_at: ends };
        assert!(!format!("{:?}", given()).contains("CANARY"));
        let just_before = given().take(ends - Duration::from_millis(1)).expect("still good");
        assert_eq!(just_before.expose_secret(), "urn:CANARY");
        assert!(matches!(given().take(ends), Err(ParError::Expired)));
    }
}
