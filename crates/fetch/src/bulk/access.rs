use reqwest::Url;

use super::{BulkError, FhirBase, SecretUrl};
use crate::{Credentials, HttpClient};

/// Which of a server's URLs get the credentials: those on the FHIR server itself, if the user named one, and on hosts that the user
/// named.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    base: Option<FhirBase>,
    token_hosts: Vec<String>,
    client: HttpClient,
}

impl Access {
    pub(crate) fn new(client: HttpClient, base: Option<FhirBase>) -> Self {
        Self { base, token_hosts: Vec::new(), client }
    }

    pub(crate) fn with_token_hosts(self, token_hosts: Vec<String>) -> Self {
        Self { token_hosts, ..self }
    }

    /// The client to ask for this URL.
    pub(crate) fn client_for(&self, url: &Url) -> HttpClient {
        if self.is_trusted(url) { self.client.clone() } else { self.client.without_secrets() }
    }

    /// The client to download this file with.
    ///
    /// A file that needs no access token must not get one: its URL may be on any server, and is a key of its own.
    pub(crate) fn client_for_file(
        &self,
        file: &SecretUrl,
        wants_token: bool,
    ) -> Result<HttpClient, BulkError> {
        let url = file.url();
        match (wants_token, self.is_trusted(url)) {
            (true, true) => Ok(self.client.clone()),
            (true, false) => {
                let base = self.base.as_ref().map(ToString::to_string);
                Err(BulkError::ForeignFile { url: file.to_string(), base })
            }
            (false, true) => Ok(self.client.with_credentials(Credentials::None)),
            (false, false) => Ok(self.client.without_secrets()),
        }
    }

    /// The host from which the token is withheld, if it is.
    pub(crate) fn withheld_from(&self, url: &Url) -> Option<String> {
        if self.is_trusted(url) { None } else { url.host_str().map(str::to_owned) }
    }

    fn is_trusted(&self, url: &Url) -> bool {
        if self.base.as_ref().is_some_and(|base| url.origin() == base.url().origin()) {
            return true;
        }
        let Some(host) = url.host_str() else { return false };
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        // A token that only ever went encrypted stays so.
        let no_worse =
            url.scheme() == "https" || self.base.as_ref().is_none_or(|base| base.url().scheme() == "http");
        let named = |name: &String| {
            name.eq_ignore_ascii_case(host)
                || with_port.as_ref().is_some_and(|with_port| name.eq_ignore_ascii_case(with_port))
        };
        no_worse && self.token_hosts.iter().any(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpOptions;

    fn access(base: Option<&str>, hosts: &[&str]) -> Access {
        let client = HttpClient::new(HttpOptions::default()).expect("a client");
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Access::new(client, base.map(|base| FhirBase::parse(base).expect("a base"))).with_token_hosts(hosts)
    }

    #[test]
    fn the_token_goes_to_the_base_and_to_named_hosts() {
        let access = access(Some("https://fhir.host/r4"), &["Files.host", "other:8443"]);
        for (url, host) in [
            ("https://fhir.host/other", None),
            ("https://fhir.host:443/", None),
            ("https://fhir.host:444/", Some("fhir.host")),
            ("http://fhir.host/", Some("fhir.host")),
            ("https://sub.fhir.host/", Some("sub.fhir.host")),
            ("https://files.host:99/", None),
            ("http://files.host/", Some("files.host")),
            ("https://other:8443/", None),
            ("https://other/", Some("other")),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(access.withheld_from(&url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn without_a_base_the_token_goes_to_named_hosts_only() {
        let access = access(None, &["files.host"]);
        for (url, trusted) in [("https://files.host/", true), ("https://fhir.host/", false)] {
            let url = SecretUrl::parse(url).expect("a URL");
            assert_eq!(access.client_for_file(&url, true).is_ok(), trusted, "{url}");
            assert!(access.client_for_file(&url, false).is_ok(), "{url}");
        }
    }
}
