use std::fs;

use serde_json::Value;

use super::place::{BROKEN, GOAL, PATIENT, Place, Ran, has, lines};

mod values;

const OUTCOMES: &str = "_quarantine/outcome.ndjson";
const RAW: &str = "_quarantine/lines.raw";

/// Lines that begin like something else: another format, a compressed file, a container.
const ODD: [&[u8]; 11] = [
    b"[1]",
    b"<html>",
    b"\xEF\xBB\xBF{\"resourceType\":\"Patient\"}",
    b"\x1F\x8B\x08\0 and so on",
    b"\xFF\xFE{\0",
    b"PK\x03\x04",
    b"{",
    b"{\"resourceType\":\"Bundle\",",
    b" {\"resourceType\":7} \t",
    b"{} {}",
    b"\x28\xB5\x2F\xFD",
];

fn with_odd_lines(odd: &[&[u8]]) -> Vec<u8> {
    [GOAL.as_bytes()].iter().chain(odd).flat_map(|line| [line, b"\n".as_slice()].concat()).collect()
}

/// Sources of several kinds, with sound and broken lines, split into `out`.
fn split() -> Place {
    let place = Place::with([
        ("in/a.ndjson", format!("{PATIENT}\r\n{BROKEN}\r\n\r\n{{\"resourceType\":\"Goal\"\r\n{GOAL}\r\n")),
        ("in/b.ndjson", lines(&[PATIENT, GOAL])),
        ("in/c.ndjson", lines(&[GOAL, "[]", "", "{}", "{\"resourceType\":Goal}"])),
    ]);
    place.put("in/d.ndjson", with_odd_lines(&ODD));
    place.run("split in/d.ndjson in/a.ndjson in/b.ndjson in/c.ndjson in/a.ndjson -o out").ends_with(3);
    place
}

/// The places told in a quarantine: source, line, byte, and count, last line and last byte if there are some.
fn places(place: &Place, folder: &str) -> Vec<(String, Vec<u64>)> {
    let text = place.text(&format!("{folder}/{OUTCOMES}"));
    let outcomes = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let told = |outcome: Value| {
        let parts = outcome["issue"][0]["extension"][0]["extension"].as_array().expect("a list").clone();
        let part = |name: &str| parts.iter().find(|part| part["url"] == name).cloned();
        let source = part("source").expect("a source")["valueString"].as_str().expect("a name").to_owned();
        let numbers = ["line", "byte", "count", "lastLine", "lastByte"].into_iter().filter_map(part);
        (source, numbers.map(|part| part["valueDecimal"].as_u64().expect("a number")).collect())
    };
    outcomes.map(told).collect()
}

/// Changes the rejected records of `out`.
fn mend(place: &Place, from: &str, to: &str) {
    let raw = place.read(&format!("out/{RAW}"));
    let (mut mended, mut rest) = (Vec::new(), &raw[..]);
    while let Some(at) = rest.windows(from.len()).position(|bytes| bytes == from.as_bytes()) {
        mended.extend_from_slice(&rest[..at]);
        mended.extend_from_slice(to.as_bytes());
        rest = &rest[at + from.len()..];
    }
    place.put(&format!("out/{RAW}"), [&mended[..], rest].concat());
}

#[track_caller]
fn refused(place: &Place, arguments: &str) -> Ran {
    let before = place.contents("");
    let ran = place.run(arguments).ends_with(2);
    assert_eq!(place.contents(""), before, "something was touched");
    ran
}

#[test]
fn untouched_records_are_rejected_again_as_they_were() {
    let place = split();
    for (arguments, again) in
        [("out/_quarantine -o one --threads 1", "one"), ("out -o three --threads 3", "three")]
    {
        let report = place.run(&format!("replay {arguments} --json")).ends_with(3).json();
        assert_eq!(place.files(again), [RAW, OUTCOMES, "manifest.json"]);
        for name in [RAW, OUTCOMES] {
            assert_eq!(place.read(&format!("{again}/{name}")), place.read(&format!("out/{name}")), "{name}");
        }
        let faults = |manifest: &Value| manifest["extension"]["fhirline"]["account"]["faults"].clone();
        assert_eq!(report["faults"], faults(&place.json("out/manifest.json")));
        assert_eq!(report["ledger"]["records"]["read"], report["ledger"]["records"]["quarantined"]);
    }
    assert!(place.contents("one") == place.contents("three"));
}

