use std::fmt;

use fhirline_core::{CHUNK_BYTES, Position, SourceId};

use crate::anchors::{Among, Anchors};
use crate::buffer::{Buffer, Taken};
use crate::framed::{Begins, Container, Ending, Ends, EntryEnds, Framed, Kind, Known, Part, Piece};
use crate::line::{Indent, Line, line_ends_in};
use crate::skim::Skim;
use crate::tally::Tally;
use levels::{Expect, Level};
use lines::Lines;
use parts::Open;
use walk::{Proof, Walks};

pub use place::Place;

mod levels;
mod lines;
mod parts;
mod place;
mod walk;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The keys `entry` and `resource`, however they are written, must be held whole.
const LEAST_HELD_BYTES: usize = 64;

/// How a [`Framer`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A part longer than this comes in pieces. At least 64.
    pub max_held_bytes: usize,
    /// How long the pieces of a part are behind the first, which has `max_held_bytes`. For tests: the product uses the default.
    pub piece_bytes: usize,
    /// Whether Bundles are resources like any other.
    pub keep_bundles: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_held_bytes: 16 << 20, piece_bytes: CHUNK_BYTES, keep_bundles: false }
    }
}

/// Finds the resources in the decoded bytes of one source that does not hold one a line.
///
/// Use: [`space`](Self::space), copy or read bytes into it, [`filled`](Self::filled), then [`next`](Self::next) until it
/// returns `None`; at the end [`finish`](Self::finish) and `next` until `None` again.
pub struct Framer {
    options: Options,
    buffer: Buffer,
    /// Where the first byte that is held stands.
    at: Position,
    /// The byte before it; a line end if there is none.
    before: u8,
    /// The indentation of its line.
    indent: Option<Indent>,
    /// What else is on that line before it.
    line: Line,
    anchors: Anchors,
    harm: Harm,
    level: Level,
    expect: Expect,
    in_array: bool,
    /// The Bundle, or what is as one, that is open.
    inside: Option<Container>,
    /// How many resources the open entry or provider has had.
    resources: u64,
    /// What is known beforehand of the one object that comes.
    known: Option<Known>,
    /// How many line ends are still to come, where that is known: behind the last of them none is looked for.
    line_ends_left: Option<u64>,
    is_second_look: bool,
    /// Only the head of that object comes: that it ends too early says nothing.
    only_head: bool,
    open: Option<Open>,
    /// Finds the end of the part that is open. It is large, and not to be made anew for each.
    skim: Skim,
    /// What is known of the part handed out last. It is large, and not to be moved about.
    proof: Proof,
    /// Which of the parts that begin are walked over.
    walks: Walks,
    /// Whether it is to be found out if lines are records.
    lines: Lines,
    /// What comes right behind what was handed out last.
    queued: Option<Framed<'static>>,
    begun: bool,
    finished: bool,
    broken_off: bool,
    tally: Tally,
}

/// In what something was wrong of what is open, so that its end may have been taken for something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Harm {
    /// The array of the source.
    array: bool,
    /// The Bundle, or what is as one.
    inside: bool,
}

/// What one step of the framer came to.
enum Flow {
    /// There is more to do.
    On,
    /// More input is needed.
    Wait,
    Found(Found),
}

/// [`Framed`] whose bytes are still to be looked up.
enum Found {
    Told(Framed<'static>),
    Part { at: Position, kind: Kind, taken: Taken, line_ends: u64 },
    Piece { part_at: Position, offset: u64, kind: Kind, taken: Taken, line_ends: u64, last: bool },
}

impl Framer {
    /// A framer at the start of a source.
    #[must_use]
    pub fn new(source: SourceId, options: Options) -> Self {
        Self { begun: false, ..Self::at(Position::start_of(source), options) }
    }

    /// A framer in the middle of a source, where nothing is open: at the beginning of a line, say. No byte order mark is taken
    /// there. To go on where something is open, see [`from_place`](Self::from_place).
    #[must_use]
    pub fn at(at: Position, options: Options) -> Self {
        Self {
            options,
            buffer: Buffer::default(),
            at,
            before: b'\n',
            indent: Some(Indent::default()),
            line: Line::Begun(Indent::default()),
            anchors: Anchors::default(),
            harm: Harm::default(),
            level: Level::Outside,
            expect: Expect::First,
            in_array: false,
            inside: None,
            resources: 0,
            known: None,
            line_ends_left: None,
            is_second_look: false,
            only_head: false,
            open: None,
            skim: Skim::default(),
            proof: Proof::default(),
            walks: Walks::From(0),
            lines: Lines::Unasked,
            queued: None,
            begun: true,
            finished: false,
            broken_off: false,
            tally: Tally::default(),
        }
    }

