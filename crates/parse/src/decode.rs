//! String literals to text.

use std::borrow::Cow;

use crate::lanes::Baseline;
use crate::specials::Specials;

/// The text of the string whose opening quote stands at `at`; `None` if no string begins there. What is not UTF-8 and
/// every lone surrogate becomes U+FFFD.
pub(crate) fn string_at(text: &[u8], at: usize) -> Option<Cow<'_, str>> {
    let body = text.get(at..)?.strip_prefix(b"\"")?;
    let plain = body.get(..Specials::new(Baseline, body).next(body, 0))?;
    if body.get(plain.len()) == Some(&b'"') {
        return Some(lossy(plain));
    }
    let written = body.get(..closing_quote(body))?;
    Some(Cow::Owned(lossy(&unescaped(written)).into_owned()))
}

/// [`String::from_utf8_lossy`], but quick where nothing is lost.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Length of the string's body: up to the closing quote, or to the end if there is none.
pub(crate) fn closing_quote(body: &[u8]) -> usize {
    let mut at = 0;
    while let Some(step) = memchr::memchr2(b'"', b'\\', body.get(at..).unwrap_or_default()) {
        at += step;
        if body[at] == b'"' {
            return at;
        }
        at += 2;
    }
    body.len()
}

/// The bytes that a string's body stands for. A malformed escape, which only unproven text can hold, stays as written.
pub(crate) fn unescaped(written: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(written.len());
    let mut rest = written;
    while let Some(plain) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..plain]);
        rest = push_escape(&rest[plain..], &mut out);
    }
    out.extend_from_slice(rest);
    out
}

/// Decodes the escape at the front of `rest`, and returns what stands behind it.
fn push_escape<'r>(rest: &'r [u8], out: &mut Vec<u8>) -> &'r [u8] {
    let letter = rest.get(1).copied().unwrap_or_default();
    if letter == b'u' {
        return push_unicode(rest, out);
    }
    let Some(simple) = simple_escape(letter) else {
        out.push(b'\\');
        return &rest[1..];
    };
    out.push(simple);
    &rest[2..]
}

/// What a backslash and this letter stand for; `None` for the `u` of `\uXXXX`, and for what is no escape.
pub(crate) fn simple_escape(letter: u8) -> Option<u8> {
    match letter {
        b'b' => Some(0x08),
        b'f' => Some(0x0C),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'"' | b'\\' | b'/' => Some(letter),
        _ => None,
    }
}

/// Decodes one `\uXXXX`, or two of them that are a surrogate pair.
fn push_unicode<'r>(rest: &'r [u8], out: &mut Vec<u8>) -> &'r [u8] {
    let Some(first) = code_unit(rest) else {
        out.push(b'\\');
        return &rest[1..];
    };
    let units = [first, code_unit(&rest[6..]).unwrap_or_default()];
    let decoded = char::decode_utf16(units).next().and_then(Result::ok);
    let read = if decoded.is_some_and(|c| c.len_utf16() == 2) { 12 } else { 6 };
    let character = decoded.unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    &rest[read..]
}

/// The number in the `\uXXXX` at the front of `rest`.
fn code_unit(rest: &[u8]) -> Option<u16> {
    let digits = rest.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0u16, |unit, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(unit << 4 | value as u16)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(written: &str) -> String {
        let text = format!("\"{written}\", \"next\"");
        string_at(text.as_bytes(), 0).expect("a string").into_owned()
    }

    #[test]
    fn decodes_every_escape() {
        assert_eq!(decoded("plain é"), "plain é");
        assert_eq!(decoded(r#"\"\\\/\b\f\n\r\t"#), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(decoded(r"a\u0041\u00e9\u2028b"), "aAé\u{2028}b");
        assert_eq!(decoded(r"\uD83D\uDE00"), "😀");
        assert_eq!(decoded(r"\\u0041"), r"\u0041");
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        assert_eq!(decoded(r"a\uD83D"), "a\u{FFFD}");
        assert_eq!(decoded(r"\uDE00b"), "\u{FFFD}b");
        assert_eq!(decoded(r"\uD83D\u0041"), "\u{FFFD}A");
        assert_eq!(decoded(r"\uD83D\uD83D\uDE00"), "\u{FFFD}😀");
        assert_eq!(decoded(r"\uD83Dx"), "\u{FFFD}x");
    }

    #[test]
    fn borrows_what_has_no_escapes() {
        assert!(matches!(string_at(b"\"Patient\"", 0), Some(Cow::Borrowed("Patient"))));
    }

    #[test]
    fn finds_no_string_where_none_begins() {
        for text in [&b"12"[..], b"", b"null", b"[\"a\"]"] {
            assert_eq!(string_at(text, 0), None);
        }
        assert_eq!(string_at(b"x", 7), None);
    }

    #[test]
    fn is_total_on_text_that_nobody_proved() {
        for written in [&b"\\"[..], b"\\u", b"\\u12", b"\\uD83D\\", b"\\uD83D\\u", b"\\q", b"\xFF\\n"] {
            assert!(unescaped(written).len() <= written.len() + 2);
            let open = [b"\"", written].concat();
            assert!(string_at(&open, 0).is_some(), "{}", written.escape_ascii());
        }
    }
}
