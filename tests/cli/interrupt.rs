use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::place::{FHIRLINE, GOAL, PATIENT, Place, lines};

/// A run that reads a pipe which stays open, as far as its first output.
fn begun(place: &Place) -> Child {
    begun_by(place, place.command("split - -o out --progress never"))
}

fn begun_by(place: &Place, mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("run");
    let patients = lines(&[PATIENT; 1000]);
    // Several chunks: more than the run keeps before it writes.
    for _ in 0..200 {
        child.stdin.as_mut().expect("piped").write_all(patients.as_bytes()).expect("read");
    }
    wait_until(|| place.exists("out/Patient.ndjson.partial"));
    child
}

#[track_caller]
fn wait_until(holds: impl Fn() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain");
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("run");
    assert!(status.success());
}

/// As far as the system tells.
fn ignores_hang_ups(child: &Child) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", child.id())) else { return true };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    u64::from_str_radix(mask.trim(), 16).expect("a mask") & 1 == 1
}

#[track_caller]
fn nothing_is_sealed(place: &Place) {
    let files = place.files("out");
    assert!(!files.is_empty() && files.iter().all(|name| name.ends_with(".partial")), "{files:?}");
}

/// The same destination is free for the next run.
fn the_next_run_succeeds(place: &Place) {
    place.put("b.ndjson", lines(&[GOAL]));
    place.run("split b.ndjson -o out").ends_with(0);
    assert_eq!(place.files("out"), ["Goal.ndjson", "manifest.json"]);
}

#[test]
fn stopped_while_it_waits_for_input() {
    for name in ["-INT", "-TERM"] {
        let place = Place::new();
        let mut child = begun(&place);
        let stdin = child.stdin.take();
        signal(&child, name);
        let output = child.wait_with_output().expect("ended");
        assert_eq!(output.status.code(), Some(130), "{name}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "error: stopped on request\n");
        drop(stdin);
        nothing_is_sealed(&place);
        the_next_run_succeeds(&place);
    }
}

#[test]
fn a_hang_up_that_is_ignored_stops_nothing() {
    let place = Place::new();
    let mut command = Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" split - -o out --progress never";
    command.args(["-c", script, FHIRLINE]).current_dir(place.path(""));
    let mut child = begun_by(&place, command);
    let stdin = child.stdin.take();
    if !ignores_hang_ups(&child) {
        child.kill().expect("killed");
        child.wait().expect("ended");
        panic!("the run listens to hang-ups");
    }
    signal(&child, "-HUP");
    drop(stdin);
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.files("out"), ["Patient.ndjson", "manifest.json"]);
}

#[test]
fn stopped_while_input_flows() {
    let place = Place::new();
    let mut child = begun(&place);
    let mut stdin = child.stdin.take().expect("piped");
    signal(&child, "-INT");
    let patients = lines(&[PATIENT; 1000]);
    // Until nobody reads any more.
    while stdin.write_all(patients.as_bytes()).is_ok() {}
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: stopped on request\n");
    nothing_is_sealed(&place);
}

#[test]
fn killed() {
    let place = Place::new();
    let mut child = begun(&place);
    child.kill().expect("killed");
    child.wait().expect("ended");
    nothing_is_sealed(&place);
    the_next_run_succeeds(&place);
}

#[test]
fn what_was_read_from_standard_input_is_begun_afresh() {
    let place = Place::new();
    let mut child = begun(&place);
    child.kill().expect("killed");
    child.wait().expect("ended");
    let ran = place.run_with_input("split - -o out", lines(&[GOAL]).as_bytes()).ends_with(0);
    assert!(
        ran.out().contains("begun afresh: standard input and pipes cannot be read again"),
        "{}",
        ran.shown()
    );
    assert_eq!(place.files("out"), ["Goal.ndjson", "manifest.json"]);
    assert!(!place.text("out/manifest.json").contains("afresh"));
}

#[test]
fn what_was_stopped_goes_on_where_it_was() {
    let place = Place::new();
    place.put_sample("a.ndjson", 24 << 20);
    // Slow, so that there is time to stop it.
    let command = "split a.ndjson --progress never --compress gzip --level 9 --json";
    let mut begun = place.command(&format!("{command} -o out"));
    let mut child = begun.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run");
    wait_until(|| place.exists("out/Patient.ndjson.gz.partial"));
    signal(&child, "-INT");
    assert_eq!(child.wait().expect("ended").code(), Some(130));
    nothing_is_sealed(&place);
    let report = place.run(&format!("{command} -o out")).ends_with(3).json();
    assert_eq!(report["resumed_from"]["source"], "a.ndjson");
    assert!(report["resumed_from"]["byte"].as_u64().expect("a number") > 0);
    assert_eq!(report["reread_bytes"], 0);
    place.run(&format!("{command} -o unbroken")).ends_with(3);
    assert!(place.contents("out") == place.contents("unbroken"));
}
