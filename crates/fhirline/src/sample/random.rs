/// A small generator of numbers that only have to look random: SplitMix64. The same seed gives the same numbers on
/// every machine, for ever, which a crate would not promise.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// One of the words; `words` is never empty.
    pub(super) fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u32) as usize]
    }

    /// Appends `n` characters of `alphabet`, ten from each number drawn.
    pub(super) fn letters(&mut self, n: usize, alphabet: &[u8; 64], out: &mut Vec<u8>) {
        let mut left = n;
        while left > 0 {
            let mut bits = self.next();
            for _ in 0..left.min(10) {
                out.push(alphabet[(bits & 63) as usize]);
                bits >>= 6;
            }
            left = left.saturating_sub(10);
        }
    }
}
