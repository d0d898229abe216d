//! The way of a source that does not hold one record a line, and of Bundles on lines: decoded bytes to parts, long records and
//! lines for the sidecars.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use fhirline_bundle::{Defect, Framer, Kind, Known, Options, Tally};
use fhirline_core::{
    BadRecord, CHUNK_BYTES, Destination, Fault, LongLine, Origin, PartKind, Parts, Position, SourceRole,
    Spool, Spools, Verdict,
};
use fhirline_line_split::ChunkSize;
use fhirline_route::Router;

use desk::{After, Desk, Inside, NOT_UNDERSTOOD, tell, why};
use long::{Around, Finish, LongPart, Raw, Whole};
use look::{Input, Look, Reread, give_more};
use pack::Pack;
use story::{OpenBundle, Story};

mod desk;
mod long;
mod look;
mod pack;
mod record;
mod story;

/// Parts up to this length are held in memory; longer ones pass through a spool. A constant, so that what a chunk holds depends on
/// the content only.
pub(crate) const HELD_PART_BYTES: usize = CHUNK_BYTES;

/// What was framed.
#[derive(Debug)]
pub(crate) enum Given {
    /// A chunk; where a later run can go on behind it, if it can.
    Parts(Box<Parts>, Option<String>),
    Long(Box<LongLine>, Option<String>),
    /// Lines are records from here on; what was read and not framed.
    Lines {
        at: Position,
        rest: Vec<u8>,
    },
    /// The source ends within a container.
    CutOff(&'static str),
}

/// How it works.
#[derive(Clone, Debug)]
pub(crate) struct ValuesOptions {
    pub(crate) router: Router,
    pub(crate) spools: Arc<dyn Spools>,
    pub(crate) chunk_size: ChunkSize,
    pub(crate) held_part_bytes: usize,
    pub(crate) max_line_bytes: u64,
    pub(crate) role: SourceRole,
    pub(crate) keep_bundles: bool,
    pub(crate) keep_metadata: bool,
}

/// Frames one source.
pub(crate) struct Values {
    options: ValuesOptions,
    /// The framer of the source itself; none where its lines are records.
    base: Option<Framer>,
    /// What was accounted for already of what that framer counted, and of what each look's framer did.
    seen: Vec<Tally>,
    looks: Vec<Look>,
    reread: Option<Reread>,
    pack: Pack,
    story: Story,
    long: Option<LongPart>,
    ready: VecDeque<Given>,
    providers: usize,
    inside: Inside,
}

/// Where another run can go on, written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Standing {
    place: String,
    #[serde(default)]
    inside: Inside,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bundle: Option<OpenBundle>,
}

impl Values {
    /// For a source whose beginning is given to the framer.
    pub(crate) fn of_source(
        options: ValuesOptions,
        name: &str,
        framer: Framer,
        again: Option<Arc<dyn Origin>>,
    ) -> Self {
        let mut values = Self::of_lines(options, name, framer.position());
        values.base = Some(framer);
        values.seen.push(Tally::default());
        values.reread = again.map(Reread::new);
        values
    }

    /// For a source whose lines are records: Bundles among them are opened one by one.
    pub(crate) fn of_lines(options: ValuesOptions, name: &str, at: Position) -> Self {
        let pack = Pack::new(at, options.chunk_size);
        Self {
            story: Story::new(Arc::from(name), None),
            options,
            base: None,
            seen: Vec::new(),
            looks: Vec::new(),
            reread: None,
            pack,
            long: None,
            ready: VecDeque::new(),
            providers: 0,
            inside: Inside::default(),
        }
    }

    /// For a source in whose middle an earlier run stopped; `None` if what it wrote down is no place in any source.
    pub(crate) fn resumed(
        options: ValuesOptions,
        name: &str,
        at: Position,
        standing: &str,
        again: Option<Arc<dyn Origin>>,
    ) -> Option<Self> {
        let standing: Standing = serde_json::from_str(standing).ok()?;
        let place = fhirline_bundle::Place::from_code(at, &standing.place)?;
        let framer = Framer::from_place(place, options.framer_options());
        let mut values = Self::of_source(options, name, framer, again);
        values.story = Story::new(Arc::from(name), standing.bundle);
        values.inside = standing.inside;
        Some(values)
    }

    /// The framer of the source itself.
    pub(crate) fn base(&mut self) -> Option<&mut Framer> {
        self.base.as_mut()
    }

    pub(crate) fn recycle(&mut self, parts: Parts) {
        self.pack.recycle(parts);
    }

    /// Takes a line that is a record, or blank, with its line end.
    pub(crate) fn push_line(&mut self, line: &[u8], at: Position) {
        if self.pack.is_untouched() {
            self.pack.restart(at);
        }
        self.pack.push(PartKind::Line, at, 0, line);
        let end = at.advanced(line.len() as u64, 1);
        if self.pack.is_full(end) {
            self.flush(end);
        }
    }

