use std::error::Error;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use fhirline_core::{CHUNK_BYTES, CHUNK_LINES, MemorySpools, Position, RecordSpan, RejectSpan, Spools};
use fhirline_line_split::ChunkSize;
use fhirline_sink::Encoding;

use crate::progress::Progress;
use crate::values::HELD_PART_BYTES;

/// Lines up to this length are held in memory; longer ones pass through a spool. A constant, so that where chunks end depends
/// on the content only.
pub const HELD_LINE_BYTES: usize = 4 << 20;

/// Input is read in steps of this many bytes.
pub(crate) const READ_BYTES: usize = 128 << 10;

/// Least memory for a decoder: enough for every gzip and bzip2, for zstd up to level 19 and for xz up to level 6.
const LEAST_DECODER_BYTES: u64 = 11 << 20;

/// Members of a gzip source that are decoded ahead may take so much where there is enough: more than that helps only members
/// that are longer than usual, for which there is this part of a high ceiling.
const USUAL_AHEAD_BYTES: u64 = 12 << 20;
const AHEAD_PART: u64 = 8;

/// With fewer workers members are decoded in their turn.
const LEAST_WORKERS_AHEAD: usize = 4;

/// Most threads that decode at once, and what each needs to hold members of 1 MiB, as are written here.
const MOST_DECODING_THREADS: usize = 4;
const AHEAD_BYTES_OF_THREAD: u64 = 5 << 19;

/// What a gzip decoder takes otherwise.
pub(crate) const GZIP_BYTES: u64 = 128 << 10;

/// The beginnings of sources that are read before their turn may take so much, and so much of the heart at most.
const BEGINNINGS_BYTES: u64 = 8 << 20;
const SMALL_BEGINNINGS_BYTES: u64 = 3 << 20;
const BEGINNINGS_PART: u64 = 6;

/// What a thread costs beside the data that it works on: its stack, as far as it is touched, and what its allocator arena
/// holds and does not give back. Measured with 16 threads.
pub(crate) const THREAD_BYTES: u64 = 384 << 10;

/// What the process holds when it starts, where it cannot be measured.
const USUAL_BASE_BYTES: u64 = 8 << 20;

/// The open blocks of compressed outputs may take this part of the ceiling.
const OPEN_BLOCKS_PART: u64 = 16;

/// What waits of plain outputs to be written in one piece may take so much, if it is there.
const MOST_WAITING_BYTES: u64 = 8 << 20;

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

/// Tells where a record stood originally, for sources that are copies of other ones: called with the position of each
/// rejected record, in order. An error ends the run with [`RunError::Places`](crate::RunError::Places).
pub type Places = Arc<Mutex<dyn FnMut(Position) -> Result<Position, Box<dyn Error + Send + Sync>> + Send>>;

/// How a run goes.
#[derive(Clone)]
pub struct FlowOptions {
    /// Workers. With one, everything happens on the calling thread.
    pub threads: usize,
    /// Longer lines are rejected, in bytes without line end; none if `None`.
    pub max_line_bytes: Option<u64>,
    /// When a run with rejected records must stop; never if `None`.
    pub max_rejects: Option<RejectLimit>,
    /// Whether the sources that are complete count although others are not.
    pub allow_incomplete: bool,
    /// Most decoded bytes for each stored byte of a compressed source; see [`Limits`](fhirline_decompress::Limits).
    pub max_ratio: Option<u64>,
    /// Most decoded bytes of a source.
    pub max_decoded_bytes: Option<u64>,
    /// How the memory is divided.
    pub memory: MemoryPlan,
    /// Where lines wait that are too long to be held. In memory unless set.
    pub spools: Arc<dyn Spools>,
    /// A checkpoint is made once so many decoded bytes were committed since the last; none if `None`.
    pub checkpoint_bytes: Option<u64>,
    /// Checkpoints that survive a crash of the machine, and not only of the process, are made at most so often.
    pub sync_interval: Duration,
    /// Where to go on: what an earlier run noted with its last checkpoint.
    pub from: Option<Progress>,
    /// Whether Bundles are records like any other, and not opened.
    pub keep_bundles: bool,
    /// Whether what Bundles and entries say of themselves is kept in sidecars.
    pub keep_entry_metadata: bool,
    /// Where records stood originally, if not where they are read.
    pub places: Option<Places>,
    /// The size of chunks. For tests: the product uses the default.
    pub chunk_size: ChunkSize,
    /// Longer lines pass through a spool. For tests: the product uses [`HELD_LINE_BYTES`].
    pub held_line_bytes: usize,
}