    /// A framer for the bytes of one part that was handed out as [`Kind::SecondLook`], at the position of the part. They hold so
    /// many line ends.
    #[must_use]
    pub fn again(known: Known, at: Position, line_ends: u64, options: Options) -> Self {
        let only_head = !matches!(known, Known::Bundle(_));
        // How its line begins is not known, nor does it matter: nothing is broken in it but what is whole.
        Self {
            known: Some(known),
            line_ends_left: Some(line_ends),
            is_second_look: true,
            only_head,
            indent: None,
            line: Line::Other,
            ..Self::at(at, options)
        }
    }

    /// Lets the first value of the source tell whether lines are records: see [`Framed::Lines`].
    #[must_use]
    pub fn telling_lines(self) -> Self {
        Self { lines: Lines::Asked, ..self }
    }

    /// Goes the slow way to the end of every part, so that none is [`proven`](Part::proven). For tests, which compare both
    /// ways.
    #[doc(hidden)]
    #[must_use]
    pub fn only_skimming(self) -> Self {
        Self { walks: Walks::Over, ..self }
    }

    /// Takes over bytes that were read already, without copying them: all of them are input. For the beginning only: nothing
    /// may have been given to this framer before.
    pub fn adopt(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.buffer.size() == 0, "only the first input can be adopted");
        self.buffer = Buffer::of(bytes);
    }

    /// Room to read into; exactly `bytes` long.
    pub fn space(&mut self, bytes: usize) -> &mut [u8] {
        let longest = self.longest();
        self.buffer.space(bytes, longest)
    }

    /// How large the buffer is (or will be made) for a [`space`](Self::space) of `bytes`: what it costs to ask for it.
    #[must_use]
    pub fn buffer_bytes_for(&self, bytes: usize) -> usize {
        self.buffer.size_for(bytes, self.longest())
    }

