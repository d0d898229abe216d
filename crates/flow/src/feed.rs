use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Read};
use std::sync::Arc;

use fhirline_core::{
    Budget, BudgetClosed, Chunk, Content, Lease, Lines, LongLine, Origin, Parts, Position, SourceId,
    SourceRole, Spool,
};
use fhirline_decompress::{Compression, Decoder, DecompressError, Limits};
use fhirline_line_split::{LineSplitter, MAX_LINE_BYTES};
use fhirline_route::{LongRoute, Router};

use crate::Cancel;
use crate::entry::Entry;
use crate::error::SourceError;
use crate::plan::{FlowOptions, chunk_lease_bytes};
use crate::progress::{Current, SourceChanged, Standing};
use crate::records::Records;
use crate::sliced::Sliced;
use crate::stamp::{Stamp, Stamps, stamp};
use crate::values::Values;

use begin::Opened;
use upcoming::{Next, Room, Upcoming};

pub(crate) use upcoming::Starter;

mod begin;
mod frame;
mod pay;
mod records;
mod upcoming;

/// What the source side hands on, in sequence order.
#[derive(Debug)]
pub(crate) enum Step {
    Begun(Begun),
    Resumed(Resumed),
    Chunk {
        chunk: Chunk,
        stored_bytes: u64,
        standing: Standing,
    },
    Long {
        line: Box<LongLine>,
        stored_bytes: u64,
        standing: Standing,
    },
    Ended(SourceEnd),
    /// With a stamp if it is a source.
    Skipped {
        name: String,
        why: String,
        stamp: Option<Stamp>,
    },
}

/// A source that begins.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) source: SourceId,
    pub(crate) name: String,
    pub(crate) stored_bytes: Option<u64>,
    pub(crate) stamp: Stamp,
    /// Whether it is stored as it is.
    pub(crate) plain: bool,
}

/// A source that goes on where an earlier run stopped.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) name: String,
    pub(crate) stored_bytes: Option<u64>,
    pub(crate) stamp: Stamp,
    pub(crate) plain: bool,
    pub(crate) at: Position,
    /// Decoded bytes that were decoded again to get there.
    pub(crate) skipped_bytes: u64,
}

/// Why the source side cannot go on.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The run is over.
    Closed,
    /// A long line cannot be kept.
    Spool(io::Error),
    /// A source is not what an earlier run has read of it.
    Changed(SourceChanged),
    /// What an earlier run noted is no place in any source.
    Misled,
    /// Where the records of a source end cannot be told.
    Records(Box<dyn Error + Send + Sync>),
}

impl From<BudgetClosed> for Halt {
    fn from(_: BudgetClosed) -> Self {
        Self::Closed
    }
}

/// How a source ended.
#[derive(Debug)]
pub(crate) struct SourceEnd {
    pub(crate) name: String,
    pub(crate) at: Position,
    pub(crate) stored_bytes: u64,
    pub(crate) byte_order_mark_bytes: u64,
    /// Decoded bytes that were read and never framed: what a failed source leaves behind its last whole line.
    pub(crate) unframed_bytes: u64,
    pub(crate) error: Option<SourceError>,
}

impl SourceEnd {
    /// Of a source that failed there.
    fn failed(name: String, at: Position, error: SourceError) -> Self {
        let error = Some(error);
        Self { name, at, stored_bytes: 0, byte_order_mark_bytes: 0, unframed_bytes: 0, error }
    }
}

/// Opens sources one after the other and cuts them into chunks, paying for each in advance.
pub(crate) struct Feed<'s> {
    upcoming: Upcoming<'s>,
    router: Router,
    options: FlowOptions,
    cancel: Cancel,
    /// Sources that an earlier run was done with, and how many things behind the last of them it passed over.
    done: Option<Stamps>,
    passed_over: u64,
    /// Where an earlier run stopped within the next source.
    resume: Option<Current>,
    /// The line that is being spooled.
    long: Option<Long>,
    budget: Budget,
    splitter: LineSplitter,
    /// Pays for the chunk in the making.
    lease: Option<Lease>,
    /// Pays for the framing of values.
    framing: Option<Lease>,
    open: Option<Open>,
    ready: VecDeque<Step>,
    /// Gives spare buffers back: they are paid for only while in use, and a long line needs their room.
    drop_spares: Box<dyn Fn() + Send + 's>,
    sequence: u64,
    next_source: u32,
}

