use std::fmt;
use std::num::NonZeroU64;

use fhirline_core::{CHUNK_BYTES, CHUNK_LINES, RecordSpan, RejectSpan};
use fhirline_line_split::ChunkSize;
use fhirline_sink::{BLOCK_BYTES, Encoding};

/// Input is read in steps of this many bytes.
pub(crate) const READ_BYTES: usize = 128 << 10;

/// Least memory for a decoder: enough for every gzip and bzip2, for zstd up to level 19 and for xz up to level 6.
const LEAST_DECODER_BYTES: u64 = 11 << 20;

/// What a thread costs beside the data that it works on: the touched part of its stack and of its allocator arena.
const THREAD_BYTES: u64 = 320 << 10;

/// What the process holds when it starts, where it cannot be measured.
const USUAL_BASE_BYTES: u64 = 8 << 20;

/// Room for what no lease pays for: tables of outputs, queues, the report, the allocator's own waste.
const SLACK_BYTES: u64 = 6 << 20;

/// When a run with rejected records must stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RejectLimit {
    /// When more than this many records were rejected.
    Records(u64),
    /// When more than this share (in percent) of the records read were rejected. Looked at from the 1,000th record on, and
    /// at the end.
    Percent(f64),
}

impl fmt::Display for RejectLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records(records) => write!(f, "{records}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// How a run goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowOptions {
    /// Workers. With one, everything happens on the calling thread.
    pub threads: usize,
    /// Longer lines are rejected, in bytes without line end.
    pub max_line_bytes: usize,
    /// When a run with rejected records must stop; never if `None`.
    pub max_rejects: Option<RejectLimit>,
    /// Whether the sources that are complete count although others are not.
    pub allow_incomplete: bool,
    /// How the memory is divided.
    pub memory: MemoryPlan,
    /// The size of chunks. For tests: the product uses the default.
    pub chunk_size: ChunkSize,
}

impl Default for FlowOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            max_line_bytes: 16 << 20,
            max_rejects: None,
            allow_incomplete: false,
            memory: MemoryPlan::default(),
            chunk_size: ChunkSize::default(),
        }
    }
}

/// How a ceiling on resident memory is divided.
///
/// The parts add up to the ceiling: what the process held before the run, threads, what no lease pays for, compression of
/// outputs, and the heart: chunks, the batches they become, and the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The whole, in bytes.
    pub ceiling_bytes: u64,
    /// What the process held before the run.
    pub base_bytes: u64,
    /// Threads and what no lease pays for.
    pub overhead_bytes: u64,
    /// Open blocks of compressed outputs, all together.
    pub open_block_bytes: u64,
    /// Blocks on their way through compression at once.
    pub compression_jobs: usize,
    /// What those take.
    pub compression_bytes: u64,
    /// Chunks, batches and the decoder.
    pub heart_bytes: u64,
    /// Most that a decoder may take of the heart, so that the longest line still fits beside it.
    pub decoder_bytes: u64,
}

impl Default for MemoryPlan {
    /// The plan for 64 MiB, lines of up to 16 MiB and plain outputs.
    fn default() -> Self {
        let heart = 40 << 20;
        Self {
            ceiling_bytes: 64 << 20,
            base_bytes: USUAL_BASE_BYTES,
            overhead_bytes: SLACK_BYTES,
            open_block_bytes: 8 << 20,
            compression_jobs: 2,
            compression_bytes: 0,
            heart_bytes: heart,
            decoder_bytes: heart - long_line_bytes(16 << 20),
        }
    }
}

