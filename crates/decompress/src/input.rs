use std::io::{self, Read};
use std::panic::AssertUnwindSafe;

/// Stored bytes held while a compressed source is decoded.
pub(crate) const INPUT_BYTES: usize = 64 << 10;

/// Held until the compression is known; all that is ever held of a plain source.
pub(crate) const SNIFF_BYTES: usize = 512;

/// A reader with its unread bytes in view, and a count of the used ones.
///
/// Bytes may be held behind those in view. They are not seen by a codec before the view comes to them, which it does in the
/// same steps as if they were still to be read.
pub(crate) struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    /// Where the view ends.
    end: usize,
    /// Where the bytes that were read end.
    held: usize,
    /// The longest view.
    view_bytes: usize,
    /// The reader has said so once; it is not asked again.
    ended: bool,
    /// The reader failed in the middle of a [`fill`](Self::fill).
    half_filled: bool,
    /// What the reader said while bytes behind the view were read. It is told where the view comes to it, and seen by nobody before.
    failure: Option<AssertUnwindSafe<io::Error>>,
    used: u64,
}

impl<R> Input<R> {
    pub(crate) fn get_ref(&self) -> &R {
        &self.reader
    }
}

impl<R: Read> Input<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self::behind(reader, 0)
    }

    /// A reader that begins behind so many bytes that were used before.
    pub(crate) fn behind(reader: R, used: u64) -> Self {
        Self {
            reader,
            buffer: vec![0; SNIFF_BYTES],
            start: 0,
            end: 0,
            held: 0,
            view_bytes: SNIFF_BYTES,
            ended: false,
            half_filled: false,
            failure: None,
            used,
        }
    }

    /// Makes room for whole blocks, once it is known that there is something to decode.
    pub(crate) fn widen(&mut self) {
        self.buffer.resize(INPUT_BYTES, 0);
        self.view_bytes = INPUT_BYTES;
    }

    /// Makes room for so many bytes, in view and behind it. In a new buffer: what grows stays with the thread that made it, for glibc,
    /// and sources may be begun by others than read them.
    pub(crate) fn widen_behind_view(&mut self, bytes: usize) {
        if bytes > self.buffer.len() {
            let mut wide = vec![0; bytes];
            wide[..self.held].copy_from_slice(&self.buffer[..self.held]);
            self.buffer = wide;
        }
    }

    /// Brings more bytes into view, with one read at most. False if there are no more, or no room.
    pub(crate) fn fill_some(&mut self) -> io::Result<bool> {
        if self.buffered().len() == self.view_bytes {
            return Ok(false);
        }
        if self.end < self.held {
            self.end = self.held.min(self.start + self.view_bytes);
            return Ok(true);
        }
        if let Some(AssertUnwindSafe(error)) = self.failure.take() {
            return Err(error);
        }
        if self.ended {
            return Ok(false);
        }
        if self.start == self.held || self.held == self.buffer.len() {
            self.move_to_front();
        }
        let room = self.buffer.len().min(self.start + self.view_bytes);
        let read = read_retrying(&mut self.reader, &mut self.buffer[self.held..room])?;
        self.held += read;
        self.end = self.held;
        self.ended = read == 0;
        Ok(read > 0)
    }

    /// Reads on behind the view, until `bytes` bytes are held from the first unused one on. False if nothing came of it:
    /// so many are held already, there are no more, or the reader has failed.
    pub(crate) fn read_ahead(&mut self, bytes: usize) -> bool {
        debug_assert!(bytes <= self.buffer.len());
        let mut changed = false;
        while self.held - self.start < bytes && !self.ended && self.failure.is_none() {
            if self.start + bytes > self.buffer.len() {
                self.move_to_front();
            }
            let room = self.start + bytes;
            match read_retrying(&mut self.reader, &mut self.buffer[self.held..room]) {
                Ok(read) => {
                    self.held += read;
                    self.ended = read == 0;
                    changed = true;
                }
                Err(error) => self.failure = Some(AssertUnwindSafe(error)),
            }
        }
        changed
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.start..self.held, 0);
        self.end -= self.start;
        self.held -= self.start;
        self.start = 0;
    }

    /// Brings as many bytes into view as there is room for. False if there are no more.
    ///
    /// The codecs see the source cut where its content says, not where the reader happened to cut it: how far a codec
    /// gets in damaged data depends on the cuts.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        self.half_filled = true;
        let more = self.fill_some()?;
        while more && self.fill_some()? {}
        self.half_filled = false;
        Ok(more)
    }

    /// Goes on where the reader failed, so that its failures do not move the cuts either.
    pub(crate) fn resume_fill(&mut self) -> io::Result<()> {
        if self.half_filled {
            self.fill()?;
        }
        Ok(())
    }

    /// Brings at least `bytes` bytes into view, or all that are left.
    pub(crate) fn fill_to(&mut self, bytes: usize) -> io::Result<()> {
        debug_assert!(bytes <= self.buffer.len());
        while self.buffered().len() < bytes && self.fill()? {}
        Ok(())
    }

    /// Hands bytes out as they are: first those in view, then straight from the reader.
    pub(crate) fn pass(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let held = self.buffered();
        if held.is_empty() && !self.ended {
            let read = read_retrying(&mut self.reader, out)?;
            self.used += read as u64;
            self.ended = read == 0 && !out.is_empty();
            return Ok(read);
        }
        let bytes = held.len().min(out.len());
        out[..bytes].copy_from_slice(&held[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}

impl<R> Input<R> {
    /// The bytes in view.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The bytes in view, and those behind it.
    pub(crate) fn held(&self) -> &[u8] {
        &self.buffer[self.start..self.held]
    }

    /// Whether the reader has said that there are no more bytes.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Bytes used up since the start.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Bytes read since the start: the used ones and those in view.
    pub(crate) fn seen(&self) -> u64 {
        self.used + self.buffered().len() as u64
    }

    /// Memory held.
    pub(crate) fn capacity(&self) -> u64 {
        self.buffer.len() as u64
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.used += bytes as u64;
    }

    /// Uses up bytes that no codec was fed with, and leaves the view as if one had been: fed with what was in view, and with
    /// the next view whenever nothing was left. False, and nothing is used, if not all of the last view is held.
    pub(crate) fn pass_over(&mut self, bytes: usize) -> bool {
        let start = self.start + bytes;
        let mut end = self.end;
        while end < start {
            end += self.view_bytes;
        }
        if end > self.held && !self.ended {
            return false;
        }
        self.end = end.min(self.held);
        self.consume(bytes);
        true
    }
}

fn read_retrying<R: Read>(reader: &mut R, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(out) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_view_survive_the_move_to_the_front() {
        let source: Vec<u8> = (0..2000u32).map(|n| (n % 251) as u8).collect();
        let mut input = Input::new(&source[..]);
        let mut seen = Vec::new();
        loop {
            input.fill_to(100).expect("a slice");
            let take = input.buffered().len().min(37);
            if take == 0 {
                break;
            }
            seen.extend_from_slice(&input.buffered()[..take]);
            input.consume(take);
        }
        assert_eq!(seen, source);
        assert_eq!(input.used(), 2000);
    }
}
