//! The pure step: one chunk in, the same bytes regrouped by destination out, rejects beside them.
//!
//! This crate owns the decision what becomes of each record, be it a line or a part of a container: delivered to the output of its resource type, left out because
//! the caller asked for it, or rejected with a fault; and which lines of a source are no records but something that its sender lists
//! beside the data ([`SourceRole`](fhirline_core::SourceRole)): these go to sidecars. It reads each record's envelope once and copies the record once.
//!
//! ```
//! use fhirline_core::{Batch, Chunk, Lease, Lines, Position, SourceRole};
//! use fhirline_route::{Router, Scratch};
//!
//! let bytes = b"{\"resourceType\":\"Patient\",\"id\":\"1\"}\n{\"resourceType\":\n".to_vec();
//! let lines = Lines { at: Position { line: 1, ..Position::default() }, ends: vec![36, bytes.len() as u32], bytes };
//! let chunk = Chunk { sequence: 0, role: SourceRole::Data, content: lines.into(), lease: Lease::free_of_charge() };
//!
//! let (batch, _) = Router::default().route(chunk, Batch::default(), &mut Scratch::default());
//! assert_eq!(batch.runs[0].destination.name(), "Patient");
//! assert_eq!(batch.rejects().next().map(|reject| reject.position.line), Some(2));
//! assert_eq!(batch.ledger.check(), Ok(()));
//! ```
//!
//! # Why it is cut so
//!
//! A function from a chunk to a batch has no order, no clock and no shared state, so any number of threads may run it, and
//! the result is the same for all. Everything that depends on order (counting outputs, cutting files, naming the first
//! reject) belongs to the commit.
//!
//! # Memory
//!
//! The batch is as large as the chunk; its lists have at most one entry a line. A line that is a chunk of its own is
//! not copied but handed on in the buffer in which it came.

#![forbid(unsafe_code)]

mod filter;
mod ids;
mod long;
mod long_resource;
mod parts;
mod place;
mod pointer;
mod resource;
mod role;
mod router;
mod selection;

// The step that reads records re-exports how they are read, so that its user needs no arrow to `parse`.
pub use fhirline_parse::{Proof, Shape, envelope, shape};
pub use filter::{Filter, Filters};
pub use ids::IdRule;
pub use long::{LongRoute, RoutedLine};
pub use long_resource::with_long_resource;
pub use place::Scratch;
pub use pointer::Value;
pub use resource::{Body, Resource, ResourceError, ResourceReader, Spooled};
pub use router::{Grouping, Router};
pub use selection::Selection;
