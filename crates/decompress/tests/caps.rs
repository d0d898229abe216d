//! Caps on what comes out: exactly so many bytes, then an error, however the source and the buffers are cut.

mod support;

use std::io::{self, Read};
use std::sync::LazyLock;

use fhirline_decompress::{Compression, Decoder, DecompressError, Limits};
use proptest::prelude::*;
use support::{CODED, Cut, Decoded, encode, noise, sample};

const MIB: usize = 1 << 20;

fn at_most(bytes: u64) -> Limits {
    Limits::default().with_max_decoded_bytes(Some(bytes))
}

fn ratio(times: u64) -> Limits {
    Limits::default().with_max_ratio(Some(times))
}

/// Decodes from a reader that gives at most `input` bytes at a time, into pieces of `output` bytes.
fn decode(stored: &[u8], limits: Limits, input: usize, output: usize) -> Decoded {
    decode_from(Cut { rest: stored, most: input }, limits, output)
}

/// A reader that times out is asked again.
fn decode_from(reader: impl Read, limits: Limits, output: usize) -> Decoded {
    let mut decoder = Decoder::new(reader, limits).expect("a cap says nothing about a header");
    let (mut data, mut room) = (Vec::new(), vec![0; output]);
    let end = loop {
        match decoder.read(&mut room) {
            Ok(0) => break Ok(()),
            Ok(read) => data.extend_from_slice(&room[..read]),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            Err(error) => break Err(DecompressError::find_in(&error).expect("no failure of the reader")),
        }
        assert_eq!(decoder.decoded_bytes(), data.len() as u64);
    };
    assert_eq!(decoder.decoded_bytes(), data.len() as u64);
    Decoded { data, end }
}

/// Bytes that do not compress, then much that does.
fn bomb_data(noise_bytes: usize, same_bytes: usize) -> Vec<u8> {
    let mut data = noise(noise_bytes, 1);
    data.resize(noise_bytes + same_bytes, b' ');
    data
}

const BOMB_NOISE: usize = MIB;
const BOMB_BYTES: usize = 24 * MIB;

/// One bomb of each format, made once: 1 MiB of noise, then 23 MiB of the same byte.
static BOMBS: LazyLock<(Vec<u8>, Vec<Vec<u8>>)> = LazyLock::new(|| {
    let data = bomb_data(BOMB_NOISE, BOMB_BYTES - BOMB_NOISE);
    let stored = CODED.iter().map(|&compression| encode(compression, &data)).collect();
    (data, stored)
});

#[test]
fn exactly_so_many_bytes_come_out_before_the_error() {
    let data = sample(300);
    let length = data.len() as u64;
    for compression in CODED.into_iter().chain([Compression::None]) {
        let stored = encode(compression, &data);
        for (input, output) in [(1, 1), (usize::MAX, 1 << 16), (1, 1 << 16), (100, 7)] {
            for allowed in [0, 1, 511, 512, 513, length / 2, length - 1] {
                let decoded = decode(&stored, at_most(allowed), input, output);
                let too_long = DecompressError::TooLong { max_decoded_bytes: allowed };
                assert_eq!(decoded.end, Err(too_long), "{compression} {allowed}");
                assert!(decoded.data == data[..allowed as usize], "{compression} {allowed}");
            }
            for allowed in [length, length + 1, u64::MAX] {
                let decoded = decode(&stored, at_most(allowed), input, output);
                assert_eq!(decoded, Decoded::complete(&data), "{compression} {allowed}");
            }
        }
    }
}

#[test]
fn the_cap_on_bytes_counts_over_all_members_and_leaves_padding_alone() {
    let data = sample(5);
    for compression in CODED {
        let padding = vec![0; 70_000];
        let stored =
            [encode(compression, &data), padding.clone(), encode(compression, &data), padding].concat();
        let twice = data.repeat(2);
        let length = twice.len() as u64;
        assert_eq!(decode(&stored, at_most(length), 1000, 1000), Decoded::complete(&twice));
        let decoded = decode(&stored, at_most(length - 1), 1000, 1000);
        assert_eq!(decoded.end, Err(DecompressError::TooLong { max_decoded_bytes: length - 1 }));
        // What holds no data may follow the last byte that is allowed.
        let stored = [encode(compression, &data), encode(compression, b"")].concat();
        assert_eq!(decode(&stored, at_most(data.len() as u64), 1, 1), Decoded::complete(&data));
    }
}