#[test]
fn whatever_a_record_begins_like_it_is_a_line() {
    let place = Place::new();
    for (number, odd) in ODD.iter().enumerate() {
        place.put(&format!("in/{number}"), with_odd_lines(&[odd]));
    }
    place.run("split in -o out").ends_with(3);
    place.run("replay out -o again").ends_with(3);
    assert_eq!(places(&place, "again").len(), ODD.len());
    for name in [RAW, OUTCOMES] {
        assert!(place.read(&format!("again/{name}")) == place.read(&format!("out/{name}")), "{name}");
    }
}

/// One CR before LF is a part of the line end; what is before that is the record's.
#[test]
fn a_record_keeps_a_cr_at_its_end() {
    let place = Place::with([("a.ndjson", format!("{PATIENT}\r\r\n{BROKEN}\r\r\n{{}}\r\r\r\n{BROKEN}\r"))]);
    place.run("split a.ndjson -o out").ends_with(3);
    assert_eq!(place.text(&format!("out/{RAW}")), format!("{BROKEN}\r\n{{}}\r\r\n{BROKEN}\r\n"));
    place.run("replay out -o again").ends_with(3);
    for name in [RAW, OUTCOMES] {
        assert_eq!(place.text(&format!("again/{name}")), place.text(&format!("out/{name}")), "{name}");
    }
    mend(&place, "{}", PATIENT);
    place.run("replay out -o third").ends_with(3);
    assert_eq!(place.text("third/Patient.ndjson"), lines(&[PATIENT]));
    assert_eq!(place.text(&format!("third/{RAW}")), format!("{BROKEN}\r\n{BROKEN}\r\n"));
}

#[test]
fn mended_records_are_delivered_and_the_others_keep_their_places() {
    if !has("sed") {
        return;
    }
    let place = split();
    let before = places(&place, "out");
    place.shell("LC_ALL=C sed -i.bak -e 's/:Goal}/:\"Goal\"}/' -e 's/no record/none at all, still/' out/_quarantine/lines.raw");
    let ran = place.run("replay out -o again").ends_with(3);
    insta::assert_snapshot!(ran.shown());
    assert_eq!(place.text("again/Goal.ndjson"), "{\"resourceType\":\"Goal\"}\n");
    let after = places(&place, "again");
    let (gone, rest): (Vec<_>, Vec<_>) = before.into_iter().partition(|known| !after.contains(known));
    assert_eq!(gone, [("in/c.ndjson".to_owned(), vec![5, 40])]);
    assert_eq!(rest, after);
}

#[test]
fn an_emptied_line_is_a_record_no_more() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT, BROKEN, "worse", GOAL, "[]"]))]);
    place.run("split a.ndjson -o out").ends_with(3);
    place.put(&format!("out/{RAW}"), "\nworse\n\r\n");
    place.run("replay out -o again").ends_with(3);
    let byte = lines(&[PATIENT, BROKEN]).len() as u64;
    assert_eq!(places(&place, "again"), [("a.ndjson".to_owned(), vec![3, byte])]);
    place.put(&format!("out/{RAW}"), "\n\n\n");
    place.run("replay out -o third").ends_with(0);
}

#[test]
fn lines_too_long_for_memory_keep_their_places() {
    let long = format!("{{\"resourceType\":\"Patient\",\"x\":\"{}", "y".repeat(17 << 20));
    let place = Place::with([("a.ndjson", lines(&[PATIENT, BROKEN, &long, GOAL, BROKEN]))]);
    place.run("split a.ndjson -o out").ends_with(3);
    place.run("replay out -o again").ends_with(3);
    for name in [RAW, OUTCOMES] {
        assert!(place.read(&format!("again/{name}")) == place.read(&format!("out/{name}")), "{name}");
    }
    mend(&place, "yyyyyyyyy\n", "y\"}\n");
    place.run("replay out -o third").ends_with(3);
    assert_eq!(place.read("third/Patient.ndjson").len(), long.len() - 9 + 3 + 1);
    assert_eq!(places(&place, "third").len(), 2);
    assert_eq!(places(&place, "third")[1], places(&place, "out")[2]);
}

#[test]
fn a_deleted_line_is_refused() {
    let place = split();
    let raw = place.read(&format!("out/{RAW}"));
    let rest = raw.split_inclusive(|byte| *byte == b'\n').skip(1).collect::<Vec<_>>().concat();
    place.put(&format!("out/{RAW}"), rest);
    insta::assert_snapshot!(refused(&place, "replay out -o again").shown());
}

#[test]
fn an_added_line_is_refused() {
    let place = split();
    let raw = place.read(&format!("out/{RAW}"));
    place.put(&format!("out/{RAW}"), [&raw[..], b"one more"].concat());
    let ran = refused(&place, "replay out -o again");
    assert!(ran.stderr.contains("has 19 lines, but the outcomes beside it tell of 18"), "{}", ran.shown());
}

