//! Members that are decoded before their turn: the sequential decoder is the oracle, for what comes out, how it ends, and what
//! is told of it.

mod support;

use std::io::{self, Read, Write};

use fhirline_decompress::{Decoder, DecompressError, Limits};
use flate2::{Compression, GzBuilder};
use proptest::prelude::*;
use support::{Cut, noise, sample};

const KIB: usize = 1 << 10;

/// Gives each job 128 KiB to decode to, so that members of the tests may be too large for it.
fn narrow(threads: usize) -> Limits {
    let threads_bytes = 384 * (threads - 1) + 128 * (threads + 1);
    Limits::default().with_ahead(threads, ((threads_bytes + 130 * (threads + 3)) * KIB) as u64)
}

fn in_sequence(limits: Limits) -> Limits {
    limits.with_ahead(0, 0)
}

// ---- sources ---------------------------------------------------------------------------------------------------------

fn gzip(data: &[u8], level: u32) -> Vec<u8> {
    with_header(GzBuilder::new(), data, level)
}

fn with_header(header: GzBuilder, data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = header.write(Vec::new(), Compression::new(level));
    encoder.write_all(data).expect("a vector");
    encoder.finish().expect("a vector")
}

/// As `bgzip` writes it: members of 64 KiB that state their stored length, and an empty one behind the last.
fn bgzf(data: &[u8]) -> Vec<u8> {
    let pieces = data.chunks(0xff00).chain([&b""[..]]);
    pieces.flat_map(|piece| with_stated_length(piece, 0)).collect()
}

/// A member that states its length, which is so much more.
fn with_stated_length(data: &[u8], more: u16) -> Vec<u8> {
    let header = GzBuilder::new().extra(b"BC\x02\0\0\0".to_vec()).operating_system(255);
    let mut member = with_header(header, data, 6);
    let length = (member.len() - 1) as u16;
    member[16..18].copy_from_slice(&length.wrapping_add(more).to_le_bytes());
    member
}

/// A member of one block that is not compressed: the bytes stand in it as they are.
fn uncompressed(data: &[u8]) -> Vec<u8> {
    let mut member = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    for (place, piece) in data.chunks(0xffff).enumerate() {
        let length = piece.len() as u16;
        member.push(u8::from((place + 1) * 0xffff >= data.len()));
        member.extend_from_slice(&length.to_le_bytes());
        member.extend_from_slice(&(!length).to_le_bytes());
        member.extend_from_slice(piece);
    }
    if data.is_empty() {
        member.extend_from_slice(b"\x01\0\0\xff\xff");
    }
    let mut crc = flate2::Crc::new();
    crc.update(data);
    member.extend_from_slice(&crc.sum().to_le_bytes());
    member.extend_from_slice(&(data.len() as u32).to_le_bytes());
    member
}

/// A member whose header has a checksum of its own.
fn with_header_checksum(data: &[u8], right: bool) -> Vec<u8> {
    let mut member = gzip(data, 6);
    member[3] |= 2;
    let mut crc = flate2::Crc::new();
    crc.update(&member[..10]);
    let sum = crc.sum() as u16 ^ u16::from(!right);
    member.splice(10..10, sum.to_le_bytes());
    member
}

// ---- comparison ------------------------------------------------------------------------------------------------------

#[derive(PartialEq, Eq)]
struct Told {
    data: Vec<u8>,
    end: Result<(), DecompressError>,
    stored_bytes: u64,
    /// How often the reader failed, and what had come out before.
    failures: Vec<u64>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { data, end, stored_bytes, failures } = self;
        write!(f, "{} bytes, {end:?} at {stored_bytes}, failures {failures:?}", data.len())
    }
}

fn decode(reader: impl Read, limits: Limits, room: usize) -> Told {
    let mut told = Told { data: Vec::new(), end: Ok(()), stored_bytes: 0, failures: Vec::new() };
    let mut decoder = match Decoder::new(reader, limits) {
        Ok(decoder) => decoder,
        Err(error) => {
            told.end = Err(DecompressError::find_in(&error).expect("no failure of the reader"));
            return told;
        }
    };
    let (mut room, mut before) = (vec![0; room], 0);
    loop {
        match decoder.read(&mut room) {
            Ok(0) => break,
            Ok(read) => told.data.extend_from_slice(&room[..read]),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                told.failures.push(decoder.decoded_bytes());
            }
            Err(error) => {
                told.end = Err(DecompressError::find_in(&error).expect("no failure of the reader"));
                break;
            }
        }
        assert_eq!(decoder.decoded_bytes(), told.data.len() as u64);
        assert!(decoder.memory_bytes() <= limits.memory_bytes());
        assert!((before..).contains(&decoder.stored_bytes()));
        before = decoder.stored_bytes();
    }
    told.stored_bytes = decoder.stored_bytes();
    told
}

