use std::collections::HashSet;
use std::fmt;

/// What a place in the set takes: a fingerprint, and a byte that says what is there.
const PLACE_BYTES: u64 = 17;

/// The names that stand in the open Bundle, by their fingerprints.
pub(super) struct Seen {
    fingerprints: HashSet<u128>,
    most: usize,
}

impl Seen {
    /// A set that takes no more than so many bytes (a few hundred at least).
    pub(super) fn within(bytes: u64) -> Self {
        // When the set grows it doubles, and for a moment the old places stand beside the new ones. One in eight is empty.
        let places = |power: &u32| (PLACE_BYTES << power) / 2 * 3 <= bytes;
        let power = (3..40).take_while(places).last().unwrap_or(3);
        Self { fingerprints: HashSet::new(), most: (1 << power) / 8 * 7 }
    }

    pub(super) fn has(&self, fingerprint: u128) -> bool {
        self.fingerprints.contains(&fingerprint)
    }

    pub(super) fn is_full(&self) -> bool {
        self.fingerprints.len() >= self.most
    }

    pub(super) fn add(&mut self, fingerprint: u128) {
        self.fingerprints.insert(fingerprint);
    }

    pub(super) fn clear(&mut self) {
        self.fingerprints.clear();
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").field("held", &self.fingerprints.len()).field("most", &self.most).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_keeps_to_its_bytes() {
        for (bytes, most) in [(0, 7), (1 << 10, 28), (4 << 20, 114_688), (16 << 20, 458_752)] {
            let mut seen = Seen::within(bytes);
            let mut count = 0_u128;
            while !seen.is_full() {
                seen.add(count);
                count += 1;
            }
            assert_eq!(count, most);
            // A set never has more than eight places for seven, once it has more than a few.
            let places = (seen.fingerprints.capacity() as u64).div_ceil(7) * 8;
            assert!(bytes < 1 << 10 || places * PLACE_BYTES * 3 / 2 <= bytes, "{bytes}: {places} places");
            assert!(seen.has(0) && !seen.has(count));
            seen.clear();
            assert!(!seen.has(0) && !seen.is_full());
        }
    }
}
