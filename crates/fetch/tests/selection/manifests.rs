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

/// What stands in a manifest that was saved, beside its lists.
const SAVED: &str = r#""transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":false"#;

#[test]
fn a_manifest_that_is_named_stands_for_what_lies_beside_it() {
    let tree = Tree::new(&["b.ndjson", "a b.ndjson", "sub/c.ndjson", "deleted/gone.ndjson", "other.ndjson"]);
    let status = format!(
        r#"{{{SAVED},"output":[{{"type":"Patient","url":"https://h.example/x/b.ndjson?sig=1","count":1}},
        {{"type":"Goal","url":"a%20b.ndjson"}},{{"url":"sub/c.ndjson"}}],"deleted":[{{"url":"https://h.example/x/gone.ndjson"}}],
        "error":[{{"url":"nowhere.ndjson"}}]}}"#
    );
    tree.write("status.txt", &status);
    let expected = [
        "listed b.ndjson",
        "listed a b.ndjson",
        "listed sub/c.ndjson",
        "listed deleted/gone.ndjson as Deleted",
        "skipped nowhere.ndjson: NoErrors",
    ];
    assert_eq!(tree.lines(&tree.select(&["status.txt"])), expected);
    assert_eq!(tree.lines(&tree.select(&["*.txt"])), expected);
    assert!(!tree.select(&["status.txt", "*.txt"]).is_remote());
    // Found in a folder it is a file like any other: only a manifest of that name speaks for its folder.
    assert!(tree.walk().contains(&"source status.txt".to_owned()));
}

#[test]
fn a_resource_that_is_named_is_never_a_manifest() {
    for text in [
        format!(r#"{{"resourceType":"Task",{SAVED},"output":[{{"url":"a.ndjson"}}]}}"#),
        format!(r#"{{{SAVED},"output":[{{"url":"a.ndjson"}}],"resourceType":"Task"}}"#),
        format!("{{{SAVED},\"output\":[]}}\n{{\"resourceType\":\"Goal\"}}\n"),
        r#"{"output":[{"url":"a.ndjson"}]}"#.to_owned(),
    ] {
        let tree = Tree::new(&["a.ndjson"]);
        tree.write("task.json", &text);
        assert_eq!(tree.lines(&tree.select(&["task.json"])), ["named task.json"], "{text}");
    }
}

#[test]
fn a_manifest_that_is_named_and_makes_no_sense_is_an_error() {
    let tree = Tree::new(&["a.ndjson"]);
    tree.write("status.json", &format!(r#"{{{SAVED},"output":[{{"url":7}}]}}"#));
    let expected = ["error status.json looks like a Bulk Data manifest, but what it names makes no sense"];
    assert_eq!(tree.lines(&tree.select(&["status.json"])), expected);
    tree.write(
        "page.json",
        &format!(r#"{{{SAVED},"output":[],"link":[{{"relation":"next","url":"two"}}]}}"#),
    );
    let expected = ["error page.json is one page of a manifest, and the next one cannot be had"];
    assert_eq!(tree.lines(&tree.select(&["page.json"])), expected);
    tree.write("gone.json", &format!(r#"{{{SAVED},"output":[{{"url":"b.ndjson"}}]}}"#));
    let expected = ["error gone.json names an output that is not in its folder: b.ndjson"];
    assert_eq!(tree.lines(&tree.select(&["gone.json"])), expected);
}

#[cfg(feature = "http")]
#[test]
fn what_does_not_lie_beside_a_manifest_is_where_its_url_says() {
    let tree = Tree::new(&["a.ndjson", "file"]);
    let urls =
        ["https://h.example/a.ndjson", "https://h.example/b.ndjson?CANARY", "https://h.example/1/file"];
    let also = ["https://h.example/2/file", "ftp://h.example/c.ndjson"];
    let outputs: Vec<_> = urls.iter().chain(&also).map(|url| format!(r#"{{"url":"{url}"}}"#)).collect();
    tree.write("status.json", &format!(r#"{{{SAVED},"output":[{}]}}"#, outputs.join(",")));
    let selection = tree.select(&["status.json"]);
    let expected = [
        "listed a.ndjson",
        "listed https://h.example/b.ndjson",
        // The file of that name could be either's.
        "listed https://h.example/1/file",
        "listed https://h.example/2/file",
        "error status.json names an output that is not in its folder: ftp://h.example/c.ndjson",
    ];
    assert_eq!(tree.lines(&selection), expected);
    assert!(selection.is_remote() && tree.select(&["*.json"]).is_remote());
}
