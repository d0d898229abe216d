use fhirline_core::{Ledger, PartKind, PartSpan, Parts, Position, ResourceType};
use fhirline_line_split::ChunkSize;

/// A chunk ends at this part of the greatest size, so that it stays below that with one more part.
const FULL_PART: usize = 2;

/// A chunk spans at most so many times its size of the source, what was left out included.
const SPAN_SIZES: u64 = 16;

/// The chunk in the making.
#[derive(Debug)]
pub(super) struct Pack {
    parts: Box<Parts>,
    size: ChunkSize,
    spare: Option<Box<Parts>>,
}

/// What is known of a part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Proven {
    pub(super) proven: bool,
    pub(super) resource_type: Option<ResourceType>,
}

impl Pack {
    pub(super) fn new(at: Position, size: ChunkSize) -> Self {
        Self { parts: Box::new(Parts { at, ..Parts::default() }), size, spare: None }
    }

    /// Where the chunk begins.
    pub(super) fn at(&self) -> Position {
        self.parts.at
    }

    /// Begins elsewhere; nothing may be packed.
    pub(super) fn restart(&mut self, at: Position) {
        debug_assert!(self.is_untouched(), "what was packed is handed on first");
        self.parts.at = at;
    }

    /// The account of what is no record.
    pub(super) fn ledger(&mut self) -> &mut Ledger {
        &mut self.parts.ledger
    }

    pub(super) fn add_provider(&mut self, name: String) {
        self.parts.providers.push(name);
    }

    /// Adds a part that stands there.
    pub(super) fn push(&mut self, kind: PartKind, at: Position, line_ends: u64, bytes: &[u8]) {
        self.push_proven(kind, at, line_ends, Proven::default(), bytes);
    }

    /// Adds a part of which something is known.
    pub(super) fn push_proven(
        &mut self,
        kind: PartKind,
        at: Position,
        line_ends: u64,
        known: Proven,
        bytes: &[u8],
    ) {
        let known_type = known.resource_type.and_then(|name| number_of(&mut self.parts.types, name));
        let parts = &mut self.parts;
        parts.list.push(PartSpan {
            kind,
            from: parts.bytes.len() as u32,
            length: bytes.len() as u32,
            offset: (at.byte - parts.at.byte) as u32,
            line: (at.line - parts.at.line) as u32,
            line_ends: line_ends as u32,
            proven: known.proven,
            known_type,
        });
        parts.bytes.extend_from_slice(bytes);
    }

    /// Whether nothing was packed or counted.
    pub(super) fn is_untouched(&self) -> bool {
        let parts = &self.parts;
        parts.list.is_empty() && parts.providers.is_empty() && parts.ledger == Ledger::default()
    }

    /// Whether the chunk ends here. It depends on the content only.
    pub(super) fn is_full(&self, end: Position) -> bool {
        let (bytes, spanned) = (self.parts.bytes.len(), end.byte - self.parts.at.byte);
        bytes >= self.size.max_bytes / FULL_PART
            || self.parts.list.len() >= self.size.max_lines
            || spanned >= SPAN_SIZES * self.size.max_bytes as u64
    }

    /// The chunk, which ends there; the next one begins.
    pub(super) fn take(&mut self, end: Position) -> Box<Parts> {
        let next = self.spare.take().unwrap_or_default();
        let mut parts = std::mem::replace(&mut self.parts, next);
        self.parts.clear();
        self.parts.at = end;
        parts.end = end;
        parts.ledger.bytes.read = end.byte - parts.at.byte;
        parts
    }

    pub(super) fn recycle(&mut self, parts: Parts) {
        self.spare = Some(Box::new(parts));
    }
}

/// The place of the type in the list, if there is room for it.
fn number_of(types: &mut Vec<ResourceType>, name: ResourceType) -> Option<u8> {
    if let Some(at) = types.iter().rposition(|known| *known == name) {
        return u8::try_from(at).ok();
    }
    let next = u8::try_from(types.len()).ok()?;
    types.push(name);
    Some(next)
}
