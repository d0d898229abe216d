//! Recipes: what programs around exports usually want. Each one is compiled and run with the tests.
//!
//! They read the [sample](crate::sample) of this crate, so that they run anywhere; yours read `"exports/*.jsonl.gz"`, a folder, a Bulk Data
//! manifest or, with the features `http` and `cloud`, a URL.
//!
//! # One file for each resource type
//!
//! ```
//! use fhirline::{Codec, Encoding, ExitStatus, Job, SplitJob};
//! # let folder = tempfile::tempdir()?;
//! # let export = folder.path().join("export.jsonl");
//! # fhirline::sample::Sample::new(1).write_to(&mut std::fs::File::create(&export)?)?;
//! # let out = folder.path().join("out");
//!
//! let to = SplitJob::to(&out).encoding(Encoding::new(Codec::Zstd, None)?);
//! let report = Job::new([&export])?.to(to).run()?;
//! assert_eq!(report.status, ExitStatus::Complete);
//! assert!(out.join("Patient.ndjson.zst").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Run again it does nothing, and after a kill it goes on where it was.
//!
//! # Your own types
//!
//! ```
//! use std::collections::BTreeMap;
//! use fhirline::{Job, ResourceType, Selection};
//! # let folder = tempfile::tempdir()?;
//! # let export = folder.path().join("export.jsonl");
//! # fhirline::sample::Sample::new(1).write_to(&mut std::fs::File::create(&export)?)?;
//!
//! #[derive(serde::Deserialize)]
//! struct Patient {
//!     gender: Option<String>,
//! }
//!
//! let patients = Selection { only: ResourceType::new("Patient").into_iter().collect(), ..Selection::default() };
//! let mut by_gender = BTreeMap::new();
//! for batch in Job::new([&export])?.select(patients).batches()? {
//!     for resource in batch?.resources() {
//!         let patient: Patient = resource.json()?;
//!         *by_gender.entry(patient.gender).or_insert(0) += 1;
//!     }
//! }
//! assert!(!by_gender.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Types of crates that model FHIR are types like any other: `resource.json::<fhir_model::r4b::resources::Patient>()?`.
//!
//! # One value, without parsing the rest
//!
//! ```
//! use fhirline::Job;
//! # let folder = tempfile::tempdir()?;
//! # let export = folder.path().join("export.jsonl");
//! # fhirline::sample::Sample::new(1).write_to(&mut std::fs::File::create(&export)?)?;
//!
//! let mut codes = std::collections::BTreeSet::new();
//! for batch in Job::new([&export])?.batches()? {
//!     for resource in batch?.resources() {
//!         if let Some(code) = resource.get("/code/coding/0/code")? {
//!             codes.extend(code.text().map(String::from));
//!         }
//!     }
//! }
//! assert!(!codes.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Resources of some patients only
//!
//! ```
//! use std::collections::BTreeSet;
//! use fhirline::{Filter, Job, Output, Resource};
//! # let folder = tempfile::tempdir()?;
//! # let export = folder.path().join("export.jsonl");
//! # fhirline::sample::Sample::new(1).write_to(&mut std::fs::File::create(&export)?)?;
//!
//! struct Study {
//!     patients: BTreeSet<String>,
//! }
//!
//! impl Filter for Study {
//!     fn name(&self) -> String {
//!         "the study of 2026, list 7".into()
//!     }
//!
//!     fn keeps(&self, resource: &Resource<'_>) -> bool {
//!         let places = ["/subject/reference", "/patient/reference", "/beneficiary/reference"];
//!         let about = places.iter().find_map(|place| resource.get(place).ok()?);
//!         about.and_then(|found| found.text().map(|text| self.patients.contains(&*text))).unwrap_or(false)
//!     }
//! }
//!
//! let study = Study { patients: ["Patient/none-of-them".to_owned()].into() };
//! let report = Job::new([&export])?.filter(study).to(Output::Stats).run()?;
//! let records = report.account.ledger.records;
//! assert_eq!((records.delivered, records.filtered), (0, records.read - records.quarantined));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Workers ask the filter, so it costs less than to filter batches; what it leaves out is in the account.
//!
//! # Broken records
//!
//! ```
//! use fhirline::Job;
//! # let folder = tempfile::tempdir()?;
//! # let export = folder.path().join("export.jsonl");
//! # fhirline::sample::Sample::new(1).broken_lines(true).write_to(&mut std::fs::File::create(&export)?)?;
//!
//! let mut broken = 0;
//! for batch in Job::new([&export])?.batches()? {
//!     let batch = batch?;
//!     for reject in batch.rejects() {
//!         let place = reject.record.position();
//!         eprintln!("{}, line {}: {:?}", batch.source_name(), place.line, reject.why.fault);
//!         broken += 1;
//!     }
//! }
//! assert!(broken > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Progress
//!
//! ```
//! use fhirline::{Event, Job, SplitJob};
//! # let folder = tempfile::tempdir()?;
//! # let export = folder.path().join("export.jsonl");
//! # fhirline::sample::Sample::new(1).write_to(&mut std::fs::File::create(&export)?)?;
//! # let out = folder.path().join("out");
//!
//! let job = Job::new([&export])?;
//! let total = job.total_bytes();
//! let mut done = 0;
//! job.to(SplitJob::to(&out))
//!     .on_event(|event| {
//!         if let Event::Committed { stored_bytes, .. } = event {
//!             done = stored_bytes;
//!         }
//!     })
//!     .run()?;
//! assert_eq!(Some(done), total);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Stop it
//!
//! ```
//! use fhirline::{Cancel, Job, JobError, RunError, SplitJob};
//! # let folder = tempfile::tempdir()?;
//! # let export = folder.path().join("export.jsonl");
//! # fhirline::sample::Sample::new(1).write_to(&mut std::fs::File::create(&export)?)?;
//! # let out = folder.path().join("out");
//!
//! let cancel = Cancel::new();
//! let job = Job::new([&export])?.cancelled_by(cancel.clone()).to(SplitJob::to(&out));
//! cancel.cancel(); // from a signal handler, another thread, ...
//! assert!(matches!(job.run(), Err(JobError::Run(RunError::Cancelled))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # FHIR Bundles for a server
//!
//! ```
//! use fhirline::{BundleJob, Form, Job, Method};
//! # let folder = tempfile::tempdir()?;
//! # let export = folder.path().join("export.jsonl");
//! # fhirline::sample::Sample::new(1).write_to(&mut std::fs::File::create(&export)?)?;
//!
//! let to = BundleJob::to(folder.path().join("bundles/")).form(Form::Batch(Method::Put)).max_entries(Some(500));
//! let report = Job::new([&export])?.to(to).run()?;
//! assert!(report.bundles.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Several jobs at once
//!
//! Each takes what [`Job::memory_beside_bytes`](crate::Job::memory_beside_bytes) says:
//!
//! ```
//! use fhirline::{Job, Output};
//! # let folder = tempfile::tempdir()?;
//! # let export = folder.path().join("export.jsonl");
//! # fhirline::sample::Sample::new(1).write_to(&mut std::fs::File::create(&export)?)?;
//!
//! let jobs = std::thread::scope(|scope| {
//!     let job = || Job::new([&export])?.threads(1).memory_beside_bytes(48 << 20).to(Output::Stats).run();
//!     let jobs: Vec<_> = (0..3).map(|_| scope.spawn(job)).collect();
//!     jobs.into_iter().map(|job| job.join().expect("it does not panic")).collect::<Result<Vec<_>, _>>()
//! })?;
//! assert_eq!(jobs[0].account, jobs[2].account);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A channel into your tokio task (feature `async`)
//!
//! [`Job::stream`](crate::Job) is a stream already. Where something else is wanted, a thread hands the batches over:
//!
//! ```
//! use fhirline::Job;
//! # let folder = tempfile::tempdir()?;
//! # let export = folder.path().join("export.jsonl");
//! # fhirline::sample::Sample::new(1).write_to(&mut std::fs::File::create(&export)?)?;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//!
//! let (sender, mut patients) = tokio::sync::mpsc::channel(100);
//! let job = Job::new([&export])?;
//! let thread = std::thread::spawn(move || -> Result<(), fhirline::JobError> {
//!     for batch in job.batches()? {
//!         for resource in batch?.resources().filter(|it| it.destination().name() == "Patient") {
//!             let Some(bytes) = resource.bytes() else { continue };
//!             if sender.blocking_send(bytes.to_vec()).is_err() {
//!                 return Ok(());
//!             }
//!         }
//!     }
//!     Ok(())
//! });
//! let found = runtime.block_on(async { patients.recv().await });
//! assert!(found.is_some());
//! # drop(patients);
//! thread.join().expect("it does not panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A sink of your own
//!
//! [`sink`](crate::sink) has a small one, and `examples/etl` of the repository one into PostgreSQL by `COPY`, which goes on after a kill.
