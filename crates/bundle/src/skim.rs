//! Where one JSON value ends, read in windows cut anywhere.

use std::ops::ControlFlow;

use fhirline_core::{BadRecord, Fault};
use fhirline_parse::{MAX_DEPTH, blank_length, first_value_length};

use crate::anchors::{Among, Anchors};
use crate::line::{Indent, Line, line_ends_in};
use crate::nesting::{DEEPEST, Nesting};
use crate::word::Word;

/// Passes over one JSON value, or one member of an object, and finds its end.
///
/// It knows strings, brackets, commas and colons, and looks into nothing else: escapes, numbers and names may be any that
/// end where they should. Once it has seen that the value is broken, it goes by brackets and quotes alone, up to the
/// value's end or to a line that begins with `{` or `}, {` where an element has an anchor, or with `{` in column 0, whichever
/// comes first.
#[derive(Clone)]
pub(crate) struct Skim {
    state: State,
    nesting: Nesting,
    /// Keys at this depth are told.
    listens_at: Option<u64>,
    /// The value at that depth is wanted as well.
    wants_value: bool,
    /// That value is a string.
    is_text: bool,
    /// The string that is being read goes to `word`.
    collects: bool,
    word: Word,
    fault: Option<BadRecord>,
    /// The line up to the offset `line_at` in the value, or up to what is read next once the value is broken.
    line: Line,
    line_at: u64,
    /// How many line ends there are up to that offset, as long as nothing is broken.
    line_ends: u64,
    /// The indentation of the line on which the value begins.
    indent: Option<Indent>,
    is_one_line: bool,
    anchors: Anchors,
    /// Whether objects within the value are jumped over.
    jumps: bool,
}

/// Why the reading paused. Offsets are those in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The window is read.
    More,
    /// A key that is listened for ends before this offset; [`Skim::word`] holds it.
    Key(usize),
    /// The value that was wanted ends before this offset; if it is a string (`true`), [`Skim::word`] holds it.
    Wanted(usize, bool),
    /// The value ends before this offset.
    End(usize),
    /// The value is broken, and a line begins with a `{` at this offset, behind an indentation at most, or the end of an object and a
    /// comma.
    Astray(usize, WayOut),
}

/// What begins with a `{` behind what is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WayOut {
    /// The next element.
    Element(Among),
    /// A value in column 0 that is in nothing but an array.
    Value,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    /// A value, or the end of the array.
    FirstElement,
    /// A key, or the end of the object.
    FirstKey,
    Key,
    Colon,
    /// A comma, or the end of the container.
    After,
    Text {
        is_key: bool,
    },
    /// The byte behind a backslash.
    Escape {
        is_key: bool,
    },
    /// The rest of a number or name.
    Scalar,
    /// Anything, for the value is broken.
    Broken,
    BrokenText,
    BrokenEscape,
    /// Anything, for even the brackets say nothing any more.
    Lost,
}

/// Where to read on, or why to pause.
type Flow = ControlFlow<Seen, usize>;

/// A window, and the offset of its first byte in the value.
#[derive(Clone, Copy)]
pub(crate) struct Window<'w> {
    pub(crate) text: &'w [u8],
    pub(crate) offset: u64,
}

/// What a [`Skim`] passes over.
#[derive(Clone, Copy)]
pub(crate) enum Over {
    /// One value.
    Value,
    /// One object, whose keys are told.
    Object,
    /// One member: a key, which is told, and its value.
    Member,
    /// What is no value, up to the next line that is a way out.
    Nothing,
}

impl Default for Skim {
    fn default() -> Self {
        Self {
            state: State::Value,
            nesting: Nesting::default(),
            listens_at: None,
            wants_value: false,
            is_text: false,
            collects: false,
            word: Word::default(),
            fault: None,
            line: Line::Other,
            line_at: 0,
            line_ends: 0,
            indent: None,
            is_one_line: true,
            anchors: Anchors::default(),
            jumps: false,
        }
    }
}

