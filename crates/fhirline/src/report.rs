use std::time::Instant;

use serde::{Deserialize, Serialize};

use fhirline_core::{ContainerTally, Destination, Ledger, Receipt, SidecarTally};
use fhirline_flow::{MemoryPlan, Outcome, Place, ResumedAt, SourceFailure, Totals};
use fhirline_sink::TypeStats;

use crate::{BundlesReport, ExitStatus, Reconciliation};

/// What came of a run: all that is worth knowing, without a byte of a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How the run ended; also the exit status of the command line.
    pub status: ExitStatus,
    /// The exit status as a number.
    pub exit_code: u8,
    /// Whether an earlier run had done all this already, and nothing was done now.
    pub already_complete: bool,
    /// Where an interrupted run was continued, if it was.
    #[serde(flatten)]
    pub resumed: Option<ResumedReport>,
    /// Why an interrupted run was begun afresh, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_afresh: Option<String>,
    /// The account: the same for every run over the same input with the same options.
    #[serde(flatten)]
    pub account: Account,
    /// The outputs, in order of their names.
    pub outputs: Vec<OutputReport>,
    /// The files beside them that hold no resources, in order of their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<OutputReport>,
    /// What the Bundles hold; for `bundle` only, once they have their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundles: Option<BundlesReport>,
    /// Lengths of records by type; for `stats` only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lengths: Vec<LengthReport>,
    /// How the memory was divided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryReport>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// Where an interrupted run was continued. Written as `resumed_from` with the place, and `reread_bytes`, the sum of the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "ResumedJson")]
#[non_exhaustive]
pub struct ResumedReport {
    /// Name of the source; empty if all were read.
    pub source: String,
    /// The first physical line that was read again.
    pub line: u64,
    /// The first byte in the decoded source that was read again.
    pub byte: u64,
    /// Decoded bytes before it that had to be decoded again: none if the source is not compressed.
    pub skipped_bytes: u64,
    /// Bytes of outputs behind it that were taken back, and written again.
    pub discarded_bytes: u64,
}

#[derive(Serialize)]
struct ResumedJson {
    resumed_from: PlaceReport,
    reread_bytes: u64,
}

impl From<ResumedReport> for ResumedJson {
    fn from(resumed: ResumedReport) -> Self {
        let reread_bytes = resumed.reread_bytes();
        let ResumedReport { source, line, byte, .. } = resumed;
        Self { resumed_from: PlaceReport { source, line, byte }, reread_bytes }
    }
}

impl ResumedReport {
    /// What was done a second time, in bytes.
    #[must_use]
    pub fn reread_bytes(&self) -> u64 {
        self.skipped_bytes.saturating_add(self.discarded_bytes)
    }
}

impl Report {
    /// The same of a run that began then.
    pub(crate) fn after(mut self, started: Instant) -> Self {
        self.seconds = started.elapsed().as_secs_f64();
        self
    }
}

/// The part of a report that follows from input and options alone. It is kept in the manifest, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Account {
    /// All conditions that apply, the most severe first; empty if everything was read and delivered.
    pub conditions: Vec<ExitStatus>,
    /// Where all records and bytes went.
    pub ledger: LedgerReport,
    /// Records and bytes by type.
    pub types: Vec<TypeReport>,
    /// Faults of rejected records, with the first place of each.
    pub faults: Vec<FaultReport>,
    /// The sources.
    pub sources: SourcesReport,
    /// Names of providers that containers gave: the first 1,000, in order of the names.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub providers: Vec<String>,
    /// How the counts compare with what the sender declared, if a declaration was given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reconciliation: Option<Reconciliation>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// A [`Ledger`] as it is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LedgerReport {
    /// Records read: delivered + filtered + quarantined.
    pub records: RecordsReport,
    /// Decoded bytes read, and where each of them went.
    pub bytes: BytesReport,
    /// Containers opened; left out if there are none.
    #[serde(skip_serializing_if = "ContainersReport::is_empty", default)]
    pub containers: ContainersReport,
    /// What the sender lists beside its data; left out if there is nothing.
    #[serde(skip_serializing_if = "SidecarsReport::is_empty", default)]
    pub sidecars: SidecarsReport,
    /// Lines with nothing but white space.
    pub blank_lines: u64,
    /// Delivered records with a top-level `resourceType` or `id` that stood more than once.
    pub duplicate_keys: u64,
    /// Delivered records that went to `_unknown`.
    pub unknown_types: u64,
}

