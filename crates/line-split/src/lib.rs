//! Framing without I/O: bytes in at any cut, chunks of whole lines out.
//!
//! This crate owns where lines begin and end. Lines end at 0x0A and nowhere else (never at U+2028, U+0085 or a lone CR,
//! which are legal inside JSON strings). Lines are gathered into chunks of at most [`CHUNK_BYTES`] bytes and
//! [`CHUNK_LINES`] lines; a longer line is a chunk of its own; a line beyond `max_line_bytes` is handed out in pieces
//! and never assembled. Where chunks and pieces end depends on the content only, never on how the bytes arrived.
//!
//! ```
//! use fhirline_core::SourceId;
//! use fhirline_line_split::{Framed, LineSplitter};
//!
//! let mut splitter = LineSplitter::new(SourceId(0), 16 << 20);
//! let mut input: &[u8] = b"\xEF\xBB\xBF{\"resourceType\":\"Patient\"}\r\n\n{\"resourceType\":\"Goal\"}";
//! let mut lines = Vec::new();
//! while !input.is_empty() {
//!     let space = splitter.space(5);
//!     let step = input.len().min(space.len());
//!     space[..step].copy_from_slice(&input[..step]);
//!     splitter.filled(step);
//!     input = &input[step..];
//!     while let Some(framed) = splitter.next() {
//!         lines.push(framed);
//!     }
//! }
//! splitter.finish();
//! while let Some(framed) = splitter.next() {
//!     lines.push(framed);
//! }
//! let [Framed::Lines(chunk)] = &lines[..] else { panic!("one chunk") };
//! assert_eq!((chunk.len(), chunk.at.byte), (3, 3));
//! assert_eq!(splitter.byte_order_mark_bytes(), 3);
//! ```
//!
//! # Why it is cut so
//!
//! A state machine that owns no reader can be fed from a file, a decoder, a socket or a test that cuts the input at every
//! byte. The caller reads straight into the splitter's own buffer ([`LineSplitter::space`]), so whole lines reach the
//! next step without a copy; only the unfinished line behind the last whole one is moved.
//!
//! # Memory
//!
//! One buffer: at most a chunk and a read, or one line of up to `max_line_bytes` and a read.
//! [`LineSplitter::held_bytes`] tells before a read what it would take.

#![forbid(unsafe_code)]

mod splitter;

pub use fhirline_core::{CHUNK_BYTES, CHUNK_LINES};
pub use splitter::{ChunkSize, Framed, LineSplitter, MAX_LINE_BYTES};
