//! The parts: where each ends, and what it is.

use fhirline_core::{BadRecord, Fault, Position};

use crate::framed::{Container, Defect, EntryEnds, Framed, Kind, Known};
use crate::look::{Look, Verdict};
use crate::skim::{Over, Seen, WayOut, Window};

use super::levels::{Expect, Level};
use super::walk::{Proof, Walked, Walks};
use super::{Flow, Found, Framer, Harm, LEAST_HELD_BYTES, Options, line_ends_of};

/// The part that is being read.
pub(super) struct Open {
    pub(super) purpose: Purpose,
    /// Where its first byte stands.
    at: Position,
    /// How many of its bytes were handed out already.
    pub(super) offset: u64,
    /// How many line ends these held.
    line_ends: u64,
    /// How many of the bytes held were read.
    read: usize,
    pub(super) walks: Walks,
}

/// What the part that is being read will be, unless it is broken.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Resource,
    /// An object in which a Bundle may be found.
    Candidate(Look),
    BundleMember,
    /// An entry in which a resource may be found.
    Entry,
    EntryMember,
    ListName,
    NotArray,
    NotObject,
    /// Nothing that could be read.
    Lost,
}

impl Framer {
    /// Begins a part at the first byte that is held.
    pub(super) fn begin(&mut self, purpose: Purpose, over: Over) -> Flow {
        let (at, walks) = (self.at, self.walks);
        self.proof = Proof::default();
        self.open = Some(Open { purpose, at, offset: 0, line_ends: 0, read: 0, walks });
        self.skim.restart(over);
        self.skim.jump(matches!(walks, Walks::From(_)));
        self.skim.anchor(self.indent, self.line, self.anchors.outermost(self.level.anchors()));
        Flow::On
    }

    /// Reads on in the part that is open.
    pub(super) fn read_part(&mut self) -> Flow {
        let Some(open) = &mut self.open else { return Flow::On };
        let held = self.buffer.held();
        let room = open.room(&self.options);
        let window = Window { text: &held[..held.len().min(room)], offset: open.offset };
        let is_all = self.finished || held.len() > room;
        // What comes to a second look was skimmed before.
        match open.walk(&self.skim, window.text, is_all, self.is_second_look) {
            Walked::End(at, proof) => {
                self.proof = proof;
                return self.end_part(at);
            }
            // There is still the time to skim it when nothing else helps; but the look at a candidate must go on.
            Walked::Short if matches!(open.purpose, Purpose::Resource) => return Flow::Wait,
            Walked::Short | Walked::Stuck => {}
        }
        let seen = self.skim.pass(window, open.read);
        match seen {
            Seen::More => {
                open.read = window.text.len();
                if held.len() > room { self.hand_out_piece(room) } else { Flow::Wait }
            }
            Seen::Key(at) => {
                open.read = at;
                self.note_key(at)
            }
            Seen::Wanted(at, is_text) => {
                open.read = at;
                self.note_value(at, is_text)
            }
            Seen::End(at) => self.end_part(at),
            Seen::Astray(at, way) => self.leave_part(at, way),
        }
    }

    /// Takes a key of the part, which ends before `at`.
    fn note_key(&mut self, at: usize) -> Flow {
        let Some(open) = &mut self.open else { return Flow::On };
        let is_held = open.offset == 0;
        match &mut open.purpose {
            Purpose::Candidate(look) => {
                let is_wanted = look.key(self.skim.word());
                self.skim.want_value(is_wanted);
                if look.verdict() == Some(Verdict::Providers) {
                    return self.find_providers(at);
                }
            }
            Purpose::BundleMember | Purpose::EntryMember
                if is_held && self.skim.word().is(self.level.key()) =>
            {
                return self.pass_key(at);
            }
            Purpose::ListName => {
                self.expect = Expect::Colon;
                return self.hand_out(at, Kind::ListName);
            }
            Purpose::Entry if self.skim.word().is("resource") => return self.find_resource(at),
            _ => {}
        }
        Flow::On
    }

