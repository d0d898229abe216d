use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn made(sample: &Sample) -> (Vec<u8>, SampleCounts) {
    let mut bytes = Vec::new();
    let counts = sample.write_to(&mut bytes).unwrap();
    (bytes, counts)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n')
}

/// The type that an independent parser finds.
fn type_of(line: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(line).ok()?;
    Some(value.get("resourceType")?.as_str()?.to_owned())
}

/// Counts the sample again, from its bytes only.
fn recount(bytes: &[u8]) -> SampleCounts {
    let mut counts = SampleCounts { bytes: bytes.len() as u64, ..SampleCounts::default() };
    for line in lines(bytes) {
        counts.lines += 1;
        let value = line.strip_suffix(b"\r").unwrap_or(line);
        match type_of(value) {
            _ if line.is_empty() => counts.blank += 1,
            None => counts.broken += 1,
            Some(name) => {
                counts.resources += 1;
                counts.resource_bytes += value.len() as u64;
                counts.crlf += (line.len() - value.len()) as u64;
                *counts.by_type.entry(name).or_default() += 1;
            }
        }
    }
    counts
}

fn without_broken_detail(counts: &SampleCounts) -> SampleCounts {
    SampleCounts { broken_lines: Vec::new(), meant_by_type: BTreeMap::new(), ..counts.clone() }
}

#[test]
fn test_counts_are_exact() {
    for grouped in [false, true] {
        for broken in [false, true] {
            for binary in [0, 200_001] {
                let sample = Sample::new(3)
                    .target_bytes(1 << 20)
                    .broken_lines(broken)
                    .binary_bytes(binary)
                    .grouped(grouped);
                let (bytes, counts) = made(&sample);
                assert_eq!(without_broken_detail(&counts), recount(&bytes));
                assert_eq!(counts.broken, if broken { 8 } else { 0 });
                assert_eq!(counts.blank + counts.crlf, if broken { 2 } else { 0 });
            }
        }
    }
}

#[test]
fn test_every_byte_belongs_somewhere() {
    let (_, counts) = made(&Sample::new(4).broken_lines(true));
    let broken: u64 = counts.broken_lines.iter().map(|line| line.bytes).sum();
    assert_eq!(counts.bytes, counts.resource_bytes + broken + counts.lines + counts.crlf);
}

#[test]
fn test_same_seed_same_bytes() {
    let sample = |seed| Sample::new(seed).target_bytes(256 << 10).broken_lines(true).binary_bytes(50_000);
    assert_eq!(made(&sample(1)), made(&sample(1)));
    assert_ne!(made(&sample(1)).0, made(&sample(2)).0);
}

/// What is said about a sample elsewhere must not move from one version to the next (FNV-1a of its bytes).
#[test]
fn test_the_sample_of_seed_1_stays_what_it_is() {
    let (bytes, counts) = made(&Sample::new(1).target_bytes(128 << 10).broken_lines(true));
    let sum = bytes.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    assert_eq!((counts.bytes, counts.lines, sum), (132_085, 115, 1_319_964_294_416_330_518));
}

#[test]
fn test_size_is_near_the_target() {
    for target in [64 << 10, 300 << 10, 5 << 20] {
        for grouped in [false, true] {
            let sample = Sample::new(5).target_bytes(target).binary_bytes(10_000).grouped(grouped);
            let (bytes, _) = made(&sample);
            let over = bytes.len() as u64 - target;
            assert!(over < 16 << 10, "{over} bytes over {target}");
        }
    }
}

#[test]
fn test_broken_lines_are_where_the_counts_say() {
    let (bytes, counts) = made(&Sample::new(6).broken_lines(true));
    let all: Vec<&[u8]> = lines(&bytes).collect();
    assert!(type_of(all[0]).is_some(), "the first line decides the format and must be good");
    let kinds: BTreeSet<Broken> = counts.broken_lines.iter().map(|line| line.kind).collect();
    assert_eq!(kinds.len(), 8);
    for broken in &counts.broken_lines {
        let (from, line) = (broken.offset as usize, all[broken.line as usize - 1]);
        assert_eq!(line, &bytes[from..from + broken.bytes as usize]);
        assert_eq!(type_of(line), None, "{:?}", broken.kind);
    }
}

