//! The walk over one JSON text: the whole grammar in one pass, without recursion.

use fhirline_core::{BadRecord, Fault};

use crate::nesting::{Nesting, Outer};
use crate::numbers::{literal, number};
use crate::specials::Specials;
use crate::strings;
use crate::top_level::TopLevel;

/// Walks over one JSON value with white space around it, and notes what stands at its top level.
pub(crate) fn walk(text: &[u8]) -> Result<TopLevel, BadRecord> {
    let mut cursor = Cursor { text, at: 0, specials: Specials::new(text) };
    let mut nesting = Nesting::default();
    let mut outer = Outer::default();
    let mut top = TopLevel::default();
    cursor.blank();
    top.begins_at = cursor.at;
    loop {
        cursor.value(&mut nesting, &mut outer, &mut top)?;
        if !cursor.advance(&mut nesting, &outer, &mut top)? {
            return finish(text, cursor.at).map(|()| top);
        }
    }
}

/// How far the walk has come. Whatever is not inlined takes and returns plain values and never a reference to this, so
/// that all of it stays in registers.
#[derive(Clone, Copy)]
struct Cursor<'r> {
    text: &'r [u8],
    at: usize,
    specials: Specials,
}

impl Cursor<'_> {
    /// Passes a scalar, an empty container, or the beginnings of containers up to the first of these.
    #[inline(always)]
    fn value(
        &mut self,
        nesting: &mut Nesting,
        outer: &mut Outer,
        top: &mut TopLevel,
    ) -> Result<(), BadRecord> {
        loop {
            let first = self.peek();
            if first == b'"' {
                self.string()?;
                return Ok(());
            }
            if first != b'{' && first != b'[' {
                self.at = scalar(self.text, self.at, first)?;
                return Ok(());
            }
            let object = first == b'{';
            if !nesting.open(object, outer) {
                return Err(too_deep(self.at));
            }
            self.at += 1;
            self.blank();
            // The closing bracket stands two behind the opening one in ASCII, of either kind.
            if self.peek() == first + 2 {
                nesting.close(outer);
                self.at += 1;
                return Ok(());
            }
            if object {
                self.key(nesting.depth(), top)?;
            }
        }
    }

    /// Passes what stands between a value and the next one; `false` if there is no next one.
    #[inline(always)]
    fn advance(
        &mut self,
        nesting: &mut Nesting,
        outer: &Outer,
        top: &mut TopLevel,
    ) -> Result<bool, BadRecord> {
        loop {
            self.blank();
            if nesting.depth() == 0 {
                return Ok(false);
            }
            let in_object = nesting.in_object();
            let next = self.peek();
            if next == b',' {
                self.at += 1;
                self.blank();
                if in_object {
                    self.key(nesting.depth(), top)?;
                }
                return Ok(true);
            }
            if next != if in_object { b'}' } else { b']' } {
                return Err(refuse(self.text, self.at));
            }
            nesting.close(outer);
            self.at += 1;
        }
    }

    /// Passes a key with its colon, and notes it if it stands at the top level.
    #[inline(always)]
    fn key(&mut self, depth: usize, top: &mut TopLevel) -> Result<(), BadRecord> {
        let begin = self.at;
        if self.peek() != b'"' {
            return Err(refuse(self.text, self.at));
        }
        let escaped = self.string()?;
        let end = self.at;
        self.blank();
        if self.peek() != b':' {
            return Err(refuse(self.text, self.at));
        }
        self.at += 1;
        self.blank();
        if depth == 1 {
            top.note(self.text.get(begin + 1..end - 1).unwrap_or_default(), escaped, self.at);
        }
        Ok(())
    }

    /// Passes a string, and says whether there are escapes in it.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, BadRecord> {
        match strings::end(self.text, &mut self.specials, self.at + 1) {
            Ok(end) => {
                self.at = end.at;
                Ok(end.escaped)
            }
            Err(at) => Err(refuse(self.text, at)),
        }
    }

    /// The byte to look at next; past the end 0, which is legal nowhere outside strings (nor inside).
    #[inline(always)]
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Passes white space. There is next to none in what is written by machines. A case of its own for the single space
    /// that some write behind commas and colons made the walk half as slow again, even over records that have them.
    #[inline(always)]
    fn blank(&mut self) {
        if self.peek() <= b' ' {
            self.at = after_blank(self.text, self.at);
        }
    }
}

/// The offset of the first byte from `at` on that is not white space.
#[cold]
fn after_blank(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// The offset behind the number or literal name that begins at `at` with `first`.
#[inline(never)]
fn scalar(text: &[u8], at: usize, first: u8) -> Result<usize, BadRecord> {
    let end = match first {
        b'-' | b'0'..=b'9' => number(text, at),
        b't' => literal(text, at, b"true"),
        b'f' => literal(text, at, b"false"),
        b'n' => literal(text, at, b"null"),
        _ => Err(at),
    };
    end.map_err(|at| refuse(text, at))
}

/// The one value has ended: nothing may follow.
fn finish(text: &[u8], at: usize) -> Result<(), BadRecord> {
    if at == text.len() {
        return Ok(());
    }
    Err(BadRecord { fault: Fault::SeveralValues, at: at as u64 })
}

#[cold]
fn too_deep(at: usize) -> BadRecord {
    BadRecord { fault: Fault::TooDeep, at: at as u64 }
}

/// What is wrong if the text cannot go on at `at`: it ends there, or a byte stands there that may not.
#[cold]
fn refuse(text: &[u8], at: usize) -> BadRecord {
    let fault = if at == text.len() { Fault::Incomplete } else { Fault::NotJson };
    BadRecord { fault, at: at as u64 }
}
