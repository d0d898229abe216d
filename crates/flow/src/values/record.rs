//! Records that are cut already: each is one whatever stands in it, on one line or on several.

use std::io;

use fhirline_bundle::Framer;
use fhirline_core::PartKind;

use super::long::{Finish, LongPart, Raw, Whole};
use super::look::Input;
use super::{Given, Values};
use crate::records::Record;
use crate::sliced::is_bundle;

impl Values {
    /// Takes a record, or a piece of one that is too long to be held.
    pub(crate) fn push_record(&mut self, record: &Record<'_>) -> io::Result<()> {
        if record.begins && record.last && record.bytes.len() <= self.options.held_part_bytes {
            self.push_whole(record);
            return Ok(());
        }
        self.push_piece(record)
    }

    /// Forgets a record whose end will not come, and says how many of its bytes were taken.
    pub(crate) fn drop_record(&mut self) -> u64 {
        self.long.take().map_or(0, |long| long.length)
    }

    fn push_whole(&mut self, record: &Record<'_>) {
        let Record { at, bytes, line_ends, terminator_bytes, .. } = *record;
        let (length, lines) = (bytes.len() as u64, line_ends + 1);
        let end = at.advanced(length + u64::from(terminator_bytes), lines);
        if !self.options.keep_bundles && is_bundle(bytes, &self.options.router) {
            let framer = Framer::at(at, self.options.framer_options());
            return self.begin_look(framer, Input::Held(bytes.to_vec()), at, length, end, terminator_bytes);
        }
        if self.pack.is_untouched() {
            self.pack.restart(at);
        }
        self.pack.ledger().bytes.terminators += u64::from(terminator_bytes);
        if line_ends == 0 {
            // Without its line end, so that a CR at its end is its own.
            self.pack.push(PartKind::Line, at, 0, bytes);
        } else if bytes.trim_ascii().is_empty() {
            self.pack.ledger().blank_lines += lines;
            self.pack.ledger().bytes.white_space += length;
        } else {
            self.pack.push(PartKind::Resource, at, line_ends, bytes);
        }
        if self.pack.is_full(end) {
            self.flush(end);
        }
    }

    fn push_piece(&mut self, record: &Record<'_>) -> io::Result<()> {
        let mut long = match self.long.take() {
            Some(long) => long,
            None => self.begin_record(record)?,
        };
        if let (Some(spool), Some(route)) = (&mut long.spool, &mut long.route) {
            spool.append(record.bytes)?;
            route.push_bytes(record.bytes);
        }
        long.length += record.bytes.len() as u64;
        if record.last {
            return self.end_record(long, record);
        }
        self.long = Some(long);
        Ok(())
    }

    fn begin_record(&mut self, record: &Record<'_>) -> io::Result<LongPart> {
        self.flush(record.at);
        Ok(LongPart {
            at: record.at,
            spool: Some(self.options.spools.create()?),
            route: Some(self.options.router.route_long(record.at, self.options.role)),
            length: 0,
        })
    }

    /// The last piece of a long record was taken.
    fn end_record(&mut self, long: LongPart, record: &Record<'_>) -> io::Result<()> {
        let LongPart { at, spool, route, length } = long;
        let (Some(spool), Some(route)) = (spool, route) else { return Ok(()) };
        let Record { line_ends, terminator_bytes, .. } = *record;
        let end = at.advanced(length + u64::from(terminator_bytes), line_ends + 1);
        let mut routed = route.finish(&self.options.router, terminator_bytes, self.options.max_line_bytes);
        routed.ledger.blank_lines *= line_ends + 1;
        if routed.is_bundle && !self.options.keep_bundles {
            let framer = Framer::at(at, self.options.framer_options());
            self.begin_look(framer, Input::Spooled(spool), at, length, end, terminator_bytes);
            return Ok(());
        }
        let mut raw = Raw { spool: Some(spool), looks: &mut [], source: None, from: 0 };
        let finish = Finish {
            router: &self.options.router,
            spools: &*self.options.spools,
            role: self.options.role,
            max_line_bytes: self.options.max_line_bytes,
        };
        let line = finish.delivered(Whole { at, end, length, line_ends }, routed, &mut raw)?;
        self.pack.restart(end);
        self.ready.push_back(Given::Long(Box::new(line), None));
        Ok(())
    }
}
