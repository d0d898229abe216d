use std::io;

use crate::Compression;

/// Why a source could not be decoded to its end.
///
/// It travels inside an [`io::Error`]; [`find_in`](Self::find_in) takes it out. `stored_byte` is how many stored bytes
/// the decoder had used up when it saw the trouble, counted from the start of the source. No variant holds content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecompressError {
    /// The source ends within a member.
    #[error("{compression} data is cut off: it ends in mid-stream after {stored_byte} bytes")]
    Truncated {
        /// The format that was being decoded.
        compression: Compression,
        /// Stored bytes used up.
        stored_byte: u64,
    },
    /// The bytes break the rules of their format, or do not have the checksum that they claim.
    #[error("{compression} data is corrupt near byte {stored_byte}")]
    Corrupt {
        /// The format that was being decoded.
        compression: Compression,
        /// Stored bytes used up.
        stored_byte: u64,
    },
    /// Something that is neither zero padding nor a further member follows a complete member.
    #[error("bytes that are not {compression} follow the {compression} data at byte {stored_byte}")]
    TrailingGarbage {
        /// The format that was being decoded.
        compression: Compression,
        /// Where the strange bytes begin.
        stored_byte: u64,
    },
    /// The stream needs more memory to decode than [`Limits`](crate::Limits) allow.
    #[error("{compression} data needs {needed_bytes} bytes of memory to decode, {allowed_bytes} are allowed")]
    WindowTooLarge {
        /// The format that was being decoded.
        compression: Compression,
        /// The `window_bytes` that would be enough.
        needed_bytes: u64,
        /// The bound in force.
        allowed_bytes: u64,
    },
    /// More comes out of the stored bytes than [`Limits::max_ratio`](crate::Limits::max_ratio) allows: a decompression
    /// bomb, or data that repeats itself uncommonly often.
    #[error(
        "{compression} data expands more than {max_ratio} times: over {decoded_bytes} bytes came out of {stored_bytes}"
    )]
    TooExpanded {
        /// The format that was being decoded.
        compression: Compression,
        /// The bound in force.
        max_ratio: u64,
        /// Decoded bytes that were handed out; there are more.
        decoded_bytes: u64,
        /// The stored bytes that they came out of, counted from the start of the source.
        stored_bytes: u64,
    },
    /// More comes out of the source than [`Limits::max_decoded_bytes`](crate::Limits::max_decoded_bytes) allows.
    #[error("the source holds more than the {max_decoded_bytes} decoded bytes that are allowed")]
    TooLong {
        /// The bound in force: so many bytes were handed out, and there are more.
        max_decoded_bytes: u64,
    },
    /// The source is stored in a way that is recognised, but not decoded.
    #[error("{what} is not supported")]
    Unsupported {
        /// What it is: `a zip archive`.
        what: &'static str,
    },
    /// A thread that decoded members ahead has panicked: a fault of the decoder, not of the source.
    #[error("a thread that decodes has panicked")]
    ThreadLost,
}

impl DecompressError {
    /// The decompression error inside `error`, if it is one; a failure to read the source is none.
    #[must_use]
    pub fn find_in(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }

    fn kind(self) -> io::ErrorKind {
        match self {
            Self::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Self::Corrupt { .. } | Self::TrailingGarbage { .. } | Self::TooExpanded { .. } => {
                io::ErrorKind::InvalidData
            }
            Self::TooLong { .. } => io::ErrorKind::FileTooLarge,
            Self::WindowTooLarge { .. } => io::ErrorKind::OutOfMemory,
            Self::Unsupported { .. } => io::ErrorKind::Unsupported,
            Self::ThreadLost => io::ErrorKind::Other,
        }
    }
}

impl From<DecompressError> for io::Error {
    fn from(error: DecompressError) -> Self {
        Self::new(error.kind(), error)
    }
}
