//! One value out of a resource, by JSON Pointer (RFC 6901).

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

use fhirline_core::Position;
use fhirline_parse::{elements, members, text_of};
use serde::de::DeserializeOwned;

use crate::ResourceError;

mod piecewise;

pub(crate) use piecewise::Stop;

/// A value within a resource, as it is written there.
#[derive(Clone, PartialEq, Eq)]
pub struct Value<'r> {
    raw: Cow<'r, [u8]>,
    /// Where the resource stood.
    position: Position,
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

    /// The value in a type of the caller's.
    ///
    /// # Errors
    /// [`ResourceError::Shape`] if it does not have that shape; its byte is counted from the value's first one.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ResourceError> {
        serde_json::from_slice(&self.raw).map_err(|error| ResourceError::of_parser(self.position, error))
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
pub(crate) fn within<'r>(text: &'r [u8], tokens: &[Cow<'_, str>], position: Position) -> Option<Value<'r>> {
    let found = tokens.iter().try_fold(text, |value, token| match value.first()? {
        b'{' => members(value).filter(|(key, _)| key == token).last().map(|(_, value)| value),
        b'[' => elements(value).nth(index_of(token)?),
        _ => None,
    });
    found.map(|raw| Value { raw: Cow::Borrowed(raw), position })
}

/// The same of a text that comes piece by piece: only the value itself is held.
pub(crate) fn read<'r>(
    text: impl BufRead,
    tokens: &[Cow<'_, str>],
    position: Position,
) -> Result<Option<Value<'r>>, Stop> {
    let found = piecewise::find(text, tokens)?;
    Ok(found.map(|raw| Value { raw: Cow::Owned(raw), position }))
}