impl Default for FlowOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            max_line_bytes: None,
            max_rejects: None,
            allow_incomplete: false,
            max_ratio: None,
            max_decoded_bytes: None,
            memory: MemoryPlan::default(),
            spools: Arc::new(MemorySpools),
            checkpoint_bytes: None,
            sync_interval: Duration::from_secs(5),
            from: None,
            keep_bundles: false,
            keep_entry_metadata: false,
            places: None,
            chunk_size: ChunkSize::default(),
            held_line_bytes: HELD_LINE_BYTES,
        }
    }
}

impl fmt::Debug for FlowOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowOptions")
            .field("threads", &self.threads)
            .field("max_line_bytes", &self.max_line_bytes)
            .field("max_rejects", &self.max_rejects)
            .field("allow_incomplete", &self.allow_incomplete)
            .field("memory", &self.memory)
            .field("checkpoint_bytes", &self.checkpoint_bytes)
            .finish_non_exhaustive()
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
    /// What the process held before its first run.
    pub base_bytes: u64,
    /// Threads, what no lease pays for, and what is set aside.
    pub overhead_bytes: u64,
    /// What is set aside for the sink; see [`setting_aside`](Self::setting_aside).
    pub set_aside_bytes: u64,
    /// What downloads take, as part of the overhead; see [`with_network`](Self::with_network).
    pub download_bytes: u64,
    /// Plain bytes in a block of a compressed output.
    pub block_bytes: usize,
    /// Open blocks of compressed outputs, all together; of plain ones, what waits to be written.
    pub open_block_bytes: u64,
    /// Blocks on their way through compression at once.
    pub compression_jobs: usize,
    /// What those take.
    pub compression_bytes: u64,
    /// Chunks, batches and the decoder.
    pub heart_bytes: u64,
    /// Most that a decoder may take of the heart, so that the longest line still fits beside it.
    pub decoder_bytes: u64,
    request: Request,
}

/// What a plan is asked for, beside the ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    base_bytes: u64,
    threads: u64,
    encoding: Encoding,
    /// The part of the ceiling that is set aside: one in so many bytes, nothing if 0.
    set_aside_part: u64,
    /// What downloads take, in bytes.
    download_bytes: u64,
    /// What outputs take on their way to a store that is far away.
    upload_bytes: u64,
    /// Whether small writes to plain outputs may wait for more.
    waiting_writes: bool,
}

impl Default for MemoryPlan {
    /// The plan for 64 MiB, one thread and plain outputs.
    fn default() -> Self {
        let (base_bytes, encoding) = (USUAL_BASE_BYTES, Encoding::plain());
        Request::new(base_bytes, 1, encoding).divide(64 << 20)
    }
}

/// What may be read of sources before their turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginnings {
    /// For all of them.
    pub(crate) room_bytes: u64,
    /// What is decoded of a compressed one at most.
    pub(crate) decoded_bytes: usize,
    /// Stored bytes of the longest source that is begun.
    pub(crate) longest_bytes: u64,
}

/// A ceiling on memory, and how much of it is gone already when a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    bytes: u64,
    base_bytes: u64,
    /// What of the bytes nobody asked for.
    added_bytes: u64,
}

impl Ceiling {
    /// So many bytes for runs beside what the process holds otherwise, whatever that is. A plan counts them with the 8 MiB that a
    /// small program holds, so what it leaves does not depend on the process.
    #[must_use]
    pub fn beside(bytes: u64) -> Self {
        let added_bytes = USUAL_BASE_BYTES;
        Self { bytes: bytes.saturating_add(added_bytes), base_bytes: added_bytes, added_bytes }
    }

    /// The whole, in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// What would have to be asked for to have so many bytes as the whole.
    #[must_use]
    pub fn asked(self, bytes: u64) -> u64 {
        bytes.saturating_sub(self.added_bytes)
    }
}

