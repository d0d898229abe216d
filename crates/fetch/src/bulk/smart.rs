use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::assertion::assertion;
use super::jwks::SigningKey;
use super::request::below;
use super::token::{Token, token_of};
use super::{BulkError, KeyFile, SigningAlgorithm};
use crate::shown::shown;
use crate::{Credentials, HttpClient, HttpError, Request, TokenSource};

/// Most bytes of a SMART configuration or of a token server's answer.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// The scopes of all data, of version 2 and 1 of SMART. The first that the server knows is asked for.
const SCOPES: [&str; 2] = ["system/*.rs", "system/*.read"];
const ALGORITHMS: [SigningAlgorithm; 2] = [SigningAlgorithm::Es384, SigningAlgorithm::Rs384];
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// As whom we speak to a server that wants SMART Backend Services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmartOptions {
    /// The id under which the client is registered.
    pub client_id: String,
    /// Where its private key is.
    pub key: KeyFile,
    /// The scopes to ask for. `None`: `system/*.rs`, or `system/*.read` where that is the one the server knows.
    pub scope: Option<String>,
    /// The token server. `None`: the one in `[base]/.well-known/smart-configuration`, which otherwise is not asked for.
    pub token_url: Option<String>,
    /// How to sign. `None`: by the first key in the file that the server takes.
    pub algorithm: Option<SigningAlgorithm>,
}

/// Access tokens of SMART Backend Services, renewed before they end and when a server refuses one.
///
/// Clones share the token. One thread renews it while the others wait. Neither key nor token is ever shown.
#[derive(Clone)]
pub struct SmartTokens(Arc<Shared>);

struct Shared {
    http: HttpClient,
    client_id: String,
    key: SigningKey,
    token_url: String,
    scope: String,
    held: Mutex<Option<Held>>,
}

struct Held {
    token: Token,
    since: Instant,
}

impl SmartTokens {
    /// Reads the key and asks the FHIR server at `base` where its tokens are. `http` says how to ask; its credentials and
    /// headers are not sent to the token server.
    ///
    /// # Errors
    /// [`BulkError::Key`], [`BulkError::Http`], [`BulkError::Refused`], [`BulkError::NoTokenEndpoint`],
    /// [`BulkError::NoAlgorithm`].
    pub fn discover(http: &HttpClient, base: &Url, options: &SmartOptions) -> Result<Self, BulkError> {
        let http = http.without_secrets();
        let configuration = match &options.token_url {
            Some(_) => Configuration::default(),
            None => configuration(&http, base)?,
        };
        let offered = configuration.token_endpoint_auth_signing_alg_values_supported;
        let wanted = wanted(options.algorithm, offered.as_deref());
        if wanted.is_empty() {
            return Err(BulkError::NoAlgorithm { url: shown(configuration_url(base).as_str()) });
        }
        let key = SigningKey::load(&options.key, &wanted)?;
        let token_url = options.token_url.clone().or(configuration.token_endpoint);
        let token_url = token_url.filter(|url| Url::parse(url).is_ok());
        let no_endpoint = || BulkError::NoTokenEndpoint { url: shown(configuration_url(base).as_str()) };
        let scope = options.scope.clone().unwrap_or_else(|| usual_scope(&configuration.scopes_supported));
        Ok(Self(Arc::new(Shared {
            http,
            client_id: options.client_id.clone(),
            key,
            token_url: token_url.ok_or_else(no_endpoint)?,
            scope,
            held: Mutex::new(None),
        })))
    }

    /// A token that is good for some time yet. `refused` is one that a server has just answered 401 to: that one is not given
    /// again.
    ///
    /// # Errors
    /// [`BulkError::Http`], [`BulkError::NoToken`], [`BulkError::NoRandomness`].
    pub fn bearer(&self, refused: Option<&SecretString>) -> Result<SecretString, BulkError> {
        // Held while the token server is asked, so that it is asked once.
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_ref().filter(|held| held.is_good(refused)) {
            return Ok(held.token.bearer.clone());
        }
        *held = None;
        let since = Instant::now();
        let token = new_token(&self.0)?;
        let bearer = token.bearer.clone();
        *held = Some(Held { token, since });
        Ok(bearer)
    }

    /// These tokens as credentials of an [`HttpClient`].
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        let tokens = self.clone();
        Credentials::Tokens(TokenSource::new(move |refused| {
            tokens.bearer(refused).map_err(|error| tokens.failed(&error))
        }))
    }

    fn failed(&self, error: &BulkError) -> HttpError {
        if let BulkError::Http { source, .. } = error {
            return source.clone();
        }
        let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        HttpError::NoCredentials { url: shown(&self.0.token_url), reason: format!("{error}{hint}") }
    }
}

