//! Sources whose beginning is decoded before anybody reads: one that is read from the first byte on is the oracle, for what comes out,
//! how it ends, and what is told of it.

mod support;

use std::io::{self, Read};

use fhirline_decompress::{Compression, Decoder, DecompressError, Limits};
use proptest::prelude::*;
use support::{CODED, Cut, drain, encode, noise, sample};

const KIB: usize = 1 << 10;

#[derive(Debug, PartialEq, Eq)]
struct Told {
    data: Vec<u8>,
    end: Result<(), DecompressError>,
    stored_bytes: u64,
}

fn trouble(error: &io::Error) -> DecompressError {
    DecompressError::find_in(error).expect("no failure of the reader")
}

fn told(decoder: io::Result<Decoder<Cut<'_>>>, room: usize) -> Told {
    let mut told = Told { data: Vec::new(), end: Ok(()), stored_bytes: 0 };
    match decoder {
        Ok(mut decoder) => {
            told.end = drain(&mut decoder, room, &mut told.data).map_err(|error| trouble(&error));
            told.stored_bytes = decoder.stored_bytes();
        }
        Err(error) => told.end = Err(trouble(&error)),
    }
    told
}

fn begun(stored: &[u8], limits: Limits, wanted: usize, most: usize) -> io::Result<Decoder<Cut<'_>>> {
    let begun = Decoder::begun(Cut { rest: stored, most }, limits, Vec::new(), |_| Some(wanted));
    begun.map(|decoder| decoder.expect("wanted"))
}

/// Fails unless the source gives the same with its beginning decoded as without.
fn compare(stored: &[u8], limits: Limits, wanted: usize, (most, room): (usize, usize)) -> Told {
    let whole = Cut { rest: stored, most: usize::MAX };
    let expected = told(Decoder::new(whole, limits.with_ahead(0, 0)), 64 * KIB);
    let begun = told(begun(stored, limits, wanted, most), room);
    let lengths = (begun.data.len(), expected.data.len());
    assert!(begun == expected, "{wanted} wanted: {lengths:?} bytes, {:?}, not {:?}", begun.end, expected.end);
    begun
}

#[test]
fn a_source_of_any_kind_is_whole_however_much_of_it_was_begun() {
    let data = [sample(3000), noise(100 * KIB, 5)].concat();
    for kind in [Compression::None].into_iter().chain(CODED) {
        let stored = encode(kind, &data).repeat(2);
        for wanted in [0, 1, 1000, 64 * KIB, data.len() - 1, data.len(), data.len() + 1, 10 * data.len()] {
            let told = compare(&stored, Limits::default(), wanted, (usize::MAX, 10_000));
            assert_eq!((told.end, told.data.len()), (Ok(()), 2 * data.len()), "{kind:?}");
        }
    }
}

#[test]
fn what_is_not_wanted_is_not_begun() {
    for kind in CODED {
        let stored = encode(kind, b"something");
        let mut asked = None;
        let begun = Decoder::begun(&stored[..], Limits::default(), Vec::new(), |stored| {
            asked = Some(stored);
            None
        });
        assert!(begun.expect("read").is_none());
        assert_eq!(asked, Some(kind));
    }
}

#[test]
fn the_buffer_counts_until_it_is_taken_and_can_be_used_again() {
    let stored = encode(Compression::Gzip, &noise(200 * KIB, 6));
    let mut buffer = Vec::new();
    for _ in 0..3 {
        let mut decoder = Decoder::begun(&stored[..], Limits::default(), buffer, |_| Some(100 * KIB))
            .expect("sound")
            .expect("wanted");
        let with_buffer = decoder.memory_bytes();
        assert!(decoder.take_buffer().is_none(), "it is full");
        let mut first = vec![0; 100 * KIB];
        decoder.read_exact(&mut first).expect("sound");
        buffer = decoder.take_buffer().expect("all is handed out");
        assert_eq!((buffer.len(), decoder.memory_bytes()), (100 * KIB, with_buffer - 100 * KIB as u64));
        assert!(decoder.take_buffer().is_none(), "taken");
        assert_eq!(decoder.read_to_end(&mut Vec::new()).expect("sound"), 100 * KIB);
    }
}

/// Of the reader's errors nobody knows whether they come again.
#[test]
fn what_the_reader_says_is_told_at_once() {
    struct Failing<'s>(&'s [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(io::ErrorKind::ConnectionReset.into()),
                read => Ok(read),
            }
        }
    }
    for kind in [Compression::None, Compression::Gzip] {
        let stored = encode(kind, &noise(200 * KIB, 7));
        let begin =
            |wanted| Decoder::begun(Failing(&stored), Limits::default(), Vec::new(), |_| Some(wanted));
        let mut decoder = begin(KIB).expect("so far it is well").expect("wanted");
        let error = decoder.read_to_end(&mut Vec::new()).expect_err("later it is not");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        // The last member is whole for its decoder; what is behind it is not known.
        let error = begin(1000 * KIB).expect_err("it comes to the failure");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

/// Members of which some may be damaged, or a plain source.
fn sources() -> impl Strategy<Value = Vec<u8>> {
    let damage = proptest::option::of((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()));
    (1_u64..2500, 1_usize..6, any::<bool>(), damage).prop_map(|(lines, members, coded, damage)| {
        let kind = if coded { Compression::Gzip } else { Compression::None };
        let mut stored = encode(kind, &sample(lines)).repeat(members);
        match damage {
            Some((at, _, true)) => stored.truncate(at.index(stored.len())),
            Some((at, byte, false)) => {
                let at = at.index(stored.len());
                stored[at] = byte;
            }
            None => {}
        }
        stored
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn damage_and_caps_are_told_alike(
        stored in sources(),
        wanted in prop_oneof![0_usize..300 * KIB, Just(64 * KIB), Just(1024 * KIB)],
        most in prop_oneof![1_usize..3000, Just(usize::MAX)],
        room in prop_oneof![100_usize..5000, Just(128 * KIB)],
        threads in 0_usize..3,
        max_decoded_bytes in proptest::option::of(0_u64..400 << 10),
    ) {
        let limits = Limits::default().with_ahead(threads, 8 << 20).with_max_decoded_bytes(max_decoded_bytes);
        compare(&stored, limits, wanted, (most, room));
    }
}
