//! What the AWS command line keeps in its files, as far as it is keys, a region and an endpoint.
//! <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html>

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{CloudError, CloudOptions};

/// More than any such file has.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Settings of ways to get credentials that are not built, and what they are called.
const NOT_BUILT: [(&str, &str); 5] = [
    ("role_arn", "an assumed role (role_arn)"),
    ("sso_session", "single sign-on (sso_session)"),
    ("sso_start_url", "single sign-on (sso_start_url)"),
    ("login_session", "a login session (login_session)"),
    ("credential_process", "a program (credential_process)"),
];

/// A profile: its settings by name, those of the credentials file before those of the config file.
#[derive(Default)]
pub(super) struct Profile {
    name: String,
    credentials: BTreeMap<String, String>,
    config: BTreeMap<String, String>,
}

/// A pair of keys, and the token if they are temporary.
pub(super) struct Keys<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
    pub(super) token: Option<&'a str>,
}

impl Profile {
    /// The profile that the options choose: `AWS_PROFILE`, else `default`. Files that are not there are empty.
    pub(super) fn read(options: &CloudOptions) -> Result<Self, CloudError> {
        let chosen = options.first_of(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let name = chosen.unwrap_or("default");
        let credentials = file(options, "AWS_SHARED_CREDENTIALS_FILE", "credentials")?;
        let config = file(options, "AWS_CONFIG_FILE", "config")?;
        let in_config = if name == "default" { name.to_owned() } else { format!("profile {name}") };
        let (credentials, config) = (section(&credentials, name), section(&config, &in_config));
        if chosen.is_some() && credentials.is_none() && config.is_none() {
            return Err(bad(
                format!("AWS profile {name:?}"),
                "neither the credentials nor the config file has it",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            credentials: credentials.unwrap_or_default(),
            config: config.unwrap_or_default(),
        })
    }

    pub(super) fn get(&self, setting: &str) -> Option<&str> {
        self.credentials.get(setting).or_else(|| self.config.get(setting)).map(String::as_str)
    }

    /// The profile's keys; `None` if it has none.
    ///
    /// Where the command line would get its keys in another way, that is an error: the profile's own keys, if it has some,
    /// belong to somebody else.
    pub(super) fn keys(&self) -> Result<Option<Keys<'_>>, CloudError> {
        let keys = keys_in(&self.credentials).or_else(|| keys_in(&self.config));
        let other = NOT_BUILT.iter().find(|(setting, _)| self.get(setting).is_some());
        match other {
            // A program is asked only where there are no keys.
            Some(("credential_process", _)) if keys.is_some() => Ok(keys),
            Some((_, way)) => {
                let why = format!(
                    "it gets its keys by {way}, which is not supported; \
                     put keys into the environment: aws configure export-credentials --format env"
                );
                Err(bad(format!("AWS profile {:?}", self.name), &why))
            }
            None => Ok(keys),
        }
    }
}

fn keys_in(settings: &BTreeMap<String, String>) -> Option<Keys<'_>> {
    let get = |name: &str| settings.get(name).map(String::as_str);
    let (id, secret) = (get("aws_access_key_id")?, get("aws_secret_access_key")?);
    Some(Keys { id, secret, token: get("aws_session_token") })
}

fn bad(setting: String, why: &str) -> CloudError {
    CloudError::BadSetting { setting, why: why.to_owned() }
}

/// The text of a file that a variable names, else of the one in `~/.aws`.
fn file(options: &CloudOptions, variable: &str, usual: &str) -> Result<String, CloudError> {
    let home = options.first_of(&["HOME", "USERPROFILE"]).map(PathBuf::from);
    let (path, named) = match options.get(variable) {
        Some(path) => (expanded(path, home.as_deref()), true),
        None => match &home {
            Some(home) => (home.join(".aws").join(usual), false),
            None => return Ok(String::new()),
        },
    };
    match read_bounded(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !named => Ok(String::new()),
        Err(error) => Err(bad(path.display().to_string(), &format!("cannot be read: {error}"))),
    }
}

