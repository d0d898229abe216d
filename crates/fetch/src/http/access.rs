use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::target::Target;
use super::{Credentials, HttpError, TokenSource};
use crate::shown::shown;

/// The headers that go to the named scheme, host and port only.
pub(super) struct Access {
    pub(super) headers: HeaderMap,
    token: Option<(TokenSource, SecretString)>,
}

impl Access {
    /// What is sent to the target beside `extra`, the headers that the user adds.
    pub(super) async fn to(
        target: &Target,
        credentials: &Credentials,
        extra: &HeaderMap,
    ) -> Result<Self, HttpError> {
        let mut access = Self { headers: HeaderMap::new(), token: None };
        match credentials {
            Credentials::Bearer(token) => access.put(target, &bearer(token))?,
            Credentials::Tokens(source) => {
                let token = ask(source, None).await?;
                access.put(target, &bearer(&token))?;
                access.token = Some((source.clone(), token));
            }
            Credentials::Basic { user, password } => access.put(target, &basic(user, password))?,
            Credentials::None | Credentials::Netrc(_) => {
                if let Some((user, password)) = user_of(target, credentials) {
                    access.put(target, &basic(user, password))?;
                }
            }
        }
        access.headers.extend(extra.clone());
        Ok(access)
    }

    /// The same with another token, after the server refused this one; `None` if there is no other.
    pub(super) async fn renewed(mut self, target: &Target) -> Result<Option<Self>, HttpError> {
        let Some((source, refused)) = self.token.take() else { return Ok(None) };
        let token = ask(&source, Some(refused.clone())).await?;
        if token.expose_secret() == refused.expose_secret() {
            return Ok(None);
        }
        self.put(target, &bearer(&token))?;
        Ok(Some(self))
    }

    fn put(&mut self, target: &Target, authorization: &str) -> Result<(), HttpError> {
        let value = sensitive(authorization).ok_or_else(|| HttpError::NoCredentials {
            url: shown(target.url.as_str()),
            reason: "they hold characters that cannot be sent".to_owned(),
        })?;
        self.headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}

/// The user of the URL itself, or the one that `.netrc` has for its host.
fn user_of<'a>(target: &'a Target, credentials: &'a Credentials) -> Option<(&'a str, &'a SecretString)> {
    if let Some((user, password)) = &target.user {
        return Some((user, password));
    }
    let Credentials::Netrc(netrc) = credentials else { return None };
    netrc.user_of(target.url.host_str()?)
}

/// Asks on a thread that may block.
async fn ask(source: &TokenSource, refused: Option<SecretString>) -> Result<SecretString, HttpError> {
    let source = source.clone();
    let asked = tokio::task::spawn_blocking(move || source.token(refused.as_ref())).await;
    asked.unwrap_or_else(|_| {
        Err(HttpError::NoCredentials {
            url: "the server".to_owned(),
            reason: "the source of tokens failed".to_owned(),
        })
    })
}

fn bearer(token: &SecretString) -> String {
    format!("Bearer {}", token.expose_secret())
}

fn basic(user: &str, password: &SecretString) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose_secret())))
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The headers that a user adds, as they are sent.
pub(super) fn extra_headers(headers: &[(String, SecretString)]) -> Result<HeaderMap, HttpError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let bad = |reason| HttpError::BadHeader { name: name.escape_debug().to_string(), reason };
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("its name is no header name"))?;
        let value = sensitive(value.expose_secret())
            .ok_or_else(|| bad("its value holds line breaks or control characters"))?;
        map.append(parsed, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Netrc;

    fn authorization(url: &str, credentials: &Credentials) -> Option<String> {
        let target = Target::parse(url, false).expect("a URL");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let access = runtime.block_on(Access::to(&target, credentials, &HeaderMap::new())).expect("sendable");
        let value = access.headers.get(AUTHORIZATION)?;
        assert!(value.is_sensitive());
        Some(value.to_str().expect("text").to_owned())
    }

    #[test]
    fn what_was_given_wins_over_the_url_and_the_url_over_netrc() {
        let netrc = Credentials::Netrc(Netrc::parse("machine host login n password n"));
        let basic = |text: &str| Some(format!("Basic {}", STANDARD.encode(text)));
        assert_eq!(authorization("https://host/", &Credentials::None), None);
        assert_eq!(authorization("https://u:p@host/", &Credentials::None), basic("u:p"));
        assert_eq!(authorization("https://u:p@host/", &netrc), basic("u:p"));
        assert_eq!(authorization("https://host/", &netrc), basic("n:n"));
        assert_eq!(authorization("https://other/", &netrc), None);
        let bearer = Credentials::Bearer("t".into());
        assert_eq!(authorization("https://u:p@host/", &bearer), Some("Bearer t".to_owned()));
    }

    #[test]
    fn headers_that_cannot_be_sent_are_named_without_their_value() {
        for (name, value) in [("x y", "CANARY"), ("x", "CANARY\n")] {
            let refused = extra_headers(&[(name.to_owned(), value.into())]).expect_err("refused");
            assert!(refused.to_string().starts_with(&format!("the header {name} ")), "{refused}");
            assert!(!format!("{refused:?}{refused}").contains("CANARY"));
        }
    }
}
