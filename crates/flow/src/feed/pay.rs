//! Reading, and paying for what is read.

use super::{Feed, Halt, read_once, short, source_error};
use crate::plan::{FRAMING_BYTES, READ_BYTES, chunk_lease_bytes, long_line_bytes, parts_lease_bytes};
use crate::values::Values;

impl Feed<'_> {
    /// Reads once into the splitter, or where values or known records are framed. The end of the source and its failure are
    /// noted in `open`.
    pub(super) fn read(&mut self) -> Result<(), Halt> {
        if self.cancel.is_cancelled() {
            return Err(Halt::Closed);
        }
        let frames_values = self.open.as_ref().is_some_and(|open| open.values.is_some());
        if !frames_values {
            self.pay_for_read()?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let base = open.values.as_mut().and_then(Values::base);
        let decoder = &mut open.decoder;
        let read = match (base, &mut open.records) {
            (Some(base), _) => {
                read_once(decoder, base.space(READ_BYTES)).inspect(|&count| base.filled(count))
            }
            (None, Some(records)) => {
                read_once(decoder, records.space(READ_BYTES)).inspect(|&count| records.filled(count))
            }
            (None, None) => read_once(decoder, self.splitter.space(READ_BYTES))
                .inspect(|&count| self.splitter.filled(count)),
        };
        match read {
            Ok(0) => {
                open.ended = true;
                open.error = short(open);
            }
            Ok(_) => {}
            Err(error) => {
                open.ended = true;
                open.error = Some(source_error(error));
            }
        }
        self.pay_for_decoder()
    }

    /// Takes the lease for the parts in the making.
    pub(super) fn pay_for_parts(&mut self) -> Result<(), Halt> {
        let cost = parts_lease_bytes();
        match &mut self.lease {
            None => self.lease = Some(self.budget.lease(cost)?),
            Some(lease) if lease.bytes() < cost => lease.grow(cost - lease.bytes())?,
            Some(_) => {}
        }
        Ok(())
    }

    /// Takes the lease for the buffers of framers.
    pub(super) fn pay_for_framing(&mut self) -> Result<(), Halt> {
        if self.framing.is_none() {
            self.make_room(u64::MAX);
            self.framing = Some(self.budget.lease(FRAMING_BYTES)?);
        }
        Ok(())
    }

    pub(super) fn pay_for_decoder(&mut self) -> Result<(), Halt> {
        let Some(open) = &mut self.open else { return Ok(()) };
        // Its room pays for a source that was begun, until all that was decoded then is handed out.
        let buffer = open.decoder.take_buffer();
        if open.room.is_some() && buffer.is_none() {
            return Ok(());
        }
        let room = open.room.take();
        let held = open.decoder.memory_bytes();
        if held > open.lease.bytes() {
            open.lease.grow(held - open.lease.bytes())?;
            self.make_room(held);
        }
        if let (Some(room), Some(buffer)) = (room, buffer) {
            room.leave(buffer);
        }
        Ok(())
    }

    /// Takes the lease for the chunk in the making, before there is anything of it.
    pub(super) fn pay_for_read(&mut self) -> Result<(), Halt> {
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
    pub(super) fn make_room(&mut self, lease_bytes: u64) {
        if lease_bytes > chunk_lease_bytes() {
            self.splitter.drop_spares();
            (self.drop_spares)();
        }
    }

    /// A long buffer may hold many chunks after the search for the first line. It keeps the lease until it is handed out
    /// itself; the part meant for a chunk goes back, so that the chunks copied from it can be paid for one by one.
    pub(super) fn share_long_lease(&mut self) {
        if let Some(lease) = &mut self.lease
            && self.splitter.keeps_buffer()
        {
            lease.shrink_to(lease.bytes().saturating_sub(chunk_lease_bytes()));
        }
    }
}
