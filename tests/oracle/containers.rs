//! Sources in which resources stand in Bundles, in arrays, and over several lines.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use fhirline_flow::{Cancel, Entry, run};
use fhirline_route::Grouping;
use fhirline_sink::CatSink;
use proptest::prelude::*;

use super::{SlowReader, assert_predicted, below, root};
use crate::support::containers::sources;
use crate::support::{CutOrigin, Setting, Text, files_in, gzip_members, say, split};

/// The sources of JSON among the real exports, name and bytes; none if they are not at hand. One of them is broken on purpose.
fn real_sources() -> Vec<(String, Vec<u8>)> {
    let folder = root().join("../shared/data");
    if !folder.is_dir() {
        say("skipped: there is no folder ../shared/data beside the workspace");
        return Vec::new();
    }
    let is_json = |path: &PathBuf| path.extension().is_some_and(|end| end == "json" || end == "ndjson");
    let read = |path: PathBuf| (path.display().to_string(), fs::read(path).expect("a readable file"));
    let all = below(&folder).into_iter().filter(is_json).map(read);
    let (sound, broken): (Vec<_>, Vec<_>) =
        all.partition(|source| predicted(std::slice::from_ref(source)).unpredicted.is_empty());
    assert!(broken.len() <= 1 && sound.len() > 500, "{} sources, {} broken", sound.len(), broken.len());
    sound
}

fn predicted(sources: &[(String, Vec<u8>)]) -> SlowReader {
    let mut slow = SlowReader::new(u64::MAX);
    sources.iter().for_each(|(name, bytes)| slow.read(name, bytes));
    slow
}

/// What `cat` writes.
fn cat(sources: impl IntoIterator<Item = Entry, IntoIter: Send>, setting: &Setting) -> Vec<u8> {
    let mut router = setting.router.clone();
    router.grouping = Grouping::Together;
    let mut out = Vec::new();
    let mut sink = CatSink::new(&mut out);
    run(sources, &router, &mut sink, &setting.flow, &Cancel::new(), &mut |_| {}).expect("a run");
    out
}

/// Fails without printing what differs.
#[track_caller]
fn assert_same_stream(found: &[u8], wanted: &[u8], of: &str) {
    let same = found.iter().zip(wanted).take_while(|(one, other)| one == other).count();
    assert!(found == wanted, "{of} differs at byte {same} (lengths {} and {})", found.len(), wanted.len());
}

/// Splits the source and streams it, as it is and compressed, and compares with the slow reader.
#[track_caller]
fn check(name: &str, bytes: &[u8], setting: &Setting) -> SlowReader {
    let slow = predicted(&[(name.to_owned(), bytes.to_vec())]);
    assert_eq!(slow.unpredicted, [""; 0], "{name} is sound");
    if !slow.refused.is_empty() {
        return slow;
    }
    for stored in [bytes.to_vec(), gzip_members(&[bytes])] {
        let entry = || [CutOrigin::whole(name, &stored).entry()];
        assert_predicted(&slow, split(entry(), setting).expect("a run").files, name);
        assert_same_stream(&cat(entry(), setting), &slow.together, name);
    }
    slow
}

/// Each by itself: the same resources as `serde_json` finds, byte for byte.
#[test]
fn test_every_real_source_by_itself() {
    let sources = real_sources();
    let (mut unwrapped, mut spanning) = (0, 0);
    for (number, (name, bytes)) in sources.iter().enumerate() {
        let slow = check(name, bytes, &Setting::threads(1 + number % 4));
        unwrapped += u64::from(slow.unwrapped > 0);
        spanning += u64::from(slow.spans_lines);
    }
    say(&format!("{unwrapped} sources with containers, {spanning} of values over several lines"));
    assert!(sources.is_empty() || (unwrapped > 10 && spanning > 100), "{unwrapped}, {spanning}");
}

/// All in one run: the same files for any number of threads, compressed or not.
#[test]
fn test_all_real_sources_together() {
    let sources = real_sources();
    let slow = predicted(&sources);
    for threads in 1..=4 {
        let setting = Setting::threads(threads).allow_incomplete();
        let stored = |bytes: &[u8]| if threads % 2 == 0 { gzip_members(&[bytes]) } else { bytes.to_vec() };
        let entries = || {
            let entry = |(name, bytes): &(String, Vec<u8>)| CutOrigin::whole(name, &stored(bytes)).entry();
            sources.iter().map(entry).collect::<Vec<_>>()
        };
        assert_predicted(&slow, split(entries(), &setting).expect("a run").files, "all real sources");
        assert_same_stream(&cat(entries(), &setting), &slow.together, "all real sources");
    }
}

/// The program itself: every Bundle there is, in one run.
#[test]
fn test_the_program_reads_every_real_bundle() {
    let mut bundles = real_sources();
    bundles.retain(|source| predicted(std::slice::from_ref(source)).unwrapped > 0);
    if bundles.is_empty() {
        return;
    }
    let slow = predicted(&bundles);
    assert!(slow.delivered > 1000, "{} resources", slow.delivered);
    let folder = tempfile::tempdir().expect("a folder");
    let run = |command: &str, options: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_fhirline"));
        program
            .current_dir(folder.path())
            .arg(command)
            .args(bundles.iter().map(|(name, _)| name))
            .args(options);
        let output = program.output().expect("run");
        let wanted = if slow.rejects.is_empty() { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(wanted), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    for threads in ["1", "2", "3", "4"] {
        run("split", &["-o", threads, "--threads", threads, "--durability", "none"]);
        assert_predicted(&slow, files_in(&folder.path().join(threads)), "every real Bundle");
        assert_same_stream(&run("cat", &["--threads", threads]), &slow.together, "every real Bundle");
    }
}

fn settings() -> impl Strategy<Value = Setting> {
    let held = prop_oneof![2 => Just(4 << 20), 1 => 64_usize..600];
    let chunk = prop_oneof![2 => Just(1 << 20), 1 => 1_usize..2000];
    (1_usize..=4, held, chunk)
        .prop_map(|(threads, held, chunk)| Setting::threads(threads).held_line_bytes(held).chunk_bytes(chunk))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn test_any_row_of_values(Text(source) in sources(), setting in settings(), step in 1_usize..900) {
        let slow = predicted(&[("values".to_owned(), source.clone())]);
        // Values without white space between them can be no JSON at all, or stand where lines are.
        prop_assume!(slow.unpredicted.is_empty() && slow.refused.is_empty());
        for stored in [source.clone(), gzip_members(&[&source])] {
            let entry = || [CutOrigin::cut("values", &stored, &[step]).entry()];
            let ran = split(entry(), &setting).expect("a run");
            prop_assert_eq!(ran.outcome.totals.ledger.check(), Ok(()));
            prop_assert_eq!(ran.outcome.totals.ledger.bytes.read, source.len() as u64);
            assert_predicted(&slow, ran.files, "a row of values");
            assert_same_stream(&cat(entry(), &setting), &slow.together, "a row of values");
        }
    }
}
