//! Sources as they are found, written by hand, and what comes out of each.

use fhirline_bundle::{BundleType, Container, Framed, Framer, Kind, Options};
use fhirline_core::{CHUNK_BYTES, SourceId};
use fhirline_parse::{Proof, envelope};

use crate::driver::{Seen, check_every_cut, check_gaps, frame, start};

/// What is delivered of a source: resources on a line each, with their types; members and entries.
#[derive(Debug, Default, PartialEq, Eq)]
struct Delivered {
    types: Vec<String>,
    bundle_members: Vec<String>,
    entry_members: Vec<String>,
    entries: Vec<String>,
    bundles: Vec<BundleType>,
}

fn delivered(text: &str) -> Delivered {
    let mut delivered = Delivered::default();
    let mut framer = Framer::new(SourceId(0), Options::default());
    framer.space(text.len()).copy_from_slice(text.as_bytes());
    framer.filled(text.len());
    framer.finish();
    let mut dropped = 0;
    while let Some(framed) = framer.next() {
        match framed {
            Framed::Begins(begins) => {
                if let Container::Bundle(kind) = begins.container {
                    delivered.bundles.push(kind);
                }
            }
            Framed::Part(part) => {
                let mut line = Vec::new();
                dropped += part.append_to(&mut line).bytes();
                if part.kind == Kind::Resource {
                    let proven = envelope(&line, Proof::Full).expect("a resource");
                    delivered.types.push(proven.resource_type.into_owned());
                }
                let line = String::from_utf8(line).expect("UTF-8");
                match part.kind {
                    Kind::Resource => {}
                    Kind::BundleMember => delivered.bundle_members.push(line),
                    Kind::EntryMember => delivered.entry_members.push(line),
                    Kind::Entry => delivered.entries.push(line),
                    other => panic!("{other:?}"),
                }
            }
            _ => {}
        }
    }
    let tally = framer.tally();
    assert_eq!(tally.bytes(), text.len() as u64);
    assert!(dropped <= tally.resources + tally.entries + tally.entry_members + tally.bundle_members);
    check_gaps(text.as_bytes(), &check_every_cut(text.as_bytes()));
    delivered
}

#[test]
fn a_page_of_a_search() {
    let found = delivered(
        r#"{
  "resourceType": "Bundle",
  "id": "page-1",
  "type": "searchset",
  "total": 2,
  "link": [
    { "relation": "next", "url": "https://example.org/fhir?page=2" }
  ],
  "entry": [
    {
      "fullUrl": "https://example.org/fhir/Patient/1",
      "resource": {
        "resourceType": "Patient",
        "text": { "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">a  b</div>" }
      },
      "search": { "mode": "match" }
    },
    {
      "resource": { "resourceType": "OperationOutcome", "issue": [] },
      "fullUrl": "urn:uuid:2"
    }
  ]
}
"#,
    );
    assert_eq!(found.types, ["Patient", "OperationOutcome"]);
    assert_eq!(found.bundles, [BundleType::Searchset]);
    assert_eq!(
        found.bundle_members,
        [
            r#""resourceType": "Bundle""#,
            r#""id": "page-1""#,
            r#""type": "searchset""#,
            r#""total": 2"#,
            r#""link":[{"relation":"next","url":"https://example.org/fhir?page=2"}]"#,
        ]
    );
    assert_eq!(
        found.entry_members,
        [
            r#""fullUrl": "https://example.org/fhir/Patient/1""#,
            r#""search": { "mode": "match" }"#,
            r#""fullUrl": "urn:uuid:2""#,
        ]
    );
}

