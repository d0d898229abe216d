use std::fmt;

use fhirline_fetch::shown;
use url::{Host, Url};

use crate::ConnectError;

/// The base of an API: to its scheme, host and port keys may be sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiBase(Url);

impl ApiBase {
    /// Reads a base, with or without the version at its end.
    pub(crate) fn parse(text: &str) -> Result<Self, ConnectError> {
        let mut base = Self::unversioned(text)?;
        if base.0.path_segments().and_then(|mut segments| segments.next_back()) != Some("v1") {
            base = Self(base.url_below(["v1"]));
        }
        Ok(base)
    }

    /// Reads a base that has no version.
    pub(crate) fn unversioned(text: &str) -> Result<Self, ConnectError> {
        let bad = |reason| ConnectError::BadBase { url: shown(text), reason };
        let no_url = ConnectError::BadBase { url: "it".to_owned(), reason: "it is no URL" };
        let mut url = Url::parse(text).map_err(|_| no_url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it names a user"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has a query or a fragment"));
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && is_this_machine(&url)) {
            return Err(bad("keys go by https only, but to this machine"));
        }
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
        }
        Ok(Self(url))
    }

    /// Whether keys may go there.
    pub(crate) fn is_home(&self, url: &str) -> bool {
        Url::parse(url).is_ok_and(|url| url.origin() == self.0.origin())
    }

    /// The URL that has these segments behind the base.
    pub(crate) fn below<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> String {
        self.url_below(segments).into()
    }

    /// The same with a query.
    pub(crate) fn asking<'a>(
        &self,
        segments: impl IntoIterator<Item = &'a str>,
        pairs: &[(&str, &str)],
    ) -> String {
        let mut url = self.url_below(segments);
        url.query_pairs_mut().extend_pairs(pairs);
        url.into()
    }

    fn url_below<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.0.clone();
        // Only a URL without a path has no segments, and those of the web have one.
        if let Ok(mut path) = url.path_segments_mut() {
            // A dot segment of an id would lead elsewhere.
            let segments = segments.into_iter().map(|segment| match segment {
                "." | ".." | "" => "_",
                segment => segment,
            });
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl fmt::Debug for ApiBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_there_once() {
        for (text, wanted) in [
            ("https://api.host", "https://api.host/v1/a/b%2Fc"),
            ("https://api.host/", "https://api.host/v1/a/b%2Fc"),
            ("https://api.host/v1", "https://api.host/v1/a/b%2Fc"),
            ("https://api.host/v1/", "https://api.host/v1/a/b%2Fc"),
            ("http://127.0.0.1:8/proxy", "http://127.0.0.1:8/proxy/v1/a/b%2Fc"),
        ] {
            assert_eq!(ApiBase::parse(text).expect("a base").below(["a", "b/c"]), wanted);
        }
    }

    #[test]
    fn ids_lead_nowhere_else() {
        let base = ApiBase::parse("https://api.host").expect("a base");
        assert_eq!(base.below(["a", "..", ".", "", "?x#y"]), "https://api.host/v1/a/_/_/_/%3Fx%23y");
        let asked = base.asking(["a"], &[("q", "x&y=z")]);
        assert_eq!(asked, "https://api.host/v1/a?q=x%26y%3Dz");
    }

    #[test]
    fn keys_go_nowhere_in_the_clear() {
        for text in [
            "http://api.host/v1",
            "http://localhost.host/v1",
            "ftp://api.host/v1",
            "https://user:CANARY@api.host/",
            "https://api.host/?CANARY",
            "CANARY",
        ] {
            let refused = ApiBase::parse(text).expect_err("refused");
            assert!(!format!("{refused} {refused:?}").contains("CANARY"), "{refused}");
        }
        assert!(ApiBase::parse("http://localhost:8080").is_ok());
        assert!(ApiBase::parse("http://[::1]:8080").is_ok());
    }

    #[test]
    fn home_is_scheme_host_and_port() {
        let base = ApiBase::parse("https://api.host").expect("a base");
        for (url, is_home) in [
            ("https://api.host/other?x", true),
            ("https://api.host:443/", true),
            ("https://api.host.elsewhere/v1", false),
            ("https://elsewhere/api.host", false),
            ("https://api.host@elsewhere/", false),
            ("http://api.host/v1", false),
            ("", false),
        ] {
            assert_eq!(base.is_home(url), is_home, "{url}");
        }
    }
}