impl Skim {
    /// Passes over that next. What is large in it stays as it is, as nothing is looked up there that was not put there before.
    #[inline]
    pub(crate) fn restart(&mut self, over: Over) {
        let (state, listens_at) = match over {
            Over::Value => (State::Value, None),
            Over::Object => (State::Value, Some(1)),
            Over::Member => (State::Key, Some(0)),
            Over::Nothing => (State::Lost, None),
        };
        self.state = state;
        self.listens_at = listens_at;
        self.nesting.restart();
        self.word.clear();
        self.wants_value = false;
        self.is_text = false;
        self.collects = false;
        self.fault = (state == State::Lost).then_some(BadRecord { fault: Fault::NotJson, at: 0 });
        self.line = Line::Other;
        self.line_at = 0;
        self.line_ends = 0;
        self.indent = None;
        self.is_one_line = true;
        self.jumps = false;
    }

    /// Jumps over objects within the value whose end the walk of [`first_value_length`] finds in the window. That changes nothing but
    /// how long it takes: what the walk comes through is nothing that is broken or told of.
    pub(crate) fn jump(&mut self, jumps: bool) {
        self.jumps = jumps;
    }

    /// Begins on a line with that indentation, behind what else is on that; and with those ways out of what is broken.
    #[inline]
    pub(crate) fn anchor(&mut self, indent: Option<Indent>, line: Line, anchors: Anchors) {
        self.indent = indent;
        self.line = line;
        self.anchors = anchors;
    }

    /// The ways out that are left.
    pub(crate) fn anchors(&self) -> Anchors {
        self.anchors
    }

    /// How many line ends there are up to that offset in the value, if they happen to have been counted.
    pub(crate) fn line_ends_up_to(&self, offset: u64) -> Option<u64> {
        (self.fault.is_none() && self.line_at == offset).then_some(self.line_ends)
    }

    /// What was seen to be wrong first, if anything.
    pub(crate) fn fault(&self) -> Option<BadRecord> {
        self.fault
    }

    /// The key, or the value that was wanted.
    pub(crate) fn word(&self) -> &Word {
        &self.word
    }

    /// Says whether the value behind the key that was just told is wanted.
    pub(crate) fn want_value(&mut self, is_wanted: bool) {
        self.wants_value = is_wanted;
        self.is_text = false;
    }

    /// Whether the value is a number or name that may end here, if anything ends it.
    pub(crate) fn may_end(&self) -> bool {
        self.state == State::Scalar && self.nesting.depth() == 0
    }

    /// Tells of keys no more.
    pub(crate) fn deafen(&mut self) {
        self.listens_at = None;
    }

    /// Reads on from `from`.
    pub(crate) fn pass(&mut self, window: Window<'_>, from: usize) -> Seen {
        let mut at = from;
        while at < window.text.len() {
            match self.step(window, at) {
                ControlFlow::Continue(next) => at = next,
                ControlFlow::Break(seen) => return seen,
            }
        }
        self.catch_up(window, window.text.len());
        Seen::More
    }

    #[inline]
    fn step(&mut self, window: Window<'_>, at: usize) -> Flow {
        match self.state {
            State::Text { is_key } => self.text(window, at, is_key),
            State::Escape { is_key } => self.escape(window, at, is_key),
            State::Scalar => self.scalar(window, at),
            State::Broken | State::BrokenText | State::BrokenEscape | State::Lost => self.astray(window, at),
            _ => match window.text[at] {
                b' ' | b'\t' | b'\n' | b'\r' => ControlFlow::Continue(after_blank(window.text, at)),
                _ => self.token(window, at),
            },
        }
    }

    /// Takes a byte that begins something, or stands between things.
    #[inline]
    fn token(&mut self, window: Window<'_>, at: usize) -> Flow {
        match (self.state, window.text[at]) {
            (State::FirstElement, b']') | (State::FirstKey, b'}') => return self.close(window, at),
            (State::Value | State::FirstElement, first) => return self.begin(window, at, first),
            (State::FirstKey | State::Key, b'"') => self.begin_text(true),
            (State::Colon, b':') => self.state = State::Value,
            (State::After, byte) => return self.after(window, at, byte),
            _ => return self.refuse(window, at, Fault::NotJson),
        }
        ControlFlow::Continue(at + 1)
    }

