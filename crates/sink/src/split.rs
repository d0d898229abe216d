use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use fhirline_core::{
    Batch, ChecksumKind, Destination, LongLine, Receipt, Run, SourceId, Spool, Store, Verdict,
};

use crate::blocks::{BLOCK_BYTES, Blocks, Place};
use crate::encode::{Codec, Encoding};
use crate::error::SinkError;
use crate::names::{Names, part_name};
use crate::offload::Offload;
use crate::open_blocks::OpenBlocks;
use crate::output::{Output, Rotation};
use crate::part::Part;
use crate::quarantine::Quarantine;
use crate::{Inline, Sink, long};

mod resume;

use resume::Checkpoints;
pub use resume::{Resumed, is_provisional_of_ours, safe_name};

/// At most this many outputs, sidecars not counted; records of further types go to `_unknown`.
pub const MAX_DESTINATIONS: usize = 4096;

/// At most this many output files: each is kept in mind until the end, for the manifest.
pub const MAX_FILES: usize = 16_384;

/// So many bytes of a plain output are written as they are, without a copy.
const WORTH_A_WRITE_BYTES: usize = 16 << 10;

/// What waited is written once it is so much.
const WRITE_BYTES: usize = 64 << 10;

/// How a [`SplitSink`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitOptions {
    /// How outputs are compressed.
    pub encoding: Encoding,
    /// How outputs are hashed.
    pub checksum: Option<ChecksumKind>,
    /// Most plain bytes in a file, line ends included; a longer record has a file of its own.
    pub max_file_bytes: Option<u64>,
    /// Most records in a file.
    pub max_file_records: Option<u64>,
    /// Whether the seal waits until everything is safe on the disk. If not, what goes wrong on the way there may be told to nobody: some
    /// file systems (NFS, quotas) tell only when a file is closed or synced.
    pub durable: bool,
    /// Plain bytes in a block of a compressed output.
    pub block_bytes: usize,
    /// Most bytes in open blocks of compressed outputs, all together. Must not depend on the number of threads: it decides
    /// where members end. Of plain outputs it bounds what waits to be written in one piece, and decides nothing.
    pub open_block_bytes: u64,
    /// Most blocks on their way through compression at once.
    pub max_jobs: usize,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self {
            encoding: Encoding::plain(),
            checksum: Some(ChecksumKind::Crc32c),
            max_file_bytes: None,
            max_file_records: None,
            durable: true,
            block_bytes: BLOCK_BYTES,
            open_block_bytes: 8 << 20,
            max_jobs: 2,
        }
    }
}

/// A split whose outputs are all written and durable, but still have their provisional names.
#[derive(Debug)]
pub struct Finished {
    store: Arc<dyn Store>,
    durable: bool,
    outputs: Vec<(Destination, Part)>,
    quarantine: Vec<Part>,
    diverted_records: u64,
    /// `None` if there were no checkpoints.
    open_blocks: Option<OpenBlocks>,
}

impl Finished {
    /// What the outputs will say of themselves, in order of their names, later parts behind the first.
    #[must_use]
    pub fn outputs(&self) -> Vec<Receipt> {
        self.outputs.iter().map(|(destination, part)| part.receipt(Some(*destination))).collect()
    }

    /// The same of the files of the quarantine; none if nothing was rejected.
    #[must_use]
    pub fn quarantine(&self) -> Vec<Receipt> {
        self.quarantine.iter().map(|part| part.receipt(None)).collect()
    }

    /// Records whose type looks like one, but that went to `_unknown` because there were too many types.
    #[must_use]
    pub fn diverted_records(&self) -> u64 {
        self.diverted_records
    }

