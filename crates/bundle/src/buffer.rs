//! The bytes that are held.

use fhirline_core::CHUNK_BYTES;

/// A buffer that is read into at its end and used up from its front.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// Everything before it is used up.
    start: usize,
    /// Everything from it on is room for reading, and holds rubbish.
    end: usize,
}

impl Buffer {
    /// A buffer that holds these bytes.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { start: 0, end: bytes.len(), bytes }
    }

    /// What is held.
    #[inline]
    pub(crate) fn held(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Room behind what is held. `longest` bytes may come to be held at a time.
    pub(crate) fn space(&mut self, bytes: usize, longest: usize) -> &mut [u8] {
        self.close_up();
        let end = self.end + bytes;
        if self.bytes.len() < end {
            let size = self.size_for(bytes, longest);
            self.bytes.reserve_exact(size.saturating_sub(self.bytes.len()));
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.end..end]
    }

    /// How large the buffer is, or will be made, for a read of `bytes`. It is given one of two sizes: it is never grown by
    /// steps, which would hold a long part twice.
    pub(crate) fn size_for(&self, bytes: usize, longest: usize) -> usize {
        let end = self.held().len() + bytes;
        let usual = CHUNK_BYTES.saturating_add(bytes);
        let size = if end <= usual { usual } else { longest.saturating_add(bytes).max(end) };
        size.max(self.size())
    }

    /// How large the buffer is.
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back all memory but that of what is held.
    pub(crate) fn release(&mut self) {
        self.close_up();
        self.bytes.truncate(self.end);
        self.bytes.shrink_to_fit();
    }

    /// Moves what is held to the front.
    fn close_up(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Says that the first `bytes` of the space hold input now.
    pub(crate) fn filled(&mut self, bytes: usize) {
        assert!(self.end + bytes <= self.bytes.len(), "claimed more bytes than there was space");
        self.end += bytes;
    }

    /// Uses up the first `bytes`; they stay where they are until room is asked for again. Returns where that is.
    pub(crate) fn take(&mut self, bytes: usize) -> Taken {
        let from = self.start;
        self.start = (from + bytes).min(self.end);
        Taken { from, to: self.start }
    }

    /// What was used up.
    pub(crate) fn taken(&self, taken: Taken) -> &[u8] {
        &self.bytes[taken.from..taken.to]
    }
}

/// Bytes that are used up.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    from: usize,
    to: usize,
}