/// A line that is too long to be held, while it is read.
struct Long {
    route: LongRoute,
    spool: Box<dyn Spool>,
}

/// A source to be opened.
#[derive(Clone, Copy)]
struct Source<'o> {
    origin: &'o Arc<dyn Origin>,
    role: SourceRole,
}

struct Open {
    name: String,
    stamp: Stamp,
    role: SourceRole,
    /// It can be read again from anywhere, once its beginning is known to be plain.
    origin: Arc<dyn Origin>,
    decoder: Decoder<Box<dyn Read + Send>>,
    /// Pays for what the decoder holds.
    lease: Lease,
    /// The room of what it decoded before its turn, until that is handed out.
    room: Option<Room>,
    stated_bytes: Option<u64>,
    /// Nothing more can be read: the source has ended, or failed with `error`.
    ended: bool,
    error: Option<SourceError>,
    /// The splitter knows that the source has ended.
    finished: bool,
    unframed_bytes: u64,
    /// Frames what is no line.
    values: Option<Values>,
    /// Lines among which there may be Bundles.
    sliced: Option<Sliced>,
    /// Cuts the source into records that are known; `values` takes them.
    records: Option<Records>,
}

impl Open {
    fn new(source: Source<'_>, stamp: Stamp, opened: Opened, lease: Lease) -> Self {
        Self {
            name: source.origin.name().to_owned(),
            stamp,
            role: source.role,
            origin: Arc::clone(source.origin),
            decoder: opened.decoder,
            lease,
            room: None,
            stated_bytes: opened.stated_bytes,
            ended: false,
            error: None,
            finished: false,
            unframed_bytes: 0,
            values: None,
            sliced: None,
            records: None,
        }
    }

    /// The source, if bytes of it can be had a second time.
    fn again(&self) -> Option<Arc<dyn Origin>> {
        (self.is_plain() && self.stated_bytes.is_some()).then(|| Arc::clone(&self.origin))
    }

    fn is_plain(&self) -> bool {
        self.decoder.compression() == Compression::None
    }

    /// Up to where it was framed, and the length of its byte order mark; `None` where the splitter knows that.
    fn framed(&mut self) -> Option<(Position, u64)> {
        if let Some(records) = &self.records {
            return Some((records.position(), 0));
        }
        let base = self.values.as_mut()?.base()?;
        Some((base.position(), base.tally().byte_order_mark))
    }
}

