//! The grammar of JSON as a machine that can stop behind any byte.

use std::ops::Range;

use fhirline_core::{BadRecord, Fault};

use super::body::Body;
use super::number::Number;
use super::top::{Found, Top};
use crate::lanes::Baseline;
use crate::nesting::{Nesting, Outer};
use crate::specials::Specials;
use crate::walker::{self, Next};

/// How far one JSON value with white space around it has been read.
#[derive(Default)]
pub(super) struct Grammar {
    state: State,
    body: Body,
    nesting: Nesting,
    outer: Outer,
    top: Top,
    /// Where the piece begins that is being read.
    offset: u64,
    /// Where the one value stands. Its end is noted only if it is an object: no other is ever delivered.
    value: Range<u64>,
    /// Whether the one value is an object.
    is_object: bool,
    fault: Option<BadRecord>,
}

/// What may come next.
#[derive(Clone, Copy, Default)]
enum State {
    /// A value.
    #[default]
    Value,
    /// A value, or the end of the array.
    FirstElement,
    /// A key, or the end of the object.
    FirstKey,
    /// A key.
    Key,
    /// The colon behind a key.
    Colon,
    /// What may stand behind a value.
    After,
    /// The rest of a string.
    String { is_key: bool },
    /// The rest of a number.
    Number(Number),
    /// The rest of `true`, `false` or `null`.
    Name(&'static [u8]),
}

impl From<Next> for State {
    fn from(next: Next) -> Self {
        match next {
            Next::Value => Self::Value,
            Next::FirstElement => Self::FirstElement,
            Next::FirstKey => Self::FirstKey,
            Next::Key => Self::Key,
            Next::Colon => Self::Colon,
            Next::After => Self::After,
        }
    }
}

/// A fault, and the offset in the piece at which it is seen.
type Refused = (Fault, usize);

impl Grammar {
    /// Takes the next piece. Behind a fault nothing is read any more.
    pub(super) fn push(&mut self, piece: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        if let Err((fault, at)) = self.read(piece) {
            self.fault = Some(BadRecord { fault, at: self.offset + at as u64 });
        }
        self.offset += piece.len() as u64;
    }

    /// The first fault, as far as the record has come.
    pub(super) fn fault(&self) -> Option<BadRecord> {
        self.fault
    }

    /// What is wrong with a record that ends at `end`, with nothing but white space behind it.
    pub(super) fn verdict(&self, end: u64) -> Result<(), BadRecord> {
        match self.fault {
            Some(bad) if bad.at < end => Err(bad),
            // White space where none may stand is no fault of the record: the record has ended before it.
            None if self.is_complete() => Ok(()),
            _ => Err(BadRecord { fault: Fault::Incomplete, at: end }),
        }
    }

    fn is_complete(&self) -> bool {
        let ended = match self.state {
            State::After => true,
            State::Number(number) => number.is_whole(),
            _ => false,
        };
        ended && self.nesting.depth() == 0
    }

    /// What was found in a record without fault, and where its value stands. A fault of its content that concerns the
    /// record as a whole is seen at `from`.
    pub(super) fn found(self, from: u64) -> Result<(Found, Range<u64>), BadRecord> {
        if !self.is_object {
            return Err(BadRecord { fault: Fault::NotAnObject, at: from });
        }
        let found = self.top.found();
        let found = found.map_err(|(fault, at)| BadRecord { fault, at: at.unwrap_or(from) })?;
        Ok((found, self.value))
    }

    /// Bytes held on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.top.heap_bytes()
    }

