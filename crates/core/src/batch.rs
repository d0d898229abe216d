use std::fmt;
use std::ops::Range;

use crate::{BadRecord, Lease, Ledger, Position, ResourceType};

/// Where a record goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// The output of one resource type.
    Resource(ResourceType),
    /// The output of records whose `resourceType` does not look like one.
    Unknown,
    /// The one output of all records together, in the order of the source.
    Together,
    /// The sidecar of entries that have no resource.
    Entries,
    /// The sidecar of what Bundles say of themselves.
    Bundles,
    /// The sidecar of what entries say beside their resources.
    EntryMetadata,
    /// The sidecar of the Bundles that tell what was deleted.
    Deleted,
    /// The sidecar of what the sender tells of its export: OperationOutcomes.
    Errors,
    /// The sidecar of header lines.
    Headers,
}

impl Destination {
    /// The destinations that are no resource types.
    pub const FIXED: [Self; 8] = [
        Self::Unknown,
        Self::Together,
        Self::Entries,
        Self::Bundles,
        Self::EntryMetadata,
        Self::Deleted,
        Self::Errors,
        Self::Headers,
    ];

    /// The name of the output without suffixes: `Patient`, `_unknown`, `_entries`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Resource(resource_type) => resource_type.as_str(),
            Self::Unknown => "_unknown",
            Self::Together => "_all",
            Self::Entries => "_entries",
            Self::Bundles => "_bundles",
            Self::EntryMetadata => "_entry_metadata",
            Self::Deleted => "_deleted",
            Self::Errors => "_errors",
            Self::Headers => "_headers",
        }
    }

    /// The destination of that [`name`](Self::name); `None` if there can be none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let fixed = Self::FIXED.into_iter().find(|fixed| fixed.name() == name);
        fixed.or_else(|| ResourceType::new(name).map(Self::Resource))
    }

    /// Whether what goes there stands beside the resources and is no record.
    #[must_use]
    pub fn is_sidecar(&self) -> bool {
        !matches!(self, Self::Resource(_) | Self::Unknown | Self::Together)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Records of one destination within a batch, in source order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where they go.
    pub destination: Destination,
    /// Their bytes in [`Batch::bytes`], each record followed by one 0x0A.
    pub bytes: Range<usize>,
    /// Their entries in [`Batch::spans`].
    pub spans: Range<usize>,
}

/// One delivered record: where it stood in the chunk, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordSpan {
    /// Offset of its first byte from the chunk's first byte.
    pub offset: u32,
    /// Its length in bytes, without line end.
    pub length: u32,
    /// Lines between the chunk's first line and its own.
    pub line: u32,
}

/// One rejected record: where it stood in the chunk, how long it is, and why it was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectSpan {
    /// Where it stood.
    pub span: RecordSpan,
    /// Records of the chunk before this one, good or bad: rejects with consecutive ordinals are neighbours.
    pub ordinal: u32,
    /// Physical lines that it spans.
    pub lines: u32,
    /// Why.
    pub why: BadRecord,
}

/// Records left out on request, of one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// Where they would have gone.
    pub destination: Destination,
    /// How many.
    pub records: u64,
    /// Their bytes, without line ends.
    pub bytes: u64,
}

/// The records of one chunk, regrouped by destination, with the broken ones beside them.
///
/// `bytes` holds the runs one after the other and then the rejects, each record followed by one 0x0A: a run is appended to
/// its output as it is, and the rejects to the quarantine as they are.
#[derive(Default)]
pub struct Batch {
    /// Place in the run; that of the chunk.
    pub sequence: u64,
    /// Where the chunk began.
    pub at: Position,
    /// Where what follows the chunk begins.
    pub end: Position,
    /// All records, regrouped.
    pub bytes: Vec<u8>,
    /// One run for each destination, in the order of first appearance.
    pub runs: Vec<Run>,
    /// The delivered records, in the order of `bytes`.
    pub spans: Vec<RecordSpan>,
    /// The rejected records, in source order.
    pub rejects: Vec<RejectSpan>,
    /// Where the rejects stood originally, if the source is a copy of other ones; otherwise empty.
    pub places: Vec<Position>,
    /// Where the rejects begin in `bytes`.
    pub rejects_from: usize,
    /// Records left out on request.
    pub filtered: Vec<Filtered>,
    /// Names of providers that the chunk's containers gave.
    pub providers: Vec<String>,
    /// The account of the chunk.
    pub ledger: Ledger,
    /// What the chunk paid.
    pub lease: Option<Lease>,
}

