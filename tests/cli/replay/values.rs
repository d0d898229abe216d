//! Rejected records of several lines: what stood in a pretty-printed Bundle, in an array, or as a value of its own.

use fhirline_core::CHUNK_BYTES;

use super::super::place::{BROKEN, GOAL, PATIENT, Place, has, lines};
use super::{OUTCOMES, RAW, mend, places, refused};

const BUNDLE: &str = r#"{
  "resourceType": "Bundle",
  "type": "collection",
  "entry": [
    {
      "resource": {
        "resourceType": "Patient",
        "id": "1"
      }
    },
    {
      "resource": {
        "id": "no type",
        "text": "two  spaces"
      }
    },
    {
      "resource": {
        "resourceType": Goal,
        "id": "2"
      }
    },
    {
      "resource": {
        "resourceType": 7
      }
    }
  ]
}
"#;

const ARRAY: &str = "[\r\n  {\r\n    \"id\": 1\r\n  }, {\r\n    \"resourceType\": \"\"\r\n  },\r\n  17, \"a\\qb\",\r\n  {\"resourceType\":\"Goal\"}\r\n]\r\n";

const VALUES: &str = "{\n  \"resourceType\": \"Goal\",\n  \"a\": tru\n}\n{\n  \"resourceType\": \"Patient\"\n}\n\n{\n  \"b\": [\n    1,\n  ]\n}\n{\n  \"resourceType\": \"Goal\", \"cut off\": \"\n";

/// Sources that do not hold one record a line, and one that does, split into `out`.
fn split() -> Place {
    let place = Place::with([
        ("in/a.json", BUNDLE),
        ("in/b.json", ARRAY),
        ("in/c.json", VALUES),
        ("in/d.ndjson", &format!("{PATIENT}\n{BROKEN}\r\r\n{{}}\n")),
    ]);
    place.run("split in -o out").ends_with(3);
    place
}

/// Both files of the quarantine are what they were.
#[track_caller]
fn same(place: &Place, again: &str) {
    for name in [RAW, OUTCOMES] {
        let (before, after) = (place.text(&format!("out/{name}")), place.text(&format!("{again}/{name}")));
        assert_eq!(after, before, "{name}");
    }
}

/// Lines that each outcome tells.
fn told_lines(place: &Place, folder: &str) -> Vec<u64> {
    let text = place.text(&format!("{folder}/{OUTCOMES}"));
    let told = |line: &str| {
        let outcome: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let parts = outcome["issue"][0]["extension"][0]["extension"].as_array().expect("a list").clone();
        let lines = parts.into_iter().find(|part| part["url"] == "lines").expect("told");
        lines["valueDecimal"].as_u64().expect("a number")
    };
    text.lines().map(told).collect()
}

#[test]
fn untouched_records_of_several_lines_are_rejected_again_as_they_were() {
    let place = split();
    let told = told_lines(&place, "out");
    assert!(told.len() > 8 && told.iter().any(|&lines| lines > 3), "{told:?}");
    place.run("replay out -o one --threads 1").ends_with(3);
    place.run("replay out -o three --threads 3").ends_with(3);
    same(&place, "one");
    assert!(place.contents("one") == place.contents("three"));
    assert_eq!(place.files("one"), [RAW, OUTCOMES, "manifest.json"]);
    place.run("replay one -o again").ends_with(3);
    same(&place, "again");
}

#[test]
fn a_mended_record_of_several_lines_is_delivered_on_one() {
    if !has("sed") {
        return;
    }
    let place = split();
    let before = places(&place, "out");
    place.shell("LC_ALL=C sed -i.bak -e 's/: Goal,/: \"Goal\",/' -e 's/\"id\": \"no type\"/\"resourceType\":\"Patient\"/' out/_quarantine/lines.raw");
    place.run("replay out -o again").ends_with(3);
    assert_eq!(place.text("again/Goal.ndjson"), "{\"resourceType\":\"Goal\",\"id\":\"2\"}\n");
    let patient = "{\"resourceType\":\"Patient\",\"text\":\"two  spaces\"}\n";
    assert_eq!(place.text("again/Patient.ndjson"), patient);
    let after = places(&place, "again");
    let (gone, rest): (Vec<_>, Vec<_>) = before.into_iter().partition(|known| !after.contains(known));
    let at = |text: &str| {
        let byte = BUNDLE.find(text).expect("there");
        let byte = byte - (byte - BUNDLE[..byte].rfind('{').expect("there"));
        ("in/a.json".to_owned(), vec![1 + BUNDLE[..byte].matches('\n').count() as u64, byte as u64])
    };
    assert_eq!(gone, [at("\"id\": \"no type\""), at("\"resourceType\": Goal")]);
    assert_eq!(rest, after);
}

#[test]
fn emptied_lines_are_no_record() {
    let place = split();
    let lines = place.text(&format!("out/{RAW}")).matches('\n').count();
    let all = told_lines(&place, "out").iter().sum::<u64>();
    assert_eq!(lines as u64, all);
    place.put(&format!("out/{RAW}"), " \r\n".repeat(lines));
    let report = place.run("replay out -o again --json").ends_with(0).json();
    assert_eq!(report["ledger"]["records"]["read"], 0);
    assert_eq!(report["ledger"]["blank_lines"], all);
}

