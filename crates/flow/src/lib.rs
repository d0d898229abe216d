//! The engine: threads, bounded queues, ordered commit, events.
//!
//! This crate owns how a run goes: sources are opened one after the other (the next ones a little before their turn),
//! decoded, framed into chunks, routed by any number of workers, and committed strictly in sequence. It owns the memory
//! plan, what happens when a source turns out to be incomplete, and when a run must stop.
//!
//! ```
//! use fhirline_core::{Identity, Origin};
//! use fhirline_flow::{Cancel, Entry, FlowOptions, run};
//! use fhirline_route::Router;
//! use fhirline_sink::StatsSink;
//! use std::io::{self, Read};
//!
//! #[derive(Debug)]
//! struct Text(&'static str);
//!
//! impl Origin for Text {
//!     fn identity(&self) -> io::Result<Identity> {
//!         Ok(Identity { name: "text".into(), stored_bytes: Some(self.0.len() as u64), modified: None, tag: None })
//!     }
//!     fn name(&self) -> &str {
//!         "text"
//!     }
//!     fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
//!         Ok(Box::new(&self.0.as_bytes()[offset as usize..]))
//!     }
//! }
//!
//! let sources = vec![Entry::named(Text("{\"resourceType\":\"Goal\"}\nnot JSON\n"))];
//! let mut sink = StatsSink::new();
//! let options = FlowOptions { threads: 2, ..FlowOptions::default() };
//! let outcome = run(sources, &Router::default(), &mut sink, &options, &Cancel::new(), &mut |_| {})?;
//! assert_eq!(outcome.totals.ledger.records.delivered, 1);
//! assert_eq!(outcome.totals.ledger.records.quarantined, 1);
//! # Ok::<(), fhirline_flow::RunError>(())
//! ```
//!
//! # Why it is cut so
//!
//! Everything that depends on order happens in one place, the commit; everything that costs time happens in pure
//! functions that know no order. So the outputs are the same for any number of threads, and one thread, the plain loop
//! through the same functions, is the reference that the others are tested against.
//!
//! # Lines of any length
//!
//! A line longer than [`HELD_LINE_BYTES`] is never held. The source side scans its fragments and writes them to a
//! [`Spool`](fhirline_core::Spool); at its end the line takes its place in the sequence, and the sink copies it from there.
//!
//! # Checkpoints
//!
//! Between two commits the engine may have the sink note durably what it holds, and beside it its own [`Progress`]. A later
//! run over the same sources that is given both goes on from there, and its outputs are the same as those of a run that was
//! never interrupted. A source that failed is taken back to its beginning, where the checkpoint then stands.
//!
//! # Memory
//!
//! One [`Budget`](fhirline_core::Budget). Only the source takes leases, in sequence order, paying in advance for a chunk
//! and the batch that it becomes; workers and the commit never ask for memory, so nothing can wait in a circle.
//! [`MemoryPlan`] says how a ceiling is divided.

#![forbid(unsafe_code)]

mod cancel;
mod commit;
mod engine;
mod entry;
mod error;
mod event;
mod feed;
mod format;
mod outcome;
mod pace;
mod plan;
mod progress;
mod records;
mod sliced;
mod stamp;
mod tickets;
mod totals;
mod values;
mod workers;

pub use cancel::Cancel;
pub use engine::run;
pub use entry::Entry;
pub use error::{NotLines, RunError, SourceError};
pub use event::Event;
pub use outcome::{Outcome, ResumedAt, Skipped, SourceFailure};
pub use plan::{
    Ceiling, FlowOptions, HELD_LINE_BYTES, MemoryPlan, Places, RejectLimit, TooLittleMemory, note_base,
    resident_bytes,
};
pub use progress::{Progress, SourceChanged};
pub use records::{EqualRecords, RecordLines};
pub use stamp::Changed;
pub use totals::{FaultTotals, Place, Tally, Totals, TypeTotals};
