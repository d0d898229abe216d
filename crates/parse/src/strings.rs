//! String literals: where they end, and what their escapes must look like.

use crate::lanes::Lanes;
use crate::specials::Specials;

/// The offset behind the closing quote of the string whose opening quote stands before `at`.
///
/// # Errors
/// The offset of the first byte that cannot stand there; the length of the text if the string does not end.
#[inline(always)]
pub(crate) fn end(text: &[u8], specials: &mut Specials<impl Lanes>, at: usize) -> Result<End, usize> {
    let mut end = End { at: specials.next(text, at), escaped: false };
    loop {
        match text.get(end.at) {
            Some(b'"') => return Ok(End { at: end.at + 1, ..end }),
            Some(b'\\') => end = End { at: specials.next(text, escape(text, end.at)?), escaped: true },
            _ => return Err(end.at),
        }
    }
}

/// Where a string ends, and whether there are escapes in it.
#[derive(Clone, Copy)]
pub(crate) struct End {
    /// Offset behind the closing quote.
    pub(crate) at: usize,
    /// Whether it is written with escapes.
    pub(crate) escaped: bool,
}

/// The offset behind the escape whose backslash stands at `at`. Any four hexadecimal digits do, lone surrogates too:
/// they are legal JSON text, and a record is delivered as it is written.
#[inline(never)]
fn escape(text: &[u8], at: usize) -> Result<usize, usize> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let digits = text.get(at + 2..).unwrap_or_default().iter().take(4);
            match digits.take_while(|byte| byte.is_ascii_hexdigit()).count() {
                4 => Ok(at + 6),
                legal => Err(at + 2 + legal),
            }
        }
        _ => Err(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::Baseline;

    fn end_of(text: &[u8]) -> Result<(usize, bool), usize> {
        end(text, &mut Specials::new(Baseline, text), 1).map(|end| (end.at, end.escaped))
    }

    #[test]
    fn ends_behind_the_closing_quote() {
        assert_eq!(end_of(br#""""#), Ok((2, false)));
        assert_eq!(end_of(br#""abc" "d""#), Ok((5, false)));
        assert_eq!(end_of(br#""a\\"b""#), Ok((5, true)));
        assert_eq!(end_of(br#""a\"b""#), Ok((6, true)));
        assert_eq!(end_of("\"é\u{2028}\"".as_bytes()), Ok((7, false)));
    }

    #[test]
    fn names_the_first_byte_that_cannot_stand_there() {
        for (text, at) in [
            (&b"\""[..], 1),
            (b"\"abc", 4),
            (b"\"a\\", 3),
            (b"\"a\\x\"", 3),
            (b"\"a\\U0041\"", 3),
            (b"\"\\u", 3),
            (b"\"\\u12", 5),
            (b"\"\\u12g4\"", 5),
            (b"\"\\u123\"", 6),
            (b"\"a\tb\"", 2),
            (b"\"a\0b\"", 2),
            (b"\"a\nb\"", 2),
            (b"\"a\x1Fb\"", 2),
        ] {
            assert_eq!(end_of(text), Err(at), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn takes_every_escape_in_every_block() {
        let escapes = r#"\"\\\/\b\f\n\r\t\u00Ff\ud83d"#;
        for before in 0..200 {
            let text = format!("\"{}{escapes}\"", "x".repeat(before));
            assert_eq!(end_of(text.as_bytes()), Ok((text.len(), true)), "{before}");
        }
    }
}
