//! The beginning of a source, or the place in it where an earlier run stopped.

use std::io::Read;
use std::sync::Arc;

use fhirline_bundle::Framer;
use fhirline_core::{Origin, Position, SourceId, SourceRole};
use fhirline_decompress::{Decoder, DecompressError, Limits};

use super::upcoming::{HeadStart, Room};
use super::{
    Begun, Feed, Halt, Open, Resumed, Source, SourceEnd, Step, decodes_in_little, read_once, short,
    source_error,
};
use crate::error::SourceError;
use crate::format::{Format, FormatProbe, HEAD_BYTES, MAGIC_BYTES, looks_like_data};
use crate::plan::READ_BYTES;
use crate::progress::SourceChanged;
use crate::records::RecordLines;
use crate::stamp::Stamp;
use crate::values::{HELD_PART_BYTES, Values, ValuesOptions};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Feed<'_> {
    /// Opens a source, if it was not begun before, looks at its beginning, and readies what follows from that.
    pub(super) fn begin(
        &mut self,
        source: Source<'_>,
        meant: bool,
        begun: Option<HeadStart>,
    ) -> Result<(), Halt> {
        let (stamp, opened, room) = match begun {
            Some(HeadStart { stamp, opened, room }) => (stamp, Ok(opened), Some(room)),
            None => (None, open(&**source.origin, self.limits()), None),
        };
        let stamp = stamp.unwrap_or_else(|| self.stamp(source));
        let name = source.origin.name().to_owned();
        self.splitter.restart(SourceId(self.next_source));
        let opened = match opened {
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
        self.take_up(source, stamp, opened, room)?;
        match self.probe(meant)? {
            Probe::Lines => self.begun(),
            Probe::Values { tells_lines } => self.begin_values(tells_lines)?,
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

    /// Pays for what was opened, if it is not paid for.
    pub(super) fn take_up(
        &mut self,
        source: Source<'_>,
        stamp: Stamp,
        opened: Opened,
        room: Option<Room>,
    ) -> Result<(), Halt> {
        if !decodes_in_little(&opened.decoder) {
            self.upcoming.give_up();
        }
        let lease = self.budget.lease(if room.is_some() { 0 } else { opened.decoder.memory_bytes() })?;
        self.make_room(lease.bytes());
        self.open = Some(Open { room, ..Open::new(source, stamp, opened, lease) });
        // If nothing came out of its beginning, the room is left at once.
        self.pay_for_decoder()
    }

    /// The source that was opened does not hold one record a line; or its first line is too long to tell.
    fn begin_values(&mut self, tells_lines: bool) -> Result<(), Halt> {
        self.pay_for_framing()?;
        let options = self.values_options();
        let framer = Framer::new(SourceId(self.next_source), options.framer_options());
        let mut framer = if tells_lines { framer.telling_lines() } else { framer };
        framer.adopt(self.splitter.take_pending());
        if let Some(open) = &mut self.open {
            open.values = Some(Values::of_source(options, &open.name, framer, open.again()));
        }
        self.begun();
        Ok(())
    }

    pub(super) fn values_options(&self) -> ValuesOptions {
        ValuesOptions {
            router: self.router.clone(),
            spools: Arc::clone(&self.options.spools),
            chunk_size: self.options.chunk_size,
            held_part_bytes: HELD_PART_BYTES.min(self.options.held_line_bytes),
            max_line_bytes: self.options.max_line_bytes.unwrap_or(u64::MAX),
            role: match self.role() {
                // Headers stand on lines only, which the router sees.
                SourceRole::Organized => SourceRole::Data,
                role => role,
            },
            keep_bundles: self.keeps_bundles(),
            keep_metadata: self.options.keep_entry_metadata,
        }
    }

    pub(super) fn begun(&mut self) {
        self.share_long_lease();
        let source = self.take_source_id();
        let Some(open) = &mut self.open else { return };
        let (name, stamp, plain) = (open.name.clone(), open.stamp, open.is_plain());
        let stored_bytes = open.stated_bytes;
        self.ready.push_back(Step::Begun(Begun { source, name, stored_bytes, stamp, plain }));
    }

    /// Goes on in the middle of a source. If that cannot be done, it has failed in its middle.
    pub(super) fn go_on(
        &mut self,
        from: Source<'_>,
        records: Option<Box<dyn RecordLines>>,
    ) -> Result<(), Halt> {
        let Some(current) = self.resume.take() else { return Ok(()) };
        self.passed_over = 0;
        let (name, stamp) = (from.origin.name().to_owned(), self.stamp(from));
        if let Some(changed) = current.stamp.difference(&stamp) {
            return Err(Halt::Changed(SourceChanged { name, changed }));
        }
        let source = self.take_source_id();
        let at = Position { source, byte: current.byte, line: current.line };
        self.splitter.restart_at(at);
        let plain = current.plain;
        let opened = if plain {
            open_plain_at(&**from.origin, self.limits(), at.byte)
        } else {
            open(&**from.origin, self.limits())
        };
        let (stored_bytes, error) = match opened {
            Ok(opened) => {
                let stored_bytes = opened.stated_bytes;
                self.take_up(from, stamp, opened, None)?;
                match records {
                    Some(told) => self.frame_records(told, at)?,
                    None => self.go_on_framing(at, current.framing.as_deref())?,
                }
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

    /// Takes up the framing of values where an earlier run left it.
    fn go_on_framing(&mut self, at: Position, framing: Option<&str>) -> Result<(), Halt> {
        let Some(framing) = framing else { return Ok(()) };
        self.pay_for_framing()?;
        let options = self.values_options();
        let Some(open) = &mut self.open else { return Ok(()) };
        let values = Values::resumed(options, &open.name, at, framing, open.again());
        open.values = Some(values.ok_or(Halt::Misled)?);
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
        let limit = self.options.held_line_bytes.min(HELD_PART_BYTES).saturating_add(READ_BYTES);
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
                Format::Values => Probe::Values { tells_lines: false },
                Format::Undecided => Probe::Values { tells_lines: true },
                Format::Lines => Probe::Lines,
            });
        }
    }
}

/// What the beginning of a source led to.
enum Probe {
    Lines,
    Values {
        /// Whether its first value decides that lines are records after all.
        tells_lines: bool,
    },
    Skip,
    Fail(SourceError),
}

pub(super) struct Opened {
    pub(super) decoder: Decoder<Box<dyn Read + Send>>,
    pub(super) stated_bytes: Option<u64>,
}

fn open(origin: &dyn Origin, limits: Limits) -> Result<Opened, SourceError> {
    let stated_bytes = origin.identity().map_err(SourceError::Open)?.stored_bytes;
    let reader = origin.open_at(0).map_err(SourceError::Open)?;
    Ok(Opened { decoder: Decoder::new(reader, limits).map_err(source_error)?, stated_bytes })
}

/// Opens a source that is known to be plain in its middle.
pub(super) fn open_plain_at(origin: &dyn Origin, limits: Limits, byte: u64) -> Result<Opened, SourceError> {
    let stated_bytes = origin.identity().map_err(SourceError::Open)?.stored_bytes;
    let reader = origin.open_at(byte).map_err(SourceError::Open)?;
    Ok(Opened { decoder: Decoder::plain_from(reader, limits, byte), stated_bytes })
}
