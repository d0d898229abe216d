//! What is needed to write a sink of one's own.
//!
//! A sink takes [`Batch`]es of resources in order. [`resources`] goes over those of one batch, [`with_long_resource`] looks at one that is
//! too long to be held, and [`LongLine::delivered`] reads it. With the feature `conformance`, the module `conformance` has tests for it.
//!
//! ```
//! use fhirline::Job;
//! use fhirline::sink::{Batch, LongLine, Offload, Sink, SinkError, SourceId, resources};
//!
//! /// Counts patients.
//! #[derive(Default)]
//! struct Patients(u64);
//!
//! impl Sink for Patients {
//!     fn begin_source(&mut self, _: SourceId, _name: &str) -> Result<(), SinkError> {
//!         Ok(())
//!     }
//!
//!     fn commit(&mut self, batch: &mut Batch, _: &dyn Offload) -> Result<(), SinkError> {
//!         let is_patient = |name: String| name == "Patient";
//!         self.0 += resources(batch).filter(|it| it.resource_type().is_some_and(|t| is_patient(t.to_string()))).count() as u64;
//!         Ok(())
//!     }
//!
//!     fn commit_long(&mut self, line: &mut LongLine, _: &dyn Offload) -> Result<(), SinkError> {
//!         self.0 += u64::from(line.delivered().is_some_and(|(destination, _)| destination.name() == "Patient"));
//!         Ok(())
//!     }
//!
//!     fn abandon_source(&mut self) -> Result<(), SinkError> {
//!         Err(SinkError::own("what was counted cannot be taken back"))
//!     }
//! }
//!
//! let folder = tempfile::tempdir()?;
//! let export = folder.path().join("export.jsonl");
//! std::fs::write(&export, "{\"resourceType\":\"Patient\"}\n{\"resourceType\":\"Goal\"}\n")?;
//! let mut patients = Patients::default();
//! Job::new([&export])?.write_to(&mut patients, &Default::default(), &mut |_| {})?;
//! assert_eq!(patients.0, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use fhirline_core::{Batch, Destination, LongLine, LongReader, Record, Reject, Run, SourceId, Verdict};
pub use fhirline_route::with_long_resource;
#[cfg(feature = "conformance")]
pub use fhirline_sink::conformance;
pub use fhirline_sink::{Inline, Offload, Sink, SinkError};

use fhirline_route::Resource;

use crate::Resources;

/// The resources of a batch, those of one type after the other. What goes to sidecars is none.
pub fn resources(batch: &Batch) -> impl Iterator<Item = Resource<'_>> {
    Resources::of_batch(batch, |destination| !destination.is_sidecar())
}
