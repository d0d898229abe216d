//! What an input says beside its content: a few bytes of choices, then the content as it is.
//!
//! The places are fixed, so that a dictionary works on the content, and a file of the corpus means the same next year.

#![allow(dead_code, reason = "every target uses a part")]

/// Reads choices from the front of an input. An input that is too short chooses zeros.
pub(crate) struct Choices<'i>(&'i [u8]);

impl<'i> Choices<'i> {
    pub(crate) fn new(input: &'i [u8]) -> Self {
        Self(input)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// Eight flags.
    pub(crate) fn flags(&mut self) -> [bool; 8] {
        let byte = self.byte();
        std::array::from_fn(|place| byte >> place & 1 == 1)
    }

    /// One of these.
    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    /// A size that is never zero: any small one, some large ones.
    pub(crate) fn size(&mut self) -> usize {
        match usize::from(self.byte()) {
            small @ 0..192 => small + 1,
            large => (large - 178) * (large - 178),
        }
    }

    /// The sizes of pieces, used in turn.
    pub(crate) fn cuts(&mut self) -> [usize; 4] {
        std::array::from_fn(|_| self.size())
    }

    /// All that has not been read.
    pub(crate) fn rest(self) -> &'i [u8] {
        self.0
    }
}

/// The bytes in pieces of these sizes, in turn.
pub(crate) fn pieces<'b>(bytes: &'b [u8], sizes: &[usize]) -> impl Iterator<Item = &'b [u8]> {
    let (mut rest, mut turn) = (bytes, sizes.iter().cycle());
    std::iter::from_fn(move || {
        let size = *turn.next()?;
        let (piece, left) = rest.split_at_checked(size).unwrap_or((rest, &[]));
        rest = left;
        (!piece.is_empty()).then_some(piece)
    })
}