impl MemoryPlan {
    /// Divides `ceiling_bytes`.
    ///
    /// # Errors
    /// [`TooLittleMemory`], which names the least that would do.
    pub fn new(
        ceiling_bytes: u64,
        threads: usize,
        max_line_bytes: usize,
        encoding: Encoding,
    ) -> Result<Self, TooLittleMemory> {
        let base_bytes = resident_bytes().unwrap_or(USUAL_BASE_BYTES);
        let overhead_bytes = SLACK_BYTES + THREAD_BYTES * threads as u64;
        let line = long_line_bytes(max_line_bytes);
        let job = if encoding.job_bytes() == 0 { 0 } else { encoding.job_bytes() + 2 * BLOCK_BYTES as u64 };
        // Where members end depends on this share: it must follow from the ceiling alone, not from the threads.
        let open_block_bytes = if job == 0 { 0 } else { (ceiling_bytes / 16).max(BLOCK_BYTES as u64) };
        let least = base_bytes + overhead_bytes + open_block_bytes + job + line + LEAST_DECODER_BYTES;
        let Some(spare) = ceiling_bytes.checked_sub(least) else {
            return Err(TooLittleMemory {
                given_bytes: ceiling_bytes,
                least_bytes: least.next_multiple_of(1 << 20),
            });
        };
        let more_jobs = NonZeroU64::new(job).map_or(0, |job| (spare / 2 / job).min(threads as u64));
        let compression_bytes = job * (1 + more_jobs);
        let heart_bytes = ceiling_bytes - base_bytes - overhead_bytes - open_block_bytes - compression_bytes;
        Ok(Self {
            ceiling_bytes,
            base_bytes,
            overhead_bytes,
            open_block_bytes,
            compression_jobs: 1 + more_jobs as usize,
            compression_bytes,
            heart_bytes,
            decoder_bytes: heart_bytes - line,
        })
    }

    /// The ceiling that a decoder of that size would need.
    #[must_use]
    pub fn ceiling_for_decoder(&self, decoder_bytes: u64) -> u64 {
        let more = decoder_bytes.saturating_sub(self.decoder_bytes);
        (self.ceiling_bytes + more).next_multiple_of(1 << 20)
    }
}

/// The ceiling is too low to work at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLittleMemory {
    /// The ceiling that was given.
    pub given_bytes: u64,
    /// The lowest that would do.
    pub least_bytes: u64,
}

impl fmt::Display for TooLittleMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (given, least) = (self.given_bytes >> 20, self.least_bytes >> 20);
        write!(f, "{given} MiB of memory are too little: these options need at least {least} MiB")
    }
}

impl std::error::Error for TooLittleMemory {}

/// What a chunk of ordinary lines and its batch cost: both buffers, and their lists at their longest.
pub(crate) const fn chunk_lease_bytes() -> u64 {
    let buffers = 2 * (CHUNK_BYTES + READ_BYTES);
    let a_line =
        size_of::<u32>() + 2 * size_of::<RecordSpan>() + 2 * size_of::<RejectSpan>() + size_of::<u32>();
    (buffers + CHUNK_LINES * a_line) as u64
}

/// What a line of the greatest length costs. It is not copied, so its batch costs nothing more; what was read behind it
/// begins the next chunk.
pub(crate) fn long_line_bytes(max_line_bytes: usize) -> u64 {
    chunk_lease_bytes() + (max_line_bytes + READ_BYTES) as u64
}

/// What the process holds now.
fn resident_bytes() -> Option<u64> {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fhirline_sink::Codec;

    fn parts(plan: &MemoryPlan) -> u64 {
        plan.base_bytes
            + plan.overhead_bytes
            + plan.open_block_bytes
            + plan.compression_bytes
            + plan.heart_bytes
    }

    #[test]
    fn the_parts_add_up_to_the_ceiling() {
        let gzip = Encoding::new(Codec::Gzip, None).expect("usual level");
        for (mib, threads, encoding) in
            [(64, 2, Encoding::plain()), (64, 2, gzip), (256, 16, gzip), (4096, 1, gzip)]
        {
            let plan = MemoryPlan::new(mib << 20, threads, 16 << 20, encoding).expect("enough");
            assert_eq!(parts(&plan), mib << 20, "{plan:?}");
            assert!(plan.decoder_bytes >= LEAST_DECODER_BYTES, "{plan:?}");
        }
    }

    #[test]
    fn too_little_names_what_would_do() {
        let refused = MemoryPlan::new(8 << 20, 2, 16 << 20, Encoding::plain()).expect_err("too little");
        assert!(MemoryPlan::new(refused.least_bytes + (2 << 20), 2, 16 << 20, Encoding::plain()).is_ok());
        assert!(refused.to_string().starts_with("8 MiB of memory are too little"));
    }

    #[test]
    fn where_members_end_does_not_depend_on_threads() {
        let gzip = Encoding::new(Codec::Gzip, None).expect("usual level");
        let share =
            |threads| MemoryPlan::new(256 << 20, threads, 16 << 20, gzip).expect("enough").open_block_bytes;
        assert_eq!(share(1), share(16));
    }
}
