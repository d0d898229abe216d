//! Every rule of the envelope, and every fault with the place where it is seen: of whole records, and of the same records
//! in fragments.

use fhirline_core::{BadRecord, Fault};
use fhirline_parse::{Envelope, Id, MAX_DEPTH, MAX_ID_BYTES, Proof, Shape, envelope, shape};

#[path = "support/cuts.rs"]
mod cuts;

/// The fault of a record and its offset.
fn fault(record: impl AsRef<[u8]>) -> (Fault, u64) {
    let record = record.as_ref();
    cuts::check_everywhere(record);
    let BadRecord { fault, at } = envelope(record, Proof::Full).expect_err("a fault");
    (fault, at)
}

/// The envelope of a record, the same with proof and without.
fn read(record: &str) -> Envelope<'_> {
    cuts::check_everywhere(record.as_bytes());
    let full = envelope(record.as_bytes(), Proof::Full).expect("well-formed");
    assert_eq!(envelope(record.as_bytes(), Proof::Trusted).as_ref(), Ok(&full));
    full
}

fn type_and_id(record: &str) -> (String, Option<String>) {
    let Envelope { resource_type, id, .. } = read(record);
    let id = id.map(|id| match id {
        Id::Text(text) => text.into_owned(),
        Id::TooLong(bytes) => format!("{bytes} bytes"),
    });
    (resource_type.into_owned(), id)
}

fn pair(resource_type: &str, id: &str) -> (String, Option<String>) {
    (resource_type.to_owned(), Some(id.to_owned()))
}

#[test]
fn keys_count_at_the_top_level_only_and_anywhere_in_it() {
    for record in [
        r#"{"resourceType":"Patient","id":"1"}"#,
        r#"{"id":"1","active":true,"resourceType":"Patient"}"#,
        r#"{"contained":[{"resourceType":"Group","id":"9"}],"resourceType":"Patient","id":"1"}"#,
        r#"{"resourceType":"Patient","id":"1","x":{"resourceType":"Group","id":"9","y":{"id":"8"}}}"#,
        r#"{"resourceType":"Patient","x":[{"id":"9"},[{"id":"8"}]],"id":"1","y":["resourceType","id"]}"#,
        r#"{"resourceType":"Patient","x":"\"id\":\"9\"","id":"1"}"#,
        r#"{"Id":"9","ids":"9","resourcetype":"x","resourceType ":"x","id":"1","resourceType":"Patient"}"#,
    ] {
        assert_eq!(type_and_id(record), pair("Patient", "1"), "{record}");
        assert_eq!(read(record).duplicate_keys, 0, "{record}");
    }
}

