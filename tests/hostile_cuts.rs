//! Outputs are a function of the input: not of how its bytes arrive, nor of threads, chunks or memory.

use std::fs;
use std::path::Path;
use std::process::Command;

use fhirline::{Codec, Encoding, Job, SplitJob};
use fhirline_core::{Ledger, SourceRole};
use fhirline_flow::Entry;
use proptest::prelude::*;

use crate::support::{
    CutOrigin, Files, MEMORY_BYTES, Setting, Text, assert_same, bgzf_members, files_in, gzip_members,
    line_zoo, plain, sample, split,
};

/// What must be the same: the files, the account, and what is told of sources that failed or were skipped.
type Left = (Files, Ledger, Vec<String>);

fn result(bytes: &[u8], cuts: &[usize], meant: bool, setting: &Setting) -> Left {
    let origin = Box::new(CutOrigin::cut("source", bytes, cuts));
    result_of(vec![Entry::Source { origin, meant, role: SourceRole::Data }], setting)
}

fn result_of(entries: Vec<Entry>, setting: &Setting) -> Left {
    let ran = split(entries, setting).expect("a run");
    let failed = ran.outcome.failures.iter().map(|failure| format!("{:?} {:?}", failure.at, failure.error));
    let skipped = ran.outcome.skipped.iter().map(|skipped| skipped.why.clone());
    (ran.files, ran.outcome.totals.ledger, failed.chain(skipped).collect())
}

/// Fails unless the source gives the same in these pieces as whole.
#[track_caller]
fn assert_cut_does_not_matter(bytes: &[u8], cuts: &[usize], meant: bool, setting: &Setting) {
    let (whole, whole_ledger, whole_notes) = result(bytes, &[usize::MAX], meant, setting);
    let (files, ledger, notes) = result(bytes, cuts, meant, setting);
    assert_eq!(notes, whole_notes, "cuts {:?}", &cuts[..cuts.len().min(8)]);
    assert_eq!(ledger, whole_ledger);
    assert_same(&files, &whole, "the cut source");
}

#[test]
fn test_every_single_cut_of_a_small_source() {
    let zoo = line_zoo();
    let (front, back) = zoo.split_at(zoo.len() / 2);
    for source in [&zoo, &gzip_members(&[front, b"", back])] {
        let settings = [
            Setting::threads(1),
            Setting::threads(1).max_line_bytes(40).chunk_bytes(64),
            Setting::threads(1).held_line_bytes(30).chunk_bytes(64),
        ];
        for setting in settings {
            for cut in 1..source.len() {
                assert_cut_does_not_matter(source, &[cut, usize::MAX], true, &setting);
            }
        }
    }
}

/// The format is found from the beginning of a source; how much of it is there at first must not matter.
#[test]
fn test_no_cut_changes_what_a_source_is_taken_for() {
    let setting = Setting::threads(1).max_line_bytes(1000).allow_incomplete();
    let long = "x".repeat(140 << 10);
    let resource = "{\"resourceType\":\"Patient\"}\n";
    let sources = [
        format!(" <html>{long}"),
        format!("PK\u{3}\u{4}{long}"),
        format!("\n\n[\"{long}\",\n1]"),
        format!("{{\"text\": \"{long}\",\n\"resourceType\":\"Patient\"}}\n"),
        format!("{{\"text\":\"{long}\n{resource}"),
        format!("{{\"text\":\"{long}{long}\",\n1}}\n{resource}"),
        format!("a heading\n{resource}"),
        format!("a heading\n\n{{\n{resource}"),
        format!("{}{resource}", "a heading\n".repeat(6500)),
        format!("{}{resource}", "a heading\n".repeat(7000)),
        "{\n  \"resourceType\": \"Patient\"\n}\n".to_owned(),
    ];
    for source in &sources {
        for cut in [1, 7, 1000, 64 << 10, 100_003] {
            for meant in [true, false] {
                assert_cut_does_not_matter(source.as_bytes(), &[cut], meant, &setting);
            }
        }
    }
}

