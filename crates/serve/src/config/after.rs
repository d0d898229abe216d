use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use fhirline_connect::SigningSecret;

use super::{ConfigError, secret};

/// The variable of our secret, if no other one is named.
const USUAL_VARIABLE: &str = "FHIRLINE_CALLBACK_SECRET";

/// Who is told that exports have ended.
#[derive(Clone)]
pub struct OnComplete {
    pub(crate) receiver: Receiver,
    pub(crate) timeout: Duration,
    pub(crate) max_attempts: i64,
}

#[derive(Clone)]
pub(crate) enum Receiver {
    /// A program, not by a shell.
    Command {
        /// Its name and its arguments.
        argv: Vec<String>,
        /// Variables of our environment that it is not to see.
        hidden: Vec<String>,
    },
    /// A URL, with a secret of ours.
    Post { url: String, secret: SigningSecret },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OnCompleteFile {
    command: Option<Vec<String>>,
    url: Option<String>,
    signing_secret_env: Option<String>,
    signing_secret_file: Option<std::path::PathBuf>,
    #[serde(default = "usual_timeout")]
    timeout_seconds: u64,
    #[serde(default = "usual_attempts")]
    max_attempts: i64,
}

fn usual_timeout() -> u64 {
    60
}

fn usual_attempts() -> i64 {
    12
}

impl OnCompleteFile {
    pub(super) fn into_config(self, folder: &Path, hidden: Vec<String>) -> Result<OnComplete, ConfigError> {
        let receiver = match (&self.command, &self.url) {
            (Some(command), None) if !command.is_empty() => {
                check_program(&command[0])?;
                Receiver::Command { argv: command.clone(), hidden }
            }
            (None, Some(url)) => Receiver::Post { url: checked(url)?, secret: self.secret(folder)? },
            _ => {
                return Err(ConfigError::value("on_complete", "needs either a command, as a list, or a url"));
            }
        };
        Ok(OnComplete {
            receiver,
            timeout: Duration::from_secs(self.timeout_seconds.max(1)),
            max_attempts: self.max_attempts.max(1),
        })
    }

    pub(super) fn secret_variables(&self) -> Vec<String> {
        self.signing_secret_env.iter().cloned().chain([USUAL_VARIABLE.to_owned()]).collect()
    }

    fn secret(&self, folder: &Path) -> Result<SigningSecret, ConfigError> {
        let name = "on_complete.signing_secret";
        let (variable, file) = (self.signing_secret_env.as_deref(), self.signing_secret_file.as_deref());
        let text = secret::required(name, variable, file, USUAL_VARIABLE, folder)?;
        SigningSecret::parse(&text).map_err(|error| ConfigError::value(name, error))
    }
}

impl OnCompleteFile {
    /// A program that is named by a path is found from the folder of the configuration, as all other files are.
    pub(super) fn find_below(&mut self, folder: &Path) {
        if let Some(program) = self.command.as_mut().and_then(|command| command.first_mut())
            && program.contains('/')
        {
            *program = folder.join(&*program).display().to_string();
        }
    }
}

/// Whether there is something to be run: better found now than at the end of an export.
fn check_program(program: &str) -> Result<(), ConfigError> {
    let is_program = |path: &Path| {
        path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let is_found = if program.contains('/') {
        is_program(Path::new(program))
    } else {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).any(|folder| is_program(&folder.join(program)))
    };
    if is_found {
        return Ok(());
    }
    Err(ConfigError::value("on_complete.command", "there is no program of this name that can be run"))
}

/// What tells of patients goes over no open wire.
fn checked(url: &str) -> Result<String, ConfigError> {
    let refused = |why: &str| ConfigError::value("on_complete.url", why);
    let parsed = url::Url::parse(url).map_err(|_| refused("is no URL"))?;
    let is_here = match parsed.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match parsed.scheme() {
        "https" => Ok(url.to_owned()),
        "http" if is_here => Ok(url.to_owned()),
        _ => Err(refused("must be https, or http to this machine")),
    }
}

impl fmt::Debug for OnComplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.receiver {
            Receiver::Command { .. } => "OnComplete(command)",
            Receiver::Post { .. } => "OnComplete(url)",
        })
    }
}