#[test]
fn keys_sorted_as_go_sorts_them() {
    let found = delivered(
        r#"{"entry":[{"fullUrl":"urn:uuid:1","request":{"method":"PUT","url":"Patient/1"},"resource":{"contained":[{"resourceType":"Organization"}],"id":"1","resourceType":"Patient"}}],"resourceType":"Bundle","type":"transaction"}"#,
    );
    assert_eq!((found.types, found.bundles), (vec!["Patient".to_owned()], vec![BundleType::Transaction]));
    assert_eq!(found.entry_members.len(), 2);
    assert_eq!(found.bundle_members, [r#""resourceType":"Bundle""#, r#""type":"transaction""#]);
}

#[test]
fn deletions_and_responses() {
    let found = delivered(
        "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{\"request\":{\"method\":\"DELETE\",\"url\":\"Patient/1\"}}]}\n\
         {\"resourceType\":\"Bundle\",\"type\":\"batch-response\",\"entry\":[{\n\"response\": {\"status\": \"404 Not Found\"}\n}]}\n",
    );
    assert_eq!(
        found.entries,
        [
            r#"{"request":{"method":"DELETE","url":"Patient/1"}}"#,
            r#"{"response":{"status":"404 Not Found"}}"#
        ]
    );
    assert_eq!(found.bundles, [BundleType::Transaction, BundleType::BatchResponse]);
}

#[test]
fn bundles_among_other_lines() {
    let found = delivered(
        "{\"resourceType\":\"Patient\"}\r\n\r\n{\"type\":\"collection\",\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"resourceType\":\"Goal\"}}]}\r\n{\"resourceType\":\"Device\"}",
    );
    assert_eq!(found.types, ["Patient", "Goal", "Device"]);
}

#[test]
fn an_array_and_bundles_in_it() {
    let found = delivered(
        "\u{feff}[{\"resourceType\":\"Patient\"},\n{\"resourceType\":\"Bundle\",\"type\":\"history\",\"entry\":[]} ]\n",
    );
    assert_eq!((found.types, found.bundles), (vec!["Patient".to_owned()], vec![BundleType::History]));
}

#[test]
fn what_looks_like_a_container_and_is_none() {
    for (text, kind) in [
        (r#"{"resourceType":"List","entry":[{"item":{"reference":"Patient/1"}}]}"#, "List"),
        (r#"{"entry":[{"resource":{"resourceType":"Goal"}}],"resourceType":"List"}"#, "List"),
        (
            r#"{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Goal"}}]}"#,
            "Bundle",
        ),
        (
            r#"{"entry":[{"resource":{"resourceType":"Goal"}}],"type":"message","resourceType":"Bundle"}"#,
            "Bundle",
        ),
        (
            r#"{"contained":[{"resourceType":"Bundle","type":"batch","entry":[{}]}],"resourceType":"Basic"}"#,
            "Basic",
        ),
    ] {
        let found = delivered(text);
        assert_eq!((found.types, found.bundles), (vec![kind.to_owned()], vec![]), "{text}");
    }
}

#[test]
fn a_bundle_in_an_entry_is_one_resource() {
    let inner =
        r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Goal"}}]}"#;
    let text = format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{inner}}}]}}"#);
    let found = delivered(&text);
    assert_eq!((found.types, found.bundles), (vec!["Bundle".to_owned()], vec![BundleType::Collection]));
}

#[test]
fn types_that_are_absent_or_unknown() {
    for (kind, wanted) in [
        ("", BundleType::Absent),
        (r#","type":"grab-bag""#, BundleType::Unknown),
        (r#","type":["document"]"#, BundleType::Unknown),
    ] {
        let text = format!(
            r#"{{"resourceType":"Bundle"{kind},"entry":[{{"resource":{{"resourceType":"Goal"}}}}]}}"#
        );
        let found = delivered(&text);
        assert_eq!((found.types, found.bundles), (vec!["Goal".to_owned()], vec![wanted]));
    }
}

#[test]
fn lists_of_providers() {
    let text = r#"{"providers": [
  {"name": "A Clinic", "fhir": {"Patient": [{"resourceType":"Patient"}], "Goal": [], "Device": [
    {"resourceType":"Device"}, {"resourceType":"Device","id":"2"}]}},
  {"fhir": null, "name": "Nothing here"}
]}"#;
    let seen = check_every_cut(text.as_bytes());
    let count = |wanted| seen.iter().filter(|seen| **seen == wanted).count();
    assert_eq!((count(Seen::EntryEnds(3)), count(Seen::EntryEnds(0))), (1, 1));
    let kinds: Vec<Kind> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Part(_, kind, ..) => Some(*kind),
            _ => None,
        })
        .collect();
    let (member, name, resource) = (Kind::EntryMember, Kind::ListName, Kind::Resource);
    assert_eq!(kinds, [member, name, resource, name, name, resource, resource, member]);
    for other in [r#"{"id":"1","providers":[]}"#, r#"{"provider":[{"fhir":{}}]}"#] {
        assert!(matches!(check_every_cut(other.as_bytes())[..], [Seen::Part(_, Kind::Resource, ..)]));
    }
}