impl Batch {
    /// The records of a run, in order.
    #[must_use]
    pub fn records(&self, run: &Run) -> Records<'_> {
        Records {
            at: self.at,
            bytes: self.bytes.get(run.bytes.clone()).unwrap_or_default(),
            spans: self.spans.get(run.spans.clone()).unwrap_or_default().iter(),
        }
    }

    /// The bytes of a run: each record followed by one 0x0A.
    #[must_use]
    pub fn run_bytes(&self, run: &Run) -> &[u8] {
        self.bytes.get(run.bytes.clone()).unwrap_or_default()
    }

    /// The lengths of a run's records, without line ends.
    pub fn lengths(&self, run: &Run) -> impl Iterator<Item = u32> {
        self.spans.get(run.spans.clone()).unwrap_or_default().iter().map(|span| span.length)
    }

    /// The bytes of all rejects: each record followed by one 0x0A.
    #[must_use]
    pub fn reject_bytes(&self) -> &[u8] {
        self.bytes.get(self.rejects_from..).unwrap_or_default()
    }

    /// The rejected records, in source order.
    pub fn rejects(&self) -> impl Iterator<Item = Reject<'_>> {
        let mut rest = self.reject_bytes();
        self.rejects.iter().enumerate().map(move |(number, reject)| {
            let (bytes, tail) = split_record(rest, reject.span.length);
            rest = tail;
            let place = self.places.get(number).copied();
            let position = place.unwrap_or_else(|| position_of(self.at, &reject.span));
            Reject { why: reject.why, position, ordinal: reject.ordinal, lines: reject.lines, bytes }
        })
    }

    /// Empties the batch and keeps its memory for the next one.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
        self.spans.clear();
        self.rejects.clear();
        self.places.clear();
        self.filtered.clear();
        self.providers.clear();
        self.rejects_from = 0;
        self.ledger = Ledger::default();
        self.lease = None;
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("sequence", &self.sequence)
            .field("at", &self.at)
            .field("bytes", &self.bytes.len())
            .field("runs", &self.runs)
            .field("rejects", &self.rejects.len())
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

/// The records of one run. Made by [`Batch::records`].
#[derive(Clone)]
pub struct Records<'b> {
    at: Position,
    bytes: &'b [u8],
    spans: std::slice::Iter<'b, RecordSpan>,
}

impl<'b> Iterator for Records<'b> {
    type Item = Record<'b>;

    #[inline]
    fn next(&mut self) -> Option<Record<'b>> {
        let span = self.spans.next()?;
        let (bytes, rest) = split_record(self.bytes, span.length);
        self.bytes = rest;
        Some(Record { position: position_of(self.at, span), bytes })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for Records<'_> {}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("records", &self.spans.len())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// One delivered record: its source bytes and where they stood.
#[derive(Clone, Copy)]
pub struct Record<'b> {
    /// Where it stood.
    pub position: Position,
    /// Its bytes, without line end and surrounding white space.
    pub bytes: &'b [u8],
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("position", &self.position).field("bytes", &self.bytes.len()).finish()
    }
}

/// One rejected record: its exact bytes, where they stood, and why it was rejected.
#[derive(Clone, Copy)]
pub struct Reject<'b> {
    /// Why.
    pub why: BadRecord,
    /// Where it stood.
    pub position: Position,
    /// Records of the same batch before this one, good or bad.
    pub ordinal: u32,
    /// Physical lines that it spans.
    pub lines: u32,
    /// Its bytes, without the line end behind it.
    pub bytes: &'b [u8],
}

impl fmt::Debug for Reject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reject")
            .field("why", &self.why)
            .field("position", &self.position)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// A piece of a line that is too long to be held: such a line travels in pieces and is never assembled.
pub struct Fragment {
    /// Where the line begins.
    pub line_at: Position,
    /// Offset of this piece from the line's first byte.
    pub offset: u64,
    /// The piece, without line end.
    pub bytes: Vec<u8>,
    /// Whether the line ends with this piece.
    pub last: bool,
    /// Bytes of the line end behind this piece: 0 unless it is the last.
    pub terminator_bytes: u8,
}

impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragment")
            .field("line_at", &self.line_at)
            .field("offset", &self.offset)
            .field("bytes", &self.bytes.len())
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

#[inline]
fn position_of(chunk_at: Position, span: &RecordSpan) -> Position {
    chunk_at.advanced(u64::from(span.offset), u64::from(span.line))
}

/// Splits `length` bytes and the 0x0A behind them off the front.
#[inline]
fn split_record(bytes: &[u8], length: u32) -> (&[u8], &[u8]) {
    let length = (length as usize).min(bytes.len());
    let (record, rest) = bytes.split_at(length);
    (record, rest.get(1..).unwrap_or_default())
}