    /// Gives every output its final name. From here on no checkpoint holds: whoever wants to continue a seal that was
    /// interrupted must have noted before what is to be sealed, under a name of its own.
    ///
    /// # Errors
    /// When the store refuses; some outputs may then have their final names, each of them complete.
    pub fn seal(self) -> Result<(), SinkError> {
        if let Some(open_blocks) = self.open_blocks {
            // What the caller noted must not be lost in a crash that the removal survives.
            sync_names(&*self.store, self.durable)?;
            open_blocks.discard(&*self.store)?;
        }
        self.outputs.into_iter().try_for_each(|(_, part)| part.seal())?;
        self.quarantine.into_iter().try_for_each(Part::seal)?;
        sync_names(&*self.store, self.durable)
    }
}

pub(crate) fn sync_names(store: &dyn Store, durable: bool) -> Result<(), SinkError> {
    if durable {
        store.sync().map_err(SinkError::store("sync", &store.name()))?;
    }
    Ok(())
}

/// Writes one stream per resource type into a store, with sidecars and the quarantine beside them.
///
/// Everything stands under provisional names until [`Finished::seal`]; a sink that is dropped leaves them so.
pub struct SplitSink {
    store: Arc<dyn Store>,
    options: SplitOptions,
    outputs: Vec<Output>,
    numbers: HashMap<Destination, usize>,
    names: Names,
    blocks: Blocks,
    quarantine: Quarantine,
    diverted_records: u64,
    savepoint: Savepoint,
    /// `None` if there are none.
    checkpoints: Option<Checkpoints>,
}

#[derive(Debug, Default)]
struct Savepoint {
    outputs: usize,
    names: Names,
    diverted_records: u64,
}