/// A file that merely lay in a folder is data if there is a resource in its first 64 KiB, however they arrive.
#[test]
fn test_a_file_in_a_folder_is_searched_so_far_and_no_further() {
    let setting = Setting::threads(1);
    let resource = "{\"resourceType\":\"Patient\"}\n";
    for (headings, read) in [(0, 1), (1, 1), (100, 1), (6500, 1), (7000, 0), (20_000, 0)] {
        let source = format!("{}{resource}", "a heading\n".repeat(headings));
        for stored in [source.clone().into_bytes(), gzip_members(&[b"a heading\n", source.as_bytes()])] {
            for cut in [1, 1000, usize::MAX] {
                let (_, ledger, notes) = result(&stored, &[cut], false, &setting);
                assert_eq!(ledger.records.delivered, read, "{headings} lines before the resource: {notes:?}");
            }
        }
    }
}

/// Sizes of pieces: bytes, pages, buffers.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![1_usize..4, 1_usize..300, 4000_usize..5000, 1_usize..=65536];
    prop::collection::vec(size, 1..12)
}

/// Exports of some 200 KiB, in which one byte may be damaged.
fn exports() -> impl Strategy<Value = Text> {
    let damage = proptest::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (0_u64..4, damage).prop_map(|(seed, damage)| {
        let mut export = [line_zoo(), sample(seed, 150 << 10)].concat();
        if let Some((place, byte)) = damage {
            let place = place.index(export.len());
            export[place] = byte;
        }
        Text(export)
    })
}

fn quietly(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(quietly(48))]

    #[test]
    fn test_any_cuts(
        Text(export) in exports(),
        cuts in cuts(),
        threads in 1_usize..4,
        max_line_bytes in prop_oneof![Just(16 << 20), 100_u64..3000],
        held_line_bytes in prop_oneof![Just(4 << 20), 100_usize..3000],
        chunk_bytes in prop_oneof![Just(1 << 20), 1_usize << 10..1 << 16],
    ) {
        let setting = Setting::threads(threads)
            .max_line_bytes(max_line_bytes)
            .held_line_bytes(held_line_bytes)
            .chunk_bytes(chunk_bytes);
        assert_cut_does_not_matter(&export, &cuts, true, &setting);
    }

    #[test]
    fn test_any_cuts_of_compressed_members(
        Text(export) in exports(),
        cuts in cuts(),
        members in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut ends: Vec<usize> = members.iter().map(|place| place.index(export.len())).collect();
        ends.sort_unstable();
        let starts = [&[0], &ends[..]].concat();
        let ends = [&ends[..], &[export.len()]].concat();
        let pieces: Vec<&[u8]> = starts.iter().zip(&ends).map(|(&start, &end)| &export[start..end]).collect();
        let stored = gzip_members(&pieces);
        let setting = Setting::threads(2);
        assert_cut_does_not_matter(&stored, &cuts, true, &setting);
        let (files, ledger, _) = result(&stored, &cuts, true, &setting);
        let (plainly, plain_ledger, _) = result(&export, &cuts, true, &setting);
        prop_assert_eq!(ledger, plain_ledger);
        assert_same(&files, &plainly, "the compressed source");
    }
}

/// With few threads members are decoded one after the other, with more of them ahead of their turn.
#[test]
fn test_damage_among_members_is_told_alike_with_any_number_of_threads() {
    let export = sample(12, 2 << 20);
    let members = gzip_members(&export.chunks(70_000).collect::<Vec<_>>());
    let blocks = bgzf_members(&export.chunks(60_000).collect::<Vec<_>>());
    for whole in [&members, &blocks] {
        for at in (1..whole.len()).step_by(whole.len() / 5) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x41;
            for stored in [&damaged[..], &whole[..at]] {
                assert_threads_do_not_matter(stored, 2..=8, &|threads| Setting::threads(threads));
            }
        }
    }
}