    /// How large the buffer is now.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.buffer.size()
    }

    /// Gives back all memory of the buffer but that of what is held; it is taken again when there must be room.
    pub fn release(&mut self) {
        self.buffer.release();
    }

    /// Most bytes that are held when more input is asked for.
    fn longest(&self) -> usize {
        self.options.max_held_bytes.max(LEAST_HELD_BYTES).max(self.options.piece_bytes).saturating_add(1)
    }

    /// Says that the first `bytes` of the [`space`](Self::space) now hold input.
    ///
    /// # Panics
    /// If more is claimed than the space was long.
    pub fn filled(&mut self, bytes: usize) {
        self.buffer.filled(bytes);
    }

    /// Says that the source has ended: what is held is all there is.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Says that the source broke off: only what is whole counts, and what is behind it is dropped
    /// ([`Tally::dropped`]).
    pub fn break_off(&mut self) {
        self.finished = true;
        self.broken_off = true;
    }

    /// Bytes of input held now, waiting for the end of a part.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.buffer.held().len()
    }

    /// What was neither handed out nor passed over of the input: it begins at [`position`](Self::position).
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        self.buffer.held()
    }

    /// Where the next byte stands that was neither handed out nor passed over.
    #[must_use]
    pub fn position(&self) -> Position {
        self.at
    }

    /// Where every byte went so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = self.tally;
        // What it remembers for the next white space is nobody else's.
        tally.blank.interrupt();
        tally
    }

    /// What comes next, or `None` if more input is needed (or, after [`finish`](Self::finish), nothing is left). Behind
    /// [`Framed::Lines`] nothing comes.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end, and what comes is borrowed")]
    pub fn next(&mut self) -> Option<Framed<'_>> {
        let found = self.find()?;
        Some(self.show(found))
    }

    fn find(&mut self) -> Option<Found> {
        if !self.take_byte_order_mark() {
            return None;
        }
        if let Some(told) = self.queued.take() {
            return Some(Found::Told(told));
        }
        loop {
            let flow = if self.open.is_some() { self.read_part() } else { self.read_between() };
            match flow {
                Flow::On => {}
                Flow::Found(found) => return Some(found),
                Flow::Wait if self.finished => return self.cut_off(),
                Flow::Wait => return None,
            }
        }
    }

    fn show(&self, found: Found) -> Framed<'_> {
        match found {
            Found::Told(told) => told,
            Found::Part { at, kind, taken, line_ends } => {
                let Proof { proven, resource_type } = self.proof;
                Framed::Part(Part {
                    at,
                    kind,
                    bytes: self.buffer.taken(taken),
                    line_ends,
                    proven,
                    resource_type,
                })
            }
            Found::Piece { part_at, offset, kind, taken, line_ends, last } => {
                let bytes = self.buffer.taken(taken);
                Framed::Piece(Piece { part_at, offset, kind, bytes, line_ends, last })
            }
        }
    }

    /// Whether the start of the source is settled, taking a byte order mark off it.
    fn take_byte_order_mark(&mut self) -> bool {
        if self.begun {
            return true;
        }
        let held = self.buffer.held();
        let head = &held[..held.len().min(BYTE_ORDER_MARK.len())];
        if head.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(head) && !self.finished {
            return false;
        }
        self.begun = true;
        if head == BYTE_ORDER_MARK {
            let bytes = BYTE_ORDER_MARK.len();
            self.buffer.take(bytes);
            self.at = self.at.advanced(bytes as u64, 0);
            self.tally.byte_order_mark = bytes as u64;
        }
        true
    }

    /// Uses up bytes of a part, or of syntax.
    fn take(&mut self, bytes: usize) -> (Taken, u64) {
        let line_ends = line_ends_of(self.line_ends_left, &self.buffer.held()[..bytes]);
        (self.take_counted(bytes, line_ends), line_ends)
    }

    /// Uses up bytes that hold so many line ends.
    fn take_counted(&mut self, bytes: usize, line_ends: u64) -> Taken {
        let taken = self.buffer.take(bytes);
        let text = self.buffer.taken(taken);
        self.line_ends_left = self.line_ends_left.map(|left| left.saturating_sub(line_ends));
        self.before = text.last().copied().unwrap_or(self.before);
        // In the middle of a line nothing of that changes.
        if line_ends > 0 || self.line != Line::Other {
            (self.line, self.indent) = self.line.and_indent_behind(self.indent, text, line_ends == 0);
        }
        self.at = self.at.advanced(text.len() as u64, line_ends);
        taken
    }

    /// Something was wrong right inside of what is open.
    fn harmed(&mut self) {
        match self.level {
            Level::Outside => self.harm.array = true,
            _ => self.harm.inside = true,
        }
    }

    /// Goes into that container: what it holds is as yet sound.
    fn go_inside(&mut self, container: Container) {
        self.inside = Some(container);
        self.harm.inside = false;
        self.anchors.forget(Among::Entries);
    }

    /// Leaves whatever is open but an array, for a value begins that is not inside of it.
    fn abandon(&mut self) {
        self.expect = if self.in_array { Expect::Next } else { Expect::First };
        self.harm.array |= self.inside.is_some();
        self.queued = self.leave(Ending::Abandoned);
    }

    /// Leaves the container that is open within an array, if there is one.
    fn leave(&mut self, ending: Ending) -> Option<Framed<'static>> {
        self.level = Level::Outside;
        self.harm.inside = false;
        self.anchors.forget(Among::Entries);
        self.inside.take().map(|container| ends(container, ending))
    }

    /// Leaves whatever is open within what the next element stands among, which begins here.
    fn resume(&mut self, among: Among) {
        match among {
            Among::Array => return self.abandon(),
            Among::Entries => {
                if self.level.is_in_entry() {
                    self.queued = Some(Framed::EntryEnds(EntryEnds { resources: self.resources }));
                }
                let is_provider = self.inside == Some(Container::Providers);
                self.level = if is_provider { Level::Providers } else { Level::Entries };
            }
            Among::List => self.level = Level::List,
        }
        self.expect = Expect::Next;
    }

    fn count(&mut self, kind: Kind, bytes: u64) {
        let tally = &mut self.tally;
        let place = match kind {
            Kind::Resource => &mut tally.resources,
            Kind::BundleMember => &mut tally.bundle_members,
            Kind::EntryMember | Kind::ListName => &mut tally.entry_members,
            Kind::Entry => &mut tally.entries,
            Kind::SecondLook(_) => &mut tally.second_look,
            Kind::Broken(_) | Kind::Undecided => &mut tally.broken,
        };
        *place += bytes;
    }

    /// What is left when the source has ended and nothing more can be read: first the open part, then the containers.
    fn cut_off(&mut self) -> Option<Found> {
        let held = self.buffer.held().len();
        if self.broken_off
            && let Some(open) = self.open.take()
        {
            self.take(held);
            self.tally.dropped += open.offset + held as u64;
        }
        if self.open.is_some() {
            return self.cut_part(held);
        }
        self.level = Level::Outside;
        if self.broken_off {
            self.harm = Harm::default();
        }
        let (cut, is_harmed) = match self.inside.take().filter(|_| !self.only_head) {
            Some(inside) => {
                self.harm.array |= self.harm.inside;
                (inside, self.harm.inside)
            }
            None => (std::mem::take(&mut self.in_array).then_some(Container::Array)?, self.harm.array),
        };
        Some(Found::Told(ends(cut, if is_harmed { Ending::Abandoned } else { Ending::CutOff })))
    }
}

/// How many line ends there are in a text, of so many that are left.
fn line_ends_of(left: Option<u64>, text: &[u8]) -> u64 {
    if left == Some(0) { 0 } else { line_ends_in(text) }
}

fn ends(container: Container, ending: Ending) -> Framed<'static> {
    Framed::Ends(Ends { container, ending })
}

fn begins(at: Position, container: Container) -> Found {
    Found::Told(Framed::Begins(Begins { at, container }))
}

impl fmt::Debug for Framer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framer")
            .field("at", &self.at)
            .field("held_bytes", &self.held_bytes())
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}