/// Beyond 10,000 rejects of a source, neighbours share an outcome; what was no neighbour becomes none.
#[test]
fn groups_come_out_as_they_went_in() {
    let many = |between: &str, line_end: &str| -> String {
        let line = |number: usize| format!("broken {number}{line_end}{between}");
        (0..10_500).map(line).collect()
    };
    let place = Place::with([
        ("lf.ndjson", format!("{PATIENT}\n{}", many("", "\n"))),
        ("crlf.ndjson", format!("{PATIENT}\r\n{}", many("", "\r\n"))),
        ("apart.ndjson", format!("{PATIENT}\n{}", many(&lines(&[GOAL]), "\n"))),
        ("blank.ndjson", format!("{PATIENT}\n{}", many("\n", "\n"))),
    ]);
    place.run("split lf.ndjson crlf.ndjson apart.ndjson blank.ndjson -o out").ends_with(3);
    let before = places(&place, "out");
    let groups: Vec<_> = before.iter().filter(|(_, numbers)| numbers.len() > 2).collect();
    assert_eq!(groups.len(), 2, "{groups:?}");
    assert_eq!(groups[0].1[2], 501);

    place.run("replay out -o again").ends_with(3);
    assert!(place.read(&format!("again/{OUTCOMES}")) == place.read(&format!("out/{OUTCOMES}")));
    assert!(place.read(&format!("again/{RAW}")) == place.read(&format!("out/{RAW}")));

    // One in the middle of a group is mended: what is behind it is a group of its own, from the next line on.
    let mended = place.text(&format!("out/{RAW}")).replacen("broken 10200\n", &lines(&[GOAL]), 1);
    place.put(&format!("out/{RAW}"), mended);
    place.run("replay out -o third").ends_with(3);
    let of_first = |known: &&(String, Vec<u64>)| known.0 == "lf.ndjson" && known.1.len() > 2;
    let after = places(&place, "third");
    let found: Vec<_> = after.iter().filter(of_first).map(|(_, numbers)| numbers.clone()).collect();
    let (line, count, last) = (|group: usize| found[group][0], |group: usize| found[group][2], 10_501);
    assert_eq!((line(0), count(0), found[0][3]), (10_001, 201, 10_201));
    assert_eq!((line(1), count(1), found[1][3]), (10_203, 299, last));
}

#[test]
fn a_run_without_rejects_leaves_nothing_to_run_again() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT]))]);
    place.run("split a.ndjson -o out").ends_with(0);
    insta::assert_snapshot!(refused(&place, "replay out -o again").shown());
    fs::create_dir(place.path("out/_quarantine")).expect("made");
    for folder in ["out", "out/_quarantine"] {
        let ran = refused(&place, &format!("replay {folder} -o again"));
        assert!(ran.stderr.contains("there is nothing to run again"), "{}", ran.shown());
    }
    place.put(&format!("out/{RAW}"), "");
    place.put(&format!("out/{OUTCOMES}"), "");
    let ran = refused(&place, "replay out -o again");
    assert!(ran.stderr.contains("there is nothing to run again"), "{}", ran.shown());
}

#[test]
fn a_folder_without_a_quarantine_is_refused() {
    let place = split();
    insta::assert_snapshot!(refused(&place, "replay in -o again").shown());
    insta::assert_snapshot!(refused(&place, "replay nowhere -o again").shown());
    refused(&place, &format!("replay out/{RAW} -o again"));
    refused(&place, "replay - -o again");
    fs::remove_file(place.path(&format!("out/{OUTCOMES}"))).expect("removed");
    let ran = refused(&place, "replay out -o again");
    assert!(ran.stderr.contains("out is no quarantine: it has no outcome.ndjson"), "{}", ran.shown());
}

#[test]
fn the_quarantine_of_an_interrupted_run_is_refused() {
    let place = split();
    for name in [RAW, OUTCOMES] {
        let left = place.path(&format!("out/{name}.partial"));
        fs::rename(place.path(&format!("out/{name}")), left).expect("renamed");
    }
    fs::remove_file(place.path("out/manifest.json")).expect("removed");
    let ran = refused(&place, "replay out -o again");
    assert!(ran.stderr.contains("of a complete run"), "{}", ran.shown());
}

#[test]
fn outcomes_of_somebody_else_are_refused() {
    let place = split();
    let outcomes = place.text(&format!("out/{OUTCOMES}"));
    place.put(&format!("out/{OUTCOMES}"), outcomes.replacen("\n", &format!("\n{PATIENT}\n"), 2));
    insta::assert_snapshot!(refused(&place, "replay out -o again").shown());
}

