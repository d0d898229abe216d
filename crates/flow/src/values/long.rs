//! Parts that are too long to be held.

use std::io;

use fhirline_bundle::{Compactor, Kind};
use fhirline_core::{BadRecord, Destination, Ledger, LongLine, Position, SourceRole, Spool, Spools, Verdict};
use fhirline_route::{LongRoute, RoutedLine, Router};

use super::look::{Look, Reread, read_again};
use crate::plan::READ_BYTES;

/// A part that comes in pieces.
pub(super) struct LongPart {
    pub(super) at: Position,
    /// Its bytes so far, unless they can be had again or nobody will want them.
    pub(super) spool: Option<Box<dyn Spool>>,
    /// The scan so far, if it is known to be a resource.
    pub(super) route: Option<LongRoute>,
    pub(super) length: u64,
}

impl std::fmt::Debug for LongPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LongPart").field("at", &self.at).field("length", &self.length).finish_non_exhaustive()
    }
}

/// The bytes of a part, to be read again.
pub(super) struct Raw<'r> {
    /// All of them, if they were kept.
    pub(super) spool: Option<Box<dyn Spool>>,
    /// Otherwise: among those of the topmost look, or in the source, from that offset on.
    pub(super) looks: &'r mut [Look],
    pub(super) source: Option<&'r mut Reread>,
    pub(super) from: u64,
}

impl Raw<'_> {
    /// What holds all of them, if there is such a thing.
    fn take_spool(&mut self) -> Option<Box<dyn Spool>> {
        let source = self.source.as_deref().filter(|_| self.looks.is_empty());
        self.spool.take().or_else(|| source.map(|source| Box::new(source.spool(self.from)) as Box<dyn Spool>))
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.spool {
            Some(spool) => spool.read_at(offset, into),
            None => read_again(self.looks, self.source.as_deref_mut(), self.from + offset, into),
        }
    }
}

/// A part whose end and kind are known.
#[derive(Clone, Copy)]
pub(super) struct Whole {
    pub(super) at: Position,
    pub(super) end: Position,
    pub(super) length: u64,
    pub(super) line_ends: u64,
}

/// Lines of ours around what is told in a sidecar.
pub(super) struct Around<'l> {
    pub(super) sidecar: Destination,
    pub(super) before: &'l [u8],
    pub(super) behind: &'l [u8],
}

/// What is needed to finish a part.
pub(super) struct Finish<'f> {
    pub(super) router: &'f Router,
    pub(super) spools: &'f dyn Spools,
    pub(super) role: SourceRole,
    pub(super) max_line_bytes: u64,
}

