//! What must hold for any sink, as tests that anybody can run against theirs.
//!
//! A [`Subject`] opens the sink under test and tells what its destination holds; [`check`] drives it through whole runs, kills, sources
//! that are taken back or fail, and compares with what must be there. All laws, or the one that is broken:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use fhirline_core::{Batch, LongLine, SourceId};
//! use fhirline_sink::conformance::{Content, Subject, check};
//! use fhirline_sink::{Offload, Sink, SinkError};
//! # use std::io::Read;
//!
//! /// Keeps all in memory, and cannot be taken up again.
//! struct Kept { rows: Content, begun: usize, sealed: Arc<Mutex<Content>> }
//!
//! impl Sink for Kept {
//!     fn begin_source(&mut self, _: SourceId, _: &str) -> Result<(), SinkError> {
//!         self.begun = self.rows.len();
//!         Ok(())
//!     }
//!     fn commit(&mut self, batch: &mut Batch, _: &dyn Offload) -> Result<(), SinkError> {
//!         for run in batch.runs.iter().filter(|run| !run.destination.is_sidecar()) {
//!             let name = run.destination.name();
//!             self.rows.extend(batch.records(run).map(|record| (name.to_owned(), record.bytes.to_vec())));
//!         }
//!         Ok(())
//!     }
//!     fn commit_long(&mut self, line: &mut LongLine, _: &dyn Offload) -> Result<(), SinkError> {
//!         if let Some((destination, mut bytes)) = line.delivered() {
//!             let mut row = Vec::new();
//!             bytes.read_to_end(&mut row).map_err(SinkError::own)?;
//!             self.rows.push((destination.name().to_owned(), row));
//!         }
//!         Ok(())
//!     }
//!     fn abandon_source(&mut self) -> Result<(), SinkError> {
//!         self.rows.truncate(self.begun);
//!         Ok(())
//!     }
//!     fn complete(&mut self, _: &[u8]) -> Result<(), SinkError> {
//!         self.sealed.lock().expect("nobody fell").clone_from(&self.rows);
//!         Ok(())
//!     }
//! }
//!
//! #[derive(Default)]
//! struct InMemory(Arc<Mutex<Content>>);
//!
//! impl Subject for InMemory {
//!     fn clear(&mut self) { self.0.lock().expect("nobody fell").clear() }
//!     fn open(&mut self) -> Box<dyn Sink + '_> {
//!         Box::new(Kept { rows: Vec::new(), begun: 0, sealed: Arc::clone(&self.0) })
//!     }
//!     fn content(&mut self) -> Content { self.0.lock().expect("nobody fell").clone() }
//! }
//!
//! check(&mut InMemory::default())?;
//! # Ok::<(), fhirline_sink::conformance::Broken>(())
//! ```
//!
//! What the suite calls a kill is that the sink is dropped in the middle of a run. A sink that writes to something which outlives a
//! process should be killed in earnest, too.

use std::error::Error;

use fhirline_core::SourceId;

use crate::{Inline, Sink, SinkError};

mod given;
#[cfg(test)]
mod tests;

use given::{Source, Step, batch_of, long_line, progress, resource, three_sources};

/// What a destination holds: the names of resource types and the bytes of resources. Within a type they are in order.
pub type Content = Vec<(String, Vec<u8>)>;

/// A sink under test, and its destination.
pub trait Subject {
    /// Empties the destination.
    fn clear(&mut self);

    /// Opens the sink over what the destination holds, as a new run would.
    fn open(&mut self) -> Box<dyn Sink + '_>;

    /// The resources that the destination holds, to whoever reads it when no run goes on.
    fn content(&mut self) -> Content;
}

/// A law that does not hold.
#[derive(Debug, thiserror::Error)]
#[error("{law}: {found}")]
pub struct Broken {
    /// What must hold.
    pub law: &'static str,
    /// What was found instead: counts and names of types.
    pub found: String,
}

const WHOLE: &str = "each resource is there once, with its bytes, in order within its type";
const CUTS: &str = "what is there does not depend on how resources are cut into batches";
const ABANDONED: &str = "what came of an abandoned source is gone, and nothing else";
const BEHIND_ABANDONED: &str =
    "a run that goes on after a kill behind an abandoned source finds rows and checkpoint of one moment";
const NOTED: &str = "a sink that goes on says where: the checkpoint that was noted last";
const RESUMED: &str = "a run that goes on after a kill leaves what an unbroken one leaves";
const ENDED: &str = "a complete run is gone on from its end";
const FAILED: &str = "behind a source that failed, a run goes on where that source began";
const ERROR: &str = "a sink takes what it is given";

