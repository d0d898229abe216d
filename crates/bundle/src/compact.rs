use std::fmt;

use crate::skim::{ends_scalar, is_blank, plain_length};
use crate::tally::BlankTally;

/// Writes a value that spans lines on one line: white space between tokens is left out, and nothing else.
///
/// It can be given the value in pieces cut anywhere.
///
/// Of a value that is no JSON it leaves out nothing that would make it JSON: white space between two numbers or names,
/// which no grammar allows, becomes one space, so that two tokens never become one. What is proven of the outcome is
/// therefore as good as proven of the source.
///
/// ```
/// use fhirline_bundle::Compactor;
///
/// let (mut compactor, mut line) = (Compactor::default(), Vec::new());
/// for piece in [&b"{\n  \"text\": \"two "[..], b" spaces\",\r\n  \"value\": 1.00\n}"] {
///     compactor.push(piece, &mut line);
/// }
/// assert_eq!(line, br#"{"text":"two  spaces","value":1.00}"#);
/// let dropped = compactor.dropped();
/// assert_eq!((dropped.terminators, dropped.white_space), (4, 6));
/// ```
#[derive(Clone, Copy, Default)]
pub struct Compactor {
    place: Place,
    /// Whether the token written last is a number or a name.
    behind_scalar: bool,
    /// Whether white space was left out behind it.
    gap: bool,
    dropped: BlankTally,
}

#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Between,
    Text,
    Escape,
}

impl Compactor {
    /// Appends the next piece of the value to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(&first) = rest.first() {
            let length = match self.place {
                Place::Between if is_blank(first) => self.blank(rest),
                Place::Between => self.token(rest, out),
                Place::Text => self.text(rest, out),
                Place::Escape => self.escape(first, out),
            };
            rest = &rest[length..];
        }
    }

    /// What was left out so far.
    #[must_use]
    pub fn dropped(&self) -> BlankTally {
        self.dropped
    }

    /// Leaves out the white space at the front, and says how much that is.
    fn blank(&mut self, rest: &[u8]) -> usize {
        self.gap = true;
        let length = rest.iter().position(|&byte| !is_blank(byte)).unwrap_or(rest.len());
        self.dropped.add(&rest[..length]);
        length
    }

    /// Takes a quote, a bracket, a comma, a colon, or a stretch of a number or name.
    fn token(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        self.dropped.interrupt();
        let gap = std::mem::take(&mut self.gap);
        if ends_scalar(rest[0]) {
            self.behind_scalar = false;
            out.push(rest[0]);
            if rest[0] == b'"' {
                self.place = Place::Text;
            }
            return 1;
        }
        if gap && self.behind_scalar {
            self.dropped.take_back_one();
            out.push(b' ');
        }
        self.behind_scalar = true;
        let length = rest.iter().position(|&byte| ends_scalar(byte)).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..length]);
        length
    }

    fn text(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let plain = plain_length(rest);
        match rest.get(plain) {
            Some(b'"') => self.place = Place::Between,
            Some(b'\\') => self.place = Place::Escape,
            // A line end, which no string has, is left as it is.
            _ => {}
        }
        let length = rest.len().min(plain + 1);
        out.extend_from_slice(&rest[..length]);
        length
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) -> usize {
        out.push(byte);
        self.place = Place::Text;
        1
    }
}

impl fmt::Debug for Compactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compactor").field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compacted(pieces: &[&[u8]]) -> (Vec<u8>, u64) {
        let (mut compactor, mut out) = (Compactor::default(), Vec::new());
        pieces.iter().for_each(|piece| compactor.push(piece, &mut out));
        (out, compactor.dropped().bytes())
    }

    #[test]
    fn only_white_space_between_tokens_goes() {
        for (value, line) in [
            ("{ }", "{}"),
            ("{\n\t\"a b\" : [ 1.00 , 1E2 ,\r\n true ] }", "{\"a b\":[1.00,1E2,true]}"),
            (r#"{"a" : " \" \\" , "b" : " " }"#, r#"{"a":" \" \\","b":" "}"#),
            ("[\"\u{2028} \u{a0}\" ]", "[\"\u{2028} \u{a0}\"]"),
        ] {
            assert_eq!(String::from_utf8(compacted(&[value.as_bytes()]).0).as_deref(), Ok(line));
        }
    }

    #[test]
    fn two_tokens_never_become_one() {
        for value in ["{\"a\":1\n2}", "[1 \r\n .5]", "tr\nue", "[- 1]", "1 e5"] {
            let (line, dropped) = compacted(&[value.as_bytes()]);
            assert!(serde_json::from_slice::<serde_json::Value>(&line).is_err(), "{value}");
            assert_eq!(line.len() as u64 + dropped, value.len() as u64, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_and_no_byte_is_uncounted(
            text in prop::collection::vec(prop::sample::select(&b"{}[]:,\" \n\r\t\\1ae.\xC3"[..]), 0..60),
            cut in 0usize..60,
        ) {
            let whole = compacted(&[&text]);
            let (front, back) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(&compacted(&[front, back]), &whole);
            prop_assert_eq!(whole.0.len() as u64 + whole.1, text.len() as u64);
            let is_json = |text: &[u8]| serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok();
            prop_assert_eq!(is_json(&whole.0), is_json(&text));
        }
    }
}
