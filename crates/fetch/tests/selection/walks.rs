//! What is found in folders, and in which order.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::tree::Tree;
use fhirline_fetch::{FetchError, Found, Selection};
use proptest::prelude::*;

#[test]
fn sources_come_as_given_and_folders_in_order_of_path_bytes() {
    let tree =
        Tree::new(&["z.ndjson", "d/a0", "d/a/x", "d/a/y/z", "d/a.txt", "d/a-b", "d/B", "a.ndjson", "e/"]);
    assert_eq!(
        tree.lines(&tree.select(&["z.ndjson", "e", "d", "a.ndjson", "a.ndjson"])),
        [
            "named z.ndjson",
            "source d/B",
            "source d/a-b",
            "source d/a.txt",
            "source d/a/x",
            "source d/a/y/z",
            "source d/a0",
            "named a.ndjson",
            "named a.ndjson",
        ]
    );
}

#[test]
fn hidden_and_unfinished_names_are_skipped_unless_named() {
    let tree = Tree::new(&[
        "_quarantine/lines.raw",
        ".git/x",
        "a.partial",
        "a.ndjson",
        "b/_c",
        "partial",
        "d.partial/x",
    ]);
    assert_eq!(
        tree.walk(),
        [
            "skipped .git: Hidden",
            "skipped _quarantine: Hidden",
            "source a.ndjson",
            "skipped a.partial: Partial",
            "skipped b/_c: Hidden",
            "skipped d.partial: Partial",
            "source partial",
        ]
    );
    assert_eq!(
        tree.lines(&tree.select(&["_quarantine", "a.partial", "b/_c"])),
        ["source _quarantine/lines.raw", "named a.partial", "named b/_c"]
    );
}

#[test]
fn the_destination_is_never_read() {
    let tree = Tree::new(&["a.ndjson", "out/Patient.ndjson", "out/sub/x", "outer/x"]);
    let selection = tree.select(&["", "out", "out/sub"]).excluding(tree.path("out")).expect("a place");
    assert_eq!(
        tree.lines(&selection),
        [
            "source a.ndjson",
            "skipped out: Destination",
            "source outer/x",
            "skipped out: Destination",
            "skipped out/sub: Destination",
        ]
    );
    let matches = tree.select(&["*/*.ndjson", "o*"]).excluding(tree.path("out")).expect("a place");
    assert_eq!(
        tree.lines(&matches),
        ["skipped out: Destination", "skipped out: Destination", "source outer/x"]
    );
    let named = tree.select(&["out/Patient.ndjson"]).excluding(tree.path("out")).expect("a place");
    assert_eq!(tree.lines(&named), ["named out/Patient.ndjson"]);
}

#[test]
fn a_destination_made_later_is_not_read_either() {
    let tree = Tree::new(&["a.ndjson"]);
    let selection = tree.select(&[""]).excluding(tree.path("new/out")).expect("a place");
    tree.write("new/out/Patient.ndjson", "");
    tree.write("new/b", "");
    assert_eq!(tree.lines(&selection), ["source a.ndjson", "source new/b", "skipped new/out: Destination"]);
}

#[test]
fn names_that_appear_behind_the_walk_do_not_disturb_it() {
    let tree = Tree::new(&["b", "c", "d"]);
    let mut expansion = tree.select(&[""]).names_at_once(1).expand();
    assert_eq!(tree.line(&expansion.next().expect("b")), "source b");
    tree.write("a", "");
    fs::remove_file(tree.path("c")).expect("removed");
    assert_eq!(expansion.map(|found| tree.line(&found)).collect::<Vec<_>>(), ["source d"]);
}

#[test]
fn a_folder_that_is_gone_is_told_and_the_next_source_read() {
    let tree = Tree::new(&["a/x", "b/x"]);
    let selection = tree.select(&["a", "b"]);
    fs::remove_dir_all(tree.path("a")).expect("removed");
    assert_eq!(tree.lines(&selection), [format!("error cannot read {}", "a"), "source b/x".to_owned()]);
}

#[test]
fn total_bytes_is_the_sum_of_what_is_read() {
    let tree = Tree::new(&["12345", "d/12", "d/_hidden", "d/x.partial"]);
    assert_eq!(tree.select(&["12345", "d"]).total_bytes(), Some(5 + 4));
    assert_eq!(tree.select(&["12345", "12345"]).total_bytes(), Some(10));
    assert_eq!(tree.select(&[]).total_bytes(), Some(0));
    let with_stream = Selection::parse(["-".into(), tree.path("12345")]).expect("a selection");
    assert_eq!(with_stream.total_bytes(), None);
}

