use std::fmt;
use std::io::{self, Read};

use crate::blocks::{BLOCK_BYTES, LONGEST_BLOCK};

/// How outputs are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// Gzip members, one after the other.
    Gzip,
    /// Zstandard frames, one after the other.
    Zstd,
}

/// A codec and its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    codec: Codec,
    level: u8,
}

impl Default for Encoding {
    fn default() -> Self {
        Self::plain()
    }
}

impl Encoding {
    /// No compression.
    #[must_use]
    pub fn plain() -> Self {
        Self { codec: Codec::None, level: 0 }
    }

    /// A codec at a level, or at its usual level (gzip 6, zstd 3).
    ///
    /// # Errors
    /// If the codec has no such level (gzip 0 to 9, zstd 1 to 19; `None` has none).
    pub fn new(codec: Codec, level: Option<u8>) -> Result<Self, LevelOutOfRange> {
        let (lowest, highest, usual) = match codec {
            Codec::None => (0, 0, 0),
            Codec::Gzip => (0, 9, 6),
            Codec::Zstd => (1, 19, 3),
        };
        let level = level.unwrap_or(usual);
        if level < lowest || level > highest {
            return Err(LevelOutOfRange { codec, lowest, highest });
        }
        Ok(Self { codec, level })
    }

    /// The codec.
    #[must_use]
    pub fn codec(self) -> Codec {
        self.codec
    }

    /// The level; 0 without compression.
    #[must_use]
    pub fn level(self) -> u8 {
        self.level
    }

    /// What file names end in: nothing, `.gz`, `.zst`.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self.codec {
            Codec::None => "",
            Codec::Gzip => ".gz",
            Codec::Zstd => ".zst",
        }
    }

    /// Most memory that the state of one encoder takes, beside the block and what it becomes. Measured upper bounds,
    /// rounded up.
    #[must_use]
    pub fn job_bytes(self) -> u64 {
        const MIB: u64 = 1 << 20;
        match (self.codec, self.level) {
            (Codec::None, _) => 0,
            (Codec::Gzip, _) => MIB,
            (Codec::Zstd, ..=3) => 2 * MIB,
            (Codec::Zstd, ..=6) => 4 * MIB,
            (Codec::Zstd, ..=8) => 6 * MIB,
            (Codec::Zstd, ..=12) => 11 * MIB,
            (Codec::Zstd, _) => 18 * MIB,
        }
    }

    /// How many plain bytes make a block under a ceiling on memory. It follows from the ceiling alone, for it decides where
    /// members end.
    ///
    /// Gzip looks back 32 KiB, so 1 MiB loses next to nothing. Zstd looks back MiBs: its frames are as long as the ceiling
    /// allows, 8 MiB at most (see `docs/decisions/0007-blocks.md`). From level 10 on its state grows with the block.
    #[must_use]
    pub fn block_bytes(self, ceiling_bytes: u64) -> usize {
        if self.codec != Codec::Zstd || self.level > 9 {
            return BLOCK_BYTES;
        }
        // A job holds the block and what it becomes; as much again may be open.
        let fits = |block: &usize| self.job_bytes() + 4 * *block as u64 <= ceiling_bytes / 32 * 9;
        let sizes = std::iter::successors(Some(LONGEST_BLOCK), |block| Some(block / 2))
            .take_while(|block| *block > BLOCK_BYTES);
        sizes.into_iter().find(fits).unwrap_or(BLOCK_BYTES)
    }

    /// Decodes the first `count` plain bytes of what was compressed.
    pub(crate) fn decode_first(self, stored: impl Read, count: u64) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        match self.codec {
            Codec::None => stored.take(count).read_to_end(&mut plain)?,
            Codec::Gzip => flate2::read::MultiGzDecoder::new(stored).take(count).read_to_end(&mut plain)?,
            Codec::Zstd => zstd::Decoder::new(stored)?.take(count).read_to_end(&mut plain)?,
        };
        Ok(plain)
    }
}

/// What compresses blocks, one after the other, and keeps its memory in between: whatever number of threads it passes
/// through, it is allocated once.
pub(crate) struct Coder {
    encoding: Encoding,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    deflate: Option<libdeflater::Compressor>,
}

impl Coder {
    pub(crate) fn new(encoding: Encoding) -> Self {
        Self { encoding, zstd: None, deflate: None }
    }

    /// Compresses a block into one member or frame, which replaces what `into` held. The same block gives the same bytes,
    /// whatever was compressed before it.
    pub(crate) fn compress(&mut self, block: &[u8], into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        into.reserve_exact(longest_member(block.len()));
        match self.encoding.codec {
            Codec::None => into.extend_from_slice(block),
            Codec::Gzip => {
                let deflate = self.deflate()?;
                into.resize(deflate.gzip_compress_bound(block.len()), 0);
                let length = deflate.gzip_compress(block, into).map_err(io::Error::other)?;
                into.truncate(length);
            }
            Codec::Zstd => {
                self.compressor()?.compress_to_buffer(block, into)?;
            }
        }
        Ok(())
    }

    fn deflate(&mut self) -> io::Result<&mut libdeflater::Compressor> {
        let deflate = match self.deflate.take() {
            Some(deflate) => deflate,
            None => {
                let level = libdeflater::CompressionLvl::new(deflate_level(self.encoding.level));
                let level = level.map_err(|_| io::Error::other("libdeflate has no such level"))?;
                libdeflater::Compressor::new(level)
            }
        };
        Ok(self.deflate.insert(deflate))
    }

