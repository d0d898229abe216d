//! Whether lines are records.

use fhirline_parse::blank_length;

use crate::framed::Framed;

use super::levels::Level;
use super::{Flow, Found, Framer};

/// What is known of it, where that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// It does not matter any more, or never did.
    Unasked,
    /// The first value has not begun.
    Asked,
    /// The first value, which began on this line, has not ended.
    First(u64),
    /// The first value has ended on its line: the rest of that decides.
    Behind,
    /// They are.
    Told,
}

impl Lines {
    pub(super) fn are_asked_for(self) -> bool {
        self != Self::Unasked
    }

    /// A value, or what stands in the place of one, begins with `byte`.
    pub(super) fn begin(&mut self, byte: u8, line: u64) {
        if *self == Self::Asked {
            *self = if byte == b'[' { Self::Unasked } else { Self::First(line) };
        }
    }

    /// As one word, for [`Place`](super::Place); `None` where a framer has no more to do.
    pub(super) fn code(self) -> Option<String> {
        match self {
            Self::Unasked => Some("unasked".to_owned()),
            Self::Asked => Some("asked".to_owned()),
            Self::First(line) => Some(line.to_string()),
            Self::Behind => Some("behind".to_owned()),
            Self::Told => None,
        }
    }

    /// Of that [`code`](Self::code).
    pub(super) fn from_code(word: &str) -> Option<Self> {
        match word {
            "unasked" => Some(Self::Unasked),
            "asked" => Some(Self::Asked),
            "behind" => Some(Self::Behind),
            line => line.parse().ok().map(Self::First),
        }
    }
}

impl Framer {
    /// Takes the next step to the answer, where no part is open; `None` if there is none to take here.
    pub(super) fn tell_lines(&mut self) -> Option<Flow> {
        match self.lines {
            Lines::First(line) if self.level == Level::Outside => self.end_first(line),
            Lines::Behind => self.pass_line_end(),
            Lines::Told => Some(Flow::Wait),
            _ => None,
        }
    }

    /// The first value has ended, and began on that line.
    fn end_first(&mut self, line: u64) -> Option<Flow> {
        if self.at.line == line {
            self.lines = Lines::Behind;
            return self.pass_line_end();
        }
        // It is broken, and ends where the next line begins with a value.
        if self.at.line == line + 1 && self.before == b'\n' && self.buffer.held().first() == Some(&b'{') {
            return Some(self.found_lines());
        }
        self.lines = Lines::Unasked;
        None
    }

    /// Passes over the rest of the line, if it is white space.
    fn pass_line_end(&mut self) -> Option<Flow> {
        let held = self.buffer.held();
        let blank = &held[..blank_length(held)];
        match memchr::memchr(b'\n', blank) {
            Some(line_end) => {
                self.pass_blank(line_end + 1);
                Some(self.found_lines())
            }
            None if blank.len() == held.len() => {
                self.pass_blank(held.len());
                Some(Flow::Wait)
            }
            None => {
                self.lines = Lines::Unasked;
                None
            }
        }
    }

    fn found_lines(&mut self) -> Flow {
        self.lines = Lines::Told;
        Flow::Found(Found::Told(Framed::Lines))
    }
}