    /// Takes the value that the look at a candidate asked for, which ends before `at`.
    fn note_value(&mut self, at: usize, is_text: bool) -> Flow {
        let Some(open) = &mut self.open else { return Flow::On };
        let Purpose::Candidate(look) = &mut open.purpose else { return Flow::On };
        look.value(is_text.then_some(self.skim.word()));
        match look.verdict() {
            None | Some(Verdict::Providers) => Flow::On,
            Some(Verdict::Whole) => {
                open.purpose = Purpose::Resource;
                self.skim.deafen();
                Flow::On
            }
            Some(Verdict::Bundle(kind)) if open.offset == 0 => self.open_container(Container::Bundle(kind)),
            Some(Verdict::Bundle(kind)) => {
                self.go_inside(Container::Bundle(kind));
                (self.level, self.expect) = (Level::Bundle, Expect::After);
                self.hand_out(at, Kind::SecondLook(Known::BundleHead(kind)))
            }
        }
    }

    /// The object that is looked at begins with the key `providers`, which ends before `at`.
    fn find_providers(&mut self, at: usize) -> Flow {
        if self.open.as_ref().is_some_and(|open| open.offset == 0) {
            return self.open_container(Container::Providers);
        }
        self.go_inside(Container::Providers);
        (self.level, self.expect) = (Level::Wrapper, Expect::Colon);
        self.hand_out(at, Kind::SecondLook(Known::ProvidersHead))
    }

    /// There is a resource in the entry that is looked at, behind the key that ends before `at`.
    fn find_resource(&mut self, at: usize) -> Flow {
        if self.open.as_ref().is_some_and(|open| open.offset == 0) {
            self.open_entry();
            return Flow::On;
        }
        self.resources = 0;
        (self.level, self.expect) = (Level::Entry, Expect::Colon);
        self.hand_out(at, Kind::SecondLook(Known::EntryHead))
    }

    /// The part ends before `at`.
    fn end_part(&mut self, at: usize) -> Flow {
        let Some(open) = &self.open else { return Flow::On };
        let kind = match (self.skim.fault(), open.purpose) {
            (None, Purpose::Candidate(look)) => match look.last_verdict() {
                None => Kind::Resource,
                Some(kind) if open.offset == 0 => return self.open_container(Container::Bundle(kind)),
                Some(kind) => Kind::SecondLook(Known::Bundle(kind)),
            },
            (None, Purpose::NotArray | Purpose::NotObject)
                if self.expect == Expect::Value
                    && open.offset == 0
                    && self.buffer.held()[..at] == *b"null" =>
            {
                return self.pass_syntax(at, Expect::After);
            }
            _ => open.kind(self.skim.fault()),
        };
        self.expect = Expect::After;
        self.hand_out(at, kind)
    }

    /// The part is broken, and what is told begins at `at`.
    fn leave_part(&mut self, at: usize, way: WayOut) -> Flow {
        let kind = self.open.as_ref().map_or(Kind::Undecided, |open| open.kind(self.skim.fault()));
        let flow = self.hand_out(at, kind);
        match way {
            WayOut::Element(among) => self.resume(among),
            WayOut::Value => self.abandon(),
        }
        flow
    }

    /// Hands out the open part, which ends before `at`.
    fn hand_out(&mut self, at: usize, kind: Kind) -> Flow {
        let Some(open) = &self.open else { return Flow::On };
        let (begins_at, offset, line_ends_before) = (open.at, open.offset, open.line_ends);
        let is_resource = matches!(open.purpose, Purpose::Resource) && self.level != Level::Outside;
        let left = self.skim.fault().map(|_| self.skim.anchors());
        self.open = None;
        if let Some(left) = left {
            self.harmed();
            self.anchors.keep(left, self.level.anchors());
        }
        self.resources += u64::from(is_resource);
        let (taken, line_ends) = self.take(at);
        self.count(kind, offset + at as u64);
        let line_ends = line_ends_before + line_ends;
        if self.level == Level::Entries && matches!(kind, Kind::Broken(_)) {
            self.queued = Some(Framed::EntryEnds(EntryEnds { resources: 0 }));
        }
        Flow::Found(if offset == 0 {
            Found::Part { at: begins_at, kind, taken, line_ends }
        } else {
            Found::Piece { part_at: begins_at, offset, kind, taken, line_ends, last: true }
        })
    }

