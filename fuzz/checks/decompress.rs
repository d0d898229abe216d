//! Decoding ends, keeps to its limits, does not depend on how the source is cut, and never ends well on wrong bytes.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use fhirline_decompress::{Compression, Decoder, DecompressError, Limits};

use super::choices::Choices;

/// Where a caller without a limit stops reading: bytes can decode to a million times as many.
const STOP_AT: usize = 1 << 18;

const HEADS: [&[u8]; 8] = [
    b"",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"\x50\x2a\x4d\x18",
    b"BZh1",
    b"BZh91AY&SY",
    b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01",
    b"\xfd7zXZ\0\0\x01\x69\x22\xde\x36\x02\0\x21\x01",
];

pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let made = choices.of(&[None, Some(Compression::Gzip), Some(Compression::Zstd)]);
    let window_bytes = choices.of(&[1 << 22, 1 << 20, 1 << 18, 0, 1 << 16]);
    let max_decoded_bytes = choices.of(&[None, Some(0), Some(1), Some(100), Some(65_536), Some(100_000)]);
    let limits = Limits::default().with_window_bytes(window_bytes).with_max_decoded_bytes(max_decoded_bytes);
    let plan = Plan { limits, room: choices.size(), cuts: choices.cuts(), begun_bytes: 0 };
    match made {
        None => {
            let head = choices.of(&HEADS);
            plan.check_any(&[head, choices.rest()].concat());
        }
        Some(compression) => {
            let members = Members::choose(compression, &mut choices);
            let damage = Damage::choose(&mut choices);
            members.check(choices.rest(), &damage, &plan);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Good,
    Bad(DecompressError),
    /// The caller had enough.
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Decoded {
    compression: Option<Compression>,
    data: Vec<u8>,
    end: End,
}

struct Plan {
    limits: Limits,
    /// Bytes that the caller has room for in each read.
    room: usize,
    cuts: [usize; 4],
    /// The buffer of what is decoded before anybody reads.
    begun_bytes: usize,
}

impl Plan {
    /// Checks what must hold for any bytes at all.
    fn check_any(&self, stored: &[u8]) -> Decoded {
        let decoded = self.decode(stored, &[usize::MAX], self.room);
        for cuts in [&self.cuts[..], &[1]] {
            assert_eq!(self.decode(stored, cuts, self.room), decoded);
        }
        let roomy = self.decode(stored, &self.cuts, STOP_AT);
        if decoded.end == End::Good || roomy.end == End::Good {
            assert_eq!(roomy, decoded);
        }
        if decoded.end == End::Good {
            assert_eq!(self.decode_with_failures(stored), decoded);
        }
        self.check_ahead(stored, &decoded);
        self.check_begun(stored, &decoded);
        self.check_cap(stored, &decoded);
        if decoded.compression == Some(Compression::None) {
            self.check_gone_on(stored, &decoded);
        }
        decoded
    }

    /// Members that are decoded before their turn are no different.
    fn check_ahead(&self, stored: &[u8], decoded: &Decoded) {
        for threads in [2, 3] {
            let limits = self.limits.with_ahead(threads, 2 << 20);
            assert_eq!(&Self { limits, ..*self }.decode(stored, &self.cuts, self.room), decoded);
        }
    }

    /// A source whose beginning was decoded before it is read is no different.
    fn check_begun(&self, stored: &[u8], decoded: &Decoded) {
        if !matches!(decoded.compression, None | Some(Compression::None | Compression::Gzip)) {
            return;
        }
        for begun_bytes in [0, 1, self.room, 1000, STOP_AT] {
            let plan = Self { begun_bytes, ..*self };
            let reader = Cut { bytes: stored, cuts: &self.cuts, turn: 0, failing: Rc::default() };
            let begun = Decoder::begun(reader, self.limits, Vec::new(), |_| Some(begun_bytes));
            let begun = begun.map(|decoder| decoder.expect("wanted"));
            assert_eq!(&plan.read_all(begun, stored, self.room, || ()), decoded);
        }
    }

    /// What a cap lets through is the beginning of all there is.
    fn check_cap(&self, stored: &[u8], decoded: &Decoded) {
        let Some(most) = self.limits.max_decoded_bytes else { return };
        assert!(decoded.data.len() as u64 <= most);
        let limits = self.limits.with_max_decoded_bytes(None);
        let free = Self { limits, ..*self }.decode(stored, &self.cuts, self.room);
        assert!(free.data.starts_with(&decoded.data));
        match decoded.end {
            End::Bad(DecompressError::TooLong { max_decoded_bytes }) => {
                assert_eq!((max_decoded_bytes, decoded.data.len() as u64), (most, most));
                assert!(free.data.len() as u64 > most);
            }
            _ => assert_eq!(&free, decoded),
        }
    }

    /// A plain source can be gone on with anywhere.
    fn check_gone_on(&self, stored: &[u8], decoded: &Decoded) {
        let at = self.room.min(decoded.data.len());
        let reader = Cut { bytes: &stored[at..], cuts: &self.cuts, turn: 0, failing: Rc::default() };
        let mut decoder = Decoder::plain_from(reader, self.limits, at as u64);
        let mut rest = Vec::new();
        let result = decoder.read_to_end(&mut rest);
        let end =
            result.map_or_else(|error| DecompressError::find_in(&error).map(End::Bad), |_| Some(End::Good));
        assert_eq!((rest.as_slice(), end), (&decoded.data[at..], Some(decoded.end)));
        assert_eq!(decoder.decoded_bytes(), decoded.data.len() as u64);
    }

    fn decode(&self, stored: &[u8], cuts: &[usize], room: usize) -> Decoded {
        let reader = Cut { bytes: stored, cuts, turn: 0, failing: Rc::default() };
        self.read_all(Decoder::new(reader, self.limits), stored, room, || ())
    }

    /// Decodes from a reader that fails now and then, and can be read on.
    fn decode_with_failures(&self, stored: &[u8]) -> Decoded {
        let failing = Rc::new(Cell::new(false));
        let reader = Cut { bytes: stored, cuts: &self.cuts, turn: 0, failing: Rc::clone(&failing) };
        let decoder = Decoder::new(reader, self.limits);
        failing.set(true);
        self.read_all(decoder, stored, self.room, || failing.set(true))
    }

    fn read_all(
        &self,
        decoder: io::Result<Decoder<Cut<'_>>>,
        stored: &[u8],
        room: usize,
        after_failure: impl Fn(),
    ) -> Decoded {
        let mut decoder = match decoder {
            Ok(decoder) => decoder,
            Err(error) => {
                let end = End::Bad(DecompressError::find_in(&error).expect("the reader did not fail"));
                return Decoded { compression: None, data: Vec::new(), end };
            }
        };
        let (mut data, mut buffer) = (Vec::new(), vec![0; room]);
        let end = loop {
            self.check_numbers(&decoder, &data, stored);
            match decoder.read(&mut buffer) {
                Ok(0) => break End::Good,
                Ok(read) => data.extend_from_slice(&buffer[..read]),
                Err(error) => match DecompressError::find_in(&error) {
                    Some(found) => break End::Bad(found),
                    None => {
                        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                        after_failure();
                    }
                },
            }
            if data.len() >= STOP_AT {
                data.truncate(STOP_AT);
                break End::Stopped;
            }
        };
        check_is_final(&mut decoder, end);
        if end == End::Good {
            assert_eq!(decoder.stored_bytes(), stored.len() as u64);
        }
        Decoded { compression: Some(decoder.compression()), data, end }
    }

    fn check_numbers(&self, decoder: &Decoder<Cut<'_>>, data: &[u8], stored: &[u8]) {
        assert!(decoder.stored_bytes() <= stored.len() as u64);
        assert_eq!(decoder.decoded_bytes(), data.len() as u64);
        assert!(decoder.memory_bytes() <= self.limits.memory_bytes() + self.begun_bytes as u64);
    }
}

fn check_is_final(decoder: &mut Decoder<Cut<'_>>, end: End) {
    let again = decoder.read(&mut [0; 9]);
    match end {
        End::Good => assert_eq!(again.expect("the end"), 0),
        End::Bad(error) => {
            assert_eq!(DecompressError::find_in(&again.expect_err("still an error")), Some(error));
        }
        End::Stopped => {}
    }
}

/// A reader that gives the bytes in pieces, is interrupted, and fails once whenever that was asked for.
struct Cut<'b> {
    bytes: &'b [u8],
    cuts: &'b [usize],
    turn: usize,
    failing: Rc<Cell<bool>>,
}

impl Read for Cut<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(5) {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.turn.is_multiple_of(3) && self.failing.replace(false) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let size = self.cuts[self.turn % self.cuts.len()];
        self.bytes.by_ref().take(size as u64).read(into)
    }
}

