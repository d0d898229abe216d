use serde::Serialize;

use fhirline_core::BadRecord;

/// The FHIR system and extension URLs of our reports.
const FAULT_SYSTEM: &str = "urn:fhirline:fault";
const REJECT_URL: &str = "urn:fhirline:reject";

/// One or more neighbouring rejected records with the same fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// Name of the source.
    pub(crate) source: String,
    pub(crate) why: BadRecord,
    /// Physical line on which the first record begins, from 1, and offset of its first byte in the decoded source.
    pub(crate) line: u64,
    pub(crate) byte: u64,
    /// Length of the first record in bytes.
    pub(crate) length: u64,
    /// Physical lines that each record spans in the source.
    pub(crate) lines: u64,
    /// Place of the first record in `lines.raw`, from 1.
    pub(crate) ordinal: u64,
    /// How many records; with more than one, where the last one begins.
    pub(crate) count: u64,
    pub(crate) last_line: u64,
    pub(crate) last_byte: u64,
}

/// Appends the record's OperationOutcome as one line of NDJSON.
///
/// Offsets are `valueDecimal`, since a FHIR R4 integer has 32 bits.
pub(crate) fn encode(rejected: &Rejected, into: &mut Vec<u8>) {
    let mut parts = vec![
        Part::text("source", &rejected.source),
        Part::number("line", rejected.line),
        Part::number("byte", rejected.byte),
        Part::number("length", rejected.length),
        Part::number("lines", rejected.lines),
        Part::number("ordinal", rejected.ordinal),
        Part::number("at", rejected.why.at),
    ];
    if rejected.count > 1 {
        parts.push(Part::number("count", rejected.count));
        parts.push(Part::number("lastLine", rejected.last_line));
        parts.push(Part::number("lastByte", rejected.last_byte));
    }
    let fault = rejected.why.fault;
    let outcome = OperationOutcome {
        resource_type: "OperationOutcome",
        issue: [Issue {
            severity: "error",
            code: fault.issue_type(),
            details: Details {
                coding: [Coding { system: FAULT_SYSTEM, code: fault.code() }],
                text: fault.to_string(),
            },
            extension: [Extension { url: REJECT_URL, extension: parts }],
        }],
    };
    // Strings and numbers into memory: nothing here can fail.
    if serde_json::to_writer(&mut *into, &outcome).is_ok() {
        into.push(b'\n');
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OperationOutcome<'r> {
    resource_type: &'static str,
    issue: [Issue<'r>; 1],
}

#[derive(Serialize)]
struct Issue<'r> {
    severity: &'static str,
    code: &'static str,
    details: Details,
    extension: [Extension<'r>; 1],
}

#[derive(Serialize)]
struct Details {
    coding: [Coding; 1],
    text: String,
}

#[derive(Serialize)]
struct Coding {
    system: &'static str,
    code: &'static str,
}

#[derive(Serialize)]
struct Extension<'r> {
    url: &'static str,
    extension: Vec<Part<'r>>,
}

#[derive(Serialize)]
struct Part<'r> {
    url: &'static str,
    #[serde(flatten)]
    value: Value<'r>,
}

#[derive(Serialize)]
enum Value<'r> {
    #[serde(rename = "valueString")]
    Text(&'r str),
    #[serde(rename = "valueDecimal")]
    Number(u64),
}

impl<'r> Part<'r> {
    fn text(url: &'static str, text: &'r str) -> Self {
        Self { url, value: Value::Text(text) }
    }

    fn number(url: &'static str, number: u64) -> Self {
        Self { url, value: Value::Number(number) }
    }
}
