use flate2::{Decompress, FlushDecompress, Status};

use crate::codec::{Outcome, Step, Trouble, check_need};

/// A window of 32 KiB, Huffman tables, state.
pub(crate) const STATE_BYTES: u64 = 64 << 10;

/// The window of every deflate stream: 2^15 bytes.
const WINDOW_BITS: u8 = 15;

/// One gzip member: header (with its optional checksum), deflate data, CRC-32 and length are all checked by zlib.
pub(crate) struct GzipMember {
    inflate: Decompress,
}

impl GzipMember {
    pub(crate) fn begin(allowed_bytes: u64) -> Result<Self, Trouble> {
        check_need(STATE_BYTES, allowed_bytes)?;
        Ok(Self::new())
    }

    /// In [`STATE_BYTES`].
    pub(crate) fn new() -> Self {
        Self { inflate: Decompress::new_gzip(WINDOW_BITS) }
    }

    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let result = self.inflate.decompress(input, output, FlushDecompress::None);
        let read = (self.inflate.total_in() - before.0) as usize;
        let written = (self.inflate.total_out() - before.1) as usize;
        let outcome = match result {
            Ok(Status::StreamEnd) => Outcome::MemberEnd,
            // Said when nothing could be done: no news where there was no input.
            Ok(Status::BufError) if !input.is_empty() && read + written == 0 => {
                Outcome::Failed(Trouble::Corrupt)
            }
            Ok(Status::Ok | Status::BufError) => Outcome::More,
            Err(_) => Outcome::Failed(Trouble::Corrupt),
        };
        Step { read, written, outcome }
    }
}
