use liblzma::stream::{Action, Error, Status, Stream, TELL_UNSUPPORTED_CHECK};

use crate::codec::{Outcome, Step, Trouble, check_need};

/// What liblzma counts before it has seen a block header.
const BASE_BYTES: u64 = 32 << 10;

/// One xz stream; the checksums of its headers, blocks and index are checked by liblzma.
pub(crate) struct XzStream {
    stream: Stream,
    memory_bytes: u64,
    allowed_bytes: u64,
}

impl XzStream {
    pub(crate) fn begin(allowed_bytes: u64) -> Result<Self, Trouble> {
        check_need(BASE_BYTES, allowed_bytes)?;
        // A check that this build does not know must not pass unchecked.
        let stream = Stream::new_stream_decoder(allowed_bytes, TELL_UNSUPPORTED_CHECK).map_err(trouble)?;
        Ok(Self { stream, memory_bytes: BASE_BYTES, allowed_bytes })
    }

    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let before = (self.stream.total_in(), self.stream.total_out());
        let result = self.stream.process(input, output, Action::Run);
        let read = (self.stream.total_in() - before.0) as usize;
        let written = (self.stream.total_out() - before.1) as usize;
        let outcome = match result {
            Ok(Status::StreamEnd) => Outcome::MemberEnd,
            // Said on the second call that could do nothing: no news where there was no input or no room.
            Ok(Status::MemNeeded) if !input.is_empty() && !output.is_empty() => {
                Outcome::Failed(Trouble::Corrupt)
            }
            Ok(_) => Outcome::More,
            Err(Error::MemLimit) => Outcome::Failed(self.too_large()),
            Err(error) => Outcome::Failed(trouble(error)),
        };
        if matches!(outcome, Outcome::More) {
            self.note_memory();
        }
        Step { read, written, outcome }
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn too_large(&mut self) -> Trouble {
        let needed_bytes = least_memory(&mut self.stream, self.allowed_bytes, u64::MAX);
        Trouble::WindowTooLarge { needed_bytes, allowed_bytes: self.allowed_bytes }
    }

    /// A block header may have asked for more than the last one.
    fn note_memory(&mut self) {
        if self.stream.set_memlimit(self.memory_bytes).is_err() {
            self.memory_bytes = least_memory(&mut self.stream, self.memory_bytes, self.allowed_bytes);
        }
        // It held before and holds now: what is in use is below it.
        let _ = self.stream.set_memlimit(self.allowed_bytes);
    }
}

/// The least limit that liblzma accepts for what it has seen, above `low` and at most `high`.
///
/// liblzma knows this number (`lzma_memusage`), but its safe binding does not hand it out; it does refuse a limit
/// below it, so halving finds it in at most 64 questions.
fn least_memory(stream: &mut Stream, mut low: u64, mut high: u64) -> u64 {
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if stream.set_memlimit(middle).is_ok() {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

fn trouble(error: Error) -> Trouble {
    match error {
        Error::Options => Trouble::Unsupported("an xz filter or option"),
        Error::UnsupportedCheck => Trouble::Unsupported("an xz checksum"),
        _ => Trouble::Corrupt,
    }
}
