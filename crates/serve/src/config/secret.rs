use std::env;
use std::path::Path;

use super::ConfigError;

/// The secret that a variable has. Only its name is ever shown.
pub(super) fn of_env(name: &str, variable: &str) -> Result<String, ConfigError> {
    match env::var(variable) {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) => Err(ConfigError::value(name, format!("the environment variable {variable} is empty"))),
        Err(_) if is_name_of_variable(variable) => {
            Err(ConfigError::value(name, format!("the environment has no variable {variable}")))
        }
        // Likely the secret itself.
        Err(_) => Err(ConfigError::value(
            name,
            "the environment has no variable of the name that is given: give a name, such as FASTEN_PRIVATE_KEY, and not the secret",
        )),
    }
}

fn is_name_of_variable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether a text that should be a path may be what should be in the file.
fn is_like_secret(path: &Path) -> bool {
    let text = path.to_string_lossy();
    ["private_test_", "private_live_", "whsec_", "://"].iter().any(|part| text.contains(part))
}

fn of_file(name: &str, file: &Path, folder: &Path) -> Result<String, ConfigError> {
    let path = folder.join(file);
    if is_like_secret(file) {
        let why = "takes the name of a file that holds the secret, and not the secret";
        return Err(ConfigError::value(name, why));
    }
    let text = std::fs::read_to_string(&path)
        // What is wrong with its text could be a part of it.
        .map_err(|error| {
            ConfigError::value(name, format!("cannot read {}: {}", path.display(), error.kind()))
        })?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(ConfigError::value(name, format!("{} is empty", path.display())));
    }
    Ok(text.to_owned())
}

/// The secret that a variable or a file has, if one of them is named; else that of the usual variable, if there is one.
pub(super) fn optional(
    name: &str,
    variable: Option<&str>,
    file: Option<&Path>,
    usual: Option<&str>,
    folder: &Path,
) -> Result<Option<String>, ConfigError> {
    match (variable, file) {
        (Some(_), Some(_)) => Err(ConfigError::value(name, "is given by a variable and by a file")),
        (Some(variable), None) => of_env(name, variable).map(Some),
        (None, Some(file)) => of_file(name, file, folder).map(Some),
        (None, None) => Ok(usual.and_then(|usual| env::var(usual).ok()).filter(|value| !value.is_empty())),
    }
}

/// The same, which must be there.
pub(super) fn required(
    name: &str,
    variable: Option<&str>,
    file: Option<&Path>,
    usual: &str,
    folder: &Path,
) -> Result<String, ConfigError> {
    let found = optional(name, variable, file, Some(usual), folder)?;
    found.ok_or_else(|| {
        ConfigError::value(
            name,
            format!("is missing: set the environment variable {usual}, or {name}_env or {name}_file"),
        )
    })
}
