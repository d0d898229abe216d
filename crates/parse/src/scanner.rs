use std::fmt;
use std::ops::Range;

use fhirline_core::{BadRecord, Fault};

use crate::envelope::{BYTE_ORDER_MARK, Id, MAX_ID_BYTES};
use crate::proof::{self, Proof};

mod body;
mod characters;
mod grammar;
mod number;
mod top;

use characters::Utf8;
use grammar::Grammar;

/// How much of a `resourceType` a [`Scanner`] keeps, in bytes of its decoded text.
pub const MAX_TYPE_BYTES: usize = top::KEPT;

/// Bytes of a fragment that are looked at for all there is to see before the next: so that they are read from memory once.
const PIECE: usize = 16 << 10;

/// Finds the envelope of a record that comes in fragments, and proves it, without ever holding it.
///
/// A line that is too long to be held is pushed as it is read, in fragments cut anywhere: within characters, escapes,
/// numbers and keys. The outcome is that of [`envelope`](crate::envelope()) for the whole record, however it was cut: the same
/// verdict, fault, offset and envelope, but that of a `resourceType` beyond [`MAX_TYPE_BYTES`] the beginning is kept (see
/// [`ScannedEnvelope::resource_type`]).
///
/// ```
/// use fhirline_parse::{Id, Proof, Scanner};
///
/// let mut scanner = Scanner::new(Proof::Full);
/// for fragment in [&br#" {"resourceType":"Pat"#[..], br#"ient","i"#, br#"d":"\u00"#, br#"41"} "#] {
///     scanner.push(fragment);
/// }
/// let found = scanner.finish()?;
/// assert_eq!(found.resource_type, "Patient");
/// assert_eq!(found.id, Some(Id::Text("A".into())));
/// assert_eq!(found.value, 1..41);
/// # Ok::<(), fhirline_core::BadRecord>(())
/// ```
///
/// # White space around the record
///
/// Offsets count from the first byte pushed. [`finish`](Self::finish) takes all bytes pushed for the record, as `envelope`
/// does: faults that concern the record as a whole are at 0, and a record that ends too early ends behind its white space.
/// [`finish_line`](Self::finish_line) takes the white space for a part of the line, and not of the record.
///
/// # Memory
///
/// At most [`MAX_HELD_BYTES`](Self::MAX_HELD_BYTES), whatever is pushed.
///
/// # Privacy
///
/// Its `Debug` gives lengths and faults only.
pub struct Scanner {
    grammar: Grammar,
    /// `None` if UTF-8 is not proven.
    utf8: Option<Utf8>,
    /// Bytes pushed.
    length: u64,
    /// Where something else than white space was seen: from the first such byte to behind the last.
    content: Range<u64>,
    /// How many bytes of a byte order mark the content begins with.
    mark: usize,
}

/// What the pipeline needs to know of a record that came in fragments. Made by [`Scanner::finish`].
///
/// Its `Debug` gives lengths only.
#[derive(Clone, PartialEq, Eq)]
pub struct ScannedEnvelope {
    /// The top-level `resourceType`, decoded; never empty. Of one longer than [`MAX_TYPE_BYTES`] the beginning, whole
    /// characters of it: it is still too long to look like a type.
    pub resource_type: String,
    /// Length of the whole `resourceType` in bytes.
    pub resource_type_bytes: u64,
    /// The top-level `id`, if there is one and it is a string.
    pub id: Option<Id<'static>>,
    /// How often `resourceType` or `id` stood again at the top level. The last one counts.
    pub duplicate_keys: u32,
    /// Where the object stands in the bytes pushed: what is outside is white space.
    pub value: Range<u64>,
}

impl Scanner {
    /// The most bytes a scanner holds, itself included.
    pub const MAX_HELD_BYTES: usize = size_of::<Self>() + MAX_TYPE_BYTES + MAX_ID_BYTES;

    /// A scanner of one record.
    #[must_use]
    pub fn new(proof: Proof) -> Self {
        Self {
            grammar: Grammar::default(),
            utf8: (proof == Proof::Full).then(Utf8::default),
            length: 0,
            content: 0..0,
            mark: 0,
        }
    }

    /// Takes the next fragment of the record.
    pub fn push(&mut self, fragment: &[u8]) {
        for piece in fragment.chunks(PIECE) {
            self.note_content(piece);
            self.length += piece.len() as u64;
            if self.is_settled() {
                continue;
            }
            if let Some(utf8) = &mut self.utf8 {
                utf8.push(piece);
            }
            self.grammar.push(piece);
        }
    }