#[test]
fn escapes_are_decoded_in_keys_and_values() {
    for record in [
        r#"{"resource\u0054ype":"Patient","id":"1"}"#,
        r#"{"\u0072\u0065\u0073\u006f\u0075\u0072\u0063\u0065\u0054\u0079\u0070\u0065":"Patient","\u0069d":"1"}"#,
        r#"{"resourceType":"\u0050atient","i\u0064":"\u0031"}"#,
    ] {
        assert_eq!(type_and_id(record), pair("Patient", "1"), "{record}");
    }
    let record = r#"{"resourceType":"a\/b\\\n\u00e9\ud83d\ude00","id":"\"\ud83d\ude00"}"#;
    assert_eq!(type_and_id(record), pair("a/b\\\n\u{e9}\u{1F600}", "\"\u{1F600}"));
    assert_eq!(read(r#"{"resourceType":"Pat\ud83dient"}"#).resource_type, "Pat\u{FFFD}ient");
    // The escape spells another key: a backslash and `u0069d`.
    assert_eq!(read(r#"{"\\u0069d":"9","resourceType":"Patient"}"#).id, None);
}

#[test]
fn the_last_of_equal_keys_counts() {
    let record = r#"{"resourceType":"A","id":"1","resourceType":"B","id":"2","\u0069d":"3"}"#;
    assert_eq!(type_and_id(record), pair("B", "3"));
    assert_eq!(read(record).duplicate_keys, 3);
    assert_eq!(read(r#"{"id":"1","id":7,"resourceType":"A"}"#).id, None);
    assert_eq!(fault(r#"{"resourceType":"A","resourceType":7}"#), (Fault::ResourceTypeNotString, 35));
    assert_eq!(fault(r#"{"resourceType":"A","resourceType":""}"#), (Fault::ResourceTypeEmpty, 35));
    assert_eq!(read(r#"{"resourceType":null,"resourceType":"A"}"#).resource_type, "A");
}

#[test]
fn ids_that_are_no_strings_are_none_and_long_ones_are_measured() {
    for id in ["7", "null", "true", "{\"id\":\"9\"}", "[\"9\"]", "-1.5e3"] {
        assert_eq!(read(&format!(r#"{{"resourceType":"Patient","id":{id}}}"#)).id, None, "{id}");
    }
    assert_eq!(read(r#"{"resourceType":"Patient","id":""}"#).id, Some(Id::Text("".into())));
    let with_id = |id: &str| format!(r#"{{"id":"{id}","resourceType":"Patient"}}"#);
    let longest = "x".repeat(MAX_ID_BYTES);
    assert_eq!(read(&with_id(&longest)).id, Some(Id::Text(longest.as_str().into())));
    assert_eq!(read(&with_id(&format!("{longest}y"))).id, Some(Id::TooLong(MAX_ID_BYTES + 1)));
    // What counts is the decoded length.
    let escaped = r"\u0041".repeat(MAX_ID_BYTES);
    assert_eq!(read(&with_id(&escaped)).id, Some(Id::Text("A".repeat(MAX_ID_BYTES).into())));
}

#[test]
fn white_space_does_no_harm() {
    let record =
        " \t\r\n{ \"id\" :\t\"1\" ,\r\n\"resourceType\"\n:\n\"Patient\" , \"x\" : [ ] , \"y\" : { } } \r";
    assert_eq!(type_and_id(record), pair("Patient", "1"));
}

#[test]
fn every_fault_of_a_well_formed_record() {
    for record in ["[]", "[{\"resourceType\":\"Patient\"}]", "12", "\"resourceType\"", "null", " true "] {
        assert_eq!(fault(record), (Fault::NotAnObject, 0), "{record}");
    }
    for record in ["{}", r#"{"a":1}"#, r#"{"contained":[{"resourceType":"Patient"}]}"#, r#"{"":""}"#] {
        assert_eq!(fault(record), (Fault::NoResourceType, 0), "{record}");
    }
    for value in ["7", "null", "false", "[\"Patient\"]", "{\"resourceType\":\"Patient\"}"] {
        assert_eq!(fault(format!(r#"{{"resourceType": {value}}}"#)), (Fault::ResourceTypeNotString, 17));
    }
    assert_eq!(fault(r#"{"resourceType":""}"#), (Fault::ResourceTypeEmpty, 16));
}

#[test]
fn bytes_that_the_grammar_does_not_allow() {
    for (record, at) in [
        ("x", 0),
        ("<html>", 0),
        ("{]", 1),
        ("[}", 1),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("{,}", 1),
        ("{\"a\"}", 4),
        ("{\"a\",1}", 4),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("{\"a\":1 \"b\":2}", 7),
        ("{a:1}", 1),
        ("{'a':1}", 1),
        ("{1:1}", 1),
        ("{null:1}", 1),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("[01]", 2),
        ("[-]", 2),
        ("[+1]", 1),
        ("[.5]", 1),
        ("[1.]", 3),
        ("[1e]", 3),
        ("[1.5e+]", 6),
        ("[0x1]", 2),
        ("[1a]", 2),
        ("[NaN]", 1),
        ("[Infinity]", 1),
        ("[-Infinity]", 2),
        ("[tru]", 4),
        ("[True]", 1),
        ("[nulll]", 5),
        ("\"a\tb\"", 2),
        ("\"\\x\"", 2),
        ("\"\\u12G4\"", 5),
        ("{\u{0}}", 1),
        ("\u{0}{}", 0),
        ("[\"\u{0}\"]", 2),
        ("[\u{a0}1]", 1),
        ("[1\u{2028}]", 2),
        ("{\u{b}}", 1),
    ] {
        assert_eq!(fault(record), (Fault::NotJson, at), "{record:?}");
        assert_eq!(shape(record.as_bytes()), Shape::Illegal, "{record:?}");
    }
}

#[test]
fn a_record_that_ends_too_early() {
    for record in [
        "",
        " ",
        "\r",
        "{",
        "[",
        "{\"",
        "{\"a",
        "{\"a\\",
        "{\"a\\u00",
        "{\"a\"",
        "{\"a\" ",
        "{\"a\":",
        "{\"a\":t",
        "{\"a\":1",
        "{\"a\":1,",
        "[1",
        "[1,",
        "[[]",
        "-",
        "1.",
        "1e",
        "1e-",
        "nul",
        "\"",
        "\"a\\u",
    ] {
        assert_eq!(fault(record), (Fault::Incomplete, record.len() as u64), "{record:?}");
        assert_eq!(shape(record.as_bytes()), Shape::Incomplete, "{record:?}");
    }
}

#[test]
fn every_beginning_of_a_record_is_incomplete() {
    let record =
        "{\"id\":\"é\\n\\ud83d\u{1F600}\",\"a\" : [ 1.5e-3, -0, true,null ,{},[ ]],\"resourceType\":\"P\"}";
    read(record);
    for end in 0..record.len() {
        let beginning = &record.as_bytes()[..end];
        assert_eq!(fault(beginning), (Fault::Incomplete, end as u64), "{end}");
        assert_eq!(shape(beginning), Shape::Incomplete, "{end}");
        let trusted = envelope(beginning, Proof::Trusted).map_err(|bad| bad.fault);
        assert_eq!(trusted, Err(Fault::Incomplete), "{end}");
    }
}

#[test]
fn more_than_one_value() {
    for (record, at) in [
        ("{}{}", 2),
        ("{} {}", 3),
        ("{},", 2),
        ("{}}", 2),
        ("[]]", 2),
        ("1 2", 2),
        ("01", 1),
        ("{}\0", 2),
        ("[1] // note", 4),
        ("\"a\"b", 3),
    ] {
        assert_eq!(fault(record), (Fault::SeveralValues, at), "{record:?}");
        assert_eq!(shape(record.as_bytes()), Shape::Illegal, "{record:?}");
    }
}

#[test]
fn bytes_that_are_not_utf8() {
    for (sequence, name) in [
        (&b"\xFF"[..], "never a byte of UTF-8"),
        (b"\x80", "continuation without a beginning"),
        (b"\xC0\xAF", "overlong"),
        (b"\xE0\x80\x80", "overlong"),
        (b"\xED\xA0\x80", "surrogate"),
        (b"\xF4\x90\x80\x80", "beyond the last character"),
        (b"\xC3\"", "cut off by the quote"),
        (b"\xF0\x9F\x98 ", "cut off by a space"),
    ] {
        let record = [br#"{"resourceType":"Patient","a":""#, sequence, br#"b"}"#].concat();
        assert_eq!(fault(&record), (Fault::NotUtf8, 31), "{name}");
        assert_eq!(shape(&record), Shape::Illegal, "{name}");
        assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&record).is_err(), "{name}");
    }
}

#[test]
fn the_first_offending_byte_wins() {
    assert_eq!(fault(b"[\"\xFF\", x]"), (Fault::NotUtf8, 2));
    assert_eq!(fault(b"[x, \"\xFF\"]"), (Fault::NotJson, 1));
    assert_eq!(fault(b"[\xFF]"), (Fault::NotUtf8, 1));
    assert_eq!(fault(b"{} \xFF"), (Fault::NotUtf8, 3));
    assert_eq!(fault(b"{} x\xFF"), (Fault::SeveralValues, 3));
    assert_eq!(fault(b"[\"\xFF"), (Fault::NotUtf8, 2));
    assert_eq!(fault(b"[x\"\xC3"), (Fault::NotJson, 1));
    assert_eq!(fault(b"[\"\xC3"), (Fault::Incomplete, 3));
    assert_eq!(fault(b"\xEF\xBB\xBF\xFF"), (Fault::ByteOrderMark, 0));
    assert_eq!(fault(b"\xEF\xBB"), (Fault::NotUtf8, 0));
    // What the record says is looked at only when all of it is well-formed.
    assert_eq!(fault("[1,2,x]"), (Fault::NotJson, 5));
    assert_eq!(fault("{\"resourceType\":\"\",}"), (Fault::NotJson, 19));
    let deep = "[".repeat(MAX_DEPTH + 1);
    assert_eq!(fault(format!("{deep}x")), (Fault::TooDeep, MAX_DEPTH as u64));
    assert_eq!(fault([deep.as_bytes(), b"\xFF"].concat()), (Fault::TooDeep, MAX_DEPTH as u64));
}

#[test]
fn the_stated_depth_is_allowed_and_no_more() {
    let nested = |levels: usize, open: &str, close: &str| {
        format!(r#"{{"x":{}{},"resourceType":"Patient"}}"#, open.repeat(levels), close.repeat(levels))
    };
    read(&nested(MAX_DEPTH - 1, "[", "]"));
    let at = 5 + MAX_DEPTH as u64 - 1;
    assert_eq!(fault(nested(MAX_DEPTH, "[", "]")), (Fault::TooDeep, at));
    assert_eq!(shape(nested(MAX_DEPTH, "[", "]").as_bytes()), Shape::Incomplete);

    let objects = |levels| nested(levels, "{\"a\":", "}").replace(":}", ":1}");
    read(&objects(MAX_DEPTH - 1));
    assert_eq!(fault(objects(MAX_DEPTH)).0, Fault::TooDeep);
    // Depth is what is open, not what was opened.
    read(&format!(r#"{{"x":[{}1],"resourceType":"Patient"}}"#, "[[[]]],".repeat(10 * MAX_DEPTH)));
    // A text that does nothing but open is refused after that many bytes, not after all of them.
    assert_eq!(fault("[".repeat(1 << 20)), (Fault::TooDeep, MAX_DEPTH as u64));
}

#[test]
fn what_is_strange_but_legal_passes() {
    let number = format!("-{}.{}E+{}", "9".repeat(5000), "0".repeat(5000), "9".repeat(5000));
    for value in [
        &number,
        "1.00",
        "1E2",
        "-0",
        "1e400",
        "\"\\ud83d\"",
        "\"\u{2028}\u{85}\u{7f}\"",
        "\"\\u0000\"",
        "\"\\/\"",
    ] {
        let record = format!(r#"{{"a":{value},"resourceType":"Patient"}}"#);
        assert_eq!(read(&record).resource_type, "Patient");
    }
}

#[test]
fn trust_skips_the_proof_of_utf8_and_stays_total() {
    let record = b"{\"resourceType\":\"Pat\xFFient\",\"id\":\"\xC3\"}";
    assert_eq!(fault(record), (Fault::NotUtf8, 20));
    let trusted = envelope(record, Proof::Trusted).expect("trusted");
    assert_eq!(trusted.resource_type, "Pat\u{FFFD}ient");
    assert_eq!(trusted.id, Some(Id::Text("\u{FFFD}".into())));
}

#[test]
fn debug_output_holds_no_byte_of_the_record() {
    let record = r#"{"resourceType":"CANARY-type","id":"CANARY-id","name":"CANARY-name"}"#;
    let shown = format!("{:?} {:#?}", read(record), read(record));
    assert!(!shown.contains("CANARY") && !shown.contains("name"), "{shown}");
    assert!(shown.contains("11") && shown.contains("9 bytes"), "{shown}");
    let long = format!(r#"{{"resourceType":"A","id":"{}"}}"#, "CANARY".repeat(MAX_ID_BYTES));
    assert!(!format!("{:?}", read(&long)).contains("CANARY"));
    let broken = envelope(br#"{"CANARY":CANARY}"#, Proof::Full).expect_err("broken");
    assert!(!format!("{broken:?} {broken}").contains("CANARY"));
}
