//! How trouble is told: `error:`, `caused by:`, `hint:`. Never with a byte of a record.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::panic::{self, Location};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::Context;

use fhirline::{ExitStatus, FailureReport, FetchFailureReport, JobError, RunError};

use crate::wording::in_options;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const CAUSE: Style = Style::new().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// The text of a panic may hold what it was about; only its place is told.
pub(crate) fn silence_panics() {
    panic::set_hook(Box::new(|panic| {
        line(ERROR, "error", &defect(panic.location()));
        line(HINT, "  hint", &"please report it; no output that is incomplete has a final name");
    }));
}

/// A panic, which has been told by then, is a run that failed.
pub(crate) fn guarded(run: impl FnOnce() -> ExitCode + panic::UnwindSafe) -> ExitCode {
    panic::catch_unwind(run).unwrap_or_else(|_| ExitCode::from(ExitStatus::Failed.code()))
}

fn defect(at: Option<&Location<'_>>) -> String {
    let place = at.map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
    format!("fhirline met a defect of its own{place}")
}

/// Something around a run that broke: a report that cannot be written, a folder that cannot be made.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The exit status of an error. What is neither a job's own nor broken was asked for in a way that makes no sense.
pub(crate) fn status_of(error: &anyhow::Error) -> ExitStatus {
    let otherwise = if error.is::<Broken>() || is_of_connect(error) || is_of_service(error) {
        ExitStatus::Failed
    } else {
        ExitStatus::Usage
    };
    job_error(error).map_or(otherwise, JobError::exit_status)
}

/// Whether a server would not do what was asked of it.
#[cfg(feature = "connect")]
fn is_of_connect(error: &anyhow::Error) -> bool {
    crate::connect::is_of_connect(error)
}

/// Without the feature `connect`.
#[cfg(not(feature = "connect"))]
fn is_of_connect(_: &anyhow::Error) -> bool {
    false
}

#[cfg(feature = "connect")]
fn hint_of_connect(error: &anyhow::Error) -> Option<String> {
    crate::connect::hint_of(error)
}

/// Without the feature `connect`.
#[cfg(not(feature = "connect"))]
fn hint_of_connect(_: &anyhow::Error) -> Option<String> {
    None
}

/// Whether the service could not go on.
#[cfg(feature = "serve")]
fn is_of_service(error: &anyhow::Error) -> bool {
    crate::serve::is_of_service(error)
}

/// Without the feature `serve`.
#[cfg(not(feature = "serve"))]
fn is_of_service(_: &anyhow::Error) -> bool {
    false
}

#[cfg(feature = "serve")]
fn hint_of_service(error: &anyhow::Error) -> Option<String> {
    crate::serve::hint_of(error)
}

/// Without the feature `serve`.
#[cfg(not(feature = "serve"))]
fn hint_of_service(_: &anyhow::Error) -> Option<String> {
    None
}

/// An error and what it was caused by.
pub(crate) fn causes(error: &anyhow::Error) -> Vec<String> {
    error.chain().map(|cause| in_options(&cause.to_string())).collect()
}

/// What can be done about an error.
pub(crate) fn hint_of(error: &anyhow::Error) -> Option<String> {
    let hint = hint_of_connect(error).or_else(|| hint_of_service(error));
    let hint = hint.or_else(|| job_error(error).and_then(JobError::hint));
    hint.map(|hint| in_options(&hint))
}

fn job_error(error: &anyhow::Error) -> Option<&JobError> {
    error.chain().find_map(|cause| cause.downcast_ref::<JobError>())
}

/// Tells an error and its causes, and returns its exit status.
pub(crate) fn tell(error: &anyhow::Error) -> ExitCode {
    let status = status_of(error);
    if status == ExitStatus::Complete {
        return ExitCode::SUCCESS;
    }
    let causes = causes(error);
    causes.iter().take(1).for_each(|error| line(ERROR, "error", error));
    causes.iter().skip(1).for_each(|cause| line(CAUSE, "  caused by", cause));
    if let Some(hint) = hint_of(error) {
        line(HINT, "  hint", &hint);
    }
    ExitCode::from(status.code())
}

/// Tells that the process ends in the middle of a run, as somebody asked.
pub(crate) fn tell_stopped() {
    line(ERROR, "error", &RunError::Cancelled);
}