fn decode_cut(stored: &[u8], limits: Limits, input: usize, room: usize) -> Told {
    decode(Cut { rest: stored, most: input }, limits, room)
}

/// Decodes ahead and in sequence, and compares.
fn compare(stored: &[u8], limits: Limits, input: usize, room: usize) -> Told {
    let expected = decode_cut(stored, in_sequence(limits), usize::MAX, room);
    let told = decode_cut(stored, limits, input, room);
    assert!(told == expected, "ahead: {told:?}\nin sequence: {expected:?}");
    told
}

// ---- sound sources ---------------------------------------------------------------------------------------------------

#[test]
fn members_of_every_kind_come_out_as_they_are() {
    let text = sample(20_000);
    let named = GzBuilder::new().filename("a.ndjson").comment("words").extra(vec![7; 300]);
    let stored = [
        bgzf(&text[..500 * KIB]),
        gzip(&text[..900 * KIB], 6),
        gzip(&text[..90 * KIB], 1),
        with_header(named, &text[5..50 * KIB], 9),
        uncompressed(&noise(100 * KIB, 3)),
        gzip(b"", 6).repeat(50),
        vec![0; 70 * KIB],
        gzip(&noise(70 * KIB, 4), 6),
        gzip(b"x", 6).repeat(3000),
        with_header_checksum(&text[..KIB], true),
        gzip(&text[..100 * KIB], 6).repeat(20),
    ]
    .concat();
    for threads in 1..=8 {
        for limits in [narrow(threads), Limits::default().with_ahead(threads, 32 << 20)] {
            let told = compare(&stored, limits, usize::MAX, 128 * KIB);
            assert_eq!((told.end, told.stored_bytes), (Ok(()), stored.len() as u64));
        }
    }
    compare(&stored, narrow(2), 1000, 999);
}

#[test]
fn zeros_between_members_are_no_part_of_them() {
    let text = sample(1000);
    for zeros in [1, 2, 3, 7, 8, 9, 511, 65_535, 65_536, 200_000] {
        let padded = [gzip(&text, 6), vec![0; zeros]].concat();
        let told = compare(&padded.repeat(6), narrow(2), usize::MAX, KIB);
        assert_eq!((told.end, told.data.len()), (Ok(()), 6 * text.len()), "{zeros}");
        let blocks = [with_stated_length(&text[..60 * KIB], 0), vec![0; zeros]].concat();
        compare(&blocks.repeat(6), narrow(2), usize::MAX, KIB);
    }
}

// ---- what looks like a member and is none ----------------------------------------------------------------------------

/// Uncompressed blocks that hold whole members, beginnings of members, and members with other lengths.
#[test]
fn members_within_members_are_data() {
    let inner = [
        gzip(b"inner data", 6),
        b"\x1f\x8b\x08\0".repeat(40),
        gzip(&noise(20 * KIB, 8), 6),
        with_stated_length(b"more inner data", 0),
        with_stated_length(b"more inner data", 3),
        gzip(&vec![b' '; 200 * KIB], 6),
    ]
    .concat();
    let outer = uncompressed(&inner);
    let text = sample(300);
    let stored =
        [gzip(&text, 6), outer.clone(), bgzf(&inner), outer.repeat(9), gzip(&inner, 0), outer].concat();
    for threads in [1, 2, 4] {
        for input in [usize::MAX, 777] {
            let told = compare(&stored, narrow(threads), input, 10_000);
            assert_eq!(told.end, Ok(()));
            assert!(told.data.ends_with(&inner));
        }
    }
}

/// A member that is sound for whoever looks at its last bytes, and ends early: what follows it is garbage.
#[test]
fn a_member_with_something_behind_it_is_not_taken_for_a_longer_one() {
    let text = sample(100);
    let member = gzip(&text, 6);
    let trailer = &member[member.len() - 8..];
    for between in [&b"garbage"[..], b"", b"\0\0\0", b"\x1f\x8b"] {
        let longer = [&member[..], between, trailer].concat();
        let stored = [&member.repeat(3)[..], &longer, &member.repeat(3)].concat();
        let told = compare(&stored, narrow(2), usize::MAX, 10_000);
        assert!(told.end.is_err(), "{between:?}");
        assert_eq!(told.data.len(), 4 * text.len());
    }
}

