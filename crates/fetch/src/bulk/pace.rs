use std::time::Duration;

use super::BulkError;
use crate::net;

/// No wait is longer than this.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How often the status of an export is asked for, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportPace {
    /// The first wait where the server names none. Each next one is twice as long.
    pub first_wait: Duration,
    /// The longest wait where the server names none.
    pub max_wait: Duration,
    /// The longest wait where the server names one (some ask for hours).
    pub max_asked_wait: Duration,
    /// Most answers in a row that are no answer: a broken connection, an overloaded server, an error that the server calls
    /// transient.
    pub max_faults: u32,
    /// The longest time for the whole export.
    pub max_total: Duration,
}

impl Default for ExportPace {
    /// 1 s to 60 s, at most an hour where the server asks for it; 10 faults in a row; 30 days in all (exports of weeks are
    /// known).
    fn default() -> Self {
        Self {
            first_wait: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
            max_asked_wait: Duration::from_secs(60 * 60),
            max_faults: 10,
            max_total: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

impl ExportPace {
    /// How long to wait for the next time, after `waits` waits. `chance` is from 0 to 1, so that many clients do not come
    /// together.
    pub(crate) fn wait(&self, waits: u32, asked: Option<Duration>, chance: f64) -> Duration {
        if let Some(asked) = asked {
            return asked.min(self.max_asked_wait).min(LONGEST);
        }
        let longest = self.first_wait.saturating_mul(1 << waits.min(20)).min(self.max_wait).min(LONGEST);
        longest.mul_f64(0.5 + chance / 2.0)
    }
}

/// Waits, unless told to stop: then it ends at once.
pub(crate) fn pause(wait: Duration, stopped: &dyn Fn() -> bool) -> Result<(), BulkError> {
    if net::pause(wait, stopped) { Ok(()) } else { Err(BulkError::Stopped) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_their_bound_and_differ() {
        let pace = ExportPace::default();
        let longest: Vec<_> = (0..9).map(|waits| pace.wait(waits, None, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pace.wait(u32::MAX, None, 0.0), Duration::from_secs(30));
    }

    #[test]
    fn the_server_may_ask_for_less_or_more() {
        let pace = ExportPace::default();
        for (asked, waited) in [(0, 0), (120, 120), (18_000, 3600), (u64::MAX, 3600)] {
            assert_eq!(pace.wait(9, Some(Duration::from_secs(asked)), 0.3).as_secs(), waited);
        }
    }
}
