use std::fmt;

use serde::{Deserialize, Serialize};

/// How a run ended, as the exit status of the process. The numbers are part of the interface.
///
/// If several apply, the most severe is told: usage (2), failed (1), incomplete (5), mismatch (4), quarantined (3),
/// complete (0). All that apply are in the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum ExitStatus {
    /// 0: everything was read and delivered.
    #[default]
    Complete = 0,
    /// 1: the run failed.
    Failed = 1,
    /// 2: what was asked for makes no sense, or was refused before anything was done.
    Usage = 2,
    /// 3: complete, with records in quarantine.
    Quarantined = 3,
    /// 4: complete, but the counts do not match what the sender declared.
    Mismatch = 4,
    /// 5: a source was incomplete.
    Incomplete = 5,
    /// 130: stopped by Ctrl-C.
    Interrupted = 130,
}

impl ExitStatus {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The one of two that is told.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        if other.severity() > self.severity() { other } else { self }
    }

    fn severity(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Quarantined => 1,
            Self::Mismatch => 2,
            Self::Incomplete => 3,
            Self::Failed => 4,
            Self::Usage => 5,
            Self::Interrupted => 6,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Usage => "refused",
            Self::Quarantined => "complete, with records in quarantine",
            Self::Mismatch => "complete, but the counts do not match what the sender declared",
            Self::Incomplete => "a source was incomplete",
            Self::Interrupted => "stopped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_severe_wins() {
        let by_severity = [
            ExitStatus::Usage,
            ExitStatus::Failed,
            ExitStatus::Incomplete,
            ExitStatus::Mismatch,
            ExitStatus::Quarantined,
            ExitStatus::Complete,
        ];
        for (place, worse) in by_severity.iter().enumerate() {
            for other in &by_severity[place..] {
                assert_eq!(other.or_worse(*worse), *worse);
                assert_eq!(worse.or_worse(*other), *worse);
            }
        }
        assert_eq!(by_severity.map(ExitStatus::code), [2, 1, 5, 4, 3, 0]);
    }
}
