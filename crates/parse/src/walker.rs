//! The walk over one JSON text: the whole grammar in one pass, without recursion.

use fhirline_core::{BadRecord, Fault};

use crate::blank::blank_length;
use crate::lanes::{self, Lanes, Work};
use crate::nesting::{Nesting, Outer};
use crate::numbers::{literal, number};
use crate::specials::Specials;
use crate::strings;
use crate::top_level::TopLevel;

/// Walks over one JSON value with white space around it, and notes what stands at its top level.
pub(crate) fn walk(text: &[u8]) -> Result<TopLevel, BadRecord> {
    let top = walk_first(text)?;
    finish(text, top.ends_at).map(|()| top)
}

/// Walks over the JSON value at the front of a text, behind white space, up to its end and no further.
#[inline(never)]
pub(crate) fn walk_first(text: &[u8]) -> Result<TopLevel, BadRecord> {
    lanes::run(First { text })
}

struct First<'t> {
    text: &'t [u8],
}

impl Work for First<'_> {
    type Output = Result<TopLevel, BadRecord>;

    #[inline(always)]
    fn by<L: Lanes>(self, lanes: L) -> Self::Output {
        let text = self.text;
        let mut cursor = Cursor::<L, false> { text, at: 0, specials: Specials::new(lanes, text) };
        let mut nesting = Nesting::default();
        let mut outer = Outer::default();
        let mut top = TopLevel::default();
        cursor.blank();
        top.begins_at = cursor.at;
        loop {
            cursor.value(&mut nesting, &mut outer, &mut top)?;
            if !cursor.advance(&mut nesting, &outer, &mut top)? {
                top.ends_at = cursor.at;
                return Ok(top);
            }
        }
    }
}

/// Walks on behind a value that lies at least two levels deep in a record of which `text` is a fragment: token by token, as
/// long as a token is sound and surely ends in the fragment, and the record's own level is not reached. Returns where the
/// next token begins, and what it may be; of white space before it some may be left.
///
/// What is wrong with that token, if anything, is not told: whoever can stop within a token finds that from its beginning.
#[inline(never)]
pub(crate) fn walk_within(text: &[u8], at: usize, nesting: &mut Nesting, outer: &mut Outer) -> (usize, Next) {
    lanes::run(Within { text, at, nesting, outer })
}

struct Within<'t, 'n> {
    text: &'t [u8],
    at: usize,
    nesting: &'n mut Nesting,
    outer: &'n mut Outer,
}

impl Work for Within<'_, '_> {
    type Output = (usize, Next);

    #[inline(always)]
    fn by<L: Lanes>(self, lanes: L) -> (usize, Next) {
        let Self { text, at, nesting, outer } = self;
        let mut cursor = Cursor::<L, true> { text, at, specials: Specials::within(lanes, text, at) };
        // A copy, so that it can stay in registers.
        let mut inner = *nesting;
        let next = cursor.tokens(&mut inner, outer).map_or_else(|stop| stop.next, |()| Next::After);
        *nesting = inner;
        (cursor.at, next)
    }
}

/// What the walk would take next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A value.
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
}

/// Why the walk cannot go on: the fault, if the text is all there is, and what it would have taken where it stands.
struct Stop {
    fault: Fault,
    next: Next,
    at: usize,
}

impl From<Stop> for BadRecord {
    #[cold]
    fn from(stop: Stop) -> Self {
        Self { fault: stop.fault, at: stop.at as u64 }
    }
}

/// How far the walk has come. Whatever is not inlined takes and returns plain values and never a reference to this, so
/// that all of it stays in registers.
///
/// Where the walk stops `at` is the beginning of the token that it did not take. `WITHIN` says that the text is a fragment,
/// and the walk one in the values of a record: it ends above them, and its keys are not those of the record.
#[derive(Clone, Copy)]
struct Cursor<'r, L, const WITHIN: bool> {
    text: &'r [u8],
    at: usize,
    specials: Specials<L>,
}

