//! The configuration file.
//!
//! Secrets are named, not written: by the variable of the environment or by the file that has them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use fhirline_connect::{Mode, PerMode};

pub use after::OnComplete;
pub(crate) use after::Receiver;
pub use fasten::FastenConfig;
pub use output::OutputConfig;
pub use template::{Template, TemplateError, TemplateValues};

use crate::store::{Rules, StorePlace};

mod after;
mod bounds;
mod fasten;
mod output;
mod secret;
mod template;
mod unread;

/// Deliveries come for a day, and each is known by what came before.
const LEAST_KEEP_DAYS: u64 = 2;

/// Everything that the service is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    pub(crate) store: StorePlace,
    pub(crate) fasten: PerMode<FastenConfig>,
    pub(crate) destination: Template,
    pub(crate) output: OutputConfig,
    pub(crate) rules: Rules,
    pub(crate) re_request: bool,
    /// Exports that are processed at the same time.
    pub max_jobs: usize,
    pub(crate) max_attempts: u64,
    pub(crate) first_retry: Duration,
    pub(crate) lease: Duration,
    pub(crate) stop_within: Duration,
    pub(crate) keep: Option<Duration>,
    pub(crate) poll: PollConfig,
    pub(crate) page_token: Option<secrecy::SecretString>,
    pub(crate) on_complete: Option<OnComplete>,
    /// Whether a crash may leave the memory of the process in a file.
    pub core_dumps: bool,
}

/// When the API is asked for what became of an export.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PollConfig {
    first_minutes: u64,
    every_minutes: u64,
    most_hours: u64,
}

impl Default for PollConfig {
    fn default() -> Self {
        Self { first_minutes: 15, every_minutes: 60, most_hours: 26 }
    }
}

impl PollConfig {
    pub(crate) fn first(&self) -> Duration {
        Duration::from_secs(self.first_minutes * 60)
    }

    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(self.every_minutes.max(1) * 60)
    }

    pub(crate) fn most(&self) -> Duration {
        Duration::from_secs(self.most_hours * 3600)
    }
}

/// Why a configuration is none. No secret is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or has unknown names or wrong values.
    #[error("the configuration is not understood: {what}")]
    Parse {
        /// What is wrong, and in which line.
        what: String,
    },
    /// A value makes no sense.
    #[error("{name}: {why}")]
    Value {
        /// Its name in the file.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ConfigError {
    #[expect(clippy::needless_pass_by_value, reason = "errors and texts are both given as they are")]
    pub(crate) fn value(name: impl Into<String>, why: impl ToString) -> Self {
        Self::Value { name: name.into(), why: why.to_string() }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Read { .. } => "--config names another file; docs/serve.md shows what it may say",
            _ => {
                "docs/serve.md lists all settings; secrets are named there by a variable (…_env) or a file (…_file)"
            }
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: SocketAddr,
    store: String,
    store_env: Option<String>,
    destination: String,
    export_type: Option<String>,
    auto_export: bool,
    re_request: bool,
    on_revoked: OnRevoked,
    max_jobs: usize,
    max_attempts: u64,
    first_retry_seconds: f64,
    network_retry_seconds: f64,
    lease_seconds: u64,
    stop_seconds: u64,
    keep_days: Option<u64>,
    test: Option<fasten::FastenFile>,
    live: Option<fasten::FastenFile>,
    split: output::OutputFile,
    poll: PollConfig,
    page: Page,
    on_complete: Option<after::OnCompleteFile>,
    core_dumps: bool,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum OnRevoked {
    Process,
    Hold,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    token_env: Option<String>,
    token_file: Option<PathBuf>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            store: "fhirline.db".to_owned(),
            store_env: None,
            destination: "exports/{api_mode}/{org_connection_id}/{task_id}".to_owned(),
            export_type: None,
            auto_export: false,
            re_request: false,
            on_revoked: OnRevoked::Process,
            max_jobs: 2,
            max_attempts: 8,
            first_retry_seconds: 5.0,
            // What takes longer than a moment is for the next attempt, which goes on where this one ended.
            network_retry_seconds: 10.0,
            lease_seconds: 30,
            stop_seconds: 30,
            keep_days: None,
            test: None,
            live: None,
            split: output::OutputFile::default(),
            poll: PollConfig::default(),
            page: Page::default(),
            on_complete: None,
            core_dumps: false,
        }
    }
}

impl Config {
    /// Reads a file. Paths in it are relative to the folder that it lies in.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self::parse(&text, folder.unwrap_or(Path::new(".")))
    }

    /// The configuration that a text is, with the environment that there is.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let mut file: File =
            toml::from_str(text).map_err(|error| ConfigError::Parse { what: unread::told(&error, text) })?;
        bounds::check(&file)?;
        if let Some(after) = &mut file.on_complete {
            after.find_below(folder);
        }
        file.into_config(folder)
    }
}