impl From<u64> for Ceiling {
    /// A ceiling on all that the process holds, what it held before its first run included.
    fn from(bytes: u64) -> Self {
        Self { bytes, base_bytes: base_bytes(), added_bytes: 0 }
    }
}

impl MemoryPlan {
    /// Divides a ceiling.
    ///
    /// # Errors
    /// [`TooLittleMemory`], which names the least that would do.
    pub fn new(
        ceiling: impl Into<Ceiling>,
        threads: usize,
        encoding: Encoding,
    ) -> Result<Self, TooLittleMemory> {
        Self::with_network(0, 0, ceiling, threads, encoding)
    }

    /// The same for what comes or goes over a network: `download_bytes` are for downloads and the network itself, and count as
    /// overhead. `upload_bytes` of outputs are held on their way to a store, and as much of compressed ones as may be open, for what
    /// was open when a source began cannot be read back.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_network(
        download_bytes: u64,
        upload_bytes: u64,
        ceiling: impl Into<Ceiling>,
        threads: usize,
        encoding: Encoding,
    ) -> Result<Self, TooLittleMemory> {
        let ceiling = ceiling.into();
        let request = Request::new(ceiling.base_bytes, threads, encoding);
        let plan = Request { download_bytes, upload_bytes, ..request }.plan(ceiling.bytes);
        plan.map_err(|error| error.beside(ceiling))
    }

    /// The same for plain outputs, downloads and a sink that remembers things: one in `part` bytes of the ceiling is its own.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn setting_aside(
        part: u64,
        download_bytes: u64,
        ceiling: impl Into<Ceiling>,
        threads: usize,
    ) -> Result<Self, TooLittleMemory> {
        let ceiling = ceiling.into();
        let request = Request::new(ceiling.base_bytes, threads, Encoding::plain());
        let plan = Request { download_bytes, set_aside_part: part, ..request }.plan(ceiling.bytes);
        plan.map_err(|error| error.beside(ceiling))
    }

    /// The same ceiling, of which so much is for outputs on their way to a store that is far away; it is set aside.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_more_uploads(self, upload_bytes: u64) -> Result<Self, TooLittleMemory> {
        Request { upload_bytes, ..self.request }.plan(self.ceiling_bytes)
    }

    /// The same ceiling, of which a part is for small writes to plain outputs, which wait there for more. It is taken of what is left
    /// over, so it is always enough.
    #[must_use]
    pub fn with_waiting_writes(self) -> Self {
        Request { waiting_writes: true, ..self.request }.divide(self.ceiling_bytes)
    }

    /// Threads that decode the members of a gzip source, and the memory for them, as a part of what a decoder may take. Chunks
    /// have twice as much at least.
    ///
    /// With few workers nothing is decoded ahead: they keep the cores busy, and no CPU time is saved. With more, half as many
    /// threads are thought to find idle cores.
    pub(crate) fn ahead(&self, workers: usize) -> (usize, u64) {
        if workers < LEAST_WORKERS_AHEAD {
            return (0, 0);
        }
        let bytes = USUAL_AHEAD_BYTES.max(self.ceiling_bytes / AHEAD_PART).min(self.heart_bytes / 3);
        let bytes = bytes.min(self.decoder_bytes.saturating_sub(GZIP_BYTES));
        let paid = (bytes / AHEAD_BYTES_OF_THREAD) as usize;
        ((workers / 2).min(MOST_DECODING_THREADS).min(paid).max(2), bytes)
    }

    /// What may be read of sources before their turn, with so many workers. The memory is a part of what a decoder may take too, and
    /// there beside what is decoded ahead of the source that is read: as long as that is gzip, or plain.
    ///
    /// What one thread decodes and another reads is copied between them. With few workers, which keep the cores busy, it is worth that
    /// only if the opening of the source is most of the work.
    pub(crate) fn beginnings(&self, workers: usize) -> Beginnings {
        let (_, ahead_bytes) = self.ahead(workers);
        let left = self
            .decoder_bytes
            .saturating_sub(GZIP_BYTES + ahead_bytes)
            .min(self.heart_bytes / BEGINNINGS_PART);
        if workers < LEAST_WORKERS_AHEAD {
            let room_bytes = left.min(SMALL_BEGINNINGS_BYTES);
            Beginnings { room_bytes, decoded_bytes: 64 << 10, longest_bytes: 16 << 10 }
        } else {
            let room_bytes = left.min(BEGINNINGS_BYTES);
            Beginnings { room_bytes, decoded_bytes: 1 << 20, longest_bytes: u64::MAX }
        }
    }

    /// The ceiling that a decoder of that size would need.
    #[must_use]
    pub fn ceiling_for_decoder(&self, decoder_bytes: u64) -> u64 {
        self.request.ceiling_for_decoder(decoder_bytes, self.ceiling_bytes)
    }
}

