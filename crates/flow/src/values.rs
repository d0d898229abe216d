//! The way of a source that does not hold one record a line, and of Bundles on lines: decoded bytes to parts, long records and
//! lines for the sidecars.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use fhirline_bundle::{
    Begins, BundleType, Container, Defect, Ending, Ends, Framed, Framer, Kind, Known, Options, Part, Piece,
    Tally,
};
use fhirline_core::{
    BadRecord, CHUNK_BYTES, Fault, LongLine, Origin, PartKind, Parts, Position, Spool, Spools,
};
use fhirline_line_split::ChunkSize;
use fhirline_route::{Proof, Router};

use long::{Around, Finish, LongPart, Raw, Whole, is_kept};
use look::{Input, Look, Reread, give_more};
use pack::{Pack, Proven};
use story::{OpenBundle, Story, Told};

mod long;
mod look;
mod pack;
mod record;
mod story;

/// Parts up to this length are held in memory; longer ones pass through a spool. A constant, so that what a chunk holds depends on
/// the content only.
pub(crate) const HELD_PART_BYTES: usize = CHUNK_BYTES;

/// Names of providers are kept up to this length, and so many of a source.
const MAX_PROVIDER_BYTES: usize = 256;
const MAX_PROVIDERS: usize = 1000;

/// A member of a list of providers that is no resource, and may hold some.
const NOT_UNDERSTOOD: BadRecord = BadRecord { fault: Fault::NoResourceType, at: 0 };

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

/// Why it cannot go on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A long part cannot be kept.
    Spool(io::Error),
}

/// How it works.
#[derive(Clone, Debug)]
pub(crate) struct ValuesOptions {
    pub(crate) router: Router,
    pub(crate) spools: Arc<dyn Spools>,
    pub(crate) chunk_size: ChunkSize,
    pub(crate) held_part_bytes: usize,
    pub(crate) max_line_bytes: u64,
    pub(crate) keep_bundles: bool,
    pub(crate) keep_metadata: bool,
}

/// Frames one source.
pub(crate) struct Values {
    options: ValuesOptions,
    /// The framer of the source itself; none where its lines are records.
    base: Option<Framer>,
    /// What was counted of it.
    seen: Vec<Tally>,
    looks: Vec<Look>,
    reread: Option<Reread>,
    pack: Pack,
    story: Story,
    long: Option<LongPart>,
    ready: VecDeque<Given>,
    providers: usize,
    inside: Inside,
    space: Vec<u8>,
}

/// What is known of the container that is open.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Inside {
    /// It is a Bundle with a signature.
    signed: bool,
    /// It is a list of providers.
    providers: bool,
    /// What came last is broken, and in quarantine.
    broken: bool,
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

