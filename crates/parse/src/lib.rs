//! The envelope of one FHIR record, and the proof that the record is well-formed.
//!
//! This crate owns what has to be known of a line before it can be routed: its top-level `resourceType` and `id`
//! ([`Envelope`]), and that it is UTF-8 and exactly one JSON object ([`Proof`]). It also tells how far any text is a JSON
//! value ([`shape`]), from which the format of a source is found.
//!
//! ```
//! use fhirline_parse::{Id, Proof, envelope};
//!
//! let record = br#"{"contained":[{"resourceType":"Practitioner"}],"id":"p1","resourceType":"Patient"}"#;
//! let envelope = envelope(record, Proof::Full)?;
//! assert_eq!(envelope.resource_type, "Patient");
//! assert_eq!(envelope.id, Some(Id::Text("p1".into())));
//! # Ok::<(), fhirline_core::BadRecord>(())
//! ```
//!
//! # Why it is cut so
//!
//! A record is delivered as its source bytes, so nothing here builds a tree, turns numbers into floats or copies text: a
//! record has to be *understood* no further than its first level, and *proven* to its last byte. Both are done by one
//! walk over the bytes that knows the whole grammar of RFC 8259 and keeps no more than one bit for each open bracket. It
//! was measured against two libraries that do the same job; `docs/decisions/0002-proof-of-json.md` has the numbers.
//!
//! The walk is a pure function of the record: no state is carried from one to the next, and nothing here touches a file, a
//! socket, a clock or a thread. It does not recurse, so no input can exhaust the stack.
//!
//! The scanner of fragments is a second reading of the same grammar, and not the walk made resumable: the walk is quick
//! because its state lies in registers and it may look ahead and back in the record, and nearly all records are whole. What
//! holds the two together are tests, which give every record to both. The scanner reads what a fragment cuts, the first two
//! levels of the record and whatever is wrong; the tokens between, which lie whole in a fragment, it leaves to the walk.
//!
//! What is well-formed is what `serde_json` takes as a `RawValue`, except that nesting ends at [`MAX_DEPTH`]. Lone
//! surrogates in escapes and numbers beyond any float pass: they are legal text, and a delivered record is its text.
//!
//! # Memory
//!
//! A few hundred bytes of stack. The heap is used only for keys and values of the top level that are written with
//! escapes (or, in trusted bytes, are not UTF-8), in proportion to their length. A [`Scanner`] holds
//! [`Scanner::MAX_HELD_BYTES`] at most, whatever it is given.
//!
//! # Privacy
//!
//! No error and no `Debug` output holds bytes of a record: faults, offsets, lengths and counts only.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod blank;
mod decode;
mod envelope;
mod first;
mod gaps;
mod lanes;
mod members;
mod nesting;
mod numbers;
mod proof;
mod scanner;
mod shape;
mod sound;
mod specials;
mod strings;
mod top_level;
mod walker;

pub use blank::blank_length;
pub use envelope::{Envelope, Id, MAX_ID_BYTES, envelope, envelope_without_id};
pub use first::{FirstValue, first_value, first_value_length};
pub use gaps::Gaps;
pub use members::{elements, members, text_of};
pub use proof::{Proof, prove_value};
pub use scanner::{MAX_TYPE_BYTES, ScannedEnvelope, Scanner};
pub use shape::{Shape, shape};
pub use sound::sound_value_length;

/// How many objects and arrays may be open at once; one more is [`Fault::TooDeep`](fhirline_core::Fault::TooDeep).
///
/// The walk could go deeper. But Jackson, which the common FHIR servers read JSON with, refuses more than 1,000 levels by
/// default (`StreamReadConstraints`), so such a record would be refused by whoever reads it next, and no FHIR resource
/// comes near.
pub const MAX_DEPTH: usize = 1000;
