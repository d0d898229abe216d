//! What an attempt's end means for its export.

use std::error::Error;
use std::io;
use std::time::Duration;

use fhirline::{Event, ExitStatus, HttpError, JobError, Report, RunError};
use serde_json::{Value, json};

use super::next_attempt;
use crate::State;
use crate::clock::{after, now_ms};
use crate::config::Config;
use crate::store::{Ended, ExportRow};

/// Who waits for another run at the same destination asks again soon.
const BUSY: Duration = Duration::from_secs(2);

/// What went wrong with the source, as far as it matters here.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    has_ended: bool,
    /// How long the server wants to be left alone.
    asked_wait: Duration,
}

impl Trouble {
    pub(super) fn see(&mut self, event: &Event<'_>) {
        if let Event::SourceEnded { error: Some(error), .. } = event {
            self.see_error(*error);
        }
    }

    /// Looks through all causes for what a server said.
    fn see_error(&mut self, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            let http = error.downcast_ref::<io::Error>().and_then(HttpError::of).or(error.downcast_ref());
            match http {
                // The API says that there is no such export any more, after its signed links were renewed.
                Some(
                    HttpError::Refused { status, .. }
                    | HttpError::NotRenewed { status, .. }
                    | HttpError::Expired { status, .. },
                ) => return self.has_ended |= matches!(status, 403 | 404 | 410),
                Some(HttpError::TryLater { wait, .. }) => return self.asked_wait = *wait,
                _ => next = error.source(),
            }
        }
    }
}

/// The state of a run that is complete; `None` if it is not.
pub(super) fn state_of(status: ExitStatus) -> Option<State> {
    match status {
        ExitStatus::Complete => Some(State::Done),
        ExitStatus::Quarantined => Some(State::DoneWithRejects),
        ExitStatus::Mismatch => Some(State::Mismatch),
        _ => None,
    }
}

/// Of an output that an earlier attempt had finished.
pub(super) fn of_account(account: Value) -> Ended {
    let conditions = account["conditions"].as_array().cloned().unwrap_or_default();
    let has = |status: ExitStatus| conditions.iter().any(|one| *one == json!(status));
    let worst = [ExitStatus::Mismatch, ExitStatus::Quarantined].into_iter().find(|status| has(*status));
    let state = worst.and_then(state_of).unwrap_or(State::Done);
    Ended::Finished { state, report: account }
}

/// Of a source that was not read to its end.
pub(super) fn of_incomplete(
    config: &Config,
    export: &ExportRow,
    report: &Report,
    trouble: &Trouble,
) -> Ended {
    let causes = report.account.sources.failures.first().map(|failure| failure.causes.join(": "));
    let failure = causes.unwrap_or_else(|| "the export could not be read to its end".to_owned());
    if trouble.has_ended { expired(config, failure) } else { again(config, export, trouble, failure, None) }
}

/// Of a run that could not be done.
pub(super) fn of_error(
    config: &Config,
    export: &ExportRow,
    error: &JobError,
    trouble: &mut Trouble,
) -> Ended {
    let failure = causes_of(error);
    if matches!(error, JobError::Run(RunError::Cancelled)) {
        return Ended::Stopped;
    }
    if matches!(error, JobError::InUse { .. }) {
        return Ended::Again { failure, due_at: after(now_ms(), BUSY) };
    }
    trouble.see_error(error);
    if trouble.has_ended {
        return expired(config, failure);
    }
    let passes = error.exit_status() == ExitStatus::Failed || matches!(error, JobError::Sources(_));
    if passes && !matches!(error, JobError::Run(RunError::TooManyRejects { .. })) {
        return again(config, export, trouble, failure, error.hint());
    }
    Ended::Failed { failure, action: error.hint() }
}

/// Of a destination that refuses.
pub(super) fn of_io(config: &Config, export: &ExportRow, name: String, error: io::Error) -> Ended {
    let is_taken = matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory);
    let error = JobError::Destination { action: "use", name, source: error };
    let failure = causes_of(&error);
    if is_taken {
        let action = "move away what is in its place, and try the export again".to_owned();
        return Ended::Failed { failure, action: Some(action) };
    }
    again(config, export, &Trouble::default(), failure, error.hint())
}

/// Of a defect.
pub(super) fn of_panic() -> Ended {
    let failure = "the run ended by a defect of fhirline".to_owned();
    Ended::Failed { failure, action: Some("report it, with the log of the service".to_owned()) }
}

fn expired(config: &Config, failure: String) -> Ended {
    Ended::Expired { failure, request_again: config.re_request }
}

fn again(
    config: &Config,
    export: &ExportRow,
    trouble: &Trouble,
    failure: String,
    action: Option<String>,
) -> Ended {
    if export.attempts >= i64::try_from(config.max_attempts).unwrap_or(i64::MAX) {
        let failure = format!("{failure} (tried {} times)", export.attempts);
        return Ended::Failed { failure, action };
    }
    Ended::Again { failure, due_at: next_attempt(config.first_retry, export.attempts, trouble.asked_wait) }
}

/// All causes, from the outermost on. Errors of this program hold no secrets and no record.
fn causes_of(error: &JobError) -> String {
    let mut all = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        all = format!("{all}: {error}");
        next = error.source();
    }
    all
}
