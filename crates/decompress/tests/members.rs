//! One rule for the members of all formats: what may follow what, where a source may end, and how the bytes may arrive.

mod support;

use std::time::{Duration, Instant};

use fhirline_decompress::{Compression, DecompressError};
use support::{CODED, Decoded, decode, decode_cut, encode, sample, zstd_frame};

const SKIPPABLE: &[u8] = &[0x5b, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5];

#[test]
fn members_come_out_one_after_the_other() {
    let parts = [sample(300), Vec::new(), sample(1), Vec::new(), sample(900)];
    for compression in CODED {
        let stored: Vec<u8> = parts.iter().flat_map(|part| encode(compression, part)).collect();
        assert_eq!(decode(&stored), Decoded::complete(&parts.concat()), "{compression}");
    }
}

#[test]
fn the_way_the_bytes_arrive_does_not_matter() {
    let parts = [sample(40), Vec::new(), sample(3)];
    for compression in CODED {
        let mut stored: Vec<u8> = parts.iter().flat_map(|part| encode(compression, part)).collect();
        if compression == Compression::Zstd {
            stored.extend_from_slice(SKIPPABLE);
        }
        stored.extend_from_slice(&[0; 7]);
        for (input, output) in [(1, 1), (1, 1 << 16), (usize::MAX, 1), (2, 3), (7, 100), (513, 4096)] {
            let decoded = decode_cut(&stored, input, output);
            assert_eq!(decoded, Decoded::complete(&parts.concat()), "{compression} {input} {output}");
        }
    }
}

#[test]
fn larger_than_every_buffer() {
    let data = sample(40_000);
    for compression in CODED {
        let stored = [encode(compression, &data), encode(compression, &data[..999_999])].concat();
        let expected = Decoded::complete(&[&data[..], &data[..999_999]].concat());
        for (input, output) in [(usize::MAX, 1 << 20), (4001, 70_001), (100_000, 257)] {
            assert!(decode_cut(&stored, input, output) == expected, "{compression} {input} {output}");
        }
    }
}

#[test]
fn a_cut_anywhere_is_an_error_unless_a_member_ends_there() {
    let parts = [sample(12), Vec::new(), sample(2)];
    for compression in CODED {
        let members = parts.each_ref().map(|part| encode(compression, part));
        let stored = members.concat();
        let all = parts.concat();
        let ends = [members[0].len(), members[0].len() + members[1].len()];
        for cut in 1..stored.len() {
            let decoded = decode(&stored[..cut]);
            assert!(all.starts_with(&decoded.data) || cut < 4, "{compression} {cut}: other data");
            match decoded.end {
                Ok(()) if ends.contains(&cut) => {}
                // Too short to tell: these are plain bytes.
                Ok(()) if cut == 1 || (cut < 4 && compression == Compression::Bzip2) => {}
                Err(DecompressError::Truncated { stored_byte, .. }) => {
                    assert!(!ends.contains(&cut), "{compression} {cut}: a whole member is refused");
                    assert!(stored_byte <= cut as u64);
                }
                end => panic!("{compression} {cut}: {end:?}"),
            }
        }
    }
}

#[test]
fn all_that_can_be_decoded_of_a_cut_source_comes_out() {
    let data = sample(20_000);
    for compression in CODED {
        let stored = encode(compression, &data);
        // Only the end of the checksum is missing, so every byte of data is there.
        let decoded = decode(&stored[..stored.len() - 1]);
        assert!(decoded.data == data, "{compression}: {} of {}", decoded.data.len(), data.len());
        assert!(matches!(decoded.end, Err(DecompressError::Truncated { .. })), "{compression}");
    }
}

#[test]
fn zeros_may_follow_every_member() {
    let data = sample(5);
    for compression in CODED {
        let member = encode(compression, &data);
        for zeros in (1..=20).chain([511, 512, 1023, 1024, 70_000]) {
            let padded = [&member[..], &vec![0; zeros]].concat();
            assert_eq!(decode(&padded), Decoded::complete(&data), "{compression} {zeros}");
            let again = [&padded[..], &member].concat();
            assert_eq!(decode(&again).data, [&data[..], &data].concat(), "{compression} {zeros}");
        }
    }
}

#[test]
fn anything_else_behind_is_an_error_after_the_data() {
    let data = sample(5);
    for compression in CODED {
        let member = encode(compression, &data);
        for zeros in [0, 1, 512] {
            for garbage in
                [&b"x"[..], b"{}\n", b"\xff", &[7; 5000], b"BZx", b"\x1f\x8c", b"\xfd8", b"\x28\xb6"]
            {
                let stored = [&member[..], &vec![0; zeros], garbage].concat();
                let decoded = decode_cut(&stored, 3, 100);
                let stored_byte = (member.len() + zeros) as u64;
                let end = Err(DecompressError::TrailingGarbage { compression, stored_byte });
                assert_eq!(decoded, Decoded { data: data.clone(), end }, "{compression}");
            }
        }
    }
}

#[test]
fn another_format_behind_is_garbage() {
    for one in CODED {
        for other in CODED.into_iter().filter(|&other| other != one) {
            let stored = [encode(one, b"1"), encode(other, b"2")].concat();
            let decoded = decode(&stored);
            assert_eq!(decoded.data, b"1");
            assert!(matches!(decoded.end, Err(DecompressError::TrailingGarbage { .. })), "{one} {other}");
        }
    }
}

#[test]
fn a_cut_magic_of_the_next_member_is_no_garbage() {
    for (compression, magic) in [
        (Compression::Gzip, &b"\x1f"[..]),
        (Compression::Zstd, b"\x28\xb5\x2f"),
        (Compression::Zstd, b"\x50\x2a"),
        (Compression::Bzip2, b"BZh91AY"),
        (Compression::Xz, b"\xfd7zXZ"),
    ] {
        let stored = [&encode(compression, b"data")[..], magic].concat();
        let decoded = decode(&stored);
        assert_eq!(decoded.data, b"data");
        assert!(matches!(decoded.end, Err(DecompressError::Truncated { .. })), "{compression}");
    }
}

#[test]
fn skippable_frames_are_skipped_wherever_they_stand() {
    let data = sample(10);
    let frame = zstd_frame(&data, |_| Ok(()));
    let long = [&[0x50, 0x2a, 0x4d, 0x18, 0x40, 0x0d, 3, 0][..], &vec![9; 200_000]].concat();
    let empty = [0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    let stored = [SKIPPABLE, &long, &frame, &empty, SKIPPABLE, &frame, &long].concat();
    for (input, output) in [(usize::MAX, 1 << 16), (1, 1)] {
        assert_eq!(decode_cut(&stored, input, output).data, [&data[..], &data].concat());
    }
    assert_eq!(decode(SKIPPABLE), Decoded::complete(b""));
    let cut = decode(&stored[..stored.len() - 1]);
    assert!(matches!(cut.end, Err(DecompressError::Truncated { .. })));
}

#[test]
fn very_many_empty_members_come_to_an_end() {
    for (compression, count) in [
        (Compression::Gzip, 20_000),
        (Compression::Zstd, 50_000),
        (Compression::Bzip2, 1_000),
        (Compression::Xz, 20_000),
    ] {
        let begun = Instant::now();
        let stored = encode(compression, b"").repeat(count);
        assert_eq!(decode(&stored), Decoded::complete(b""), "{compression}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{compression}: {:?}", begun.elapsed());
    }
}
