//! What a process that holds keys and records takes care of.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::ServeError;
use crate::config::Config;

/// Has a crash leave no file with the memory of this process, in which keys and records are; unless the configuration allows it. What it starts
/// may allow itself more.
///
/// # Errors
/// [`ServeError::System`]
pub fn forbid_core_dumps(config: &Config) -> Result<(), ServeError> {
    if config.core_dumps {
        return Ok(());
    }
    let none = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    setrlimit(Resource::Core, none)
        .map_err(|error| ServeError::System { step: "forbid core dumps", source: error.into() })
}