impl SplitSink {
    /// A sink that writes to that store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, options: SplitOptions) -> Self {
        Self {
            store,
            options,
            outputs: Vec::new(),
            numbers: HashMap::new(),
            names: Names::default(),
            blocks: Blocks::default(),
            quarantine: Quarantine::new(options.checksum),
            diverted_records: 0,
            savepoint: Savepoint::default(),
            checkpoints: None,
        }
    }

    /// Writes what is still held and makes it durable if asked. The names are still the provisional ones.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn finish(mut self, offload: &dyn Offload) -> Result<Finished, SinkError> {
        for number in 0..self.outputs.len() {
            self.cut(number, offload)?;
        }
        self.write_waiting(0)?;
        let mut quarantine = self.quarantine.finish(&*self.store)?;
        let of_output = |output: Output| output.parts.into_iter().map(move |part| (output.destination, part));
        // Parts stay in order: whoever reads them one after the other gets the records as they came.
        self.outputs.sort_by(|one, other| one.stem.cmp(&other.stem));
        let mut outputs: Vec<_> = self.outputs.into_iter().flat_map(of_output).collect();
        let durable = self.options.durable;
        if durable {
            outputs.iter_mut().try_for_each(|(_, part)| part.sync())?;
            quarantine.iter_mut().try_for_each(Part::sync)?;
        }
        let diverted_records = self.diverted_records;
        let open_blocks = self.checkpoints.map(|checkpoints| checkpoints.open_blocks);
        Ok(Finished { store: self.store, durable, outputs, quarantine, diverted_records, open_blocks })
    }

    fn commit_run(&mut self, batch: &Batch, run: &Run, offload: &dyn Offload) -> Result<(), SinkError> {
        let number = self.number_of(run.destination, run.spans.len() as u64)?;
        let bytes = batch.run_bytes(run);
        let rotation = self.rotation();
        if rotation.is_off() {
            return self.append(number, run.spans.len() as u64, bytes, offload);
        }
        let (mut rest, mut left) = (bytes, run.spans.len());
        while left > 0 {
            let taken = self.open_part(number).taken();
            let lengths = batch.lengths(run).skip(run.spans.len() - left);
            let (records, fitting) = rotation.fitting(taken.records, taken.plain_bytes, lengths);
            if records == 0 {
                self.rotate(number, offload)?;
                continue;
            }
            let (now, later) = rest.split_at((fitting as usize).min(rest.len()));
            self.append(number, records, now, offload)?;
            rest = later;
            left -= records as usize;
        }
        Ok(())
    }

    /// Appends one record that waits in a spool.
    fn append_long(
        &mut self,
        destination: Destination,
        spool: &mut dyn Spool,
        record: Range<u64>,
        offload: &dyn Offload,
    ) -> Result<(), SinkError> {
        let number = self.number_of(destination, 1)?;
        let taken = self.open_part(number).taken();
        let bytes = record.end - record.start + 1;
        if !self.rotation().fits(taken.records, taken.plain_bytes, bytes) {
            self.rotate(number, offload)?;
        }
        long::copy(spool, record, |piece| self.append(number, 0, piece, offload))?;
        self.append(number, 1, b"\n", offload)
    }

    /// The output of a destination, made if these are its first records.
    fn number_of(&mut self, mut destination: Destination, records: u64) -> Result<usize, SinkError> {
        let is_type = destination != Destination::Unknown && !destination.is_sidecar();
        if is_type && !self.numbers.contains_key(&destination) && self.is_full() {
            self.diverted_records += records;
            destination = Destination::Unknown;
        }
        if let Some(&number) = self.numbers.get(&destination) {
            return Ok(number);
        }
        let stem = self.names.stem(destination.name());
        let first = self.create_part(&stem, 1)?;
        self.outputs.push(Output { destination, stem, parts: vec![first], savepoint: 0 });
        self.numbers.insert(destination, self.outputs.len() - 1);
        Ok(self.outputs.len() - 1)
    }

    /// Whether no further type can have an output of its own.
    fn is_full(&self) -> bool {
        let sidecars = Destination::FIXED.iter().filter(|fixed| fixed.is_sidecar());
        let sidecars = sidecars.filter(|sidecar| self.numbers.contains_key(sidecar)).count();
        self.numbers.len() - sidecars >= MAX_DESTINATIONS
    }

    fn create_part(&mut self, stem: &str, number: usize) -> Result<Part, SinkError> {
        let files: usize = self.outputs.iter().map(|output| output.parts.len()).sum();
        if files >= MAX_FILES {
            return Err(SinkError::TooManyFiles { max_files: MAX_FILES });
        }
        let name = part_name(stem, number, self.options.encoding.suffix());
        Part::create(&*self.store, name, self.options.checksum)
    }

    fn rotation(&self) -> Rotation {
        Rotation { max_bytes: self.options.max_file_bytes, max_records: self.options.max_file_records }
    }

    fn open_part(&mut self, number: usize) -> &mut Part {
        // An output is made with its first part and never loses it.
        let parts = &mut self.outputs[number].parts;
        let last = parts.len() - 1;
        &mut parts[last]
    }

    /// Ends the open part of an output and begins the next.
    fn rotate(&mut self, number: usize, offload: &dyn Offload) -> Result<(), SinkError> {
        self.cut(number, offload)?;
        self.open_part(number).rest();
        let next = self.outputs[number].parts.len() + 1;
        let stem = self.outputs[number].stem.clone();
        let part = self.create_part(&stem, next)?;
        self.outputs[number].parts.push(part);
        Ok(())
    }

    fn append(
        &mut self,
        number: usize,
        records: u64,
        bytes: &[u8],
        offload: &dyn Offload,
    ) -> Result<(), SinkError> {
        let (plain, open_block_bytes) = (self.is_plain(), self.options.open_block_bytes);
        let part = self.open_part(number);
        part.take(records, bytes.len() as u64);
        if plain {
            let worth_a_write = if open_block_bytes > 0 { WORTH_A_WRITE_BYTES } else { 0 };
            return append_plain(part, bytes, worth_a_write);
        }
        let (mut rest, block_bytes) = (bytes, self.options.block_bytes);
        while !rest.is_empty() {
            let open = &mut self.open_part(number).open;
            let (now, later) = rest.split_at(block_bytes.saturating_sub(open.len()).min(rest.len()));
            gather(open, now, block_bytes);
            rest = later;
            if open.len() >= block_bytes {
                self.cut(number, offload)?;
            }
        }
        Ok(())
    }

    fn is_plain(&self) -> bool {
        self.options.encoding.codec() == Codec::None
    }

    /// Cuts the open block of an output and has it compressed; of a plain one, writes what waits.
    fn cut(&mut self, number: usize, offload: &dyn Offload) -> Result<(), SinkError> {
        if self.open_part(number).open.is_empty() {
            return Ok(());
        }
        if self.is_plain() {
            return self.open_part(number).write_open();
        }
        self.write_waiting(self.options.max_jobs.max(1) - 1)?;
        // A buffer that held a block would be far too large for what most outputs hold open.
        let block = self.open_part(number).take_open();
        let place = Place { output: number, part: self.outputs[number].parts.len() - 1 };
        self.blocks.submit(place, block, self.options.encoding, offload);
        Ok(())
    }

    /// Writes what waits of plain outputs. Nothing does in a checkpoint: what could be written need not be kept somewhere else.
    fn write_open(&mut self) -> Result<(), SinkError> {
        if !self.is_plain() {
            return Ok(());
        }
        self.outputs.iter_mut().filter_map(|output| output.parts.last_mut()).try_for_each(Part::write_open)
    }

    /// Writes the most that waits of plain outputs, until half of the share is free: one more at a time would be found anew by
    /// a look at all of them.
    fn write_to_share(&mut self) -> Result<(), SinkError> {
        let open = |output: &Output| output.parts.last().map_or(0, |part| most_held(part.open.len()) as u64);
        let mut held: u64 = self.outputs.iter().map(open).sum();
        if held <= self.options.open_block_bytes {
            return Ok(());
        }
        let waiting = self.outputs.iter().map(open).enumerate().filter(|&(_, bytes)| bytes > 0);
        let mut fattest: Vec<_> = waiting.collect();
        fattest.sort_unstable_by_key(|&(number, bytes)| (Reverse(bytes), number));
        for (number, bytes) in fattest {
            if held <= self.options.open_block_bytes / 2 {
                break;
            }
            self.open_part(number).write_open()?;
            held -= bytes;
        }
        Ok(())
    }

    /// Cuts the fattest open blocks until all together are within their share.
    fn cut_to_share(&mut self, offload: &dyn Offload) -> Result<(), SinkError> {
        if self.is_plain() {
            return self.write_to_share();
        }
        let open = |output: &Output| output.parts.last().map_or(0, |part| most_held(part.open.len()));
        let mut held: u64 = self.outputs.iter().map(|output| open(output) as u64).sum();
        while held > self.options.open_block_bytes {
            // Ties go to the name that comes first.
            let fattest = (0..self.outputs.len()).max_by(|&one, &other| {
                let (one, other) = (&self.outputs[one], &self.outputs[other]);
                open(one).cmp(&open(other)).then_with(|| other.stem.cmp(&one.stem))
            });
            let Some(number) = fattest else { break };
            held -= open(&self.outputs[number]) as u64;
            self.cut(number, offload)?;
        }
        Ok(())
    }

    /// Writes members in order until at most `most` are still on their way.
    fn write_waiting(&mut self, most: usize) -> Result<(), SinkError> {
        while self.blocks.len() > most {
            let Some(oldest) = self.blocks.oldest() else { break };
            let (place, mut member) = oldest.map_err(|()| SinkError::WorkerLost)?;
            let parts = &mut self.outputs[place.output].parts;
            let is_last = place.part + 1 == parts.len();
            let part = &mut parts[place.part];
            let result = std::mem::replace(&mut member.result, Ok(()));
            result.map_err(|source| SinkError::Encode { name: part.name().to_owned(), source })?;
            part.write(&member.stored, member.plain.len() as u64)?;
            if !is_last {
                part.rest();
            }
            self.blocks.recycle(member);
        }
        Ok(())
    }
}