/// Records by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the core's RecordTally")]
#[non_exhaustive]
pub struct RecordsReport {
    pub read: u64,
    pub delivered: u64,
    pub filtered: u64,
    pub quarantined: u64,
}

/// Decoded bytes by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the core's ByteTally")]
#[non_exhaustive]
pub struct BytesReport {
    pub read: u64,
    pub delivered: u64,
    pub filtered: u64,
    pub quarantined: u64,
    pub terminators: u64,
    pub white_space: u64,
    pub byte_order_marks: u64,
    pub container: u64,
    #[serde(default)]
    pub metadata: u64,
    pub sidecars: u64,
}

/// The containers that were opened, and what in them is no record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the core's ContainerTally")]
#[non_exhaustive]
pub struct ContainersReport {
    pub arrays: u64,
    pub bundles: u64,
    pub untyped_bundles: u64,
    pub signed_bundles: u64,
    pub provider_lists: u64,
    pub bare_entries: u64,
}

impl ContainersReport {
    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the sender lists beside its data, by line. None of it is a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the core's SidecarTally")]
#[non_exhaustive]
pub struct SidecarsReport {
    pub deleted: u64,
    pub errors: u64,
    pub headers: u64,
}

impl SidecarsReport {
    /// Whether there was nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Records and bytes of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TypeReport {
    /// The type; `_unknown` for names that do not look like one.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Records delivered.
    pub records: u64,
    /// Their bytes, without line ends.
    pub bytes: u64,
    /// Records left out on request.
    pub filtered: u64,
}

/// How often a fault occurred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FaultReport {
    /// The fault's code.
    pub fault: String,
    /// How many records have it.
    pub records: u64,
    /// The first of them.
    pub first: PlaceReport,
}

/// Where something stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlaceReport {
    /// Name of the source.
    pub source: String,
    /// Physical line, from 1.
    pub line: u64,
    /// Offset in the decoded source, in bytes from 0.
    pub byte: u64,
}

/// What became of the sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SourcesReport {
    /// Sources read, complete or not.
    pub read: u64,
    /// Sources that were legal and empty.
    pub empty: u64,
    /// Stored bytes read from all of them.
    pub stored_bytes: u64,
    /// Sources that could not be read to their end.
    pub failed: u64,
    /// The first 1,000 of them.
    pub failures: Vec<FailureReport>,
    /// Things in folders that were not read.
    pub skipped: u64,
    /// The first 1,000 of them.
    pub skipped_names: Vec<SkippedReport>,
}

/// A source that could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailureReport {
    /// Where reading stopped.
    #[serde(flatten)]
    pub at: PlaceReport,
    /// Why, from the outermost cause to the innermost.
    pub causes: Vec<String>,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// Records that were read before.
    pub records: u64,
}

/// Something that was not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SkippedReport {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// One finished output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutputReport {
    /// Its name in the destination.
    pub name: String,
    /// Whose records it holds; `None` for sidecars and for the files of the quarantine.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub resource_type: Option<String>,
    /// Records in it.
    pub records: u64,
    /// Its plain bytes, line ends included.
    pub plain_bytes: u64,
    /// Its bytes as stored.
    pub stored_bytes: u64,
    /// The hash of its bytes as stored: `crc32c:…` or `sha256:…`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checksum: Option<String>,
}

