//! Encoders and writers over a [`Store`](fhirline_core::Store): NDJSON, quarantine, compression, rotation, seal.
//!
//! This crate owns what becomes of a [`Batch`] once it is its turn: [`SplitSink`] appends each run
//! to the output of its resource type (or to a sidecar, if it holds no resources) and the rejects to the quarantine,
//! [`CatSink`] writes the resources as clean NDJSON to one stream, [`BundleSink`] as FHIR Bundles,
//! [`StatsSink`] only counts them. A sink is driven by one thread, strictly in sequence order; whatever costs time (compression)
//! it hands to an [`Offload`] and takes back in order.
//!
//! ```
//! use fhirline_core::{Batch, Chunk, Lease, Lines, Position, SourceId, SourceRole};
//! use fhirline_route::{Router, Scratch};
//! use fhirline_sink::{CatSink, Inline, Sink};
//!
//! let bytes = b" {\"resourceType\":\"Goal\"}\r\n".to_vec();
//! let lines = Lines { at: Position::start_of(SourceId(0)), ends: vec![bytes.len() as u32], bytes };
//! let (role, lease) = (SourceRole::Data, Lease::free_of_charge());
//! let chunk = Chunk { sequence: 0, role, content: lines.into(), lease };
//! let (mut batch, _) = Router::default().route(chunk, Batch::default(), &mut Scratch::default());
//!
//! let mut out = Vec::new();
//! CatSink::new(&mut out).commit(&mut batch, &Inline)?;
//! assert_eq!(out, b"{\"resourceType\":\"Goal\"}\n");
//! # Ok::<(), fhirline_sink::SinkError>(())
//! ```
//!
//! # Why it is cut so
//!
//! A sink never decides what a record is or where it goes; it never reads a clock and starts no thread. So the bytes that
//! it writes are a function of the batches alone, for any number of workers.
//!
//! # Memory
//!
//! A [`BundleSink`] holds a piece of the Bundle, and what its [`WriteOptions`](fhirline_bundle::WriteOptions) allow for
//! fingerprints. Other plain outputs hold what is too little to be worth a write, at most 64 KiB each and all together at most the share in
//! [`SplitOptions::open_block_bytes`]; larger runs go to the store in one call. Compressed outputs hold one open block each, at most
//! [`SplitOptions::block_bytes`], and together at most that share; beyond it the fattest is
//! cut first. Finished parts cost a few hundred bytes each, for the manifest.
//!
//! # Checkpoints
//!
//! A [`SplitSink`] made [`with_checkpoints`](SplitSink::with_checkpoints) writes its state beside the outputs whenever
//! [`Sink::checkpoint`] is called. After a kill, [`SplitSink::resume`] goes on from there, and what it leaves in the end is
//! what an unbroken run leaves, to the byte. So a checkpoint never cuts a block: where members end must not depend on when
//! it was made. What blocks hold open is set aside in objects that take turns (`_blocks-0.partial` to
//! `_blocks-3.partial`), and the checkpoint takes the place of the one before in one step.
//!
//! A checkpoint holds lengths, counts, positions and digests. The state of hashers is not in it: on the way back every
//! output is read up to where the checkpoint saw it and hashed again, which restores the state and proves that the bytes
//! are still there. Without a checksum only the lengths are compared.
//!
//! With [`SplitOptions::durable`] there are two: the latest, which survives a kill and costs next to nothing, and the safe one, made
//! when the caller asks for a sync: all that it refers to is on the disk before it is. After a crash of the machine the
//! latest may vouch for bytes that are gone, which is seen, and the safe one holds. Without a checksum it could not be seen;
//! then there are only safe ones.
//!
//! [`Sink::abandon_source`] cuts off what a checkpoint within that source refers to, and so takes that checkpoint back; it is
//! best followed by the next one. [`Sink::fail_source`] cuts nothing off: it notes the moment at which the source began, and
//! leaves it to [`SplitSink::resume`] to cut. [`Finished::seal`] ends the time in which any checkpoint holds.

#![forbid(unsafe_code)]

mod blocks;
mod bundle;
mod cat;
mod checkpoint;
mod checksum;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod encode;
mod error;
mod lengths;
mod long;
mod names;
mod offload;
mod open_blocks;
mod outcome;
mod output;
mod part;
mod quarantine;
mod split;
mod stats;

