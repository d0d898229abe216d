use std::time::Duration;

use reqwest::Url;

use super::issue::issues_of;
use super::{Issue, ManifestError, StatusManifest};
use crate::{Answer, HttpError};

/// Most characters of `X-Progress`. The standard says fewer than 100.
const MAX_PROGRESS_CHARACTERS: usize = 100;

/// What an answer to a question for the status means.
pub(crate) enum Status {
    /// The export is being made.
    Working { progress: Option<String>, retry_after: Option<Duration> },
    /// A page of the manifest.
    Page(Box<StatusManifest>),
    /// Nothing is known; ask again.
    Faltering { status: u16, issues: Vec<Issue>, retry_after: Option<Duration> },
    /// It is over.
    Failed { status: u16, issues: Vec<Issue> },
}

/// Reads the answer that came from `url`.
pub(crate) fn status_of(answer: &Answer, url: &Url) -> Result<Status, ManifestError> {
    let status = export_status(answer.status(), answer.header("x-export-status"));
    let retry_after = answer.retry_after();
    match status {
        200 => StatusManifest::parse(answer.body(), url).map(|page| Status::Page(Box::new(page))),
        202 => Ok(working(answer, url, retry_after)),
        status => {
            let issues = issues_of(answer.body());
            Ok(if may_pass(status, &issues) {
                Status::Faltering { status, issues, retry_after }
            } else {
                Status::Failed { status, issues }
            })
        }
    }
}

/// The status of the export. Where the server keeps the two apart (`separate-export-status`), the answer's own is 200
/// and the export's stands in a header.
fn export_status(status: u16, separate: Option<&str>) -> u16 {
    let separate = separate.and_then(|text| text.split_whitespace().next()?.parse().ok());
    separate.filter(|_| status == 200).unwrap_or(status)
}

/// A manifest that comes early is followed if it links on; otherwise it comes again when it does, or is complete.
fn working(answer: &Answer, url: &Url, retry_after: Option<Duration>) -> Status {
    match StatusManifest::parse(answer.body(), url) {
        Ok(page) if page.next.is_some() => Status::Page(Box::new(page)),
        _ => Status::Working { progress: answer.header("x-progress").and_then(shown_progress), retry_after },
    }
}

/// Whether it may be better the next time: the server says so, or whatever stands before it. A bare 500 is the export's own
/// failure.
fn may_pass(status: u16, issues: &[Issue]) -> bool {
    matches!(status, 408 | 425 | 429 | 502 | 503 | 504)
        || (status >= 500 && issues.iter().any(Issue::is_transient))
}

fn shown_progress(text: &str) -> Option<String> {
    let text: String =
        text.trim().chars().filter(|c| !c.is_control()).take(MAX_PROGRESS_CHARACTERS).collect();
    (!text.is_empty()).then_some(text)
}

/// Whether the same question may get an answer the next time.
pub(crate) fn is_passing(error: &HttpError) -> bool {
    match error {
        HttpError::NoConnection { .. }
        | HttpError::Silent { .. }
        | HttpError::Broken { .. }
        | HttpError::Short { .. } => true,
        HttpError::GaveUp { source, .. } => is_passing(source),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_the_export_may_be_kept_apart() {
        for (status, header, export) in [
            (200, None, 200),
            (202, None, 202),
            (200, Some("202"), 202),
            (200, Some("202 Accepted"), 202),
            (200, Some("soon"), 200),
            (503, Some("200"), 503),
        ] {
            assert_eq!(export_status(status, header), export, "{status} {header:?}");
        }
    }

    #[test]
    fn progress_is_short_and_plain() {
        assert_eq!(shown_progress(" 45% \u{1b}[31mdone\u{7} "), Some("45% [31mdone".to_owned()));
        assert_eq!(shown_progress(&"é".repeat(1000)).map(|text| text.chars().count()), Some(100));
        assert_eq!(shown_progress(" \t "), None);
    }

    #[test]
    fn an_error_passes_when_the_server_says_so() {
        let issue = |code| vec![Issue { severity: "error", code }];
        assert!(may_pass(500, &issue("transient")));
        assert!(may_pass(500, &issue("lock-error")));
        assert!(!may_pass(500, &issue("processing")));
        assert!(!may_pass(500, &[]));
        assert!(!may_pass(404, &issue("transient")));
        assert!(may_pass(429, &[]) && may_pass(503, &[]));
    }
}
