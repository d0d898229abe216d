use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fhirline::ChecksumKind;
use fhirline_sink::Hasher;

use super::place::{GOAL, PATIENT, Place, gzip, lines};

const CANARY: &str = "Canary-8d20f7";

fn place() -> Place {
    Place::with([
        ("in/a.ndjson", lines(&[PATIENT, GOAL]).into_bytes()),
        ("in/b/a.ndjson", gzip(lines(&[GOAL]))),
        ("in/_notes.txt", b"mine".to_vec()),
    ])
}

#[test]
fn a_folder() {
    let place = place();
    insta::assert_snapshot!(place.run("fetch in -o out").ends_with(0).shown());
    assert_eq!(place.files("out"), ["a.0002.ndjson.gz", "a.ndjson", "manifest.json"]);
    assert!(place.read("out/a.ndjson") == place.read("in/a.ndjson"));
    assert!(place.read("out/a.0002.ndjson.gz") == place.read("in/b/a.ndjson"));
    let manifest = place.json("out/manifest.json");
    let mut hasher = Hasher::new(Some(ChecksumKind::Crc32c));
    hasher.update(&place.read("in/a.ndjson"));
    let checksum = hasher.finish().expect("asked for").to_string();
    assert_eq!(manifest["output"][0]["extension"]["checksum"], format!("crc32c:{checksum}"));
    assert_eq!(manifest["output"][1]["extension"]["source"], "in/b/a.ndjson");
}

#[test]
fn what_was_fetched_is_read_through_its_manifest() {
    let place = place();
    place.run("fetch in -o out").ends_with(0);
    place.run("split in/a.ndjson in/b -o straight").ends_with(0);
    let ran = place.run("split out -o split").ends_with(0);
    assert_eq!(ran.stderr, "");
    for name in ["Goal.ndjson", "Patient.ndjson"] {
        assert_eq!(place.text(&format!("split/{name}")), place.text(&format!("straight/{name}")));
    }
}

#[test]
fn the_same_again_does_nothing_and_other_sources_are_refused() {
    let place = place();
    place.run("fetch in/a.ndjson -o out").ends_with(0);
    let before = place.contents("out");
    insta::assert_snapshot!(place.run("fetch in/a.ndjson -o out").ends_with(0).shown());
    insta::assert_snapshot!("other_sources", place.run("fetch in/b -o out").ends_with(2).shown());
    place.run("fetch in/a.ndjson -o out --checksum sha256").ends_with(2);
    assert!(place.contents("out") == before);
    place.run("fetch in/b -o out --checksum sha256 --overwrite").ends_with(0);
    assert_eq!(place.files("out"), ["a.ndjson.gz", "manifest.json"]);
}

#[test]
fn what_is_not_a_download_is_refused() {
    let place = place();
    place.put("mine/notes.txt", "mine");
    insta::assert_snapshot!(place.run("fetch in -o mine --overwrite").ends_with(2).shown());
    place.run("split in -o split").ends_with(0);
    place.run("fetch in -o split --overwrite").ends_with(2);
    place.run("fetch in -o out").ends_with(0);
    place.run("split in -o out --overwrite").ends_with(2);
    place.run("fetch in/a.ndjson -o in/b").ends_with(2);
    place.run("fetch in/a.ndjson -o in/a.ndjson").ends_with(2);
    place.run("fetch in/b/a.ndjson in/b -o in/b").ends_with(2);
    place.run("fetch in -o new --max-downloads 0").ends_with(2);
    assert!(!place.exists("new"));
}

#[test]
fn a_source_that_is_missing_leaves_the_others_whole() {
    let place = place();
    let manifest =
        r#"{"output":[{"url":"https://h/gone.ndjson?sig=~"},{"url":"a.ndjson"}]}"#.replace('~', CANARY);
    place.put("in/manifest.json", manifest);
    let ran = place.run("fetch in -o out").ends_with(5);
    insta::assert_snapshot!(ran.shown());
    assert_eq!(place.files("out"), ["_fetch.partial", "a.ndjson"]);
    place.put("in/gone.ndjson", lines(&[PATIENT]));
    let report = place.run("fetch in -o out --json").ends_with(0).json();
    assert_eq!(
        (&report["files"][0]["source"], &report["files"][0]["name"]),
        (&"in/gone.ndjson".into(), &"gone.ndjson".into())
    );
    assert_eq!(place.files("out"), ["a.ndjson", "gone.ndjson", "manifest.json"]);
}