    /// Bytes pushed so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether nothing but white space was pushed so far.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.content.is_empty()
    }

    /// Bytes held at present, the scanner itself included: at most [`MAX_HELD_BYTES`](Self::MAX_HELD_BYTES).
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.grammar.heap_bytes()
    }

    /// The envelope of the record: all bytes pushed.
    ///
    /// # Errors
    ///
    /// The fault that [`envelope`](crate::envelope()) finds in the whole record.
    pub fn finish(self) -> Result<ScannedEnvelope, BadRecord> {
        let length = self.length;
        self.outcome(0..length)
    }

    /// The envelope of the record on a line: the bytes pushed, without the white space around them.
    ///
    /// It differs from [`finish`](Self::finish) only in faults. A byte order mark behind white space is one; a line that was
    /// cut is [`Fault::Incomplete`] where its last visible byte ends, also within a string or a number, where white space
    /// could have been refused; and what concerns the record as a whole is at the record's beginning. A line without
    /// any record (see [`is_blank`](Self::is_blank)) is incomplete at 0.
    ///
    /// # Errors
    ///
    /// The fault that [`envelope`](crate::envelope()) finds in the record without the white space; but its offset counts from
    /// the first byte pushed.
    pub fn finish_line(self) -> Result<ScannedEnvelope, BadRecord> {
        let content = self.content.clone();
        self.outcome(content)
    }

    /// The outcome for the record in this range, around which nothing but white space was pushed.
    fn outcome(self, record: Range<u64>) -> Result<ScannedEnvelope, BadRecord> {
        if self.mark == BYTE_ORDER_MARK.len() && self.content.start == record.start {
            return Err(BadRecord { fault: Fault::ByteOrderMark, at: record.start });
        }
        let read = self.grammar.verdict(record.end);
        if let Some((at, cut_off)) = self.utf8.and_then(|utf8| utf8.fault(record.end)) {
            return Err(proof::first_fault(read.err(), at, cut_off));
        }
        read?;
        let (found, value) = self.grammar.found(record.start)?;
        Ok(ScannedEnvelope {
            resource_type: found.resource_type.kept,
            resource_type_bytes: found.resource_type.bytes,
            id: found.id.map(id),
            duplicate_keys: found.duplicate_keys,
            value,
        })
    }

    /// Whether the first fault is known, whatever follows.
    fn is_settled(&self) -> bool {
        match (&self.utf8, self.grammar.fault()) {
            (None, fault) => fault.is_some(),
            // A character that begins before the fault of grammar, or at it, may still turn out to be none.
            (Some(utf8), Some(bad)) => utf8.is_broken() || utf8.valid_to() > bad.at,
            (Some(utf8), None) => utf8.is_broken(),
        }
    }

    /// Notes where the visible bytes of a piece stand, and whether they begin with a byte order mark.
    fn note_content(&mut self, piece: &[u8]) {
        let is_visible = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let Some(last) = piece.iter().rposition(is_visible) else { return };
        if self.is_blank() {
            let first = piece.iter().position(is_visible).unwrap_or_default();
            self.content.start = self.length + first as u64;
        }
        self.content.end = self.length + last as u64 + 1;
        self.note_mark(piece);
    }

    /// Compares the first bytes of the content with a byte order mark.
    fn note_mark(&mut self, piece: &[u8]) {
        while let Some(wanted) = BYTE_ORDER_MARK.get(self.mark) {
            let next = (self.content.start + self.mark as u64).checked_sub(self.length);
            let byte = next.and_then(|next| piece.get(usize::try_from(next).ok()?));
            if byte != Some(wanted) {
                return;
            }
            self.mark += 1;
        }
    }
}

fn id(text: top::Text) -> Id<'static> {
    if text.bytes > MAX_ID_BYTES as u64 {
        Id::TooLong(usize::try_from(text.bytes).unwrap_or(usize::MAX))
    } else {
        Id::Text(text.kept.into())
    }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanner")
            .field("bytes", &self.length)
            .field("fault", &self.grammar.fault())
            .field("held_bytes", &self.held_bytes())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ScannedEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScannedEnvelope")
            .field("resource_type_bytes", &self.resource_type_bytes)
            .field("id", &self.id)
            .field("duplicate_keys", &self.duplicate_keys)
            .field("value", &self.value)
            .finish()
    }
}