#[test]
fn a_name_that_does_not_exist_is_told() {
    let tree = Tree::new(&[]);
    let error = Selection::parse([tree.path("no.ndjson")]).expect_err("absent");
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
    let error = Selection::parse(["ftp://host/key?signature=secret"]).expect_err("a URL");
    assert_eq!(error.to_string(), "ftp:// sources are not supported by this build");
}

#[test]
fn standard_input_is_read_once() {
    let mut expansion = Selection::parse(["-"]).expect("a selection").expand();
    let Some(Ok(Found::Source { origin, .. })) = expansion.next() else { panic!("a source") };
    assert_eq!(origin.name(), "standard input");
    assert!(expansion.next().is_none());
    let error = Selection::parse(["-", "-"]).expect_err("twice");
    assert!(matches!(error, FetchError::StandardInputTwice), "{error:?}");
}

/// Relative paths of all files, found without any of the code under test.
fn oracle(folder: &Path, below: &str, files: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let entry = entry.expect("readable");
        let path = format!("{below}{}", entry.file_name().to_str().expect("UTF-8"));
        if entry.path().is_dir() {
            oracle(&entry.path(), &format!("{path}/"), files);
        } else {
            files.push(path.into_bytes());
        }
    }
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    // Characters on both sides of the slash, so that names and paths are ordered differently.
    let name = "[ab][ab!. /0-]{0,5}[ab0-]";
    prop::collection::vec(name, 0..40)
}

fn plant(tree: &Tree, paths: &[String]) {
    for path in paths {
        let plain: Vec<_> =
            path.split('/').filter(|part| !part.is_empty() && !part.starts_with('.')).collect();
        let full = tree.path(&plain.join("/"));
        // A name may be a folder already, or a file where a folder is needed: then it is left out.
        let _ =
            fs::create_dir_all(full.parent().expect("below the tree")).and_then(|()| fs::write(full, "x"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn order_and_completeness_match_a_sort_of_all_paths(paths in paths(), names_at_once in 1_usize..6) {
        let tree = Tree::new(&[]);
        plant(&tree, &paths);
        let mut expected = Vec::new();
        oracle(tree.root(), "", &mut expected);
        expected.sort();
        let expected: Vec<_> =
            expected.into_iter().map(|path| format!("source {}", String::from_utf8(path).expect("UTF-8"))).collect();
        prop_assert_eq!(&tree.walk(), &expected);
        prop_assert_eq!(&tree.lines(&tree.select(&[""]).names_at_once(names_at_once)), &expected);
        prop_assert_eq!(tree.select(&[""]).total_bytes(), Some(expected.len() as u64));
    }

    #[test]
    fn patterns_find_what_the_glob_crate_finds(
        paths in paths(),
        pattern in prop::sample::select(vec!["*", "a*", "*/*", "*/a*", "**/*0", "a*/**/*b", "?", "[ab]/*", "*b/*/*"]),
        names_at_once in 1_usize..6,
    ) {
        let tree = Tree::new(&[]);
        plant(&tree, &paths);
        let full = tree.path(pattern);
        let options = glob::MatchOptions { require_literal_separator: true, require_literal_leading_dot: true, ..Default::default() };
        let mut expected = BTreeSet::new();
        for path in glob::glob_with(full.to_str().expect("UTF-8"), options).expect("a pattern") {
            let path = path.expect("readable");
            let below = path.strip_prefix(tree.root()).expect("below").to_str().expect("UTF-8").to_owned();
            if path.is_dir() {
                let mut files = Vec::new();
                oracle(&path, &format!("{below}/"), &mut files);
                expected.extend(files);
            } else {
                expected.insert(below.into_bytes());
            }
        }
        let found = match Selection::parse([&full]) {
            Ok(selection) => tree.lines(&selection.names_at_once(names_at_once)),
            Err(FetchError::NoMatch { .. }) => Vec::new(),
            Err(error) => panic!("{error}"),
        };
        let found: Vec<_> = found.iter().map(|line| line.split_once(' ').expect("two words").1).collect();
        let expected: Vec<_> = expected.iter().map(|path| std::str::from_utf8(path).expect("UTF-8")).collect();
        prop_assert_eq!(found, expected);
    }
}
