//! What is common to manifests wherever they lie: their bounds, and what they are told from other documents by.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// Most bytes a manifest may have.
pub(crate) const MAX_BYTES: u64 = 16 << 20;
/// Most outputs a manifest may name.
pub(crate) const MAX_OUTPUTS: usize = 1 << 16;
/// What some writers put before the text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Ends the reading where it stands as a field's type and the field is there: whatever has a `resourceType` is a FHIR
/// resource, not a manifest.
#[derive(Debug, Default)]
pub(crate) struct Never;

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("a resource, not a manifest"))
    }
}

/// Reads a list, but keeps no more than are needed to see that they are too many: one above [`MAX_OUTPUTS`].
pub(crate) fn bounded<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(AtMost { items: MAX_OUTPUTS + 1, of: PhantomData })
}

struct AtMost<T> {
    items: usize,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtMost<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of outputs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.items {
            let Some(item) = items.next_element()? else { return Ok(kept) };
            kept.push(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept)
    }
}
