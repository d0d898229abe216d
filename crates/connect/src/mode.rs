use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which of the two worlds: each has its own keys, webhooks and signing secrets, on one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Synthetic patients.
    Test,
    /// Real ones.
    Live,
}

impl Mode {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Test, Self::Live];

    /// The name in events and keys: `test` or `live`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|mode| mode.name() == name).ok_or(UnknownMode)
    }
}

/// A mode that is neither `test` nor `live`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mode is test or live")]
pub struct UnknownMode;

/// Something of each mode, or of one of them. There is no way from what is of one mode to the other.
///
/// ```
/// use fhirline_connect::{Mode, PerMode};
///
/// let paths = PerMode::default().with(Mode::Test, "/webhooks/fasten/test");
/// assert_eq!(paths.get(Mode::Test), Some(&"/webhooks/fasten/test"));
/// assert_eq!(paths.get(Mode::Live), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerMode<T> {
    test: Option<T>,
    live: Option<T>,
}

impl<T> Default for PerMode<T> {
    fn default() -> Self {
        Self { test: None, live: None }
    }
}

impl<T> PerMode<T> {
    /// The same with this for that mode.
    #[must_use]
    pub fn with(mut self, mode: Mode, value: T) -> Self {
        match mode {
            Mode::Test => self.test = Some(value),
            Mode::Live => self.live = Some(value),
        }
        self
    }

    /// What there is for that mode.
    #[must_use]
    pub fn get(&self, mode: Mode) -> Option<&T> {
        match mode {
            Mode::Test => self.test.as_ref(),
            Mode::Live => self.live.as_ref(),
        }
    }

    /// All there is, test first.
    pub fn iter(&self) -> impl Iterator<Item = (Mode, &T)> {
        Mode::ALL.into_iter().filter_map(|mode| Some((mode, self.get(mode)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_named_as_in_events() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
            let written = serde_json::to_string(&mode).expect("JSON");
            assert_eq!(written, format!("\"{mode}\""));
        }
        assert_eq!("Test".parse::<Mode>(), Err(UnknownMode));
    }

    #[test]
    fn what_is_of_one_mode_stays_there() {
        let both = PerMode::default().with(Mode::Live, 1).with(Mode::Test, 2);
        assert_eq!(both.iter().collect::<Vec<_>>(), [(Mode::Test, &2), (Mode::Live, &1)]);
        assert_eq!(PerMode::default().with(Mode::Live, 1).iter().count(), 1);
    }
}