impl File {
    fn into_config(self, folder: &Path) -> Result<Config, ConfigError> {
        self.check()?;
        let hidden = self.secret_variables();
        let network_retry = Duration::from_secs_f64(self.network_retry_seconds);
        let on_complete = self.on_complete.map(|file| file.into_config(folder, hidden)).transpose()?;
        let rules = Rules {
            export_type: self.export_type,
            auto_export: self.auto_export,
            hold_revoked: self.on_revoked == OnRevoked::Hold,
            calls_back: on_complete.is_some(),
        };
        let destination =
            Template::parse(&self.destination).map_err(|error| ConfigError::value("destination", error))?;
        let destination = destination.below(folder);
        let output = self.split.into_config(folder)?;
        let fasten = fasten::both(self.test, self.live, network_retry, folder)?;
        output.check_memory(&destination, &fasten)?;
        Ok(Config {
            listen: self.listen,
            store: store(&self.store, self.store_env.as_deref(), folder)?,
            fasten,
            destination,
            output,
            rules,
            re_request: self.re_request,
            max_jobs: self.max_jobs,
            max_attempts: self.max_attempts,
            first_retry: Duration::from_secs_f64(self.first_retry_seconds),
            lease: Duration::from_secs(self.lease_seconds),
            stop_within: Duration::from_secs(self.stop_seconds),
            keep: self.keep_days.map(|days| Duration::from_secs(days * 86_400)),
            poll: self.poll,
            page_token: page_token(&self.listen, &self.page, folder)?,
            on_complete,
            core_dumps: self.core_dumps,
        })
    }

    /// The variables that are named as those of secrets.
    fn secret_variables(&self) -> Vec<String> {
        let modes = [&self.test, &self.live].into_iter().flatten();
        let own = [&self.store_env, &self.page.token_env].into_iter().flatten().cloned();
        let after = self.on_complete.iter().flat_map(after::OnCompleteFile::secret_variables);
        own.chain(modes.flat_map(fasten::FastenFile::secret_variables)).chain(after).collect()
    }

    fn check(&self) -> Result<(), ConfigError> {
        let least_one = [("max_jobs", self.max_jobs as u64), ("max_attempts", self.max_attempts)];
        if let Some((name, _)) = least_one.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::value(name, "must be 1 or more"));
        }
        if self.lease_seconds < 2 {
            return Err(ConfigError::value("lease_seconds", "must be 2 or more"));
        }
        let seconds = [
            ("first_retry_seconds", self.first_retry_seconds),
            ("network_retry_seconds", self.network_retry_seconds),
        ];
        if let Some((name, _)) = seconds.into_iter().find(|(_, value)| !(0.0..=3600.0).contains(value)) {
            return Err(ConfigError::value(name, "must be from 0 to 3600"));
        }
        if self.keep_days.is_some_and(|days| days < LEAST_KEEP_DAYS) {
            let why = "must be 2 or more: deliveries of one event come for a day, and are told apart by what is kept";
            return Err(ConfigError::value("keep_days", why));
        }
        Ok(())
    }
}

fn store(text: &str, variable: Option<&str>, folder: &Path) -> Result<StorePlace, ConfigError> {
    let named = variable.map(|variable| secret::of_env("store_env", variable)).transpose()?;
    let text = named.unwrap_or_else(|| text.to_owned());
    let known = ["postgres", "postgresql", "sqlite"];
    // As the name of a file it would show the password that may be in it.
    if text.split_once("://").is_some_and(|(scheme, _)| !known.contains(&scheme)) {
        return Err(ConfigError::value(
            "store",
            "is neither a file nor postgres://…: no other database is known",
        ));
    }
    Ok(match StorePlace::parse(&text) {
        StorePlace::Sqlite(path) => StorePlace::Sqlite(folder.join(path)),
        postgres @ StorePlace::Postgres(_) => postgres,
    })
}

/// Whoever listens to more than this machine shows the page to nobody without a token.
fn page_token(
    listen: &SocketAddr,
    page: &Page,
    folder: &Path,
) -> Result<Option<secrecy::SecretString>, ConfigError> {
    let token =
        secret::optional("page.token", page.token_env.as_deref(), page.token_file.as_deref(), None, folder)?;
    if token.is_none() && !listen.ip().is_loopback() {
        let why =
            "on addresses of other machines the page needs a token: set page.token_env or page.token_file";
        return Err(ConfigError::value("listen", why));
    }
    Ok(token.map(Into::into))
}

impl Config {
    /// Whether several processes can work on its database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        !self.store.is_sqlite()
    }

    /// The modes that are configured.
    pub fn modes(&self) -> impl Iterator<Item = Mode> + '_ {
        self.fasten.iter().map(|(mode, _)| mode)
    }
}

#[cfg(test)]
mod tests;