impl Sink for SplitSink {
    fn begin_source(&mut self, _source: SourceId, name: &str) -> Result<(), SinkError> {
        self.leave_checkpoint_behind();
        self.write_waiting(0)?;
        if !self.store.reads_back() {
            // It can be cut back to a mark only, and that stands at the end of what it has.
            self.write_open()?;
        }
        self.savepoint = Savepoint {
            outputs: self.outputs.len(),
            names: self.names.clone(),
            diverted_records: self.diverted_records,
        };
        for output in &mut self.outputs {
            output.savepoint_part_mut().into_iter().for_each(Part::leave_savepoint);
            output.savepoint = output.parts.len();
            output.parts.iter_mut().rev().take(1).for_each(Part::set_savepoint);
        }
        self.quarantine.begin_source(&*self.store, name)
    }

    fn commit(&mut self, batch: &mut Batch, offload: &dyn Offload) -> Result<(), SinkError> {
        for run in &batch.runs {
            self.commit_run(batch, run, offload)?;
        }
        self.cut_to_share(offload)?;
        self.quarantine.commit(&*self.store, batch)
    }

    fn commit_long(&mut self, line: &mut LongLine, offload: &dyn Offload) -> Result<(), SinkError> {
        if let Verdict::Delivered { destination, record } = &line.verdict {
            let (destination, record) = (*destination, record.clone());
            self.append_long(destination, &mut *line.spool, record, offload)?;
            self.cut_to_share(offload)?;
        }
        self.quarantine.commit_long(&*self.store, line)
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        self.write_waiting(0)?;
        self.withdraw_checkpoint()?;
        for output in self.outputs.split_off(self.savepoint.outputs) {
            self.numbers.remove(&output.destination);
            output.parts.into_iter().try_for_each(Part::discard)?;
        }
        for output in &mut self.outputs {
            output.parts.split_off(output.savepoint).into_iter().try_for_each(Part::discard)?;
            if let Some(part) = output.parts.last_mut() {
                part.go_back(self.options.encoding)?;
            }
        }
        self.names = self.savepoint.names.clone();
        self.diverted_records = self.savepoint.diverted_records;
        self.quarantine.abandon_source()?;
        self.cut_to_share(&Inline)
    }