#[test]
fn a_stated_length_is_a_hint_and_no_more() {
    let text = sample(500);
    let blocks = |more| with_stated_length(&text[..30 * KIB], more).repeat(4);
    let stored = [blocks(0), blocks(1), blocks(0), blocks(40_000), blocks(u16::MAX), blocks(0)].concat();
    let told = compare(&stored, narrow(3), usize::MAX, 5000);
    assert_eq!((told.end, told.data.len()), (Ok(()), 24 * 30 * KIB));
}

#[test]
fn a_header_checksum_is_checked() {
    let text = sample(50);
    let sound = with_header_checksum(&text, true);
    let stored = [sound.repeat(5), with_header_checksum(&text, false), sound].concat();
    let told = compare(&stored, narrow(2), usize::MAX, 5000);
    assert!(matches!(told.end, Err(DecompressError::Corrupt { .. })), "{told:?}");
    assert_eq!(told.data.len(), 5 * text.len());
}

// ---- damage and caps -------------------------------------------------------------------------------------------------

/// Damage in sequence is seen in views that end where buffers of the sequential decoder would.
#[test]
fn damage_anywhere_is_told_in_the_same_words() {
    let text = sample(4000);
    let stored: Vec<u8> = text
        .chunks(45 * KIB + 77)
        .flat_map(|piece| [gzip(piece, 6), vec![0; piece.len() % 5]].concat())
        .collect();
    for at in (0..stored.len()).step_by(stored.len() / 97) {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = stored.clone();
            damaged[at] ^= flip;
            compare(&damaged, narrow(2), usize::MAX, 50_000);
        }
        compare(&stored[..at], narrow(2), usize::MAX, 50_000);
    }
}

#[test]
fn caps_fall_where_they_fall_in_sequence() {
    let text = sample(2000);
    let stored = gzip(&text[..100 * KIB], 6).repeat(12);
    for most in [0, 1, 100 * KIB - 1, 100 * KIB, 250_000, 1_000_000, 1200 * KIB - 1, 1200 * KIB] {
        let limits = narrow(2).with_max_decoded_bytes(Some(most as u64));
        let told = compare(&stored, limits, usize::MAX, 7000);
        assert_eq!(told.data.len(), most);
    }
}

#[test]
fn a_ratio_is_passed_where_it_is_passed_in_sequence() {
    let good = gzip(&noise(300 * KIB, 5), 6);
    let bad = gzip(&vec![b' '; 1 << 20], 6);
    let stored = [good.repeat(3), bad.repeat(12), good.repeat(2), bad.repeat(40), good.repeat(20)].concat();
    let mut stopped = 0;
    for times in [1, 5, 10, 13, 17, 20, 40, 60] {
        let limits = Limits::default().with_ahead(2, 16 << 20).with_max_ratio(Some(times));
        let told = compare(&stored, limits, usize::MAX, 100_000);
        stopped += u32::from(told.end.is_err());
    }
    assert!((2..8).contains(&stopped), "{stopped} of 8 ratios passed");
}

// ---- readers that fail -----------------------------------------------------------------------------------------------

/// Fails once at each of the given places.
struct Faltering<'a> {
    bytes: &'a [u8],
    at: usize,
    places: Vec<usize>,
}

impl Read for Faltering<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(turn) = self.places.iter().position(|&place| place == self.at) {
            self.places.remove(turn);
            return Err(io::ErrorKind::TimedOut.into());
        }
        let until = self.places.iter().copied().filter(|&place| place > self.at).min();
        let rest = &self.bytes[self.at..until.unwrap_or(self.bytes.len())];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

