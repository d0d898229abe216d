use std::sync::PoisonError;
use std::time::Instant;

use fhirline_core::{BadRecord, Batch, Imbalance, LongLine, Position, Verdict};
use fhirline_sink::{Offload, Sink};

use crate::Cancel;
use crate::error::{RunError, SourceError};
use crate::event::Event;
use crate::feed::{Begun, Resumed, SourceEnd};
use crate::outcome::{Outcome, ResumedAt, Skipped, SourceFailure};
use crate::pace::Pace;
use crate::plan::{FlowOptions, RejectLimit};
use crate::progress::{Current, Progress, SavedTotals, Standing, saved_skips};
use crate::stamp::{Stamp, Stamps};
use crate::totals::{Place, Slots, Totals};

/// Lists in the outcome are cut at this length, so that a million broken sources do not fill the memory.
const MAX_LISTED: usize = 1000;

/// A share of rejects means nothing before this many records were read.
const RECORDS_FOR_A_SHARE: u64 = 1000;

/// Takes steps strictly in sequence: the one place where order matters.
pub(crate) struct Commit<'c> {
    sink: &'c mut dyn Sink,
    options: &'c FlowOptions,
    cancel: &'c Cancel,
    on_event: &'c mut dyn FnMut(Event<'_>),
    outcome: Outcome,
    /// The account of the sources before the current one.
    before: Totals,
    /// The account of the current source.
    current: Totals,
    /// The types that are counted by name.
    slots: Slots,
    /// The sources that the run is done with, and how many things behind the last of them were passed over.
    done: Stamps,
    passed_over: u64,
    source: Option<Reading>,
    /// The source in whose middle an earlier run stopped is not open yet: its checkpoint holds until then.
    pending: bool,
    next_sequence: u64,
    /// When the next checkpoint is due, if any are made.
    pace: Option<Pace>,
    /// Nothing is committed behind a source that failed, unless incomplete runs are allowed.
    open: bool,
}

/// The source that is being read.
struct Reading {
    name: String,
    stamp: Stamp,
    plain: bool,
    /// Up to here it was committed.
    end: Position,
    /// Whether a later run could go on there.
    standing: Standing,
}