fn expanded(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => home.join(below),
        _ => PathBuf::from(path),
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {MAX_FILE_BYTES} bytes"),
        ));
    }
    // The system's error says nothing of the content; that of a decoder might.
    String::from_utf8(fs::read(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// The settings of a section; `None` if there is no such section. Nested settings (indented lines) are left out.
fn section(text: &str, wanted: &str) -> Option<BTreeMap<String, String>> {
    let mut found = None;
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with(['#', ';', ' ', '\t']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            inside = name.split_whitespace().eq(wanted.split_whitespace());
            if inside {
                found.get_or_insert_with(BTreeMap::new);
            }
        } else if let (true, Some((name, value))) = (inside, line.split_once('='))
            && let Some(settings) = &mut found
            && !value.trim().is_empty()
        {
            settings.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "# mine\n[default]\naws_access_key_id = DEFAULT\naws_secret_access_key=canary+/=\n\n\
        [work]\nAWS_ACCESS_KEY_ID=WORK\naws_secret_access_key = canary\naws_session_token = canary-token\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\ns3 =\n  endpoint_url = nested\n\
        [profile work]\nregion=us-west-2\nendpoint_url = http://127.0.0.1:9000\n\
        [profile sso]\nsso_session = x\n[profile role]\nrole_arn = arn\naws_access_key_id = a\naws_secret_access_key = b\n\
        [profile program]\ncredential_process = p\n[profile both]\ncredential_process = p\naws_access_key_id = a\n\
        aws_secret_access_key = b\n";

    fn options(folder: &Path) -> CloudOptions {
        fs::create_dir_all(folder.join(".aws")).expect("made");
        fs::write(folder.join(".aws/credentials"), CREDENTIALS).expect("written");
        fs::write(folder.join(".aws/config"), CONFIG).expect("written");
        CloudOptions::new().set("HOME", folder.display().to_string())
    }

    #[test]
    fn a_profile_has_keys_a_region_and_an_endpoint() {
        let folder = tempfile::tempdir().expect("a folder");
        let default = Profile::read(&options(folder.path())).expect("read");
        let keys = default.keys().expect("supported").expect("some");
        assert_eq!((keys.id, keys.secret, keys.token), ("DEFAULT", "canary+/=", None));
        assert_eq!((default.get("region"), default.get("endpoint_url")), (Some("eu-west-1"), None));

        let work = Profile::read(&options(folder.path()).set("AWS_PROFILE", "work")).expect("read");
        let keys = work.keys().expect("supported").expect("some");
        assert_eq!((keys.id, keys.token), ("WORK", Some("canary-token")));
        assert_eq!(work.get("endpoint_url"), Some("http://127.0.0.1:9000"));
    }

    #[test]
    fn ways_that_are_not_built_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, way) in [("sso", "single sign-on"), ("role", "assumed role"), ("program", "a program")] {
            let profile = Profile::read(&options(folder.path()).set("AWS_PROFILE", name)).expect("read");
            let error = profile.keys().err().expect("refused").to_string();
            assert!(error.contains(way) && error.contains(name), "{error}");
        }
        let both = Profile::read(&options(folder.path()).set("AWS_PROFILE", "both")).expect("read");
        assert!(both.keys().expect("supported").is_some());
    }

    #[test]
    fn what_was_asked_for_must_be_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing =
            Profile::read(&options(folder.path()).set("AWS_PROFILE", "none")).err().expect("missing");
        assert!(missing.to_string().contains("\"none\""), "{missing}");
        let named = options(folder.path()).set("AWS_SHARED_CREDENTIALS_FILE", "~/nothing");
        assert!(Profile::read(&named).err().expect("missing").to_string().contains("nothing"));
        let nothing = Profile::read(&CloudOptions::new()).expect("empty");
        assert!(nothing.keys().expect("supported").is_none());
    }
}