#[test]
fn a_reader_that_fails_is_heard_when_the_decoder_has_come_there() {
    let data = [sample(3000), noise(500 * KIB, 6)].concat();
    let stored: Vec<u8> = data.chunks(30 * KIB).flat_map(|piece| gzip(piece, 6)).collect();
    // `new` does not ask again: the first 64 KiB come without a failure.
    let places = [65_537, 70_000, 70_000, 131_072, 140_000, stored.len() - 1, stored.len()];
    assert!(places.is_sorted());
    for threads in [1, 2, 3] {
        let read =
            |limits| decode(Faltering { bytes: &stored, at: 0, places: places.to_vec() }, limits, 10_000);
        let (expected, told) = (read(in_sequence(narrow(threads))), read(narrow(threads)));
        assert!(told == expected, "ahead: {told:?}\nin sequence: {expected:?}");
        assert_eq!((told.failures.len(), told.data.len()), (places.len(), data.len()));
    }
}

#[test]
fn a_decoder_may_be_dropped_at_any_time() {
    let stored = gzip(&sample(1500)[..100 * KIB], 6).repeat(40);
    for pieces in 0..60 {
        let limits = Limits::default().with_ahead(4, 16 << 20);
        let mut decoder = Decoder::new(&stored[..], limits).expect("gzip");
        for _ in 0..pieces {
            let mut room = [0; 64 * KIB];
            assert!(decoder.read(&mut room).expect("sound") > 0);
        }
    }
}

// ---- anything --------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
struct Part {
    kind: u8,
    /// Of text or noise.
    bytes: usize,
    is_noise: bool,
    zeros: usize,
}

impl Part {
    fn stored(&self, seed: u64) -> Vec<u8> {
        let data = if self.is_noise { noise(self.bytes, seed) } else { text(self.bytes, seed) };
        let mut stored = match self.kind {
            0 => bgzf(&data),
            1 => uncompressed(&gzip(&data, 6)),
            2 => uncompressed(&[gzip(&data, 1), with_stated_length(&data[..data.len() % KIB], 0)].concat()),
            3 => gzip(&data, 0),
            4 => with_header_checksum(&data, true),
            5 => with_stated_length(&data[..data.len().min(50 * KIB)], seed as u16),
            level => gzip(&data, u32::from(level)),
        };
        stored.resize(stored.len() + self.zeros, 0);
        stored
    }
}

fn text(bytes: usize, seed: u64) -> Vec<u8> {
    let mut text = sample(bytes as u64 / 50 + 2);
    let from = seed as usize % 50;
    text.drain(..from);
    text.truncate(bytes);
    text
}

fn part() -> impl Strategy<Value = Part> {
    let bytes = prop_oneof![4 => 0..2000usize, 4 => 0..60 * KIB, 1 => 0..200 * KIB];
    let zeros = prop_oneof![6 => Just(0usize), 2 => 1..9usize, 1 => 1..70_000usize];
    (0..10u8, bytes, any::<bool>(), zeros).prop_map(|(kind, bytes, is_noise, zeros)| Part {
        kind,
        bytes,
        is_noise,
        zeros,
    })
}

#[derive(Clone, Debug)]
enum Damage {
    None,
    Byte(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Inserted(prop::sample::Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        2 => Just(Damage::None),
        3 => (place(), 1..=255u8).prop_map(|(at, flip)| Damage::Byte(at, flip)),
        2 => place().prop_map(Damage::Cut),
        1 => (place(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Inserted(at, bytes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 4000 }))]

    #[test]
    fn ahead_is_as_in_sequence(
        parts in prop::collection::vec((part(), 1..4usize), 1..16),
        damage in damage(), threads in 1..=8usize,
        input in prop_oneof![Just(usize::MAX), 1..100_000usize],
        room in prop_oneof![Just(128 * KIB), 1000..200_000usize],
        most in prop_oneof![4 => Just(None), 1 => (0..1_000_000u64).prop_map(Some)],
    ) {
        let mut stored: Vec<u8> = parts
            .iter()
            .zip(1..)
            .flat_map(|((part, times), seed)| part.stored(seed * 0x9e37_79b9).repeat(*times))
            .collect();
        match damage {
            Damage::None => {}
            Damage::Byte(at, flip) => {
                let at = at.index(stored.len());
                stored[at] ^= flip;
            }
            Damage::Cut(at) => stored.truncate(at.index(stored.len())),
            Damage::Inserted(at, bytes) => {
                let at = at.index(stored.len());
                stored.splice(at..at, bytes);
            }
        }
        let limits = narrow(threads).with_max_decoded_bytes(most);
        let expected = decode_cut(&stored, in_sequence(limits), usize::MAX, room);
        let told = decode_cut(&stored, limits, input, room);
        prop_assert!(told == expected, "ahead: {:?}, in sequence: {:?}", told, expected);
    }
}