impl<'c> Commit<'c> {
    pub(crate) fn new(
        sink: &'c mut dyn Sink,
        options: &'c FlowOptions,
        cancel: &'c Cancel,
        on_event: &'c mut dyn FnMut(Event<'_>),
    ) -> Self {
        let mut commit = Self {
            sink,
            options,
            cancel,
            on_event,
            outcome: Outcome::default(),
            before: Totals::default(),
            current: Totals::default(),
            slots: Slots::default(),
            done: Stamps::default(),
            passed_over: 0,
            source: None,
            pending: options.from.as_ref().is_some_and(|from| from.current.is_some()),
            next_sequence: 0,
            pace: options.checkpoint_bytes.map(|bytes| Pace::new(bytes, options.sync_interval)),
            open: true,
        };
        if let Some(from) = &options.from {
            commit.go_on(from);
        }
        commit
    }

    /// Takes up what an earlier run noted.
    fn go_on(&mut self, from: &Progress) {
        self.before = from.before.restore();
        self.current = from.current.as_ref().map(|current| current.totals.restore()).unwrap_or_default();
        self.slots = Slots::after(&self.before, &self.current);
        self.done = from.done.clone();
        self.passed_over = from.passed_over;
        self.outcome = from.outcome();
        let place = from.place();
        let place = place.unwrap_or_else(|| Place { source: String::new(), position: from.position() });
        self.outcome.resumed = Some(ResumedAt { place, skipped_bytes: 0 });
    }

    pub(crate) fn begin(&mut self, begun: Begun) -> Result<(), RunError> {
        self.check_cancel()?;
        let Begun { source, name, stored_bytes, stamp, plain } = begun;
        if let Some(ResumedAt { place, .. }) = &mut self.outcome.resumed
            && place.source.is_empty()
        {
            place.source.clone_from(&name);
            (self.on_event)(Event::Resumed { name: &name, position: place.position });
        }
        self.outcome.sources += 1;
        self.current = Totals::default();
        self.slots.begin_source();
        if self.open {
            self.sink.begin_source(source, &name)?;
        }
        (self.on_event)(Event::SourceBegun { name: &name, stored_bytes });
        self.source =
            Some(Reading { name, stamp, plain, end: Position::start_of(source), standing: Standing::Lines });
        Ok(())
    }

    /// The source in which an earlier run stopped goes on; the sink has taken up what came of it before.
    pub(crate) fn resume(&mut self, resumed: Resumed) -> Result<(), RunError> {
        self.check_cancel()?;
        let Resumed { name, stored_bytes, stamp, plain, at, skipped_bytes } = resumed;
        if let Some(noted) = &mut self.outcome.resumed {
            noted.skipped_bytes = skipped_bytes;
        }
        (self.on_event)(Event::SourceBegun { name: &name, stored_bytes });
        (self.on_event)(Event::Resumed { name: &name, position: at });
        self.source = Some(Reading { name, stamp, plain, end: at, standing: self.noted_standing() });
        self.pending = false;
        Ok(())
    }

    pub(crate) fn batch(
        &mut self,
        batch: &mut Batch,
        stored: u64,
        standing: Standing,
        offload: &dyn Offload,
    ) -> Result<(), RunError> {
        self.check_cancel()?;
        debug_assert_eq!(batch.sequence, self.next_sequence, "batches are committed in sequence");
        self.next_sequence = batch.sequence + 1;
        batch.ledger.check()?;
        self.find_places(batch)?;
        self.account_for_mark(batch.at);
        let source = self.source.as_ref().map_or("", |source| &source.name);
        self.current.add_batch(batch, source, &mut self.slots);
        for reject in batch.rejects() {
            self.tell_reject(reject.why, reject.position, reject.bytes.len() as u64);
        }
        // The sink may keep the batch.
        let (end, read) = (batch.end, batch.ledger.bytes.read);
        // What the batch paid ends with the commit, whatever the sink keeps: the source waits for it.
        let lease = if self.sink.takes_leases() { None } else { batch.lease.take() };
        if self.open {
            self.sink.commit(batch, offload)?;
        }
        drop(lease);
        self.committed(end, read, stored, standing)
    }

    pub(crate) fn long(
        &mut self,
        mut line: LongLine,
        stored: u64,
        standing: Standing,
        offload: &dyn Offload,
    ) -> Result<(), RunError> {
        self.check_cancel()?;
        line.ledger.check()?;
        self.account_for_mark(line.at);
        let (read, end) = (line.ledger.bytes.read, line.end);
        if let Verdict::Rejected(why) = line.verdict {
            line.at = self.place_of(line.at)?;
            self.tell_reject(why, line.at, line.length);
        }
        let source = self.source.as_ref().map_or("", |source| &source.name);
        self.current.add_long(&line, source, &mut self.slots);
        if self.open {
            self.sink.commit_long(&mut line, offload)?;
        }
        self.committed(end, read, stored, standing)
    }

    pub(crate) fn end(&mut self, end: SourceEnd) -> Result<(), RunError> {
        if end.error.is_some() {
            // Its reader may have ended because somebody asked for that.
            self.check_cancel()?;
        }
        self.account_for_mark(Position { byte: end.byte_order_mark_bytes, ..end.at });
        self.current.ledger.check()?;
        let accounted = self.current.ledger.bytes.read;
        if end.error.is_none() && accounted != end.at.byte {
            return Err(Imbalance { of: "bytes of a source", read: end.at.byte, accounted }.into());
        }
        let empty = self.current.ledger.bytes.read + end.unframed_bytes == 0;
        (self.on_event)(Event::SourceEnded { name: &end.name, empty, error: end.error.as_ref() });
        match end.error {
            None => {
                self.outcome.stored_bytes += end.stored_bytes;
                self.outcome.empty_sources += u64::from(empty);
                self.before.add(&self.current);
            }
            Some(error) => self.failed(end.name, end.at, end.stored_bytes, error)?,
        }
        if let Some(source) = self.source.take() {
            self.is_done_with(source.stamp);
        }
        self.current = Totals::default();
        Ok(())
    }

    /// Something that is not read; with a stamp, it is a source that does not look like data.
    pub(crate) fn skipped(&mut self, name: String, why: String, stamp: Option<Stamp>) {
        (self.on_event)(Event::Skipped { name: &name, why: &why });
        match stamp {
            Some(stamp) => self.is_done_with(stamp),
            None => self.passed_over += 1,
        }
        self.outcome.skipped_entries += 1;
        if self.outcome.skipped.len() < MAX_LISTED {
            self.outcome.skipped.push(Skipped { name, why });
        }
    }

    /// The end of the last source.
    pub(crate) fn finish(mut self) -> Result<Outcome, RunError> {
        self.check_rejects(true)?;
        if self.open {
            let progress = self.noted_progress()?;
            self.sink.complete(&progress)?;
        }
        self.outcome.totals = self.before;
        Ok(self.outcome)
    }

    fn is_done_with(&mut self, stamp: Stamp) {
        self.done.push(stamp);
        self.passed_over = 0;
    }

    pub(crate) fn check_cancel(&self) -> Result<(), RunError> {
        if self.cancel.is_cancelled() { Err(RunError::Cancelled) } else { Ok(()) }
    }

    /// The run has to stop. If nothing is wrong with it, what was committed is noted first.
    pub(crate) fn stop(mut self, error: RunError) -> RunError {
        if !matches!(error, RunError::Cancelled) || !self.makes_checkpoints() {
            return error;
        }
        match self.checkpoint(true) {
            Ok(()) => error,
            Err(failed) => failed,
        }
    }

    /// A source that is not whole: either all of it is taken back and the others count, or nothing is committed any more
    /// and the rest is read for its counts only; what came of it stays under its provisional names until a later run begins
    /// with it, whatever it is then.
    fn failed(
        &mut self,
        name: String,
        at: Position,
        stored_bytes: u64,
        error: SourceError,
    ) -> Result<(), RunError> {
        let read = std::mem::take(&mut self.current);
        if self.open && self.options.allow_incomplete {
            self.sink.abandon_source()?;
            self.slots.abandon_source();
            self.before_source(
                |commit| if commit.makes_checkpoints() { commit.checkpoint(true) } else { Ok(()) },
            )?;
        } else if self.open {
            let progress = self.before_source(|commit| {
                commit.makes_checkpoints().then(|| commit.noted_progress()).transpose()
            })?;
            self.sink.fail_source(progress.as_deref())?;
        }
        self.outcome.stored_bytes += stored_bytes;
        if !self.options.allow_incomplete {
            self.open = false;
            self.before.add(&read);
        }
        self.outcome.failed_sources += 1;
        if self.outcome.failures.len() < MAX_LISTED {
            let records = read.ledger.records.read;
            self.outcome.failures.push(SourceFailure { name, at, error, records });
        }
        Ok(())
    }

    /// Whether a later run could go on from here: not behind a source that failed, which it has to read again.
    fn makes_checkpoints(&self) -> bool {
        let stands = self.source.as_ref().is_none_or(|source| source.standing != Standing::Nowhere);
        self.pace.is_some() && !self.pending && self.open && self.outcome.failed_sources == 0 && stands
    }

    /// How the source goes on in whose middle an earlier run stopped.
    fn noted_standing(&self) -> Standing {
        let current = self.options.from.as_ref().and_then(|from| from.current.as_ref());
        let framing = current.and_then(|current| current.framing.clone());
        framing.map_or(Standing::Lines, Standing::Values)
    }

    /// Does something as if the current source had not begun.
    fn before_source<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let source = self.source.take();
        self.outcome.sources -= 1;
        let done = act(self);
        self.outcome.sources += 1;
        self.source = source;
        done
    }

    fn noted_progress(&self) -> Result<Vec<u8>, RunError> {
        serde_json::to_vec(&self.progress()).map_err(|error| RunError::Checkpoint(error.into()))
    }

    fn checkpoint(&mut self, sync: bool) -> Result<(), RunError> {
        let begun = Instant::now();
        let progress = self.noted_progress()?;
        self.sink.checkpoint(&progress, sync)?;
        if let Some(pace) = &mut self.pace {
            pace.made(begun, sync);
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        // A source of which nothing was committed yet is begun again: what it holds is not told yet.
        let begun = self.source.as_ref().filter(|source| source.end.byte > 0);
        let current = begun.map(|source| Current {
            name: source.name.clone(),
            stamp: source.stamp,
            byte: source.end.byte,
            line: source.end.line,
            plain: source.plain,
            framing: match &source.standing {
                Standing::Values(framing) => Some(framing.clone()),
                Standing::Lines | Standing::Nowhere => None,
            },
            totals: SavedTotals::from(&self.current),
        });
        Progress {
            sources: u32::try_from(self.outcome.sources).unwrap_or(u32::MAX)
                - u32::from(self.source.is_some()),
            empty_sources: self.outcome.empty_sources,
            failed_sources: self.outcome.failed_sources,
            stored_bytes: self.outcome.stored_bytes,
            skipped: saved_skips(&self.outcome),
            skipped_entries: self.outcome.skipped_entries,
            done: self.done.clone(),
            passed_over: self.passed_over,
            before: SavedTotals::from(&self.before),
            current,
        }
    }

    /// Counts a byte order mark: it stands before what is committed first.
    fn account_for_mark(&mut self, first_at: Position) {
        let bytes = &mut self.current.ledger.bytes;
        if bytes.read == 0 {
            bytes.read = first_at.byte;
            bytes.byte_order_marks = first_at.byte;
        }
    }

    /// Finds where the rejects stood originally.
    fn find_places(&self, batch: &mut Batch) -> Result<(), RunError> {
        if self.options.places.is_some() {
            let places = batch.rejects().map(|reject| self.place_of(reject.position));
            batch.places = places.collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    fn place_of(&self, at: Position) -> Result<Position, RunError> {
        let Some(places) = &self.options.places else { return Ok(at) };
        let mut place_of = places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place_of(at).map_err(RunError::Places)?;
        Ok(Position { source: at.source, ..place })
    }

    fn tell_reject(&mut self, why: BadRecord, position: Position, length: u64) {
        let source = self.source.as_ref().map_or("", |source| &source.name);
        (self.on_event)(Event::Rejected { source, position, length, why });
    }

    fn committed(
        &mut self,
        end: Position,
        read: u64,
        stored: u64,
        standing: Standing,
    ) -> Result<(), RunError> {
        if let Some(source) = &mut self.source {
            (source.end, source.standing) = (end, standing);
        }
        self.check_rejects(false)?;
        let due = self.pace.as_mut().and_then(|pace| pace.due_after(read));
        if let Some(sync) = due.filter(|_| self.makes_checkpoints()) {
            self.checkpoint(sync)?;
        }
        let stored_bytes = self.outcome.stored_bytes + stored;
        let (before, current) = (&self.before, &self.current);
        (self.on_event)(Event::Committed { before, current, stored_bytes });
        Ok(())
    }

    fn check_rejects(&self, at_end: bool) -> Result<(), RunError> {
        let Some(limit) = self.options.max_rejects else { return Ok(()) };
        let (before, current) = (self.before.ledger.records, self.current.ledger.records);
        let rejected = before.quarantined + current.quarantined;
        let read = before.read + current.read;
        let passed = match limit {
            RejectLimit::Records(most) => rejected > most,
            RejectLimit::Percent(most) => {
                let enough = at_end || read >= RECORDS_FOR_A_SHARE;
                enough && rejected as f64 > read as f64 * most / 100.0
            }
        };
        if passed {
            Err(RunError::TooManyRejects { rejected, read, limit: limit.to_string() })
        } else {
            Ok(())
        }
    }
}