/// What is left to do once a framer's bytes are not borrowed any more.
enum After {
    Nothing,
    /// A long part begins there.
    LongBegun(Position),
    /// A long part has ended, and that is what it is.
    LongEnded {
        kind: Kind,
        line_ends: u64,
    },
    Lines,
    CutOff(&'static str),
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
            space: Vec::new(),
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

    /// What comes next; `None` if more input is needed (or, at the end of the source, nothing is left).
    pub(crate) fn next(&mut self) -> Result<Option<Given>, Trouble> {
        loop {
            if let Some(given) = self.ready.pop_front() {
                return Ok(Some(given));
            }
            if !self.step().map_err(Trouble::Spool)? {
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
            at: framer.position(),
        };
        let after = framer.next().map(|framed| desk.take(&framed)).transpose()?;
        let (tally, position) = (framer.tally(), framer.position());
        self.absorb(tally);
        match after {
            None if self.looks.is_empty() => return Ok(false),
            None => self.look_on()?,
            Some(After::Nothing) if self.long.is_none() && self.pack.is_full(position) => {
                self.flush(position);
            }
            Some(After::Nothing) => {}
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
            return give_more(&mut self.looks, self.reread.as_mut(), &mut self.space);
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
            return Ok(());
        }
        let from = at.byte - self.looks.last().map_or(0, |look| look.at.byte);
        let mut raw = Raw { spool, looks: &mut self.looks, source: self.reread.as_mut(), from };
        let finish = Finish {
            router: &self.options.router,
            spools: &*self.options.spools,
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
    fn around(&mut self, kind: Kind) -> Option<(fhirline_core::Destination, Vec<u8>, &'static [u8])> {
        match kind {
            Kind::BundleMember => self.story.around_member(false),
            Kind::EntryMember => self.story.around_member(true),
            _ => None,
        }
    }

    fn note_output(&mut self, kind: Kind, line: &LongLine) {
        use fhirline_core::Verdict;
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
        let framer = Framer::again(known, whole.at, self.options.framer_options());
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

/// Takes what a framer hands out.
struct Desk<'d> {
    options: &'d ValuesOptions,
    pack: &'d mut Pack,
    story: &'d mut Story,
    long: &'d mut Option<LongPart>,
    providers: &'d mut usize,
    inside: &'d mut Inside,
    can_reread: bool,
    /// Where the framer stands.
    at: Position,
}

impl Desk<'_> {
    fn take(&mut self, framed: &Framed<'_>) -> io::Result<After> {
        match *framed {
            Framed::Begins(begins) => self.begin(begins),
            Framed::Part(ref part) => self.part(part),
            Framed::Piece(ref piece) => return self.piece(piece),
            Framed::EntryEnds(ends) => {
                self.story.note_broken(ends.resources);
                let told = self.story.entry_ends();
                tell(self.pack, told);
            }
            Framed::Ends(Ends { container, ending }) => {
                let open_entry = self.story.entry_is_left();
                tell(self.pack, open_entry);
                if ending == Ending::Abandoned && !self.inside.broken {
                    self.note_missing_end();
                }
                let told = self.story.bundle_ends(ending);
                tell(self.pack, told);
                if ending == Ending::CutOff {
                    return Ok(After::CutOff(name_of(container)));
                }
            }
            Framed::Lines => return Ok(After::Lines),
        }
        Ok(After::Nothing)
    }

    fn begin(&mut self, begins: Begins) {
        *self.inside = Inside { providers: begins.container == Container::Providers, ..Inside::default() };
        let containers = &mut self.pack.ledger().containers;
        match begins.container {
            Container::Array => containers.arrays += 1,
            Container::Providers => containers.provider_lists += 1,
            Container::Bundle(kind) => {
                containers.bundles += 1;
                let is_untyped = matches!(kind, BundleType::Absent | BundleType::Unknown);
                containers.untyped_bundles += u64::from(is_untyped);
                if self.options.keep_metadata {
                    self.story.begin(begins.at, kind.name());
                }
            }
        }
    }

    /// Another value begins where the container should end or go on: nothing is there that could be set aside, but it is not
    /// whole, and what its end held is missing.
    fn note_missing_end(&mut self) {
        let why = BadRecord { fault: Fault::Incomplete, at: 0 };
        self.pack.push(PartKind::Broken(why), self.at, 0, b"");
    }

    fn part(&mut self, part: &Part<'_>) {
        self.inside.broken = matches!(part.kind, Kind::Broken(_));
        match part.kind {
            Kind::Resource if part.bytes.len() as u64 > self.options.max_line_bytes => {
                self.broken(part, BadRecord { fault: Fault::TooLong, at: 0 });
            }
            Kind::Resource => {
                if self.story.open_bundle().is_some() {
                    let proof = if part.proven { Proof::Trusted } else { self.options.router.proof };
                    self.story.output(self.options.router.output_name(part.bytes, proof).as_str());
                }
                self.push(PartKind::Resource, part);
            }
            Kind::BundleMember => {
                self.note_signature(part.bytes);
                self.member(part);
            }
            Kind::EntryMember => self.member(part),
            Kind::ListName => self.pack.ledger().bytes.metadata += part.bytes.len() as u64,
            Kind::Entry => {
                self.push(PartKind::Entry, part);
                let is_sound = self.story.open_bundle().is_some() && part.prove().is_ok();
                self.story.output(if is_sound { Router::ENTRIES } else { Router::QUARANTINED });
                let told = self.story.entry_ends();
                tell(self.pack, told);
            }
            Kind::Broken(defect) => self.broken(part, why(defect)),
            // Only pieces are of these kinds.
            Kind::SecondLook(_) | Kind::Undecided => {
                self.broken(part, BadRecord { fault: Fault::NotJson, at: 0 });
            }
        }
    }

    fn push(&mut self, kind: PartKind, part: &Part<'_>) {
        let known = Proven { proven: part.proven, resource_type: part.resource_type };
        self.pack.push_proven(kind, part.at, part.line_ends, known, part.bytes);
    }

    fn broken(&mut self, part: &Part<'_>, why: BadRecord) {
        self.push(PartKind::Broken(why), part);
    }

    fn note_signature(&mut self, member: &[u8]) {
        if !self.inside.signed && member.starts_with(b"\"signature\"") {
            self.inside.signed = true;
            self.pack.ledger().containers.signed_bundles += 1;
        }
    }

    /// What a Bundle, an entry or a provider says of itself.
    fn member(&mut self, part: &Part<'_>) {
        if self.inside.providers {
            return self.provider_member(part);
        }
        if self.story.open_bundle().is_none() {
            self.pack.ledger().bytes.metadata += part.bytes.len() as u64;
            return;
        }
        if let Err(why) = part.prove() {
            return self.broken(part, why);
        }
        let mut line = Vec::with_capacity(part.bytes.len());
        let dropped = part.append_to(&mut line);
        // It was proven to be UTF-8.
        let member = String::from_utf8_lossy(&line);
        let bytes = &mut self.pack.ledger().bytes;
        bytes.sidecars += line.len() as u64;
        bytes.white_space += dropped.white_space;
        bytes.terminators += dropped.terminators;
        let told = match part.kind {
            Kind::EntryMember => self.story.entry_member(&member),
            _ => self.story.member(&member),
        };
        tell(self.pack, told);
    }

    /// What an object with providers, or a provider, says of itself. The names are for the report. What might hold resources, or
    /// says that the whole is one, is set aside: nobody published what may stand there.
    fn provider_member(&mut self, part: &Part<'_>) {
        let (key, value) = part.member().unwrap_or_default();
        if matches!(value.first(), Some(b'{' | b'[')) || key == b"\"resourceType\"" {
            return self.broken(part, NOT_UNDERSTOOD);
        }
        self.pack.ledger().bytes.metadata += part.bytes.len() as u64;
        if part.kind == Kind::EntryMember && key == b"\"name\"" && *self.providers < MAX_PROVIDERS {
            self.note_provider(value);
        }
    }

    fn note_provider(&mut self, name: &[u8]) {
        if let Ok(name) = serde_json::from_slice::<String>(name)
            && name.len() <= MAX_PROVIDER_BYTES
        {
            *self.providers += 1;
            self.pack.add_provider(name);
        }
    }

    fn piece(&mut self, piece: &Piece<'_>) -> io::Result<After> {
        let begins = self.long.is_none();
        let mut long = match self.long.take() {
            Some(long) => long,
            None => self.begin_long(piece)?,
        };
        if let Some(spool) = &mut long.spool {
            spool.append(piece.bytes)?;
        }
        if let Some(route) = &mut long.route {
            route.push_bytes(piece.bytes);
        }
        long.length += piece.bytes.len() as u64;
        *self.long = Some(long);
        self.inside.broken = matches!(piece.kind, Kind::Broken(_));
        Ok(match (begins, piece.last) {
            (true, _) => After::LongBegun(piece.part_at),
            (false, true) => After::LongEnded { kind: piece.kind, line_ends: piece.line_ends },
            (false, false) => After::Nothing,
        })
    }

    fn begin_long(&mut self, piece: &Piece<'_>) -> io::Result<LongPart> {
        if piece.kind == Kind::BundleMember {
            self.note_signature(piece.bytes);
        }
        let is_resource = piece.kind == Kind::Resource;
        let keep_metadata = self.story.open_bundle().is_some() || self.inside.providers;
        let spooled = is_resource || (!self.can_reread && is_kept(piece.kind, keep_metadata));
        Ok(LongPart {
            at: piece.part_at,
            spool: if spooled { Some(self.options.spools.create()?) } else { None },
            route: is_resource.then(|| self.options.router.route_long(piece.part_at)),
            length: 0,
        })
    }
}

fn tell(pack: &mut Pack, told: Option<Told>) {
    if let Some((sidecar, line)) = told {
        pack.push(PartKind::Sidecar(sidecar), pack.at(), 0, &line);
    }
}

fn why(defect: Defect) -> BadRecord {
    match defect {
        Defect::Malformed(why) => why,
        Defect::NotArray => BadRecord { fault: Fault::EntryNotArray, at: 0 },
        Defect::NotObject => BadRecord { fault: Fault::EntryNotObject, at: 0 },
    }
}

fn name_of(container: Container) -> &'static str {
    match container {
        Container::Array => "an array",
        Container::Bundle(_) => "a Bundle",
        Container::Providers => "a list of providers",
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("base", &self.base).field("looks", &self.looks).finish_non_exhaustive()
    }
}
