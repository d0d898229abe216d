use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use crate::codec::{Outcome, Step, Trouble, check_need};
use crate::window::{ZstdHeader, zstd_header};

pub(crate) use crate::window::ZSTD_HEADER_BYTES as HEADER_BYTES;

/// The largest window that the library decodes: 2 GiB, where RFC 8878 would allow 3.75 TiB.
const WINDOW_LOG_MAX: u32 = 31;

/// The context, rounded up, when no frame has asked for a window.
const CONTEXT_BYTES: u64 = 128 << 10;

/// No block is larger. One is held as input, and two stand beside the window as room to work.
const BLOCK_BYTES: u64 = 128 << 10;

/// The size of a block's header, and the least that the library asks for first.
const BLOCK_HEADER_BYTES: usize = 3;

/// zstd frames, one after the other in one context. Checksums are checked by the library where a frame has one.
pub(crate) struct ZstdFrames {
    context: Decoder<'static>,
    /// How much input the library would like next.
    hint: usize,
    /// The last step filled its output: there may be more to come out before anything goes in.
    full: bool,
    memory_bytes: u64,
}

impl ZstdFrames {
    pub(crate) fn begin(head: &[u8], allowed_bytes: u64) -> Result<Self, Trouble> {
        check_need(CONTEXT_BYTES, allowed_bytes)?;
        // Fails only for want of memory.
        let mut context = Decoder::new()
            .map_err(|_| Trouble::WindowTooLarge { needed_bytes: CONTEXT_BYTES, allowed_bytes })?;
        // The header is judged here first; this only raises the library's own bound out of the way.
        let raised = context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX));
        debug_assert!(raised.is_ok());
        Self { context, hint: 0, full: false, memory_bytes: CONTEXT_BYTES }.next(head, allowed_bytes)
    }

    /// Begins the next frame in the same context, which keeps its buffers.
    pub(crate) fn next(mut self, head: &[u8], allowed_bytes: u64) -> Result<Self, Trouble> {
        if let Some(header) = zstd_header(head) {
            let needed_bytes = check_need(need(header)?, allowed_bytes.min(need_of(1 << WINDOW_LOG_MAX)))?;
            self.memory_bytes = self.memory_bytes.max(needed_bytes);
        }
        self.hint = 0;
        self.full = false;
        Ok(self)
    }

    /// The library is fed one block at a time, because a call that fails loses all that the same call had decoded. Fed
    /// so, a step that writes never fails, and one that fails has written nothing.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        if self.full {
            let flushed = self.run(&[], output);
            if flushed.written > 0 || !matches!(flushed.outcome, Outcome::More) {
                return flushed;
            }
        }
        let wanted = block_or_header(self.hint).min(input.len());
        self.run(&input[..wanted], output)
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let mut source = InBuffer::around(input);
        let mut target = OutBuffer::around(output);
        let result = self.context.run(&mut source, &mut target);
        let (read, written) = (source.pos(), target.pos());
        self.full = written == target.capacity();
        let outcome = match result {
            Ok(0) => Outcome::MemberEnd,
            Ok(hint) => {
                self.hint = hint;
                Outcome::More
            }
            Err(_) => Outcome::Failed(Trouble::Corrupt),
        };
        Step { read, written, outcome }
    }
}

/// The library's hint is the rest of a block with the header behind it, or the rest of something smaller. This is the
/// same without that header, so that a block and what follows it are never fed together.
fn block_or_header(hint: usize) -> usize {
    if hint > BLOCK_HEADER_BYTES { hint - BLOCK_HEADER_BYTES } else { hint.max(1) }
}

fn need(header: ZstdHeader) -> Result<u64, Trouble> {
    match header {
        ZstdHeader::Skippable => Ok(CONTEXT_BYTES),
        ZstdHeader::Frame { dictionary: true, .. } => Err(Trouble::Unsupported("zstd with a dictionary")),
        ZstdHeader::Frame { window_bytes, .. } => Ok(need_of(window_bytes)),
    }
}

fn need_of(window_bytes: u64) -> u64 {
    window_bytes.saturating_add(3 * BLOCK_BYTES.min(window_bytes)).saturating_add(CONTEXT_BYTES)
}