    /// Takes the first byte of a value.
    #[inline]
    fn begin(&mut self, window: Window<'_>, at: usize, first: u8) -> Flow {
        match first {
            b'"' => self.begin_text(false),
            b'{' | b'[' => {
                if first == b'{'
                    && self.may_jump()
                    && let Ok(length) = first_value_length(&window.text[at..])
                {
                    return self.ended(window, at + length);
                }
                if !self.nesting.open(first == b'{') {
                    self.catch_up(window, at + 1);
                    self.fault
                        .get_or_insert(BadRecord { fault: Fault::TooDeep, at: window.offset + at as u64 });
                    self.state = State::Broken;
                    return ControlFlow::Continue(at + 1);
                }
                self.state = if first == b'{' { State::FirstKey } else { State::FirstElement };
            }
            _ if begins_value(first) => self.state = State::Scalar,
            _ => return self.refuse(window, at, Fault::NotJson),
        }
        ControlFlow::Continue(at + 1)
    }

    /// Whether an object that begins here may be jumped over. Not the value itself, which was walked over in vain; none
    /// whose keys are told; and none so far in that the walk would find it less deep than it is. An object that lies in others
    /// is therefore walked over a few times at most.
    #[inline]
    fn may_jump(&self) -> bool {
        const DEEPEST_JUMP: u64 = (DEEPEST - MAX_DEPTH) as u64;
        let depth = self.nesting.depth();
        self.jumps && (1..=DEEPEST_JUMP).contains(&depth) && self.listens_at.is_none_or(|told| told <= depth)
    }

    #[inline]
    fn begin_text(&mut self, is_key: bool) {
        self.state = State::Text { is_key };
        if self.listens() && (is_key || self.wants_value) {
            self.word.clear();
            self.collects = true;
            self.is_text = !is_key;
        }
    }

    #[inline]
    fn listens(&self) -> bool {
        self.listens_at == Some(self.nesting.depth())
    }

    /// Takes what stands behind a value.
    #[inline]
    fn after(&mut self, window: Window<'_>, at: usize, byte: u8) -> Flow {
        match (byte, self.nesting.in_object()) {
            (b',', true) => self.state = State::Key,
            (b',', false) => self.state = State::Value,
            (b'}', true) | (b']', false) => return self.close(window, at),
            _ => return self.refuse(window, at, Fault::NotJson),
        }
        ControlFlow::Continue(at + 1)
    }

    #[inline]
    fn close(&mut self, window: Window<'_>, at: usize) -> Flow {
        self.nesting.close();
        self.ended(window, at + 1)
    }

    /// A value has ended before `at`: perhaps the one value, or the one that is wanted.
    #[inline]
    fn ended(&mut self, window: Window<'_>, at: usize) -> Flow {
        self.state = State::After;
        if self.nesting.depth() == 0 {
            return ControlFlow::Break(Seen::End(at));
        }
        if self.wants_value && self.listens() {
            self.wants_value = false;
            return ControlFlow::Break(Seen::Wanted(at, self.is_text));
        }
        self.pass_comma(window, at)
    }

    /// Passes a comma and the quote of a key if they stand at `at`: what is taken at once costs no turn of the loop.
    #[inline]
    fn pass_comma(&mut self, window: Window<'_>, at: usize) -> Flow {
        if window.text.get(at) != Some(&b',') {
            return ControlFlow::Continue(at);
        }
        if !self.nesting.in_object() {
            self.state = State::Value;
            return ControlFlow::Continue(at + 1);
        }
        self.state = State::Key;
        if window.text.get(at + 1) != Some(&b'"') {
            return ControlFlow::Continue(at + 1);
        }
        self.begin_text(true);
        ControlFlow::Continue(at + 2)
    }

    #[inline]
    fn text(&mut self, window: Window<'_>, at: usize, is_key: bool) -> Flow {
        let rest = &window.text[at..];
        let plain = plain_length(rest);
        if self.collects {
            self.word.push(&rest[..plain]);
        }
        let end = at + plain;
        match rest.get(plain) {
            None => ControlFlow::Continue(end),
            Some(b'"') => self.end_text(window, end + 1, is_key),
            Some(b'\\') => {
                self.collect(b'\\');
                self.state = State::Escape { is_key };
                ControlFlow::Continue(end + 1)
            }
            Some(_) => self.refuse_text(window, end),
        }
    }

