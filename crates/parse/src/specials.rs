//! Where strings can end: 64 bytes at a time.

use crate::lanes::{self, BLOCK, Lanes};

/// The bytes of one block of a text that end a plain stretch of a string: quotes, backslashes and control characters.
///
/// Blocks lie at fixed places, so that the processor can look at the next one long before the walk has arrived there.
/// Within a block the end of a string is one shift away: there is no loop whose number of turns it would have to guess.
#[derive(Clone, Copy)]
pub(crate) struct Specials<L> {
    lanes: L,
    /// Where the block begins.
    base: usize,
    /// One bit a byte, the first byte's lowest.
    bits: u64,
}

impl<L: Lanes> Specials<L> {
    /// The first block of a text.
    #[inline(always)]
    pub(crate) fn new(lanes: L, text: &[u8]) -> Self {
        Self { lanes, base: 0, bits: special_bits(lanes, text, 0) }
    }

    /// The block of the byte at `at`: what stands before it is not asked for.
    #[inline(always)]
    pub(crate) fn within(lanes: L, text: &[u8], at: usize) -> Self {
        let base = at - at % BLOCK;
        Self { lanes, base, bits: special_bits(lanes, text, base) }
    }

    /// The offset of the first special byte from `from` on; the length of the text if there is none. `from` is at most
    /// that length and never less than what an earlier call returned.
    #[inline(always)]
    pub(crate) fn next(&mut self, text: &[u8], from: usize) -> usize {
        let mut ahead = self.bits & from_bit(from - self.base);
        while ahead == 0 {
            if self.base + BLOCK >= text.len() {
                return text.len();
            }
            self.base += BLOCK;
            self.bits = special_bits(self.lanes, text, self.base);
            ahead = self.bits & from_bit(from.saturating_sub(self.base));
        }
        self.base + ahead.trailing_zeros() as usize
    }
}

/// A word with all bits from `bit` on.
#[inline(always)]
fn from_bit(bit: usize) -> u64 {
    if bit < BLOCK { u64::MAX << bit } else { 0 }
}

#[inline(always)]
fn special_bits(lanes: impl Lanes, text: &[u8], base: usize) -> u64 {
    lanes::at(text, base, |block| lanes.specials(block))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::Baseline;

    /// Every special byte of the text, as [`Specials`] finds them.
    fn found(text: &[u8]) -> Vec<usize> {
        let mut specials = Specials::new(Baseline, text);
        let mut found = vec![specials.next(text, 0)];
        while let Some(&last) = found.last().filter(|&&last| last < text.len()) {
            found.push(specials.next(text, last + 1));
        }
        found
    }

    #[test]
    fn every_byte_value_is_classed_at_every_place() {
        for byte in 0..=u8::MAX {
            let special = matches!(byte, b'"' | b'\\' | ..0x20);
            for at in 0..130 {
                let mut text = [b'x'; 130];
                text[at] = byte;
                let wanted = if special { vec![at, 130] } else { vec![130] };
                assert_eq!(found(&text), wanted, "byte {byte:#04x} at {at}");
            }
        }
    }

    #[test]
    fn every_length_ends_where_the_text_does() {
        for length in 0..200 {
            assert_eq!(found(&vec![0xC3; length]), [length]);
            let all: Vec<_> = (0..=length).collect();
            assert_eq!(found(&vec![b'"'; length]), all);
        }
    }

    #[test]
    fn blocks_in_between_may_be_passed_over() {
        let text = [b'"'; 300];
        let mut specials = Specials::new(Baseline, &text);
        assert_eq!(specials.next(&text, 3), 3);
        assert_eq!(specials.next(&text, 201), 201);
        assert_eq!(specials.next(&text, 300), 300);
    }
}