    fn fail_source(&mut self, progress: Option<&[u8]>) -> Result<(), SinkError> {
        for number in 0..self.outputs.len() {
            self.cut(number, &Inline)?;
        }
        self.write_waiting(0)?;
        self.quarantine.write_group(&*self.store)?;
        progress.map_or(Ok(()), |progress| self.write_savepoint(progress))
    }

    fn checkpoint(&mut self, progress: &[u8], sync: bool) -> Result<(), SinkError> {
        self.write_checkpoint(progress, sync)
    }
}

/// Appends to a plain output. What is too little to be worth a write waits for more, so that many types in turn do not cost a
/// write, or even the opening of a file, for each record.
fn append_plain(part: &mut Part, bytes: &[u8], worth_a_write: usize) -> Result<(), SinkError> {
    if bytes.len() >= worth_a_write {
        part.write_open()?;
        return part.write(bytes, bytes.len() as u64);
    }
    gather(&mut part.open, bytes, WRITE_BYTES + WORTH_A_WRITE_BYTES);
    if part.open.len() >= WRITE_BYTES { part.write_open() } else { Ok(()) }
}

/// Appends to an open block, whose buffer is never larger than [`most_held`] says.
fn gather(open: &mut Vec<u8>, bytes: &[u8], block_bytes: usize) {
    let length = open.len() + bytes.len();
    if open.capacity() < length {
        open.reserve_exact(length.max(most_held(open.len())).min(block_bytes) - open.len());
    }
    open.extend_from_slice(bytes);
}

/// The most that the buffer of an open block of that length takes. Counted instead of what it takes now, because where
/// members end must depend on the content only.
fn most_held(length: usize) -> usize {
    length + length / 4
}

impl fmt::Debug for SplitSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplitSink")
            .field("store", &self.store)
            .field("options", &self.options)
            .field("outputs", &self.outputs.len())
            .finish_non_exhaustive()
    }
}