pub use blocks::BLOCK_BYTES;
pub use bundle::{BundleFiles, BundleNames, BundleOptions, BundleSink, FinishedBundles};
pub use cat::CatSink;
pub use checkpoint::Checkpoint;
pub use checksum::Hasher;
pub use encode::{Codec, Encoding, LevelOutOfRange};
pub use error::{ResumeError, SinkError};
pub use lengths::Lengths;
pub use offload::{Inline, Offload};
pub use quarantine::{OUTCOME_NAME, RAW_NAME};
pub use split::{
    Finished, MAX_DESTINATIONS, MAX_FILES, Resumed, SplitOptions, SplitSink, is_provisional_of_ours,
    safe_name,
};
pub use stats::{StatsSink, TypeStats};

use fhirline_core::{Batch, LongLine, SourceId};

/// Takes batches in sequence order.
///
/// The engine calls [`begin_source`](Self::begin_source) for each source, then [`commit`](Self::commit) and
/// [`commit_long`](Self::commit_long) for what it holds, in order, and either goes on with the next source, or
/// [abandons](Self::abandon_source) or [fails](Self::fail_source) this one; [`complete`](Self::complete) comes last. Anybody may
/// implement it: the feature `conformance` has a suite of tests for sinks.
pub trait Sink {
    /// Whether the sink goes on where an earlier run stopped, and then the `progress` of the [`checkpoint`](Self::checkpoint) that it
    /// goes on from. Asked before anything else. A sink that cannot be taken up again has nothing to say.
    ///
    /// # Errors
    /// When the sink cannot be taken up.
    fn noted(&mut self) -> Result<Option<Vec<u8>>, SinkError> {
        Ok(None)
    }

    /// A source begins. What was committed so far is what [`abandon_source`](Self::abandon_source) goes back to.
    ///
    /// # Errors
    /// When the sink cannot go on.
    fn begin_source(&mut self, source: SourceId, name: &str) -> Result<(), SinkError>;

    /// Takes the next batch: its [runs](Batch::runs) of resources and of lines for sidecars, and its [rejects](Batch::rejects). A sink
    /// that wants to keep the batch itself leaves another in its place, whose memory is used again; what it keeps is memory beside that
    /// of the run.
    ///
    /// # Errors
    /// When the sink cannot go on; [`SinkError::Closed`] when nobody reads what it writes any more.
    fn commit(&mut self, batch: &mut Batch, offload: &dyn Offload) -> Result<(), SinkError>;

    /// Whether the sink gets each batch with what it paid ([`Batch::lease`]), and lets the source wait until that is given back. Unless
    /// it does, that ends with [`commit`](Self::commit).
    fn takes_leases(&self) -> bool {
        false
    }

    /// Takes a record that was too long to be held: a batch of one record. [`LongLine::delivered`] reads it, and
    /// [`LongLine::rejected`] one that goes to quarantine.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    fn commit_long(&mut self, line: &mut LongLine, offload: &dyn Offload) -> Result<(), SinkError>;

    /// Forgets all that was committed since the source began, and with it the checkpoints made since.
    ///
    /// # Errors
    /// When the sink cannot go back.
    fn abandon_source(&mut self) -> Result<(), SinkError>;

    /// The source that began last is not whole, and nothing is committed any more. What came of it stays where it is, and
    /// what is still held of it is written behind it. With `progress`, the moment at which the source began is noted, as
    /// [`checkpoint`](Self::checkpoint) would have done then with a sync; without, what was noted before holds. A sink that
    /// cannot be taken up again and holds nothing has nothing to do.
    ///
    /// # Errors
    /// When the sink cannot go on.
    fn fail_source(&mut self, progress: Option<&[u8]>) -> Result<(), SinkError> {
        let _ = progress;
        Ok(())
    }

    /// Notes all that was committed so far, and beside it `progress`, which is JSON: what the engine needs to go on from
    /// here. Only called between commits. With `sync` the note survives a crash of the machine, as far as the sink writes
    /// anything that does; without, a crash of the process. A sink that cannot be taken up again notes nothing.
    ///
    /// # Errors
    /// When the sink cannot go on.
    fn checkpoint(&mut self, progress: &[u8], sync: bool) -> Result<(), SinkError> {
        let _ = (progress, sync);
        Ok(())
    }

    /// All sources were read to their ends, and whatever was not whole was taken back. `progress` is that of a last checkpoint: a run
    /// that is taken up from there has nothing left to do.
    ///
    /// # Errors
    /// When the sink cannot come to its end.
    fn complete(&mut self, progress: &[u8]) -> Result<(), SinkError> {
        let _ = progress;
        Ok(())
    }
}