impl Finish<'_> {
    /// A resource; `route` has seen all of it, if given.
    pub(super) fn resource(
        &self,
        whole: Whole,
        route: Option<LongRoute>,
        raw: &mut Raw<'_>,
    ) -> io::Result<LongLine> {
        let route = match route {
            Some(route) => route,
            None => self.scanned(whole, raw)?,
        };
        let routed = route.finish(self.router, 0, self.max_line_bytes);
        self.delivered(whole, routed, raw)
    }

    /// An entry without a resource.
    pub(super) fn entry(&self, whole: Whole, raw: &mut Raw<'_>) -> io::Result<LongLine> {
        let routed = self.scanned(whole, raw)?.finish_beside(Destination::Entries);
        self.delivered(whole, routed, raw)
    }

    /// What cannot be read.
    pub(super) fn broken(&self, whole: Whole, why: BadRecord, raw: &mut Raw<'_>) -> io::Result<LongLine> {
        let mut ledger = Ledger::default();
        ledger.bytes.read = whole.length;
        ledger.bytes.quarantined = whole.length;
        ledger.records.read = 1;
        ledger.records.quarantined = 1;
        let routed = RoutedLine { verdict: Verdict::Rejected(why), ledger, is_bundle: false, of_type: None };
        self.delivered(whole, routed, raw)
    }

    /// A member, with lines of ours around it.
    pub(super) fn member(
        &self,
        whole: Whole,
        around: &Around<'_>,
        raw: &mut Raw<'_>,
    ) -> io::Result<LongLine> {
        let mut route = self.router.route_long(whole.at, SourceRole::Data);
        let mut spool = self.spools.create()?;
        let mut written = 0;
        let mut write = |bytes: &[u8]| -> io::Result<()> {
            route.push_bytes(bytes);
            written += bytes.len() as u64;
            spool.append(bytes)
        };
        write(around.before)?;
        let dropped = compacted(whole, raw, &mut write)?;
        write(around.behind)?;
        let RoutedLine { verdict, .. } = route.finish_beside(around.sidecar);
        if let Verdict::Rejected(why) = verdict {
            let before = around.before.len() as u64;
            return self.broken(whole, BadRecord { at: why.at.saturating_sub(before), ..why }, raw);
        }
        let mut ledger = dropped;
        ledger.bytes.read = whole.length;
        ledger.bytes.sidecars = whole.length - dropped.bytes.white_space - dropped.bytes.terminators;
        Ok(line(whole, written, verdict, ledger, spool))
    }

    /// Puts a part that is delivered on one line, and keeps any other as it is.
    pub(super) fn delivered(
        &self,
        whole: Whole,
        routed: RoutedLine,
        raw: &mut Raw<'_>,
    ) -> io::Result<LongLine> {
        let RoutedLine { verdict, mut ledger, of_type, .. } = routed;
        let destination = match verdict {
            Verdict::Delivered { destination, .. } if whole.line_ends > 0 => destination,
            verdict => {
                let spool = match raw.take_spool() {
                    Some(spool) => spool,
                    None => self.copied(whole, raw)?,
                };
                let line = line(whole, whole.length, verdict, ledger, spool);
                return Ok(self.router.filtered_long(line, of_type));
            }
        };
        let (mut on_one_line, mut length) = (self.spools.create()?, 0);
        let dropped = compacted(whole, raw, &mut |bytes| {
            length += bytes.len() as u64;
            on_one_line.append(bytes)
        })?;
        let kept =
            if destination.is_sidecar() { &mut ledger.bytes.sidecars } else { &mut ledger.bytes.delivered };
        *kept = length;
        // What stands around it is a part of what was dropped.
        ledger.bytes.white_space = 0;
        ledger.add(&dropped);
        let verdict = Verdict::Delivered { destination, record: 0..length };
        let line = line(whole, length, verdict, ledger, on_one_line);
        Ok(self.router.filtered_long(line, of_type))
    }

    fn scanned(&self, whole: Whole, raw: &mut Raw<'_>) -> io::Result<LongRoute> {
        let mut route = self.router.route_long(whole.at, self.role);
        each_piece(whole.length, raw, &mut |bytes| {
            route.push_bytes(bytes);
            Ok(())
        })?;
        Ok(route)
    }

    fn copied(&self, whole: Whole, raw: &mut Raw<'_>) -> io::Result<Box<dyn Spool>> {
        let mut spool = self.spools.create()?;
        each_piece(whole.length, raw, &mut |bytes| spool.append(bytes))?;
        Ok(spool)
    }
}

/// Whether a part of that kind is read again or handed on at its end: what nobody wants is not kept.
pub(super) fn is_kept(kind: Kind, keep_metadata: bool) -> bool {
    match kind {
        Kind::BundleMember | Kind::EntryMember => keep_metadata,
        Kind::ListName => false,
        _ => true,
    }
}

fn line(whole: Whole, length: u64, verdict: Verdict, ledger: Ledger, spool: Box<dyn Spool>) -> LongLine {
    let lines = whole.line_ends + 1;
    LongLine { at: whole.at, end: whole.end, length, lines, verdict, ledger, spool }
}

/// Hands the part on without the white space between its tokens, and says how much that was.
fn compacted(
    whole: Whole,
    raw: &mut Raw<'_>,
    write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Ledger> {
    let mut ledger = Ledger::default();
    if whole.line_ends == 0 {
        each_piece(whole.length, raw, write)?;
        return Ok(ledger);
    }
    let (mut compactor, mut out) = (Compactor::default(), Vec::new());
    each_piece(whole.length, raw, &mut |bytes| {
        out.clear();
        compactor.push(bytes, &mut out);
        write(&out)
    })?;
    ledger.bytes.white_space = compactor.dropped().white_space;
    ledger.bytes.terminators = compactor.dropped().terminators;
    Ok(ledger)
}

fn each_piece(
    length: u64,
    raw: &mut Raw<'_>,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut space = vec![0; READ_BYTES];
    let mut from = 0;
    while from < length {
        let wanted = space.len().min(usize::try_from(length - from).unwrap_or(usize::MAX));
        let count = raw.read_at(from, &mut space[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        take(&space[..count])?;
        from += count as u64;
    }
    Ok(())
}