    /// Hands out the first `bytes` of what is held of the open part, which is too long.
    fn hand_out_piece(&mut self, bytes: usize) -> Flow {
        let Some(open) = &mut self.open else { return Flow::On };
        let (part_at, offset) = (open.at, open.offset);
        open.offset += bytes as u64;
        open.read = 0;
        let line_ends_before = open.line_ends;
        open.line_ends = match self.skim.line_ends_up_to(open.offset) {
            Some(line_ends) => line_ends,
            None => line_ends_before + line_ends_of(self.line_ends_left, &self.buffer.held()[..bytes]),
        };
        let (kind, line_ends) = (open.kind_so_far(self.skim.fault()), open.line_ends);
        let taken = self.take_counted(bytes, line_ends - line_ends_before);
        Flow::Found(Found::Piece { part_at, offset, kind, taken, line_ends, last: false })
    }

    /// Hands out the open part, of which `held` bytes more are all there is.
    pub(super) fn cut_part(&mut self, held: usize) -> Option<Found> {
        let open = self.open.as_ref()?;
        let end = BadRecord { fault: Fault::Incomplete, at: open.offset + held as u64 };
        let fault = self.skim.fault();
        let kind = match fault {
            // A head ends right behind a value.
            None if self.only_head && self.skim.may_end() => open.kind(None),
            why => Kind::Broken(Defect::Malformed(why.unwrap_or(end))),
        };
        if let Purpose::Candidate(look) = open.purpose
            && !self.is_second_look
            && fault.is_none()
        {
            // Its entries cannot be told from the rest any more, but that they are not all is certain.
            self.inside = look.cut_verdict().map(Container::Bundle);
        }
        let flow = self.hand_out(held, kind);
        // What was wrong before does not matter: that this part is not whole, the source or the fault in it is to blame for.
        let is_harmed = fault.is_some();
        self.harm = Harm { array: is_harmed, inside: is_harmed };
        match flow {
            Flow::Found(found) => Some(found),
            Flow::On | Flow::Wait => None,
        }
    }
}

impl Open {
    /// How many bytes may be held of it before a piece is handed out.
    fn room(&self, options: &Options) -> usize {
        if self.offset == 0 {
            options.max_held_bytes.max(LEAST_HELD_BYTES)
        } else {
            options.piece_bytes.max(1)
        }
    }

    /// What it is, now that it has ended with that fault.
    fn kind(&self, fault: Option<BadRecord>) -> Kind {
        if let Some(fault) = fault {
            return Kind::Broken(Defect::Malformed(fault));
        }
        match self.purpose {
            Purpose::Resource | Purpose::Candidate(_) => Kind::Resource,
            Purpose::BundleMember => Kind::BundleMember,
            Purpose::EntryMember => Kind::EntryMember,
            Purpose::ListName => Kind::ListName,
            Purpose::Entry => Kind::Entry,
            Purpose::NotArray => Kind::Broken(Defect::NotArray),
            Purpose::NotObject => Kind::Broken(Defect::NotObject),
            // Its skim has a fault from the beginning.
            Purpose::Lost => Kind::Undecided,
        }
    }

    /// What it is as far as it has been read.
    fn kind_so_far(&self, fault: Option<BadRecord>) -> Kind {
        match self.purpose {
            Purpose::Candidate(_) | Purpose::Entry if fault.is_none() => Kind::Undecided,
            _ => self.kind(fault),
        }
    }
}