#[test]
fn nothing_at_all() {
    for text in ["", "\u{feff}", " \r\n\t\n", "[]", "[ ]\n"] {
        assert_eq!(delivered(text), Delivered::default());
    }
}

#[test]
fn a_byte_order_mark_is_taken_at_the_start_only() {
    let text = "\u{feff}{\"a\":1}\n\u{feff}{\"b\":1}\n{\"c\":1}".as_bytes();
    let framer = || Framer::new(start().source, Options::default());
    let (as_one, tally) = frame(framer(), text, &[]);
    for cut in 0..text.len() {
        assert_eq!(frame(framer(), text, &[cut]).0, as_one, "cut at {cut}");
    }
    let bytes: Vec<u64> = as_one
        .iter()
        .filter_map(|seen| match seen {
            Seen::Part(at, Kind::Resource, ..) => Some(at.byte),
            _ => None,
        })
        .collect();
    assert_eq!((bytes, tally.byte_order_mark, tally.broken), (vec![3, 22], 3, 11));
    assert_eq!(frame(framer(), b"\xEF\xBB", &[1]).1.broken, 2);
}

#[test]
fn positions_are_those_in_the_source() {
    let seen = check_every_cut(b"\n[\r\n {}\r\n,\n{\"a\":\n1}]");
    let places: Vec<_> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Part(at, _, _, line_ends) => Some((at.byte, at.line, *line_ends)),
            _ => None,
        })
        .collect();
    assert_eq!(places, [(5, 3, 0), (11, 5, 1)]);
}

/// A hundred thousand entries, a long resource, and long white space: the buffer stays as it is.
#[test]
fn memory_is_flat() {
    const READ: usize = 64 << 10;
    let options = Options { max_held_bytes: 1 << 20, ..Options::default() };
    let mut framer = Framer::new(SourceId(0), options);
    let entry = format!("{{\"resource\":{{\"resourceType\":\"Goal\",\"a\":\"{}\"}}}},", "x".repeat(500));
    let mut input: Vec<Vec<u8>> =
        vec![b"{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[".to_vec()];
    input.extend(std::iter::repeat_n(entry.repeat(100).into_bytes(), 500));
    input.push(b"{\"resource\":{\"a\":\"".to_vec());
    input.extend(std::iter::repeat_n(vec![b'x'; READ], 500));
    input.push(b"\"}}".to_vec());
    input.extend(std::iter::repeat_n(vec![b' '; READ], 100));
    input.push(b"]}".to_vec());
    let (mut resources, mut longest) = (0, 0);
    for piece in &input {
        longest = longest.max(framer.buffer_bytes_for(piece.len()));
        framer.space(piece.len()).copy_from_slice(piece);
        framer.filled(piece.len());
        while let Some(framed) = framer.next() {
            resources += usize::from(matches!(framed, Framed::Part(part) if part.kind == Kind::Resource));
        }
    }
    framer.finish();
    assert!(framer.next().is_none() && framer.place().is_some());
    assert_eq!(resources, 50_000);
    assert!(longest <= CHUNK_BYTES + READ, "{longest}");
}

#[test]
fn no_debug_output_shows_a_record() {
    let mut framer = Framer::new(SourceId(0), Options::default());
    let text = br#"[{"canary":"canary"},"canary", canary"#;
    framer.space(text.len()).copy_from_slice(text);
    framer.filled(text.len());
    framer.finish();
    let mut shown = format!("{framer:?}");
    while let Some(framed) = framer.next() {
        shown += &format!("{framed:?}");
    }
    assert!(!shown.contains("canary") && shown.contains("Part"), "{shown}");
}