#[test]
fn test_broken_lines_are_broken_as_named() {
    let (bytes, counts) = made(&Sample::new(7).broken_lines(true));
    for broken in &counts.broken_lines {
        let line = &bytes[broken.offset as usize..][..broken.bytes as usize];
        let is_json = serde_json::from_slice::<Value>(line).is_ok();
        assert_eq!(is_json, matches!(broken.kind, Broken::NoType | Broken::NumberType), "{:?}", broken.kind);
        assert_eq!(
            std::str::from_utf8(line).is_err(),
            broken.kind == Broken::InvalidUtf8,
            "{:?}",
            broken.kind
        );
        assert_eq!(line.contains(&b'\t'), broken.kind == Broken::RawTab, "{:?}", broken.kind);
    }
}

#[test]
fn test_about_half_of_the_lines_do_not_begin_with_the_type() {
    let (bytes, counts) = made(&Sample::new(8).target_bytes(2 << 20));
    let late = lines(&bytes).filter(|line| !line.starts_with(br#"{"resourceType""#)).count() as u64;
    let percent = 100 * late / counts.lines;
    assert!((40..60).contains(&percent), "{percent} %");
}

#[test]
fn test_lines_are_about_a_kibibyte_and_most_are_observations() {
    let (bytes, counts) = made(&Sample::new(9).target_bytes(2 << 20));
    let mut lengths: Vec<usize> = lines(&bytes).map(<[u8]>::len).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!((800..1300).contains(&median), "median {median}");
    assert!(counts.by_type["Observation"] * 10 > counts.resources * 4);
    assert!(counts.by_type.len() >= 20);
}

#[test]
fn test_order_of_types() {
    let types = |grouped| -> Vec<String> {
        lines(&made(&Sample::new(10).grouped(grouped)).0).filter_map(type_of).collect()
    };
    assert!(types(true).is_sorted());
    assert!(!types(false).is_sorted());
}

#[test]
fn test_no_slot_is_left_open() {
    let (bytes, _) = made(&Sample::new(11).broken_lines(true));
    assert!(!bytes.contains(&b'~'));
}

#[test]
fn test_shapes_are_in_order_of_type() {
    assert!(SHAPES.is_sorted_by_key(|shape| shape.type_name));
    assert!(SHAPES.iter().all(|shape| shape.weight > 0));
}

/// Shapes that begin with another key than `resourceType` or (Patient) `id` stand for sorted maps.
#[test]
fn test_sorted_shapes_are_sorted() {
    let (bytes, _) = made(&Sample::new(12));
    for line in
        lines(&bytes).filter(|line| !line.starts_with(br#"{"resourceType""#) && !line.starts_with(b"{\"id"))
    {
        // Without `preserve_order`, a map of serde_json iterates by key; the text must have the keys in that order.
        let value: Value = serde_json::from_slice(line).unwrap();
        let keys: Vec<String> = value.as_object().unwrap().keys().map(|key| format!("\"{key}\":")).collect();
        let mut at = 0;
        for key in &keys {
            let found = line[at..].windows(key.len()).position(|window| window == key.as_bytes());
            at += found.unwrap_or_else(|| panic!("{key} is out of order"));
        }
    }
}

#[test]
fn test_event_declares_what_is_good() {
    let sample = Sample::new(13).broken_lines(true);
    let (_, counts) = made(&sample);
    let event: Value =
        serde_json::from_str(&sample.event(&counts, "https://example.org/export.jsonl")).unwrap();
    assert_eq!(event["type"], "patient.ehi_export_success");
    assert_eq!(event["data"]["download_links"][0]["url"], "https://example.org/export.jsonl");
    let stats = &event["data"]["stats"];
    assert_eq!(stats["total_resources"], counts.resources);
    assert_eq!(stats["total_by_resource_type"], serde_json::to_value(&counts.by_type).unwrap());
}

#[test]
fn test_event_declares_broken_lines_when_told() {
    let sample = Sample::new(13).broken_lines(true).declare_broken(true);
    let (_, counts) = made(&sample);
    let event: Value =
        serde_json::from_str(&sample.event(&counts, "https://example.org/export.jsonl")).unwrap();
    let stats = &event["data"]["stats"];
    let meant: u64 = counts.meant_by_type.values().sum();
    assert_eq!(meant, 6);
    assert_eq!(stats["total_resources"], counts.resources + meant);
    assert_eq!(stats["total_by_resource_type"]["Encounter"], counts.by_type["Encounter"] + 1);
}

/// The large line costs no memory: it arrives in pieces.
#[test]
fn test_large_binary_is_streamed() {
    struct Pieces(usize);
    impl Write for Pieces {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0 = self.0.max(piece.len());
            Ok(piece.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut out = Pieces(0);
    Sample::new(14).binary_bytes(4 << 20).write_to(&mut out).unwrap();
    assert!(out.0 < 4 * BUFFER_BYTES, "{} bytes at once", out.0);
}
