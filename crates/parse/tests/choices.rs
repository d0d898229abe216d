//! Where parsers of JSON differ, what we chose: one test for each section of `docs/decisions/0008-what-is-json.md`.
//!
//! Each test names the other verdict too, from `serde_json` where it has one, so that the choice is seen to be one.

use fhirline_core::Fault;
use fhirline_parse::{Id, MAX_DEPTH, Proof, envelope};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[path = "support/cuts.rs"]
mod cuts;

/// A record whose value `x` is the text.
fn holding(text: impl AsRef<[u8]>) -> Vec<u8> {
    [br#"{"resourceType":"Patient","id":"1","x":"#, text.as_ref(), b"}"].concat()
}

/// The fault of a record, whole and in fragments; `None` if it is delivered.
fn fault(record: impl AsRef<[u8]>) -> Option<Fault> {
    let record = record.as_ref();
    cuts::check_everywhere(record);
    envelope(record, Proof::Full).err().map(|bad| bad.fault)
}

fn raw_value_takes(record: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(record).is_ok()
}

fn value_takes(record: &[u8]) -> bool {
    serde_json::from_slice::<Value>(record).is_ok()
}

/// What a reader declares that wants to know the envelope only.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    resource_type: String,
}

fn header_of(record: &[u8]) -> Option<String> {
    serde_json::from_slice::<Header>(record).ok().map(|header| header.resource_type)
}

#[test]
fn nesting_ends_at_a_stated_depth_the_only_exception() {
    let nested = |levels: usize| holding("[".repeat(levels - 1) + &"]".repeat(levels - 1));
    assert_eq!(fault(nested(MAX_DEPTH)), None);
    assert!(!value_takes(&nested(MAX_DEPTH)), "a tree stops at 128 levels");
    assert_eq!(fault(nested(MAX_DEPTH + 1)), Some(Fault::TooDeep));
    assert!(raw_value_takes(&nested(MAX_DEPTH + 1)));
    // Brackets in strings are text.
    assert_eq!(fault(holding(format!("\"{}\"", "[{".repeat(MAX_DEPTH)))), None);
}

#[test]
fn half_of_a_surrogate_pair_is_legal_text() {
    for text in [r#""\ud83d""#, r#""\ude00\ud83d""#, r#""\uD83D\u0041""#, r#"{"\uDFFF":1}"#] {
        assert_eq!(fault(holding(text)), None, "{text}");
        assert!(raw_value_takes(&holding(text)) && !value_takes(&holding(text)), "{text}");
    }
    let record = r#"{"resourceType":"A\ud83d","id":"\ude00"}"#;
    let found = envelope(record.as_bytes(), Proof::Full).expect("legal");
    assert_eq!((&*found.resource_type, found.id), ("A\u{FFFD}", Some(Id::Text("\u{FFFD}".into()))));
    // Raw, such a half is not UTF-8.
    assert_eq!(fault(holding(b"\"\xED\xA0\xBD\"")), Some(Fault::NotUtf8));
}

#[test]
fn numbers_are_text_of_any_length_and_size() {
    let long = "9".repeat(5000);
    for (number, is_a_float) in [
        ("1e400", false),
        ("-1E+400", false),
        (&*long, false),
        ("1e-400", true),
        ("12345678901234567890.123", true),
        ("1.00", true),
    ] {
        assert_eq!(fault(holding(number)), None, "{number}");
        assert!(raw_value_takes(&holding(number)), "{number}");
        assert_eq!(value_takes(&holding(number)), is_a_float, "{number}");
    }
    for other in ["NaN", "Infinity", "-Infinity", "+1", "01", ".5", "1.", "0x1F", "1_000"] {
        assert_eq!(fault(holding(other)), Some(Fault::NotJson), "{other}");
    }
}

#[test]
fn of_equal_keys_the_last_counts_and_is_counted() {
    let record = br#"{"resourceType":"A","id":"1","resourceType":"B","id":"2"}"#;
    assert_eq!(fault(record), None);
    assert_eq!(header_of(record), None, "a struct refuses the second");
    let found = envelope(record, Proof::Full).expect("legal");
    assert_eq!((&*found.resource_type, found.id), ("B", Some(Id::Text("2".into()))));
    assert_eq!(found.duplicate_keys, 2);
    // Other keys are not compared with each other: that would need memory for all of them.
    let others = br#"{"resourceType":"A","x":1,"x":2,"y":{"z":1,"z":2}}"#;
    assert_eq!(envelope(others, Proof::Full).map(|found| found.duplicate_keys), Ok(0));
}

