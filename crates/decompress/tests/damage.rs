//! Damaged and hostile bytes: never a panic, never wrong data with a good end.

mod support;

use std::io::{Read, Write};

use fhirline_decompress::{Compression, Decoder, DecompressError, Limits};
use proptest::prelude::*;
use support::{CODED, decode, decode_cut, encode, sample};

#[test]
fn no_flipped_bit_gives_wrong_data_and_a_good_end() {
    let data = sample(6);
    for compression in CODED {
        let whole = encode(compression, &data);
        let mut refused = 0;
        for bit in 0..whole.len() * 8 {
            let mut stored = whole.clone();
            stored[bit / 8] ^= 1 << (bit % 8);
            let decoded = decode(&stored);
            if decoded.end.is_err() {
                refused += 1;
            } else {
                // A flip in the magic makes it plain bytes; one in gzip's time stamp changes nothing.
                assert!(decoded.data == data || decoded.data == stored, "{compression} bit {bit}");
            }
        }
        assert!(refused * 10 > whole.len() * 8 * 8, "{compression}: only {refused} flips seen");
    }
}

#[test]
fn wrong_checksums_are_seen_after_the_data() {
    let data = sample(50);
    for (compression, from_end) in
        [(Compression::Gzip, 8), (Compression::Gzip, 4), (Compression::Zstd, 4), (Compression::Bzip2, 3)]
    {
        let mut stored = encode(compression, &data);
        let at = stored.len() - from_end;
        stored[at] ^= 0x10;
        let decoded = decode(&stored);
        assert_eq!(decoded.data, data, "{compression}");
        assert!(matches!(decoded.end, Err(DecompressError::Corrupt { .. })), "{compression}");
    }
}

#[test]
fn what_comes_out_before_the_damage_does_not_depend_on_the_cuts() {
    let data = sample(30_000);
    for compression in CODED {
        let mut stored = encode(compression, &data);
        let at = stored.len() * 3 / 4;
        for byte in &mut stored[at..at + 40] {
            *byte ^= 0x55;
        }
        let whole = decode(&stored);
        assert!(whole.end.is_err(), "{compression}");
        let common = whole.data.iter().zip(&data).take_while(|(one, other)| one == other).count();
        let least = if compression == Compression::Bzip2 { data.len() / 2 } else { data.len() * 3 / 5 };
        assert!(common > least, "{compression}: only {common} of {}", data.len());
        for (input, output) in [(1, 1 << 16), (1000, 1000), (usize::MAX, 1 << 20), (65_536, 7)] {
            let cut = decode_cut(&stored, input, output);
            assert_eq!(cut.data.len(), whole.data.len(), "{compression} {input} {output}");
            assert!(cut.data == whole.data, "{compression} {input} {output}");
        }
    }
}

#[test]
fn a_zstd_block_is_not_lost_to_the_damage_behind_it() {
    let (first, second) = (sample(2), sample(3));
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("memory");
    encoder.write_all(&first).expect("a vector");
    encoder.flush().expect("a vector");
    let at = encoder.get_ref().len();
    encoder.write_all(&second).expect("a vector");
    let mut stored = encoder.finish().expect("a vector");
    stored[at] |= 0x06; // a block of a reserved type
    for output in [1, 7, first.len() - 1, first.len(), first.len() + 1, 1 << 16] {
        let decoded = decode_cut(&stored, usize::MAX, output);
        assert_eq!(decoded.data, first, "{output}");
        assert!(matches!(decoded.end, Err(DecompressError::Corrupt { .. })));
    }
}

#[test]
fn gzip_headers_are_read_to_the_letter() {
    let data = b"{}\n";
    let mut full = flate2::GzBuilder::new()
        .filename("a.ndjson")
        .comment("a comment")
        .extra(vec![1; 300])
        .read(&data[..], flate2::Compression::fast());
    let mut stored = Vec::new();
    full.read_to_end(&mut stored).expect("a slice");
    assert_eq!(decode_cut(&stored, 1, 1).data, data);

    let plain = encode(Compression::Gzip, data);
    for (at, value, what) in [(2, 7, "method"), (3, 0x20, "reserved flag"), (3, 0x80, "reserved flag")] {
        let mut stored = plain.clone();
        stored[at] = value;
        assert!(matches!(decode(&stored).end, Err(DecompressError::Corrupt { .. })), "{what}");
    }
}

