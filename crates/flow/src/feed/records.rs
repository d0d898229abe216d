//! Sources of which it is known how many lines each record has.

use fhirline_core::{Position, SourceId};

use super::begin::open_plain_at;
use super::frame::Advanced;
use super::{Feed, Halt, Source};
use crate::plan::{FRAMING_BYTES, READ_BYTES};
use crate::records::{RecordLines, Records};
use crate::values::Values;

impl Feed<'_> {
    /// Opens a source whose bytes decide nothing, were they a byte order mark.
    pub(super) fn begin_records(
        &mut self,
        source: Source<'_>,
        told: Box<dyn RecordLines>,
    ) -> Result<(), Halt> {
        let (name, stamp) = (source.origin.name().to_owned(), self.stamp(source));
        let at = Position::start_of(SourceId(self.next_source));
        self.splitter.restart_at(at);
        match open_plain_at(&**source.origin, self.limits(), 0) {
            Ok(opened) => {
                self.take_up(source, stamp, opened, None)?;
                self.frame_records(told, at)?;
                self.begun();
            }
            Err(error) => self.refuse(name, stamp, None, error),
        }
        Ok(())
    }

    /// Frames the source that was opened from there on, where a record begins.
    pub(super) fn frame_records(&mut self, told: Box<dyn RecordLines>, at: Position) -> Result<(), Halt> {
        self.pay_for_framing()?;
        let options = self.values_options();
        let held_bytes = options.held_part_bytes;
        // Beside a Bundle that is held and the framer that looks into it.
        let cost = FRAMING_BYTES + (held_bytes + 2 * READ_BYTES) as u64;
        if let Some(framing) = &mut self.framing {
            framing.grow(cost.saturating_sub(framing.bytes()))?;
        }
        let mut records = Records::new(told, at, held_bytes);
        if !records.skip_to(at.line).map_err(Halt::Records)? {
            return Err(Halt::Misled);
        }
        if let Some(open) = &mut self.open {
            open.values = Some(Values::of_lines(options, &open.name, at));
            open.records = Some(records);
        }
        Ok(())
    }

    /// Takes the next record, or reads on.
    pub(super) fn advance_records(&mut self) -> Result<Advanced, Halt> {
        let Some(open) = &mut self.open else { return Ok(Advanced::On) };
        let (Some(values), Some(records)) = (&mut open.values, &mut open.records) else {
            return Ok(Advanced::Lines);
        };
        if let Some(record) = records.next().map_err(Halt::Records)? {
            values.push_record(&record).map_err(Halt::Spool)?;
        } else if !open.ended {
            self.read()?;
        } else if !open.finished {
            open.finished = true;
            match open.error {
                None => records.finish(),
                Some(_) => records.break_off(),
            }
        } else if !values.flush(records.position()) {
            open.unframed_bytes = records.held_bytes() as u64 + values.drop_record();
            return Ok(Advanced::Step(self.end()));
        }
        Ok(Advanced::On)
    }
}
