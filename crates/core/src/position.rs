use std::fmt;

/// The number of a source within one run: 0 for the first, in the order in which they are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// Where a record begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The source that holds the record.
    pub source: SourceId,
    /// Offset of the record's first byte in the decoded (decompressed) stream, from 0; a byte order mark counts.
    pub byte: u64,
    /// Physical line on which the record begins, from 1; lines end at 0x0A only.
    pub line: u64,
}

impl Position {
    /// The first byte of a source.
    #[must_use]
    pub fn start_of(source: SourceId) -> Self {
        Self { source, byte: 0, line: 1 }
    }

    /// The position `bytes` and `lines` further on in the same source.
    #[must_use]
    pub fn advanced(self, bytes: u64, lines: u64) -> Self {
        Self { source: self.source, byte: self.byte + bytes, line: self.line + lines }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {}, line {}, byte {}", self.source.0, self.line, self.byte)
    }
}
