//! Windows that are too large are refused before they are taken, with the number that would be enough.

mod support;

use std::io::Read;

use fhirline_decompress::{Compression, Decoder, DecompressError, Limits};
use support::{CODED, encode, sample, tool, zstd_frame};

const MIB: u64 = 1 << 20;

fn open(stored: &[u8], window_bytes: u64) -> Result<Decoder<&[u8]>, DecompressError> {
    Decoder::new(stored, Limits::default().with_window_bytes(window_bytes))
        .map_err(|error| DecompressError::find_in(&error).expect("a slice"))
}

fn needed(stored: &[u8], window_bytes: u64) -> u64 {
    match open(stored, window_bytes) {
        Err(DecompressError::WindowTooLarge { needed_bytes, allowed_bytes, .. }) => {
            assert_eq!(allowed_bytes, window_bytes);
            assert!(needed_bytes > allowed_bytes);
            needed_bytes
        }
        other => panic!("{other:?}"),
    }
}

/// The need that is named is enough, and one byte less is not.
fn is_exact(stored: &[u8], data: &[u8], window_bytes: u64) -> u64 {
    let need = needed(stored, window_bytes);
    assert_eq!(needed(stored, need - 1), need);
    let mut decoder = open(stored, need).expect("enough");
    let mut decoded = Vec::new();
    decoder.read_to_end(&mut decoded).expect("enough");
    assert_eq!(decoded, data);
    assert_eq!(decoder.memory_bytes(), Limits::default().with_window_bytes(need).memory_bytes());
    need
}

fn long_zstd(data: &[u8], log: u32) -> Vec<u8> {
    zstd_frame(data, |encoder| {
        encoder.window_log(log)?;
        encoder.long_distance_matching(true)
    })
}

#[test]
fn zstd_long_is_refused_and_its_need_named() {
    let data = sample(3000);
    for log in [24, 25, 27] {
        let need = is_exact(&long_zstd(&data, log), &data, 16 * MIB);
        assert!(need > 1 << log && need < (1 << log) + MIB, "{log}: {need}");
    }
    // Beyond the library's own default bound of 128 MiB; not decoded here, for it would take the memory.
    let header = [0x28, 0xb5, 0x2f, 0xfd, 0, (31 - 10) << 3, 0, 0, 0];
    assert!(needed(&header, 16 * MIB) > 2048 * MIB);
}

#[test]
fn a_window_of_terabytes_is_refused_whatever_the_limit() {
    let header = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, 0, 0, 0];
    let refused = open(&header, u64::MAX).expect_err("3.75 TiB");
    assert!(
        matches!(refused, DecompressError::WindowTooLarge { needed_bytes, .. } if needed_bytes > 1 << 41)
    );
    let single = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0];
    assert!(matches!(open(&single, u64::MAX), Err(DecompressError::WindowTooLarge { .. })));
}

#[test]
fn a_single_segment_needs_its_content_size() {
    let data = sample(9000);
    let stored = zstd_frame(&data, |encoder| {
        encoder.set_pledged_src_size(Some(data.len() as u64))?;
        encoder.window_log(24)
    });
    assert_ne!(stored[4] & 0x20, 0, "not a single segment");
    let need = is_exact(&stored, &data, data.len() as u64 - 1);
    assert!(need < data.len() as u64 + MIB);
}

#[test]
fn a_later_frame_is_judged_too_after_the_data_before_it() {
    let first = sample(10);
    let stored = [zstd_frame(&first, |_| Ok(())), long_zstd(&sample(2000), 27)].concat();
    let mut decoded = Vec::new();
    let error = open(&stored, 16 * MIB).expect("small").read_to_end(&mut decoded).expect_err("large");
    assert_eq!(decoded, first);
    let found = DecompressError::find_in(&error);
    assert!(matches!(found, Some(DecompressError::WindowTooLarge { .. })), "{found:?}");
}

#[test]
fn a_frame_that_needs_a_dictionary_is_named() {
    let header = [0x28, 0xb5, 0x2f, 0xfd, 0x21, 77, 1, 9, 0, 0];
    assert_eq!(
        open(&header, 16 * MIB).expect_err("no dictionary"),
        DecompressError::Unsupported { what: "zstd with a dictionary" }
    );
}

fn xz(data: &[u8], dictionary: u32) -> Vec<u8> {
    use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
    let mut options = LzmaOptions::new_preset(0).expect("a preset");
    options.dict_size(dictionary);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let stream = Stream::new_stream_encoder(&filters, Check::Crc64).expect("legal options");
    let mut encoder = liblzma::read::XzEncoder::new_stream(data, stream);
    let mut stored = Vec::new();
    encoder.read_to_end(&mut stored).expect("a slice");
    stored
}

#[test]
fn a_large_xz_dictionary_is_refused_and_its_need_named() {
    let data = sample(3000);
    let need = is_exact(&xz(&data, 64 << 20), &data, 16 * MIB);
    assert!(need > 64 * MIB && need < 65 * MIB, "{need}");
    // An xz that the default limit lets pass holds what it asks for, no more.
    let stored = xz(&data, 8 << 20);
    let decoder = open(&stored, 16 * MIB).expect("8 MiB");
    assert!((8 * MIB..9 * MIB).contains(&decoder.memory_bytes()), "{}", decoder.memory_bytes());
}

#[test]
fn every_format_keeps_to_the_limit() {
    for compression in CODED {
        let stored = encode(compression, &sample(20));
        assert!(needed(&stored, 1000) > 1000, "{compression}");
    }
    let level = |level| {
        let mut encoder = bzip2::read::BzEncoder::new(&b"x"[..], bzip2::Compression::new(level));
        let mut stored = Vec::new();
        encoder.read_to_end(&mut stored).expect("a slice");
        is_exact(&stored, b"x", 1000)
    };
    assert!(level(1) < level(9) && level(9) < 4 * MIB);
}

#[test]
fn the_default_limit_takes_what_the_tools_write_by_default_and_refuses_more() {
    let data = sample(200);
    for (name, arguments, good) in [
        ("zstd", &["-q", "-c"][..], true),
        ("zstd", &["-q", "-c", "-19"], true),
        ("zstd", &["-q", "-c", "--ultra", "-22"], false),
        ("zstd", &["-q", "-c", "--long=27"], false),
        ("xz", &["-c"], true),
        ("xz", &["-c", "-9"], false),
        ("bzip2", &["-c", "-9"], true),
        ("gzip", &["-c", "-9"], true),
    ] {
        let Some(ran) = tool(name, arguments, &data) else { continue };
        assert!(ran.good);
        let opened = open(&ran.data, Limits::default().window_bytes);
        assert_eq!(opened.is_ok(), good, "{name} {arguments:?}: {opened:?}");
    }
}

#[test]
fn plain_bytes_hold_next_to_nothing() {
    let decoder = open(b"{}\n", 0).expect("plain");
    assert_eq!(decoder.compression(), Compression::None);
    assert!(decoder.memory_bytes() <= 512);
}

#[test]
fn an_xz_that_ends_before_its_first_block_keeps_to_the_limit() {
    assert!(needed(b"\xfd7zXZ\0\0\x01\x69\x22\xde\x36", 1000) > 1000);
}
