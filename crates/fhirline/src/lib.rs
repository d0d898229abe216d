//! Stream FHIR exports (JSONL/NDJSON) of any size: one clean stream per resource type, flat memory, nothing lost.
//!
//! This crate is the face of fhirline for programs that process exports: a [`Job`] goes from sources to a folder of
//! outputs ([`SplitJob`]), to FHIR Bundles ([`BundleJob`], and back with [`RestoreJob`]), to one stream, to numbers, or to a
//! [sink] of the caller's, or only fetches the sources ([`Job::fetch`]), and gives a [`Report`]. Or it hands the resources out,
//! [batch by batch](Job::batches). The [cookbook] has recipes. The command line is a thin user of this crate.
//!
//! ```
//! use fhirline::sample::Sample;
//! use fhirline::{Job, Output};
//!
//! let folder = tempfile::tempdir()?;
//! let export = folder.path().join("export.jsonl");
//! let counts = Sample::new(7).write_to(&mut std::fs::File::create(&export)?)?;
//!
//! let report = Job::new([&export])?.to(Output::Stats).run()?;
//! assert_eq!(report.account.ledger.records.read, counts.resources + counts.broken);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Why it is cut so
//!
//! The steps of the pipeline know nothing of files, and the files nothing of the pipeline. This is the only crate that
//! knows both: it turns what a user asks for into sources, steps and sinks, and what came of it into a report and an exit
//! status.
//!
//! # Memory
//!
//! A job takes no more than it may, whatever the size and number of the sources: [`Job::memory_beside_bytes`] says how much that is beside
//! what the process holds otherwise, and [`Job::memory_bytes`] sets a ceiling on the resident memory of the whole process.

#![forbid(unsafe_code)]

/// The examples of the README, which are compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

/// And those of the tour.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tour.md")]
mod tour {}

mod batches;
mod bundle;
mod calls;
pub mod cookbook;
mod destination;
mod error;
mod exit;
mod expectation;
#[cfg(feature = "http")]
mod export;
mod fetch;
mod job;
mod manifest;
mod own_sink;
#[cfg(feature = "cloud")]
mod prefix;
mod replay;
mod report;
mod resources;
mod run;
#[cfg(feature = "async")]
mod running;
pub mod sample;
pub mod sink;
mod split;

#[cfg(feature = "async")]
pub use batches::BatchStream;
pub use batches::{Batches, PulledBatch, Rejected, Rejects};
pub use bundle::{BundleJob, BundlesReport, EndedReport, RestoreError, RestoreJob, RestoreReport};
pub use error::JobError;
pub use exit::ExitStatus;
pub use expectation::{Difference, Expectation, ExpectationError, Reconciliation};
#[cfg(feature = "http")]
pub use export::{ExportJob, ExportProgress, OnExport};
pub use fetch::{
    DownloadError, FetchEvent, FetchFailureReport, FetchJob, FetchReport, FetchedReport, OnFetch,
};
pub use fhirline_bundle::{BaseUrl, BaseUrlError, Form, Method, OnDuplicate};
pub use fhirline_core::{
    BadRecord, ChecksumKind, Destination, Fault, Identity, Origin, Position, ResourceType, Setting, SourceId,
};
#[cfg(feature = "cloud")]
pub use fhirline_fetch::CloudOptions;
pub use fhirline_fetch::Network;
#[cfg(feature = "http")]
pub use fhirline_fetch::{
    BulkError, Cancelled, Credentials, ExportEvent, ExportLevel, ExportPace, ExportRequest, FhirBase,
    HttpError, HttpOptions, KeyFile, KickOffMethod, Netrc, Retry, SmartOptions,
};
pub use fhirline_flow::{
    Cancel, Ceiling, Changed, Event, MemoryPlan, NotLines, RejectLimit, RunError, SourceChanged, SourceError,
    resident_bytes,
};
pub use fhirline_route::{Body, Filter, Resource, ResourceError, ResourceReader, Selection, Spooled, Value};
pub use fhirline_sink::{Codec, Encoding, LevelOutOfRange};
pub use job::{Job, OnEvent};
pub use own_sink::SinkJob;
pub use replay::ReplayError;
pub use report::{
    Account, BytesReport, ContainersReport, FailureReport, FaultReport, LedgerReport, LengthReport,
    MemoryReport, OutputReport, PlaceReport, RecordsReport, Report, ResumedReport, SidecarsReport,
    SkippedReport, SourcesReport, TypeReport,
};
pub use resources::Resources;
pub use run::{JobRun, Output};
#[cfg(feature = "async")]
pub use running::Running;
pub use split::{SplitJob, is_object_store};
