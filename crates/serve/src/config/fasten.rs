use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use fhirline::{HttpOptions, Retry};
use fhirline_connect::{ApiKeys, Client, ClientOptions, Mode, PerMode, SigningSecret, Verifier};

use super::{ConfigError, secret};

/// What belongs to one mode: its path, its keys, its signing secrets.
#[derive(Clone)]
pub struct FastenConfig {
    /// The path that its deliveries come to.
    pub path: String,
    /// Asks the API with its keys.
    pub client: Client,
    /// The same for downloads, which gives up sooner: the next attempt goes on where it was.
    pub downloads: Client,
    /// Checks its signatures.
    pub verifier: Verifier,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FastenFile {
    path: Option<String>,
    public_id: Option<String>,
    private_key_env: Option<String>,
    private_key_file: Option<PathBuf>,
    signing_secret_env: OneOrMany<String>,
    signing_secret_file: OneOrMany<PathBuf>,
    api_base_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    fn all(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Both modes, which share nothing.
pub(super) fn both(
    test: Option<FastenFile>,
    live: Option<FastenFile>,
    network_retry: Duration,
    folder: &Path,
) -> Result<PerMode<FastenConfig>, ConfigError> {
    let mut all = PerMode::default();
    let mut secrets: Vec<String> = Vec::new();
    for (mode, file) in [(Mode::Test, test), (Mode::Live, live)] {
        let Some(file) = file else { continue };
        let own = file.signing_secrets(mode, folder)?;
        if own.iter().any(|one| secrets.contains(one)) {
            let why = "is that of test mode: each mode has a signing secret of its own";
            return Err(ConfigError::value(format!("{mode}.signing_secret"), why));
        }
        all = all.with(mode, file.into_config(mode, &own, network_retry, folder)?);
        secrets.extend(own);
    }
    match (all.get(Mode::Test), all.get(Mode::Live)) {
        (None, None) => Err(ConfigError::value("test, live", "one of both is needed")),
        (Some(test), Some(live)) if test.path == live.path => {
            Err(ConfigError::value("live.path", "is that of test mode: each mode has a path of its own"))
        }
        _ => Ok(all),
    }
}

impl FastenFile {
    pub(super) fn secret_variables(&self) -> Vec<String> {
        self.private_key_env.iter().chain(self.signing_secret_env.all()).cloned().collect()
    }

    fn signing_secrets(&self, mode: Mode, folder: &Path) -> Result<Vec<String>, ConfigError> {
        let name = format!("{mode}.signing_secret");
        let (variables, files) = (self.signing_secret_env.all(), self.signing_secret_file.all());
        let mut all = Vec::new();
        for variable in variables {
            all.push(secret::required(&name, Some(variable), None, "", folder)?);
        }
        for file in files {
            all.push(secret::required(&name, None, Some(file), "", folder)?);
        }
        if all.is_empty() {
            all.push(secret::required(&name, None, None, "FASTEN_SIGNING_SECRET", folder)?);
        }
        Ok(all)
    }

    fn into_config(
        self,
        mode: Mode,
        signing_secrets: &[String],
        network_retry: Duration,
        folder: &Path,
    ) -> Result<FastenConfig, ConfigError> {
        let path = self.path.unwrap_or_else(|| format!("/webhooks/fasten/{mode}"));
        if !is_plain_path(&path) {
            return Err(ConfigError::value(
                format!("{mode}.path"),
                "must begin with / and a name that no page of the service has, and hold letters, digits, -, _, . and single / only",
            ));
        }
        let name = format!("{mode}.public_id");
        let public_id = match self.public_id {
            Some(id) => id,
            None => secret::required(&name, None, None, "FASTEN_PUBLIC_ID", folder)?,
        };
        let (variable, file) = (self.private_key_env.as_deref(), self.private_key_file.as_deref());
        let name = format!("{mode}.private_key");
        let private_key = secret::required(&name, variable, file, "FASTEN_PRIVATE_KEY", folder)?;
        let keys = ApiKeys::new(mode, public_id, private_key.into())
            .map_err(|error| ConfigError::value(mode.name(), error))?;
        let mut options = ClientOptions::default();
        if let Some(base) = self.api_base_url.or_else(|| std::env::var("FASTEN_API_BASE_URL").ok()) {
            options.base_url = base;
        }
        let bad = |error| ConfigError::value(format!("{mode}.api_base_url"), error);
        let client = Client::new(keys.clone(), &options).map_err(bad)?;
        let retry = Retry { max_elapsed: network_retry, ..Retry::default() };
        options.http = HttpOptions::default().with_retry(retry);
        let downloads = Client::new(keys, &options).map_err(bad)?;
        let secrets = signing_secrets.iter().map(|text| SigningSecret::parse(text));
        let secrets = secrets
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ConfigError::value(format!("{mode}.signing_secret"), error))?;
        Ok(FastenConfig { path, client, downloads, verifier: Verifier::new(secrets) })
    }
}

/// What the service's own paths begin with.
const OWN: [&str; 10] =
    ["api", "assets", "events", "exports", "healthz", "login", "logout", "metrics", "openapi.json", "readyz"];

/// Nothing that a router would read as more than a path, or that a proxy would make another path of; and none of our own.
fn is_plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let mut names = rest.split('/');
    let is_free = names.clone().next().is_some_and(|first| !OWN.contains(&first));
    is_free && names.all(|name| !matches!(name, "" | "." | "..") && name.bytes().all(is_plain))
}

impl fmt::Debug for FastenConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FastenConfig").field("path", &self.path).finish_non_exhaustive()
    }
}