impl<'s> Feed<'s> {
    pub(crate) fn new(
        entries: impl IntoIterator<Item = Entry, IntoIter: Send + 's>,
        router: &Router,
        options: &FlowOptions,
        budget: Budget,
        cancel: &Cancel,
        drop_spares: impl Fn() + Send + 's,
    ) -> Self {
        let mut options = options.clone();
        let guard = usize::try_from(options.max_line_bytes.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        options.held_line_bytes = options.held_line_bytes.min(guard).clamp(1, MAX_LINE_BYTES);
        let splitter =
            LineSplitter::new(SourceId(0), options.held_line_bytes).with_chunk_size(options.chunk_size);
        let from = options.from.take();
        Self {
            upcoming: Upcoming::new(Box::new(entries.into_iter())),
            router: router.clone(),
            options,
            cancel: cancel.clone(),
            done: from.as_ref().map(|from| from.done.clone()),
            passed_over: from.as_ref().map_or(0, |from| from.passed_over),
            next_source: from.as_ref().map_or(0, |from| from.sources),
            resume: from.and_then(|from| from.current),
            long: None,
            budget,
            splitter,
            lease: None,
            framing: None,
            open: None,
            ready: VecDeque::new(),
            drop_spares: Box::new(drop_spares),
            sequence: 0,
        }
    }

    /// Has sources begun before their turn.
    pub(crate) fn begin_early(&mut self, starter: Starter) {
        self.upcoming.start_with(starter);
    }

    /// Takes buffers back.
    pub(crate) fn recycle(&mut self, lines: Lines) {
        self.splitter.recycle(lines);
    }

    /// Takes buffers back.
    pub(crate) fn recycle_parts(&mut self, parts: Parts) {
        if let Some(values) = self.open.as_mut().and_then(|open| open.values.as_mut()) {
            values.recycle(parts);
        }
    }

    /// The next step; `None` at the end of the last source.
    pub(crate) fn next(&mut self) -> Result<Option<Step>, Halt> {
        if let Some(done) = self.done.take() {
            let entries = self.upcoming.entries();
            let mut sources = entries.filter(|entry| !matches!(entry, Entry::Skipped { .. }));
            // They were compared before; but reading back what the outputs hold may take long.
            done.check(&mut sources).map_err(Halt::Changed)?;
        }
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            if self.open.is_some() {
                return self.advance().map(Some);
            }
            match self.upcoming.next() {
                None if self.resume.is_some() => self.lose(SourceError::Open(io::ErrorKind::NotFound.into())),
                None => return Ok(None),
                Some(Next::Entry(entry)) => self.enter(entry)?,
                Some(Next::Source { origin, meant, role, beginning }) => {
                    self.begin(Source { origin: &origin, role }, meant, beginning.take())?;
                }
            }
            self.look_ahead();
        }
    }

    /// Has the next sources begun while the open one is read. Only while that is gzip: then the others are likely to be, and there is
    /// something to gain; and what its decoder takes is known.
    fn look_ahead(&mut self) {
        let limits = self.limits();
        if self.open.as_ref().is_some_and(|open| open.decoder.compression() == Compression::Gzip) {
            self.upcoming.look_ahead(limits, &self.budget);
        }
    }

    fn enter(&mut self, entry: Entry) -> Result<(), Halt> {
        match entry {
            // Told by the earlier run.
            Entry::Skipped { .. } if self.resume.is_some() => {}
            Entry::Skipped { .. } if self.passed_over > 0 => self.passed_over -= 1,
            Entry::Skipped { name, why } => self.ready.push_back(Step::Skipped { name, why, stamp: None }),
            Entry::Source { origin, role, .. } if self.resume.is_some() => {
                self.go_on(Source { origin: &Arc::from(origin), role }, None)?;
            }
            Entry::Records { origin, lines } if self.resume.is_some() => {
                self.go_on(Source { origin: &Arc::from(origin), role: SourceRole::Data }, Some(lines))?;
            }
            Entry::Source { origin, meant, role } => {
                self.begin(Source { origin: &Arc::from(origin), role }, meant, None)?;
            }
            Entry::Records { origin, lines } => {
                self.begin_records(Source { origin: &Arc::from(origin), role: SourceRole::Data }, lines)?;
            }
            Entry::Lost { error, .. } if self.resume.is_some() => self.lose(SourceError::Lost(error)),
            Entry::Lost { name, error } => {
                let stamp = Stamp::of_name(&name);
                self.refuse(name, stamp, None, SourceError::Lost(error));
            }
        }
        Ok(())
    }

    /// The source in whose middle an earlier run stopped cannot be had any more.
    fn lose(&mut self, error: SourceError) {
        let Some(current) = self.resume.take() else { return };
        self.passed_over = 0;
        let (name, stamp, plain) = (current.name, current.stamp, current.plain);
        let at = Position { source: self.take_source_id(), byte: current.byte, line: current.line };
        let resumed = Resumed { name: name.clone(), stored_bytes: None, stamp, plain, at, skipped_bytes: 0 };
        self.ready.push_back(Step::Resumed(resumed));
        self.ready.push_back(Step::Ended(SourceEnd::failed(name, at, error)));
    }

