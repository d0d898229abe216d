//! What is open around the value that is being read.

use crate::MAX_DEPTH;

/// Levels that fit into one word.
const WORD: usize = 64;

/// Which of the containers around a value are objects: one bit a level, the innermost lowest. The words of the levels
/// further out lie apart, in [`Outer`], so that this one can stay in registers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Nesting {
    depth: usize,
    innermost: u64,
}

/// The words of the levels that no longer fit into [`Nesting`].
pub(crate) type Outer = [u64; MAX_DEPTH.div_ceil(WORD)];

impl Nesting {
    /// How many containers are open.
    #[inline(always)]
    pub(crate) fn depth(self) -> usize {
        self.depth
    }

    /// Whether the innermost open container is an object.
    #[inline(always)]
    pub(crate) fn in_object(self) -> bool {
        self.innermost & 1 == 1
    }

    /// Enters a container; `false` if that would be one too many.
    #[inline(always)]
    pub(crate) fn open(&mut self, object: bool, outer: &mut Outer) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        if self.depth.is_multiple_of(WORD) {
            outer[self.depth / WORD] = self.innermost;
        }
        self.depth += 1;
        self.innermost = self.innermost << 1 | u64::from(object);
        true
    }

    /// Leaves the innermost container.
    #[inline(always)]
    pub(crate) fn close(&mut self, outer: &Outer) {
        self.depth -= 1;
        self.innermost >>= 1;
        if self.depth.is_multiple_of(WORD) {
            self.innermost = outer[self.depth / WORD];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_every_level() {
        let kinds: Vec<bool> = (0..MAX_DEPTH).map(|level| level * level % 7 < 3).collect();
        let (mut nesting, mut outer) = (Nesting::default(), Outer::default());
        for (level, &object) in kinds.iter().enumerate() {
            assert!(nesting.open(object, &mut outer));
            assert_eq!((nesting.depth(), nesting.in_object()), (level + 1, object));
        }
        assert!(!nesting.open(true, &mut outer));
        for (level, &object) in kinds.iter().enumerate().rev() {
            assert_eq!((nesting.depth(), nesting.in_object()), (level + 1, object));
            nesting.close(&outer);
        }
        assert_eq!(nesting.depth(), 0);
    }
}