impl<L: Lanes, const WITHIN: bool> Cursor<'_, L, WITHIN> {
    /// Passes all tokens behind a value.
    #[inline(always)]
    fn tokens(&mut self, nesting: &mut Nesting, outer: &mut Outer) -> Result<(), Stop> {
        let mut top = TopLevel::default();
        while self.advance(nesting, outer, &mut top)? {
            self.value(nesting, outer, &mut top)?;
        }
        Ok(())
    }

    /// Passes a scalar, an empty container, or the beginnings of containers up to the first of these.
    #[inline(always)]
    fn value(&mut self, nesting: &mut Nesting, outer: &mut Outer, top: &mut TopLevel) -> Result<(), Stop> {
        loop {
            let first = self.peek();
            if first == b'"' {
                self.string(Next::Value)?;
                return Ok(());
            }
            if first != b'{' && first != b'[' {
                let end = scalar(self.text, self.at, first)?;
                // A number may go on in the next fragment.
                if WITHIN && end == self.text.len() {
                    return Err(refuse(self.text, end, Next::Value));
                }
                self.at = end;
                return Ok(());
            }
            let object = first == b'{';
            if !nesting.open(object, outer) {
                return Err(too_deep(self.at));
            }
            self.at += 1;
            self.blank();
            if WITHIN && !object && self.at == self.text.len() {
                return Err(refuse(self.text, self.at, Next::FirstElement));
            }
            // The closing bracket stands two behind the opening one in ASCII, of either kind.
            if self.peek() == first + 2 {
                nesting.close(outer);
                self.at += 1;
                return Ok(());
            }
            if object {
                self.key(nesting.depth(), top, Next::FirstKey)?;
            }
        }
    }

    /// Passes what stands between a value and the next one; `false` if there is no next one.
    #[inline(always)]
    fn advance(&mut self, nesting: &mut Nesting, outer: &Outer, top: &mut TopLevel) -> Result<bool, Stop> {
        loop {
            if nesting.depth() == usize::from(WITHIN) {
                return Ok(false);
            }
            self.blank();
            let in_object = nesting.in_object();
            let next = self.peek();
            if next == b',' {
                self.at += 1;
                self.blank();
                if in_object {
                    self.key(nesting.depth(), top, Next::Key)?;
                }
                return Ok(true);
            }
            if next != if in_object { b'}' } else { b']' } {
                return Err(refuse(self.text, self.at, Next::After));
            }
            nesting.close(outer);
            self.at += 1;
        }
    }

    /// Passes a key with its colon, and notes it if it stands at the top level.
    #[inline(always)]
    fn key(&mut self, depth: usize, top: &mut TopLevel, next: Next) -> Result<(), Stop> {
        let begin = self.at;
        if self.peek() != b'"' {
            return Err(refuse(self.text, self.at, next));
        }
        let escaped = self.string(next)?;
        let end = self.at;
        self.blank();
        if self.peek() != b':' {
            return Err(refuse(self.text, self.at, Next::Colon));
        }
        self.at += 1;
        self.blank();
        if !WITHIN && depth == 1 {
            top.note(self.text.get(begin + 1..end - 1).unwrap_or_default(), escaped, self.at);
        }
        Ok(())
    }

    /// Passes a string, which is what comes `next`, and says whether there are escapes in it.
    #[inline(always)]
    fn string(&mut self, next: Next) -> Result<bool, Stop> {
        match strings::end(self.text, &mut self.specials, self.at + 1) {
            Ok(end) => {
                self.at = end.at;
                Ok(end.escaped)
            }
            Err(at) => Err(refuse(self.text, at, next)),
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
    // The single space behind a colon, as most have it that indent: a guess is quicker than to count.
    if text.get(at) == Some(&b' ') && text.get(at + 1).is_some_and(|&next| next > b' ') {
        return at + 1;
    }
    at + blank_length(text.get(at..).unwrap_or_default())
}

/// The offset behind the number or literal name that begins at `at` with `first`.
#[inline(never)]
fn scalar(text: &[u8], at: usize, first: u8) -> Result<usize, Stop> {
    let end = match first {
        b'-' | b'0'..=b'9' => number(text, at),
        b't' => literal(text, at, b"true"),
        b'f' => literal(text, at, b"false"),
        b'n' => literal(text, at, b"null"),
        _ => Err(at),
    };
    end.map_err(|at| refuse(text, at, Next::Value))
}

/// The one value has ended: nothing may follow.
fn finish(text: &[u8], at: usize) -> Result<(), BadRecord> {
    if at == text.len() {
        return Ok(());
    }
    let at = after_blank(text, at);
    if at == text.len() {
        return Ok(());
    }
    Err(BadRecord { fault: Fault::SeveralValues, at: at as u64 })
}

#[cold]
fn too_deep(at: usize) -> Stop {
    Stop { fault: Fault::TooDeep, next: Next::Value, at }
}

/// What is wrong if the text cannot go on at `at`: it ends there, or a byte stands there that may not.
#[cold]
fn refuse(text: &[u8], at: usize, next: Next) -> Stop {
    let fault = if at == text.len() { Fault::Incomplete } else { Fault::NotJson };
    Stop { fault, next, at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::Baseline;
    use proptest::prelude::*;

    /// What a walk says, to be compared.
    fn said(walked: Result<TopLevel, BadRecord>) -> Result<[Option<usize>; 4], (Fault, u64)> {
        let places = |top: TopLevel| [Some(top.begins_at), Some(top.ends_at), top.resource_type, top.id];
        walked.map(places).map_err(|bad| (bad.fault, bad.at))
    }

    /// Pieces of records, which make sound ones often and broken ones too.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\"id\":\"1\"",
            "\"resourceType\":\"Patient\"",
            "\"a\":[1.0,true]",
            "\"text\":\"\\u00e9\\n\"",
            "\n  ",
            "\"a long text without anything in it, so that blocks are passed over: é\"",
        ]);
        let members = prop::collection::vec(piece.clone(), 0..12)
            .prop_map(|pieces| format!("{{{}}}", pieces.join(",")));
        prop_oneof![members, prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())]
    }

    proptest! {
        /// On this processor the other tests see the widest lanes only.
        #[test]
        fn the_baseline_walks_as_the_widest_lanes_do(text in texts(), blank in "[ \n]{0,70}") {
            let text = format!("{blank}{text}");
            let by_baseline = First { text: text.as_bytes() }.by(Baseline);
            prop_assert_eq!(said(by_baseline), said(walk_first(text.as_bytes())));
        }
    }
}
