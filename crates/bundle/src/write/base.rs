use std::fmt;
use std::str::FromStr;

/// A name that is reserved for this and never resolves (RFC 2606).
const USUAL: &str = "https://fhirline.invalid/fhir";

/// The base of RESTful URLs: `<base>/Patient/1`.
///
/// It is an absolute `http` or `https` URL in the characters of RFC 3986, without query and fragment; slashes at its end do
/// not count. So it needs no escapes in JSON, and a URL that begins with it is one that FHIR resolves references against.
///
/// ```
/// use fhirline_bundle::BaseUrl;
///
/// let base: BaseUrl = "https://example.org/fhir/".parse()?;
/// assert_eq!(base.as_str(), "https://example.org/fhir");
/// assert_eq!(BaseUrl::default().as_str(), "https://fhirline.invalid/fhir");
/// assert!("example.org".parse::<BaseUrl>().is_err());
/// # Ok::<(), fhirline_bundle::BaseUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

/// A text that is no base. It is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// It does not begin with `http://` or `https://` and a host.
    #[error("a base URL begins with http:// or https:// and a host")]
    NotAbsolute,
    /// It has a query or a fragment.
    #[error("a base URL has no query and no fragment")]
    QueryOrFragment,
    /// It holds a character that no URL may hold as it is.
    #[error("character {at} of the base URL is none of a URL: write it as %XX")]
    Character {
        /// Its place, from 1.
        at: usize,
    },
    /// A part of its path is `_history`: a `fullUrl` is never version specific.
    #[error("a base URL does not hold _history: a fullUrl is never version specific")]
    History,
}

impl BaseUrl {
    /// The base without slashes at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for BaseUrl {
    /// `https://fhirline.invalid/fhir`.
    fn default() -> Self {
        Self(USUAL.to_owned())
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let base = text.trim_end_matches('/');
        let host = ["http://", "https://"].into_iter().find_map(|scheme| base.strip_prefix(scheme));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
            return Err(BaseUrlError::NotAbsolute);
        }
        if base.contains(['?', '#']) {
            return Err(BaseUrlError::QueryOrFragment);
        }
        if let Some(at) = base.chars().position(|one| !is_of_url(one)) {
            return Err(BaseUrlError::Character { at: at + 1 });
        }
        if base.split('/').any(|part| part == "_history") {
            return Err(BaseUrlError::History);
        }
        Ok(Self(base.to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_of_url(one: char) -> bool {
    one.is_ascii_alphanumeric() || "-._~:/[]@!$&'()*+,;=%".contains(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_end_do_not_count() {
        for text in ["http://h/fhir", "http://h/fhir/", "http://h/fhir///"] {
            assert_eq!(text.parse::<BaseUrl>().map(|base| base.0), Ok("http://h/fhir".to_owned()));
        }
        assert!("https://user@[::1]:8080/a/%20/r4".parse::<BaseUrl>().is_ok());
    }

    #[test]
    fn what_is_no_base_is_refused() {
        use BaseUrlError::{Character, History, NotAbsolute, QueryOrFragment};
        for (text, why) in [
            ("", NotAbsolute),
            ("fhir", NotAbsolute),
            ("https://", NotAbsolute),
            ("https:///", NotAbsolute),
            ("https:///path", NotAbsolute),
            ("urn:uuid:1", NotAbsolute),
            ("http://h/?x", QueryOrFragment),
            ("http://h/#x", QueryOrFragment),
            ("http://h/\"", Character { at: 10 }),
            ("http://h/\\x", Character { at: 10 }),
            ("http://h/a b", Character { at: 11 }),
            ("http://h/\u{e9}", Character { at: 10 }),
            ("http://h/\n", Character { at: 10 }),
            ("http://h/_history", History),
            ("http://h/_history/1", History),
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(why), "{text:?}");
        }
    }
}
