//! What the suite gives to a sink: sources made of steps, and batches as a router makes them.

use fhirline_core::{
    Batch, Destination, Ledger, LongLine, MemorySpools, Position, RecordSpan, Run, SourceId, Spools, Verdict,
};

use super::{Broken, refused};
use crate::SinkError;

/// One thing that an engine gives to a sink.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// So many resources.
    Batch(usize),
    /// A resource that is too long to be held.
    Long,
    Checkpoint,
}

/// A source: its resources, and in which steps they are given.
pub(super) struct Source {
    pub(super) number: u32,
    pub(super) steps: Vec<Step>,
}

pub(super) fn three_sources() -> [Source; 3] {
    let steps = || {
        vec![Step::Batch(4), Step::Checkpoint, Step::Long, Step::Batch(3), Step::Checkpoint, Step::Batch(2)]
    };
    [0, 1, 2].map(|number| Source { number, steps: steps() })
}

/// What the suite notes: the source, and how many of its steps were given.
pub(super) fn progress(source: u32, step: usize) -> Vec<u8> {
    format!("{{\"source\":{source},\"step\":{step}}}").into_bytes()
}

impl Step {
    pub(super) fn records(self) -> usize {
        match self {
            Self::Batch(records) => records,
            Self::Long => 1,
            Self::Checkpoint => 0,
        }
    }
}

/// A resource of a source: its type, and bytes with all that formats of rows stumble over.
pub(super) fn resource(source: u32, number: usize) -> (&'static str, Vec<u8>) {
    let name = ["Patient", "Observation", "Goal"][number % 3];
    let odd = ["\\u0041\\\\", "\\t", "\\\"a\\\"", "\u{e9},;|", "\\\\N", "$1 %s '' ?"][number % 6];
    (
        name,
        format!("{{\"resourceType\":\"{name}\",\"id\":\"{source}-{number}\",\"n\":1.00,\"x\":\"{odd}\"}}")
            .into_bytes(),
    )
}

fn position(source: u32, number: usize) -> Position {
    Position { source: SourceId(source), byte: number as u64 * 100, line: number as u64 + 1 }
}

/// Resources regrouped as a router does.
pub(super) fn batch_of(source: u32, numbers: std::ops::Range<usize>) -> Batch {
    let (at, end) = (position(source, numbers.start), position(source, numbers.end));
    let mut batch = Batch { sequence: numbers.start as u64, at, end, ..Batch::default() };
    for name in ["Patient", "Observation", "Goal"] {
        let (bytes, spans) = (batch.bytes.len(), batch.spans.len());
        for number in numbers.clone().filter(|number| resource(source, *number).0 == name) {
            let (_, record) = resource(source, number);
            let line = (number - numbers.start) as u32;
            batch.spans.push(RecordSpan { offset: line * 100, length: record.len() as u32, line });
            batch.bytes.extend(record);
            batch.bytes.push(b'\n');
        }
        if batch.spans.len() > spans {
            let (bytes, spans) = (bytes..batch.bytes.len(), spans..batch.spans.len());
            let destination = Destination::from_name(name).unwrap_or(Destination::Unknown);
            batch.runs.push(Run { destination, bytes, spans });
        }
    }
    batch.rejects_from = batch.bytes.len();
    batch
}

/// The same of one resource, in a spool, with a blank on each side.
pub(super) fn long_line(source: u32, number: usize) -> Result<LongLine, Broken> {
    let (name, record) = resource(source, number);
    let broken = |error| refused(SinkError::store("write to", "a spool in memory")(error));
    let mut spool = MemorySpools.create().map_err(broken)?;
    spool
        .append(b" ")
        .and_then(|()| spool.append(&record))
        .and_then(|()| spool.append(b" "))
        .map_err(broken)?;
    let (at, end, length) = (position(source, number), position(source, number + 1), record.len() as u64 + 2);
    let destination = Destination::from_name(name).unwrap_or(Destination::Unknown);
    let verdict = Verdict::Delivered { destination, record: 1..length - 1 };
    Ok(LongLine { at, end, length, lines: 1, verdict, ledger: Ledger::default(), spool })
}
