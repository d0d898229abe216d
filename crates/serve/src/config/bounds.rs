//! Numbers that make no sense, however they are meant: what would overflow, or could never be had.

use super::{ConfigError, File};

/// Ten years, in the units of days, hours and minutes that settings have.
const MAX_DAYS: u64 = 3_650;
const MAX_HOURS: u64 = MAX_DAYS * 24;
const MAX_MINUTES: u64 = MAX_HOURS * 60;
const MAX_SECONDS: u64 = 86_400;
/// More than a process has open files for.
const MAX_JOBS: u64 = 256;
/// 1 TiB.
const MAX_MEMORY_MIB: u64 = 1 << 20;

pub(super) fn check(file: &File) -> Result<(), ConfigError> {
    let all = [
        ("max_jobs", u64::try_from(file.max_jobs).unwrap_or(u64::MAX), MAX_JOBS),
        ("max_attempts", file.max_attempts, 1_000),
        ("lease_seconds", file.lease_seconds, MAX_SECONDS),
        ("stop_seconds", file.stop_seconds, MAX_SECONDS),
        ("keep_days", file.keep_days.unwrap_or_default(), MAX_DAYS),
        ("poll.first_minutes", file.poll.first_minutes, MAX_MINUTES),
        ("poll.every_minutes", file.poll.every_minutes, MAX_MINUTES),
        ("poll.most_hours", file.poll.most_hours, MAX_HOURS),
        ("split.memory_mib", file.split.memory_mib(), MAX_MEMORY_MIB),
    ];
    match all.into_iter().find(|(_, value, most)| value > most) {
        Some((name, _, most)) => Err(ConfigError::value(name, format!("must be {most} or less"))),
        None => Ok(()),
    }
}
