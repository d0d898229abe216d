//! The way to a value in a text that comes piece by piece, and that is never held.

use std::borrow::Cow;
use std::io::{self, BufRead};

use fhirline_parse::text_of;
use memchr::memchr2;

use super::index_of;

/// Why the way comes to no end.
pub(crate) enum Stop {
    /// The text cannot be read.
    Read(io::Error),
    /// It is no JSON, as is seen at that byte.
    NotJson(u64),
    /// It ends too early, at that byte.
    Ended(u64),
}

/// An object or array on the way whose end has not been seen.
enum Open<'w> {
    /// The key that is looked for.
    Object(&'w str),
    /// The place that is looked for, if the step means one, and the place that comes next.
    Array { wanted: Option<usize>, next: usize },
}

/// A text, and how far it was read.
struct Pieces<R> {
    text: R,
    at: u64,
}

/// The value at the end of the way, as it is written; of keys that stand twice the last counts, so all of the text is read. Only tokens are
/// told apart: strings, brackets, and what stands between them.
pub(super) fn find(text: impl BufRead, way: &[Cow<'_, str>]) -> Result<Option<Vec<u8>>, Stop> {
    let mut pieces = Pieces { text, at: 0 };
    let mut open = Vec::new();
    loop {
        // What was found before stood under a key that has come again.
        let found = match (pieces.token()?, way.get(open.len())) {
            (_, None) => {
                let mut value = Vec::new();
                pieces.value(|bytes| value.extend_from_slice(bytes))?;
                Some(value)
            }
            (b'{', Some(key)) => {
                pieces.byte(|_| {})?;
                open.push(Open::Object(key));
                None
            }
            (b'[', Some(place)) => {
                pieces.byte(|_| {})?;
                open.push(Open::Array { wanted: index_of(place), next: 0 });
                None
            }
            _ => {
                pieces.value(|_| {})?;
                None
            }
        };
        loop {
            let Some(innermost) = open.last_mut() else { return Ok(found) };
            if pieces.goes_on_within(innermost)? {
                break;
            }
            open.pop();
        }
    }
}

impl<R: BufRead> Pieces<R> {
    /// Goes to the value on the way that comes next within what is open; `false` behind its end.
    fn goes_on_within(&mut self, open: &mut Open<'_>) -> Result<bool, Stop> {
        loop {
            match (self.token()?, &mut *open) {
                (b'}', Open::Object(_)) | (b']', Open::Array { .. }) => {
                    self.byte(|_| {})?;
                    return Ok(false);
                }
                (b',', _) => self.byte(|_| {})?,
                (b'"', Open::Object(wanted)) => {
                    if self.key()?.is_some_and(|key| key == *wanted) {
                        return Ok(true);
                    }
                    self.value(|_| {})?;
                }
                (_, Open::Object(_)) => return Err(Stop::NotJson(self.at)),
                (_, Open::Array { wanted, next }) => {
                    *next += 1;
                    if *wanted == Some(*next - 1) {
                        return Ok(true);
                    }
                    self.value(|_| {})?;
                }
            }
        }
    }

    /// Passes a key and its colon.
    fn key(&mut self) -> Result<Option<String>, Stop> {
        let mut key = Vec::new();
        self.string(&mut |bytes| key.extend_from_slice(bytes))?;
        if self.token()? != b':' {
            return Err(Stop::NotJson(self.at));
        }
        self.byte(|_| {})?;
        Ok(text_of(&key).map(Cow::into_owned))
    }

    /// Passes white space and the value behind it, which it gives to `keep` without.
    fn value(&mut self, mut keep: impl FnMut(&[u8])) -> Result<(), Stop> {
        let mut depth = 0_u64;
        self.token()?;
        loop {
            match self.peek()? {
                b'"' => self.string(&mut keep)?,
                b'{' | b'[' => {
                    depth += 1;
                    self.byte(&mut keep)?;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.byte(&mut keep)?;
                }
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if depth > 0 => self.byte(&mut keep)?,
                b'}' | b']' | b',' | b':' => return Err(Stop::NotJson(self.at)),
                _ => self.pass_while(|byte| !ends_scalar(byte), &mut keep)?,
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Passes a string, which is what comes next.
    fn string(&mut self, keep: &mut impl FnMut(&[u8])) -> Result<(), Stop> {
        self.byte(&mut *keep)?;
        loop {
            let piece = self.piece()?;
            let end = memchr2(b'"', b'\\', piece);
            let found = end.map(|end| piece[end]);
            let length = end.unwrap_or(piece.len());
            keep(&piece[..length]);
            self.pass(length);
            match found {
                Some(b'"') => return self.byte(keep),
                Some(_) => {
                    self.byte(&mut *keep)?;
                    self.byte(&mut *keep)?;
                }
                None => {}
            }
        }
    }

    /// The first byte behind white space.
    fn token(&mut self) -> Result<u8, Stop> {
        self.pass_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'), &mut |_| {})?;
        self.peek()
    }

    /// Passes all bytes that are `such`; the text may end behind them.
    fn pass_while(&mut self, such: impl Fn(u8) -> bool, keep: &mut impl FnMut(&[u8])) -> Result<(), Stop> {
        loop {
            let piece = self.text.fill_buf().map_err(Stop::Read)?;
            let length = piece.iter().position(|byte| !such(*byte));
            let passed = length.unwrap_or(piece.len());
            keep(&piece[..passed]);
            self.pass(passed);
            if length.is_some() || passed == 0 {
                return Ok(());
            }
        }
    }

    fn byte(&mut self, mut keep: impl FnMut(&[u8])) -> Result<(), Stop> {
        keep(&self.piece()?[..1]);
        self.pass(1);
        Ok(())
    }

    fn peek(&mut self) -> Result<u8, Stop> {
        self.piece().map(|piece| piece[0])
    }

    /// What of the text is at hand; never nothing.
    fn piece(&mut self) -> Result<&[u8], Stop> {
        let at = self.at;
        match self.text.fill_buf() {
            Ok([]) => Err(Stop::Ended(at)),
            Ok(piece) => Ok(piece),
            Err(error) => Err(Stop::Read(error)),
        }
    }

    fn pass(&mut self, bytes: usize) {
        self.text.consume(bytes);
        self.at += bytes as u64;
    }
}

fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b',' | b']' | b'}' | b':' | b'"' | b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n')
}