impl TooLittleMemory {
    /// In the numbers in which the ceiling was given.
    fn beside(self, ceiling: Ceiling) -> Self {
        Self { given_bytes: ceiling.asked(self.given_bytes), least_bytes: ceiling.asked(self.least_bytes) }
    }
}

impl Request {
    fn new(base_bytes: u64, threads: usize, encoding: Encoding) -> Self {
        let threads = threads as u64;
        Self {
            base_bytes,
            threads,
            encoding,
            set_aside_part: 0,
            download_bytes: 0,
            upload_bytes: 0,
            waiting_writes: false,
        }
    }

    fn plan(self, ceiling_bytes: u64) -> Result<MemoryPlan, TooLittleMemory> {
        let plan = self.divide(ceiling_bytes);
        if plan.decoder_bytes >= LEAST_DECODER_BYTES {
            return Ok(plan);
        }
        // A lower ceiling can do where a higher one does not, for that makes blocks longer; nobody asked for it.
        let least_bytes = self.ceiling_for_decoder(LEAST_DECODER_BYTES, ceiling_bytes);
        Err(TooLittleMemory { given_bytes: ceiling_bytes, least_bytes })
    }

    /// Divides a ceiling. If it is not enough, nothing is left for a decoder.
    fn divide(self, ceiling_bytes: u64) -> MemoryPlan {
        let block_bytes = self.encoding.block_bytes(ceiling_bytes);
        let (open_block_bytes, job_bytes) = self.compression(ceiling_bytes, block_bytes as u64);
        let held_open_bytes = if self.upload_bytes > 0 { open_block_bytes } else { 0 };
        let set_aside_bytes = ceiling_bytes.checked_div(self.set_aside_part).unwrap_or(0);
        let set_aside_bytes =
            set_aside_bytes.saturating_add(self.upload_bytes).saturating_add(held_open_bytes);
        let overhead_bytes = THREAD_BYTES.saturating_mul(self.threads).saturating_add(SLACK_BYTES);
        let overhead_bytes =
            overhead_bytes.saturating_add(set_aside_bytes).saturating_add(self.download_bytes);
        let line_bytes = long_line_bytes(HELD_LINE_BYTES).saturating_add(opening_bytes());
        let fixed_bytes = [overhead_bytes, open_block_bytes, job_bytes]
            .into_iter()
            .fold(self.base_bytes, u64::saturating_add);
        let least_heart_bytes = line_bytes.saturating_add(LEAST_DECODER_BYTES);
        let spare = ceiling_bytes.saturating_sub(fixed_bytes).saturating_sub(least_heart_bytes);
        let waits = self.waiting_writes && job_bytes == 0;
        let waiting_bytes = if waits { (spare / 4).min(MOST_WAITING_BYTES) } else { 0 };
        let (open_block_bytes, fixed_bytes) = (open_block_bytes + waiting_bytes, fixed_bytes + waiting_bytes);
        // Half of what is left at most, whole jobs or not, so that a higher ceiling leaves more for the heart.
        let more_compression_bytes = (spare / 2).min(job_bytes.saturating_mul(self.threads));
        let more_jobs = NonZeroU64::new(job_bytes).map_or(0, |job| more_compression_bytes / job);
        let heart_bytes = ceiling_bytes.saturating_sub(fixed_bytes.saturating_add(more_compression_bytes));
        MemoryPlan {
            ceiling_bytes,
            base_bytes: self.base_bytes,
            overhead_bytes,
            set_aside_bytes,
            download_bytes: self.download_bytes,
            block_bytes,
            open_block_bytes,
            compression_jobs: (more_jobs as usize).saturating_add(1),
            compression_bytes: job_bytes.saturating_add(more_compression_bytes),
            heart_bytes,
            decoder_bytes: heart_bytes.saturating_sub(line_bytes),
            request: self,
        }
    }