#[test]
fn a_mark_in_front_of_a_record_has_a_fault_of_its_own() {
    let record = b"\xEF\xBB\xBF{\"resourceType\":\"Patient\"}";
    assert_eq!(fault(record), Some(Fault::ByteOrderMark));
    assert!(!raw_value_takes(record));
    assert_eq!(fault(b"{\"resourceType\":\"Patient\"}\xEF\xBB\xBF"), Some(Fault::SeveralValues));
    assert_eq!(fault(b"{\xEF\xBB\xBF\"resourceType\":\"Patient\"}"), Some(Fault::NotJson));
    assert_eq!(fault(holding("\"\u{feff}\"")), None);
}

#[test]
fn white_space_is_four_characters() {
    assert_eq!(fault(b" \t\r\n{ \t\r\n\"resourceType\" : \"A\"}\r\n\t "), None);
    for other in ["\u{b}", "\u{c}", "\u{85}", "\u{a0}", "\u{2028}", "\u{3000}", "\u{200b}"] {
        let around = format!("{other}{{\"resourceType\":\"A\"}}");
        assert_eq!(fault(&around), Some(Fault::NotJson), "{other:?}");
        assert!(!raw_value_takes(around.as_bytes()), "{other:?}");
        assert_eq!(
            fault(holding(format!("\"{other}\""))).is_some(),
            other < "\u{20}",
            "{other:?} within a string"
        );
    }
}

#[test]
fn nul_and_other_control_characters_are_text_only_as_escapes() {
    for control in 0..0x20_u8 {
        let raw = holding([b'"', control, b'"']);
        assert_eq!(fault(&raw), Some(Fault::NotJson), "{control:#x}");
        assert!(!raw_value_takes(&raw), "{control:#x}");
        assert_eq!(fault(holding(format!("\"\\u{control:04x}\""))), None, "{control:#x}");
    }
    assert_eq!(fault(b"{\"resourceType\":\"A\"}\0\0\0"), Some(Fault::SeveralValues));
    assert_eq!(fault(b"\0\0{\"resourceType\":\"A\"}"), Some(Fault::NotJson));
    // DEL and the controls behind it are characters like others.
    assert_eq!(fault(holding("\"\u{7f}\u{80}\u{9f}\"")), None);
}

#[test]
fn bytes_that_are_not_utf8_are_refused_where_nobody_reads_them() {
    for sequence in [&b"\xFF"[..], b"\xC0\xAF", b"\xED\xA0\x80", b"\xF4\x90\x80\x80", b"caf\xE9"] {
        let record = holding([b"\"", sequence, b"\""].concat());
        assert_eq!(fault(&record), Some(Fault::NotUtf8));
        assert!(!raw_value_takes(&record));
        assert_eq!(header_of(&record).as_deref(), Some("Patient"), "a struct skips over it");
    }
}

#[test]
fn what_stands_behind_a_value_is_not_dropped() {
    for rest in ["{\"resourceType\":\"A\"}", " {}", ",", ";", "// why", "x", "]"] {
        let record = [&holding("1")[..], rest.as_bytes()].concat();
        assert_eq!(fault(&record), Some(Fault::SeveralValues), "{rest}");
        assert!(!raw_value_takes(&record), "{rest}");
        let mut values = serde_json::Deserializer::from_slice(&record).into_iter::<Value>();
        assert!(
            values.next().is_some_and(|first| first.is_ok()),
            "a stream of values takes the first: {rest}"
        );
    }
}

#[test]
fn a_record_without_a_type_is_json_and_still_refused() {
    for (record, why) in [
        ("[]", Fault::NotAnObject),
        ("1", Fault::NotAnObject),
        ("{}", Fault::NoResourceType),
        (r#"{"resourceType":7}"#, Fault::ResourceTypeNotString),
        (r#"{"resourceType":""}"#, Fault::ResourceTypeEmpty),
    ] {
        assert_eq!(fault(record), Some(why), "{record}");
        assert!(raw_value_takes(record.as_bytes()), "{record}");
    }
}
