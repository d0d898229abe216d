//! What the scan notes about the top level of a record.

use fhirline_core::Fault;

use super::characters::{Characters, Stretch};
use crate::envelope::MAX_ID_BYTES;

/// How much of a text is kept, in bytes.
pub(super) const KEPT: usize = MAX_ID_BYTES;

/// The keys that count, with their values as far as they have come.
#[derive(Default)]
pub(super) struct Top {
    /// Where the string goes that is being read.
    sink: Sink,
    /// The key of the value that comes next, if it counts.
    name: Option<Name>,
    key: Key,
    resource_type: Option<Value>,
    id: Option<Value>,
    duplicate_keys: u32,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Sink {
    /// Nobody wants it.
    #[default]
    Nowhere,
    Key,
    Value(Name),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    ResourceType,
    Id,
}

/// The value of a key that counts.
struct Value {
    at: u64,
    /// `None` if it is no string.
    text: Option<Text>,
}

/// A text, of which no more than the first [`KEPT`] bytes are kept.
#[derive(Default)]
pub(super) struct Text {
    /// The text, or its beginning.
    pub(super) kept: String,
    /// Length of the whole text.
    pub(super) bytes: u64,
    characters: Characters,
}

/// What was found at the top level.
pub(super) struct Found {
    pub(super) resource_type: Text,
    pub(super) id: Option<Text>,
    pub(super) duplicate_keys: u32,
}

impl Top {
    /// A key begins at the top level.
    pub(super) fn begin_key(&mut self) {
        self.sink = Sink::Key;
        self.key = Key::default();
    }

    /// A value begins at `at`: that of the last key, if it counts.
    #[inline]
    pub(super) fn begin_value(&mut self, at: u64, is_string: bool) {
        if let Some(name) = self.name.take() {
            self.begin_named(name, at, is_string);
        }
    }

    #[cold]
    fn begin_named(&mut self, name: Name, at: u64, is_string: bool) {
        let value = Value { at, text: is_string.then(Text::default) };
        let again = self.place(name).replace(value).is_some();
        self.duplicate_keys = self.duplicate_keys.saturating_add(u32::from(again));
        if is_string {
            self.sink = Sink::Value(name);
        }
    }

    /// Whether the text of the string that is being read is wanted.
    #[inline]
    pub(super) fn listens(&self) -> bool {
        self.sink != Sink::Nowhere
    }

    /// Takes decoded bytes of the string that is being read.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.listens() {
            self.push_wanted(bytes);
        }
    }

    /// Takes one decoded character of the string that is being read.
    pub(super) fn push_char(&mut self, character: char) {
        self.push(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn push_wanted(&mut self, bytes: &[u8]) {
        match self.sink {
            Sink::Nowhere => {}
            Sink::Key => self.key.push(bytes),
            Sink::Value(name) => {
                if let Some(text) = self.text(name) {
                    text.push(bytes);
                }
            }
        }
    }

    /// The string that is being read has ended.
    #[inline]
    pub(super) fn end_string(&mut self) {
        if self.listens() {
            self.end_wanted();
        }
    }

    fn end_wanted(&mut self) {
        match std::mem::take(&mut self.sink) {
            Sink::Nowhere => {}
            Sink::Key => self.name = self.key.name(),
            Sink::Value(name) => {
                if let Some(text) = self.text(name) {
                    text.end();
                }
            }
        }
    }

    fn text(&mut self, name: Name) -> Option<&mut Text> {
        self.place(name).as_mut().and_then(|value| value.text.as_mut())
    }

    fn place(&mut self, name: Name) -> &mut Option<Value> {
        match name {
            Name::ResourceType => &mut self.resource_type,
            Name::Id => &mut self.id,
        }
    }

    /// What was found; a fault and where it is seen if that is not enough. `None` stands for the record as a whole.
    pub(super) fn found(self) -> Result<Found, (Fault, Option<u64>)> {
        let Value { at, text } = self.resource_type.ok_or((Fault::NoResourceType, None))?;
        let resource_type = text.ok_or((Fault::ResourceTypeNotString, Some(at)))?;
        if resource_type.bytes == 0 {
            return Err((Fault::ResourceTypeEmpty, Some(at)));
        }
        let id = self.id.and_then(|value| value.text);
        Ok(Found { resource_type, id, duplicate_keys: self.duplicate_keys })
    }

    /// Bytes held on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let texts =
            [&self.resource_type, &self.id].into_iter().flatten().filter_map(|value| value.text.as_ref());
        texts.map(|text| text.kept.capacity()).sum()
    }
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        let Self { kept, bytes: length, characters } = self;
        characters.push(bytes, |stretch| match stretch {
            Stretch::Text(text) => append(kept, length, text),
            Stretch::Broken(_) => append(kept, length, REPLACEMENT),
        });
    }

    fn end(&mut self) {
        if self.characters.held() > 0 {
            append(&mut self.kept, &mut self.bytes, REPLACEMENT);
        }
    }
}

const REPLACEMENT: &str = "\u{FFFD}";

/// Appends to a text of which the first [`KEPT`] bytes are kept. Once something was left out, `length` is more than what is
/// kept, and nothing is kept any more.
fn append(kept: &mut String, length: &mut u64, text: &str) {
    if *length == kept.len() as u64 {
        let fits = text.floor_char_boundary(KEPT - kept.len());
        // All at once: doubling could end beyond the bound.
        kept.reserve_exact(if kept.capacity() == 0 && fits > 0 { KEPT } else { 0 });
        kept.push_str(&text[..fits]);
    }
    *length += text.len() as u64;
}

/// The key that is being read, as far as it matters.
#[derive(Default)]
struct Key {
    bytes: [u8; Self::LONGEST],
    /// How many bytes there are, or one more than have room.
    length: usize,
}

impl Key {
    /// Length of the longest key that counts.
    const LONGEST: usize = b"resourceType".len();

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.bytes.get_mut(self.length..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.length = end;
            }
            None => self.length = Self::LONGEST + 1,
        }
    }

    fn name(&self) -> Option<Name> {
        match self.bytes.get(..self.length)? {
            b"resourceType" => Some(Name::ResourceType),
            b"id" => Some(Name::Id),
            _ => None,
        }
    }
}
