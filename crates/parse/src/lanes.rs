//! What stands where in 64 bytes: one bit a byte, the first byte's lowest.

use wide::u8x16;

/// Bytes looked at in one step.
pub(crate) const BLOCK: usize = 64;

/// The bytes of one step.
pub(crate) type Block = [u8; BLOCK];

/// How the bytes of a block are compared.
pub(crate) trait Lanes: Copy {
    /// Quotes, backslashes and control characters.
    fn specials(self, block: &Block) -> u64;

    /// Quotes, backslashes and brackets.
    fn brackets(self, block: &Block) -> Brackets;

    /// Quotes, backslashes and white space.
    fn blanks(self, block: &Block) -> Blanks;

    /// Each bit tells whether the number of bits set up to it, itself included, is odd.
    fn odd_up_to(self, bits: u64) -> u64;
}

/// Where quotes, backslashes and brackets of either kind stand in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brackets {
    pub(crate) quotes: u64,
    pub(crate) backslashes: u64,
    pub(crate) opens: u64,
    pub(crate) closes: u64,
}

/// Where quotes, backslashes and white space stand in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blanks {
    pub(crate) quotes: u64,
    pub(crate) backslashes: u64,
    pub(crate) blank: u64,
}

/// Something to be done with blocks. What implements it marks `by` as `#[inline(always)]`: it is compiled anew for each kind of
/// [`Lanes`].
pub(crate) trait Work {
    type Output;

    /// Does it with these lanes.
    fn by<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// The widest lanes that this processor has.
#[derive(Clone, Copy)]
pub(crate) struct Widest {
    #[cfg(target_arch = "x86_64")]
    avx2: Option<crate::avx2::Avx2>,
}

impl Widest {
    /// Asks the processor. That is quick, but not for every block.
    #[inline]
    pub(crate) fn detect() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: crate::avx2::Avx2::detect(),
        }
    }

    /// Does it with these lanes.
    #[inline]
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = self.avx2 {
            return avx2.run(work);
        }
        work.by(Baseline)
    }
}

/// Does it with the widest lanes that this processor has.
#[inline]
pub(crate) fn run<W: Work>(work: W) -> W::Output {
    Widest::detect().run(work)
}

/// The block that begins at `base`. The last one is filled up with NULs: a string that runs into them is found to end where the
/// text does, and white space ends there.
#[inline(always)]
pub(crate) fn at<T>(text: &[u8], base: usize, look: impl Fn(&Block) -> T) -> T {
    match text.get(base..).and_then(<[u8]>::first_chunk) {
        Some(block) => look(block),
        None => at_end(text, base, look),
    }
}

/// Not inlined: the compiler would take the two ways to a block for one, byte by byte.
#[inline(never)]
fn at_end<T>(text: &[u8], base: usize, look: impl Fn(&Block) -> T) -> T {
    let mut block = [0; BLOCK];
    let rest = text.get(base..).unwrap_or_default();
    block[..rest.len()].copy_from_slice(rest);
    look(&block)
}

/// 16 bytes at a time: what every x86-64 and aarch64 can do.
#[derive(Clone, Copy)]
pub(crate) struct Baseline;

impl Lanes for Baseline {
    #[inline(always)]
    fn specials(self, block: &Block) -> u64 {
        bits(block, |bytes| {
            // There is no unsigned comparison in SSE2: a byte is at most 0x1F exactly if it is its own minimum with 0x1F.
            let control = bytes.min(u8x16::splat(0x1F)).simd_eq(bytes);
            control | is(bytes, b'"') | is(bytes, b'\\')
        })
    }

    #[inline(always)]
    fn brackets(self, block: &Block) -> Brackets {
        // Braces and brackets differ in one bit only.
        let alike = |bytes: u8x16, byte| is(bytes | u8x16::splat(0x20), byte);
        Brackets {
            quotes: bits(block, |bytes| is(bytes, b'"')),
            backslashes: bits(block, |bytes| is(bytes, b'\\')),
            opens: bits(block, |bytes| alike(bytes, b'{')),
            closes: bits(block, |bytes| alike(bytes, b'}')),
        }
    }

    #[inline(always)]
    fn blanks(self, block: &Block) -> Blanks {
        Blanks {
            quotes: bits(block, |bytes| is(bytes, b'"')),
            backslashes: bits(block, |bytes| is(bytes, b'\\')),
            blank: bits(block, |bytes| {
                is(bytes, b' ') | is(bytes, b'\n') | is(bytes, b'\r') | is(bytes, b'\t')
            }),
        }
    }

    #[inline(always)]
    fn odd_up_to(self, bits: u64) -> u64 {
        [1, 2, 4, 8, 16, 32].iter().fold(bits, |odd, shift| odd ^ odd << shift)
    }
}

#[inline(always)]
fn is(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

/// One bit for each byte that `is_wanted` sets.
#[inline(always)]
fn bits(block: &Block, is_wanted: impl Fn(u8x16) -> u8x16) -> u64 {
    let (parts, _) = block.as_chunks::<16>();
    let bits_of = |part: &[u8; 16]| u64::from(is_wanted(u8x16::new(*part)).to_bitmask());
    parts.iter().rev().fold(0, |bits, part| bits << 16 | bits_of(part))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Tells a block as any lanes must, a byte at a time.
    fn assert_told(lanes: impl Lanes, block: &Block) {
        let bits = |is_wanted: fn(u8) -> bool| {
            block.iter().rev().fold(0, |bits: u64, &byte| bits << 1 | u64::from(is_wanted(byte)))
        };
        let quotes = bits(|byte| byte == b'"');
        let backslashes = bits(|byte| byte == b'\\');
        let opens = bits(|byte| matches!(byte, b'{' | b'['));
        let closes = bits(|byte| matches!(byte, b'}' | b']'));
        let blank = bits(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        assert_eq!(lanes.specials(block), quotes | backslashes | bits(|byte| byte < 0x20));
        assert_eq!(lanes.brackets(block), Brackets { quotes, backslashes, opens, closes });
        assert_eq!(lanes.blanks(block), Blanks { quotes, backslashes, blank });
        let odd = (0..BLOCK).fold(0, |odd, bit| {
            let below = quotes << (BLOCK - 1 - bit);
            odd | u64::from(below.count_ones() % 2) << bit
        });
        assert_eq!(lanes.odd_up_to(quotes), odd);
    }

    /// What must hold for any lanes.
    pub(crate) fn assert_lanes(lanes: impl Lanes) {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                for rest in [b'x', 0, 0x7F, 0xFF] {
                    let mut block = [rest; BLOCK];
                    block[at] = byte;
                    assert_told(lanes, &block);
                }
            }
        }
        proptest!(|(block in prop::array::uniform32(any::<[u8; 2]>()))| {
            assert_told(lanes, block.as_flattened().first_chunk().expect("64 bytes"));
        });
        proptest!(|(block in prop::array::uniform32(prop::sample::select(&b"\"\\{}[] \t\n\rx\xC3\x1F"[..])))| {
            assert_told(lanes, [block, block].as_flattened().first_chunk().expect("64 bytes"));
        });
    }

    #[test]
    fn the_baseline_tells_what_stands_where() {
        assert_lanes(Baseline);
    }

    #[test]
    fn the_last_block_is_filled_up() {
        for length in 0..=2 * BLOCK {
            let text = vec![b'x'; length];
            for base in 0..=length {
                let block = at(&text, base, |block| *block);
                let held = BLOCK.min(length - base);
                assert_eq!((&block[..held], &block[held..]), (&text[base..base + held], &[0; BLOCK][held..]));
            }
        }
    }
}