/// Tells a source that could not be read to its end.
pub(crate) fn tell_failure(failure: &FailureReport) {
    let place = &failure.at;
    let stopped = match place.byte {
        0 => String::new(),
        byte => format!(" (stopped at line {}, byte {byte})", place.line),
    };
    tell_broken_source(&place.source, &stopped, &failure.causes, failure.hint.as_deref());
}

/// Tells a source that could not be fetched to its end.
pub(crate) fn tell_broken_download(failure: &FetchFailureReport) {
    let stopped = match failure.stored_bytes {
        0 => String::new(),
        bytes => format!(" (stopped at byte {bytes})"),
    };
    tell_broken_source(&failure.source, &stopped, &failure.causes, failure.hint.as_deref());
}

fn tell_broken_source(source: &str, stopped: &str, causes: &[String], hint: Option<&str>) {
    let mut causes = causes.iter().map(|cause| in_options(cause));
    let first = causes.next().unwrap_or_default();
    line(ERROR, "error", &format!("{source} {first}{stopped}"));
    causes.for_each(|cause| line(CAUSE, "  caused by", &cause));
    if let Some(hint) = hint {
        line(HINT, "  hint", &in_options(hint));
    }
}

/// Tells something that is no trouble at all.
pub(crate) fn note(text: impl Display) {
    line(CAUSE, "note", &text);
}

/// Tells something that is no error.
pub(crate) fn warn(text: impl Display) {
    line(WARNING, "warning", &text);
}

/// Tells what is wrong with the command line itself, in clap's own words. Help and version are no trouble.
pub(crate) fn tell_usage(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    if error.use_stderr() {
        return ExitCode::from(ExitStatus::Usage.code());
    }
    match on_standard_output(printed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tell(&error),
    }
}

/// What came of writing to standard output; a reader that has gone is no trouble.
pub(crate) fn on_standard_output(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context(Broken("cannot write to standard output".into()))
        }
        _ => Ok(()),
    }
}

/// A text as it may be shown: a name of a file can hold what moves the cursor or looks like a line of ours.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for one in text.chars() {
        if one.is_control() {
            escaped.extend(one.escape_default());
        } else {
            escaped.push(one);
        }
    }
    Cow::Owned(escaped)
}

/// One line on standard error. If even that cannot be written, there is nobody to tell.
fn line(style: Style, word: &str, text: &dyn Display) {
    let text = text.to_string();
    let _ = writeln!(anstream::stderr(), "{style}{word}:{style:#} {}", shown(&text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::thread;

    #[test]
    fn a_panic_is_told_without_its_text() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (into, here) = (Arc::clone(&told), thread::current().id());
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() == here {
                into.lock().expect("not poisoned").push(defect(info.location()));
            } else {
                before(info);
            }
        }));
        let secret = "a byte of a record";
        let unwound = panic::catch_unwind(|| panic!("{secret}")).is_err();
        let line = line!() - 1;
        drop(panic::take_hook());
        assert!(unwound);
        let expected = format!("fhirline met a defect of its own at {}:{line}", file!());
        assert_eq!(*told.lock().expect("not poisoned"), [expected]);
    }

    #[test]
    fn a_panic_is_a_failure() {
        let failed = format!("{:?}", ExitCode::from(ExitStatus::Failed.code()));
        assert_eq!(format!("{:?}", guarded(|| panic!("on purpose"))), failed);
        assert_eq!(format!("{:?}", guarded(|| ExitCode::SUCCESS)), format!("{:?}", ExitCode::SUCCESS));
    }

    #[test]
    fn control_characters_are_shown_as_text() {
        assert_eq!(shown("a\u{1b}[2J\nb\u{9b}é"), "a\\u{1b}[2J\\nb\\u{9b}é");
        assert!(matches!(shown("Ørsted.ndjson"), Cow::Borrowed(_)));
    }

    #[test]
    fn causes_are_told_from_the_outermost_to_the_innermost() {
        let error = anyhow::anyhow!("inner").context(Broken("outer".into()));
        assert_eq!(causes(&error), ["outer", "inner"]);
        assert_eq!(status_of(&error), ExitStatus::Failed);
        assert_eq!(status_of(&anyhow::anyhow!("inner")), ExitStatus::Usage);
    }
}