#[test]
fn an_empty_source_is_within_every_cap() {
    for compression in CODED.into_iter().chain([Compression::None]) {
        let limits = at_most(0).with_max_ratio(Some(0));
        let stored = encode(compression, b"");
        assert_eq!(decode(&stored, limits, 1, 1), Decoded::complete(b""), "{compression}");
    }
}

#[test]
fn the_cap_on_bytes_keeps_damage_apart() {
    let data = sample(50);
    for compression in CODED {
        let stored = encode(compression, &data);
        let cut = &stored[..stored.len() - 1];
        let decoded = decode(cut, at_most(data.len() as u64), 1, 100);
        assert_eq!(decoded.data, data, "{compression}");
        assert!(matches!(decoded.end, Err(DecompressError::Truncated { .. })), "{compression}");
    }
}

#[test]
fn a_bomb_is_stopped_where_its_ratio_is_passed() {
    let (data, bombs) = &*BOMBS;
    for (compression, stored) in CODED.into_iter().zip(bombs) {
        let decoded = decode(stored, ratio(17), usize::MAX, 1 << 16);
        let Err(DecompressError::TooExpanded { decoded_bytes, stored_bytes, max_ratio, .. }) = decoded.end
        else {
            panic!("{compression}: {:?}", decoded.end)
        };
        assert_eq!(decoded_bytes, decoded.data.len() as u64, "{compression}");
        assert_eq!(decoded_bytes, (max_ratio * stored_bytes).max(Limits::FREE_BYTES), "{compression}");
        assert!(stored_bytes.is_multiple_of(64 << 10) || stored_bytes == stored.len() as u64);
        assert!(decoded_bytes < BOMB_BYTES as u64 && decoded.data == data[..decoded.data.len()]);
    }
}

#[test]
fn where_a_bomb_is_stopped_does_not_depend_on_the_cuts() {
    for (compression, stored) in CODED.into_iter().zip(&BOMBS.1) {
        let whole = decode(stored, ratio(17), usize::MAX, 1 << 20);
        assert!(matches!(whole.end, Err(DecompressError::TooExpanded { .. })));
        for (input, output) in
            [(1, 1 << 16), (usize::MAX, 61), (1000, 997), (65_536, 65_537), (65_537, 4 * MIB)]
        {
            let cut = decode(stored, ratio(17), input, output);
            assert_eq!(cut.end, whole.end, "{compression} {input} {output}");
            assert!(cut.data == whole.data, "{compression} {input} {output}");
        }
    }
}

/// Gives a few bytes, then times out, over and over.
struct Faltering<'a> {
    rest: &'a [u8],
    turn: usize,
    failing: bool,
}

impl Read for Faltering<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.failing && self.turn.is_multiple_of(3) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let most = (self.turn * 7919 % 30_000).clamp(1, out.len());
        self.rest.read(&mut out[..most])
    }
}

#[test]
fn where_a_bomb_is_stopped_does_not_depend_on_failures_of_the_reader() {
    for (compression, stored) in CODED.into_iter().zip(&BOMBS.1) {
        // `new` does not ask again, so the first 64 KiB come without a failure.
        let (head, rest) = stored.split_at(64 << 10);
        let steady = decode_from(head.chain(Faltering { rest, turn: 0, failing: false }), ratio(17), 5000);
        let failing = decode_from(head.chain(Faltering { rest, turn: 0, failing: true }), ratio(17), 5000);
        assert!(matches!(steady.end, Err(DecompressError::TooExpanded { .. })), "{compression}");
        assert!(failing == steady, "{compression}: {:?} and {:?}", failing.end, steady.end);
    }
}

#[test]
fn a_small_file_may_compress_as_well_as_it_can() {
    let data = bomb_data(10, Limits::FREE_BYTES as usize - 10);
    for compression in CODED {
        let stored = encode(compression, &data);
        assert!(stored.len() * 900 < data.len(), "{compression}: no bomb");
        let decoded = decode(&stored, ratio(1), usize::MAX, 1 << 20);
        assert!(decoded == Decoded::complete(&data), "{compression}: {:?}", decoded.end);
        let longer = [stored, encode(compression, b"x")].concat();
        let end = decode(&longer, ratio(1), usize::MAX, 1 << 20).end;
        let stopped_at = match end {
            Err(DecompressError::TooExpanded { decoded_bytes, .. }) => decoded_bytes,
            other => panic!("{compression}: {other:?}"),
        };
        assert_eq!(stopped_at, Limits::FREE_BYTES);
    }
}