/// Checks all laws. Those about kills are for sinks that note something; others say nothing when they are [asked](Sink::noted).
///
/// # Errors
/// The first law that does not hold.
pub fn check(subject: &mut dyn Subject) -> Result<(), Broken> {
    whole_runs(subject)?;
    abandoned_sources(subject)?;
    if goes_on(subject)? {
        kills(subject)?;
        kills_behind_abandoned_sources(subject)?;
        completed_runs(subject)?;
        failed_sources(subject)?;
    }
    subject.clear();
    Ok(())
}

fn whole_runs(subject: &mut dyn Subject) -> Result<(), Broken> {
    for sizes in [&[7, 5, 1][..], &[1; 13], &[13]] {
        let steps = sizes.iter().map(|size| Step::Batch(*size)).chain([Step::Long, Step::Batch(2)]).collect();
        let sources = [Source { number: 0, steps }, Source { number: 1, steps: vec![Step::Batch(3)] }];
        subject.clear();
        run(&mut *subject.open(), &sources, 0)?;
        let law = if sizes.len() == 3 { WHOLE } else { CUTS };
        same(law, subject, &sources)?;
    }
    Ok(())
}

fn abandoned_sources(subject: &mut dyn Subject) -> Result<(), Broken> {
    let [first, second, third] = three_sources();
    subject.clear();
    {
        let mut sink = subject.open();
        give(&mut *sink, &first, 0)?;
        give(&mut *sink, &second, 0)?;
        sink.abandon_source().map_err(refused)?;
        give(&mut *sink, &third, 0)?;
        sink.complete(&progress(3, 0)).map_err(refused)?;
    }
    same(ABANDONED, subject, &[first, third])
}

/// Whether the sink takes runs up again.
fn goes_on(subject: &mut dyn Subject) -> Result<bool, Broken> {
    subject.clear();
    if let Some(noted) = subject.open().noted().map_err(refused)? {
        return Err(Broken { law: NOTED, found: format!("{} bytes where nothing was noted", noted.len()) });
    }
    {
        let mut sink = subject.open();
        give(&mut *sink, &three_sources()[0], 0)?;
        sink.checkpoint(&progress(0, 1), true).map_err(refused)?;
    }
    Ok(subject.open().noted().map_err(refused)?.is_some())
}

/// Kills a run behind each of its steps, and goes on where the sink says.
fn kills(subject: &mut dyn Subject) -> Result<(), Broken> {
    let sources = three_sources();
    let steps: usize = sources.iter().map(|source| source.steps.len()).sum();
    for killed_at in 0..=steps {
        subject.clear();
        let mut left = killed_at;
        let mut noted_last = None;
        {
            let mut sink = subject.open();
            for source in &sources {
                let given = give_some(&mut *sink, source, 0, left)?;
                noted_last = given.noted.or(noted_last);
                left -= given.steps;
                if left == 0 {
                    break;
                }
            }
        }
        let noted = subject.open().noted().map_err(refused)?;
        if noted != noted_last.as_ref().map(|(source, step)| progress(*source, *step)) {
            let found = format!("another one, or none, after {killed_at} steps");
            return Err(Broken { law: NOTED, found });
        }
        let (source, step) = noted_last.unwrap_or_default();
        let mut sink = subject.open();
        sink.noted().map_err(refused)?;
        run(&mut *sink, &sources[source as usize..], step)?;
        drop(sink);
        same(RESUMED, subject, &sources)?;
    }
    Ok(())
}