#[test]
fn records_and_queries_are_not_told() {
    let place = Place::with([
        ("in/a.ndjson", format!("{{\"resourceType\":\"Patient\",\"id\":\"{CANARY}\"}}\n")),
        (
            "in/manifest.json",
            r#"{"output":[{"url":"a.ndjson"},{"url":"https://~@h/x?~#~"}]}"#.replace('~', CANARY),
        ),
    ]);
    for level in ["", "-v --progress always", "-q --json"] {
        let ran =
            place.run(&format!("fetch in -o out --report report.json --overwrite {level}")).ends_with(5);
        assert!(!ran.shown().contains(CANARY), "{}", ran.shown());
        assert!(
            !place.text("report.json").contains(CANARY) && !place.text("out/_fetch.partial").contains(CANARY)
        );
        assert!(place.text("out/a.ndjson").contains(CANARY));
    }
    place.run("fetch in/a.ndjson -o other").ends_with(0);
    assert!(!place.text("other/manifest.json").contains(CANARY));
}

#[test]
#[cfg(unix)]
fn what_comes_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    place.put("in/manifest.json", r#"{"output":[{"url":"a.ndjson"},{"url":"gone"}]}"#);
    place.run("fetch in -o out").ends_with(5);
    for name in ["out/_fetch.partial", "out/a.ndjson"] {
        let mode = std::fs::metadata(place.path(name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// The program fetching these, in the background.
fn begun(place: &Place, arguments: &str) -> Child {
    let mut command = place.command(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("run")
}

#[track_caller]
fn wait_until(holds: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain");
}

fn length(place: &Place, name: &str) -> u64 {
    std::fs::metadata(place.path(name)).map_or(0, |metadata| metadata.len())
}

/// A pipe that nobody writes to holds the program up, until it is killed.
#[test]
fn killed_while_a_source_is_waited_for() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT; 20_000]))]);
    place.shell("mkfifo pipe").ends_with(0);
    let mut child = begun(&place, "fetch a.ndjson pipe -o out --json");
    wait_until(|| place.exists("out/a.ndjson") && place.text("out/_fetch.partial").contains("done"));
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(place.files("out"), ["_fetch.partial", "a.ndjson"]);

    let again = begun(&place, "fetch a.ndjson pipe -o out --json");
    let mut pipe = std::fs::OpenOptions::new().write(true).open(place.path("pipe")).expect("opened");
    pipe.write_all(lines(&[GOAL]).as_bytes()).expect("read");
    drop(pipe);
    let output = again.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["files"][0]["resumed_from"], length(&place, "a.ndjson"));
    assert_eq!(report["fetched_bytes"], lines(&[GOAL]).len());
    assert_eq!(place.text("out/pipe"), lines(&[GOAL]));
    assert_eq!(place.files("out"), ["a.ndjson", "manifest.json", "pipe"]);
}

#[test]
fn stopped_while_a_source_is_waited_for() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT]))]);
    place.shell("mkfifo pipe").ends_with(0);
    let child = begun(&place, "fetch a.ndjson pipe -o out");
    wait_until(|| place.exists("out/a.ndjson"));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("run");
    assert!(sent.success());
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: stopped on request\n");
    assert_eq!(place.files("out"), ["_fetch.partial", "a.ndjson"]);
}

/// Killed in the middle of a file: what is there is not fetched again, and nothing is different in the end.
#[test]
fn killed_in_the_middle_of_a_file() {
    const BYTES: u64 = 96 << 20;
    let place = Place::new();
    let line = lines(&[PATIENT; 1000]);
    place.put("big.ndjson", line.repeat(usize::try_from(BYTES).expect("small") / line.len()));
    // It may be at its end before the signal comes.
    for attempt in 0..20 {
        let out = format!("out-{attempt}");
        let mut child = begun(&place, &format!("fetch big.ndjson -o {out} --durability none"));
        let partial = format!("{out}/big.ndjson.partial");
        wait_until(|| length(&place, &partial) >= 4 << 20 || place.exists(&format!("{out}/big.ndjson")));
        child.kill().expect("killed");
        let killed = child.wait().expect("ended").code().is_none() && place.exists(&partial);
        let left = length(&place, &partial);
        let report = place.run(&format!("fetch big.ndjson -o {out} --json")).ends_with(0).json();
        assert_eq!(place.files(&out), ["big.ndjson", "manifest.json"]);
        assert!(place.read(&format!("{out}/big.ndjson")) == place.read("big.ndjson"));
        if killed {
            assert_eq!(report["files"][0]["resumed_from"], left);
            assert_eq!(report["fetched_bytes"], length(&place, "big.ndjson") - left);
            return;
        }
    }
    panic!("killed too late, twenty times");
}

#[test]
fn two_downloads_into_one_folder_do_not_meet() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT]))]);
    place.shell("mkfifo pipe").ends_with(0);
    let mut child = begun(&place, "fetch a.ndjson pipe -o out");
    wait_until(|| place.exists("out/a.ndjson"));
    insta::assert_snapshot!(place.run("fetch a.ndjson -o out").ends_with(2).shown());
    child.kill().expect("killed");
    child.wait().expect("ended");
}