    /// What open blocks may take together, and what one block on its way through compression takes. Where members end
    /// depends on the first: it must follow from the ceiling alone, not from the threads.
    fn compression(self, ceiling_bytes: u64, block_bytes: u64) -> (u64, u64) {
        match self.encoding.job_bytes() {
            0 => (0, 0),
            state => {
                let two_blocks = block_bytes.saturating_mul(2);
                ((ceiling_bytes / OPEN_BLOCKS_PART).max(two_blocks), two_blocks.saturating_add(state))
            }
        }
    }

    /// The least ceiling from `least_bytes` on whose plan leaves that much to a decoder, in whole MiB, with one to spare:
    /// the base differs a little from run to run.
    fn ceiling_for_decoder(self, decoder_bytes: u64, least_bytes: u64) -> u64 {
        const MIB: u64 = 1 << 20;
        let from =
            decoder_bytes.saturating_add(long_line_bytes(HELD_LINE_BYTES) + opening_bytes()).max(least_bytes)
                / MIB;
        let enough = |mib: &u64| {
            self.divide(mib.saturating_mul(MIB)).decoder_bytes >= decoder_bytes.saturating_add(MIB)
        };
        // A ceiling of four times the need, and then some, is always enough.
        (from..from.saturating_mul(4).saturating_add(4096).min(u64::MAX / MIB))
            .find(enough)
            .unwrap_or(u64::MAX / MIB)
            .saturating_mul(MIB)
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

/// What a chunk of parts and its batch cost: it may be half as long again.
pub(crate) const fn parts_lease_bytes() -> u64 {
    chunk_lease_bytes() + CHUNK_BYTES as u64
}

/// What framing costs beside the chunk: the buffer of a framer, and that of a second one that takes another look.
pub(crate) const FRAMING_BYTES: u64 = 2 * (HELD_PART_BYTES + 2 * READ_BYTES) as u64;

/// What opening the longest line that is held costs, beside the line.
const fn opening_bytes() -> u64 {
    FRAMING_BYTES + parts_lease_bytes() - chunk_lease_bytes()
}

/// What a line of the greatest length that is held costs. It is not copied, so its batch costs nothing more; what was read
/// behind it begins the next chunk.
pub(crate) const fn long_line_bytes(held_line_bytes: usize) -> u64 {
    chunk_lease_bytes() + (held_line_bytes + READ_BYTES) as u64
}

/// Notes what the process holds now as what it held before its first run, unless a plan was asked for already. To be called
/// before sources are looked at: what that takes, as that of the network does, is part of a run.
pub fn note_base() {
    base_bytes();
}

/// What the process held when that was first asked for. A later run finds what an earlier one freed still resident, for
/// allocators give little back; it will use that again, so it is not counted a second time.
fn base_bytes() -> u64 {
    static BASE_BYTES: OnceLock<u64> = OnceLock::new();
    *BASE_BYTES.get_or_init(|| resident_bytes().unwrap_or(USUAL_BASE_BYTES))
}

/// What the process holds resident now, in bytes, where the system tells (Linux).
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(PAGE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fhirline_decompress::Limits;
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
            let plan = MemoryPlan::new(mib << 20, threads, encoding).expect("enough");
            assert_eq!(parts(&plan), mib << 20, "{plan:?}");
            assert!(plan.decoder_bytes >= LEAST_DECODER_BYTES, "{plan:?}");
        }
    }

    #[test]
    fn what_is_decoded_ahead_is_a_part_of_the_decoders_and_leaves_room_for_chunks() {
        for encoding in encodings() {
            for (mib, threads) in (32..2048).step_by(7).flat_map(|mib| [1, 3, 4, 5, 8, 64].map(|t| (mib, t)))
            {
                let Ok(plan) = MemoryPlan::new(mib << 20, threads, encoding) else { continue };
                let (decoding, bytes) = plan.ahead(threads);
                let limits = Limits::default().with_window_bytes(0).with_ahead(decoding, bytes);
                assert!(limits.memory_bytes() <= plan.decoder_bytes, "{plan:?}");
                assert!(bytes <= plan.heart_bytes / 3, "{plan:?}");
                let beginnings = plan.beginnings(threads).room_bytes;
                assert!(limits.memory_bytes() + beginnings <= plan.decoder_bytes, "{plan:?}");
                assert!(bytes + beginnings <= plan.heart_bytes / 2, "{plan:?}");
            }
        }
    }

