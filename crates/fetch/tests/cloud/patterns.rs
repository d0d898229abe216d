//! Keys with wildcards.

use crate::{bucket_of, lines_at};

#[test]
fn a_pattern_matches_as_for_files() {
    let bucket =
        bucket_of(&["x/1.json", "x/2.ndjson", "x/.3.ndjson", "x/a/4.ndjson", "x/b/5.ndjson", "y/6.ndjson"]);
    assert_eq!(lines_at(&bucket, "x/*.ndjson"), ["named x/2.ndjson"]);
    assert_eq!(lines_at(&bucket, "*/*.ndjson"), ["named x/2.ndjson", "named y/6.ndjson"]);
    assert_eq!(lines_at(&bucket, "x/[ab]/*.ndjson"), ["named x/a/4.ndjson", "named x/b/5.ndjson"]);
    assert_eq!(
        lines_at(&bucket, "x/**/*.ndjson"),
        ["named x/2.ndjson", "named x/a/4.ndjson", "named x/b/5.ndjson"]
    );
}

#[test]
fn a_folder_that_matches_is_read_as_a_folder() {
    let bucket = bucket_of(&["2025/_log", "2025/a", "2026/b", "2026/sub/c", "other/d"]);
    assert_eq!(
        lines_at(&bucket, "20*"),
        ["skipped 2025/_log: Hidden", "source 2025/a", "source 2026/b", "source 2026/sub/c"]
    );
}

#[test]
fn a_key_that_exists_is_no_pattern() {
    let bucket = bucket_of(&["x/[1].ndjson", "x/1.ndjson"]);
    assert_eq!(lines_at(&bucket, "x/[1].ndjson"), ["named x/[1].ndjson"]);
    assert_eq!(lines_at(&bucket, "x/[12].ndjson"), ["named x/1.ndjson"]);
}

#[test]
fn nothing_that_matches_is_an_error() {
    let bucket = bucket_of(&["x/1.json"]);
    assert_eq!(lines_at(&bucket, "x/*.ndjson"), ["error nothing matches memory://memory/x/*.ndjson"]);
    let bad = lines_at(&bucket, "x/a**");
    assert_eq!(bad.len(), 1);
    assert!(bad[0].starts_with("error x/a** is not a pattern"), "{bad:?}");
}
