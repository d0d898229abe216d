use std::collections::VecDeque;
use std::io::{self, Read};

use fhirline_core::{Budget, BudgetClosed, Chunk, Fragment, Lease, Lines, Origin, Position, SourceId};
use fhirline_decompress::{Decoder, DecompressError, Limits};
use fhirline_line_split::{Framed, LineSplitter, MAX_LINE_BYTES};

use crate::entry::Entry;
use crate::error::SourceError;
use crate::format::{Format, FormatProbe, HEAD_BYTES, MAGIC_BYTES, looks_like_data};
use crate::plan::{FlowOptions, READ_BYTES, chunk_lease_bytes, long_line_bytes};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What the source side hands on, in sequence order.
#[derive(Debug)]
pub(crate) enum Step {
    Begun { source: SourceId, name: String, stored_bytes: Option<u64> },
    Chunk { chunk: Chunk, stored_bytes: u64 },
    Fragment { fragment: Fragment, stored_bytes: u64 },
    Ended(SourceEnd),
    Skipped { name: String, why: String },
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

/// Opens sources one after the other and cuts them into chunks, paying for each in advance.
pub(crate) struct Feed<'s> {
    entries: Box<dyn Iterator<Item = Entry> + Send + 's>,
    options: FlowOptions,
    budget: Budget,
    splitter: LineSplitter,
    /// Pays for the chunk in the making.
    lease: Option<Lease>,
    open: Option<Open>,
    ready: VecDeque<Step>,
    /// Gives spare buffers back: they are paid for only while in use, and a long line needs their room.
    drop_spares: Box<dyn Fn() + Send + 's>,
    sequence: u64,
    next_source: u32,
}

struct Open {
    name: String,
    decoder: Decoder<Box<dyn Read + Send>>,
    /// Pays for what the decoder holds.
    lease: Lease,
    stated_bytes: Option<u64>,
    /// Nothing more can be read: the source has ended, or failed with `error`.
    ended: bool,
    error: Option<SourceError>,
    /// The splitter knows that the source has ended.
    finished: bool,
    unframed_bytes: u64,
}

impl Open {
    fn new(
        name: String,
        decoder: Decoder<Box<dyn Read + Send>>,
        lease: Lease,
        stated_bytes: Option<u64>,
    ) -> Self {
        let (ended, finished) = (false, false);
        Self { name, decoder, lease, stated_bytes, ended, error: None, finished, unframed_bytes: 0 }
    }
}

impl<'s> Feed<'s> {
    pub(crate) fn new(
        entries: impl IntoIterator<Item = Entry, IntoIter: Send + 's>,
        options: &FlowOptions,
        budget: Budget,
        drop_spares: impl Fn() + Send + 's,
    ) -> Self {
        let options = FlowOptions { max_line_bytes: options.max_line_bytes.min(MAX_LINE_BYTES), ..*options };
        let splitter =
            LineSplitter::new(SourceId(0), options.max_line_bytes).with_chunk_size(options.chunk_size);
        Self {
            entries: Box::new(entries.into_iter()),
            options,
            budget,
            splitter,
            lease: None,
            open: None,
            ready: VecDeque::new(),
            drop_spares: Box::new(drop_spares),
            sequence: 0,
            next_source: 0,
        }
    }

    /// Takes buffers back.
    pub(crate) fn recycle(&mut self, lines: Lines) {
        self.splitter.recycle(lines);
    }

