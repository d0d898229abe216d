//! One value out of a resource, by JSON Pointer (RFC 6901).

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use fhirline_parse::{elements, members, text_of};

/// A value within a resource, as it is written there.
#[derive(Clone, PartialEq, Eq)]
pub struct Value<'r> {
    raw: Cow<'r, [u8]>,
}

impl<'r> Value<'r> {
    /// Its bytes.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Its text, escapes decoded; `None` if it is no string.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        text_of(&self.raw)
    }

    /// The same, for as long as the resource lasts.
    #[must_use]
    pub fn into_text(self) -> Option<Cow<'r, str>> {
        match self.raw {
            Cow::Borrowed(raw) => text_of(raw),
            Cow::Owned(raw) => text_of(&raw).map(|text| Cow::Owned(text.into_owned())),
        }
    }

    /// The value in a type of the caller's; `None` if it does not have that shape.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.raw).ok()
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("raw", &self.raw.len()).finish()
    }
}

/// What the pointer says, step by step; `None` if it is no pointer.
pub(crate) fn tokens(pointer: &str) -> Option<Vec<Cow<'_, str>>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    Some(pointer.strip_prefix('/')?.split('/').map(unescaped).collect())
}

fn unescaped(token: &str) -> Cow<'_, str> {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { token.into() }
}

/// The place in an array that a step means: digits, without a zero in front.
fn index_of(token: &str) -> Option<usize> {
    let is_index = token == "0" || !token.starts_with(['0', '+']);
    is_index.then(|| token.parse().ok()).flatten()
}

/// The value there, if the text is held.
pub(crate) fn within<'r>(text: &'r [u8], tokens: &[Cow<'_, str>]) -> Option<Value<'r>> {
    let found = tokens.iter().try_fold(text, |value, token| match value.first()? {
        b'{' => members(value).filter(|(key, _)| key == token).last().map(|(_, value)| value),
        b'[' => elements(value).nth(index_of(token)?),
        _ => None,
    });
    found.map(|raw| Value { raw: Cow::Borrowed(raw) })
}

/// The same of a text that comes piece by piece: only the value itself is held.
pub(crate) fn read(
    text: impl Read,
    tokens: &[Cow<'_, str>],
) -> Result<Option<Value<'static>>, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_reader(text);
    let found = Descent { tokens }.deserialize(&mut parser)?;
    Ok(found.map(|raw| Value { raw: Cow::Owned(Box::<str>::from(raw).into_string().into_bytes()) }))
}

/// The way down to a value.
#[derive(Clone, Copy)]
struct Descent<'t> {
    tokens: &'t [Cow<'t, str>],
}

impl<'de> DeserializeSeed<'de> for Descent<'_> {
    type Value = Option<Box<RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Self::Value, D::Error> {
        if self.tokens.is_empty() {
            serde::Deserialize::deserialize(parser).map(Some)
        } else {
            parser.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Descent<'_> {
    type Value = Option<Box<RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let Some((token, tokens)) = self.tokens.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(key) = object.next_key::<Box<RawValue>>()? {
            if text_of(key.get().as_bytes()).is_some_and(|key| key == *token) {
                found = object.next_value_seed(Descent { tokens })?;
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let Some((token, tokens)) = self.tokens.split_first() else { return Ok(None) };
        let (wanted, mut found) = (index_of(token), None);
        for number in 0.. {
            if wanted == Some(number) {
                match array.next_element_seed(Descent { tokens })? {
                    Some(element) => found = element,
                    None => break,
                }
            } else if array.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
