use std::borrow::Cow;
use std::fmt;

use fhirline_core::{BadRecord, Fault};

use crate::{decode, walker};

/// The value at the front of a text. Made by [`first_value`].
///
/// Its `Debug` gives lengths only.
#[derive(Clone, PartialEq, Eq)]
pub struct FirstValue<'r> {
    /// How long it is.
    pub length: usize,
    /// Whether all of it is UTF-8.
    pub is_utf8: bool,
    /// Its top-level `resourceType`, decoded, if it is an object that has one which is a string.
    pub resource_type: Option<Cow<'r, str>>,
    /// How often `resourceType` or `id` stood again at the top level. The last one counts.
    pub duplicate_keys: u32,
}

/// Finds the end of the object or array that begins a text, whatever stands behind it.
///
/// The grammar is that of [`envelope`](crate::envelope()). Numbers and names are no first values: nothing but what stands
/// behind them says where they end.
///
/// ```
/// use fhirline_core::Fault;
/// use fhirline_parse::first_value;
///
/// let first = first_value(br#"{"resourceType": "Goal"}, {"resource"#)?;
/// assert_eq!((first.length, first.resource_type.as_deref()), (24, Some("Goal")));
/// assert_eq!(first_value(b"[1, 2").unwrap_err().fault, Fault::Incomplete);
/// # Ok::<(), fhirline_core::BadRecord>(())
/// ```
///
/// # Errors
/// The first byte that the grammar does not allow; [`Fault::Incomplete`] if the text is a legal beginning that needs more.
pub fn first_value(text: &[u8]) -> Result<FirstValue<'_>, BadRecord> {
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return Err(BadRecord { fault: Fault::NotJson, at: 0 });
    }
    let top = walker::walk_first(text)?;
    let value = text.get(..top.ends_at).unwrap_or_default();
    Ok(FirstValue {
        length: top.ends_at,
        is_utf8: value.is_ascii() || str::from_utf8(value).is_ok(),
        resource_type: top.resource_type.and_then(|at| decode::string_at(value, at)),
        duplicate_keys: top.duplicate_keys,
    })
}

/// Where the object or array ends that begins a text, and nothing else of it: not whether it is UTF-8.
///
/// # Errors
/// Those of [`first_value`].
pub fn first_value_length(text: &[u8]) -> Result<usize, BadRecord> {
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return Err(BadRecord { fault: Fault::NotJson, at: 0 });
    }
    Ok(walker::walk_first(text)?.ends_at)
}

impl fmt::Debug for FirstValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstValue")
            .field("length", &self.length)
            .field("is_utf8", &self.is_utf8)
            .field("duplicate_keys", &self.duplicate_keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_behind_is_left() {
        for value in ["{}", "[]", "{\"a\" : [1.0,\r\n\t{}]}", "[\"]\"]", "[[{\"}\":\"\\\"\"}]]"] {
            for rest in ["", " ", "\n", "}", "]", "\"", "\\", "\u{1}", "{", ",1", "é"] {
                let text = format!("{value}{rest}");
                let first = first_value(text.as_bytes()).map(|first| (first.length, first.is_utf8));
                assert_eq!(first, Ok((value.len(), true)), "{text}");
            }
            for end in 1..value.len() {
                let fault = first_value(&value.as_bytes()[..end]).map_err(|bad| (bad.fault, bad.at));
                assert_eq!(fault, Err((Fault::Incomplete, end as u64)), "{value} up to {end}");
            }
        }
    }

    #[test]
    fn long_white_space_is_passed_over() {
        for spaces in 0..40 {
            for odd in ["", "\n", "\r\n\t"] {
                let blank = format!("{odd}{}", " ".repeat(spaces));
                let text = format!("{{{blank}\"a\"{blank}:{blank}[{blank}1{blank}]{blank}}}");
                let first = first_value(text.as_bytes()).map(|first| first.length);
                assert_eq!(first, Ok(text.len()), "{text}");
            }
        }
    }

    #[test]
    fn only_its_own_bytes_need_be_text() {
        let is_utf8 = |text: &[u8]| first_value(text).map(|first| first.is_utf8);
        assert_eq!(is_utf8(b"[\"\xC3\"]\xA9"), Ok(false));
        assert_eq!(is_utf8(b"[\"\xC3\xA9\"]\xFF"), Ok(true));
    }

    #[test]
    fn what_has_no_end_of_its_own_is_no_first_value() {
        for text in ["", "1", "true ", "\"a\"", " {}", "\u{feff}{}"] {
            assert_eq!(first_value(text.as_bytes()).map_err(|bad| bad.fault), Err(Fault::NotJson), "{text}");
        }
    }
}
