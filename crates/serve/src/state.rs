use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an export is on its way.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// Asked for; the event that tells of its links has not come yet.
    Requested,
    /// Waits for a worker, or for its next attempt.
    Queued,
    /// Its connection was revoked, and what comes of such ones is held back.
    Held,
    /// A worker is at it.
    Running,
    /// Finished: everything was delivered.
    Done,
    /// Finished, with records in quarantine.
    DoneWithRejects,
    /// Finished, with other counts than the sender declares.
    Mismatch,
    /// Not finished, and not tried again.
    Failed,
    /// Its links have ended for good.
    Expired,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Requested,
        Self::Queued,
        Self::Held,
        Self::Running,
        Self::Done,
        Self::DoneWithRejects,
        Self::Mismatch,
        Self::Failed,
        Self::Expired,
    ];

    /// The name in the database and everywhere else.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Queued => "queued",
            Self::Held => "held",
            Self::Running => "running",
            Self::Done => "done",
            Self::DoneWithRejects => "done_with_rejects",
            Self::Mismatch => "mismatch",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// Whether there is a finished output.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Done | Self::DoneWithRejects | Self::Mismatch)
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.is_finished() || matches!(self, Self::Failed | Self::Expired)
    }

    /// Whether new links begin it again: nothing is at work on it, and nothing came of it.
    #[must_use]
    pub fn takes_new_links(self) -> bool {
        matches!(self, Self::Requested | Self::Failed | Self::Expired)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no state has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no state has that name")]
pub struct UnknownState;

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.name() == name).ok_or(UnknownState)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_serde() {
        for state in State::ALL {
            assert_eq!(serde_json::to_string(&state).expect("JSON"), format!("\"{state}\""));
            assert_eq!(state.name().parse(), Ok(state));
            assert!(!(state.is_finished() && state.takes_new_links()));
        }
        assert_eq!("gone".parse::<State>(), Err(UnknownState));
    }
}