#[test]
fn a_ratio_that_is_kept_is_no_trouble_and_plain_sources_have_none() {
    let (data, bombs) = &*BOMBS;
    for (compression, stored) in CODED.into_iter().zip(bombs) {
        let needed = (data.len() / stored.len()) as u64 + 1;
        assert!(needed > 20, "{compression}");
        assert!(decode(stored, ratio(needed), usize::MAX, 1 << 20).data == *data, "{compression}");
    }
    let plain = bomb_data(0, Limits::FREE_BYTES as usize + 1);
    assert!(decode(&plain, ratio(0), usize::MAX, 1 << 20) == Decoded::complete(&plain));
}

#[test]
fn the_nearer_of_two_caps_is_told() {
    let stored = &BOMBS.1[0];
    let stopped = |bytes: u64| decode(stored, ratio(1).with_max_decoded_bytes(Some(bytes)), 1000, 1000).end;
    let free = Limits::FREE_BYTES;
    assert_eq!(stopped(free), Err(DecompressError::TooLong { max_decoded_bytes: free }));
    assert!(matches!(stopped(free + 1), Err(DecompressError::TooExpanded { .. })));
}

#[test]
fn the_messages_name_the_numbers_and_the_error_is_for_good() {
    let mut decoder = Decoder::new(&b"CANARY"[..], at_most(5)).expect("plain");
    let first = decoder.read_to_end(&mut Vec::new()).expect_err("six bytes");
    assert_eq!(first.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(first.to_string(), "the source holds more than the 5 decoded bytes that are allowed");
    let again = decoder.read(&mut [0; 10]).expect_err("still");
    assert_eq!(DecompressError::find_in(&first), DecompressError::find_in(&again));

    let mut decoder = Decoder::new(&BOMBS.1[0][..], ratio(15)).expect("gzip");
    let error = decoder.read_to_end(&mut Vec::new()).expect_err("a bomb");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let shown = error.to_string();
    assert!(
        shown.starts_with("gzip data expands more than 15 times: over 16777216 bytes came out of "),
        "{shown}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_cap_on_bytes_and_any_cuts(
        format in prop::sample::select(CODED.iter().copied().chain([Compression::None]).collect::<Vec<_>>()),
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..2000), 0..400usize), 1..4),
        allowed in 0..5000u64, input in 1..3000usize, output in 1..3000usize,
    ) {
        let (mut stored, mut data) = (b"{".to_vec(), b"{".to_vec());
        if format != Compression::None {
            stored = encode(format, b"{");
        }
        for (part, zeros) in &parts {
            stored.extend(encode(format, part));
            data.extend_from_slice(part);
            if format != Compression::None {
                stored.resize(stored.len() + zeros, 0);
            }
        }
        let decoded = decode(&stored, at_most(allowed), input, output);
        let fits = data.len() as u64 <= allowed;
        data.truncate(allowed as usize);
        let end = if fits { Ok(()) } else { Err(DecompressError::TooLong { max_decoded_bytes: allowed }) };
        prop_assert_eq!(decoded, Decoded { data, end });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Noise and repetition in turns, so that the ratio is passed in the middle of some buffer.
    #[test]
    fn any_ratio_and_any_cuts(
        format in prop::sample::select(CODED.to_vec()),
        parts in prop::collection::vec((0..200_000usize, 0..6 * MIB), 3..6),
        times in 1..60u64, input in 1..200_000usize, output in 500..200_000usize,
    ) {
        let stored: Vec<u8> =
            parts.iter().flat_map(|&(noise, same)| encode(format, &bomb_data(noise, same))).collect();
        let whole = decode(&stored, ratio(times), usize::MAX, MIB);
        let cut = decode(&stored, ratio(times), input, output);
        prop_assert_eq!(cut.end, whole.end);
        prop_assert!(cut.data == whole.data);
        let total: usize = parts.iter().map(|&(noise, same)| noise + same).sum();
        match whole.end {
            Err(DecompressError::TooExpanded { decoded_bytes, stored_bytes, .. }) => {
                prop_assert_eq!(decoded_bytes, whole.data.len() as u64);
                prop_assert_eq!(decoded_bytes, (times * stored_bytes).max(Limits::FREE_BYTES));
            }
            end => prop_assert_eq!((end, whole.data.len()), (Ok(()), total)),
        }
    }
}
