use std::collections::BTreeMap;
use std::env;
use std::fmt;

use super::origin::DEFAULT_WINDOW_BYTES;

/// Beginnings of the names of variables that belong to the clouds.
const PREFIXES: [&str; 4] = ["AWS_", "AZURE_", "AZURITE_", "GOOGLE_"];
/// The other variables that count.
const NAMES: [&str; 5] =
    ["HOME", "IDENTITY_ENDPOINT", "SERVICE_ACCOUNT", "STORAGE_EMULATOR_HOST", "USERPROFILE"];

/// How object stores are reached: what the environment says to the clouds' own tools.
///
/// [The module](crate::cloud#the-environment) says which variables count. Their values may be secrets and are never shown.
///
/// ```
/// use fhirline_fetch::CloudOptions;
///
/// let options = CloudOptions::from_env().set("AWS_REGION", "eu-central-1").window_bytes(2 << 20);
/// assert!(!format!("{options:?}").contains("eu-central-1"));
/// ```
#[derive(Clone)]
pub struct CloudOptions {
    settings: BTreeMap<String, String>,
    windows: WindowSizes,
    retries: usize,
}

/// How much of an object is asked for at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowSizes {
    /// The bytes of the first window: asked for before anybody reads, and small, so that the first bytes come soon. Each further
    /// one has twice as many.
    pub(crate) first_bytes: usize,
    /// The most bytes of a window.
    pub(crate) most_bytes: usize,
    /// Windows that are on their way, or there, behind the one that is read.
    pub(crate) ahead: usize,
}

impl WindowSizes {
    /// Nothing is worth a request of its own that is shorter.
    const LEAST_BYTES: usize = 64 << 10;

    /// For readers that hold so many bytes, and so many of them as long as nobody reads. Short windows of which several are on
    /// their way bring more than long ones that wait for each other.
    pub(crate) fn within(reader_bytes: usize, unread_bytes: usize) -> Self {
        const WINDOWS: usize = 4;
        let most_bytes = (reader_bytes / WINDOWS).max(Self::LEAST_BYTES);
        let first_bytes = unread_bytes.clamp(Self::LEAST_BYTES, most_bytes);
        Self { first_bytes, most_bytes, ahead: (reader_bytes / most_bytes).max(2) - 1 }
    }
}

impl Default for WindowSizes {
    fn default() -> Self {
        Self { first_bytes: 1 << 20, most_bytes: DEFAULT_WINDOW_BYTES, ahead: 1 }
    }
}

/// About a minute of attempts.
const DEFAULT_RETRIES: usize = 8;

impl CloudOptions {
    /// Nothing is set: no credentials, no files.
    #[must_use]
    pub fn new() -> Self {
        Self { settings: BTreeMap::new(), windows: WindowSizes::default(), retries: DEFAULT_RETRIES }
    }

    /// What the environment of this process says now.
    #[must_use]
    pub fn from_env() -> Self {
        let texts = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let ours =
            |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name);
        // An empty variable counts as unset, as it does for the clouds' own tools.
        let settings = texts.filter(|(name, value)| ours(name) && !value.is_empty()).collect();
        Self { settings, ..Self::new() }
    }

    /// Sets a variable as if the environment had it.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// Sets the most bytes that one request of a reader asks for (8 MiB unless set; at least 64 KiB). A reader holds
    /// twice as many at most.
    #[must_use]
    pub fn window_bytes(mut self, bytes: usize) -> Self {
        self.windows.most_bytes = bytes.max(WindowSizes::LEAST_BYTES);
        self
    }

    /// Sets how often a request that failed for the moment is tried again (8 times unless set): with growing pauses, and
    /// no more after two minutes.
    #[must_use]
    pub fn retries(mut self, times: usize) -> Self {
        self.retries = times;
        self
    }

    pub(super) fn most_retries(&self) -> usize {
        self.retries
    }

    pub(crate) fn with_windows(self, windows: WindowSizes) -> Self {
        Self { windows, ..self }
    }

    pub(super) fn windows(&self) -> WindowSizes {
        self.windows
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// The first of these variables that is set.
    pub(super) fn first_of(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Whether a switch is on, with the words that object_store takes for it.
    pub(super) fn is_on(&self, name: &str) -> bool {
        let on =
            |value: &str| ["1", "true", "on", "yes", "y"].iter().any(|word| value.eq_ignore_ascii_case(word));
        self.get(name).is_some_and(on)
    }

    /// The variables that begin so.
    pub(super) fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(move |(name, _)| name.starts_with(prefix))
    }
}

impl Default for CloudOptions {
    /// That of the environment.
    fn default() -> Self {
        Self::from_env()
    }
}

impl fmt::Debug for CloudOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.settings.keys().collect();
        f.debug_struct("CloudOptions").field("set", &names).field("windows", &self.windows).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_fit_into_what_a_reader_may_hold() {
        const KIB: usize = 1 << 10;
        for reader_bytes in [256 * KIB, 1000 * KIB, 2 << 20, 4 << 20, 16 << 20] {
            for unread_bytes in [0, 100 * KIB, 32 << 20] {
                let sizes = WindowSizes::within(reader_bytes, unread_bytes);
                assert!((sizes.ahead + 1) * sizes.most_bytes <= reader_bytes, "{sizes:?} of {reader_bytes}");
                assert!(sizes.ahead == 3 && sizes.first_bytes <= sizes.most_bytes, "{sizes:?}");
                assert!(sizes.first_bytes <= unread_bytes.max(64 * KIB), "{sizes:?} of {unread_bytes}");
            }
        }
        // The least that there is.
        let least = WindowSizes { first_bytes: 64 * KIB, most_bytes: 64 * KIB, ahead: 1 };
        assert_eq!(WindowSizes::within(0, 0), least);
    }
}