/// How long the records of one type are, in bytes without line ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LengthReport {
    /// The type.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// How many records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The shortest.
    pub shortest: u64,
    /// The mean, rounded down.
    pub mean: u64,
    /// 99 % are not longer; at most 6.25 % too high.
    pub p99: u64,
    /// The longest.
    pub longest: u64,
}

/// How a ceiling on resident memory was divided, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of MemoryPlan")]
#[non_exhaustive]
pub struct MemoryReport {
    pub ceiling: u64,
    pub base: u64,
    pub overhead: u64,
    /// What is held of outputs until it is written, or compressed.
    pub outputs: u64,
    pub compression: u64,
    pub heart: u64,
    pub decoder_limit: u64,
    /// The most that was resident, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
}

impl Account {
    pub(crate) fn new(outcome: &Outcome, reconciliation: Option<Reconciliation>, plan: &MemoryPlan) -> Self {
        let ledger = &outcome.totals.ledger;
        let applying = [
            (outcome.failed_sources > 0, ExitStatus::Incomplete),
            (reconciliation.as_ref().is_some_and(|found| !found.matches), ExitStatus::Mismatch),
            (ledger.records.quarantined > 0, ExitStatus::Quarantined),
        ];
        Self {
            conditions: applying
                .into_iter()
                .filter_map(|(applies, status)| applies.then_some(status))
                .collect(),
            ledger: ledger_report(ledger),
            types: type_reports(&outcome.totals),
            providers: outcome.totals.providers.iter().cloned().collect(),
            faults: fault_reports(&outcome.totals),
            sources: sources_report(outcome, plan),
            reconciliation,
            notes: container_notes(&ledger.containers),
        }
    }

    /// The most severe condition.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        self.conditions.iter().fold(ExitStatus::Complete, |worst, status| worst.or_worse(*status))
    }
}

pub(crate) fn memory_report(plan: &MemoryPlan) -> MemoryReport {
    MemoryReport {
        ceiling: plan.ceiling_bytes,
        base: plan.base_bytes,
        overhead: plan.overhead_bytes,
        outputs: plan.open_block_bytes,
        compression: plan.compression_bytes,
        heart: plan.heart_bytes,
        decoder_limit: plan.decoder_bytes,
        peak: peak_resident_bytes(),
    }
}

pub(crate) fn resumed_report(at: &ResumedAt, discarded_bytes: u64) -> ResumedReport {
    ResumedReport {
        source: at.place.source.clone(),
        line: at.place.position.line,
        byte: at.place.position.byte,
        skipped_bytes: at.skipped_bytes,
        discarded_bytes,
    }
}

pub(crate) fn output_report(receipt: Receipt) -> OutputReport {
    let checksum = receipt.checksum.map(|checksum| format!("{}:{checksum}", checksum.kind.name()));
    let of_type = receipt.destination.filter(|destination| !destination.is_sidecar());
    OutputReport {
        resource_type: of_type.map(|destination| destination.name().to_owned()),
        name: receipt.name,
        records: receipt.records,
        plain_bytes: receipt.plain_bytes,
        stored_bytes: receipt.stored_bytes,
        checksum,
    }
}

pub(crate) fn length_report(destination: Destination, stats: &TypeStats) -> LengthReport {
    LengthReport {
        resource_type: destination.name().to_owned(),
        records: stats.count(),
        bytes: stats.sum(),
        shortest: stats.shortest(),
        mean: stats.mean(),
        p99: stats.percentile(99),
        longest: stats.longest(),
    }
}

fn ledger_report(ledger: &Ledger) -> LedgerReport {
    let (records, bytes) = (ledger.records, ledger.bytes);
    LedgerReport {
        records: RecordsReport {
            read: records.read,
            delivered: records.delivered,
            filtered: records.filtered,
            quarantined: records.quarantined,
        },
        bytes: BytesReport {
            read: bytes.read,
            delivered: bytes.delivered,
            filtered: bytes.filtered,
            quarantined: bytes.quarantined,
            terminators: bytes.terminators,
            white_space: bytes.white_space,
            byte_order_marks: bytes.byte_order_marks,
            container: bytes.container,
            metadata: bytes.metadata,
            sidecars: bytes.sidecars,
        },
        containers: containers_report(&ledger.containers),
        sidecars: sidecars_report(&ledger.sidecars),
        blank_lines: ledger.blank_lines,
        duplicate_keys: ledger.duplicate_keys,
        unknown_types: ledger.unknown_types,
    }
}

