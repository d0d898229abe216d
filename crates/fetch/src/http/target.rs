use std::fmt;

use reqwest::Url;
use secrecy::SecretString;

use super::HttpError;
use crate::manifest::percent_decoded;
use crate::shown::shown;

/// A URL that a user named. What is secret goes to its scheme, host and port, and to no other.
#[derive(Clone)]
pub(super) struct Target {
    /// Without user and fragment.
    pub(super) url: Url,
    /// The user that stood in the URL.
    pub(super) user: Option<(String, SecretString)>,
    allow_http: bool,
}

impl Target {
    pub(super) fn parse(url: &str, allow_http: bool) -> Result<Self, HttpError> {
        let mut url = Url::parse(url).map_err(|error| no_url(&error))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(HttpError::BadUrl { reason: "its scheme is another".to_owned() });
        }
        let user = user_of(&url);
        // Neither can fail where there is a host, and URLs of these schemes have one.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        if !allow_http && !is_safe(&url) {
            return Err(HttpError::NotEncrypted { url: shown(url.as_str()) });
        }
        Ok(Self { url, user, allow_http })
    }

    /// Whether secrets may go there.
    pub(super) fn is_home(&self, url: &Url) -> bool {
        self.url.origin() == url.origin()
    }

    /// Where a redirect from `url` leads.
    pub(super) fn redirect(&self, url: &Url, location: &str) -> Result<Url, HttpError> {
        let bad = |to: String, reason| HttpError::BadRedirect { url: shown(url.as_str()), to, reason };
        let mut to = url.join(location).map_err(|_| bad("nowhere".to_owned(), "which is no URL"))?;
        if !matches!(to.scheme(), "http" | "https") {
            return Err(bad(format!("{}:", to.scheme()), "which is not HTTP"));
        }
        let _ = to.set_username("");
        let _ = to.set_password(None);
        to.set_fragment(None);
        let downgrade = url.scheme() == "https" && to.scheme() == "http";
        if !self.allow_http && (downgrade || !is_safe(&to)) {
            return Err(bad(shown(to.as_str()), "which is not encrypted"));
        }
        Ok(to)
    }
}

/// Why a text is no URL, without the text.
pub(super) fn no_url(error: &impl fmt::Display) -> HttpError {
    HttpError::BadUrl { reason: error.to_string() }
}

fn user_of(url: &Url) -> Option<(String, SecretString)> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let password = percent_decoded(url.password().unwrap_or_default());
    Some((percent_decoded(url.username()), password.into()))
}

/// Whether nobody on the way can read along: it is encrypted, or does not leave this machine.
fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || url.host_str().is_some_and(is_loopback)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn http_is_for_this_machine_unless_allowed() {
        for url in ["https://host/a", "http://127.0.0.1:8/a", "http://localhost/a", "http://[::1]/a"] {
            assert!(Target::parse(url, false).is_ok(), "{url}");
        }
        for url in ["http://host/a", "http://localhost.host/a", "http://128.0.0.1/", "http://127.0.0.1.host/"]
        {
            let refused = Target::parse(url, false).err();
            assert!(matches!(refused, Some(HttpError::NotEncrypted { .. })), "{url}: {refused:?}");
            assert!(Target::parse(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn other_schemes_and_no_urls_are_refused_without_being_shown() {
        for url in ["ftp://host/CANARY", "https://user:CANARY/x@host/", "CANARY", "file:///CANARY"] {
            let refused = Target::parse(url, true).err().expect("refused");
            assert!(matches!(refused, HttpError::BadUrl { .. }), "{url}");
            assert!(!format!("{refused} {refused:?}").contains("CANARY"), "{refused:?}");
        }
    }

    #[test]
    fn a_user_is_taken_out_of_the_url() {
        let target = Target::parse("https://us%20er:p%40ss@host/a?q#f", false).expect("a URL");
        assert_eq!(target.url.as_str(), "https://host/a?q");
        let (user, password) = target.user.expect("a user");
        assert_eq!((user.as_str(), password.expose_secret()), ("us er", "p@ss"));
    }

    #[test]
    fn home_is_scheme_host_and_port() {
        let target = Target::parse("https://host/a", false).expect("a URL");
        for (url, home) in [
            ("https://host:443/b", true),
            ("https://HOST/b", true),
            ("https://host:444/b", false),
            ("http://host/a", false),
            ("https://sub.host/a", false),
        ] {
            assert_eq!(target.is_home(&Url::parse(url).expect("a URL")), home, "{url}");
        }
    }

    #[test]
    fn redirects_stay_encrypted() {
        let target = Target::parse("https://host/a/b", false).expect("a URL");
        let to = |location| target.redirect(&target.url, location).map(String::from);
        assert_eq!(to("../c?d").expect("relative"), "https://host/c?d");
        assert_eq!(to("https://u:p@other/c#f").expect("absolute"), "https://other/c");
        for location in ["http://host/", "http://127.0.0.1/", "file:///etc/passwd", "https://:0:0/"] {
            assert!(matches!(to(location), Err(HttpError::BadRedirect { .. })), "{location}");
        }
    }
}
