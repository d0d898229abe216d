//! What rows there must be, by a reader that holds all and parses all.

use std::collections::BTreeMap;

use fhirline::sample::SampleCounts;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) rejected: bool,
    pub(crate) source: i64,
    pub(crate) byte: i64,
    pub(crate) line: i64,
    pub(crate) resource_type: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// One line that is not blank: where it begins, its bytes, and what it is if it is a resource.
struct Line<'l> {
    byte: usize,
    number: usize,
    bytes: &'l [u8],
    resource: Option<Value>,
}

/// Resources about the patients, and then whatever is no resource; both in order.
pub(crate) fn rows(sources: &[(String, Vec<u8>)], patients: &[String]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (source, (_, export)) in sources.iter().enumerate() {
        for line in lines(export) {
            let wanted = line.resource.as_ref().is_none_or(|resource| is_about(resource, patients));
            if wanted {
                rows.push(row(source, &line));
            }
        }
    }
    rows.sort();
    rows
}

/// The ids of all patients.
pub(crate) fn patients(export: &[u8]) -> Vec<String> {
    let resources = lines(export).into_iter().filter_map(|line| line.resource);
    let patients = resources.filter(|resource| resource["resourceType"] == "Patient");
    patients.filter_map(|patient| Some(patient["id"].as_str()?.to_owned())).collect()
}

/// What a sender would declare.
pub(crate) fn counts(sources: &[(String, Vec<u8>)]) -> SampleCounts {
    let mut counts = SampleCounts::default();
    let mut by_type = BTreeMap::new();
    for line in sources.iter().flat_map(|(_, export)| lines(export)) {
        if let Some(name) = line.resource.as_ref().and_then(|resource| resource["resourceType"].as_str()) {
            *by_type.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts.by_type = by_type;
    counts
}

fn lines(export: &[u8]) -> Vec<Line<'_>> {
    let (mut byte, mut lines) = (0, Vec::new());
    for (number, line) in export.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let bytes = line.trim_ascii();
        if !bytes.is_empty() {
            let resource = serde_json::from_slice::<Value>(bytes).ok();
            let resource = resource.filter(|value| value["resourceType"].is_string());
            lines.push(Line { byte, number: number + 1, bytes: line.trim_ascii(), resource });
        }
        byte += line.len();
    }
    lines
}

fn row(source: usize, line: &Line<'_>) -> Row {
    let text =
        |key: &str| line.resource.as_ref().and_then(|resource| resource[key].as_str().map(str::to_owned));
    let is_type = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Row {
        rejected: line.resource.is_none(),
        source: source as i64,
        byte: line.byte as i64,
        line: line.number as i64,
        resource_type: text("resourceType").filter(is_type),
        id: text("id").filter(|id| !id.contains('\0')),
        bytes: line.bytes.to_vec(),
    }
}

fn is_about(resource: &Value, patients: &[String]) -> bool {
    let is_listed = |id: &str| patients.iter().any(|patient| patient == id);
    if resource["resourceType"] == "Patient" {
        return resource["id"].as_str().is_some_and(is_listed);
    }
    ["subject", "patient", "beneficiary"].iter().any(|key| {
        let reference = resource[key]["reference"].as_str().unwrap_or_default();
        reference.strip_prefix("Patient/").is_some_and(is_listed)
    })
}