    /// Outputs of a run are sources of another: members of 1 MiB, or of what zstd would make longer.
    #[test]
    fn members_of_1_mib_are_decoded_ahead_in_the_usual_ceiling_from_four_workers_on() {
        for (workers, decoding) in
            [(1, 0), (2, 0), (3, 0), (4, 2), (5, 2), (6, 3), (7, 3), (8, 4), (9, 4), (16, 4)]
        {
            let plan = MemoryPlan::new(64 << 20, workers, Encoding::plain()).expect("enough");
            let (threads, bytes) = plan.ahead(workers);
            assert_eq!(threads, decoding);
            let parts = decoding as u64 + 3;
            let fixed = decoding as u64 * (512 << 10);
            assert!(decoding == 0 || bytes.saturating_sub(fixed) / parts > 1 << 20, "{plan:?}");
        }
    }

    fn encodings() -> [Encoding; 4] {
        [(Codec::None, None), (Codec::Gzip, None), (Codec::Zstd, None), (Codec::Zstd, Some(19))]
            .map(|(codec, level)| Encoding::new(codec, level).expect("a level"))
    }

    #[test]
    fn too_little_names_what_would_do() {
        for encoding in encodings() {
            for threads in [1, 2, 64] {
                let refused = MemoryPlan::new(8 << 20, threads, encoding).expect_err("too little");
                assert!(refused.to_string().starts_with("8 MiB of memory are too little"));
                let least = refused.least_bytes;
                assert!(MemoryPlan::new(least, threads, encoding).is_ok(), "{encoding:?} {least}");
                // A little less may do where blocks are shorter there.
                if encoding.block_bytes(u64::MAX) == encoding.block_bytes(0) {
                    let less = least - (5 << 20);
                    assert!(MemoryPlan::new(less, threads, encoding).is_err(), "{encoding:?} {least}");
                }
            }
        }
    }

    #[test]
    fn no_request_is_so_large_that_it_seems_small() {
        for encoding in encodings() {
            assert!(MemoryPlan::new(64 << 20, usize::MAX, encoding).is_err(), "{encoding:?}");
            let plan = MemoryPlan::new(128 << 20, 4, encoding).expect("enough");
            assert!(plan.ceiling_for_decoder(u64::MAX) > 1 << 60, "{encoding:?}");
        }
    }

    /// The default number of threads goes up to 8. A process that has only just begun holds some 5 MiB.
    #[test]
    fn usual_levels_fit_into_the_usual_ceiling() {
        let levels = |codec, levels: std::ops::RangeInclusive<u8>| {
            levels.map(move |level| Encoding::new(codec, Some(level)).expect("a level"))
        };
        let all = levels(Codec::Gzip, 0..=9).chain(levels(Codec::Zstd, 1..=9));
        for encoding in all.chain([Encoding::plain()]) {
            let request = Request::new(6 << 20, 8, encoding);
            let plan = request.divide(64 << 20);
            assert!(plan.decoder_bytes >= LEAST_DECODER_BYTES, "{encoding:?}: {plan:?}");
        }
    }

    #[test]
    fn usual_encodings_fit_beside_an_upload_into_the_usual_ceiling() {
        let usual = [Codec::None, Codec::Gzip].map(|codec| Encoding::new(codec, None));
        for encoding in usual {
            let request = Request::new(6 << 20, 2, encoding.expect("the usual level"));
            let plan = Request { upload_bytes: 8 << 20, ..request }.divide(64 << 20);
            assert!(plan.decoder_bytes >= LEAST_DECODER_BYTES, "{plan:?}");
            assert!(plan.set_aside_bytes >= 8 << 20, "{plan:?}");
        }
    }

    #[test]
    fn a_refusal_names_more_than_was_given() {
        for encoding in encodings() {
            for given in 8..256 {
                if let Err(refused) = MemoryPlan::new(given << 20, 64, encoding) {
                    assert!(refused.least_bytes > given << 20, "{encoding:?} {given}");
                }
            }
        }
    }

