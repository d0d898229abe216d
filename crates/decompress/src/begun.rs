//! The beginning of a source, decoded before anybody reads it.

use std::io;

use crate::DecompressError;

pub(crate) struct Begun {
    buffer: Vec<u8>,
    decoded: usize,
    handed_out: usize,
}

impl Begun {
    /// Decodes so many bytes, or all there are. An error of the source is left to whoever reads on, for it is told again; one of the
    /// reader may be told only once.
    pub(crate) fn of(
        wanted_bytes: usize,
        mut buffer: Vec<u8>,
        mut decode: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Self> {
        if buffer.len() < wanted_bytes {
            // Not zeroed before it is touched, nor copied.
            buffer = vec![0; wanted_bytes];
        }
        let mut decoded = 0;
        while decoded < wanted_bytes {
            match decode(&mut buffer[decoded..wanted_bytes]) {
                Ok(0) => break,
                Ok(count) => decoded += count,
                Err(error) if DecompressError::find_in(&error).is_some() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Self { buffer, decoded, handed_out: 0 })
    }

    /// Hands out what is next of them.
    pub(crate) fn hand_out(&mut self, out: &mut [u8]) -> usize {
        let left = &self.buffer[self.handed_out..self.decoded];
        let count = left.len().min(out.len());
        out[..count].copy_from_slice(&left[..count]);
        self.handed_out += count;
        count
    }

    pub(crate) fn left_bytes(&self) -> u64 {
        (self.decoded - self.handed_out) as u64
    }

    /// What is behind the decoded bytes takes no memory for all that is known here.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.decoded as u64
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}