    fn compressor(&mut self) -> io::Result<&mut zstd::bulk::Compressor<'static>> {
        let compressor = match self.zstd.take() {
            Some(compressor) => compressor,
            None => {
                let mut compressor = zstd::bulk::Compressor::new(i32::from(self.encoding.level))?;
                compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
                compressor
            }
        };
        Ok(self.zstd.insert(compressor))
    }
}

/// The level of libdeflate that makes members no larger than gzip's own does at `level`. From 6 on that is the next one.
fn deflate_level(level: u8) -> i32 {
    i32::from(if (6..9).contains(&level) { level + 1 } else { level })
}

/// More than any codec makes of so many bytes that it cannot compress.
fn longest_member(plain_bytes: usize) -> usize {
    zstd::zstd_safe::compress_bound(plain_bytes).max(plain_bytes + plain_bytes / 64 + 64)
}

/// A level that the codec does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelOutOfRange {
    codec: Codec,
    lowest: u8,
    highest: u8,
}

impl fmt::Display for LevelOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.codec {
            Codec::None => f.write_str("there is no level without compression"),
            Codec::Gzip => write!(f, "gzip has the levels {} to {}", self.lowest, self.highest),
            Codec::Zstd => write!(f, "zstd has the levels {} to {}", self.lowest, self.highest),
        }
    }
}

impl std::error::Error for LevelOutOfRange {}

#[cfg(test)]
mod tests {
    use super::*;

    /// No zstd context is smaller than that once it has worked.
    const MIB_OF_A_CONTEXT: u64 = 256 << 10;

    #[test]
    fn members_decode_to_what_went_in() {
        for encoding in [
            Encoding::plain(),
            Encoding::new(Codec::Gzip, None).expect("usual level"),
            Encoding::new(Codec::Zstd, Some(19)).expect("highest level"),
        ] {
            let (mut coder, mut stored, mut second) = (Coder::new(encoding), Vec::new(), Vec::new());
            coder.compress(b"first ", &mut stored).expect("into memory");
            coder.compress(b"second", &mut second).expect("into memory");
            stored.append(&mut second);
            assert_eq!(encoding.decode_first(&stored[..], 100).expect("sound"), b"first second");
            assert_eq!(encoding.decode_first(&stored[..], 8).expect("sound"), b"first se");
        }
    }

    /// What no encoder can make smaller, and what takes most of its tables.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..bytes).map(|_| next()).collect()
    }

    #[test]
    fn the_state_of_zstd_is_within_what_a_job_pays() {
        let block = noise(8 << 20);
        for level in 1..=19 {
            let encoding = Encoding::new(Codec::Zstd, Some(level)).expect("a level");
            let (mut coder, mut stored) = (Coder::new(encoding), Vec::new());
            let longest = encoding.block_bytes(u64::MAX);
            coder.compress(&block[..longest], &mut stored).expect("into memory");
            let held = coder.compressor().expect("a context").context_mut().sizeof() as u64;
            assert!(held <= encoding.job_bytes(), "zstd level {level} holds {held} bytes");
            assert!(held > MIB_OF_A_CONTEXT, "zstd level {level} holds {held} bytes: what is measured?");
        }
    }

    #[test]
    fn members_do_not_outgrow_their_buffer() {
        let block = noise(BLOCK_BYTES);
        for encoding in [(Codec::Gzip, 0), (Codec::Gzip, 9), (Codec::Zstd, 1), (Codec::Zstd, 19)] {
            let encoding = Encoding::new(encoding.0, Some(encoding.1)).expect("a level");
            let mut stored = Vec::new();
            Coder::new(encoding).compress(&block, &mut stored).expect("into memory");
            assert!(
                stored.capacity() < BLOCK_BYTES + BLOCK_BYTES / 32,
                "{encoding:?}: {}",
                stored.capacity()
            );
        }
    }

    #[test]
    fn a_used_coder_makes_the_same_members_as_a_new_one() {
        let blocks = [noise(BLOCK_BYTES), b"{\"resourceType\":\"Patient\"}\n".repeat(30_000), noise(1000)];
        for encoding in
            [(Codec::Gzip, None), (Codec::Zstd, Some(1)), (Codec::Zstd, None), (Codec::Zstd, Some(19))]
        {
            let encoding = Encoding::new(encoding.0, encoding.1).expect("a level");
            let mut used = Coder::new(encoding);
            for number in [0, 1, 2, 1, 0, 2] {
                let (mut one, mut other) = (Vec::new(), Vec::new());
                used.compress(&blocks[number], &mut one).expect("into memory");
                Coder::new(encoding).compress(&blocks[number], &mut other).expect("into memory");
                assert!(one == other, "{encoding:?}, block {number}");
            }
        }
    }

    #[test]
    fn blocks_grow_with_the_ceiling() {
        let blocks = |codec, level, mib: u64| {
            Encoding::new(codec, level).expect("a level").block_bytes(mib << 20) >> 20
        };
        assert_eq!([48, 64, 128, 1024].map(|mib| blocks(Codec::Zstd, None, mib)), [2, 4, 8, 8]);
        assert_eq!([64, 1024].map(|mib| blocks(Codec::Zstd, Some(19), mib)), [1, 1]);
        assert_eq!([64, 1024].map(|mib| blocks(Codec::Gzip, None, mib)), [1, 1]);
    }

    #[test]
    fn levels_out_of_range_are_refused() {
        assert!(Encoding::new(Codec::Gzip, Some(9)).is_ok());
        for (codec, level) in [(Codec::Gzip, 10), (Codec::Zstd, 0), (Codec::Zstd, 20), (Codec::None, 1)] {
            assert!(Encoding::new(codec, Some(level)).is_err(), "{codec:?} {level}");
        }
    }
}
