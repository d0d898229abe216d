//! What patterns match.

use std::fs;

use crate::tree::Tree;
use fhirline_fetch::{FetchError, Found, Selection};

#[test]
fn matches_count_as_named_and_folders_among_them_are_read() {
    let tree =
        Tree::new(&["a.ndjson", "b.ndjson/x", "b.ndjson/_y", "c.txt", "_d.ndjson", ".e.ndjson", "f.partial"]);
    assert_eq!(
        tree.lines(&tree.select(&["*.ndjson"])),
        ["named _d.ndjson", "named a.ndjson", "skipped b.ndjson/_y: Hidden", "source b.ndjson/x"]
    );
    assert_eq!(tree.lines(&tree.select(&["*/"])), ["skipped b.ndjson/_y: Hidden", "source b.ndjson/x"]);
}

#[test]
fn stars_stop_at_slashes_and_two_of_them_do_not() {
    let tree = Tree::new(&["a/1.x", "a/b/2.x", "a/b/c/3.x", "a/b/c/4.y"]);
    assert_eq!(tree.lines(&tree.select(&["a/*.x"])), ["named a/1.x"]);
    assert_eq!(tree.lines(&tree.select(&["*/*/*.x"])), ["named a/b/2.x"]);
    assert_eq!(tree.lines(&tree.select(&["a/**/*.x"])), ["named a/1.x", "named a/b/2.x", "named a/b/c/3.x"]);
    // A folder that matches is read once, not again for what matches in it.
    assert_eq!(
        tree.lines(&tree.select(&["a/**"])),
        ["named a/1.x", "source a/b/2.x", "source a/b/c/3.x", "source a/b/c/4.y"]
    );
}

#[test]
fn a_name_that_exists_is_no_pattern() {
    let tree = Tree::new(&["[a].ndjson", "a.ndjson"]);
    assert_eq!(tree.lines(&tree.select(&["[a].ndjson"])), ["named [a].ndjson"]);
    fs::remove_file(tree.path("[a].ndjson")).expect("removed");
    assert_eq!(tree.lines(&tree.select(&["[a].ndjson"])), ["named a.ndjson"]);
}

#[test]
fn a_pattern_without_a_match_is_an_error() {
    let tree = Tree::new(&["a.ndjson"]);
    let error = Selection::parse([tree.path("*.ndjsn")]).expect_err("no match");
    assert!(matches!(error, FetchError::NoMatch { .. }), "{error:?}");
    let error = Selection::parse([tree.path("nowhere/*.ndjson")]).expect_err("no folder");
    assert!(matches!(error, FetchError::Unreadable { .. }), "{error:?}");
    let error = Selection::parse([tree.path("a**")]).expect_err("no pattern");
    assert!(matches!(error, FetchError::BadPattern { .. }), "{error:?}");
}

#[test]
fn matches_that_are_gone_by_the_time_they_are_needed_are_an_error() {
    let tree = Tree::new(&["a.ndjson", "b"]);
    let selection = tree.select(&["*.ndjson", "b"]);
    fs::remove_file(tree.path("a.ndjson")).expect("removed");
    assert_eq!(tree.lines(&selection), ["error nothing matches *.ndjson", "named b"]);
}

#[test]
fn relative_patterns_begin_in_the_working_folder() {
    // Tests run in the folder of the crate.
    let mut names = Vec::new();
    for found in
        Selection::parse(["*.toml", "./Cargo.t*", "tests/selection/patter*.rs"]).expect("matches").expand()
    {
        match found.expect("readable") {
            Found::Source { origin, .. } => names.push(origin.name().to_owned()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(names, ["Cargo.toml", "./Cargo.toml", "tests/selection/patterns.rs"]);
}
