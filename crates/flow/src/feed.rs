use std::collections::VecDeque;
use std::io::{self, Read};

use fhirline_core::{
    Budget, BudgetClosed, Chunk, Fragment, Lease, Lines, LongLine, Origin, Position, SourceId, Spool, Verdict,
};
use fhirline_decompress::{Compression, Decoder, DecompressError, Limits};
use fhirline_line_split::{Framed, LineSplitter, MAX_LINE_BYTES};
use fhirline_route::{LongRoute, Router};

use crate::Cancel;
use crate::entry::Entry;
use crate::error::{NotLines, SourceError};
use crate::format::{Format, FormatProbe, HEAD_BYTES, MAGIC_BYTES, looks_like_data};
use crate::plan::{FlowOptions, READ_BYTES, chunk_lease_bytes, long_line_bytes};
use crate::progress::{Current, SourceChanged};
use crate::stamp::{Stamp, Stamps, stamp};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What the source side hands on, in sequence order.
#[derive(Debug)]
pub(crate) enum Step {
    Begun(Begun),
    Resumed(Resumed),
    Chunk {
        chunk: Chunk,
        stored_bytes: u64,
    },
    Long {
        line: LongLine,
        stored_bytes: u64,
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
    entries: Box<dyn Iterator<Item = Entry> + Send + 's>,
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

struct Open {
    name: String,
    stamp: Stamp,
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
    /// Whether the first line that is not blank was too long to tell what it is.
    first_untold: bool,
}

impl Open {
    fn new(name: String, stamp: Stamp, opened: Opened, lease: Lease) -> Self {
        Self {
            name,
            stamp,
            decoder: opened.decoder,
            lease,
            stated_bytes: opened.stated_bytes,
            ended: false,
            error: None,
            finished: false,
            unframed_bytes: 0,
            first_untold: false,
        }
    }

    fn is_plain(&self) -> bool {
        self.decoder.compression() == Compression::None
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
            entries: Box::new(entries.into_iter()),
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
            open: None,
            ready: VecDeque::new(),
            drop_spares: Box::new(drop_spares),
            sequence: 0,
        }
    }

    /// Takes buffers back.
    pub(crate) fn recycle(&mut self, lines: Lines) {
        self.splitter.recycle(lines);
    }

    /// The next step; `None` at the end of the last source.
    pub(crate) fn next(&mut self) -> Result<Option<Step>, Halt> {
        if let Some(done) = self.done.take() {
            let mut sources = self.entries.by_ref().filter(|entry| !matches!(entry, Entry::Skipped { .. }));
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
            match self.entries.next() {
                None if self.resume.is_some() => self.lose(SourceError::Open(io::ErrorKind::NotFound.into())),
                None => return Ok(None),
                Some(entry) => self.enter(entry)?,
            }
        }
    }

    fn enter(&mut self, entry: Entry) -> Result<(), Halt> {
        match entry {
            // Told by the earlier run.
            Entry::Skipped { .. } if self.resume.is_some() => {}
            Entry::Skipped { .. } if self.passed_over > 0 => self.passed_over -= 1,
            Entry::Skipped { name, why } => self.ready.push_back(Step::Skipped { name, why, stamp: None }),
            Entry::Source { origin, .. } | Entry::Lines { origin } if self.resume.is_some() => {
                self.go_on(&*origin)?;
            }
            Entry::Source { origin, meant } => self.begin(&*origin, meant)?,
            Entry::Lines { origin } => self.begin_lines(&*origin)?,
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
    fn stamp(&self, origin: &dyn Origin) -> Stamp {
        match self.options.checkpoint_bytes {
            Some(_) => stamp(origin),
            None => Stamp::of_name(origin.name()),
        }
    }

    fn limits(&self) -> Limits {
        Limits::default()
            .with_window_bytes(self.options.memory.decoder_bytes)
            .with_max_ratio(self.options.max_ratio)
            .with_max_decoded_bytes(self.options.max_decoded_bytes)
    }

    /// Opens a source, looks at its beginning, and readies what follows from that.
    fn begin(&mut self, origin: &dyn Origin, meant: bool) -> Result<(), Halt> {
        let (name, stamp) = (origin.name().to_owned(), self.stamp(origin));
        self.splitter.restart(SourceId(self.next_source));
        let opened = match open(origin, self.limits()) {
            Ok(opened) => opened,
            Err(SourceError::Decompress(DecompressError::Unsupported { what })) if !meant => {
                let why = format!("it is {what}");
                self.ready.push_back(Step::Skipped { name, why, stamp: Some(stamp) });
                return Ok(());
            }
            Err(error) => {
                self.refuse(name, stamp, None, error);
                return Ok(());
            }
        };
        self.take_up(name, stamp, opened)?;
        match self.probe(meant)? {
            Probe::Go { untold } => self.begun(untold),
            Probe::Skip => {
                if let Some(Open { name, stamp, .. }) = self.open.take() {
                    let why = "it does not look like data".to_owned();
                    self.ready.push_back(Step::Skipped { name, why, stamp: Some(stamp) });
                }
            }
            Probe::Fail(error) => {
                if let Some(Open { name, stamp, stated_bytes, .. }) = self.open.take() {
                    self.refuse(name, stamp, stated_bytes, error);
                }
            }
        }
        Ok(())
    }

    /// Opens a source that is lines whatever it begins with, were it a byte order mark.
    fn begin_lines(&mut self, origin: &dyn Origin) -> Result<(), Halt> {
        let (name, stamp) = (origin.name().to_owned(), self.stamp(origin));
        self.splitter.restart_at(Position::start_of(SourceId(self.next_source)));
        match open_plain_at(origin, self.limits(), 0) {
            Ok(opened) => {
                self.take_up(name, stamp, opened)?;
                self.begun(false);
            }
            Err(error) => self.refuse(name, stamp, None, error),
        }
        Ok(())
    }

    /// Pays for what was opened.
    fn take_up(&mut self, name: String, stamp: Stamp, opened: Opened) -> Result<(), Halt> {
        let lease = self.budget.lease(opened.decoder.memory_bytes())?;
        self.make_room(lease.bytes());
        self.open = Some(Open::new(name, stamp, opened, lease));
        Ok(())
    }

    fn begun(&mut self, untold: bool) {
        self.share_long_lease();
        let source = self.take_source_id();
        let Some(open) = &mut self.open else { return };
        open.first_untold = untold;
        let (name, stamp, plain) = (open.name.clone(), open.stamp, open.is_plain());
        let stored_bytes = open.stated_bytes;
        self.ready.push_back(Step::Begun(Begun { source, name, stored_bytes, stamp, plain }));
    }

    /// Goes on in the middle of a source. If that cannot be done, it has failed in its middle.
    fn go_on(&mut self, origin: &dyn Origin) -> Result<(), Halt> {
        let Some(current) = self.resume.take() else { return Ok(()) };
        self.passed_over = 0;
        let (name, stamp) = (origin.name().to_owned(), self.stamp(origin));
        if let Some(changed) = current.stamp.difference(&stamp) {
            return Err(Halt::Changed(SourceChanged { name, changed }));
        }
        let source = self.take_source_id();
        let at = Position { source, byte: current.byte, line: current.line };
        self.splitter.restart_at(at);
        let plain = current.plain;
        let opened =
            if plain { open_plain_at(origin, self.limits(), at.byte) } else { open(origin, self.limits()) };
        let (stored_bytes, error) = match opened {
            Ok(opened) => {
                let stored_bytes = opened.stated_bytes;
                self.take_up(name.clone(), stamp, opened)?;
                (stored_bytes, if plain { None } else { self.skip_to(at.byte)? })
            }
            Err(error) => (None, Some(error)),
        };
        let skipped_bytes = if plain { 0 } else { at.byte };
        let resumed = Resumed { name: name.clone(), stored_bytes, stamp, plain, at, skipped_bytes };
        self.ready.push_back(Step::Resumed(resumed));
        if let Some(error) = error {
            self.open = None;
            self.ready.push_back(Step::Ended(SourceEnd::failed(name, at, error)));
        }
        Ok(())
    }

    /// Decodes what an earlier run has read. What goes wrong then is the outcome.
    fn skip_to(&mut self, byte: u64) -> Result<Option<SourceError>, Halt> {
        let mut waste = vec![0; READ_BYTES];
        let mut left = byte;
        while left > 0 {
            if self.cancel.is_cancelled() {
                return Err(Halt::Closed);
            }
            let wanted = waste.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let Some(open) = &mut self.open else { return Ok(None) };
            match read_once(&mut open.decoder, &mut waste[..wanted]) {
                Ok(0) => {
                    let (stated_bytes, read_bytes) = (byte, byte - left);
                    return Ok(Some(short(open).unwrap_or(SourceError::Short { stated_bytes, read_bytes })));
                }
                Ok(count) => left -= count as u64,
                Err(error) => return Ok(Some(source_error(error))),
            }
            self.pay_for_decoder()?;
        }
        Ok(None)
    }

    /// Reads until the format of the source is certain. What was read waits in the splitter.
    ///
    /// How many bytes arrive at once must not matter, so nothing is told from fewer than those that could tell otherwise, nor
    /// from any beyond the limit.
    fn probe(&mut self, meant: bool) -> Result<Probe, Halt> {
        let limit = self.options.held_line_bytes.saturating_add(READ_BYTES);
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
                Format::Undecided if probe.begins_array(head) => {
                    Probe::Fail(SourceError::NotLines(NotLines::Array))
                }
                Format::Undecided => Probe::Go { untold: true },
                Format::Lines => Probe::Go { untold: false },
            });
        }
    }

