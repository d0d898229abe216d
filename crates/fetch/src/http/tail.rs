/// The last bytes that were delivered, to compare them with what a server sends again.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Up to twice as many as are kept, so that old ones need not be moved out at every push.
    bytes: Vec<u8>,
}

/// As many are kept.
pub(super) const TAIL_BYTES: usize = 64 << 10;

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.len() >= TAIL_BYTES {
            self.bytes.clear();
            self.bytes.extend_from_slice(&bytes[bytes.len() - TAIL_BYTES..]);
            return;
        }
        if self.bytes.len() + bytes.len() > 2 * TAIL_BYTES {
            self.bytes.drain(..self.bytes.len() - TAIL_BYTES);
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn kept(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(TAIL_BYTES)..]
    }

    /// Whether `bytes`, whose first is `back` bytes before the end, agree with what is kept. What lies before that is
    /// not looked at.
    pub(super) fn agrees(&self, back: u64, bytes: &[u8]) -> bool {
        let kept = self.kept();
        let unknown = usize::try_from(back - (kept.len() as u64).min(back)).unwrap_or(usize::MAX);
        let Some(known) = bytes.get(unknown..) else { return true };
        let begin = kept.len() - usize::try_from(back).unwrap_or(usize::MAX).min(kept.len());
        kept.get(begin..begin + known.len()) == Some(known)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_bytes_are_kept_however_they_come(
            lengths in prop::collection::vec(prop_oneof![0..200usize, 0..3 * TAIL_BYTES], 0..12),
            back in 1..200_000usize,
            length in 0..2000usize,
            flip in any::<prop::sample::Index>(),
        ) {
            let mut tail = Tail::default();
            let mut all = Vec::new();
            for length in lengths {
                let bytes: Vec<u8> = (0..length).map(|at| ((all.len() + at) % 251) as u8).collect();
                tail.push(&bytes);
                all.extend_from_slice(&bytes);
            }
            let begin = all.len().saturating_sub(TAIL_BYTES);
            prop_assert!(tail.kept() == &all[begin..]);
            prop_assume!(!all.is_empty());
            let back = back.min(all.len());
            let at = all.len() - back;
            let length = length.min(back);
            let mut piece = all[at..at + length].to_vec();
            prop_assert!(tail.agrees(back as u64, &piece));
            if length > 0 {
                let flip = flip.index(length);
                piece[flip] ^= 1;
                prop_assert_eq!(tail.agrees(back as u64, &piece), at + flip < begin);
            }
        }
    }
}
