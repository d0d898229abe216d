//! fhirline against the slow reader: the same files, byte for byte and in order, and the same rejects.

mod containers;

use std::fs;
use std::path::{Path, PathBuf};

use fhirline::sample::Sample;
use fhirline::{ExitStatus, Job, Report, SplitJob};
use proptest::prelude::*;

use crate::support::slow_reader::{SlowReader, told_rejects};
use crate::support::{
    CutOrigin, Files, MEMORY_BYTES, Setting, Text, assert_same, decoded, files_in, line_zoo, sample, say,
    split,
};

const MAX_LINE_BYTES: u64 = u64::MAX;
const OUTCOMES: &str = "_quarantine/outcome.ndjson";

/// Fails unless the files are those that were predicted.
#[track_caller]
fn assert_predicted(predicted: &SlowReader, mut found: Files, of: &str) {
    found.remove("manifest.json");
    let told = told_rejects(&found.remove(OUTCOMES).unwrap_or_default());
    assert_same(&found, &predicted.files, of);
    assert_eq!(told.len(), predicted.rejects.len(), "rejects of {of}");
    for ((reject, code), wanted) in told.into_iter().zip(&predicted.rejects) {
        assert_eq!((&reject.source, reject.line, reject.byte, reject.length, reject.lines), {
            (&wanted.source, wanted.line, wanted.byte, wanted.length, wanted.lines)
        });
        if let Some(fault) = wanted.fault {
            assert_eq!(code, fault, "{of}, line {}", wanted.line);
        }
        let about_content = ["not-an-object", "no-resource-type", "resource-type-"];
        let sound_json = about_content.iter().any(|start| code.starts_with(start));
        assert!(wanted.fault.is_some() || !sound_json, "{of}, line {}: {code}", wanted.line);
    }
}

/// Splits files with the facade, and checks the outputs against the prediction. The report comes with it.
fn check_files(paths: &[PathBuf], of: &str) -> (SlowReader, Report) {
    let mut predicted = SlowReader::new(MAX_LINE_BYTES);
    for path in paths {
        let stored = fs::read(path).expect("a readable file");
        predicted.read(&path.display().to_string(), &decoded(&stored));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let job = Job::new(paths).expect("sources").allow_incomplete(true).memory_bytes(MEMORY_BYTES);
    let report = job.split(&SplitJob::to(&out).durable(false), &mut |_| {}).expect("a run");
    assert_eq!(predicted.unpredicted, [""; 0], "sources of {of} with broken values");
    assert_predicted(&predicted, files_in(&out), of);
    let records = &report.account.ledger.records;
    assert_eq!((records.delivered, records.quarantined), {
        (predicted.delivered, predicted.rejects.len() as u64)
    });
    assert_eq!(report.account.ledger.blank_lines, predicted.blank_lines, "blank lines of {of}");
    let failed: Vec<&str> =
        report.account.sources.failures.iter().map(|failure| failure.at.source.as_str()).collect();
    assert_eq!(failed, predicted.refused, "sources of {of} that cannot be read");
    (predicted, report)
}

/// All files below a folder, in order.
fn below(folder: &Path) -> Vec<PathBuf> {
    files_in(folder).keys().map(|name| folder.join(name)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn test_every_fixture_alone_and_all_together() {
    // What does not decode to its end, only looks like text, was cut off, or lists what are the sources, is for the table of faults.
    let faults = root().join("fixtures/faults");
    let is_damaged = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let is_named = ["-cut", "-manifest"].iter().any(|end| stem.ends_with(end));
        path.starts_with(&faults)
            && (is_named || path.extension().is_some_and(|end| end == "gz" || end == "txt"))
    };
    let mut fixtures = below(&root().join("fixtures"));
    fixtures.retain(|path| !is_damaged(path));
    assert!(fixtures.len() >= 10, "only {} fixtures", fixtures.len());
    for path in &fixtures {
        check_files(std::slice::from_ref(path), &path.display().to_string());
    }
    let (predicted, report) = check_files(&fixtures, "the fixtures");
    assert!(predicted.delivered > 20 && predicted.rejects.len() > 20 && !predicted.refused.is_empty());
    assert_eq!(report.status, ExitStatus::Incomplete);
}

#[test]
fn test_generated_exports() {
    for seed in 1..=5 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("export.jsonl");
        let mut sample = Sample::new(seed).target_bytes(seed << 20).broken_lines(true).grouped(seed % 2 == 0);
        if seed == 3 {
            sample = sample.binary_bytes(2 << 20);
        }
        let mut file = fs::File::create(&path).expect("a file");
        let counts = sample.write_to(&mut file).expect("a disk with room");
        let (predicted, report) = check_files(&[path], &format!("seed {seed}"));
        assert_eq!(predicted.delivered, counts.resources);
        assert_eq!(report.account.ledger.bytes.delivered, counts.resource_bytes);
        assert_eq!(report.account.ledger.bytes.read, counts.bytes);
        let places: Vec<_> = predicted.rejects.iter().map(|reject| (reject.line, reject.byte)).collect();
        let meant: Vec<_> = counts.broken_lines.iter().map(|broken| (broken.line, broken.offset)).collect();
        assert_eq!(places, meant);
    }
}

#[test]
fn test_the_real_exports_at_hand() {
    let folder = root().join("../shared/data");
    if !folder.is_dir() {
        say("skipped: there is no folder ../shared/data beside the workspace");
        return;
    }
    let is_sound = |path: &PathBuf| {
        let mut slow = SlowReader::new(MAX_LINE_BYTES);
        slow.read("", &decoded(&fs::read(path).expect("a readable file")));
        slow.unpredicted.is_empty()
    };
    let mut paths = below(&folder);
    paths.retain(is_sound);
    let (predicted, report) = check_files(&paths, "the real exports");
    assert_eq!(report.account.sources.read, paths.len() as u64);
    assert!(predicted.delivered > 1000 && predicted.unwrapped > 1000 && predicted.spans_lines);
}

/// Without leave to go on, a source that cannot be read ends with status 5, and nothing has a final name.
#[test]
fn test_a_source_that_cannot_be_read_seals_nothing() {
    for text in ["\n<html>", "PK\x03\x04", "<?xml version=\"1.0\"?>"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, out) = (folder.path().join("source.json"), folder.path().join("out"));
        fs::write(&path, text).expect("a disk with room");
        let mut predicted = SlowReader::new(MAX_LINE_BYTES);
        predicted.read("source", text.as_bytes());
        assert_eq!(predicted.refused, ["source"]);
        let job = Job::new([&path]).expect("a source").memory_bytes(MEMORY_BYTES);
        let report = job.split(&SplitJob::to(&out).durable(false), &mut |_| {}).expect("a run");
        assert_eq!((report.exit_code, report.account.sources.failed), (5, 1), "{text}");
        assert!(files_in(&out).keys().all(|name| name.ends_with(".partial")));
    }
}