    /// Frames and reads until there is something to hand on.
    fn advance(&mut self) -> Result<Step, Halt> {
        loop {
            if let Some(framed) = self.splitter.next() {
                match framed {
                    Framed::Lines(lines) => return self.chunk(lines),
                    Framed::Oversize(fragment) => {
                        if let Some(step) = self.spool(fragment)? {
                            return Ok(step);
                        }
                    }
                }
                continue;
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
                    Some(_) => {
                        let long = self.long.take().map_or(0, |long| long.route.length());
                        open.unframed_bytes = self.splitter.break_off() as u64 + long;
                    }
                }
            }
        }
    }

    /// Takes a piece of a line that is too long to be held; a step if it is the last.
    fn spool(&mut self, fragment: Fragment) -> Result<Option<Step>, Halt> {
        let mut long = match self.long.take() {
            Some(long) => long,
            None => Long {
                route: self.router.route_long(fragment.line_at),
                spool: self.options.spools.create().map_err(Halt::Spool)?,
            },
        };
        long.spool.append(&fragment.bytes).map_err(Halt::Spool)?;
        long.route.push(&fragment);
        let (last, terminator_bytes) = (fragment.last, fragment.terminator_bytes);
        self.take_back(fragment.bytes);
        if last {
            return Ok(self.finish_long(long, terminator_bytes));
        }
        self.long = Some(long);
        Ok(None)
    }

    /// The end of a long line. If it turns out to be what the source holds as a whole, the source is refused.
    fn finish_long(&mut self, long: Long, terminator_bytes: u8) -> Option<Step> {
        let Long { route, spool } = long;
        let (at, length) = (route.at(), route.length());
        let max_line_bytes = self.options.max_line_bytes.unwrap_or(u64::MAX);
        let routed = route.finish(&self.router, terminator_bytes, max_line_bytes);
        let is_blank = routed.verdict == Verdict::Blank;
        if let Some(open) = &mut self.open
            && !is_blank
            && std::mem::take(&mut open.first_untold)
            && routed.is_bundle
        {
            open.ended = true;
            open.finished = true;
            open.error = Some(SourceError::NotLines(NotLines::Bundle));
            open.unframed_bytes = routed.ledger.bytes.read + self.splitter.discard() as u64;
            return None;
        }
        let line = LongLine { at, length, verdict: routed.verdict, ledger: routed.ledger, spool };
        Some(Step::Long { line, stored_bytes: self.stored_bytes() })
    }

    /// Takes the buffer of a fragment back. The first is as large as the longest line that is held, and goes.
    fn take_back(&mut self, bytes: Vec<u8>) {
        if bytes.capacity() <= self.options.chunk_size.max_bytes.saturating_add(2 * READ_BYTES) {
            self.splitter.recycle(Lines { bytes, ..Lines::default() });
        } else {
            drop(bytes);
            if let Some(lease) = &mut self.lease
                && lease.bytes() > chunk_lease_bytes()
                && !self.splitter.keeps_buffer()
            {
                lease.shrink_to(chunk_lease_bytes());
            }
        }
    }

    /// Reads once into the splitter. The end of the source and its failure are noted in `open`.
    fn read(&mut self) -> Result<(), Halt> {
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
        self.pay_for_decoder()
    }

    fn pay_for_decoder(&mut self) -> Result<(), Halt> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let held = open.decoder.memory_bytes();
        if held > open.lease.bytes() {
            open.lease.grow(held - open.lease.bytes())?;
            self.make_room(held);
        }
        Ok(())
    }

    /// Takes the lease for the chunk in the making, before there is anything of it.
    fn pay_for_read(&mut self) -> Result<(), Halt> {
        let buffer = self.splitter.buffer_bytes_for(READ_BYTES);
        let chunk = self.options.chunk_size.max_bytes.saturating_add(READ_BYTES);
        let cost = if buffer <= chunk {
            chunk_lease_bytes().max(2 * buffer as u64)
        } else {
            long_line_bytes(self.options.held_line_bytes)
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

    fn chunk(&mut self, lines: Lines) -> Result<Step, Halt> {
        let own = if self.splitter.keeps_buffer() { None } else { self.lease.take() };
        let lease = match own {
            Some(lease) => lease,
            None => self.budget.lease(chunk_lease_bytes())?,
        };
        if let Some(open) = &mut self.open
            && open.first_untold
        {
            // Lines before the first that is not blank; or that one, if it was not too long after all.
            open.first_untold = lines.bytes.iter().all(u8::is_ascii_whitespace);
        }
        let sequence = self.sequence;
        self.sequence += 1;
        Ok(Step::Chunk { chunk: Chunk { sequence, lines, lease }, stored_bytes: self.stored_bytes() })
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

/// What the beginning of a source led to.
enum Probe {
    Go {
        /// Whether the first line is too long to tell what it is.
        untold: bool,
    },
    Skip,
    Fail(SourceError),
}

struct Opened {
    decoder: Decoder<Box<dyn Read + Send>>,
    stated_bytes: Option<u64>,
}

fn open(origin: &dyn Origin, limits: Limits) -> Result<Opened, SourceError> {
    let stated_bytes = origin.identity().map_err(SourceError::Open)?.stored_bytes;
    let reader = origin.open_at(0).map_err(SourceError::Open)?;
    Ok(Opened { decoder: Decoder::new(reader, limits).map_err(source_error)?, stated_bytes })
}

/// Opens a source that is known to be plain in its middle.
fn open_plain_at(origin: &dyn Origin, limits: Limits, byte: u64) -> Result<Opened, SourceError> {
    let stated_bytes = origin.identity().map_err(SourceError::Open)?.stored_bytes;
    let reader = origin.open_at(byte).map_err(SourceError::Open)?;
    Ok(Opened { decoder: Decoder::plain_from(reader, limits, byte), stated_bytes })
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
