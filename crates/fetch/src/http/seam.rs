use ring::digest::{Context, SHA256};

use super::tail::Tail;

/// What was delivered, as far as it is remembered.
pub(super) struct Delivered {
    /// Where the first byte stands in the object.
    pub(super) start: u64,
    /// Where the next one does.
    pub(super) position: u64,
    tail: Tail,
    /// Over all bytes, for servers that know no ranges.
    digest: Option<Context>,
}

impl Delivered {
    pub(super) fn from(start: u64) -> Self {
        Self { start, position: start, tail: Tail::default(), digest: Some(Context::new(&SHA256)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.position == self.start
    }

    /// The server answers ranges, so that the last bytes will do.
    pub(super) fn forget_digest(&mut self) {
        self.digest = None;
    }

    pub(super) fn has_digest(&self) -> bool {
        self.digest.is_some()
    }

    /// How many of the last bytes can be compared.
    pub(super) fn tail_bytes(&self) -> u64 {
        self.tail.kept().len() as u64
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.tail.push(bytes);
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.position += bytes.len() as u64;
    }
}

/// What a body sends again of bytes that were delivered before.
pub(super) struct Seam {
    /// Where the next byte of the body stands in the object.
    pub(super) at: u64,
    digest: Option<Context>,
}

impl Seam {
    /// Of a body that begins at `at`, which is no later than the delivered bytes end.
    pub(super) fn from(at: u64, delivered: &Delivered) -> Self {
        let whole = at <= delivered.start && delivered.has_digest();
        Self { at, digest: whole.then(|| Context::new(&SHA256)) }
    }

    /// Splits off the bytes that were delivered before. False if they are not the same as then.
    pub(super) fn passes(&mut self, bytes: &[u8], delivered: &Delivered) -> (usize, bool) {
        let back = delivered.position - self.at.min(delivered.position);
        let old = bytes.len().min(usize::try_from(back).unwrap_or(usize::MAX));
        let same = old == 0 || self.compare(&bytes[..old], back, delivered);
        self.at += bytes.len() as u64;
        (old, same)
    }

    fn compare(&mut self, again: &[u8], back: u64, delivered: &Delivered) -> bool {
        if let Some(digest) = &mut self.digest {
            // What lies before the start was never delivered.
            let before = usize::try_from(delivered.start.saturating_sub(self.at)).unwrap_or(usize::MAX);
            digest.update(again.get(before..).unwrap_or_default());
        }
        if !delivered.tail.agrees(back, again) {
            return false;
        }
        let complete = again.len() as u64 == back;
        match (&self.digest, &delivered.digest) {
            (Some(again), Some(first)) if complete => {
                again.clone().finish().as_ref() == first.clone().finish().as_ref()
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether a second sending from byte `from` on, in these pieces, is taken for the same, and what is new in it.
    fn again(start: usize, old: &[u8], new: &[u8], from: usize, piece: usize) -> (bool, Vec<u8>) {
        let mut delivered = Delivered::from(start as u64);
        delivered.push(&old[start..]);
        let mut seam = Seam::from(from as u64, &delivered);
        let mut fresh = Vec::new();
        for bytes in new[from..].chunks(piece) {
            let (split, same) = seam.passes(bytes, &delivered);
            if !same {
                return (false, fresh);
            }
            fresh.extend_from_slice(&bytes[split..]);
        }
        (true, fresh)
    }

    proptest! {
        #[test]
        fn a_second_sending_passes_if_and_only_if_it_begins_with_what_was_delivered(
            new in prop::collection::vec(any::<u8>(), 2..2000),
            read in any::<prop::sample::Index>(),
            start in any::<prop::sample::Index>(),
            flip in any::<prop::sample::Index>(),
            piece in 1..300usize,
        ) {
            let read = 1 + read.index(new.len() - 1);
            let start = start.index(read);
            let (same, fresh) = again(start, &new[..read], &new, 0, piece);
            prop_assert!(same);
            prop_assert_eq!(&fresh, &new[read..]);
            let mut old = new[..read].to_vec();
            let flip = flip.index(read);
            old[flip] ^= 1;
            let (same, fresh) = again(start, &old, &new, 0, piece);
            prop_assert_eq!(same, flip < start);
            prop_assert!(same || fresh.is_empty(), "nothing new before all of the old was compared");
        }
    }

    #[test]
    fn the_digest_sees_what_the_tail_does_not() {
        let old = vec![7; 300_000];
        let mut new = old.clone();
        new[10] = 8;
        new.push(9);
        assert_eq!(again(0, &old, &new, 0, 5000), (false, Vec::new()));
        assert_eq!(again(0, &old, &new, 290_000, 5000), (true, vec![9]), "that far back nobody looks");
    }
}
