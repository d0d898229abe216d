//! Quarantines for tests.

use serde_json::json;
use tempfile::TempDir;

use super::files::Marked;
use super::outcomes::Outcome;
use super::pairs::Files;

/// A record on that line, at ten times as many bytes.
pub(super) fn one(source: &str, line: u64) -> Outcome {
    let (byte, source) = (10 * line, source.to_owned());
    Outcome { source, line, byte, length: 0, lines: 1, count: 1, last_line: line, last_byte: byte }
}

/// The line that the sink writes for it.
pub(super) fn line_of(outcome: &Outcome) -> Vec<u8> {
    let number = |url: &str, value: u64| json!({ "url": url, "valueDecimal": value });
    let mut parts = vec![
        json!({ "url": "source", "valueString": outcome.source }),
        number("line", outcome.line),
        number("byte", outcome.byte),
        number("length", outcome.length),
        number("lines", outcome.lines),
        number("ordinal", 1),
        number("at", 0),
    ];
    if outcome.count > 1 {
        parts.push(number("count", outcome.count));
        parts.push(number("lastLine", outcome.last_line));
        parts.push(number("lastByte", outcome.last_byte));
    }
    let issue = json!({
        "severity": "error",
        "code": "structure",
        "details": { "coding": [{ "system": "urn:fhirline:fault", "code": "not-json" }], "text": "not JSON" },
        "extension": [{ "url": "urn:fhirline:reject", "extension": parts }],
    });
    let mut line = json!({ "resourceType": "OperationOutcome", "issue": [issue] }).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Both files of a quarantine, to be changed before they are written.
pub(super) struct Quarantine {
    folder: TempDir,
    pub(super) raw: Vec<u8>,
    pub(super) outcomes: Vec<u8>,
}

impl Quarantine {
    pub(super) fn new() -> Self {
        Self { folder: TempDir::new().expect("a folder"), raw: Vec::new(), outcomes: Vec::new() }
    }

    /// Adds records with their outcome, whose length is that of the first.
    pub(super) fn add(&mut self, outcome: &Outcome, records: &[&str]) {
        let length = if outcome.length == 0 { records[0].len() as u64 } else { outcome.length };
        self.outcomes.extend_from_slice(&line_of(&Outcome { length, ..outcome.clone() }));
        for record in records {
            self.raw.extend_from_slice(record.as_bytes());
            self.raw.push(b'\n');
        }
    }

    pub(super) fn files(&self) -> Files {
        let file = |name: &str, bytes: &[u8]| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            Marked::new(path).expect("there")
        };
        Files { raw: file("lines.raw", &self.raw), outcomes: file("outcome.ndjson", &self.outcomes) }
    }
}
