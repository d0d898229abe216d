//! White space between tokens: 64 bytes at a time.

use std::fmt;

use crate::lanes::{self, BLOCK, Blanks, Lanes, Widest, Work};

/// Finds where white space between the tokens of a text begins and ends. Of the grammar it knows strings only, so that it
/// works with any text: a string ends at its quote, or with the text, and a backslash means something within a string only.
///
/// The text may be changed from one call to the next up to the offset returned last: what is behind is as it was.
///
/// ```
/// use fhirline_parse::Gaps;
///
/// let text = b"{\n  \"a b\": 1 }";
/// let mut gaps = Gaps::default();
/// assert_eq!([0; 8].map(|_| gaps.next_edge(text)), [1, 4, 10, 11, 12, 13, 14, 14]);
/// ```
#[derive(Clone)]
pub struct Gaps {
    lanes: Widest,
    /// Where the next block begins.
    ahead: usize,
    /// Where white space begins or ends in the block before it: one bit a byte, the first byte's lowest.
    edges: u64,
    /// Whether that block ends within white space between tokens.
    in_gap: bool,
    strings: Strings,
}

impl Default for Gaps {
    fn default() -> Self {
        let strings = Strings::default();
        Self { lanes: Widest::detect(), ahead: 0, edges: 0, in_gap: false, strings }
    }
}

impl Gaps {
    /// The offset at which the next white space begins, and with the next call the offset at which it ends, and so on; the
    /// length of the text if there is none.
    #[inline]
    pub fn next_edge(&mut self, text: &[u8]) -> usize {
        if self.edges == 0 && !self.read_on(text) {
            return text.len();
        }
        let edge = self.edges.trailing_zeros() as usize;
        self.edges &= self.edges - 1;
        self.ahead - BLOCK + edge
    }

    /// Reads up to the next block that has an edge; `false` if there is none.
    #[inline(never)]
    fn read_on(&mut self, text: &[u8]) -> bool {
        self.lanes.run(ReadOn { gaps: self, text })
    }

    #[inline(always)]
    fn read(&mut self, lanes: impl Lanes, block: &Blanks) {
        let gaps = block.blank & !self.strings.within(lanes, block.quotes, block.backslashes);
        self.edges = gaps ^ (gaps << 1 | u64::from(self.in_gap));
        self.in_gap = gaps >> (BLOCK - 1) == 1;
    }
}

struct ReadOn<'g, 't> {
    gaps: &'g mut Gaps,
    text: &'t [u8],
}

impl Work for ReadOn<'_, '_> {
    type Output = bool;

    #[inline(always)]
    fn by<L: Lanes>(self, lanes: L) -> bool {
        let Self { gaps, text } = self;
        while gaps.edges == 0 && gaps.ahead < text.len() {
            let block = lanes::at(text, gaps.ahead, |block| lanes.blanks(block));
            gaps.read(lanes, &block);
            gaps.ahead += BLOCK;
        }
        gaps.edges != 0
    }
}

/// Which bytes lie within strings, block by block.
#[derive(Clone, Copy, Default)]
pub(crate) struct Strings {
    /// Whether the last block ends within a string.
    in_string: bool,
    /// Whether it ends behind a backslash in a string.
    escaped: bool,
}

impl Strings {
    /// One bit for each byte of the next block: set from the quote that begins a string to the byte before the one that ends it.
    #[inline(always)]
    pub(crate) fn within(&mut self, lanes: impl Lanes, quotes: u64, backslashes: u64) -> u64 {
        let was_in_string = if self.in_string { u64::MAX } else { 0 };
        let ends =
            if backslashes == 0 && !self.escaped { quotes } else { self.unescaped(quotes, backslashes) };
        let strings = lanes.odd_up_to(ends) ^ was_in_string;
        self.in_string = strings >> (BLOCK - 1) == 1;
        strings
    }

    /// The quotes that are not escaped.
    fn unescaped(&mut self, quotes: u64, backslashes: u64) -> u64 {
        let (mut ends, mut in_string) = (0, self.in_string);
        let mut ahead = (quotes | backslashes) & !u64::from(self.escaped);
        self.escaped = false;
        while ahead != 0 {
            let first = ahead & ahead.wrapping_neg();
            ahead ^= first;
            if quotes & first != 0 {
                ends |= first;
                in_string = !in_string;
            } else if in_string {
                ahead &= !(first << 1);
                self.escaped = first >> (BLOCK - 1) == 1;
            }
        }
        ends
    }
}

impl fmt::Debug for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gaps").field("ahead", &self.ahead).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The edges, a byte at a time.
    fn edges(text: &[u8]) -> Vec<usize> {
        let (mut edges, mut in_string, mut escaped, mut in_gap) = (Vec::new(), false, false, false);
        for (at, &byte) in text.iter().enumerate() {
            let is_gap = !in_string && b" \t\n\r".contains(&byte);
            if is_gap != in_gap {
                edges.push(at);
            }
            in_gap = is_gap;
            in_string ^= byte == b'"' && !escaped;
            escaped = in_string && byte == b'\\' && !escaped;
        }
        edges
    }

    fn found(text: &[u8]) -> Vec<usize> {
        let mut gaps = Gaps::default();
        let edges = std::iter::repeat_with(|| gaps.next_edge(text));
        edges.take_while(|&edge| edge < text.len()).collect()
    }

    #[test]
    fn every_byte_value_is_classed_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..130 {
                for quote in [0, 20, 63] {
                    let mut text = [b'x'; 130];
                    text[quote] = b'"';
                    text[at] = byte;
                    assert_eq!(found(&text), edges(&text), "byte {byte:#04x} at {at}");
                }
            }
        }
    }

    #[test]
    fn the_end_of_the_text_is_the_last_edge() {
        for length in 0..200 {
            for text in [" ".repeat(length), format!("{}\"", " ".repeat(length)), "x".repeat(length)] {
                assert_eq!(found(text.as_bytes()), edges(text.as_bytes()));
                let mut gaps = Gaps::default();
                let last = std::iter::repeat_with(|| gaps.next_edge(text.as_bytes())).nth(5);
                assert_eq!(last, Some(text.len()));
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_that_matters(
            text in prop::collection::vec(prop::sample::select(&b"  \t\r\n\"\"\\\\{x\xC3"[..]), 0..300),
            plain in 0usize..70,
        ) {
            let text = [&vec![b'x'; plain], &text[..]].concat();
            prop_assert_eq!(found(&text), edges(&text));
        }
    }
}
