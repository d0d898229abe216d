//! The vocabulary of fhirline, shared by every step of the pipeline.
//!
//! This crate owns the nouns: where a record stands ([`Position`]), what travels between steps ([`Chunk`],
//! [`Batch`]), what is wrong with a record ([`Fault`], [`BadRecord`]), how the numbers add up ([`Ledger`]), what memory
//! costs ([`Budget`], [`Lease`]), what a finished output says of itself ([`Receipt`]), what a caller can set
//! ([`Setting`]), and the seams to the
//! outside: [`Origin`] (where bytes come from), [`Store`] (where they go) and [`Spools`] (where a record waits that is
//! too long for memory).
//!
//! ```
//! use fhirline_core::{Budget, Ledger, ResourceType};
//!
//! let budget = Budget::new(1 << 20);
//! let lease = budget.lease(4096)?;
//! assert_eq!(budget.free(), (1 << 20) - 4096);
//! drop(lease);
//! assert_eq!(budget.free(), 1 << 20);
//!
//! assert!(ResourceType::new("Patient").is_some());
//! assert!(ResourceType::new("../etc/passwd").is_none());
//! assert!(Ledger::default().check().is_ok());
//! # Ok::<(), fhirline_core::BudgetClosed>(())
//! ```
//!
//! # Why it is cut so
//!
//! Steps meet only in these types, so each step can be tested, fuzzed and used alone. Nothing here touches a file, a
//! socket, a clock or a thread, and the crate depends on the standard library only.
//!
//! # Privacy
//!
//! Types that hold record bytes have a `Debug` that prints lengths and positions, never the bytes.

#![forbid(unsafe_code)]

mod batch;
mod budget;
mod chunk;
mod fault;
mod ledger;
mod long_line;
mod mapped;
mod origin;
mod position;
mod receipt;
mod resource_type;
mod setting;
mod source_role;
mod spool;
mod store;

pub use batch::{
    Batch, Destination, Filtered, Fragment, Record, RecordSpan, Records, Reject, RejectSpan, Run,
};
pub use budget::{Budget, BudgetClosed, Lease};
pub use chunk::{CHUNK_BYTES, CHUNK_LINES, Chunk, Content, Lines, PartKind, PartSpan, Parts};
pub use fault::{BadRecord, Fault};
pub use ledger::{ByteTally, ContainerTally, Imbalance, Ledger, RecordTally, SidecarTally};
pub use long_line::{LongLine, LongReader, Verdict};
pub use mapped::{MAPPED_BYTES, mapped_buffer, mapped_zeros};
pub use origin::{Identity, Origin};
pub use position::{Position, SourceId};
pub use receipt::{Checksum, ChecksumKind, Receipt};
pub use resource_type::ResourceType;
pub use setting::Setting;
pub use source_role::SourceRole;
pub use spool::{MemorySpools, NoSpools, Spool, Spools};
pub use store::{PARTIAL_SUFFIX, Partial, Store};
