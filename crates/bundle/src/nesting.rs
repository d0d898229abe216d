//! What is open around the byte that is being read.

use fhirline_parse::MAX_DEPTH;

/// How many containers may be open at once: those of a resource, and around it an entry, its array and its Bundle, when
/// the Bundle is looked at from its beginning. A resource that is too deep all the same is found by its own proof.
pub(crate) const DEEPEST: usize = MAX_DEPTH + 3;

/// Levels that fit into one word.
const WORD: usize = 64;
const WORDS: usize = DEEPEST.div_ceil(WORD);

/// Which of the open containers are objects, down to [`DEEPEST`]; of those further in only how many there are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Nesting {
    depth: u64,
    /// One bit a level, the outermost lowest in the first word.
    objects: [u64; WORDS],
}

impl Nesting {
    /// Nothing is open any more. What the words hold does not matter: a level is written before it is read.
    #[inline]
    pub(crate) fn restart(&mut self) {
        self.depth = 0;
    }

    /// How many containers are open.
    pub(crate) fn depth(&self) -> u64 {
        self.depth
    }

    /// Whether the innermost open container is an object. Beyond [`DEEPEST`] that is not known.
    #[inline]
    pub(crate) fn in_object(&self) -> bool {
        let level = self.depth.wrapping_sub(1) as usize;
        self.objects.get(level / WORD).is_some_and(|word| word >> (level % WORD) & 1 == 1)
    }

    /// Enters a container; `false` if it is one too many, though it is counted.
    #[inline]
    pub(crate) fn open(&mut self, object: bool) -> bool {
        let level = self.depth as usize;
        self.depth += 1;
        if level >= DEEPEST {
            return false;
        }
        let bit = 1 << (level % WORD);
        let word = &mut self.objects[level / WORD];
        *word = if object { *word | bit } else { *word & !bit };
        true
    }

    /// Leaves the innermost container.
    #[inline]
    pub(crate) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Leaves the innermost container of that kind with all that is open within it; nothing if there is none. For text
    /// whose brackets do not match: where kinds are not known, every bracket closes one level.
    pub(crate) fn close_nearest(&mut self, object: bool) {
        if self.depth > DEEPEST as u64 {
            return self.close();
        }
        let depth = self.depth as usize;
        for index in (0..depth.div_ceil(WORD)).rev() {
            let word = if object { self.objects[index] } else { !self.objects[index] };
            let levels = (depth - index * WORD).min(WORD);
            let open = word & (u64::MAX >> (WORD - levels));
            if open != 0 {
                self.depth = (index * WORD) as u64 + u64::from(open.ilog2());
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_kind_of_every_level() {
        let kinds: Vec<bool> = (0..DEEPEST).map(|level| level * level % 7 < 3).collect();
        let mut nesting = Nesting::default();
        for &object in &kinds {
            assert!(nesting.open(object));
            assert_eq!(nesting.in_object(), object);
        }
        assert!(!nesting.open(true));
        nesting.close();
        for &object in kinds.iter().rev() {
            assert_eq!(nesting.in_object(), object);
            nesting.close();
        }
        assert_eq!(nesting.depth(), 0);
    }

    #[test]
    fn a_bracket_closes_the_nearest_of_its_kind() {
        let mut nesting = Nesting::default();
        for _ in 0..70 {
            nesting.open(true);
        }
        for _ in 0..100 {
            nesting.open(false);
        }
        nesting.close_nearest(true);
        assert_eq!(nesting.depth(), 69);
        nesting.close_nearest(false);
        assert_eq!(nesting.depth(), 69);
        nesting.close_nearest(true);
        assert_eq!(nesting.depth(), 68);
    }

    #[test]
    fn what_is_too_deep_is_counted() {
        let mut nesting = Nesting::default();
        for _ in 0..DEEPEST + 3 {
            nesting.open(true);
        }
        for _ in 0..3 {
            nesting.close_nearest(false);
        }
        assert_eq!(nesting.depth(), DEEPEST as u64);
        nesting.close_nearest(false);
        assert_eq!(nesting.depth(), DEEPEST as u64);
        nesting.close_nearest(true);
        assert_eq!(nesting.depth(), DEEPEST as u64 - 1);
    }
}