    #[inline]
    fn end_text(&mut self, window: Window<'_>, end: usize, is_key: bool) -> Flow {
        let told = std::mem::take(&mut self.collects);
        if !is_key {
            return self.ended(window, end);
        }
        if told {
            self.state = State::Colon;
            return ControlFlow::Break(Seen::Key(end));
        }
        // As in `pass_comma`.
        if window.text.get(end) == Some(&b':') {
            self.state = State::Value;
            return ControlFlow::Continue(end + 1);
        }
        self.state = State::Colon;
        ControlFlow::Continue(end)
    }

    fn escape(&mut self, window: Window<'_>, at: usize, is_key: bool) -> Flow {
        let byte = window.text[at];
        if byte == b'\n' {
            return self.refuse_text(window, at);
        }
        self.collect(byte);
        self.state = State::Text { is_key };
        ControlFlow::Continue(at + 1)
    }

    fn collect(&mut self, byte: u8) {
        if self.collects {
            self.word.push(&[byte]);
        }
    }

    #[inline]
    fn scalar(&mut self, window: Window<'_>, at: usize) -> Flow {
        let rest = &window.text[at..];
        match rest.iter().position(|&byte| ends_scalar(byte)) {
            None => ControlFlow::Continue(window.text.len()),
            Some(length) => self.ended(window, at + length),
        }
    }

    /// The value is broken at `at`.
    #[cold]
    fn refuse(&mut self, window: Window<'_>, at: usize, fault: Fault) -> Flow {
        self.catch_up(window, at);
        self.fault.get_or_insert(BadRecord { fault, at: window.offset + at as u64 });
        // Where no bracket of the value is open, none can tell its end.
        self.state = if self.nesting.depth() == 0 { State::Lost } else { State::Broken };
        ControlFlow::Continue(at)
    }

    /// The value is broken at a line end within a string.
    #[cold]
    fn refuse_text(&mut self, window: Window<'_>, at: usize) -> Flow {
        let flow = self.refuse(window, at, Fault::NotJson);
        if self.state == State::Broken {
            self.state = State::BrokenText;
        }
        flow
    }

    /// Finds out how the line begins on which the value goes on at `at`, as long as nothing of it is broken.
    fn catch_up(&mut self, window: Window<'_>, at: usize) {
        if self.fault.is_none() {
            let from = self.line_at.saturating_sub(window.offset) as usize;
            let read = window.text.get(from..at).unwrap_or_default();
            let line_ends = line_ends_in(read);
            self.line = self.line.behind(read, line_ends == 0);
            self.line_ends += line_ends;
            self.is_one_line = self.line_ends == 0;
            self.line_at = window.offset + at as u64;
        }
    }

    /// Takes what is broken: the beginning of a line byte by byte, for it may be the way out.
    fn astray(&mut self, window: Window<'_>, at: usize) -> Flow {
        let flow = match (self.line, window.text[at]) {
            (Line::Begun(_) | Line::Brace(_) | Line::Comma(_), b' ' | b'\t') => ControlFlow::Continue(at + 1),
            (line, b'{') if let Some(way) = self.way_out(line) => {
                return ControlFlow::Break(Seen::Astray(at, way));
            }
            (Line::Begun(_), b'}') | (Line::Brace(_), b',') if self.state != State::Broken => {
                ControlFlow::Continue(at + 1)
            }
            _ => match self.state {
                State::BrokenText => self.broken_text(window, at),
                State::BrokenEscape => self.broken_escape(window, at),
                State::Lost => self.lost_line(window, at),
                _ => self.broken(window, at),
            },
        };
        if let ControlFlow::Continue(next) = flow {
            self.follow(&window.text[at..next]);
        }
        flow
    }

    /// Where a `{` leads to that is the next thing on that line.
    fn way_out(&self, line: Line) -> Option<WayOut> {
        let value = line.begun().is_some_and(Indent::is_empty).then_some(WayOut::Value);
        self.anchors.find(line).map(WayOut::Element).or(value)
    }