impl fmt::Debug for SmartTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmartTokens")
            .field("key", &self.0.key)
            .field("token_url", &shown(&self.0.token_url))
            .field("scope", &self.0.scope)
            .finish_non_exhaustive()
    }
}

impl Held {
    fn is_good(&self, refused: Option<&SecretString>) -> bool {
        let is_refused =
            refused.is_some_and(|refused| refused.expose_secret() == self.token.bearer.expose_secret());
        !is_refused && self.since.elapsed() < self.token.useful_life()
    }
}

fn new_token(shared: &Shared) -> Result<Token, BulkError> {
    let url = &shared.token_url;
    let assertion = assertion(&shared.key, &shared.client_id, url, SystemTime::now());
    let assertion = assertion.ok_or(BulkError::NoRandomness)?;
    let request = Request::post(url.clone())
        .with_header("accept", "application/json")
        .with_header("content-type", "application/x-www-form-urlencoded")
        .max_bytes(MAX_ANSWER_BYTES)
        .with_body(form(&shared.scope, assertion.expose_secret()));
    let failed = |source| BulkError::Http { step: "asking for an access token", source };
    let answer = shared.http.ask(&request).map_err(failed)?;
    let token = token_of(answer.body());
    token.map_err(|refusal| BulkError::NoToken { url: shown(url), status: answer.status(), refusal })
}

fn form(scope: &str, assertion: &str) -> String {
    let pairs = [
        ("grant_type", "client_credentials"),
        ("scope", scope),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ];
    // A query is coded like a form.
    let url = Url::parse_with_params("https://form/", pairs);
    url.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}

/// What a server says of its tokens; unknown keys are passed over.
#[derive(Default, Deserialize)]
struct Configuration {
    token_endpoint: Option<String>,
    token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default)]
    scopes_supported: Option<Vec<String>>,
}

fn configuration_url(base: &Url) -> Url {
    below(base, [".well-known", "smart-configuration"])
}

fn configuration(http: &HttpClient, base: &Url) -> Result<Configuration, BulkError> {
    const STEP: &str = "asking for the SMART configuration";
    let url = configuration_url(base);
    let request =
        Request::get(url.as_str()).with_header("accept", "application/json").max_bytes(MAX_ANSWER_BYTES);
    let answer = http.ask(&request).map_err(|source| BulkError::Http { step: STEP, source })?;
    if answer.status() != 200 {
        return Err(BulkError::Refused {
            step: STEP,
            url: shown(url.as_str()),
            status: answer.status(),
            issues: Vec::new(),
            token_withheld_from: None,
        });
    }
    serde_json::from_slice(answer.body()).map_err(|_| BulkError::NoTokenEndpoint { url: shown(url.as_str()) })
}

/// The algorithms that both sides want; all of ours where the server does not say.
fn wanted(ours: Option<SigningAlgorithm>, offered: Option<&[String]>) -> Vec<SigningAlgorithm> {
    let is_wanted = |algorithm: &SigningAlgorithm| {
        ours.is_none_or(|ours| ours == *algorithm)
            && offered.is_none_or(|offered| offered.iter().any(|offered| offered == algorithm.name()))
    };
    ALGORITHMS.into_iter().filter(is_wanted).collect()
}

fn usual_scope(supported: &Option<Vec<String>>) -> String {
    let supported = supported.as_deref().unwrap_or_default();
    let known = SCOPES.into_iter().find(|scope| supported.iter().any(|supported| supported == scope));
    known.unwrap_or(SCOPES[0]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_is_one_that_the_server_knows() {
        for (supported, scope) in [
            (None, "system/*.rs"),
            (Some(vec!["openid"]), "system/*.rs"),
            (Some(vec!["system/*.read"]), "system/*.read"),
            (Some(vec!["system/*.read", "system/*.rs"]), "system/*.rs"),
        ] {
            let supported = supported.map(|list| list.into_iter().map(str::to_owned).collect());
            assert_eq!(usual_scope(&supported), scope);
        }
    }

    #[test]
    fn algorithms_are_those_that_both_sides_have() {
        use SigningAlgorithm::{Es384, Rs384};
        let offered = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(wanted(None, None), [Es384, Rs384]);
        assert_eq!(wanted(None, Some(&offered(&["RS256", "RS384"]))), [Rs384]);
        assert_eq!(wanted(Some(Es384), Some(&offered(&["RS384"]))), []);
        assert_eq!(wanted(Some(Rs384), None), [Rs384]);
    }

    #[test]
    fn a_form_is_coded() {
        assert_eq!(
            form("system/*.rs a", "x.y-z_"),
            "grant_type=client_credentials&scope=system%2F*.rs+a&client_assertion_type=\
             urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=x.y-z_"
        );
    }
}
