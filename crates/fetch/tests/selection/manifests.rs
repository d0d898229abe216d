//! Folders that hold a manifest are read through it.

use fhirline_fetch::{Declared, Found};

use crate::tree::Tree;

/// A tree with a `manifest.json` in the folder `at` that names these outputs.
fn tree_of(at: &str, urls: &[&str], paths: &[&str]) -> Tree {
    let tree = Tree::new(paths);
    let outputs: Vec<_> =
        urls.iter().map(|url| format!(r#"{{"type":"Patient","url":"{url}","count":1}}"#)).collect();
    let manifest = format!(r#"{{"output":[{}],"error":[]}}"#, outputs.join(","));
    tree.write(&format!("{at}manifest.json"), &manifest);
    tree
}

#[test]
fn outputs_come_in_the_order_of_the_manifest_and_once() {
    let tree = tree_of(
        "",
        &["b.ndjson", "a.ndjson", "./b.ndjson", "b.ndjson", "sub/_c.ndjson", "d%20e.ndjson?x=1"],
        &[
            "a.ndjson",
            "b.ndjson",
            "sub/_c.ndjson",
            "sub/f",
            "d e.ndjson",
            "errors.ndjson",
            ".hidden",
            "g.partial",
        ],
    );
    assert_eq!(
        tree.walk(),
        [
            "listed b.ndjson",
            "listed a.ndjson",
            "listed sub/_c.ndjson",
            "listed d e.ndjson",
            "skipped .hidden: Hidden",
            "skipped errors.ndjson: NotInManifest",
            "skipped g.partial: Partial",
            "skipped manifest.json: Manifest",
            "skipped sub/f: NotInManifest",
        ]
    );
    let bytes = "b.ndjson".len() + "a.ndjson".len() + "sub/_c.ndjson".len() + "d e.ndjson".len();
    assert_eq!(tree.select(&[""]).total_bytes(), Some(bytes as u64));
}

#[test]
fn a_manifest_in_a_folder_below_counts_there() {
    let tree = tree_of("export/", &["a.ndjson"], &["export/a.ndjson", "export/b.ndjson", "b.ndjson"]);
    let expected = [
        "source b.ndjson",
        "listed export/a.ndjson",
        "skipped export/b.ndjson: NotInManifest",
        "skipped export/manifest.json: Manifest",
    ];
    assert_eq!(tree.walk(), expected);
    assert_eq!(tree.lines(&tree.select(&[""]).names_at_once(1)), expected);
    assert_eq!(tree.lines(&tree.select(&["exp*"])), expected[1..]);
    assert_eq!(
        tree.lines(&tree.select(&["export/*.ndjson"])),
        ["named export/a.ndjson", "named export/b.ndjson"]
    );
}

#[test]
fn absolute_urls_are_found_by_their_last_segment() {
    let tree = tree_of(
        "",
        &[
            "https://server/bulk/1.ndjson?signature=secret",
            "https://user:secret@server/bulk/2.ndjson?signature=secret",
            "https://server/other/1.ndjson",
            "https://server/",
            "https://server/..",
            "https://server/%2e%2e%2fescape",
            "https://server/bulk/a%20b.ndjson",
            "https://server/bulk/1.ndjson?signature=secret",
            "https://server/sub%2fc.ndjson",
        ],
        &["1.ndjson", "a b.ndjson", "sub/c.ndjson"],
    );
    assert_eq!(
        tree.walk(),
        [
            "listed 1.ndjson",
            "error manifest.json names an output that is not in its folder: https://server/bulk/2.ndjson",
            "error manifest.json names an output that is not in its folder: https://server/other/1.ndjson",
            "error manifest.json names an output that is not in its folder: https://server/",
            "error manifest.json names an output that is not in its folder: https://server/..",
            "error manifest.json names an output that is not in its folder: https://server/%2e%2e%2fescape",
            "listed a b.ndjson",
            "error manifest.json names an output that is not in its folder: https://server/sub%2fc.ndjson",
            "skipped manifest.json: Manifest",
            "skipped sub/c.ndjson: NotInManifest",
        ]
    );
}

#[test]
fn outputs_outside_the_folder_are_refused() {
    let tree = tree_of(
        "in/",
        &[
            "../secret",
            "sub/../../secret",
            "/etc/passwd",
            "%2e%2e/secret",
            "//server/secret",
            "absent",
            "sub",
            "",
        ],
        &["secret", "in/sub/x"],
    );
    let outside = |url: &str| format!("error in/manifest.json names an output outside its folder: {url}");
    let missing =
        |url: &str| format!("error in/manifest.json names an output that is not in its folder: {url}");
    assert_eq!(
        tree.lines(&tree.select(&["in"])),
        [
            outside("../secret"),
            outside("sub/../../secret"),
            outside("/etc/passwd"),
            outside("%2e%2e/secret"),
            outside("//server/secret"),
            missing("absent"),
            missing("sub"),
            missing(""),
            "skipped in/manifest.json: Manifest".to_owned(),
            "skipped in/sub/x: NotInManifest".to_owned(),
        ]
    );
}

#[test]
fn what_is_no_manifest_is_an_ordinary_file() {
    for content in ["", "{}", "not JSON", r#"{"resourceType":"Bundle","output":[]}"#, r#"{"output":{}}"#] {
        let tree = Tree::new(&["a.ndjson"]);
        tree.write("manifest.json", content);
        tree.write("bundle.json", r#"{"output":[]}"#);
        assert_eq!(
            tree.walk(),
            ["source a.ndjson", "source bundle.json", "source manifest.json"],
            "{content}"
        );
    }
    let tree = Tree::new(&["a.ndjson", "manifest.json/x"]);
    assert_eq!(tree.walk(), ["source a.ndjson", "source manifest.json/x"]);
}

#[test]
fn a_manifest_that_is_too_large_is_told_and_its_folder_left_alone() {
    let tree = Tree::new(&["export/a.ndjson", "z"]);
    tree.write("export/manifest.json", &format!(r#"{{"x":"{}","output":[]}}"#, "x".repeat(16 << 20)));
    assert_eq!(
        tree.walk(),
        [
            "error export/manifest.json is larger than a manifest may be (16777216 bytes, 65536 outputs)",
            "source z"
        ]
    );
}

#[test]
fn a_manifest_named_directly_is_a_file_like_any_other() {
    let tree = tree_of("", &["a.ndjson"], &["a.ndjson"]);
    assert_eq!(tree.lines(&tree.select(&["manifest.json"])), ["named manifest.json"]);
}

#[test]
fn what_is_no_data_comes_behind_the_outputs_in_its_own_role() {
    let tree = Tree::new(&[
        "a.ndjson",
        "deleted.ndjson",
        "deleted/1.ndjson",
        "1.ndjson",
        "outcome/2.ndjson",
        "errors.ndjson",
        "_quarantine/outcome.ndjson",
        "_quarantine/lines.raw",
    ]);
    tree.write(
        "manifest.json",
        r#"{"error":[{"url":"errors.ndjson"},{"url":"https://server/absent.ndjson?key=secret"},{"url":"../outside"},
                     {"url":"_quarantine/outcome.ndjson"}],
            "outcome":[{"url":"https://server/2.ndjson"}],
            "deleted":[{"type":"Bundle","url":"deleted.ndjson"},{"url":"https://server/1.ndjson"},{"url":"gone.ndjson"}],
            "output":[{"type":"Patient","url":"a.ndjson","count":7}]}"#,
    );
    assert_eq!(
        tree.walk(),
        [
            "listed a.ndjson",
            "listed deleted.ndjson as Deleted",
            "listed deleted/1.ndjson as Deleted",
            "error manifest.json names an output that is not in its folder: gone.ndjson",
            "listed errors.ndjson as Errors",
            "skipped https://server/absent.ndjson: NoErrors",
            "error manifest.json names an output outside its folder: ../outside",
            "skipped _quarantine/outcome.ndjson: Quarantine",
            "listed outcome/2.ndjson as Errors",
            "skipped 1.ndjson: NotInManifest",
            "skipped _quarantine/lines.raw: NotInManifest",
            "skipped manifest.json: Manifest",
        ]
    );
}

#[test]
fn outputs_in_blocks_have_headers_and_outputs_are_declared() {
    for (organized, role) in [(r#""Patient""#, " as Organized"), ("null", "")] {
        let tree = Tree::new(&["a.ndjson", "b.ndjson", "c.ndjson"]);
        tree.write(
            "manifest.json",
            &format!(
                r#"{{"outputOrganizedBy":{organized},"output":[{{"url":"a.ndjson","type":"Goal","count":3}},
                    {{"url":"b.ndjson","count":"many","type":null}}],"error":[{{"url":"c.ndjson","count":1}}]}}"#
            ),
        );
        let expected = [
            format!("listed a.ndjson{role}"),
            format!("listed b.ndjson{role}"),
            "listed c.ndjson as Errors".to_owned(),
            "skipped manifest.json: Manifest".to_owned(),
        ];
        assert_eq!(tree.walk(), expected);
        let declared = tree.select(&[""]).expand().filter_map(|found| match found {
            Ok(Found::Source { declared, .. }) => Some(declared),
            _ => None,
        });
        let goals = Declared { resource_type: Some("Goal".to_owned()), count: Some(3) };
        assert_eq!(declared.collect::<Vec<_>>(), [Some(goals), Some(Declared::default()), None]);
    }
}
