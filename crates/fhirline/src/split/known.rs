use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use fhirline_core::{ChecksumKind, Identity, ResourceType, Setting};
use fhirline_fetch::Found;
use fhirline_flow::RejectLimit;
use fhirline_route::Proof;
use fhirline_sink::Codec;

use crate::replay::Replay;
use crate::{Job, SplitJob};

/// Where the options tell which export the sources are from.
pub(super) const EXPORT: &str = "export";

/// Where they tell the name of the filter.
const FILTER: &str = "filter";

/// The options as they are written down, and as callers set them.
const OPTIONS: [(&str, &str); 19] = [
    ("types", Setting::Types.name()),
    ("exceptTypes", Setting::ExceptTypes.name()),
    ("compress", Setting::Codec.name()),
    ("level", Setting::Level.name()),
    ("maxFileBytes", Setting::MaxFileBytes.name()),
    ("maxFileRecords", Setting::MaxFileRecords.name()),
    ("maxLineBytes", Setting::MaxLineBytes.name()),
    ("maxRatio", Setting::MaxRatio.name()),
    ("maxDecodedBytes", Setting::MaxDecodedBytes.name()),
    ("checksum", Setting::Checksum.name()),
    ("maxRejects", Setting::MaxRejects.name()),
    ("allowIncomplete", Setting::AllowIncomplete.name()),
    ("trustInput", Setting::TrustInput.name()),
    ("keepBundles", Setting::KeepBundles.name()),
    ("keepEntryMetadata", Setting::KeepEntryMetadata.name()),
    ("expected", Setting::Expectation.name()),
    ("replay", "the quarantine that is run again"),
    (EXPORT, "the export"),
    (FILTER, "the filter"),
];

/// What is known of a run before it begins.
pub(crate) struct Known {
    pub(crate) options: Value,
    /// A hash of the options and of what is known about the sources; `None` if one of them is a stream, which nobody can tell
    /// from another.
    pub(crate) fingerprint: Option<String>,
    /// When the newest source was last changed.
    pub(crate) newest: Option<SystemTime>,
    /// Whether there is a source at all, be it one that cannot be read.
    pub(crate) any_source: bool,
}

impl Known {
    /// Looks at the options and the sources, without reading any.
    pub(crate) fn of(job: &Job, to: &SplitJob) -> Self {
        let options = options_of(job, to);
        let mut hash = Sha256::new();
        hash.update(options.to_string());
        let (mut newest, mut streams, mut any_source) = (None, false, false);
        for found in job.sources.expand() {
            any_source |= !matches!(found, Ok(Found::Skipped { .. }));
            let identity = match found {
                Ok(Found::Skipped { .. }) => continue,
                Ok(Found::Source { origin, role, declared, .. }) => {
                    hash.update(format!("{role:?} {declared:?}"));
                    origin.identity().map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            if let Ok(identity) = &identity {
                streams |= identity.stored_bytes.is_none();
                newest = newest.max(identity.modified);
                hash.update(format!("{:?}", place_of(identity)));
            }
            hash.update(format!("{identity:?}"));
        }
        Self { options, fingerprint: (!streams).then(|| hex(hash)), newest, any_source }
    }

    /// What a run must have in common with this one to be continued by it, beside the sources.
    pub(crate) fn run(&self) -> Box<RawValue> {
        // Strings, numbers and lists of them into memory: nothing here can fail.
        to_raw_value(&json!({ "version": env!("CARGO_PKG_VERSION"), "options": self.options }))
            .unwrap_or_default()
    }

    /// In what an interrupted run differs from this one; empty if in nothing.
    pub(crate) fn differences_to_run(&self, run: &RawValue) -> Vec<String> {
        let run: Value = serde_json::from_str(run.get()).unwrap_or_default();
        match run["version"].as_str() {
            Some(env!("CARGO_PKG_VERSION")) => self.differences(&run["options"]),
            _ => vec!["the version of fhirline".to_owned()],
        }
    }

    /// In which options another run differs from this one.
    pub(crate) fn differences(&self, theirs: &Value) -> Vec<String> {
        if self.options == *theirs {
            return Vec::new();
        }
        let differs = |key: &str| self.options[key] != theirs[key];
        let named = OPTIONS.into_iter().filter(|(key, _)| differs(key));
        // The usual level follows from the codec.
        let named = named.filter(|(key, _)| *key != "level" || !differs("compress"));
        let named: Vec<String> = named.map(|(_, option)| option.to_owned()).collect();
        if named.is_empty() { vec!["options of another version of fhirline".to_owned()] } else { named }
    }
}

/// The same name may mean another file in another folder. A URL means the same everywhere.
fn place_of(identity: &Identity) -> Option<PathBuf> {
    let is_url = identity.tag.is_some() || identity.name.contains("://");
    if is_url { None } else { fs::canonicalize(&identity.name).ok() }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The options that decide what the outputs hold, and how the run ends. What the sender declared is hashed: names in it are
/// not ours to repeat.
fn options_of(job: &Job, to: &SplitJob) -> Value {
    let codec = match to.encoding.codec() {
        Codec::None => "none",
        Codec::Gzip => "gzip",
        Codec::Zstd => "zstd",
    };
    let names = |types: &std::collections::BTreeSet<ResourceType>| -> Vec<String> {
        types.iter().map(ToString::to_string).collect()
    };
    let mut options = json!({
        "types": names(&job.selection.only),
        "exceptTypes": names(&job.selection.except),
        "compress": codec,
        "level": to.encoding.level(),
        "maxFileBytes": to.max_file_bytes,
        "maxFileRecords": to.max_file_records,
        "maxLineBytes": job.max_line_bytes,
        "maxRatio": job.max_ratio,
        "maxDecodedBytes": job.max_decoded_bytes,
        "checksum": to.checksum.map(ChecksumKind::name),
        "maxRejects": job.max_rejects.map(|limit: RejectLimit| limit.to_string()),
        "allowIncomplete": job.allow_incomplete,
        "trustInput": job.proof == Proof::Trusted,
        "keepBundles": job.keep_bundles,
        "keepEntryMetadata": to.keep_entry_metadata,
        "expected": job.expectation.as_ref().map(|expected| hex(Sha256::new_with_prefix(format!("{expected:?}")))),
        "replay": job.replay.as_ref().map(Replay::fingerprint),
    });
    // Not there for all others, so that they are as they were.
    if let Some(export) = &job.export {
        options[EXPORT] = json!(export);
    }
    if let Some(filters) = &job.filters {
        options[FILTER] = json!(filters.names());
    }
    options
}