    /// Opens a line that is a Bundle. `bytes` is all of it, its line end included.
    pub(crate) fn open_line(&mut self, bytes: Vec<u8>, at: Position) {
        let length = bytes.len() as u64;
        let end = at.advanced(length, 1);
        self.begin_look(
            Framer::at(at, self.options.framer_options()),
            Input::Held(bytes),
            at,
            length,
            end,
            0,
        );
    }

    /// Opens a line that is a Bundle and too long to be held.
    pub(crate) fn open_long_line(
        &mut self,
        spool: Box<dyn Spool>,
        at: Position,
        length: u64,
        terminator_bytes: u8,
    ) {
        let end = at.advanced(length + u64::from(terminator_bytes), 1);
        let framer = Framer::at(at, self.options.framer_options());
        self.begin_look(framer, Input::Spooled(spool), at, length, end, terminator_bytes);
    }

    fn begin_look(
        &mut self,
        framer: Framer,
        input: Input,
        at: Position,
        length: u64,
        end: Position,
        terminator_bytes: u8,
    ) {
        match self.looks.last_mut() {
            Some(top) => top.framer.release(),
            None => self.base.iter_mut().for_each(Framer::release),
        }
        if self.pack.is_untouched() {
            self.pack.restart(at);
        }
        self.seen.push(Tally::default());
        self.looks.push(Look { framer, input, at, length, given: 0, finished: false, end, terminator_bytes });
    }

    /// What comes next; `None` if more input is needed (or, at the end of the source, nothing is left). An error means that a
    /// long part cannot be kept, or not be read again.
    pub(crate) fn next(&mut self) -> io::Result<Option<Given>> {
        loop {
            if let Some(given) = self.ready.pop_front() {
                return Ok(Some(given));
            }
            if !self.step()? {
                return Ok(None);
            }
        }
    }

    /// Hands on what is packed, which ends there; whether there was anything.
    pub(crate) fn flush(&mut self, end: Position) -> bool {
        if self.pack.is_untouched() {
            self.pack.restart(end);
            return false;
        }
        let standing = self.standing();
        self.ready.push_back(Given::Parts(self.pack.take(end), standing));
        true
    }

    /// The end of the source; whether there was anything left.
    pub(crate) fn end(&mut self) -> bool {
        let Some(base) = &self.base else { return false };
        let mut end = base.position();
        // What of a source that broke off is not whole was never handed on.
        end.byte -= base.tally().dropped;
        self.flush(end)
    }

    /// Whether lines are records, and none of them is open.
    pub(crate) fn is_between_lines(&self) -> bool {
        self.base.is_none() && self.looks.is_empty() && self.ready.is_empty()
    }

    /// One step; whether there was one to take without more input.
    fn step(&mut self) -> io::Result<bool> {
        let framer = match self.looks.last_mut() {
            Some(top) => &mut top.framer,
            None => match &mut self.base {
                Some(base) => base,
                None => return Ok(false),
            },
        };
        let mut desk = Desk {
            options: &self.options,
            pack: &mut self.pack,
            story: &mut self.story,
            long: &mut self.long,
            providers: &mut self.providers,
            inside: &mut self.inside,
            can_reread: self.seen.len() > 1 || self.reread.is_some(),
        };
        let after = framer.next().map(|framed| desk.take(&framed)).transpose()?;
        let position = framer.position();
        if let Some(After::Nothing) = after
            && (self.long.is_some() || !self.pack.is_full(position))
        {
            return Ok(true);
        }
        let tally = framer.tally();
        self.absorb(tally);
        match after {
            None if self.looks.is_empty() => return Ok(false),
            None => self.look_on()?,
            Some(After::Nothing) => {
                self.flush(position);
            }
            Some(After::EndMissing) => {
                let why = BadRecord { fault: Fault::Incomplete, at: 0 };
                self.pack.push(PartKind::Broken(why), position, 0, b"");
            }
            Some(After::LongBegun(at)) => {
                self.flush(at);
            }
            Some(After::LongEnded { kind, line_ends }) => self.end_long(kind, line_ends, position)?,
            Some(After::CutOff(what)) => self.ready.push_back(Given::CutOff(what)),
            Some(After::Lines) => self.leave(position),
        }
        Ok(true)
    }

    /// Accounts for what the framer passed over since.
    fn absorb(&mut self, tally: Tally) {
        let Some(seen) = self.seen.last_mut() else { return };
        let bytes = &mut self.pack.ledger().bytes;
        bytes.container += tally.container - seen.container;
        // A CR that was counted as white space may turn out to be a part of a line end.
        bytes.white_space = bytes.white_space + tally.blank.white_space - seen.blank.white_space;
        bytes.terminators += tally.blank.terminators - seen.blank.terminators;
        bytes.byte_order_marks += tally.byte_order_mark - seen.byte_order_mark;
        *seen = tally;
    }

