use crate::bzip2::Bzip2Stream;
use crate::gzip::GzipMember;
use crate::sniff::MAGIC_BYTES;
use crate::xz::XzStream;
use crate::zstd::ZstdFrames;
use crate::{Compression, zstd};

/// What one step of a codec did.
#[derive(Debug)]
pub(crate) struct Step {
    /// Stored bytes used up.
    pub(crate) read: usize,
    /// Decoded bytes written; they are good even if the step failed.
    pub(crate) written: usize,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// More input or more room is needed.
    More,
    /// The member is complete and its checksums are right.
    MemberEnd,
    Failed(Trouble),
}

/// A [`DecompressError`](crate::DecompressError) before anyone has said where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Truncated,
    Corrupt,
    TrailingGarbage,
    WindowTooLarge { needed_bytes: u64, allowed_bytes: u64 },
    Unsupported(&'static str),
    TooExpanded { max_ratio: u64, decoded_bytes: u64, stored_bytes: u64 },
    TooLong { max_decoded_bytes: u64 },
    ThreadLost,
}

/// A codec in the middle of a member. Bytes in, bytes out; it never sees the reader.
pub(crate) enum Codec {
    Gzip(GzipMember),
    Zstd(ZstdFrames),
    Bzip2(Bzip2Stream),
    Xz(XzStream),
}

impl Codec {
    /// Begins a member; `head` is its first [`HEAD_BYTES`], or all that there are. `previous` is the codec of the member
    /// before, which may be used again. Nothing beyond `allowed_bytes` is allocated, now or later.
    pub(crate) fn begin(
        compression: Compression,
        previous: Option<Self>,
        head: &[u8],
        allowed_bytes: u64,
    ) -> Result<Self, Trouble> {
        match (compression, previous) {
            (Compression::Zstd, Some(Self::Zstd(frames))) => frames.next(head, allowed_bytes).map(Self::Zstd),
            (Compression::Zstd, _) => ZstdFrames::begin(head, allowed_bytes).map(Self::Zstd),
            (Compression::Bzip2, _) => Bzip2Stream::begin(head, allowed_bytes).map(Self::Bzip2),
            (Compression::Xz, _) => XzStream::begin(allowed_bytes).map(Self::Xz),
            (Compression::Gzip, _) => GzipMember::begin(allowed_bytes).map(Self::Gzip),
            (Compression::None, _) => Err(Trouble::Unsupported("plain data as a member")),
        }
    }

    /// Decodes as much as `input` and `output` allow; both may be cut anywhere.
    ///
    /// A codec that gets input and room again and again and uses neither must end with [`Trouble::Corrupt`].
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        match self {
            Self::Gzip(codec) => codec.step(input, output),
            Self::Zstd(codec) => codec.step(input, output),
            Self::Bzip2(codec) => codec.step(input, output),
            Self::Xz(codec) => codec.step(input, output),
        }
    }

    /// Memory held, in bytes, as far as headers have told.
    pub(crate) fn memory_bytes(&self) -> u64 {
        match self {
            Self::Gzip(_) => crate::gzip::STATE_BYTES,
            Self::Zstd(codec) => codec.memory_bytes(),
            Self::Bzip2(codec) => codec.memory_bytes(),
            Self::Xz(codec) => codec.memory_bytes(),
        }
    }
}

/// Bytes of a member that [`Codec::begin`] wants to see.
pub(crate) const HEAD_BYTES: usize =
    if zstd::HEADER_BYTES > MAGIC_BYTES { zstd::HEADER_BYTES } else { MAGIC_BYTES };

/// Refuses a need that is over the limit.
pub(crate) fn check_need(needed_bytes: u64, allowed_bytes: u64) -> Result<u64, Trouble> {
    if needed_bytes > allowed_bytes {
        return Err(Trouble::WindowTooLarge { needed_bytes, allowed_bytes });
    }
    Ok(needed_bytes)
}
