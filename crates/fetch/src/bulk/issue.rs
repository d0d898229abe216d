use std::fmt;

use serde::Deserialize;

/// Most issues of one OperationOutcome that are kept.
const MAX_ISSUES: usize = 8;
/// Most bytes of an OperationOutcome that is read.
const MAX_BYTES: usize = 1 << 20;

/// What a server says is wrong: severity and code of an OperationOutcome's issue, never its text (which may hold data).
///
/// What is not among the codes that FHIR lists is shown as `unlisted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// `fatal`, `error`, `warning`, `information`, `success`.
    pub severity: &'static str,
    /// `processing`, `not-found`, `throttled`, ...
    pub code: &'static str,
}

impl Issue {
    /// Whether the same request may succeed later: the code is of the family `transient`.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        TRANSIENT.contains(&self.code)
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.severity, self.code)
    }
}

const UNLISTED: &str = "unlisted";

// https://hl7.org/fhir/R4/valueset-issue-severity.html, and `success` of R5
const SEVERITIES: [&str; 5] = ["fatal", "error", "warning", "information", "success"];

// https://hl7.org/fhir/R4/valueset-issue-type.html: `transient` and the codes below it
const TRANSIENT: [&str; 7] =
    ["transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled"];

// the rest of that list
const LASTING: [&str; 24] = [
    "invalid",
    "structure",
    "required",
    "value",
    "invariant",
    "security",
    "login",
    "unknown",
    "expired",
    "forbidden",
    "suppressed",
    "processing",
    "not-supported",
    "duplicate",
    "multiple-matches",
    "not-found",
    "deleted",
    "too-long",
    "code-invalid",
    "extension",
    "too-costly",
    "business-rule",
    "conflict",
    "informational",
];

#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(default)]
    issue: Vec<IssueForm>,
}

#[derive(Deserialize)]
struct IssueForm {
    severity: Option<String>,
    code: Option<String>,
}

/// The issues of a body, if it is an OperationOutcome.
pub(crate) fn issues_of(body: &[u8]) -> Vec<Issue> {
    if body.len() > MAX_BYTES {
        return Vec::new();
    }
    let Ok(outcome) = serde_json::from_slice::<Outcome>(body) else { return Vec::new() };
    if outcome.resource_type != "OperationOutcome" {
        return Vec::new();
    }
    outcome.issue.iter().take(MAX_ISSUES).map(issue).collect()
}

fn issue(form: &IssueForm) -> Issue {
    let listed = |list: &[&'static str], text: &Option<String>| {
        let text = text.as_deref()?;
        list.iter().copied().find(|listed| *listed == text)
    };
    Issue {
        severity: listed(&SEVERITIES, &form.severity).unwrap_or(UNLISTED),
        code: listed(&TRANSIENT, &form.code).or_else(|| listed(&LASTING, &form.code)).unwrap_or(UNLISTED),
    }
}

/// Issues as an error shows them.
pub(crate) fn listed(issues: &[Issue]) -> String {
    if issues.is_empty() {
        return String::new();
    }
    let issues = issues.iter().map(Issue::to_string).collect::<Vec<_>>().join(", ");
    format!(" ({issues})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_are_severity_and_code_and_nothing_else() {
        let body = br#"{"resourceType":"OperationOutcome","issue":[
            {"severity":"error","code":"throttled","diagnostics":"CANARY"},
            {"severity":"CANARY","code":"CANARY"},{"code":"not-found"}]}"#;
        let issues = issues_of(body);
        assert_eq!(listed(&issues), " (error throttled, unlisted unlisted, unlisted not-found)");
        assert_eq!(issues.iter().map(Issue::is_transient).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn what_is_no_outcome_has_no_issues() {
        for body in ["", "<html>", "[]", r#"{"issue":[{"severity":"error","code":"login"}]}"#] {
            assert_eq!(issues_of(body.as_bytes()), [], "{body}");
        }
    }

    #[test]
    fn endless_lists_are_cut() {
        let issues = vec![r#"{"severity":"error","code":"login"}"#; 100].join(",");
        let body = format!(r#"{{"resourceType":"OperationOutcome","issue":[{issues}]}}"#);
        assert_eq!(issues_of(body.as_bytes()).len(), MAX_ISSUES);
    }
}
