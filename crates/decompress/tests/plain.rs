//! Sources that are not compressed, or not in a way that is decoded; and readers that fail.

mod support;

use std::cell::RefCell;
use std::io::{self, Read};

use fhirline_decompress::{Compression, Decoder, DecompressError, Limits};
use support::{CODED, Decoded, decode, decode_cut, encode, sample};

#[test]
fn plain_bytes_pass_unchanged() {
    let long = sample(2000);
    for data in [&b""[..], b"{", b"\x1f", b"BZh", b"not JSON at all", &[0; 3000], &long] {
        for (input, output) in [(usize::MAX, 1 << 16), (1, 1), (1, 1000), (1000, 1)] {
            assert_eq!(decode_cut(data, input, output), Decoded::complete(data));
        }
    }
}

/// Notes how much room each read gave, and fails once at the given reads.
struct Watched<'a> {
    rest: &'a [u8],
    rooms: &'a RefCell<Vec<usize>>,
    fail_every: usize,
    kind: io::ErrorKind,
}

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut rooms = self.rooms.borrow_mut();
        rooms.push(out.len());
        if rooms.len().is_multiple_of(self.fail_every) {
            return Err(self.kind.into());
        }
        let most = out.len().min(100);
        self.rest.read(&mut out[..most])
    }
}

#[test]
fn after_the_first_bytes_plain_reads_go_straight_to_the_reader() {
    let data = sample(2000);
    let rooms = RefCell::new(Vec::new());
    let kind = io::ErrorKind::Other;
    let reader = Watched { rest: &data, rooms: &rooms, fail_every: usize::MAX, kind };
    let mut decoder = Decoder::new(reader, Limits::default()).expect("plain");
    assert_eq!(rooms.borrow().len(), 1, "one read tells JSON");
    let mut room = vec![0; 1 << 20];
    assert_eq!(decoder.read(&mut room).expect("plain"), 100);
    assert_eq!(rooms.borrow().len(), 1, "the first bytes were held");
    while decoder.read(&mut room).expect("plain") > 0 {}
    assert!(rooms.borrow()[1..].iter().all(|&asked| asked == 1 << 20));
    assert_eq!(decoder.stored_bytes(), data.len() as u64);
}

#[test]
fn interrupted_reads_are_repeated() {
    let data = sample(100);
    for compression in CODED.into_iter().chain([Compression::None]) {
        let stored = encode(compression, &data);
        let rooms = RefCell::new(Vec::new());
        let reader =
            Watched { rest: &stored, rooms: &rooms, fail_every: 2, kind: io::ErrorKind::Interrupted };
        let mut decoded = Vec::new();
        let mut decoder = Decoder::new(reader, Limits::default()).expect("whole");
        // Not `read_to_end`, which would repeat by itself.
        support::drain(&mut decoder, 1000, &mut decoded).expect("whole");
        assert_eq!(decoded, data, "{compression}");
    }
}

#[test]
fn a_failure_of_the_reader_passes_through_and_reading_may_go_on() {
    let data = sample(20_000);
    for compression in CODED.into_iter().chain([Compression::None]) {
        let stored = encode(compression, &data);
        let rooms = RefCell::new(Vec::new());
        let reader = Watched { rest: &stored, rooms: &rooms, fail_every: 700, kind: io::ErrorKind::TimedOut };
        let mut decoder = Decoder::new(reader, Limits::default()).expect("no failure so soon");
        let (mut decoded, mut failures) = (Vec::new(), 0);
        while let Err(error) = support::drain(&mut decoder, 10_000, &mut decoded) {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{compression}");
            assert_eq!(DecompressError::find_in(&error), None);
            failures += 1;
        }
        assert!(failures > 0);
        assert!(decoded == data, "{compression}");
    }
}

#[test]
fn archives_are_named() {
    let mut tar = [b'x'; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    for (stored, named) in [
        (&b"PK\x03\x04 and so on"[..], "zip"),
        (b"PK\x05\x06\0\0\0\0", "zip"),
        (b"7z\xbc\xaf\x27\x1c\0\0", "7z"),
        (b"Rar!\x1a\x07\x01\0", "rar"),
        (b"\x04\x22\x4d\x18\0", "lz4"),
        (&tar, "tar"),
    ] {
        for input in [1, usize::MAX] {
            let end = decode_cut(stored, input, 100).end;
            let Err(DecompressError::Unsupported { what }) = end else { panic!("{named}: {end:?}") };
            assert!(what.contains(named), "{what}");
        }
    }
}

#[test]
fn a_gzip_of_two_bytes_is_cut_off() {
    for stored in [&b"\x1f\x8b"[..], b"\x1f\x8b\x08"] {
        let end = decode(stored).end;
        assert!(
            matches!(end, Err(DecompressError::Truncated { compression: Compression::Gzip, .. })),
            "{end:?}"
        );
    }
}

#[test]
fn the_counts_are_those_of_the_source() {
    let data = sample(1000);
    for compression in CODED {
        let stored = [encode(compression, &data), vec![0; 512]].concat();
        let mut decoder = Decoder::new(&stored[..], Limits::default()).expect("whole");
        assert_eq!(decoder.compression(), compression);
        io::copy(&mut decoder, &mut io::sink()).expect("whole");
        assert_eq!(decoder.stored_bytes(), stored.len() as u64);
        assert_eq!(decoder.decoded_bytes(), data.len() as u64);
    }
}

#[test]
fn a_decoder_can_go_to_another_thread() {
    fn sendable<T: Send>(_: &T) {}
    sendable(&Decoder::new(io::empty(), Limits::default()).expect("empty"));
}
