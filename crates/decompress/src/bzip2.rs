use bzip2::{Decompress, Status};

use crate::codec::{Outcome, Step, Trouble, check_need};

/// What bzip2 takes beside its block: its manual says 100 kB.
const STATE_BYTES: u64 = 100_000;

/// Four bytes for each byte of a block of `level` times 100 kB.
const BYTES_PER_LEVEL: u64 = 400_000;

/// One bzip2 stream; the checksums of its blocks and of the whole are checked by the codec.
pub(crate) struct Bzip2Stream {
    codec: Decompress,
    memory_bytes: u64,
}

impl Bzip2Stream {
    /// The magic, `BZh` and the level, was seen by the sniffer.
    pub(crate) fn begin(head: &[u8], allowed_bytes: u64) -> Result<Self, Trouble> {
        let level = head.get(3).map_or(9, |digit| digit.saturating_sub(b'0').clamp(1, 9));
        let memory_bytes = check_need(u64::from(level) * BYTES_PER_LEVEL + STATE_BYTES, allowed_bytes)?;
        Ok(Self { codec: Decompress::new(false), memory_bytes })
    }

    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let before = (self.codec.total_in(), self.codec.total_out());
        let result = self.codec.decompress(input, output);
        let read = (self.codec.total_in() - before.0) as usize;
        let written = (self.codec.total_out() - before.1) as usize;
        let outcome = match result {
            Ok(Status::StreamEnd) => Outcome::MemberEnd,
            Ok(Status::MemNeeded) | Err(_) => Outcome::Failed(Trouble::Corrupt),
            Ok(_) if !input.is_empty() && read + written == 0 => Outcome::Failed(Trouble::Corrupt),
            Ok(_) => Outcome::More,
        };
        Step { read, written, outcome }
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }
}
