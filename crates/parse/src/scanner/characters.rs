//! UTF-8 that comes in pieces cut anywhere, also within a character.

use std::str::Utf8Error;

/// Puts characters together again that were cut between two pieces.
#[derive(Default)]
pub(super) struct Characters {
    /// The bytes of a character whose rest has not come yet.
    held: [u8; 4],
    length: usize,
}

/// A stretch of the bytes pushed.
pub(super) enum Stretch<'p> {
    /// Whole characters.
    Text(&'p str),
    /// Bytes that cannot begin a character, as many as stand for one U+FFFD.
    Broken(&'p [u8]),
}

impl Characters {
    /// Takes the next piece, and tells of each stretch that is settled by now.
    pub(super) fn push(&mut self, piece: &[u8], mut each: impl FnMut(Stretch<'_>)) {
        let rest = self.join(piece, &mut each);
        if rest.is_empty() {
            return;
        }
        // Looked for beforehand: what stands before it is then text at the first attempt, and is proven once.
        let (mut rest, open) = rest.split_at(rest.len() - open_end(rest));
        self.held[..open.len()].copy_from_slice(open);
        self.length = open.len();
        loop {
            match str::from_utf8(rest) {
                Ok(text) => return each(Stretch::Text(text)),
                Err(error) => rest = step_over(rest, &error, &mut each),
            }
        }
    }

    /// Goes on with the character that is held, and returns what is left of the piece.
    fn join<'p>(&mut self, piece: &'p [u8], each: &mut impl FnMut(Stretch<'_>)) -> &'p [u8] {
        let mut rest = piece;
        while self.length > 0
            && let Some((&next, behind)) = rest.split_first()
        {
            self.held[self.length] = next;
            match str::from_utf8(&self.held[..=self.length]) {
                Err(error) if error.error_len().is_none() => self.length += 1,
                Ok(character) => {
                    each(Stretch::Text(character));
                    self.length = 0;
                }
                // What was held could still become a character, so the byte behind it is what breaks it: that one is
                // no part of it, and is looked at again.
                Err(_) => {
                    each(Stretch::Broken(&self.held[..self.length]));
                    self.length = 0;
                    return rest;
                }
            }
            rest = behind;
        }
        rest
    }

    /// Bytes that wait for the rest of their character.
    pub(super) fn held(&self) -> usize {
        self.length
    }
}

/// Tells of the text before the error, and of the error; returns what stands behind it.
fn step_over<'p>(bytes: &'p [u8], error: &Utf8Error, each: &mut impl FnMut(Stretch<'_>)) -> &'p [u8] {
    let (text, behind) = bytes.split_at(error.valid_up_to());
    each(Stretch::Text(str::from_utf8(text).unwrap_or_default()));
    let (broken, rest) = behind.split_at(error.error_len().unwrap_or(behind.len()));
    each(Stretch::Broken(broken));
    rest
}

/// Length of the character without its rest at the end of the bytes; 0 if there is none.
fn open_end(bytes: &[u8]) -> usize {
    let end = &bytes[bytes.len().saturating_sub(3)..];
    let open = end.iter().rposition(|&byte| byte >= 0xC0).map_or(&[][..], |lead| &end[lead..]);
    let is_open = str::from_utf8(open).is_err_and(|error| error.error_len().is_none());
    if is_open { open.len() } else { 0 }
}

/// The proof of UTF-8.
#[derive(Default)]
pub(super) struct Utf8 {
    characters: Characters,
    /// Offset behind the whole characters from the beginning on.
    valid_to: u64,
    broken: Option<Broken>,
}

/// The first place that is not UTF-8.
struct Broken {
    /// Behind its last byte.
    end: u64,
    /// Whether it is the beginning of a character, broken off.
    open: bool,
}

impl Utf8 {
    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let Self { characters, valid_to, broken } = self;
        // Nearly all text is ASCII, and this is quicker to see than the rest.
        if characters.held() == 0 && broken.is_none() && piece.is_ascii() {
            *valid_to += piece.len() as u64;
            return;
        }
        characters.push(piece, |stretch| match stretch {
            _ if broken.is_some() => {}
            Stretch::Text(text) => *valid_to += text.len() as u64,
            Stretch::Broken(bytes) => {
                let open = str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none());
                *broken = Some(Broken { end: *valid_to + bytes.len() as u64, open });
            }
        });
    }

    /// Offset behind the whole characters from the beginning on.
    pub(super) fn valid_to(&self) -> u64 {
        self.valid_to
    }

    /// Whether a place was seen that is not UTF-8, whatever follows.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Where a text that ends at `end` is not UTF-8, and whether it is so only because it ends within a character.
    pub(super) fn fault(&self, end: u64) -> Option<(u64, bool)> {
        let cut_off = match &self.broken {
            Some(broken) => broken.open && broken.end == end,
            None if self.characters.held() > 0 => true,
            None => return None,
        };
        Some((self.valid_to, cut_off))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `String::from_utf8_lossy` would say, from pieces.
    fn lossy<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> String {
        let (mut characters, mut out) = (Characters::default(), String::new());
        for piece in pieces {
            characters.push(piece, |stretch| match stretch {
                Stretch::Text(text) => out.push_str(text),
                Stretch::Broken(_) => out.push(char::REPLACEMENT_CHARACTER),
            });
        }
        if characters.held() > 0 {
            out.push(char::REPLACEMENT_CHARACTER);
        }
        out
    }

    #[test]
    fn every_sequence_of_telling_bytes_in_pieces_of_every_size() {
        let telling = b"a\x80\x9F\xA0\xBF\xC1\xC3\xE0\xED\xEF\xF0\xF4\xFF";
        let count = telling.len().pow(4);
        for number in 0..count {
            let text = [0, 1, 2, 3].map(|place| telling[number / telling.len().pow(place) % telling.len()]);
            let wanted = String::from_utf8_lossy(&text);
            for size in 1..=4 {
                assert_eq!(lossy(text.chunks(size)), wanted, "{} by {size}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn the_first_broken_place_is_kept() {
        for (text, fault) in [
            (&b"abc"[..], None),
            ("aé\u{1F600}".as_bytes(), None),
            (b"a\xC3", Some((1, true))),
            (b"a\xF0\x9F\x98", Some((1, true))),
            (b"a\xF0\x9F b\xFF", Some((1, false))),
            (b"ab\xFF", Some((2, false))),
            (b"\xC3\xA9\xED\xA0\x80", Some((2, false))),
        ] {
            for size in 1..=text.len() {
                let mut utf8 = Utf8::default();
                text.chunks(size).for_each(|piece| utf8.push(piece));
                assert_eq!(utf8.fault(text.len() as u64), fault, "{} by {size}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn what_ends_before_white_space_may_be_cut_off() {
        let mut utf8 = Utf8::default();
        utf8.push(b"a\xF0\x9F  ");
        assert_eq!(utf8.fault(3), Some((1, true)));
        assert_eq!(utf8.fault(5), Some((1, false)));
    }
}
