use fhirline_core::{BadRecord, Batch, Fault, Fragment, Position, SourceId};
use fhirline_sink::{Offload, Sink};

use crate::Cancel;
use crate::error::{RunError, SourceError};
use crate::event::Event;
use crate::feed::SourceEnd;
use crate::outcome::{Outcome, Skipped, SourceFailure};
use crate::plan::{FlowOptions, RejectLimit};
use crate::totals::{Slots, Totals};

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
    source: String,
    next_sequence: u64,
    /// Nothing is committed behind a source that failed, unless incomplete runs are allowed.
    open: bool,
}

impl<'c> Commit<'c> {
    pub(crate) fn new(
        sink: &'c mut dyn Sink,
        options: &'c FlowOptions,
        cancel: &'c Cancel,
        on_event: &'c mut dyn FnMut(Event<'_>),
    ) -> Self {
        Self {
            sink,
            options,
            cancel,
            on_event,
            outcome: Outcome::default(),
            before: Totals::default(),
            current: Totals::default(),
            slots: Slots::default(),
            source: String::new(),
            next_sequence: 0,
            open: true,
        }
    }

    pub(crate) fn begin(
        &mut self,
        source: SourceId,
        name: String,
        stored_bytes: Option<u64>,
    ) -> Result<(), RunError> {
        self.check_cancel()?;
        self.source = name;
        self.outcome.sources += 1;
        self.current = Totals::default();
        self.slots.begin_source();
        if self.open {
            self.sink.begin_source(source, &self.source)?;
        }
        (self.on_event)(Event::SourceBegun { name: &self.source, stored_bytes });
        Ok(())
    }

    pub(crate) fn batch(
        &mut self,
        batch: &Batch,
        stored: u64,
        offload: &dyn Offload,
    ) -> Result<(), RunError> {
        self.check_cancel()?;
        debug_assert_eq!(batch.sequence, self.next_sequence, "batches are committed in sequence");
        self.next_sequence = batch.sequence + 1;
        batch.ledger.check()?;
        self.current.add_batch(batch, &self.source, &mut self.slots);
        for reject in batch.rejects() {
            self.tell_reject(reject.why, reject.position, reject.bytes.len() as u64);
        }
        if self.open {
            self.sink.commit(batch, offload)?;
        }
        self.committed(stored)
    }

    pub(crate) fn fragment(&mut self, fragment: &Fragment, stored: u64) -> Result<(), RunError> {
        self.check_cancel()?;
        fragment.ledger().check()?;
        self.current.add_fragment(fragment, &self.source);
        if self.open {
            self.sink.commit_fragment(fragment)?;
        }
        if fragment.last {
            let length = fragment.offset + fragment.bytes.len() as u64;
            self.tell_reject(BadRecord { fault: Fault::TooLong, at: 0 }, fragment.line_at, length);
        }
        self.committed(stored)
    }

    pub(crate) fn end(&mut self, end: SourceEnd) -> Result<(), RunError> {
        let bytes = &mut self.current.ledger.bytes;
        bytes.read += end.byte_order_mark_bytes;
        bytes.byte_order_marks += end.byte_order_mark_bytes;
        self.current.ledger.check()?;
        let empty = self.current.ledger.bytes.read + end.unframed_bytes == 0;
        self.outcome.stored_bytes += end.stored_bytes;
        (self.on_event)(Event::SourceEnded { name: &end.name, empty, error: end.error.as_ref() });
        match end.error {
            None => {
                self.outcome.empty_sources += u64::from(empty);
                self.before.add(&self.current);
            }
            Some(error) => self.failed(end.name, end.at, error)?,
        }
        self.current = Totals::default();
        Ok(())
    }

    pub(crate) fn skipped(&mut self, name: String, why: String) {
        (self.on_event)(Event::Skipped { name: &name, why: &why });
        self.outcome.skipped_entries += 1;
        if self.outcome.skipped.len() < MAX_LISTED {
            self.outcome.skipped.push(Skipped { name, why });
        }
    }

    /// The end of the last source.
    pub(crate) fn finish(mut self) -> Result<Outcome, RunError> {
        self.check_rejects(true)?;
        self.outcome.totals = self.before;
        Ok(self.outcome)
    }

    pub(crate) fn check_cancel(&self) -> Result<(), RunError> {
        if self.cancel.is_cancelled() { Err(RunError::Cancelled) } else { Ok(()) }
    }

    /// A source that is not whole: either all of it is taken back and the others count, or nothing is committed any more
    /// and the rest is read for its counts only.
    fn failed(&mut self, name: String, at: Position, error: SourceError) -> Result<(), RunError> {
        let read = std::mem::take(&mut self.current);
        if self.options.allow_incomplete {
            self.sink.abandon_source()?;
            self.slots.abandon_source();
        } else {
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

    fn tell_reject(&mut self, why: BadRecord, position: Position, length: u64) {
        (self.on_event)(Event::Rejected { source: &self.source, position, length, why });
    }

    fn committed(&mut self, stored: u64) -> Result<(), RunError> {
        self.check_rejects(false)?;
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
