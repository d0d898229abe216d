//! Keys and short texts, kept as far as they can matter.

/// A string as it is written, without its quotes, as long as any name that matters can be written.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    bytes: [u8; Self::LONGEST],
    /// How many bytes there are, or one more than have room.
    length: usize,
}

impl Word {
    /// `subscription-notification`, the longest name of interest, with every letter as `\uXXXX`.
    const LONGEST: usize = 6 * b"subscription-notification".len();

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        match self.bytes.get_mut(self.length..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.length = end;
            }
            None => self.length = Self::LONGEST + 1,
        }
    }

    /// Whether it stands for this name, which is ASCII.
    pub(crate) fn is(&self, name: &str) -> bool {
        let Some(mut written) = self.bytes.get(..self.length) else { return false };
        // Nearly always it is written without escapes.
        if written.len() == name.len() {
            return written == name.as_bytes();
        }
        name.bytes().all(|wanted| next(&mut written) == Some(wanted)) && written.is_empty()
    }
}

impl Default for Word {
    fn default() -> Self {
        Self { bytes: [0; Self::LONGEST], length: 0 }
    }
}

/// Takes one character off the front, if it is ASCII and no control character.
fn next(written: &mut &[u8]) -> Option<u8> {
    let (character, rest) = match *written {
        [b'\\', b'u', b'0', b'0', high, low, rest @ ..] => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            (u8::try_from(digit(high)? << 4 | digit(low)?).ok()?, rest)
        }
        [b'\\', escaped @ (b'"' | b'\\' | b'/'), rest @ ..] => (*escaped, rest),
        [b'\\', ..] | [] => return None,
        [plain, rest @ ..] => (*plain, rest),
    };
    *written = rest;
    Some(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(written: &str) -> Word {
        let mut word = Word::default();
        written.as_bytes().chunks(3).for_each(|piece| word.push(piece));
        word
    }

    #[test]
    fn escapes_do_not_hide_a_name() {
        for written in ["entry", r"\u0065ntry", r"e\u006Et\u0072y"] {
            assert!(word(written).is("entry"), "{written}");
        }
        assert!(word(r"a\/b").is("a/b"));
        for written in ["", "entr", "entryy", "Entry", r"\u0165ntry", r"entry\u0000", r"entry\", r"\n"] {
            assert!(!word(written).is("entry"), "{written}");
        }
    }

    #[test]
    fn what_is_too_long_is_no_name() {
        let mut word = word(&"\\u0061".repeat(25));
        assert!(word.is(&"a".repeat(25)));
        word.push(b"a");
        assert!(!word.is(&"a".repeat(26)));
        word.push(b"a");
        word.clear();
        word.push(b"a");
        assert!(word.is("a"));
    }
}