fn sidecars_report(sidecars: &SidecarTally) -> SidecarsReport {
    SidecarsReport { deleted: sidecars.deleted, errors: sidecars.errors, headers: sidecars.headers }
}

fn containers_report(containers: &ContainerTally) -> ContainersReport {
    ContainersReport {
        arrays: containers.arrays,
        bundles: containers.bundles,
        untyped_bundles: containers.untyped_bundles,
        signed_bundles: containers.signed_bundles,
        provider_lists: containers.provider_lists,
        bare_entries: containers.bare_entries,
    }
}

/// What whoever gets the resources of a Bundle should know of it.
fn container_notes(containers: &ContainerTally) -> Vec<String> {
    let untyped = match containers.untyped_bundles {
        0 => None,
        1 => Some("1 Bundle has no type, or one that FHIR does not know; it was unwrapped".to_owned()),
        more => {
            Some(format!("{more} Bundles have no type, or one that FHIR does not know; they were unwrapped"))
        }
    };
    let signed = match containers.signed_bundles {
        0 => None,
        1 => Some("1 Bundle is signed".to_owned()),
        more => Some(format!("{more} Bundles are signed")),
    };
    let signed = signed.map(|signed| {
        format!("{signed}: a signature holds for the whole Bundle, not for the resources taken out of it")
    });
    untyped.into_iter().chain(signed).collect()
}

fn type_reports(totals: &Totals) -> Vec<TypeReport> {
    let report = |(destination, totals): (&Destination, &fhirline_flow::TypeTotals)| TypeReport {
        resource_type: destination.name().to_owned(),
        records: totals.delivered.records,
        bytes: totals.delivered.bytes,
        filtered: totals.filtered.records,
    };
    totals.types.iter().map(report).collect()
}

fn fault_reports(totals: &Totals) -> Vec<FaultReport> {
    let report = |(fault, totals): (&fhirline_core::Fault, &fhirline_flow::FaultTotals)| FaultReport {
        fault: fault.code().to_owned(),
        records: totals.records,
        first: place_report(&totals.first),
    };
    totals.faults.iter().map(report).collect()
}

fn place_report(place: &Place) -> PlaceReport {
    PlaceReport { source: place.source.clone(), line: place.position.line, byte: place.position.byte }
}

fn sources_report(outcome: &Outcome, plan: &MemoryPlan) -> SourcesReport {
    SourcesReport {
        read: outcome.sources,
        empty: outcome.empty_sources,
        stored_bytes: outcome.stored_bytes,
        failed: outcome.failed_sources,
        failures: outcome.failures.iter().map(|failure| failure_report(failure, plan)).collect(),
        skipped: outcome.skipped_entries,
        skipped_names: outcome
            .skipped
            .iter()
            .map(|skipped| SkippedReport { name: skipped.name.clone(), why: skipped.why.clone() })
            .collect(),
    }
}

fn failure_report(failure: &SourceFailure, plan: &MemoryPlan) -> FailureReport {
    let first: &dyn std::error::Error = &failure.error;
    let causes = std::iter::successors(Some(first), |error| error.source()).map(ToString::to_string);
    let (line, byte) = (failure.at.line, failure.at.byte);
    FailureReport {
        at: PlaceReport { source: failure.name.clone(), line, byte },
        causes: causes.collect(),
        hint: fhirline_fetch::network_hint(&failure.error)
            .map(str::to_owned)
            .or_else(|| failure.error.hint(plan)),
        records: failure.records,
    }
}

/// The most memory that the process ever held resident (Linux only).
fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
