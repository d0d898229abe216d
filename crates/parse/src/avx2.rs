//! 32 bytes at a time, on processors that can. The one module of this project with `unsafe` in it.
//!
//! Why it is sound: a value of [`Avx2`] exists only where [`Avx2::detect`] has found all of [`FEATURES`], and every function that
//! needs them is reached through such a value. The only pointers are those of two loads, each from a reference to as many bytes as
//! it reads. Each step has a twin in safe code, [`Baseline`](crate::lanes::Baseline), and the tests hold both to the same.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
};

use crate::lanes::{Blanks, Block, Brackets, Lanes, Work};

/// That this processor has AVX2, and what came before it or with it.
#[derive(Clone, Copy)]
pub(crate) struct Avx2 {
    /// Nobody else makes one.
    _detected: (),
}

impl Avx2 {
    /// Whether this processor has all that is needed here. The answer is remembered by the standard library.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("pclmulqdq");
        has_all.then_some(Self { _detected: () })
    }

    /// Does something with these lanes, and with the instructions for single bits that come with them.
    #[inline]
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        // SAFETY: `self` says that the processor has these features.
        unsafe { run(self, work) }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
fn run<W: Work>(avx2: Avx2, work: W) -> W::Output {
    work.by(avx2)
}

impl Lanes for Avx2 {
    #[inline(always)]
    fn specials(self, block: &Block) -> u64 {
        // SAFETY: `self` says that the processor has these features.
        unsafe { specials(block) }
    }

    #[inline(always)]
    fn brackets(self, block: &Block) -> Brackets {
        // SAFETY: `self` says that the processor has these features.
        unsafe { brackets(block) }
    }

    #[inline(always)]
    fn blanks(self, block: &Block) -> Blanks {
        // SAFETY: `self` says that the processor has these features.
        unsafe { blanks(block) }
    }

    #[inline(always)]
    fn odd_up_to(self, bits: u64) -> u64 {
        // SAFETY: `self` says that the processor has these features.
        unsafe { odd_up_to(bits) }
    }
}

/// The two halves of a block.
#[derive(Clone, Copy)]
struct Halves(__m256i, __m256i);

impl Halves {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(block: &Block) -> Self {
        let (low, high) = block.split_at(32);
        // SAFETY: each half has the 32 bytes that are read; `loadu` asks for no alignment.
        unsafe { Self(_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn is(self, byte: u8) -> Self {
        let wanted = _mm256_set1_epi8(byte.cast_signed());
        Self(_mm256_cmpeq_epi8(self.0, wanted), _mm256_cmpeq_epi8(self.1, wanted))
    }

    /// As `is`, where one bit does not matter.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn with_bit(self, bit: u8) -> Self {
        let bit = _mm256_set1_epi8(bit.cast_signed());
        Self(_mm256_or_si256(self.0, bit), _mm256_or_si256(self.1, bit))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn is_at_most(self, byte: u8) -> Self {
        let most = _mm256_set1_epi8(byte.cast_signed());
        Self(
            _mm256_cmpeq_epi8(_mm256_min_epu8(self.0, most), self.0),
            _mm256_cmpeq_epi8(_mm256_min_epu8(self.1, most), self.1),
        )
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn or(self, other: Self) -> Self {
        Self(_mm256_or_si256(self.0, other.0), _mm256_or_si256(self.1, other.1))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn bits(self) -> u64 {
        let low = u64::from(_mm256_movemask_epi8(self.0).cast_unsigned());
        let high = u64::from(_mm256_movemask_epi8(self.1).cast_unsigned());
        high << 32 | low
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn specials(block: &Block) -> u64 {
    let bytes = Halves::of(block);
    bytes.is_at_most(0x1F).or(bytes.is(b'"')).or(bytes.is(b'\\')).bits()
}

#[inline]
#[target_feature(enable = "avx2")]
fn brackets(block: &Block) -> Brackets {
    let bytes = Halves::of(block);
    // Braces and brackets differ in one bit only.
    let alike = bytes.with_bit(0x20);
    Brackets {
        quotes: bytes.is(b'"').bits(),
        backslashes: bytes.is(b'\\').bits(),
        opens: alike.is(b'{').bits(),
        closes: alike.is(b'}').bits(),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn blanks(block: &Block) -> Blanks {
    let bytes = Halves::of(block);
    let blank = bytes.is(b' ').or(bytes.is(b'\n')).or(bytes.is(b'\r')).or(bytes.is(b'\t'));
    Blanks { quotes: bytes.is(b'"').bits(), backslashes: bytes.is(b'\\').bits(), blank: blank.bits() }
}

/// A product without carries with a word of ones.
#[inline]
#[target_feature(enable = "pclmulqdq")]
fn odd_up_to(bits: u64) -> u64 {
    let bits = _mm_set_epi64x(0, bits.cast_signed());
    _mm_cvtsi128_si64(_mm_clmulepi64_si128::<0>(bits, _mm_set1_epi8(-1))).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::tests::assert_lanes;

    #[test]
    fn they_tell_what_the_baseline_tells() {
        if let Some(avx2) = Avx2::detect() {
            assert_lanes(avx2);
        }
    }
}
