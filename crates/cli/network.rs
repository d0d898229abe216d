//! What can be said about the network, and what becomes of it.

use clap::Args;

use fhirline::Job;
#[cfg(any(feature = "http", feature = "cloud"))]
use fhirline::Network;

use crate::args::TellArgs;
#[cfg(feature = "http")]
use crate::downloads::Downloads;
#[cfg(feature = "http")]
use anyhow::{Context, bail, ensure};
#[cfg(feature = "http")]
use fhirline::{Credentials, HttpOptions, Netrc, Retry};

/// How servers are asked. Secrets come from the environment or files, never from the command line, which every user of the
/// machine can read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Send this header to the servers that are named: 'Name: value'. Not for secrets
    #[cfg(feature = "http")]
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// Send a header whose value is that of an environment variable
    #[cfg(feature = "http")]
    #[arg(long, value_name = "NAME=VAR")]
    header_env: Vec<String>,
    /// Send the bearer token that an environment variable holds
    #[cfg(feature = "http")]
    #[arg(long, value_name = "VAR", group = "credentials")]
    bearer_env: Option<String>,
    /// Send the user and the password that two environment variables hold
    #[cfg(feature = "http")]
    #[arg(long, value_name = "USERVAR:PASSVAR", group = "credentials")]
    basic_env: Option<String>,
    /// Look users and passwords of hosts up in the user's .netrc (or the file that NETRC names)
    #[cfg(feature = "http")]
    #[arg(long, group = "credentials")]
    netrc: bool,
    /// Look them up in this file
    #[cfg(feature = "http")]
    #[arg(long, value_name = "FILE", group = "credentials")]
    netrc_file: Option<std::path::PathBuf>,
    /// Let this host (HOST or HOST:PORT) have the credentials too, if files that a manifest names on it want the access token: files
    /// elsewhere than the URL that is named, or those of a manifest on this machine; may be given more than once
    #[cfg(feature = "http")]
    #[arg(long, value_name = "HOST")]
    pub(crate) token_host: Vec<String>,
    /// Let http:// lead to other machines: whoever is on the way can read along
    #[cfg(feature = "http")]
    #[arg(long)]
    allow_http: bool,
    /// Let so many files from servers and stores arrive at once
    #[cfg(feature = "http")]
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) max_downloads: u16,
    /// Try again so often before giving up, in a row and without a new byte; at most twice before anything has answered
    #[cfg(any(feature = "http", feature = "cloud"))]
    #[arg(long, value_name = "N", default_value = "7", value_parser = clap::value_parser!(u32).range(..1000))]
    retries: u32,
    /// Take a connection that is silent for so many seconds for broken
    #[cfg(feature = "http")]
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    idle_timeout: u64,
}

impl NetworkArgs {
    /// The job, asking as the arguments say.
    #[cfg(not(any(feature = "http", feature = "cloud")))]
    pub(crate) fn applied_to(&self, job: Job, _: &TellArgs) -> anyhow::Result<Job> {
        let Self {} = self;
        Ok(job)
    }

    /// The job, asking as the arguments say.
    #[cfg(any(feature = "http", feature = "cloud"))]
    pub(crate) fn applied_to(&self, job: Job, tell: &TellArgs) -> anyhow::Result<Job> {
        Ok(job.network(self.network(tell)?)?)
    }

    #[cfg(any(feature = "http", feature = "cloud"))]
    pub(crate) fn network(&self, tell: &TellArgs) -> anyhow::Result<Network> {
        let network = Network::default();
        #[cfg(not(feature = "http"))]
        let _ = tell;
        #[cfg(feature = "http")]
        let network = network
            .with_http(self.http()?)
            .with_token_hosts(self.token_host.iter().cloned())
            .with_max_downloads(self.max_downloads.into());
        #[cfg(feature = "http")]
        let network = {
            let shown = std::sync::Mutex::new(Downloads::new(tell, None));
            network.telling(move |event| {
                shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).on_server(event);
            })
        };
        #[cfg(feature = "cloud")]
        let network = network.with_retries_of_cloud(self.retries as usize);
        Ok(network)
    }

    #[cfg(feature = "http")]
    pub(crate) fn http(&self) -> anyhow::Result<HttpOptions> {
        let retry = Retry {
            max_attempts: self.retries + 1,
            idle: std::time::Duration::from_secs(self.idle_timeout),
            ..Retry::default()
        };
        let mut options = HttpOptions::default()
            .with_accept(ACCEPT)
            .with_retry(retry)
            .allowing_http(self.allow_http)
            .with_credentials(self.credentials()?);
        for header in &self.header {
            let (name, value) = header.split_once(':').context("give --header as 'Name: value'")?;
            let name = name.trim();
            ensure!(
                !may_be_secret(name),
                "the value of {name} may be a secret, which every user of this machine could read: give --header-env {name}=VAR"
            );
            options = options.with_header(name, value.trim());
        }
        for header in &self.header_env {
            let (name, variable) = header.split_once('=').context("give --header-env as NAME=VAR")?;
            options = options.with_header(name.trim(), secret(variable)?);
        }
        Ok(options)
    }

    #[cfg(feature = "http")]
    fn credentials(&self) -> anyhow::Result<Credentials> {
        if let Some(variable) = &self.bearer_env {
            return Ok(Credentials::Bearer(secret(variable)?.into()));
        }
        if let Some(variables) = &self.basic_env {
            let (user, password) =
                variables.split_once(':').context("give --basic-env as USERVAR:PASSVAR")?;
            return Ok(Credentials::Basic { user: secret(user)?, password: secret(password)?.into() });
        }
        if let Some(file) = &self.netrc_file {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            return Ok(Credentials::Netrc(Netrc::parse(&text)));
        }
        if self.netrc {
            return Ok(Credentials::Netrc(Netrc::of_user().context("cannot read the .netrc of the user")?));
        }
        Ok(Credentials::None)
    }
}

/// What we read, the likeliest first. A server that honours it sends no page.
#[cfg(feature = "http")]
const ACCEPT: &str = "application/fhir+ndjson, application/ndjson;q=0.9, application/json;q=0.8, */*;q=0.5";

/// Words in names of headers whose values are secrets.
#[cfg(feature = "http")]
const SECRET_WORDS: [&str; 7] = ["auth", "cookie", "credential", "key", "password", "secret", "token"];

#[cfg(feature = "http")]
fn may_be_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// The value of a variable. Only its name is ever shown.
#[cfg(feature = "http")]
fn secret(variable: &str) -> anyhow::Result<String> {
    match std::env::var(variable) {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) => bail!("the environment variable {variable} is empty"),
        Err(std::env::VarError::NotPresent) => bail!("there is no environment variable {variable}"),
        Err(std::env::VarError::NotUnicode(_)) => bail!("the environment variable {variable} is no text"),
    }
}