/// Fails unless the source gives the same with so many threads as with one.
#[track_caller]
fn assert_threads_do_not_matter(
    stored: &[u8],
    threads: impl IntoIterator<Item = usize>,
    setting: &dyn Fn(usize) -> Setting,
) {
    let (with_one, its_ledger, its_notes) = result(stored, &[usize::MAX], true, &setting(1));
    for threads in threads {
        let (files, ledger, notes) = result(stored, &[usize::MAX], true, &setting(threads));
        assert_eq!(notes, its_notes, "{threads} threads");
        assert_eq!(ledger, its_ledger, "{threads} threads");
        assert_same(&files, &with_one, &format!("{threads} threads"));
    }
}

#[derive(Clone, Debug)]
enum Damage {
    None,
    Byte(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Gone(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        Just(Damage::None),
        (place(), 1..=255_u8).prop_map(|(at, flip)| Damage::Byte(at, flip)),
        place().prop_map(Damage::Cut),
        place().prop_map(Damage::Gone),
    ]
}

impl Damage {
    fn done_to(&self, stored: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Byte(at, flip) => {
                let at = at.index(stored.len());
                stored[at] ^= flip;
            }
            Self::Cut(at) => stored.truncate(at.index(stored.len())),
            Self::Gone(at) => {
                stored.remove(at.index(stored.len()));
            }
        }
    }
}

proptest! {
    #![proptest_config(quietly(48))]

    #[test]
    fn test_any_damage_among_members_with_any_number_of_threads(
        Text(export) in exports(),
        piece_bytes in 500_usize..40_000,
        is_bgzf in any::<bool>(),
        damage in damage(),
        threads in 2_usize..=8,
        chunk_bytes in prop_oneof![Just(1 << 20), 1_usize << 10..1 << 16],
    ) {
        let pieces: Vec<&[u8]> = export.chunks(piece_bytes).collect();
        let mut stored = if is_bgzf { bgzf_members(&pieces) } else { gzip_members(&pieces) };
        damage.done_to(&mut stored);
        assert_threads_do_not_matter(&stored, [threads, 4], &|threads| {
            Setting::threads(threads).chunk_bytes(chunk_bytes)
        });
    }
}

/// Sources of every kind, some of them damaged.
fn rows_of_sources() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
    let bundle = br#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Goal","id":"1"}},{}]}"#;
    let source =
        (0_usize..8, 0_u64..4, 1_u64..300 << 10, damage()).prop_map(|(kind, seed, bytes, damage)| {
            let lines = sample(seed, bytes);
            let mut stored = match kind {
                0 => lines,
                1 => bundle.to_vec(),
                2 => b"<html>nothing to read</html>".to_vec(),
                3 => line_zoo(),
                4 => zstd::encode_all(&lines[..], 3).expect("memory"),
                5 => gzip_members(&[&lines[..lines.len() / 2], b"", &lines[lines.len() / 2..]]),
                _ => gzip_members(&[&lines]),
            };
            damage.done_to(&mut stored);
            stored
        });
    prop::collection::vec((source, any::<bool>()), 1..12)
}

proptest! {
    #![proptest_config(quietly(64))]

    /// With several workers sources are begun before their turn.
    #[test]
    fn test_any_row_of_sources_gives_the_same_with_any_number_of_threads(
        sources in rows_of_sources(),
        cuts in cuts(),
        threads in 2_usize..=8,
        held_line_bytes in prop_oneof![Just(4 << 20), 100_usize..3000],
    ) {
        let entries = |cuts: &[usize]| {
            let entry = |(number, (stored, meant)): (usize, &(Vec<u8>, bool))| {
                let origin = Box::new(CutOrigin::cut(&format!("source {number}"), stored, cuts));
                Entry::Source { origin, meant: *meant, role: SourceRole::Data }
            };
            sources.iter().enumerate().map(entry).collect()
        };
        let setting = |threads| Setting::threads(threads).held_line_bytes(held_line_bytes).allow_incomplete();
        let (files, ledger, notes) = result_of(entries(&[usize::MAX]), &setting(1));
        for threads in [threads, 4] {
            let (found, its_ledger, its_notes) = result_of(entries(&cuts), &setting(threads));
            prop_assert_eq!(&its_notes, &notes, "{} threads", threads);
            prop_assert_eq!(its_ledger, ledger, "{} threads", threads);
            assert_same(&found, &files, &format!("{threads} threads"));
        }
    }
}