    /// What is known of a source, if anybody will want to know.
    fn stamp(&self, source: Source<'_>) -> Stamp {
        match self.options.checkpoint_bytes {
            Some(_) => stamp(&**source.origin, source.role),
            None => Stamp::of_name(source.origin.name()),
        }
    }

    /// Members of one source at a time are decoded ahead, so these are all such threads.
    fn limits(&self) -> Limits {
        let memory = &self.options.memory;
        let (ahead_threads, ahead_bytes) = memory.ahead(self.options.threads);
        Limits::default()
            .with_window_bytes(memory.decoder_bytes)
            .with_ahead(ahead_threads, ahead_bytes)
            .with_max_ratio(self.options.max_ratio)
            .with_max_decoded_bytes(self.options.max_decoded_bytes)
    }

    fn chunk(&mut self, content: Content, standing: Standing) -> Result<Step, Halt> {
        let shares = matches!(content, Content::Lines(_)) && self.splitter.keeps_buffer();
        let own = if shares { None } else { self.lease.take() };
        let lease = match own {
            Some(lease) => lease,
            None => self.budget.lease(chunk_lease_bytes())?,
        };
        let sequence = self.sequence;
        self.sequence += 1;
        let chunk = Chunk { sequence, role: self.role(), content, lease };
        Ok(Step::Chunk { chunk, stored_bytes: self.stored_bytes(), standing })
    }

    fn stored_bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.decoder.stored_bytes())
    }

    /// What the open source holds.
    fn role(&self) -> SourceRole {
        self.open.as_ref().map_or(SourceRole::Data, |open| open.role)
    }

    /// Whether Bundles are what they are, and not what is in them.
    fn keeps_bundles(&self) -> bool {
        self.options.keep_bundles || self.role().sidecar().is_some()
    }

    fn has_ended(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.ended)
    }

    fn end(&mut self) -> Step {
        let stored_bytes = self.stored_bytes();
        self.framing = None;
        let mut open = self.open.take();
        let framed = open.as_mut().and_then(Open::framed);
        let (at, byte_order_mark_bytes) =
            framed.unwrap_or_else(|| (self.splitter.position(), self.splitter.byte_order_mark_bytes()));
        let (name, error, unframed_bytes) =
            open.map(|open| (open.name, open.error, open.unframed_bytes)).unwrap_or_default();
        Step::Ended(SourceEnd { name, at, stored_bytes, byte_order_mark_bytes, unframed_bytes, error })
    }

    /// A source that ends before its first record.
    fn refuse(&mut self, name: String, stamp: Stamp, stored_bytes: Option<u64>, error: SourceError) {
        let source = self.take_source_id();
        let begun = Begun { source, name: name.clone(), stored_bytes, stamp, plain: true };
        self.ready.push_back(Step::Begun(begun));
        self.ready.push_back(Step::Ended(SourceEnd::failed(name, Position::start_of(source), error)));
    }

    fn take_source_id(&mut self) -> SourceId {
        let source = SourceId(self.next_source);
        self.next_source += 1;
        source
    }
}

/// Whether the decoder takes no more than [`MemoryPlan::beginnings`](crate::MemoryPlan::beginnings) leaves for it.
fn decodes_in_little<R>(decoder: &Decoder<R>) -> bool {
    matches!(decoder.compression(), Compression::None | Compression::Gzip)
}

fn read_once(reader: &mut impl Read, space: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(space) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn source_error(error: io::Error) -> SourceError {
    DecompressError::find_in(&error).map_or_else(|| SourceError::Read(error), SourceError::Decompress)
}

/// Whether a source that has ended gave less than it said it had.
fn short(open: &Open) -> Option<SourceError> {
    let (stated_bytes, read_bytes) = (open.stated_bytes?, open.decoder.stored_bytes());
    (read_bytes < stated_bytes).then_some(SourceError::Short { stated_bytes, read_bytes })
}
