use std::fs;
use std::io::Read;
use std::process::Stdio;

use super::place::{BROKEN, GOAL, PATIENT, Place, lines};

#[test]
fn clean_lines_in_order_and_rejects_told() {
    let messy = format!("\u{FEFF}{PATIENT}\r\n\r\n  {GOAL}\t\n{BROKEN}\n\n{PATIENT}");
    let place = Place::with([("messy.ndjson", messy)]);
    let ran = place.run("cat messy.ndjson").ends_with(3);
    assert_eq!(ran.out(), lines(&[PATIENT, GOAL, PATIENT]));
    insta::assert_snapshot!(ran.stderr);
}

#[test]
fn many_rejects_are_told_in_short() {
    let place = Place::with([("broken.ndjson", lines(&[BROKEN; 30]))]);
    let ran = place.run("cat broken.ndjson").ends_with(3);
    assert_eq!(ran.stderr.matches("rejected broken.ndjson").count(), 20);
    assert_eq!(
        ran.stderr.lines().last(),
        Some("warning: and 10 more records rejected; `fhirline split` keeps them")
    );
}

#[test]
fn types_are_chosen() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT, GOAL, PATIENT]))]);
    assert_eq!(place.run("cat a.ndjson --type Goal").ends_with(0).out(), lines(&[GOAL]));
    assert_eq!(place.run("cat a.ndjson --exclude-type Goal").ends_with(0).out(), lines(&[PATIENT, PATIENT]));
    assert_eq!(place.run("cat a.ndjson --type Goal,Patient").ends_with(0).out(), place.text("a.ndjson"));
    insta::assert_snapshot!(place.run("cat a.ndjson --type goal").ends_with(2).stderr);
}

#[test]
fn json_has_no_place_beside_the_data() {
    let place = Place::with([("a.ndjson", PATIENT)]);
    insta::assert_snapshot!(place.run("cat a.ndjson --json").ends_with(2).shown());
    place.run("cat a.ndjson --report report.json").ends_with(0);
    assert_eq!(place.json("report.json")["ledger"]["records"]["delivered"], 1);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    place.put_sample("export.ndjson", 8 << 20);
    for threads in ["1", "2"] {
        let mut command = place.command("cat export.ndjson -q --report report.json --threads");
        let mut child =
            command.arg(threads).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run");
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut [0; 4096]).expect("data");
        drop(stdout);
        let output = child.wait_with_output().expect("ended");
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let report = place.json("report.json");
        assert_eq!((report["status"].as_str(), report["exit_code"].as_u64()), (Some("complete"), Some(0)));
        assert_eq!(report["notes"].as_array().map(Vec::len), Some(1), "{report}");
        fs::remove_file(place.path("report.json")).expect("removed");
    }
}

#[test]
fn what_prints_a_report_does_not_mind_either() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT]))]);
    for line in ["stats a.ndjson", "stats a.ndjson --json", "split a.ndjson -o out", "man", "completions zsh"]
    {
        let ran = place.shell(&format!("{{ fhirline {line}; echo $? > code; }} | true"));
        assert_eq!((place.text("code").as_str(), ran.stderr.as_str()), ("0\n", ""), "{line}");
    }
}
