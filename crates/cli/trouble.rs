//! How trouble is told: `error:`, `caused by:`, `hint:`. Never with a byte of a record.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use fhirline::{ExitStatus, FailureReport, JobError};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const CAUSE: Style = Style::new().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// The text of a panic may hold what it was about; only its place is told.
pub(crate) fn silence_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place =
            panic.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        line(ERROR, "error", &format!("fhirline met a defect of its own{place}"));
        line(HINT, "hint", &"please report it; no output that is incomplete has a final name");
    }));
}

/// Tells an error and its causes, and returns its exit status.
pub(crate) fn tell(error: &anyhow::Error) -> ExitCode {
    let job = error.chain().find_map(|cause| cause.downcast_ref::<JobError>());
    let status = job.map_or(ExitStatus::Usage, JobError::exit_status);
    if status == ExitStatus::Complete {
        return ExitCode::SUCCESS;
    }
    line(ERROR, "error", error);
    error.chain().skip(1).for_each(|cause| line(CAUSE, "  caused by", cause));
    if let Some(hint) = job.and_then(JobError::hint) {
        line(HINT, "  hint", &hint);
    }
    ExitCode::from(status.code())
}

/// Tells a source that could not be read to its end.
pub(crate) fn tell_failure(failure: &FailureReport) {
    let place = &failure.at;
    let mut causes = failure.causes.iter();
    let first = causes.next().map_or("", String::as_str);
    let text = format!("{} {first} (stopped at line {}, byte {})", place.source, place.line, place.byte);
    line(ERROR, "error", &text);
    causes.for_each(|cause| line(CAUSE, "  caused by", cause));
    if let Some(hint) = &failure.hint {
        line(HINT, "  hint", hint);
    }
}

/// Tells something that is no error.
pub(crate) fn warn(text: impl Display) {
    line(WARNING, "warning", &text);
}

/// Tells what is wrong with the command line itself, in clap's own words. Help and version are no trouble.
pub(crate) fn tell_usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(ExitStatus::Usage.code()) } else { ExitCode::SUCCESS }
}

/// One line on standard error. If even that cannot be written, there is nobody to tell.
fn line(style: Style, word: &str, text: &dyn Display) {
    let _ = writeln!(anstream::stderr(), "{style}{word}:{style:#} {text}");
}