#[test]
fn gzip_header_checksums_are_checked() {
    let mut stored = encode(Compression::Gzip, b"{}\n");
    stored[3] = 2; // FHCRC
    let mut crc = flate2::Crc::new();
    crc.update(&stored[..10]);
    let sum = (crc.sum() as u16).to_le_bytes();
    stored.splice(10..10, sum);
    assert_eq!(decode(&stored).data, b"{}\n");
    stored[10] ^= 1;
    assert!(matches!(decode(&stored).end, Err(DecompressError::Corrupt { .. })));
}

#[test]
fn an_xz_checksum_that_is_not_known_is_not_passed_over() {
    let mut stored = b"\xfd7zXZ\0\0\x02".to_vec(); // check 2 is reserved
    let mut crc = flate2::Crc::new();
    crc.update(&stored[6..8]);
    stored.extend_from_slice(&crc.sum().to_le_bytes());
    stored.extend_from_slice(&encode(Compression::Xz, b"data")[12..]);
    assert_eq!(decode(&stored).end, Err(DecompressError::Unsupported { what: "an xz checksum" }));
}

#[test]
fn an_error_is_for_good() {
    for compression in CODED {
        let stored = [encode(compression, b"data"), b"x".to_vec()].concat();
        let mut decoder = Decoder::new(&stored[..], Limits::default()).expect("whole");
        let mut text = Vec::new();
        let first = decoder.read_to_end(&mut text).expect_err("garbage");
        let second = decoder.read(&mut [0; 10]).expect_err("still");
        assert_eq!(DecompressError::find_in(&first), DecompressError::find_in(&second));
        assert_eq!(text, b"data");
    }
}

#[test]
fn errors_hold_no_content() {
    let canary = b"CANARY".repeat(50);
    for compression in CODED {
        let member = encode(compression, &canary);
        for stored in [
            [&member[..], &canary].concat(),
            member[..member.len() - 2].to_vec(),
            [&member[..member.len() - 5], &canary].concat(),
        ] {
            let mut decoder = Decoder::new(&stored[..], Limits::default()).expect("a whole header");
            let error = decoder.read_to_end(&mut Vec::new()).expect_err("damaged");
            let shown = format!("{error} {error:?} {decoder:?}");
            assert!(!shown.contains("CANARY") && shown.contains(compression.name()), "{shown}");
        }
    }
}

/// Bytes that begin like a format and go on anyhow.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let heads = prop::sample::select(vec![
        &b"\x1f\x8b\x08"[..],
        b"\x1f\x8b\x08\x1f",
        b"\x28\xb5\x2f\xfd",
        b"\x28\xb5\x2f\xfd\x20",
        b"\x50\x2a\x4d\x18",
        b"BZh91AY&SY",
        b"BZh1\x17\x72\x45\x38\x50\x90",
        b"\xfd7zXZ\0",
        b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46",
        b"",
    ]);
    (heads, prop::collection::vec(any::<u8>(), 0..400)).prop_map(|(head, tail)| [head, &tail].concat())
}

/// Several members, spliced, damaged and cut.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let format = prop::sample::select(CODED.to_vec());
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (format, 0..30u64, 1..4usize, edits, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(format, lines, members, edits, cut, whole)| {
            let mut stored = encode(format, &sample(lines)).repeat(members);
            for (at, value) in edits {
                let at = at.index(stored.len());
                stored[at] = value;
            }
            let length = if whole { stored.len() } else { cut.index(stored.len()) };
            stored.truncate(length);
            stored
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn hostile_bytes_end_the_same_way_however_they_are_cut(
        stored in prop_oneof![hostile(), damaged()], input in 1..40usize, output in 1..40usize,
    ) {
        let whole = decode_cut(&stored, usize::MAX, output);
        prop_assert_eq!(&whole, &decode_cut(&stored, input, output));
        // The room for output decides how soon liblzma sees damage, not whether it does.
        let roomy = decode(&stored);
        prop_assert_eq!(whole.end.is_ok(), roomy.end.is_ok());
        prop_assert!(whole.end.is_err() || whole.data == roomy.data);
    }

    #[test]
    fn members_and_padding_in_any_number(
        format in prop::sample::select(CODED.to_vec()),
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..3000), 0..600usize), 1..5),
        input in 1..5000usize, output in 1..5000usize,
    ) {
        let mut stored = Vec::new();
        let mut data = Vec::new();
        for (part, zeros) in &parts {
            stored.extend(encode(format, part));
            stored.resize(stored.len() + zeros, 0);
            data.extend_from_slice(part);
        }
        let decoded = decode_cut(&stored, input, output);
        prop_assert_eq!(decoded.end, Ok(()));
        prop_assert_eq!(decoded.data, data);
    }
}