#[test]
fn a_destination_in_the_run_itself_is_refused() {
    let place = split();
    for destination in ["out", "out/again", "out/_quarantine", "out/_quarantine/again", "out/../out/x/y", "."]
    {
        refused(&place, &format!("replay out -o {destination}"));
        refused(&place, &format!("replay out/_quarantine -o {destination} --overwrite"));
    }
    insta::assert_snapshot!(refused(&place, "replay out -o out/again").shown());
    insta::assert_snapshot!(refused(&place, "replay out -o out").shown());
}

#[test]
fn a_copy_of_a_quarantine_may_lie_beside_the_destination() {
    let place = split();
    for name in [RAW, OUTCOMES] {
        place.put(name, place.read(&format!("out/{name}")));
    }
    place.run("replay . -o again").ends_with(3);
    place.run("replay _quarantine -o once-more").ends_with(3);
    assert!(place.read(&format!("again/{OUTCOMES}")) == place.read(&format!("out/{OUTCOMES}")));
    refused(&place, "replay _quarantine -o _quarantine/again");
}

#[test]
fn the_quarantine_of_a_replay_is_run_again_like_any_other() {
    let place = split();
    place.run("replay out -o again").ends_with(3);
    place.run("replay again -o third").ends_with(3);
    assert!(place.read(&format!("third/{OUTCOMES}")) == place.read(&format!("out/{OUTCOMES}")));
}

#[test]
fn the_same_replay_again_does_nothing_unless_something_was_changed() {
    let place = split();
    place.run("replay out -o again").ends_with(3);
    let before = place.contents("again");
    let report = place.run("replay out/_quarantine -o again --json").ends_with(3).json();
    assert_eq!(report["already_complete"], true);
    assert!(place.contents("again") == before);
    refused(&place, &format!("split out/{RAW} out/{OUTCOMES} -o again"));
    mend(&place, BROKEN, "that is no record");
    insta::assert_snapshot!(refused(&place, "replay out -o again").shown());
    place.run("replay out -o again --overwrite").ends_with(3);
}

#[test]
fn the_options_of_a_split_apply() {
    let place = split();
    mend(&place, BROKEN, PATIENT);
    mend(&place, ":Goal}", ":\"Goal\"}");
    place.run("replay out -o again --type Patient --compress gzip --checksum sha256").ends_with(3);
    assert_eq!(place.files("again"), ["Patient.ndjson.gz", RAW, OUTCOMES, "manifest.json"]);
    place.run("replay out -o strict --on-reject fail").ends_with(1);
    let report = place.run("replay out -o long --max-line-bytes 10 --json").ends_with(3).json();
    assert!(report["faults"].as_array().expect("a list").iter().any(|fault| fault["fault"] == "too-long"));
    refused(&place, &format!("replay out -o other --report out/{RAW}"));
}

#[test]
fn nothing_of_a_record_is_told() {
    const CANARY: &str = "Canary-7d20aa";
    let records = [CANARY.to_owned(), format!("{{\"resourceType\":\"{CANARY}"), format!("[\"{CANARY}\"]")];
    let place = Place::with([("a.ndjson", format!("{PATIENT}\n{}\n", records.join("\n")))]);
    place.run("split a.ndjson -o out").ends_with(3);
    let (raw, outcomes) = (place.text(&format!("out/{RAW}")), place.text(&format!("out/{OUTCOMES}")));
    let number = format!("\"valueDecimal\":\"{CANARY}\"");
    let states = [
        (raw.clone(), outcomes.clone()),
        (raw.replace("[\"", "{\""), outcomes.clone()),
        (format!("{raw}{CANARY}"), outcomes.clone()),
        (raw.clone(), format!("{outcomes}{{\"{CANARY}\":1}}\n")),
        (raw, outcomes.replacen("\"valueDecimal\":2", &number, 1)),
    ];
    for (number, (raw, outcomes)) in states.into_iter().enumerate() {
        place.put(&format!("out/{RAW}"), raw);
        place.put(&format!("out/{OUTCOMES}"), outcomes);
        let ran = place.run(&format!("replay out -o {number} -v --progress always --report report.json"));
        assert_eq!(ran.code, if number < 2 { 3 } else { 2 }, "{}", ran.shown());
        assert!(
            !ran.shown().contains(CANARY) && !place.text("report.json").contains(CANARY),
            "{}",
            ran.shown()
        );
    }
    for name in [OUTCOMES, "manifest.json"] {
        assert!(!place.text(&format!("0/{name}")).contains(CANARY), "{name}");
    }
}
