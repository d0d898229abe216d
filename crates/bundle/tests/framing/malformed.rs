//! Sources that are no JSON, or not the JSON that they should be: nothing is lost, and each fault has its outcome.

use fhirline_bundle::{BundleType, Container, Defect, Ending, Framed, Framer, Kind, Known, Options};
use fhirline_core::{BadRecord, Fault, SourceId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::driver::{Seen, check_cuts, check_every_cut, check_gaps, frame, start, whole};

const BROKEN: Kind = Kind::Broken(Defect::NotArray);

/// The parts of these kinds, as text; [`BROKEN`] stands for every defect.
fn parts(text: &str, kind: Kind) -> Vec<String> {
    let is_broken = |kind: Kind| matches!(kind, Kind::Broken(_));
    let wanted = |found| found == kind || is_broken(kind) && is_broken(found);
    let seen = check_every_cut(text.as_bytes());
    check_gaps(text.as_bytes(), &seen);
    let text = |bytes: crate::driver::Text| String::from_utf8(bytes.0).expect("UTF-8");
    seen.into_iter()
        .filter_map(|seen| match seen {
            Seen::Part(_, found, bytes, _) if wanted(found) => Some(text(bytes)),
            _ => None,
        })
        .collect()
}

fn resources(text: &str) -> Vec<String> {
    parts(text, Kind::Resource)
}

fn broken(text: &str) -> Vec<String> {
    parts(text, BROKEN)
}

fn endings(text: &str) -> Vec<Ending> {
    let endings = whole(text.as_bytes()).into_iter().filter_map(|seen| match seen {
        Seen::Ends(_, ending) => Some(ending),
        _ => None,
    });
    endings.collect()
}

/// The fault of the only part that has one.
fn fault(text: &str) -> BadRecord {
    let mut faults = whole(text.as_bytes()).into_iter().filter_map(|seen| match seen {
        Seen::Part(_, Kind::Broken(Defect::Malformed(why)), ..) => Some(why),
        _ => None,
    });
    let why = faults.next().expect("a fault");
    assert!(faults.next().is_none(), "one fault");
    why
}

#[test]
fn a_broken_value_goes_on_to_its_own_end() {
    for bad in [
        r#"{"a" 1}"#,
        r#"{"a":[1,,2]}"#,
        r#"{"a":[1}"#,
        r#"{"a":1]}"#,
        "{\"a\":\"line\nend\"}",
        "{\"a\":\"\\\n\"}",
    ] {
        let text = format!(
            r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"resource":{bad}}},{{"resource":{{}}}}]}}"#
        );
        assert_eq!(broken(&text), [bad]);
        assert_eq!(resources(&text), ["{}"]);
        assert_eq!(endings(&text), [Ending::Closed]);
    }
}

