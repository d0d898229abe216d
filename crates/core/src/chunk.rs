use std::fmt;

use crate::{BadRecord, Destination, Lease, Ledger, Position, ResourceType, SourceRole};

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

/// Records of one source that does not hold one a line: what was found in Bundles, arrays, and values over several lines.
#[derive(Default, PartialEq, Eq)]
pub struct Parts {
    /// Where the chunk begins.
    pub at: Position,
    /// Where what follows it begins.
    pub end: Position,
    /// The parts, one right behind the other.
    pub bytes: Vec<u8>,
    /// What they are, in order.
    pub list: Vec<PartSpan>,
    /// Types of resources that are known already.
    pub types: Vec<ResourceType>,
    /// The account of what lies between them, and of all bytes read.
    pub ledger: Ledger,
    /// Names of providers that containers gave.
    pub providers: Vec<String>,
}

/// One part: what it is and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSpan {
    /// What it is.
    pub kind: PartKind,
    /// Offset of its first byte in [`Parts::bytes`].
    pub from: u32,
    /// Its length in bytes.
    pub length: u32,
    /// Offset of its first byte in the source from the beginning of the chunk.
    pub offset: u32,
    /// Lines between the first line of the chunk and the one on which it begins.
    pub line: u32,
    /// Line ends in it.
    pub line_ends: u32,
    /// Whether it was proven to be JSON.
    pub proven: bool,
    /// The place of its type in [`Parts::types`], if it was proven to be a resource of that type, with no key twice that counts.
    pub known_type: Option<u8>,
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// A resource, or what stands in the place of one.
    Resource,
    /// A line with its line end: a resource, or blank.
    Line,
    /// An entry without a resource.
    Entry,
    /// What cannot be read.
    Broken(BadRecord),
    /// A line of our own for a sidecar.
    Sidecar(Destination),
}

impl Parts {
    /// Empties the buffers and keeps their memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.list.clear();
        self.types.clear();
        self.providers.clear();
        self.ledger = Ledger::default();
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("at", &self.at)
            .field("end", &self.end)
            .field("parts", &self.list.len())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// What a chunk holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// One record a line.
    Lines(Lines),
    /// What was found in containers.
    Parts(Box<Parts>),
}

impl Content {
    /// The buffer that holds the records.
    #[must_use]
    pub fn buffer(&self) -> &Vec<u8> {
        match self {
            Self::Lines(lines) => &lines.bytes,
            Self::Parts(parts) => &parts.bytes,
        }
    }
}

impl From<Lines> for Content {
    fn from(lines: Lines) -> Self {
        Self::Lines(lines)
    }
}

/// The unit that travels through the pipeline: whole records, their place in the run, and the lease that pays for them and
/// for all that will become of them.
#[derive(Debug)]
pub struct Chunk {
    /// Place in the run, from 0 and without gaps; results are committed strictly in this order.
    pub sequence: u64,
    /// What its source holds.
    pub role: SourceRole,
    /// The records.
    pub content: Content,
    /// Pays for the records and for the batch that they become.
    pub lease: Lease,
}