/// Kills a run behind a source that was taken back, before and after the next checkpoint. The source is whole when it is read again.
fn kills_behind_abandoned_sources(subject: &mut dyn Subject) -> Result<(), Broken> {
    let [first, second, third] = &three_sources();
    for steps_behind in 0..=third.steps.len() {
        subject.clear();
        let noted_behind = {
            let mut sink = subject.open();
            give(&mut *sink, first, 0)?;
            give(&mut *sink, second, 0)?;
            sink.abandon_source().map_err(refused)?;
            if steps_behind == 0 { None } else { give_some(&mut *sink, third, 0, steps_behind)?.noted }
        };
        let mut sink = subject.open();
        let noted = sink.noted().map_err(refused)?;
        let (source, step) = place_of(noted.as_deref())?;
        if noted_behind.is_some_and(|last| last != (source, step)) {
            return Err(Broken {
                law: NOTED,
                found: "another one than behind the abandoned source".to_owned(),
            });
        }
        run(&mut *sink, &three_sources()[source as usize..], step)?;
        drop(sink);
        let is_behind = source == third.number;
        let left = three_sources().into_iter().filter(|one| !is_behind || one.number != second.number);
        same(BEHIND_ABANDONED, subject, &left.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// The place that a checkpoint of the suite's means.
fn place_of(noted: Option<&[u8]>) -> Result<(u32, usize), Broken> {
    let Some(noted) = noted else { return Ok((0, 0)) };
    let places = three_sources()
        .into_iter()
        .flat_map(|Source { number, steps }| (0..=steps.len()).map(move |step| (number, step)));
    places
        .into_iter()
        .find(|(source, step)| progress(*source, *step) == noted)
        .ok_or_else(|| Broken { law: NOTED, found: format!("{} bytes that nobody noted", noted.len()) })
}

fn completed_runs(subject: &mut dyn Subject) -> Result<(), Broken> {
    let sources = three_sources();
    subject.clear();
    run(&mut *subject.open(), &sources, 0)?;
    let end = progress(sources.len() as u32, 0);
    for _ in 0..2 {
        let mut sink = subject.open();
        if sink.noted().map_err(refused)?.as_deref() != Some(&end) {
            return Err(Broken { law: ENDED, found: "another place, or none".to_owned() });
        }
        sink.complete(&end).map_err(refused)?;
        drop(sink);
        same(ENDED, subject, &sources)?;
    }
    Ok(())
}

fn failed_sources(subject: &mut dyn Subject) -> Result<(), Broken> {
    let sources = three_sources();
    subject.clear();
    let begun = progress(1, 0);
    {
        let mut sink = subject.open();
        give(&mut *sink, &sources[0], 0)?;
        give(&mut *sink, &sources[1], 0)?;
        sink.fail_source(Some(&begun)).map_err(refused)?;
    }
    let mut sink = subject.open();
    if sink.noted().map_err(refused)? != Some(begun) {
        return Err(Broken { law: FAILED, found: "another place, or none".to_owned() });
    }
    run(&mut *sink, &sources[1..], 0)?;
    drop(sink);
    same(FAILED, subject, &sources)
}

/// Gives sources to their ends, the first from that step on, and completes the run.
fn run(sink: &mut dyn Sink, sources: &[Source], mut from: usize) -> Result<(), Broken> {
    for source in sources {
        give(sink, source, from)?;
        from = 0;
    }
    let last = sources.last().map_or(0, |source| source.number + 1);
    sink.complete(&progress(last, 0)).map_err(refused)
}

fn give(sink: &mut dyn Sink, source: &Source, from: usize) -> Result<(), Broken> {
    give_some(sink, source, from, usize::MAX).map(|_| ())
}

/// What was given, and the checkpoint that was made last.
struct Given {
    steps: usize,
    noted: Option<(u32, usize)>,
}

/// Gives so many steps of a source; one that goes on in its middle is not begun again.
fn give_some(sink: &mut dyn Sink, source: &Source, from: usize, most: usize) -> Result<Given, Broken> {
    let number = source.number;
    if from == 0 {
        sink.begin_source(SourceId(number), &format!("source {number}")).map_err(refused)?;
    }
    let mut record = source.steps[..from].iter().map(|step| step.records()).sum();
    let mut given = Given { steps: 0, noted: None };
    for (at, step) in source.steps.iter().enumerate().skip(from).take(most) {
        match step {
            Step::Batch(records) => {
                let mut batch = batch_of(number, record..record + records);
                sink.commit(&mut batch, &Inline).map_err(refused)?;
            }
            Step::Long => {
                let mut line = long_line(number, record)?;
                sink.commit_long(&mut line, &Inline).map_err(refused)?;
            }
            Step::Checkpoint => {
                sink.checkpoint(&progress(number, at + 1), false).map_err(refused)?;
                given.noted = Some((number, at + 1));
            }
        }
        record += step.records();
        given.steps += 1;
    }
    Ok(given)
}

fn refused(error: SinkError) -> Broken {
    let error: Box<dyn Error> = error.into();
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    let found = causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"));
    Broken { law: ERROR, found }
}

/// Compares what the destination holds with what was given, type by type.
fn same(law: &'static str, subject: &mut dyn Subject, sources: &[Source]) -> Result<(), Broken> {
    let content = subject.content();
    for name in ["Patient", "Observation", "Goal"] {
        let found: Vec<_> =
            content.iter().filter(|(of, _)| of == name).map(|(_, bytes)| bytes.as_slice()).collect();
        let wanted: Vec<_> = sources
            .iter()
            .flat_map(|source| {
                let records = source.steps.iter().map(|step| step.records()).sum();
                (0..records).map(|number| resource(source.number, number)).filter(|(of, _)| *of == name)
            })
            .map(|(_, bytes)| bytes)
            .collect();
        if found.len() != wanted.len() {
            let found = format!("{} of {} in {name}", found.len(), wanted.len());
            return Err(Broken { law, found });
        }
        if let Some(at) = (0..found.len()).find(|at| found[*at] != wanted[*at]) {
            return Err(Broken { law, found: format!("another resource as number {at} in {name}") });
        }
    }
    let known = ["Patient", "Observation", "Goal"];
    match content.iter().find(|(of, _)| !known.contains(&of.as_str())) {
        Some((of, _)) => Err(Broken { law, found: format!("something in {of}") }),
        None => Ok(()),
    }
}
