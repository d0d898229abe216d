//! Wrong tokens are few, whoever sends them: guessing gets no further by being many.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// After a wrong one the next one is free in so many milliseconds,
const EACH_MS: i64 = 6_000;
/// and so many are free at once.
const AT_ONCE: i64 = 10;

/// How many were wrong lately, as the time (milliseconds since 1970) at which all of them are forgotten. One number counts all senders: a
/// list of them would be as long as whoever guesses wants it to be.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<i64>);

impl Failures {
    /// Whether it is right, if not too many were wrong: else it is not even looked at, and the next one is in that time.
    pub(super) fn unless_too_many(
        &self,
        now: i64,
        is_right: impl FnOnce() -> bool,
    ) -> Result<bool, Duration> {
        let mut forgotten_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back makes nobody wait for longer than all of them together.
        *forgotten_at = (*forgotten_at).clamp(now, now + AT_ONCE * EACH_MS);
        let too_long = *forgotten_at + EACH_MS - (now + AT_ONCE * EACH_MS);
        if let Ok(wait @ 1..) = u64::try_from(too_long) {
            return Err(Duration::from_millis(wait));
        }
        let is_right = is_right();
        if !is_right {
            *forgotten_at += EACH_MS;
        }
        Ok(is_right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    /// How many wrong ones are looked at from then on, one each millisecond.
    fn wrong_ones(failures: &Failures, from: i64, most: i64) -> usize {
        (from..from + most).filter(|now| failures.unless_too_many(*now, || false).is_ok()).count()
    }

    #[test]
    fn wrong_ones_are_few_a_minute_and_right_ones_are_not_counted() {
        let failures = Failures::default();
        for now in 0..1000 {
            assert_eq!(failures.unless_too_many(now, || true), Ok(true));
        }
        assert_eq!(wrong_ones(&failures, 1000, 5000), 10);
        let wait = failures.unless_too_many(6000, || panic!("it is looked at")).expect_err("too many");
        assert_eq!(wait, Duration::from_millis(1000), "the first one was wrong at 1000");
        assert_eq!(failures.unless_too_many(7000, || true), Ok(true));
        assert_eq!(wrong_ones(&failures, 7000, 10 * MINUTE_MS), 100, "one in six seconds");
        assert_eq!(wrong_ones(&failures, 20 * MINUTE_MS, 1000), 10, "they are forgotten");
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out_for_long() {
        let failures = Failures::default();
        assert_eq!(wrong_ones(&failures, 1000 * MINUTE_MS, 5000), 10);
        let wait = failures.unless_too_many(0, || true).expect_err("too many");
        assert_eq!(wait, Duration::from_millis(6000));
        assert_eq!(failures.unless_too_many(6000, || true), Ok(true));
    }
}