/// What the slow reader says of whole values, so that the two cannot be wrong together.
#[test]
fn test_the_slow_reader_on_its_own() {
    let mut reader = SlowReader::new(30);
    reader.read(
        "s",
        b"\xEF\xBB\xBF{\"resourceType\":\"A\"}\r\n \n [1]\n{\"resourceType\":\"A\" , \"x\":1.0000}\n",
    );
    let outputs: Vec<_> = reader.files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let raw: &[u8] = b" [1]\n{\"resourceType\":\"A\" , \"x\":1.0000}\n";
    assert_eq!(outputs, [("A.ndjson", &b"{\"resourceType\":\"A\"}\n"[..]), ("_quarantine/lines.raw", raw)]);
    let rejects: Vec<_> = reader.rejects.iter().map(|r| (r.line, r.byte, r.length, r.fault)).collect();
    assert_eq!(rejects, [(3, 27, 4, Some("not-an-object")), (4, 32, 33, Some("too-long"))]);
}

/// Lines out of the zoo in any order and any number, some of them damaged.
fn soups() -> impl Strategy<Value = Text> {
    let line = prop::sample::select(
        line_zoo().split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>(),
    );
    let start = prop_oneof![
        4 => Just(&b""[..]),
        1 => Just(&b"\xEF\xBB\xBF"[..]),
        1 => Just(&b"{\n"[..]),
        1 => Just(&b"[\n"[..]),
        1 => Just(&b"{\"cut\":\"\xC3\n"[..]),
        1 => Just(&b"\x0C\n{\n"[..]),
        1 => Just(&b" \n<x>"[..]),
    ];
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (start, prop::collection::vec(line, 0..12), damage).prop_map(|(start, lines, damage)| {
        let mut soup = [start, &lines.concat()].concat();
        for (place, byte) in damage.into_iter().filter(|_| !lines.is_empty()) {
            let place = place.index(soup.len());
            soup[place] = byte;
        }
        Text(soup)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn test_any_soup_of_lines(
        Text(soup) in soups(),
        max_line_bytes in prop_oneof![Just(1 << 20), 20_u64..80],
        held_line_bytes in prop_oneof![Just(1 << 20), 1_usize..80],
    ) {
        let mut predicted = SlowReader::new(max_line_bytes);
        predicted.read("soup", &soup);
        let setting = Setting::threads(1)
            .max_line_bytes(max_line_bytes)
            .held_line_bytes(held_line_bytes)
            .allow_incomplete();
        let ran = split([CutOrigin::whole("soup", &soup).entry()], &setting).expect("a run");
        // What is shorter than a few words is held in any case where values span lines.
        if !predicted.unpredicted.is_empty() || (predicted.spans_lines && max_line_bytes < 64) {
            return Ok(());
        }
        prop_assert_eq!(ran.outcome.failed_sources, predicted.refused.len() as u64);
        assert_predicted(&predicted, ran.files, "a soup of lines");
    }
}

/// serde_json calls a number that is cut off invalid, not incomplete; the oracle once took its word for it.
#[test]
fn test_a_number_that_is_cut_off_is_incomplete() {
    for line in ["-", "1.", "2e", "{\"a\":-", "{\"a\":[1e+"] {
        let mut predicted = SlowReader::new(MAX_LINE_BYTES);
        predicted.read("cut", line.as_bytes());
        let ran =
            split([CutOrigin::whole("cut", line.as_bytes()).entry()], &Setting::threads(1)).expect("a run");
        assert_eq!(
            ran.outcome.totals.faults.keys().map(|fault| fault.code()).collect::<Vec<_>>(),
            ["incomplete"]
        );
        assert_predicted(&predicted, ran.files, line);
    }
}

#[test]
fn test_several_sources_come_in_order() {
    let sources = [sample(7, 200 << 10), line_zoo(), sample(8, 100 << 10)];
    let mut predicted = SlowReader::new(MAX_LINE_BYTES);
    let mut entries = Vec::new();
    for (number, bytes) in sources.iter().enumerate() {
        let name = format!("source {number}");
        predicted.read(&name, bytes);
        entries.push(CutOrigin::whole(&name, bytes).entry());
    }
    let ran = split(entries, &Setting::threads(3)).expect("a run");
    assert_predicted(&predicted, ran.files, "three sources");
}
