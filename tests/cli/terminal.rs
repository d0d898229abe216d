use std::process::Stdio;

use super::place::{BROKEN, GOAL, PATIENT, Place, gzip, lines};

const ESCAPE: u8 = 0x1b;

fn place() -> Place {
    let cut = gzip(GOAL);
    Place::with([
        ("in/a.ndjson", lines(&[PATIENT, BROKEN]).as_bytes()),
        ("in/_skipped", b""),
        ("in/empty.ndjson", b""),
        ("cut.gz", &cut[..cut.len() - 1]),
    ])
}

/// All that a run prints, with one variable set.
fn printed(arguments: &str, variable: &str, value: &str) -> Vec<u8> {
    let place = place();
    let output = place.command(arguments).env(variable, value).stdin(Stdio::null()).output().expect("run");
    [output.stdout, output.stderr].concat()
}

#[test]
fn no_colours_without_a_terminal() {
    for arguments in ["split in cut.gz -o out", "stats in", "cat in", "--help", "split", "split none -o out"]
    {
        for (variable, value) in [("UNRELATED", "1"), ("NO_COLOR", "1"), ("CLICOLOR", "1")] {
            let printed = printed(arguments, variable, value);
            assert!(!printed.is_empty() && !printed.contains(&ESCAPE), "{arguments} {variable}");
        }
    }
}

#[test]
fn colours_on_request() {
    for arguments in ["split in cut.gz -o out", "stats in", "split none -o out"] {
        assert!(printed(arguments, "CLICOLOR_FORCE", "1").contains(&ESCAPE), "{arguments}");
    }
}

#[test]
fn progress_does_not_garble_what_is_no_terminal() {
    for progress in ["auto", "always", "never"] {
        let place = place();
        place.put_sample("export.ndjson", 3 << 20);
        let ran = place.run(&format!("split export.ndjson in -o out --progress {progress}")).ends_with(3);
        assert!(!ran.stderr.contains(['\r', '\u{1b}', '\u{8}']), "{:?}", ran.stderr);
        let whole =
            ran.stderr.lines().all(|line| line.starts_with("warning: ") || line.contains(" records, "));
        assert!(whole, "{:?}", ran.stderr);
    }
}

#[test]
fn quiet_says_nothing_but_errors() {
    let place = place();
    for arguments in ["split in -o out", "stats in", "cat in", "split in -o out"] {
        let ran = place.run(&format!("{arguments} --quiet")).ends_with(3);
        let data = if arguments.starts_with("cat") { lines(&[PATIENT]) } else { String::new() };
        assert_eq!((ran.out(), ran.stderr.as_str()), (data.as_str(), ""), "{arguments}");
    }
    insta::assert_snapshot!(place.run("split in cut.gz -o other -q").ends_with(5).shown());
    let ran = place.run("stats in -q --json").ends_with(3);
    assert_eq!((ran.json()["exit_code"].as_u64(), ran.stderr.as_str()), (Some(3), ""));
}