    /// Gives the topmost look more of its bytes; behind the last of them it ends.
    fn look_on(&mut self) -> io::Result<()> {
        if self.looks.last().is_none_or(|look| !look.finished) {
            return give_more(&mut self.looks, self.reread.as_mut());
        }
        self.seen.pop();
        if let Some(look) = self.looks.pop() {
            self.pack.ledger().bytes.terminators += u64::from(look.terminator_bytes);
            if self.pack.is_full(look.end) {
                self.flush(look.end);
            }
        }
        Ok(())
    }

    /// Lines are records from here on.
    fn leave(&mut self, at: Position) {
        self.flush(at);
        let rest = self.base.take().map(|base| base.rest().to_vec()).unwrap_or_default();
        self.seen.clear();
        self.ready.push_back(Given::Lines { at, rest });
    }

    /// Where another run could go on now.
    fn standing(&self) -> Option<String> {
        let base = self.base.as_ref().filter(|_| self.looks.is_empty())?;
        let bundle = self.story.open_bundle().cloned();
        serde_json::to_string(&Standing { place: base.place()?.code(), inside: self.inside, bundle }).ok()
    }

    /// A long part has ended.
    fn end_long(&mut self, kind: Kind, line_ends: u64, end: Position) -> io::Result<()> {
        let Some(LongPart { at, spool, route, length }) = self.long.take() else { return Ok(()) };
        let whole = Whole { at, end, length, line_ends };
        if let Kind::SecondLook(known) = kind {
            self.look_again(known, whole, spool);
            return Ok(());
        }
        let around = self.around(kind);
        let is_member = matches!(kind, Kind::BundleMember | Kind::EntryMember);
        let kind = if is_member && self.inside.providers {
            Kind::Broken(Defect::Malformed(NOT_UNDERSTOOD))
        } else {
            kind
        };
        if matches!(kind, Kind::BundleMember | Kind::EntryMember | Kind::ListName) && around.is_none() {
            self.pack.ledger().bytes.metadata += length;
            if self.pack.is_full(end) {
                self.flush(end);
            }
            return Ok(());
        }
        let from = at.byte - self.looks.last().map_or(0, |look| look.at.byte);
        let mut raw = Raw { spool, looks: &mut self.looks, source: self.reread.as_mut(), from };
        let finish = Finish {
            router: &self.options.router,
            spools: &*self.options.spools,
            role: self.options.role,
            max_line_bytes: self.options.max_line_bytes,
        };
        let line = match (kind, around) {
            (_, Some((sidecar, before, behind))) => {
                finish.member(whole, &Around { sidecar, before: &before, behind }, &mut raw)?
            }
            (Kind::Entry, _) => finish.entry(whole, &mut raw)?,
            (Kind::Broken(defect), _) => finish.broken(whole, why(defect), &mut raw)?,
            _ => finish.resource(whole, route, &mut raw)?,
        };
        self.note_output(kind, &line);
        self.pack.restart(end);
        let standing = self.standing();
        self.ready.push_back(Given::Long(Box::new(line), standing));
        if kind == Kind::Entry {
            let told = self.story.entry_ends();
            tell(&mut self.pack, told);
        }
        Ok(())
    }

    /// The line around a long member that is kept.
    fn around(&mut self, kind: Kind) -> Option<(Destination, Vec<u8>, &'static [u8])> {
        match kind {
            Kind::BundleMember => self.story.around_member(false),
            Kind::EntryMember => self.story.around_member(true),
            _ => None,
        }
    }

    fn note_output(&mut self, kind: Kind, line: &LongLine) {
        if !matches!(kind, Kind::Resource | Kind::Undecided | Kind::Entry) {
            return;
        }
        match &line.verdict {
            Verdict::Delivered { destination, .. } => self.story.output(destination.name()),
            Verdict::Filtered { .. } => self.story.output(Router::FILTERED),
            Verdict::Rejected(_) => self.story.output(Router::QUARANTINED),
            Verdict::Blank => {}
        }
    }

    /// What turned out to be a container is framed once more.
    fn look_again(&mut self, known: Known, whole: Whole, spool: Option<Box<dyn Spool>>) {
        let input = match spool {
            Some(spool) => Input::Spooled(spool),
            None if self.looks.is_empty() => Input::Source,
            None => Input::Below,
        };
        let framer = Framer::again(known, whole.at, whole.line_ends, self.options.framer_options());
        self.begin_look(framer, input, whole.at, whole.length, whole.end, 0);
    }
}

impl ValuesOptions {
    pub(crate) fn framer_options(&self) -> Options {
        Options {
            max_held_bytes: self.held_part_bytes,
            piece_bytes: self.held_part_bytes,
            keep_bundles: self.keep_bundles,
        }
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("base", &self.base).field("looks", &self.looks).finish_non_exhaustive()
    }
}
