//! The bodies of strings: where they end, and what their escapes stand for.

use super::top::Top;
use crate::decode;
use crate::lanes::Baseline;
use crate::specials::Specials;

/// The body of the string that is being read.
#[derive(Default)]
pub(super) struct Body {
    place: Place,
    /// The first half of a surrogate pair whose second half has not come yet; 0 if there is none.
    lead: u16,
}

#[derive(Clone, Copy, Default)]
enum Place {
    /// Between escapes.
    #[default]
    Plain,
    /// Behind a backslash.
    Escape,
    /// Within the digits of `\uXXXX`: how many were read, and their number.
    Digits(u8, u16),
}

impl Body {
    /// Reads on from `at`: the offset up to which the body was read, and whether the closing quote was the last of it.
    /// The text goes to `top`.
    ///
    /// # Errors
    /// The offset of the first byte that cannot stand there.
    #[inline]
    pub(super) fn pass(
        &mut self,
        text: &[u8],
        specials: &mut Specials<Baseline>,
        at: usize,
        top: &mut Top,
    ) -> Result<(usize, bool), usize> {
        if !matches!(self.place, Place::Plain) {
            self.escape(text[at], top).ok_or(at)?;
            return Ok((at + 1, false));
        }
        let end = specials.next(text, at);
        if top.listens() && end > at {
            self.settle(top);
            top.push(&text[at..end]);
        }
        match text.get(end) {
            None => Ok((end, false)),
            Some(b'"') => {
                self.settle(top);
                Ok((end + 1, true))
            }
            Some(b'\\') => {
                self.place = Place::Escape;
                Ok((end + 1, false))
            }
            Some(_) => Err(end),
        }
    }

    /// Takes the next byte of an escape; `None` if it cannot stand there.
    fn escape(&mut self, byte: u8, top: &mut Top) -> Option<()> {
        self.place = match self.place {
            Place::Digits(read, unit) => {
                let unit = unit << 4 | char::from(byte).to_digit(16)? as u16;
                if read < 3 {
                    Place::Digits(read + 1, unit)
                } else {
                    self.unit(unit, top);
                    Place::Plain
                }
            }
            _ if byte == b'u' => Place::Digits(0, 0),
            _ => {
                let simple = decode::simple_escape(byte)?;
                self.settle(top);
                top.push(&[simple]);
                Place::Plain
            }
        };
        Some(())
    }

    /// Takes one unit of UTF-16: a character, or half of one.
    fn unit(&mut self, unit: u16, top: &mut Top) {
        const LEADS: std::ops::RangeInclusive<u16> = 0xD800..=0xDBFF;
        let pair = char::decode_utf16([self.lead, unit]).next().and_then(Result::ok);
        if let Some(character) = pair.filter(|_| self.lead != 0) {
            self.lead = 0;
            return top.push_char(character);
        }
        self.settle(top);
        if LEADS.contains(&unit) {
            self.lead = unit;
        } else {
            top.push_char(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }

    /// The second half of a surrogate pair has not come: the first half is no character.
    #[inline]
    fn settle(&mut self, top: &mut Top) {
        if self.lead != 0 {
            self.lead = 0;
            top.push_char(char::REPLACEMENT_CHARACTER);
        }
    }
}
