//! What a first look found out that a second one needs again.

use std::fmt;

use fhirline_core::mapped_buffer;

/// Shorter objects are measured again in less time than it takes to look them up.
const LEAST_LENGTH: usize = 32;

/// What is noted takes at most so many bytes: enough for a GiB of entries of a kilobyte. What comes behind is measured again.
const MAX_BYTES: usize = 4 << 20;

/// Where the longer objects in the entries of a part begin, and how long they are, as a first look at the part found them: see
/// [`Framer::take_lengths`](crate::Framer::take_lengths).
///
/// They are a hint. An object ends with the bracket that closes its first one, and no other text that begins where it does is one
/// object: so a length that is wrong, because the bytes have changed since, makes a part that fails its proof, and never
/// another resource.
///
/// Its `Debug` gives lengths only.
#[derive(Default)]
pub struct Lengths {
    /// For each object the distance from the end of the one before, and its length: seven bits a byte, the lowest first.
    codes: Vec<u8>,
    /// Up to where the codes were read.
    read: usize,
    /// The end of the object noted last; counted, as all places are, from the beginning of the part.
    end: u64,
    /// The object read last.
    ahead: Option<Stretch>,
}

/// Where an object stands.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    at: u64,
    length: usize,
}

impl Lengths {
    /// How much memory one of them may take.
    pub const MAX_BYTES: usize = MAX_BYTES;

    /// Notes an object that begins there, behind all that were noted before.
    pub(crate) fn note(&mut self, at: u64, length: usize) {
        /// The longest number takes so many bytes.
        const LONGEST: usize = u64::BITS.div_ceil(7) as usize;
        if length < LEAST_LENGTH || self.codes.len() + 2 * LONGEST > MAX_BYTES {
            return;
        }
        if self.codes.is_empty() {
            self.codes = mapped_buffer(MAX_BYTES);
        }
        write(&mut self.codes, at - self.end);
        write(&mut self.codes, length as u64);
        self.end = at + length as u64;
    }

    /// The length of the object that begins there, if it was noted. Places may be asked for in their order only.
    pub(crate) fn length_at(&mut self, at: u64) -> Option<usize> {
        while self.ahead.is_none_or(|ahead| ahead.at < at) {
            let behind = self.ahead.map_or(0, |ahead| ahead.at + ahead.length as u64);
            let mut codes = self.codes.get(self.read..)?;
            let distance = read(&mut codes)?;
            let length = usize::try_from(read(&mut codes)?).ok()?;
            self.read = self.codes.len() - codes.len();
            self.ahead = Some(Stretch { at: behind + distance, length });
        }
        self.ahead.filter(|ahead| ahead.at == at).map(|ahead| ahead.length)
    }
}

fn write(codes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        codes.push(number as u8 | 0x80);
        number >>= 7;
    }
    codes.push(number as u8);
}

fn read(codes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (&byte, rest) = codes.split_first()?;
        *codes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}

impl fmt::Debug for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lengths").field("bytes", &self.codes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_noted_is_found_where_it_is_asked_for(
            objects in prop::collection::vec((0..1_u64 << 40, 0..1_usize << 33, any::<bool>()), 0..50),
        ) {
            let (mut lengths, mut noted, mut end) = (Lengths::default(), Vec::new(), 0);
            for (distance, length, is_asked_for) in objects {
                let at = end + distance;
                end = at + length as u64;
                lengths.note(at, length);
                noted.push((at, length, is_asked_for));
            }
            for &(at, length, _) in noted.iter().filter(|(.., is_asked_for)| *is_asked_for) {
                let found = lengths.length_at(at);
                // Of one without any length only the place is the same as that of the next.
                if length > 0 {
                    prop_assert_eq!(found, (length >= LEAST_LENGTH).then_some(length));
                    prop_assert_eq!(lengths.length_at(at), found);
                }
                prop_assert_eq!(lengths.length_at(at + 1).filter(|_| length > 1), None);
            }
            prop_assert_eq!(lengths.length_at(u64::MAX), None);
        }
    }

    #[test]
    fn what_has_no_room_is_not_noted() {
        let mut lengths = Lengths::default();
        let places = || (0..3 << 20).map(|number| number * 1_000);
        places().for_each(|at| lengths.note(at, 900));
        assert!(lengths.codes.len() <= MAX_BYTES && MAX_BYTES < lengths.codes.len() + 30);
        let known = places().take_while(|&at| lengths.length_at(at) == Some(900)).count();
        assert_eq!(known, lengths.codes.len() / 3);
        assert!(places().skip(known).all(|at| lengths.length_at(at).is_none()));
    }
}
