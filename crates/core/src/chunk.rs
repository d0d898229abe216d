use std::fmt;

use crate::{Lease, Position};

/// A chunk holds at most this many bytes of whole lines, unless one line alone is longer.
///
/// A constant, never derived from a thread count or a memory limit: where chunks end must depend on content only.
pub const CHUNK_BYTES: usize = 1 << 20;

/// A chunk holds at most this many lines.
pub const CHUNK_LINES: usize = 8192;

/// Whole lines of one source, with their line ends, in one buffer.
#[derive(Default, PartialEq, Eq)]
pub struct Lines {
    /// Where the first line begins.
    pub at: Position,
    /// The lines, one after the other, each with its 0x0A; only the last line of a source may lack it.
    pub bytes: Vec<u8>,
    /// The end of each line in `bytes`, after its 0x0A.
    pub ends: Vec<u32>,
}

impl Lines {
    /// The number of lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each line with its line end, and its offset in `bytes`.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| (start, &self.bytes[start as usize..end as usize]))
    }

    /// Empties the buffers and keeps their memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.at = Position::default();
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("at", &self.at)
            .field("lines", &self.ends.len())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// The unit that travels through the pipeline: whole lines, their place in the run, and the lease that pays for them and
/// for all that will become of them.
#[derive(Debug)]
pub struct Chunk {
    /// Place in the run, from 0 and without gaps; results are committed strictly in this order.
    pub sequence: u64,
    /// The lines.
    pub lines: Lines,
    /// Pays for the lines and for the batch that they become.
    pub lease: Lease,
}
