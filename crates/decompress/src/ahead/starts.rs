//! Where members may begin.

use std::collections::VecDeque;

use memchr::memmem::Finder;

/// How a member begins: magic and method. The byte behind it holds flags.
const START: &[u8] = &[0x1f, 0x8b, 8];
const RESERVED_FLAGS: u8 = 0xe0;

/// More starts than this are not looked for at once: they need memory.
const MOST_STARTS: usize = 4096;

/// The places where members may begin, in a source that is seen piece by piece. They are counted from the start of the source.
///
/// A member whose length is not stated ends where the next may begin: if that is wrong, the one is not decoded ahead,
/// and the other in vain.
pub(crate) struct Starts {
    finder: Finder<'static>,
    found: VecDeque<u64>,
    /// Up to where the source was looked at.
    looked_to: u64,
}

impl Starts {
    pub(crate) fn new() -> Self {
        Self { finder: Finder::new(START), found: VecDeque::new(), looked_to: 0 }
    }

    /// The first place from `from` on that may hold a member and whose end is known, in `held`, which begins at `at` and
    /// may be the last of the source.
    pub(crate) fn place(&mut self, from: u64, at: u64, held: &[u8], is_last: bool) -> Option<(u64, u64)> {
        while self.found.front().is_some_and(|&start| start < from) {
            self.found.pop_front();
        }
        self.look(from, at, held);
        let start = *self.found.front()?;
        let end_of_held = at + held.len() as u64;
        if let Some(stored_bytes) = stated_bytes(&held[(start - at) as usize..]) {
            let end = start + stored_bytes;
            return (end <= end_of_held).then_some((start, end));
        }
        let end = self.found.get(1).copied().or_else(|| is_last.then_some(end_of_held))?;
        Some((start, end))
    }

    fn look(&mut self, from: u64, at: u64, held: &[u8]) {
        self.looked_to = self.looked_to.max(from);
        while self.found.len() < MOST_STARTS {
            let skipped = (self.looked_to - at) as usize;
            let Some(rest) = held.get(skipped..) else { return };
            let Some(place) = self.finder.find(rest) else {
                // The beginning of a start may be the last that is held.
                self.looked_to += rest.len().saturating_sub(START.len() - 1) as u64;
                return;
            };
            self.looked_to += place as u64;
            match rest.get(place + START.len()) {
                None => return,
                Some(flags) if flags & RESERVED_FLAGS == 0 => self.found.push_back(self.looked_to),
                Some(_) => {}
            }
            self.looked_to += 1;
        }
    }
}

/// The stored length of a member, if it states one: that of BGZF does, in a subfield of its header (section 4.1 of the SAM
/// specification).
fn stated_bytes(member: &[u8]) -> Option<u64> {
    const FIELD_FLAG: u8 = 4;
    let (header, field) = member.split_at_checked(12)?;
    let field = field.get(..usize::from(u16::from_le_bytes([header[10], header[11]])))?;
    if header[3] & FIELD_FLAG == 0 {
        return None;
    }
    match field {
        // By far the most common: no other subfield.
        [b'B', b'C', 2, 0, low, high] => Some(u64::from(u16::from_le_bytes([*low, *high])) + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: &[u8] = b"\x1f\x8b\x08\x00..........";

    /// All places of a source, seen in pieces of that many bytes.
    fn places(source: &[u8], piece: usize) -> Vec<(u64, u64)> {
        let (mut starts, mut from, mut found) = (Starts::new(), 0, Vec::new());
        for held in (0..=source.len()).step_by(piece).chain([source.len()]) {
            while let Some((start, end)) = starts.place(from, 0, &source[..held], held == source.len()) {
                found.push((start, end));
                from = end;
            }
        }
        found
    }

    #[test]
    fn a_member_ends_where_the_next_may_begin() {
        let source =
            [MEMBER, &[7; 30], MEMBER, b"\x1f\x8b\x08\x20\x1f\x8b\x09\0\x1f\x1f\x8b", MEMBER].concat();
        for piece in [1, 2, 3, 5, 1000] {
            assert_eq!(places(&source, piece), [(0, 44), (44, 69), (69, 83)], "{piece}");
        }
        assert_eq!(places(b"nothing of the kind", 4), []);
        assert_eq!(places(&[MEMBER, b"\x1f\x8b\x08"].concat(), 1), [(0, 17)]);
    }

    #[test]
    fn a_member_of_bgzf_ends_where_it_says() {
        let block = |length: u16| {
            let head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0";
            let mut block = [&head[..], &(length - 1).to_le_bytes(), MEMBER].concat();
            block.resize(usize::from(length), 1);
            block
        };
        let source = [block(70), block(50), MEMBER.to_vec()].concat();
        for piece in [1, 17, 1000] {
            assert_eq!(places(&source, piece), [(0, 70), (70, 120), (120, 134)], "{piece}");
        }
        // Not all that it says is there.
        assert_eq!(places(&block(70)[..69], 7), []);
    }

    #[test]
    fn what_was_passed_over_is_not_looked_at() {
        let source = MEMBER.repeat(5);
        let mut starts = Starts::new();
        assert_eq!(starts.place(0, 0, &source, false), Some((0, 14)));
        assert_eq!(starts.place(30, 20, &source[20..], false), Some((42, 56)));
        assert_eq!(starts.place(56, 50, &source[50..], true), Some((56, 70)));
    }

    #[test]
    fn the_number_of_starts_is_bounded() {
        let source = b"\x1f\x8b\x08\x00".repeat(3 * MOST_STARTS);
        let mut starts = Starts::new();
        let mut from = 0;
        for member in 0..3 * MOST_STARTS as u64 {
            let place = starts.place(from, 0, &source, true);
            assert_eq!(place, Some((4 * member, 4 * member + 4)));
            assert!(starts.found.len() <= MOST_STARTS);
            from = 4 * member + 4;
        }
    }
}
