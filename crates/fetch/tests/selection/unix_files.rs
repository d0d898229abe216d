//! Links, pipes, sockets, permissions and names that only Unix systems have.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread;

use crate::tree::Tree;
use fhirline_core::Origin;
use fhirline_fetch::{FileOrigin, Found, Selection};

fn link(tree: &Tree, name: &str, to: &str) {
    symlink(to, tree.path(name)).expect("linked");
}

fn make_pipe(tree: &Tree, name: &str) {
    let status = Command::new("mkfifo").arg(tree.path(name)).status().expect("mkfifo runs");
    assert!(status.success());
}

#[test]
fn links_to_files_and_folders_are_followed() {
    let tree = Tree::new(&["in/d/x", "elsewhere/e/y", "elsewhere/f"]);
    link(&tree, "in/a", "../elsewhere/f");
    link(&tree, "in/b", "../elsewhere/e");
    link(&tree, "in/d-", "d");
    assert_eq!(
        tree.lines(&tree.select(&["in"])),
        ["source in/a", "source in/b/y", "source in/d-/x", "source in/d/x"]
    );
}

#[test]
fn loops_of_links_end() {
    let tree = Tree::new(&["in/d/x", "in/e/y"]);
    link(&tree, "in/d/self", ".");
    link(&tree, "in/d/up", "..");
    link(&tree, "in/d/to-e", "../e");
    link(&tree, "in/e/to-d", "../d");
    link(&tree, "in/z", "z");
    let lines = tree.lines(&tree.select(&["in"]).names_at_once(1));
    assert_eq!(
        lines,
        [
            "skipped in/d/self: Loop",
            "skipped in/d/to-e/to-d: Loop",
            "source in/d/to-e/y",
            "skipped in/d/up: Loop",
            "source in/d/x",
            "skipped in/e/to-d/self: Loop",
            "skipped in/e/to-d/to-e: Loop",
            "skipped in/e/to-d/up: Loop",
            "source in/e/to-d/x",
            "source in/e/y",
            "error cannot read in/z",
        ]
    );
}

#[test]
fn a_link_that_leads_nowhere_is_told_and_the_walk_goes_on() {
    let tree = Tree::new(&["a", "c"]);
    link(&tree, "b", "nowhere");
    assert_eq!(tree.walk(), ["source a", "error cannot read b", "source c"]);
    assert_eq!(tree.select(&[""]).total_bytes(), Some(2));
}

#[test]
fn links_into_the_destination_are_not_read() {
    let tree = Tree::new(&["in/x", "out/Patient.ndjson", "out/sub/y"]);
    link(&tree, "in/a", "../out");
    link(&tree, "in/b", "../out/sub");
    link(&tree, "in/c", "../out/Patient.ndjson");
    link(&tree, "also-out", "out");
    let selection = tree.select(&["in", "in/*"]).excluding(tree.path("also-out")).expect("a place");
    let from_folder = [
        "skipped in/a: Destination",
        "skipped in/b: Destination",
        "skipped in/c: Destination",
        "source in/x",
    ];
    let from_pattern = from_folder.map(|line| line.replace("source", "named"));
    assert_eq!(tree.lines(&selection), [from_folder.map(str::to_owned), from_pattern].concat());
}

#[test]
fn unreadable_files_and_folders_are_told_and_the_walk_goes_on() {
    let tree = Tree::new(&["a", "b", "c/x", "d"]);
    for name in ["b", "c"] {
        fs::set_permissions(tree.path(name), Permissions::from_mode(0o0)).expect("changed");
    }
    let lines = tree.walk();
    let root = File::open(tree.path("b")).is_ok();
    fs::set_permissions(tree.path("c"), Permissions::from_mode(0o700)).expect("changed");
    // To root everything is readable.
    if !root {
        assert_eq!(lines, ["source a", "error cannot read b", "error cannot read c", "source d"]);
    }
}

#[test]
fn special_files_in_folders_are_skipped() {
    let tree = Tree::new(&["a"]);
    make_pipe(&tree, "pipe");
    make_pipe(&tree, "manifest.json");
    let _socket = UnixListener::bind(tree.path("socket")).expect("bound");
    link(&tree, "zero", "/dev/zero");
    let expected = [
        "skipped manifest.json: Special",
        "skipped pipe: Special",
        "skipped socket: Special",
        "skipped zero: Special",
    ];
    assert_eq!(tree.walk(), [&["source a"], &expected[..]].concat());
    assert_eq!(tree.lines(&tree.select(&["[m-z]*"])), expected);
}

#[test]
fn a_pipe_named_directly_is_a_stream() {
    let tree = Tree::new(&[]);
    make_pipe(&tree, "pipe");
    let selection = tree.select(&["pipe"]);
    assert_eq!(selection.total_bytes(), None);
    let path = tree.path("pipe");
    let writer =
        thread::spawn(move || File::create(path).expect("opened").write_all(b"{}\n").expect("written"));
    let Some(Ok(Found::Source { origin, .. })) = selection.expand().next() else { panic!("a source") };
    let identity = origin.identity().expect("exists");
    assert_eq!((identity.stored_bytes, identity.modified), (None, None));
    assert_eq!(origin.open_at(1).err().map(|error| error.kind()), Some(io::ErrorKind::NotSeekable));
    assert_eq!(io::read_to_string(origin.open_at(0).expect("opened")).expect("read"), "{}\n");
    writer.join().expect("written");
    let again = origin.open_at(0).err().expect("its bytes are gone");
    assert_eq!(again.kind(), io::ErrorKind::NotSeekable);
}

#[test]
fn a_device_has_no_length() {
    let origin = FileOrigin::new("/dev/null");
    assert_eq!(origin.identity().expect("exists").stored_bytes, None);
    assert_eq!(io::read_to_string(origin.open_at(0).expect("opened")).expect("read"), "");
}

/// Linux only: file systems of macOS hold no such names.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_read_too() {
    let tree = Tree::new(&["d/a", "d/z"]);
    let name = OsStr::from_bytes(b"d/b\xFF");
    fs::write(tree.root().join(name), "content").expect("written");
    for spec in ["d", "d/*"] {
        let lines = tree.lines(&tree.select(&[spec]));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].ends_with("d/b\u{FFFD}"), "{lines:?}");
    }
    let selection = Selection::parse([tree.root().join(name)]).expect("exists");
    let Some(Ok(Found::Source { origin, .. })) = selection.expand().next() else { panic!("a source") };
    assert_eq!(io::read_to_string(origin.open_at(0).expect("opened")).expect("read"), "content");
}