/// How content is stored.
struct Members {
    compression: Compression,
    level: i32,
    count: usize,
    /// Zeros behind each member.
    padding: usize,
}

enum Damage {
    None,
    /// Bits that are wrong; so few that no checksum can be made right again.
    Flips(Vec<usize>),
    /// How much is missing at the end.
    Cut(usize),
}

impl Damage {
    fn choose(choices: &mut Choices<'_>) -> Self {
        let kind = choices.byte();
        let mut place = || usize::from(choices.byte()) << 8 | usize::from(choices.byte());
        match kind % 4 {
            0 => Self::None,
            1 => Self::Cut(place()),
            flips => Self::Flips((1..flips).map(|_| place()).collect()),
        }
    }
}

impl Members {
    fn choose(compression: Compression, choices: &mut Choices<'_>) -> Self {
        Self {
            compression,
            level: i32::from(choices.byte() % 9) + 1,
            count: usize::from(choices.byte() % 4) + 1,
            padding: usize::from(choices.byte()),
        }
    }

    fn check(&self, data: &[u8], damage: &Damage, plan: &Plan) {
        let (mut stored, mut parts, mut ends) =
            (Vec::new(), data.chunks(data.len() / self.count + 1), vec![]);
        for _ in 0..self.count {
            stored.extend(self.member(parts.next().unwrap_or_default()));
            ends.push(stored.len());
            stored.resize(stored.len() + self.padding, 0);
        }
        let whole = stored.len();
        match damage {
            Damage::None => {}
            Damage::Cut(missing) => stored.truncate(whole - missing % whole),
            Damage::Flips(bits) => bits.iter().for_each(|bit| stored[bit / 8 % whole] ^= 1 << (bit % 8)),
        }
        let decoded = plan.check_any(&stored);
        if let (Damage::None, Some(_)) = (damage, decoded.compression) {
            assert!(decoded.end == End::Good || is_limit(decoded.end), "{:?}", decoded.end);
        }
        if decoded.end != End::Good {
            return;
        }
        // Without its magic it is plain text; it may end between two members.
        let is_cut_between = || {
            let members = ends.iter().filter(|&&end| end <= stored.len()).count();
            let begun = members.checked_sub(1).map_or(0, |last| ends[last]);
            let part = data.len() / self.count + 1;
            stored.len() <= begun + self.padding && decoded.data == data[..data.len().min(members * part)]
        };
        match (decoded.compression, damage) {
            (Some(Compression::None), Damage::Flips(_)) => assert_eq!(decoded.data, stored),
            (Some(Compression::None), Damage::Cut(_)) => assert!(stored.len() < 2 && decoded.data == stored),
            (_, Damage::Cut(_)) => assert!(is_cut_between(), "a clean end of a cut source"),
            _ => assert!(decoded.data == data, "a clean end with other bytes"),
        }
    }

    fn member(&self, data: &[u8]) -> Vec<u8> {
        let level = self.level;
        let written = match self.compression {
            Compression::Gzip => {
                let level = flate2::Compression::new(level.unsigned_abs());
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(data).and_then(|()| encoder.finish())
            }
            _ => zstd::stream::write::Encoder::new(Vec::new(), level).and_then(|mut encoder| {
                encoder.include_checksum(true)?;
                encoder.write_all(data)?;
                encoder.finish()
            }),
        };
        written.expect("a vector takes all")
    }
}

fn is_limit(end: End) -> bool {
    use DecompressError::{TooLong, WindowTooLarge};
    matches!(end, End::Bad(WindowTooLarge { .. } | TooLong { .. }))
}
