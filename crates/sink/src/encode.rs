use std::fmt;
use std::io::{self, Read, Write};

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

    /// Most memory that one encoder takes while it works on a block, beside the block itself: its state and its output.
    /// Measured upper bounds, rounded up.
    #[must_use]
    pub fn job_bytes(self) -> u64 {
        const MIB: u64 = 1 << 20;
        match (self.codec, self.level) {
            (Codec::None, _) => 0,
            (Codec::Gzip, _) => 2 * MIB,
            (Codec::Zstd, ..=3) => 4 * MIB,
            (Codec::Zstd, ..=12) => 10 * MIB,
            (Codec::Zstd, _) => 18 * MIB,
        }
    }

    /// Compresses a block into one member or frame, which is appended to `into`.
    pub(crate) fn compress(self, block: &[u8], into: &mut Vec<u8>) -> io::Result<()> {
        match self.codec {
            Codec::None => into.extend_from_slice(block),
            Codec::Gzip => {
                // No name, no time: the same bytes give the same member.
                let level = flate2::Compression::new(u32::from(self.level));
                let mut encoder = flate2::write::GzEncoder::new(into, level);
                encoder.write_all(block)?;
                encoder.finish()?;
            }
            Codec::Zstd => {
                let mut encoder = zstd::Encoder::new(into, i32::from(self.level))?;
                encoder.include_checksum(true)?;
                encoder.set_pledged_src_size(Some(block.len() as u64))?;
                encoder.write_all(block)?;
                encoder.finish()?;
            }
        }
        Ok(())
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

    #[test]
    fn members_decode_to_what_went_in() {
        for encoding in [
            Encoding::plain(),
            Encoding::new(Codec::Gzip, None).expect("usual level"),
            Encoding::new(Codec::Zstd, Some(19)).expect("highest level"),
        ] {
            let mut stored = Vec::new();
            encoding.compress(b"first ", &mut stored).expect("into memory");
            encoding.compress(b"second", &mut stored).expect("into memory");
            assert_eq!(encoding.decode_first(&stored[..], 100).expect("sound"), b"first second");
            assert_eq!(encoding.decode_first(&stored[..], 8).expect("sound"), b"first se");
        }
    }

    #[test]
    fn levels_out_of_range_are_refused() {
        assert!(Encoding::new(Codec::Gzip, Some(9)).is_ok());
        for (codec, level) in [(Codec::Gzip, 10), (Codec::Zstd, 0), (Codec::Zstd, 20), (Codec::None, 1)] {
            assert!(Encoding::new(codec, Some(level)).is_err(), "{codec:?} {level}");
        }
    }
}