    fn read(&mut self, piece: &[u8]) -> Result<(), Refused> {
        let mut specials = Specials::new(Baseline, piece);
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            at = match self.state {
                State::String { is_key } => self.string(piece, &mut specials, at, is_key)?,
                State::Number(number) => self.number(number, piece, at)?,
                State::Name(rest) => self.name(rest, byte, at)?,
                State::After if self.nesting.depth() > 1 => self.walk(piece, &mut specials, at)?,
                _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => at + 1,
                _ => self.token(byte, at)?,
            };
        }
        Ok(())
    }

    /// Passes all tokens that end within the piece, up to the end of the values that are open in the record: several times
    /// as quick as byte by byte. The token at which that stops is read as any other: what is wrong with it, and how much of
    /// it there is, is found in one place only.
    fn walk(&mut self, piece: &[u8], specials: &mut Specials<Baseline>, at: usize) -> Result<usize, Refused> {
        let (end, next) = walker::walk_within(piece, at, &mut self.nesting, &mut self.outer);
        if end == at {
            return self.token(piece[at], at);
        }
        self.state = next.into();
        *specials = Specials::within(Baseline, piece, end);
        Ok(end)
    }

    #[inline]
    fn string(
        &mut self,
        piece: &[u8],
        specials: &mut Specials<Baseline>,
        at: usize,
        is_key: bool,
    ) -> Result<usize, Refused> {
        let (at, closed) =
            self.body.pass(piece, specials, at, &mut self.top).map_err(|at| (Fault::NotJson, at))?;
        if closed {
            self.top.end_string();
            self.state = if is_key { State::Colon } else { State::After };
        }
        Ok(at)
    }

    fn number(&mut self, number: Number, piece: &[u8], at: usize) -> Result<usize, Refused> {
        let (number, at) = number.pass(piece, at);
        self.state = match number {
            _ if at == piece.len() => State::Number(number),
            _ if number.is_whole() => State::After,
            _ => return Err((Fault::NotJson, at)),
        };
        Ok(at)
    }

    fn name(&mut self, rest: &'static [u8], byte: u8, at: usize) -> Result<usize, Refused> {
        self.state = match rest.split_first() {
            Some((&wanted, [])) if byte == wanted => State::After,
            Some((&wanted, rest)) if byte == wanted => State::Name(rest),
            _ => return Err((Fault::NotJson, at)),
        };
        Ok(at + 1)
    }

    /// Takes a byte that begins something: a value, a key, or what stands between them.
    #[inline]
    fn token(&mut self, byte: u8, at: usize) -> Result<usize, Refused> {
        match (self.state, byte) {
            (State::FirstElement, b']') | (State::FirstKey, b'}') => self.close(at),
            (State::Value | State::FirstElement, _) => self.value(byte, at)?,
            (State::FirstKey | State::Key, b'"') => {
                if self.nesting.depth() == 1 {
                    self.top.begin_key();
                }
                self.state = State::String { is_key: true };
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::After, _) => self.after(byte, at)?,
            _ => return Err((Fault::NotJson, at)),
        }
        Ok(at + 1)
    }

    #[inline]
    fn value(&mut self, first: u8, at: usize) -> Result<(), Refused> {
        if self.nesting.depth() == 0 {
            self.value.start = self.offset + at as u64;
            self.is_object = first == b'{';
        }
        self.top.begin_value(self.offset + at as u64, first == b'"');
        self.state = match first {
            b'"' => State::String { is_key: false },
            b'{' | b'[' => self.open(first == b'{').ok_or((Fault::TooDeep, at))?,
            b't' => State::Name(b"rue"),
            b'f' => State::Name(b"alse"),
            b'n' => State::Name(b"ull"),
            _ => State::Number(Number::beginning(first).ok_or((Fault::NotJson, at))?),
        };
        Ok(())
    }

    fn open(&mut self, object: bool) -> Option<State> {
        let opened = self.nesting.open(object, &mut self.outer);
        opened.then_some(if object { State::FirstKey } else { State::FirstElement })
    }

    #[inline]
    fn after(&mut self, byte: u8, at: usize) -> Result<(), Refused> {
        if self.nesting.depth() == 0 {
            return Err((Fault::SeveralValues, at));
        }
        match (self.nesting.in_object(), byte) {
            (true, b',') => self.state = State::Key,
            (false, b',') => self.state = State::Value,
            (true, b'}') | (false, b']') => self.close(at),
            _ => return Err((Fault::NotJson, at)),
        }
        Ok(())
    }

    fn close(&mut self, at: usize) {
        self.nesting.close(&self.outer);
        self.state = State::After;
        if self.nesting.depth() == 0 {
            self.value.end = self.offset + at as u64 + 1;
        }
    }
}
