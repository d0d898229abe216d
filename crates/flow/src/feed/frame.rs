//! From bytes to steps.

use fhirline_core::{Content, Fragment, Lines, LongLine, Position};
use fhirline_line_split::Framed;

use super::{Feed, Halt, Long, Step};
use crate::error::SourceError;
use crate::plan::{READ_BYTES, chunk_lease_bytes};
use crate::progress::Standing;
use crate::sliced::{Slice, Sliced, may_hold_bundles};
use crate::values::{Given, Values};

impl Feed<'_> {
    /// Frames and reads until there is something to hand on.
    pub(super) fn advance(&mut self) -> Result<Step, Halt> {
        loop {
            if self.open.as_ref().is_some_and(|open| open.values.is_some()) {
                match self.advance_values()? {
                    Advanced::Step(step) => return Ok(step),
                    Advanced::On => continue,
                    Advanced::Lines => {}
                }
            }
            if let Some(framed) = self.splitter.next() {
                match framed {
                    Framed::Lines(lines) => {
                        if let Some(step) = self.lines(lines)? {
                            return Ok(step);
                        }
                    }
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

    /// The same where values are framed, or lines are opened that are Bundles.
    fn advance_values(&mut self) -> Result<Advanced, Halt> {
        self.pay_for_parts()?;
        let Some(open) = &mut self.open else { return Ok(Advanced::Lines) };
        let Some(values) = &mut open.values else { return Ok(Advanced::Lines) };
        let of_records = open.records.is_some();
        match values.next().map_err(Halt::Spool)? {
            Some(Given::Parts(parts, standing)) => {
                let standing = self.standing(standing);
                return Ok(Advanced::Step(self.chunk(Content::Parts(parts), standing)?));
            }
            Some(Given::Long(line, standing)) => {
                let (stored_bytes, standing) = (self.stored_bytes(), self.standing(standing));
                return Ok(Advanced::Step(Step::Long { line, stored_bytes, standing }));
            }
            Some(Given::Lines { at, rest }) => {
                self.leave_values(at, &rest)?;
                return Ok(Advanced::On);
            }
            Some(Given::CutOff(what)) => {
                (open.ended, open.finished) = (true, true);
                open.error.get_or_insert(SourceError::CutOff { what });
                return Ok(Advanced::On);
            }
            None => {}
        }
        match values.base() {
            None if of_records => self.advance_records(),
            None => self.advance_slices(),
            Some(_) if !open.ended => {
                self.read()?;
                Ok(Advanced::On)
            }
            Some(base) if !open.finished => {
                open.finished = true;
                match open.error {
                    None => base.finish(),
                    Some(_) => base.break_off(),
                }
                Ok(Advanced::On)
            }
            Some(base) => {
                open.unframed_bytes = base.tally().dropped;
                let flushed = values.end();
                Ok(if flushed { Advanced::On } else { Advanced::Step(self.end()) })
            }
        }
    }

    /// Takes the next of the lines among which there are Bundles.
    fn advance_slices(&mut self) -> Result<Advanced, Halt> {
        let at = self.splitter.position();
        let Some(open) = &mut self.open else { return Ok(Advanced::Lines) };
        let (Some(values), Some(sliced)) = (&mut open.values, &mut open.sliced) else {
            // A long line that was opened has ended.
            let flushed = open.values.as_mut().is_some_and(|values| values.flush(at));
            if !flushed {
                open.values = None;
                self.framing = None;
            }
            return Ok(Advanced::On);
        };
        match sliced.next(&self.router) {
            Some(Slice::Line { bytes, at }) => values.push_line(bytes, at),
            Some(Slice::Bundle { bytes, at }) => values.open_line(bytes, at),
            None => {
                values.flush(sliced.end());
                if let Some(sliced) = open.sliced.take() {
                    self.splitter.recycle(sliced.into_lines());
                }
            }
        }
        Ok(Advanced::On)
    }

    /// Where another run could go on behind what was framed.
    fn standing(&self, of_values: Option<String>) -> Standing {
        let Some(open) = &self.open else { return Standing::Nowhere };
        match (of_values, &open.values) {
            (Some(code), _) => Standing::Values(code),
            (None, Some(values)) if values.is_between_lines() && open.sliced.is_none() => Standing::Lines,
            (None, _) => Standing::Nowhere,
        }
    }

    /// Lines are records from there on.
    fn leave_values(&mut self, at: Position, rest: &[u8]) -> Result<(), Halt> {
        if let Some(open) = &mut self.open {
            open.values = None;
        }
        self.framing = None;
        self.splitter.restart_at(at);
        self.pay_for_read()?;
        self.splitter.space(rest.len()).copy_from_slice(rest);
        self.splitter.filled(rest.len());
        Ok(())
    }

    /// Whole lines: a chunk, unless there may be Bundles among them.
    fn lines(&mut self, lines: Lines) -> Result<Option<Step>, Halt> {
        if self.keeps_bundles() || !may_hold_bundles(&lines.bytes) {
            return self.chunk(Content::Lines(lines), Standing::Lines).map(Some);
        }
        let mut sliced = match Sliced::new(lines, &self.router) {
            Ok(sliced) => sliced,
            Err(lines) => return self.chunk(Content::Lines(lines), Standing::Lines).map(Some),
        };
        // The lines keep what was paid for them; what is taken out of them is paid for apart.
        sliced.pay(self.lease.take());
        self.pay_for_framing()?;
        let options = self.values_options();
        if let Some(open) = &mut self.open {
            open.values = Some(Values::of_lines(options, &open.name, sliced.at()));
            open.sliced = Some(sliced);
        }
        Ok(None)
    }

    /// Takes a piece of a line that is too long to be held; a step if it is the last.
    fn spool(&mut self, fragment: Fragment) -> Result<Option<Step>, Halt> {
        let mut long = match self.long.take() {
            Some(long) => long,
            None => Long {
                route: self.router.route_long(fragment.line_at, self.role()),
                spool: self.options.spools.create().map_err(Halt::Spool)?,
            },
        };
        long.spool.append(&fragment.bytes).map_err(Halt::Spool)?;
        long.route.push(&fragment);
        let (last, terminator_bytes) = (fragment.last, fragment.terminator_bytes);
        self.take_back(fragment.bytes);
        if last {
            return self.finish_long(long, terminator_bytes);
        }
        self.long = Some(long);
        Ok(None)
    }

    /// The end of a long line: a step, or a Bundle to be opened.
    fn finish_long(&mut self, long: Long, terminator_bytes: u8) -> Result<Option<Step>, Halt> {
        let Long { route, spool } = long;
        let (at, length) = (route.at(), route.length());
        let max_line_bytes = self.options.max_line_bytes.unwrap_or(u64::MAX);
        let routed = route.finish(&self.router, terminator_bytes, max_line_bytes);
        if routed.is_bundle && !self.keeps_bundles() {
            self.pay_for_framing()?;
            let options = self.values_options();
            if let Some(open) = &mut self.open {
                let mut values = Values::of_lines(options, &open.name, at);
                values.open_long_line(spool, at, length, terminator_bytes);
                open.values = Some(values);
            }
            return Ok(None);
        }
        let end = at.advanced(routed.ledger.bytes.read, 1);
        let line =
            LongLine { at, end, length, lines: 1, verdict: routed.verdict, ledger: routed.ledger, spool };
        let line = self.router.filtered_long(line, routed.of_type);
        Ok(Some(Step::Long {
            line: Box::new(line),
            stored_bytes: self.stored_bytes(),
            standing: Standing::Lines,
        }))
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
}

/// What came of one step.
pub(super) enum Advanced {
    Step(Step),
    On,
    /// Lines are framed.
    Lines,
}