#[test]
fn faults_are_told_with_their_place() {
    for (text, kind, at) in [
        (r#"{"a" 1}"#, Fault::NotJson, 5),
        ("{\"a\":\"b\n\"}", Fault::NotJson, 7),
        (r#"{"a":1"#, Fault::Incomplete, 6),
        (r#"{"a":"#, Fault::Incomplete, 5),
        (r#"{"a":1} x"#, Fault::NotJson, 0),
        ("\u{feff}{}", Fault::NotJson, 0),
    ] {
        assert_eq!(fault(text), BadRecord { fault: kind, at }, "{text}");
    }
}

#[test]
fn a_value_that_was_cut_ends_where_the_next_one_begins() {
    let (cut, next) = ("{\n  \"a\": \"the rest is miss", "{\n  \"b\": 1\n}");
    let text = format!("{cut}\n{next}\n");
    assert_eq!(broken(&text), [format!("{cut}\n")]);
    assert_eq!(resources(&text), [next]);
}

#[test]
fn wherever_a_value_is_cut_the_second_behind_it_is_whole() {
    let bundle = "{\n \"resourceType\": \"Bundle\",\n \"type\": \"batch\",\n \"entry\": [\n  {\"x\": [1], \"resource\": {\"a\": \"{\"}}\n ]\n}";
    let values =
        ["{\"resourceType\":\"Goal\",\n\"a\":[true,{\"b\":\"\\\"\"}]}", bundle, "[\n{\"a\":[]},\n{}]"];
    for value in values {
        for cut in 0..value.len() {
            let text = format!("{}\n{{\"second\":1}}\n{{\"third\":1}}\n", &value[..cut]);
            let seen = check_cuts(text.as_bytes(), &[3, 20]);
            check_gaps(text.as_bytes(), &seen);
            assert!(resources(&text).contains(&"{\"third\":1}".to_owned()), "{text}");
        }
    }
}

#[test]
fn what_is_no_value_goes_up_to_a_line_that_begins_with_one() {
    for junk in ["junk", ", ", "}", "]", "12 {}", "\"text\"", "// {\n  {}", "NaN"] {
        let text = format!("{{\"a\":1}} {junk}\n{{\"b\":1}}");
        assert_eq!(broken(&text), [format!("{junk}\n")], "{junk}");
        assert_eq!(resources(&text), ["{\"a\":1}", "{\"b\":1}"]);
    }
}

#[test]
fn an_array_stays_open_behind_a_fault() {
    let text = "[\n{\"a\":1},\n{\"b\" 2},\n x,\n{\"c\":3}\n{\"d\":4},\n\"e\", 5\n]\n{\"f\":6}";
    assert_eq!(broken(text), ["{\"b\" 2}", "x,\n"]);
    assert_eq!(resources(text), ["{\"a\":1}", "{\"c\":3}", "{\"d\":4}", "\"e\"", "5", "{\"f\":6}"]);
    assert_eq!(endings(text), [Ending::Closed]);
}

#[test]
fn a_bundle_is_left_behind_a_fault_between_its_parts() {
    for (junk, rest) in [("{\"resource\":{}} {}", "{}"), ("1 2", "2"), ("{} ]; x", ";"), ("{} }", "}")] {
        let text =
            format!("{{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[{junk}]}}\n{{\"b\":1}}");
        assert!(broken(&text).last().expect("a fault").starts_with(rest), "{text}");
        assert_eq!(resources(&text).last().map(String::as_str), Some("{\"b\":1}"));
        assert_eq!(endings(&text), [Ending::Abandoned]);
    }
}

#[test]
fn an_entry_that_is_no_array() {
    let text =
        |entry: &str| format!(r#"{{"resourceType":"Bundle","type":"batch","entry":{entry},"id":"b"}}"#);
    for odd in ["{\"resource\":{}}", "\"x\"", "1", "true", "{\"a\" 1}"] {
        assert_eq!(broken(&text(odd)), [odd]);
        assert_eq!(parts(&text(odd), Kind::BundleMember).last().map(String::as_str), Some(r#""id":"b""#));
    }
    for nothing in ["null", "[]", " [ ] "] {
        assert_eq!(broken(&text(nothing)), [""; 0]);
        assert_eq!(endings(&text(nothing)), [Ending::Closed]);
    }
}

#[test]
fn entries_that_are_no_objects() {
    let text = r#"{"resourceType":"Bundle","type":"batch","entry":[1,null,"x",[{}],{"resource":{}},nul]}"#;
    assert_eq!(broken(text), ["1", "null", "\"x\"", "[{}]", "nul"]);
    assert_eq!(resources(text), ["{}"]);
}

#[test]
fn keys_that_are_there_twice() {
    let text = r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"a":1},"resource":{"b":1}}],"entry":[{"resource":{"c":1}}],"type":"document","resourceType":"Goal"}"#;
    assert_eq!(resources(text), [r#"{"a":1}"#, r#"{"b":1}"#, r#"{"c":1}"#]);
    let first = whole(text.as_bytes()).into_iter().find(|seen| matches!(seen, Seen::EntryEnds(_)));
    assert_eq!(first, Some(Seen::EntryEnds(2)));
    let goal = r#"{"resourceType":"Goal","type":"batch","entry":[{"resource":{}}],"resourceType":"Bundle"}"#;
    assert_eq!(resources(goal), [goal]);
}

#[test]
fn what_is_too_deep_is_broken_and_alone_so() {
    for (levels, is_broken) in [(1000, false), (1004, true), (100_000, true)] {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        let text = format!(
            "{{\"entry\":[{{\"resource\":{deep}}},{{\"resource\":{{}}}}],\"resourceType\":\"Bundle\",\"type\":\"batch\"}}"
        );
        let typed = format!(
            "{{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[{{\"resource\":{deep}}},{{\"resource\":{{}}}}]}}"
        );
        let (last, first) = (whole(text.as_bytes()), whole(typed.as_bytes()));
        let count = |seen: &[Seen], kind| {
            seen.iter().filter(|seen| matches!(seen, Seen::Part(_, found, ..) if *found == kind)).count()
        };
        assert_eq!(count(&first, Kind::Resource), if is_broken { 1 } else { 2 });
        if is_broken {
            assert_eq!(fault(&typed).fault, Fault::TooDeep);
            assert_eq!(fault(&text).fault, Fault::TooDeep, "all of it, for what it is was not known");
        } else {
            assert_eq!(count(&last, Kind::Resource), 2);
        }
    }
}

#[test]
fn a_truncated_bundle_is_cut_off() {
    let text = r#"[{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"a":1}},{"fullUrl":"x","resource":{"b""#;
    assert_eq!(endings(text), [Ending::CutOff, Ending::CutOff]);
    assert_eq!(resources(text), [r#"{"a":1}"#]);
    assert_eq!(broken(text), [r#"{"b""#]);
    let between = &text[..text.find(",{\"fullUrl\"").expect("there")];
    assert_eq!(endings(between), [Ending::CutOff, Ending::CutOff]);
    assert_eq!(broken(between), [""; 0]);
}

#[test]
fn a_source_that_broke_off_drops_what_is_not_whole() {
    for (max_held_bytes, tail) in [(1 << 20, 20), (64, 200)] {
        let options = Options { max_held_bytes, piece_bytes: 10, keep_bundles: false };
        let mut framer = Framer::new(SourceId(0), options);
        let text = format!("[{{\"a\":1}}, {{\"b\":\"{}", "x".repeat(tail));
        framer.space(text.len()).copy_from_slice(text.as_bytes());
        framer.filled(text.len());
        framer.break_off();
        let mut last = 0;
        while let Some(framed) = framer.next() {
            match framed {
                Framed::Part(part) => assert_eq!(part.kind, Kind::Resource),
                Framed::Piece(piece) => last += usize::from(piece.last),
                Framed::Begins(_) | Framed::EntryEnds(_) => {}
                Framed::Ends(ends) => assert_eq!(ends.ending, Ending::CutOff),
                Framed::Lines => unreachable!("nobody asked"),
            }
        }
        let tally = framer.tally();
        assert_eq!((last, tally.resources, tally.dropped), (0, 7, 6 + tail as u64));
        assert_eq!((tally.bytes(), framer.held_bytes()), (text.len() as u64, 0));
    }
}

/// The kinds of the pieces, without those before the last of each part, of a text of which little is held.
fn last_pieces(text: &str) -> Vec<Kind> {
    let options = Options { max_held_bytes: 64, piece_bytes: 20, keep_bundles: false };
    let (seen, _) = frame(Framer::at(start(), options), text.as_bytes(), &[]);
    let pieces = seen.iter().filter_map(|seen| match seen {
        Seen::Piece(_, _, kind, _, last) => Some((*kind, *last)),
        _ => None,
    });
    let (last, before): (Vec<_>, Vec<_>) = pieces.partition(|(_, last)| *last);
    assert!(before.iter().all(|(kind, _)| !matches!(kind, Kind::SecondLook(_))));
    last.into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn a_second_look_is_asked_for_where_it_is_too_late() {
    let long = "x".repeat(100);
    let (batch, absent) = (BundleType::Batch, BundleType::Absent);
    for (text, wanted) in [
        (
            format!(r#"{{"entry":[{{"x":"{long}"}}],"resourceType":"Bundle"}}"#),
            Kind::SecondLook(Known::Bundle(absent)),
        ),
        (
            format!(r#"{{"entry":[{{"x":"{long}"}}],"resourceType":"Bundle","type":"batch"}}"#),
            Kind::SecondLook(Known::BundleHead(batch)),
        ),
        (
            format!(
                r#"{{"id":"{long}","type":"batch","resourceType":"Bundle","entry":[{{"resource":{{}}}}]}}"#
            ),
            Kind::SecondLook(Known::BundleHead(batch)),
        ),
        (
            format!(
                r#"{{"type":"batch","resourceType":"Bundle","entry":[{{"fullUrl":"{long}","resource":{{}}}}]}}"#
            ),
            Kind::SecondLook(Known::EntryHead),
        ),
        (
            format!(r#"{{"type":"batch","resourceType":"Bundle","entry":[{{"fullUrl":"{long}"}}]}}"#),
            Kind::Entry,
        ),
        (format!(r#"{{"type":"batch","resourceType":"Bundle","id":"{long}"}}"#), Kind::BundleMember),
        (format!(r#"{{"entry":["{long}"],"resourceType":"List"}}"#), Kind::Resource),
        (format!(r#"{{"type":"document","resourceType":"Bundle","entry":["{long}"]}}"#), Kind::Resource),
    ] {
        assert_eq!(last_pieces(&text), [wanted], "{text}");
        check_every_cut(text.as_bytes());
    }
}

/// Pieces that matter to brackets, strings, keys and lines, in any order.
fn soup() -> impl Strategy<Value = String> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\n",
        "\n{",
        "\n {",
        "\n {",
        "\n \t{\"resource\":{}},",
        "\n ]\n",
        "\n ",
        "\r\n",
        " ",
        "1",
        "null",
        "\"a\":",
        "\"entry\":[",
        "\"resource\":",
        "{\"providers\":[{\"fhir\":{\"A\":[",
        "{\"resource\":{}}",
        "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[",
        "\"resourceType\":\"Bundle\"",
        "\"type\":\"collection\"",
        "\"type\":\"document\"",
        "{\"a\":1}",
        "\u{feff}",
        "é",
        "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"",
    ];
    vec(select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
}

/// A well-formed source with a few bytes changed, taken out or put in.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<Index>(), select(b"{}[]:,\"\\\n x\x00\xFF".to_vec()), 0u8..3), 1..4);
    (crate::model::source(), edits).prop_map(|(source, edits)| {
        let mut text = source.into_bytes();
        for (place, byte, how) in edits {
            let at = place.index(text.len() + 1);
            match (how, text.get_mut(at)) {
                (0, Some(old)) => *old = byte,
                (1, Some(_)) => drop(text.remove(at)),
                _ => text.insert(at, byte),
            }
        }
        text
    })
}

/// Without the syntax that may be outside of parts.
fn has_only_syntax_outside(text: &[u8]) -> bool {
    let odd = ["nul", "\\"];
    let text = String::from_utf8_lossy(text);
    !odd.iter().any(|odd| text.contains(odd))
}

proptest! {
    #[test]
    fn nothing_is_lost_of_a_soup(text in soup(), places in vec(0usize..400, 0..8)) {
        let seen = check_cuts(text.as_bytes(), &places);
        check_gaps(text.as_bytes(), &seen);
    }

    #[test]
    fn nothing_is_lost_of_a_damaged_source(text in damaged(), places in vec(0usize..4000, 0..8)) {
        let seen = check_cuts(&text, &places);
        if has_only_syntax_outside(&text) {
            check_gaps(&text, &seen);
        }
    }

    #[test]
    fn any_bytes_at_all(text in vec(any::<u8>(), 0..200)) {
        check_gaps(&text, &check_cuts(&text, &[7]));
    }
}

#[test]
fn containers_of_the_source_are_told() {
    let text = " [ {\"resourceType\":\"Bundle\"} ] ";
    let seen = check_every_cut(text.as_bytes());
    let bundle = Container::Bundle(BundleType::Absent);
    assert_eq!(seen[0], Seen::Begins(start().advanced(1, 0), Container::Array));
    assert_eq!(seen[1], Seen::Begins(start().advanced(3, 0), bundle));
    assert_eq!(seen[3..], [Seen::Ends(bundle, Ending::Closed), Seen::Ends(Container::Array, Ending::Closed)]);
}
