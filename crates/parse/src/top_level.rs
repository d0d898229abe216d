//! What the walk notes about the top level of a record.

use crate::decode;

/// Where the values of the keys that matter begin.
#[derive(Default)]
pub(crate) struct TopLevel {
    /// Offset of the value itself: behind leading white space.
    pub(crate) begins_at: usize,
    /// Offset behind the value: before white space behind it.
    pub(crate) ends_at: usize,
    /// Offset of the value of the last `resourceType`.
    pub(crate) resource_type: Option<usize>,
    /// Offset of the value of the last `id`.
    pub(crate) id: Option<usize>,
    /// How often one of them stood again.
    pub(crate) duplicate_keys: u32,
}

impl TopLevel {
    /// Takes a key (as written, without quotes) and the offset of its value.
    #[inline(always)]
    pub(crate) fn note(&mut self, key: &[u8], escaped: bool, value_at: usize) {
        match key {
            _ if escaped => self.note_escaped(key, value_at),
            b"resourceType" | b"id" => self.note_plain(key, value_at),
            _ => {}
        }
    }

    #[cold]
    fn note_escaped(&mut self, key: &[u8], value_at: usize) {
        self.note_plain(&decode::unescaped(key), value_at);
    }

    #[inline(never)]
    fn note_plain(&mut self, key: &[u8], value_at: usize) {
        let place = match key {
            b"resourceType" => &mut self.resource_type,
            b"id" => &mut self.id,
            _ => return,
        };
        let again = place.replace(value_at).is_some();
        self.duplicate_keys = self.duplicate_keys.saturating_add(u32::from(again));
    }
}
