//! What stands in an object or an array that is known to be sound JSON, one after the other.

use std::borrow::Cow;

use crate::blank::blank_length;
use crate::decode;
use crate::sound::sound_value_length;

/// The members of the object that begins a text, in order: decoded key, and value as written. Of what is no sound object it
/// says anything, and comes to an end.
///
/// ```
/// use fhirline_parse::{elements, members};
///
/// let mut found = members(br#"{"a" : [1, "x"] , "\u0062":{}}"#);
/// let (key, value) = found.next().expect("the first");
/// assert_eq!((key.as_ref(), elements(value).count()), ("a", 2));
/// assert_eq!(found.next().map(|(key, _)| key).as_deref(), Some("b"));
/// assert!(found.next().is_none());
/// ```
pub fn members(object: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, &[u8])> {
    let mut rest = behind(object, b'{');
    std::iter::from_fn(move || {
        let key = decode::string_at(rest, 0)?;
        let colon = skip_blank(rest.get(value_length(rest)..)?);
        let value = skip_blank(colon.strip_prefix(b":")?);
        let (value, left) = value.split_at(value_length(value));
        rest = behind(skip_blank(left), b',');
        Some((key, value))
    })
}

/// The elements of the array that begins a text, in order and as written. Of what is no sound array it says anything, and
/// comes to an end.
pub fn elements(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = behind(array, b'[');
    std::iter::from_fn(move || {
        let (element, left) = rest.split_at(value_length(rest));
        rest = behind(skip_blank(left), b',');
        (!element.is_empty()).then_some(element)
    })
}

/// The text of the string that is that value; `None` if it is none.
#[must_use]
pub fn text_of(value: &[u8]) -> Option<Cow<'_, str>> {
    decode::string_at(value, 0)
}

/// What stands behind that byte and white space; nothing if the byte is not there.
fn behind(text: &[u8], byte: u8) -> &[u8] {
    text.strip_prefix(&[byte]).map_or(&[], skip_blank)
}

fn skip_blank(text: &[u8]) -> &[u8] {
    text.get(blank_length(text)..).unwrap_or_default()
}

/// How long the value is that begins a text.
fn value_length(text: &[u8]) -> usize {
    let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
    match text {
        [b'{' | b'[', ..] => sound_value_length(text).unwrap_or(text.len()),
        [b'"', body @ ..] => (decode::closing_quote(body) + 2).min(text.len()),
        _ => text.iter().position(is_end).unwrap_or(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[ -~\u{e9}]{0,6}".prop_map(Value::from),
            r#"[\\"{}\[\],:]{0,6}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"\\\\]{0,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn members_and_elements_are_those_of_serde_json(value in values(), pretty in any::<bool>()) {
            let written = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
            let written = written.expect("into memory");
            let parsed = |value: &[u8]| serde_json::from_slice::<Value>(value).expect("a value");
            match &value {
                Value::Object(object) => {
                    let found = members(&written).map(|(key, value)| (key.into_owned(), parsed(value)));
                    prop_assert_eq!(&found.collect::<Map<_, _>>(), object);
                }
                Value::Array(array) => {
                    prop_assert_eq!(&elements(&written).map(parsed).collect::<Vec<_>>(), array);
                }
                _ => prop_assert_eq!(members(&written).count() + elements(&written).count(), 0),
            }
            let text = text_of(&written);
            prop_assert_eq!(text.as_deref(), value.as_str());
        }

        #[test]
        fn nothing_makes_them_fall_or_spin(text in r#"[{\[]?[\[\]{},:"\\ a1]{0,40}"#) {
            prop_assert!(members(text.as_bytes()).count() <= text.len());
            prop_assert!(elements(text.as_bytes()).count() <= text.len());
        }
    }
}
