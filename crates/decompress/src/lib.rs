//! Finds the compression of a stream from its first bytes and inflates it.
//!
//! This crate owns the step between stored and decoded bytes: it tells gzip, zstd, bzip2, xz and plain bytes apart by
//! their content, never by a name or a header of the transport, and gives the decoded bytes as a blocking
//! [`Read`](std::io::Read).
//!
//! ```
//! use std::io::{Read, Write};
//! use fhirline_decompress::{Compression, DecompressError, Decoder, Limits};
//!
//! let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
//! gzip.write_all(b"{\"resourceType\":\"Patient\"}\n")?;
//! let stored = gzip.finish()?;
//!
//! let mut decoder = Decoder::new(&stored[..], Limits::default())?;
//! assert_eq!(decoder.compression(), Compression::Gzip);
//! let mut decoded = String::new();
//! decoder.read_to_string(&mut decoded)?;
//! assert_eq!(decoded, "{\"resourceType\":\"Patient\"}\n");
//!
//! let cut = &stored[..stored.len() - 1]; // all the data, and not all of the checksum
//! let error = Decoder::new(cut, Limits::default())?.read_to_string(&mut String::new()).unwrap_err();
//! assert!(matches!(DecompressError::find_in(&error), Some(DecompressError::Truncated { .. })));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # One rule for the four formats
//!
//! A compressed source is one or more members: gzip members, zstd frames (skippable ones too), bzip2 streams, xz
//! streams. All are decoded, one after the other. Behind each of them there may be zero bytes, as block devices, tapes
//! and xz itself pad with; then another member of the same format, or the end.
//!
//! * The end anywhere else is [`Truncated`](DecompressError::Truncated), even one byte into the next member's magic.
//! * Any other byte there is [`TrailingGarbage`](DecompressError::TrailingGarbage): what cannot be decoded is never
//!   dropped in silence, where gzip(1) warns and goes on.
//! * Data that breaks its format, or a checksum that is there and wrong, is [`Corrupt`](DecompressError::Corrupt). A
//!   zstd frame or an xz stream may have been written without a checksum; then only their structure is checked.
//! * All that was decoded before the error is handed out first, so the caller must not take data for complete
//!   until it has read `Ok(0)`. With a checksum at the end, the data that it condemns has been handed out too.
//!
//! An empty source is plain and empty. One that ends within a magic is cut off if it can be nothing else, and else
//! plain (a single `1f`, or `BZ`). Archives and formats that are known but not decoded are named in an error
//! ([`Unsupported`](DecompressError::Unsupported)) instead of being read as strange text. `docs/decisions/0003` has the
//! reasons.
//!
//! # Why it is cut so
//!
//! The codecs see bytes and never the reader: each is one `step` from a slice to a slice, cut anywhere, so that end of
//! input, end of member and failure of the reader are told apart in one place for all formats. What a codec must not be
//! trusted with, namely how much memory it may take because a header says so, is read from the header before.
//!
//! # Members ahead of their turn
//!
//! With [`Limits::with_ahead`] the members of a gzip source are decoded on several threads, as wholes, by the same code, and
//! handed on in order. What comes out, how it ends and where, is what the sequential decoder gives, for that decides: a
//! member is taken only if the one before it ended exactly where it begins and if it is whole and sound; any other is decoded
//! in its turn. Where members begin is guessed from the stored bytes, once a second member has begun; a wrong guess costs some
//! work. Threads are ended and joined when the decoder is dropped. It is off unless asked for.
//!
//! # Memory
//!
//! Of a plain source, at most its first 512 bytes are held; then reads go straight to the reader. For a compressed one,
//! a buffer of 64 KiB and the codec's window and state: 64 KiB for gzip, up to 3.7 MB for bzip2, for zstd and xz what the
//! stream asks for. [`Limits::window_bytes`] bounds it; a stream that asks for more is refused before the memory is
//! taken ([`WindowTooLarge`](DecompressError::WindowTooLarge) names what would be enough). [`Decoder::memory_bytes`]
//! says what is held, [`Limits::memory_bytes`] what may be.
//!
//! # Caps
//!
//! A few kilobytes can decode to terabytes. Memory is safe from that, because the decoder streams, disks and time are not.
//! [`Limits::max_ratio`] bounds what may come out of each stored byte, [`Limits::max_decoded_bytes`] what may come out of
//! a source; neither is set by default. Everything up to the cap is handed out and nothing beyond it, however the source
//! and the caller's buffers are cut.
//!
//! ```
//! use std::io::Read;
//! use fhirline_decompress::{DecompressError, Decoder, Limits};
//!
//! let limits = Limits::default().with_max_decoded_bytes(Some(5));
//! let mut text = String::new();
//! let error = Decoder::new(&b"0123456789"[..], limits)?.read_to_string(&mut text).unwrap_err();
//! assert_eq!(text, "01234");
//! assert_eq!(DecompressError::find_in(&error), Some(DecompressError::TooLong { max_decoded_bytes: 5 }));
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

mod ahead;
mod begun;
mod bzip2;
mod codec;
mod compression;
mod decoder;
mod error;
mod gzip;
mod input;
mod limits;
mod sniff;
mod window;
mod xz;
mod zstd;

pub use compression::Compression;
pub use decoder::Decoder;
pub use error::DecompressError;
pub use limits::Limits;