#[test]
fn records_keep_their_numbers_of_lines() {
    let place = split();
    let raw = place.text(&format!("out/{RAW}"));
    let joined = raw.replacen("{\n        \"id\"", "{\"id\"", 1);
    assert_ne!(joined, raw);
    place.put(&format!("out/{RAW}"), &joined);
    insta::assert_snapshot!(refused(&place, "replay out -o again").shown());
    // A line more is as bad, wherever it is.
    place.put(&format!("out/{RAW}"), format!("{raw}\n"));
    refused(&place, "replay out -o again");
    // Mended by somebody who keeps to it.
    place.put(&format!("out/{RAW}"), joined.replacen("{\"id\"", "\n{ \"resourceType\":\"Goal\",\"id\"", 1));
    place.run("replay out -o again").ends_with(3);
    assert_eq!(
        place.text("again/Goal.ndjson"),
        "{\"resourceType\":\"Goal\",\"id\":\"no type\",\"text\":\"two  spaces\"}\n"
    );
}

#[test]
fn a_mended_bundle_is_opened() {
    let place = Place::with([("a.json", format!("{GOAL}\n{}", BUNDLE.replacen("\"Bundle\"", "Bundle", 1)))]);
    // A first value on one line, so that lines would be records; a second one on several, so that they are not.
    let text = place.text("a.json").replacen("{\"id\"", "{\n\"id\"", 1);
    place.put("a.json", &text);
    place.run("split a.json -o out").ends_with(3);
    assert_eq!(places(&place, "out").len(), 1);
    mend(&place, ": Bundle", ":\"Bundle\"");
    mend(&place, ": Goal", ":\"Goal\"");
    place.run("replay out -o again").ends_with(3);
    assert_eq!(place.text("again/Patient.ndjson"), "{\"resourceType\":\"Patient\",\"id\":\"1\"}\n");
    assert_eq!(place.text("again/Goal.ndjson"), "{\"resourceType\":\"Goal\",\"id\":\"2\"}\n");
    // Its lines are what they were; its bytes are not.
    let line_of = |what: &str| {
        let at = text.find(what).expect("there");
        text[..at].matches('\n').count() as u64
    };
    let bundle = text.rfind("{\n  \"resourceType\"").expect("there") as u64;
    let place_of = |line| ("a.json".to_owned(), vec![line, bundle]);
    let told = [place_of(line_of("\"id\": \"no type\"")), place_of(line_of("\"resourceType\": 7"))];
    assert_eq!(places(&place, "again"), told);
}

#[test]
fn an_untouched_bundle_rejects_at_exact_places() {
    let place = Place::with([("a.ndjson", format!("{GOAL}\n{GOAL}\n{}", BUNDLE.replace('\n', "") + "\n"))]);
    place.run("split a.ndjson -o whole").ends_with(3);
    place.run("split a.ndjson -o out --max-line-bytes 100").ends_with(3);
    assert_eq!(places(&place, "out").len(), 1);
    place.run("replay out -o again").ends_with(3);
    assert_eq!(places(&place, "again"), places(&place, "whole"));
}

#[test]
fn records_of_several_lines_too_long_for_memory_keep_their_places() {
    let long = |kind: &str| {
        let text = "y".repeat(2 * CHUNK_BYTES);
        format!("{{\n  \"resourceType\": {kind},\n  \"text\": \"{text}\"\n}}\n")
    };
    let source = [long("Patient"), long("\"Goal\""), long("Patient"), "{\n\"id\":1\n}\n".into()].concat();
    let place = Place::with([("a.json", source)]);
    place.run("split a.json -o out").ends_with(3);
    place.run("replay out -o again").ends_with(3);
    assert!(place.read(&format!("again/{RAW}")) == place.read(&format!("out/{RAW}")));
    assert_eq!(place.text(&format!("again/{OUTCOMES}")), place.text(&format!("out/{OUTCOMES}")));
    let mended = place.text(&format!("out/{RAW}")).replacen(": Patient", ":\"Patient\"", 1);
    place.put(&format!("out/{RAW}"), mended);
    place.run("replay out -o third").ends_with(3);
    let patient = place.text("third/Patient.ndjson");
    assert!(
        patient.starts_with("{\"resourceType\":\"Patient\",\"text\":\"yyy") && patient.ends_with("y\"}\n")
    );
    assert_eq!(patient.matches('\n').count(), 1);
    assert_eq!(places(&place, "third"), places(&place, "out")[1..]);
}

/// Beyond 10,000 rejects of a source, neighbours of as many lines share an outcome.
#[test]
fn groups_of_records_of_several_lines_come_out_as_they_went_in() {
    let record = "{\n  \"id\": 1\n}";
    let array = |between: &str| format!("[\n{}\n]\n", vec![record; 10_500].join(between));
    let place = Place::with([("a.json", array(",\n")), ("b.json", array(", ")), ("c.json", array(",\n\n"))]);
    place.run("split a.json b.json c.json -o out").ends_with(3);
    let groups: Vec<_> = places(&place, "out").into_iter().filter(|(_, told)| told.len() > 2).collect();
    let counts: Vec<_> = groups.iter().map(|(name, told)| (name.as_str(), told[2])).collect();
    assert_eq!(counts, [("a.json", 501), ("b.json", 501)]);
    place.run("replay out -o again").ends_with(3);
    same(&place, "again");

    // One in the middle of a group is mended: what is behind it is a group of its own.
    let raw = place.text(&format!("out/{RAW}"));
    let at = 10_200 * (record.len() + 1);
    place.put(&format!("out/{RAW}"), [&raw[..at], "\n", GOAL, "\n", &raw[at + record.len()..]].concat());
    place.run("replay out -o third").ends_with(3);
    assert_eq!(place.text("third/Goal.ndjson"), lines(&[GOAL]));
    let found = places(&place, "third").into_iter().filter(|(name, told)| name == "a.json" && told.len() > 2);
    let found: Vec<_> = found.map(|(_, told)| (told[0], told[2], told[3])).collect();
    let line = |record: u64| 2 + 3 * record;
    assert_eq!(found, [(line(9_999), 201, line(10_199)), (line(10_201), 299, line(10_499))]);
}
