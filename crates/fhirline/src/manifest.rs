//! `manifest.json`: a FHIR Bulk Data manifest (<https://hl7.org/fhir/uv/bulkdata/export.html>) with our account in its
//! `extension`.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use fhirline_core::Destination;

use crate::report::{Account, OutputReport};

/// The name of the manifest in a destination.
pub(crate) const NAME: &str = "manifest.json";
/// The type of what tells of errors.
const OUTCOME: &str = "OperationOutcome";
/// Manifests beyond this are not ours.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    /// No record is newer than this: the time at which the newest source was last changed.
    pub(crate) transaction_time: String,
    pub(crate) request: String,
    pub(crate) requires_access_token: bool,
    pub(crate) output: Vec<File>,
    /// What the manifests of the sources list as deleted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) deleted: Vec<File>,
    /// What they list as errors, and what tells of the quarantine.
    pub(crate) error: Vec<File>,
    pub(crate) extension: Extension,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct File {
    #[serde(rename = "type")]
    pub(crate) resource_type: String,
    pub(crate) url: String,
    pub(crate) count: u64,
    pub(crate) extension: FileExtension,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileExtension {
    pub(crate) bytes: u64,
    pub(crate) plain_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) checksum: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Extension {
    pub(crate) fhirline: Ours,
}

/// What tells that a manifest is ours, and what it needs to know again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ours {
    pub(crate) version: String,
    /// The options that decide what the outputs hold.
    pub(crate) options: serde_json::Value,
    /// A hash of the options and of what is known about the sources; `None` if they cannot be told apart (standard input).
    pub(crate) fingerprint: Option<String>,
    /// What stands beside the resources. Not among the outputs: whoever reads those reads resources. What has another place in
    /// a FHIR manifest is named there, too.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) sidecars: Vec<OutputReport>,
    /// The exact bytes of rejected records, if there are any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) rejected: Option<OutputReport>,
    pub(crate) account: Account,
}

impl Manifest {
    pub(crate) fn new(
        newest: SystemTime,
        outputs: &[OutputReport],
        quarantine: &[OutputReport],
        ours: Ours,
    ) -> Self {
        let of_outcomes = |file: &&OutputReport| file.name.ends_with(".ndjson");
        let of = |sidecar: Destination, resource_type: &str| {
            let files = ours.sidecars.iter().filter(|file| is_of(file, sidecar));
            files.map(|report| file(report, resource_type)).collect::<Vec<_>>()
        };
        let mut error = of(Destination::Errors, OUTCOME);
        error.extend(quarantine.iter().filter(of_outcomes).map(|report| file(report, OUTCOME)));
        Self {
            transaction_time: instant(newest),
            request: "urn:fhirline:split".to_owned(),
            requires_access_token: false,
            output: outputs.iter().map(|report| file(report, OUTCOME)).collect(),
            deleted: of(Destination::Deleted, "Bundle"),
            error,
            extension: Extension { fhirline: ours },
        }
    }

    /// The names of all files that belong to it, without its own.
    pub(crate) fn file_names(&self) -> impl Iterator<Item = &str> {
        self.file_sizes().map(|(name, _)| name)
    }

    /// The same with their stored bytes.
    pub(crate) fn file_sizes(&self) -> impl Iterator<Item = (&str, u64)> {
        let is_sidecar = |file: &&File| self.others().any(|sidecar| sidecar.name == file.url);
        let listed = self.output.iter().chain(self.error.iter().filter(move |file| !is_sidecar(file)));
        let listed = listed.map(|file| (file.url.as_str(), file.extension.bytes));
        listed.chain(self.others().map(|file| (file.name.as_str(), file.stored_bytes)))
    }

    /// The files that are no outputs, but for the one that tells of the quarantine.
    fn others(&self) -> impl Iterator<Item = &OutputReport> {
        let Ours { sidecars, rejected, .. } = &self.extension.fhirline;
        sidecars.iter().chain(rejected)
    }

    /// The outputs as they were reported.
    pub(crate) fn outputs(&self) -> Vec<OutputReport> {
        let output = |file: &File| OutputReport {
            name: file.url.clone(),
            resource_type: Some(file.resource_type.clone()),
            records: file.count,
            plain_bytes: file.extension.plain_bytes,
            stored_bytes: file.extension.bytes,
            checksum: file.extension.checksum.clone(),
        };
        self.output.iter().map(output).collect()
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists of them into memory: nothing here can fail.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

/// A time as FHIR writes it. What a file system says of a file may lie outside of the years that can be written: before 1970,
/// after 9999.
pub(crate) fn instant(time: SystemTime) -> String {
    let earliest = SystemTime::UNIX_EPOCH;
    let latest = earliest + Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(time.clamp(earliest, latest)).to_string()
}

/// Whether a file holds that sidecar.
pub(crate) fn is_of(file: &OutputReport, sidecar: Destination) -> bool {
    file.name.split('.').next() == Some(sidecar.name())
}

fn file(report: &OutputReport, otherwise: &str) -> File {
    File {
        resource_type: report.resource_type.clone().unwrap_or_else(|| otherwise.to_owned()),
        url: report.name.clone(),
        count: report.records,
        extension: FileExtension {
            bytes: report.stored_bytes,
            plain_bytes: report.plain_bytes,
            checksum: report.checksum.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_cannot_be_written_are_the_nearest_that_can() {
        let from_1970 = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let before = SystemTime::UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(instant(before), "1970-01-01T00:00:00Z");
        assert_eq!(from_1970(1_000_000_000).map(instant).as_deref(), Some("2001-09-09T01:46:40Z"));
        assert_eq!(from_1970(300_000_000_000).map(instant).as_deref(), Some("9999-12-31T23:59:59Z"));
    }
}