    #[test]
    fn the_ceiling_named_for_a_decoder_does() {
        for encoding in encodings() {
            for decoder in [33 << 20, 129 << 20, 2049 << 20] {
                let plan = MemoryPlan::new(128 << 20, 4, encoding).expect("enough");
                let named = plan.ceiling_for_decoder(decoder);
                let wider = MemoryPlan::new(named, 4, encoding).expect("enough");
                assert!(wider.decoder_bytes >= decoder, "{encoding:?} {decoder} {named}");
            }
        }
    }

    #[test]
    fn a_higher_ceiling_never_leaves_less_for_the_heart() {
        // Unless it makes blocks longer, as with zstd up to level 9.
        let same_blocks = |encoding: &Encoding| encoding.block_bytes(u64::MAX) == encoding.block_bytes(0);
        for encoding in encodings().into_iter().filter(same_blocks) {
            let heart = |mib: u64| MemoryPlan::new(mib << 20, 8, encoding).map_or(0, |plan| plan.heart_bytes);
            for mib in 32..512 {
                assert!(heart(mib) <= heart(mib + 1), "{encoding:?} {mib}");
            }
        }
    }

    #[test]
    fn what_is_set_aside_is_part_of_the_ceiling() {
        let plan = MemoryPlan::setting_aside(4, 0, 64 << 20, 8).expect("enough");
        assert_eq!((plan.set_aside_bytes, parts(&plan)), (16 << 20, 64 << 20));
        let refused = MemoryPlan::setting_aside(4, 0, 32 << 20, 2).expect_err("too little");
        assert!(MemoryPlan::setting_aside(4, 0, refused.least_bytes, 2).is_ok());
        let named = plan.ceiling_for_decoder(129 << 20);
        let wider = MemoryPlan::setting_aside(4, 0, named, 8).expect("enough");
        assert!(wider.decoder_bytes >= 129 << 20);
    }

    #[test]
    fn the_network_is_part_of_the_ceiling_and_of_what_is_named() {
        let plan =
            |ceiling_bytes| MemoryPlan::with_network(9 << 20, 8 << 20, ceiling_bytes, 2, Encoding::plain());
        let enough = plan(128 << 20).expect("enough");
        assert_eq!(parts(&enough), 128 << 20);
        let without = MemoryPlan::new(128 << 20, 2, Encoding::plain()).expect("enough");
        assert_eq!(enough.overhead_bytes, without.overhead_bytes + (17 << 20));
        let refused = plan(16 << 20).expect_err("too little");
        assert!(plan(refused.least_bytes).is_ok() && plan(refused.least_bytes - (3 << 20)).is_err());
    }

    #[test]
    fn writes_wait_only_where_there_is_room() {
        let plain = |mib: u64| MemoryPlan::new(mib << 20, 2, Encoding::plain());
        let usual = plain(64).expect("enough").with_waiting_writes();
        assert_eq!(parts(&usual), 64 << 20);
        assert!((4 << 20..=MOST_WAITING_BYTES).contains(&usual.open_block_bytes), "{usual:?}");
        let refused = plain(8).expect_err("too little");
        let least = plain(refused.least_bytes >> 20).expect("enough").with_waiting_writes();
        assert!(least.decoder_bytes >= LEAST_DECODER_BYTES && least.open_block_bytes < 1 << 20, "{least:?}");
        let named = usual.ceiling_for_decoder(129 << 20);
        let wider = plain(named >> 20).expect("enough").with_waiting_writes();
        assert!(wider.decoder_bytes >= 129 << 20, "{wider:?}");
        let gzip = Encoding::new(Codec::Gzip, None).expect("usual level");
        let plan = MemoryPlan::new(64 << 20, 2, gzip).expect("enough");
        assert_eq!(plan.with_waiting_writes().open_block_bytes, plan.open_block_bytes);
    }

    #[test]
    fn where_members_end_does_not_depend_on_threads() {
        let gzip = Encoding::new(Codec::Gzip, None).expect("usual level");
        let share = |threads| MemoryPlan::new(256 << 20, threads, gzip).expect("enough").open_block_bytes;
        assert_eq!(share(1), share(16));
    }
}