/// Sources in a folder: a large one, one with lines of every kind, compressed ones.
fn write_sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let large = sample(11, 5 << 20);
    let (front, back) = large.split_at(1_234_567);
    let pieces: Vec<&[u8]> = large.chunks(100_000).collect();
    let sources = [
        ("a.ndjson", large.clone()),
        ("b.ndjson", line_zoo()),
        ("c.gz", gzip_members(&[front, back])),
        ("d.gz", gzip_members(&pieces)),
        ("e.gz", bgzf_members(&large.chunks(0xff00).collect::<Vec<_>>())),
    ];
    let write = |(name, bytes): (&str, Vec<u8>)| {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("a disk with room");
        path
    };
    sources.into_iter().map(write).collect()
}

#[test]
fn test_any_number_of_threads_leaves_the_same_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let sources = write_sources(folder.path());
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let encoding = Encoding::new(codec, None).expect("the usual level");
        let folder_of = |threads: usize| {
            let out = folder.path().join(format!("{codec:?}-{threads}"));
            let to = SplitJob::to(&out).durable(false).encoding(encoding).max_file_bytes(Some(1 << 20));
            let job = Job::new(&sources).expect("sources").memory_bytes(MEMORY_BYTES).threads(threads);
            job.split(&to, &mut |_| {}).expect("a run");
            files_in(&out)
        };
        let reference = folder_of(1);
        assert!(reference.contains_key("manifest.json") && reference.len() > 10);
        for threads in 2..=8 {
            assert_same(&folder_of(threads), &reference, &format!("{codec:?}, {threads} threads"));
        }
    }
}

/// Where open blocks have to be cut early, what is on its way through compression must not decide which.
#[test]
fn test_threads_do_not_move_members() {
    let export = sample(14, 8 << 20);
    for codec in [Codec::Gzip, Codec::Zstd] {
        let files_of = |threads: usize| {
            let mut setting = Setting::threads(threads).compressed(codec, 16);
            setting.split.max_jobs = threads;
            split([CutOrigin::whole("source", &export).entry()], &setting).expect("a run").files
        };
        let reference = files_of(1);
        for threads in 2..=8 {
            assert_same(&files_of(threads), &reference, &format!("{codec:?}, {threads} threads"));
        }
    }
}

#[test]
fn test_any_size_of_chunks_gives_the_same_bytes() {
    let export = [line_zoo(), sample(12, 6 << 20)].concat();
    let files_of = |setting: &Setting| {
        plain(&split([CutOrigin::whole("source", &export).entry()], setting).expect("a run").files)
    };
    let reference = files_of(&Setting::threads(1));
    for chunk_bytes in [1 << 10, 10_007, 64 << 10, 512 << 10, 4 << 20] {
        for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
            let setting = Setting::threads(2).chunk_bytes(chunk_bytes).compressed(codec, 64);
            assert_same(
                &files_of(&setting),
                &reference,
                &format!("chunks of {chunk_bytes} bytes, {codec:?}"),
            );
        }
    }
}

/// Another ceiling may move the ends of members, but not what they hold. With 16 MiB in open blocks nothing has to be cut
/// early, with 4 MiB much has.
#[test]
fn test_the_ceiling_moves_members_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("export.ndjson");
    fs::write(&source, sample(13, 24 << 20)).expect("a disk with room");
    for compress in ["gzip", "zstd"] {
        let folder_of = |memory: &str| {
            let out = folder.path().join(format!("{compress}-{memory}"));
            let mut command = Command::new(env!("CARGO_BIN_EXE_fhirline"));
            command.arg("split").arg(&source).arg("-o").arg(&out).args(["--compress", compress]);
            command.args(["--memory", memory, "--durability", "none", "-q"]);
            let output = command.output().expect("the binary runs");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(3), "{compress}, {memory}: {told}");
            let mut files = files_in(&out);
            files.remove("manifest.json");
            files
        };
        let (small, large) = (folder_of("64MiB"), folder_of("256MiB"));
        assert_ne!(small, large, "the ceiling decides where members end");
        assert_same(&plain(&small), &plain(&large), compress);
    }
}
