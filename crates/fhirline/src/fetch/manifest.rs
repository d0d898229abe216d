//! The `manifest.json` of a download: a FHIR Bulk Data manifest (<https://hl7.org/fhir/uv/bulkdata/export.html>) with what we
//! need to know again in its `extension`.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::note::{ExportMark, FileNote};
use super::wanted::Part;
use crate::manifest::instant;

const KIND: &str = "download";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DownloadManifest {
    /// No record is newer than this: the time at which the newest source was last changed.
    transaction_time: String,
    request: String,
    requires_access_token: bool,
    /// Says that there are header lines, which are no data, in the outputs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    output_organized_by: Option<String>,
    output: Vec<File>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    deleted: Vec<File>,
    error: Vec<File>,
    pub(crate) extension: Extension,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    resource_type: Option<String>,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    count: Option<u64>,
    extension: FileExtension,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileExtension {
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    checksum: Option<String>,
    source: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Extension {
    pub(crate) fhirline: Ours,
}

/// What tells that a manifest is that of a download of ours.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ours {
    kind: String,
    version: String,
    /// How files are hashed.
    pub(crate) checksum: Option<String>,
    /// The export whose files these are, if they are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) export: Option<ExportMark>,
    /// All files, in the order of the sources.
    pub(crate) files: Vec<FileNote>,
}

impl DownloadManifest {
    pub(crate) fn new(checksum: Option<String>, export: Option<&ExportMark>, files: Vec<FileNote>) -> Self {
        let said = |what: fn(&ExportMark) -> Option<String>| export.and_then(what);
        let newest = files.iter().filter_map(|file| file.begun.as_ref()?.modified()).max();
        let of = |parts: &[Part]| {
            files.iter().filter(|note| parts.contains(&note.part)).filter_map(file).collect()
        };
        let organized = files.iter().any(|note| note.part == Part::Organized);
        Self {
            transaction_time: said(|export| export.transaction_time.clone())
                .unwrap_or_else(|| instant(newest.unwrap_or_else(SystemTime::now))),
            request: said(|export| Some(export.url.clone()))
                .unwrap_or_else(|| "urn:fhirline:fetch".to_owned()),
            requires_access_token: false,
            // By what is not known of a manifest that was read from a folder.
            output_organized_by: said(|export| export.organized_by.clone())
                .or_else(|| organized.then(|| "Resource".to_owned())),
            output: of(&[Part::Output, Part::Organized]),
            deleted: of(&[Part::Deleted]),
            error: of(&[Part::Error]),
            extension: Extension {
                fhirline: Ours {
                    kind: KIND.to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    checksum,
                    export: export.cloned(),
                    files,
                },
            },
        }
    }

    /// Makes sense of a manifest; `None` if it is not that of a download of ours.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(json).ok().filter(|manifest| manifest.extension.fhirline.kind == KIND)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists of them into memory: nothing here can fail.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// The names of all files that belong to it, with their bytes; without its own.
    pub(crate) fn file_sizes(&self) -> impl Iterator<Item = (&str, u64)> {
        let done = self.extension.fhirline.files.iter().filter_map(|file| file.done.as_ref());
        done.map(|done| (done.name.as_str(), done.bytes))
    }
}

fn file(note: &FileNote) -> Option<File> {
    let done = note.done.as_ref()?;
    Some(File {
        resource_type: note.resource_type.clone(),
        url: done.name.clone(),
        count: note.count,
        extension: FileExtension {
            bytes: done.bytes,
            checksum: done.checksum.clone(),
            source: note.source.clone(),
        },
    })
}