    /// Goes on in the line with what was read of it, up to its end at most.
    fn follow(&mut self, read: &[u8]) {
        let (text, line_end) = match read.split_last() {
            Some((b'\n', text)) => (text, true),
            _ => (read, false),
        };
        for &byte in text {
            if self.line == Line::Other {
                break;
            }
            self.line = self.line.and(byte);
        }
        if line_end {
            self.is_one_line = false;
            self.anchors.leave(self.line);
            self.line = Line::Begun(Indent::default());
        }
    }

    fn broken(&mut self, window: Window<'_>, at: usize) -> Flow {
        match window.text[at] {
            b'"' => self.state = State::BrokenText,
            first @ (b'{' | b'[') => {
                self.nesting.open(first == b'{');
            }
            last @ (b'}' | b']') => {
                self.nesting.close_nearest(last == b'}');
                if self.nesting.depth() == 0 && self.may_close() {
                    return ControlFlow::Break(Seen::End(at + 1));
                }
                if self.nesting.depth() == 0 {
                    self.state = State::Lost;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(at + 1)
    }

    /// Whether the bracket that is read may be the end of what is broken. Where elements have anchors it must be on the same
    /// line as the beginning, or as far in: too early an end would make what is behind it the end of the container.
    fn may_close(&self) -> bool {
        let is_aligned = self.line.begun().is_some_and(|indent| self.indent == Some(indent));
        self.is_one_line || is_aligned || self.anchors.is_empty()
    }

    fn broken_text(&mut self, window: Window<'_>, at: usize) -> Flow {
        let rest = &window.text[at..];
        let Some(plain) = memchr::memchr3(b'"', b'\\', b'\n', rest) else {
            return ControlFlow::Continue(window.text.len());
        };
        match rest[plain] {
            b'"' => self.state = State::Broken,
            b'\\' => self.state = State::BrokenEscape,
            _ => {}
        }
        ControlFlow::Continue(at + plain + 1)
    }

    fn broken_escape(&mut self, window: Window<'_>, at: usize) -> Flow {
        self.state = State::BrokenText;
        // A line end is never passed over: the next line may be the way out.
        ControlFlow::Continue(if window.text[at] == b'\n' { at } else { at + 1 })
    }

    fn lost_line(&self, window: Window<'_>, at: usize) -> Flow {
        let line_end = memchr::memchr(b'\n', &window.text[at..]);
        ControlFlow::Continue(line_end.map_or(window.text.len(), |length| at + length + 1))
    }
}

/// The offset of the first byte behind `at` that is not white space.
#[inline]
fn after_blank(text: &[u8], at: usize) -> usize {
    at + 1 + blank_length(&text[at + 1..])
}

/// Bytes up to the first quote, backslash or line end; all if there is none.
#[inline]
pub(crate) fn plain_length(text: &[u8]) -> usize {
    /// Most strings are shorter: a call of `memchr` takes longer than these words do.
    const WORDS: usize = 4;
    let (words, _) = text.as_chunks();
    for (index, word) in words.iter().take(WORDS).enumerate() {
        let ends = ends_in(u64::from_le_bytes(*word));
        if ends != 0 {
            return index * size_of::<u64>() + ends.trailing_zeros() as usize / 8;
        }
    }
    let from = words.len().min(WORDS) * size_of::<u64>();
    let rest = &text[from..];
    from + memchr::memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len())
}

/// The offset behind the string whose opening quote stands at `quote`; the end of the text if it does not end.
pub(crate) fn text_end(text: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while let Some(rest) = text.get(at..) {
        let end = at + plain_length(rest);
        match text.get(end) {
            Some(b'"') => return end + 1,
            Some(b'\\') => at = end + 2,
            Some(_) => at = end + 1,
            None => break,
        }
    }
    text.len()
}

/// The high bit of each byte that is a quote, a backslash or a line end; of those behind the first such byte it may be wrong.
#[inline]
fn ends_in(word: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let zeros = |word: u64| word.wrapping_sub(LOW) & !word;
    let is = |byte: u8| zeros(word ^ u64::from_le_bytes([byte; 8]));
    (is(b'"') | is(b'\\') | is(b'\n')) & HIGH
}

/// White space in the sense of JSON.
#[inline]
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a JSON value can begin with this byte.
pub(crate) fn begins_value(byte: u8) -> bool {
    matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}

/// Whether a number or name ends before this byte.
pub(crate) fn ends_scalar(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"')
}