    /// The next step; `None` at the end of the last source.
    pub(crate) fn next(&mut self) -> Result<Option<Step>, BudgetClosed> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            if self.open.is_some() {
                return self.advance().map(Some);
            }
            match self.entries.next() {
                None => return Ok(None),
                Some(entry) => self.enter(entry)?,
            }
        }
    }

    fn enter(&mut self, entry: Entry) -> Result<(), BudgetClosed> {
        match entry {
            Entry::Skipped { name, why } => self.ready.push_back(Step::Skipped { name, why }),
            Entry::Lost { name, error } => self.refuse(name, None, SourceError::Lost(error)),
            Entry::Source { origin, meant } => self.begin(&*origin, meant)?,
        }
        Ok(())
    }

    /// Opens a source, looks at its beginning, and readies what follows from that.
    fn begin(&mut self, origin: &dyn Origin, meant: bool) -> Result<(), BudgetClosed> {
        let name = origin.name().to_owned();
        self.splitter.restart(SourceId(self.next_source));
        let (decoder, stated_bytes) = match open(origin, self.options.memory.decoder_bytes) {
            Ok(opened) => opened,
            Err(SourceError::Decompress(DecompressError::Unsupported { what })) if !meant => {
                self.ready.push_back(Step::Skipped { name, why: format!("it is {what}") });
                return Ok(());
            }
            Err(error) => {
                self.refuse(name, None, error);
                return Ok(());
            }
        };
        let lease = self.budget.lease(decoder.memory_bytes())?;
        self.make_room(lease.bytes());
        self.open = Some(Open::new(name, decoder, lease, stated_bytes));
        match self.probe(meant)? {
            Probe::Go => {
                self.share_long_lease();
                let Some(open) = &self.open else { return Ok(()) };
                let (name, stored_bytes) = (open.name.clone(), open.stated_bytes);
                let source = self.take_source_id();
                self.ready.push_back(Step::Begun { source, name, stored_bytes });
            }
            Probe::Skip => {
                if let Some(Open { name, .. }) = self.open.take() {
                    self.ready
                        .push_back(Step::Skipped { name, why: "it does not look like data".to_owned() });
                }
            }
            Probe::Fail(error) => {
                if let Some(Open { name, stated_bytes, .. }) = self.open.take() {
                    self.refuse(name, stated_bytes, error);
                }
            }
        }
        Ok(())
    }

    /// Reads until the format of the source is certain. What was read waits in the splitter.
    ///
    /// How many bytes arrive at once must not matter, so nothing is told from fewer than those that could tell otherwise, nor
    /// from any beyond the limit.
    fn probe(&mut self, meant: bool) -> Result<Probe, BudgetClosed> {
        let limit = self.options.max_line_bytes.saturating_add(READ_BYTES);
        let (mut probe, mut format) = (FormatProbe::default(), Format::Undecided);
        loop {
            self.read()?;
            let held = self.splitter.pending();
            let ended = self.has_ended() && held.len() <= limit;
            let all_told = ended || held.len() >= limit;
            let head = &held[..held.len().min(limit)];
            let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
            if !all_told && head.len() < MAGIC_BYTES {
                continue;
            }
            if format == Format::Undecided {
                format = probe.look(head, ended);
            }
            if format == Format::Undecided && !all_told {
                continue;
            }
            if !meant && !head.is_empty() && !looks_like_data(head) {
                if all_told || head.len() >= HEAD_BYTES {
                    return Ok(Probe::Skip);
                }
                continue;
            }
            return Ok(match format {
                Format::Not(other) => Probe::Fail(SourceError::NotLines(other)),
                Format::Lines | Format::Undecided => Probe::Go,
            });
        }
    }

    /// Frames and reads until there is something to hand on.
    fn advance(&mut self) -> Result<Step, BudgetClosed> {
        loop {
            if let Some(framed) = self.splitter.next() {
                return self.framed(framed);
            }
            let Some(open) = &mut self.open else { return Ok(self.end()) };
            if !open.ended {
                self.read()?;
            } else if open.finished {
                return Ok(self.end());
            } else {
                open.finished = true;
                match open.error {
                    None => self.splitter.finish(),
                    Some(_) => open.unframed_bytes = self.splitter.break_off() as u64,
                }
            }
        }
    }

    /// Reads once into the splitter. The end of the source and its failure are noted in `open`.
    fn read(&mut self) -> Result<(), BudgetClosed> {
        self.pay_for_read()?;
        let Some(open) = &mut self.open else { return Ok(()) };
        let space = self.splitter.space(READ_BYTES);
        match read_once(&mut open.decoder, space) {
            Ok(0) => {
                open.ended = true;
                open.error = short(open);
            }
            Ok(count) => self.splitter.filled(count),
            Err(error) => {
                open.ended = true;
                open.error = Some(source_error(error));
            }
        }
        let held = open.decoder.memory_bytes();
        if held > open.lease.bytes() {
            open.lease.grow(held - open.lease.bytes())?;
            self.make_room(held);
        }
        Ok(())
    }

    /// Takes the lease for the chunk in the making, before there is anything of it.
    fn pay_for_read(&mut self) -> Result<(), BudgetClosed> {
        let buffer = self.splitter.buffer_bytes_for(READ_BYTES);
        let chunk = self.options.chunk_size.max_bytes.saturating_add(READ_BYTES);
        let cost = if buffer <= chunk {
            chunk_lease_bytes().max(2 * buffer as u64)
        } else {
            long_line_bytes(self.options.max_line_bytes)
        };
        match &mut self.lease {
            None => self.lease = Some(self.budget.lease(cost)?),
            Some(lease) if lease.bytes() < cost => {
                lease.grow(cost - lease.bytes())?;
                self.make_room(cost);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Gives spare buffers back when a lease was taken on more than a few of them.
    fn make_room(&mut self, lease_bytes: u64) {
        if lease_bytes > chunk_lease_bytes() {
            self.splitter.drop_spares();
            (self.drop_spares)();
        }
    }

    /// A long buffer may hold many chunks after the search for the first line. It keeps the lease until it is handed out
    /// itself; the part meant for a chunk goes back, so that the chunks copied from it can be paid for one by one.
    fn share_long_lease(&mut self) {
        if let Some(lease) = &mut self.lease
            && self.splitter.keeps_buffer()
        {
            lease.shrink_to(lease.bytes().saturating_sub(chunk_lease_bytes()));
        }
    }

    fn framed(&mut self, framed: Framed) -> Result<Step, BudgetClosed> {
        let own = if self.splitter.keeps_buffer() { None } else { self.lease.take() };
        let lease = match own {
            Some(lease) => lease,
            None => self.budget.lease(chunk_lease_bytes())?,
        };
        Ok(match framed {
            Framed::Oversize(mut fragment) => {
                fragment.lease = Some(lease);
                Step::Fragment { fragment, stored_bytes: self.stored_bytes() }
            }
            Framed::Lines(lines) => {
                let sequence = self.sequence;
                self.sequence += 1;
                Step::Chunk { chunk: Chunk { sequence, lines, lease }, stored_bytes: self.stored_bytes() }
            }
        })
    }

    fn stored_bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.decoder.stored_bytes())
    }

    fn has_ended(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.ended)
    }

    fn end(&mut self) -> Step {
        let stored_bytes = self.stored_bytes();
        let at = self.splitter.position();
        let byte_order_mark_bytes = self.splitter.byte_order_mark_bytes();
        let (name, error, unframed_bytes) =
            self.open.take().map(|open| (open.name, open.error, open.unframed_bytes)).unwrap_or_default();
        Step::Ended(SourceEnd { name, at, stored_bytes, byte_order_mark_bytes, unframed_bytes, error })
    }

    /// A source that ends before its first record.
    fn refuse(&mut self, name: String, stored_bytes: Option<u64>, error: SourceError) {
        let source = self.take_source_id();
        self.ready.push_back(Step::Begun { source, name: name.clone(), stored_bytes });
        self.ready.push_back(Step::Ended(SourceEnd {
            name,
            at: Position::start_of(source),
            stored_bytes: 0,
            byte_order_mark_bytes: 0,
            unframed_bytes: 0,
            error: Some(error),
        }));
    }

    fn take_source_id(&mut self) -> SourceId {
        let source = SourceId(self.next_source);
        self.next_source += 1;
        source
    }
}

/// What the beginning of a source led to.
enum Probe {
    Go,
    Skip,
    Fail(SourceError),
}

type Opened = (Decoder<Box<dyn Read + Send>>, Option<u64>);

fn open(origin: &dyn Origin, window_bytes: u64) -> Result<Opened, SourceError> {
    let identity = origin.identity().map_err(SourceError::Open)?;
    let reader = origin.open_at(0).map_err(SourceError::Open)?;
    let limits = Limits::default().with_window_bytes(window_bytes);
    let decoder = Decoder::new(reader, limits).map_err(source_error)?;
    Ok((decoder, identity.stored_bytes))
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
