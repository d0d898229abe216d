use std::fmt;
use std::ops::Range;

use fhirline_parse::{Gaps, blank_length};

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
        let length = blank_length(rest);
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

/// Writes a whole value over itself as [`Compactor`] would write it elsewhere. Returns how long it is now, and what was left
/// out; what stands behind its new end is rubbish.
///
/// ```
/// let mut value = b"{\n  \"value\": 1.00\n}".to_vec();
/// let (length, dropped) = fhirline_bundle::compact_in_place(&mut value);
/// assert_eq!(&value[..length], br#"{"value":1.00}"#);
/// assert_eq!(length as u64 + dropped.bytes(), value.len() as u64);
/// ```
pub fn compact_in_place(bytes: &mut [u8]) -> (usize, BlankTally) {
    let mut dropped = BlankTally::default();
    let mut gaps = Gaps::default();
    // What lies before `from` was moved to before `length`, without its white space.
    let (mut from, mut length) = (0, 0);
    while from < bytes.len() {
        let end = gaps.next_edge(bytes);
        move_down(bytes, from..end, length);
        length += end - from;
        from = gaps.next_edge(bytes);
        count(&mut dropped, bytes, end..from);
        let Some(&next) = bytes.get(from) else { break };
        dropped.interrupt();
        let behind_scalar = length.checked_sub(1).is_some_and(|last| !ends_scalar(bytes[last]));
        if behind_scalar && !ends_scalar(next) {
            dropped.take_back_one();
            bytes[length] = b' ';
            length += 1;
        }
    }
    (length, dropped)
}

/// Moves tokens to `to`, which is not behind them.
#[inline]
fn move_down(bytes: &mut [u8], tokens: Range<usize>, to: usize) {
    /// Most tokens between two gaps are shorter: a call of `memmove` takes longer than one such move does.
    const WIDE: usize = 32;
    // With the last move too much is moved: as far as that goes nothing may stand that is still to be read.
    let is_clear = tokens.start - to >= WIDE;
    let (mut from, mut to) = (tokens.start, to);
    while from < tokens.end {
        let wide: Option<[u8; WIDE]> = bytes.get(from..).and_then(<[u8]>::first_chunk).copied();
        let place = bytes.get_mut(to..).and_then(<[u8]>::first_chunk_mut);
        let (Some(wide), Some(place), true) = (wide, place, is_clear) else {
            return bytes.copy_within(from..tokens.end, to);
        };
        *place = wide;
        from += WIDE;
        to += WIDE;
    }
}

/// Counts white space, behind which a token begins or nothing.
#[inline]
fn count(dropped: &mut BlankTally, bytes: &[u8], gap: Range<usize>) {
    let line_end = usize::from(bytes.get(gap.start) == Some(&b'\n'));
    let spaces = spaces_at(bytes, gap.start + line_end);
    if line_end + spaces < gap.len() {
        // A CR, a tab or a second line end.
        return dropped.add(&bytes[gap]);
    }
    dropped.terminators += line_end as u64;
    dropped.white_space += spaces as u64;
}

/// How many spaces stand at `at`; or less, near the end of the bytes.
#[inline]
fn spaces_at(bytes: &[u8], at: usize) -> usize {
    let mut spaces = 0;
    while let Some(word) = bytes.get(at + spaces..).and_then(<[u8]>::first_chunk) {
        let others = u128::from_le_bytes(*word) ^ u128::from_le_bytes([b' '; 16]);
        let here = others.trailing_zeros() as usize / 8;
        spaces += here;
        if here < word.len() {
            break;
        }
    }
    spaces
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

    fn in_place_is_as_elsewhere(mut bytes: Vec<u8>) -> Result<(), TestCaseError> {
        let (mut compactor, mut line) = (Compactor::default(), Vec::new());
        compactor.push(&bytes, &mut line);
        let (length, dropped) = compact_in_place(&mut bytes);
        prop_assert_eq!((&bytes[..length], dropped), (&line[..], compactor.dropped()));
        Ok(())
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

        #[test]
        fn in_place_is_the_same(
            text in prop::collection::vec(prop::sample::select(&b"{}[]:,\"    \n\n\r\t\\1ae.\xC3"[..]), 0..120),
        ) {
            in_place_is_as_elsewhere(text)?;
        }

        #[test]
        fn in_place_is_the_same_with_long_tokens_and_indentation(
            pieces in prop::collection::vec((prop::sample::select(&b"\"\"\" \n\n\r\tx1,:{\\"[..]), 0usize..80), 0..60),
        ) {
            let piece = |&(byte, count): &(u8, usize)| {
                let filler = if byte == b'x' || byte == b'"' { b'a' } else { b' ' };
                [&[byte][..], &vec![filler; count]].concat()
            };
            in_place_is_as_elsewhere(pieces.iter().flat_map(piece).collect())?;
        }
    }
}
