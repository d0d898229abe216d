//! A torture set of JSON texts: what is JSON, what is not, and where the verdict differs from that of `serde_json`.
//!
//! Each text is judged by the walk, by the scanner in fragments cut at every place, and by `serde_json`.

use fhirline_core::Fault;
use fhirline_parse::{MAX_DEPTH, Proof, Shape, envelope, shape};
use serde_json::value::RawValue;

#[path = "support/cuts.rs"]
mod cuts;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// It is JSON.
    Json,
    /// It is not.
    NotJson,
    /// `serde_json` takes it, and we do not, for this reason.
    Exception(Fault),
}

use Verdict::{Exception, Json, NotJson};

/// Texts that are written out.
#[rustfmt::skip]
const TEXTS: &[(Verdict, &[&str])] = &[
    // Grammar: values.
    (Json, &["{}", "[]", "[[]]", "[{}]", "{\"\":{}}", "null", "true", "false", "0", "\"\"",
        "[null,true,false,0,\"\"]"]),
    (NotJson, &["{", "}", "[", "]", "{]", "[}", "[[]", "[]]", "{{}}", "{[]}", "{}}", "[{]}", "[[}]", "()",
        "<a/>"]),
    // Grammar: commas and colons.
    (Json, &["{\"a\":1,\"b\":2}", "[1,2]", "{\"a\":[1,{\"b\":[]}],\"c\":{}}"]),
    (NotJson, &[",", ":", "[,]", "[1,]", "[,1]", "[1,,2]", "[1 2]", "[1:2]", "{,}", "{\"a\":1,}",
        "{,\"a\":1}", "{\"a\":1,,}"]),
    (NotJson, &["{\"a\"}", "{\"a\",1}", "{\"a\":}", "{\"a\" 1}", "{\"a\"::1}", "{\"a\":1 \"b\":2}",
        "{\"a\":1:2}", "{:1}"]),
    (NotJson, &["{a:1}", "{'a':1}", "{1:1}", "{null:1}", "{[]:1}", "{{}:1}", "{\"a\"\"b\":1}",
        "{\"a\":1,b}"]),
    // Grammar: what is not JSON although some parsers take it.
    (NotJson, &["'a'", "[1]//", "/**/[]", "[/**/1]", "# a\n1", "undefined", "NaN", "Infinity", "-Infinity",
        "[1];", "`a`"]),
    // Names.
    (NotJson, &["tru", "truth", "nul", "nullnull", "True", "FALSE", "Null", "t", "f", "n", "fals3", "[nul]",
        "true false"]),
    // White space.
    (Json, &[" {} ", "\t[\r\n]\n", " 1", "1 ", "\n\n\"a\"\r", "{ \"a\" : 1 , \"b\" : [ ] }"]),
    (NotJson, &["", " ", "\r\n\t ", "\u{b}{}", "\u{c}{}", "\u{a0}{}", "{}\u{85}", "[\u{2028}1]", "\u{3000}1",
        "{\u{200b}}"]),
    (NotJson, &["t rue", "1 2", "- 1", "1. 0", "1 .0", "1e 5", "\"\\ n\"", "\"\\u 0041\""]),
    // Several values.
    (NotJson, &["{}{}", "{} {}", "{},{}", "{}\n{}", "1,2", "\"a\"\"b\"", "nulltrue", "[][]", "{}x", "{}\0"]),
    // Numbers.
    (Json, &["-0", "0.0", "-0.0", "10", "1.00", "1e5", "1E5", "1e+5", "1E-5", "0e0", "0.1e1", "1e05",
        "1.000000000000000000001"]),
    (Json, &["1e400", "-1e400", "1e-400", "1e99999999999999999999", "18446744073709551616",
        "-9223372036854775809", "0e999999"]),
    (NotJson, &["-", "+", "+1", "--1", "-+1", "01", "-01", "00", "007", "0x1F", "0b1", "1_000", "1,000.0",
        "1a", "1-", "-a"]),
    (NotJson, &[".5", "-.5", "1.", "1..2", "1.2.3", "1.e5", "1e", "1e+", "1e-", "1e5.5", "1ee5", "1e+-5",
        "1E", "0e", "1.5e", "e5"]),
    (NotJson, &["\u{ff11}", "[1\u{661}]", "1\u{0}", "0\u{b7}5", "\u{2212}1", "[-]", "[1.]", "[1e]", "[01]",
        "{\"a\":-}"]),
    // Strings and escapes.
    (Json, &["\"a\"", "\"\\\"\"", "\"\\\\\"", "\"\\/\"", "\"/\"", "\"\\b\\f\\n\\r\\t\"", "\"\\u0041\"",
        "\"\\uaBcD\"", "\"'\""]),
    (Json, &["\"\\u0000\"", "\"\\u001f\"", "\"\\\\u0041\"", "\"\\\\\\\"\"", "\"\u{7f}\"", "\"{[:,]}\"",
        "\"\\u2028\u{2028}\""]),
    (NotJson, &["\"", "\"a", "a\"", "\"\\\"", "\"\\", "\"\\x41\"", "\"\\a\"", "\"\\0\"", "\"\\'\"",
        "\"\\U0041\"", "\"\\N\"", "\\n"]),
    (NotJson, &["\"\\u\"", "\"\\u1\"", "\"\\u12\"", "\"\\u123\"", "\"\\u123g\"", "\"\\u{41}\"", "\"\\u+041\"",
        "\"\\u-041\"", "\"\\uD83D\\u\""]),
    (NotJson, &["\"\\é\"", "\"\\u00é\"", "\"\\\u{1F600}\"", "\"\\\n\"", "\"\\u004\n\"", "\"a\"b\"",
        "[\"a\", \"b]", "{\"a:1}"]),
    // Surrogates in escapes: halves are legal text.
    (Json, &["\"\\ud83d\\ude00\"", "\"\\uD83D\"", "\"\\uDE00\"", "\"\\uDE00\\uD83D\"", "\"\\uD83D\\uD83D\"",
        "\"\\uD83Dx\"", "\"\\uD83D\\n\""]),
    (Json, &["{\"\\uD83D\":1}", "{\"resourceType\":\"\\uD83D\\u0041\"}", "\"\\udbff\\udfff\"",
        "\"\\ud800\\ud800\\udc00\""]),
    // Control characters and NUL.
    (NotJson, &["\"\u{0}\"", "\"\t\"", "\"\n\"", "\"\r\"", "\"\u{1f}\"", "\"\u{1}\"", "{\"a\u{0}\":1}",
        "\u{0}", "[\u{0}]", "{}\u{0}", "\u{1b}[0m"]),
    // Byte order marks.
    (NotJson, &["\u{feff}{}", "\u{feff}", "{}\u{feff}", "{\u{feff}}", " \u{feff}{}", "\u{feff}\u{feff}{}",
        "\u{fffe}{}"]),
    (Json, &["\"\u{feff}\"", "{\"\u{feff}\":\"\u{feff}\"}"]),
    // Duplicate and odd keys.
    (Json, &["{\"a\":1,\"a\":2}", "{\"\":1,\"\":2}", "{\"id\":\"1\",\"\\u0069d\":[]}",
        "{\"resourceType\":1,\"resourceType\":\"A\"}"]),
    (Json, &["{\"\\u0000\":1}", "{\"a.b\":{\"$\":{}}}", "{\"__proto__\":null}",
        "{\"\u{1F600}\":{\"é\":\"患\"}}"]),
];

/// Texts that are not UTF-8, or were not meant to be.
#[rustfmt::skip]
const BYTES: &[(Verdict, &[&[u8]])] = &[
    (NotJson, &[b"\xFF", b"\x80", b"[\xFF]", b"{}\xFF", b"\"\xFF\"", b"\"\xFE\"", b"\"\x80\"", b"\"a\xBFb\"",
        b"{\"\xC3\":1}"]),
    // Overlong, beyond the last character, and halves of surrogate pairs.
    (NotJson, &[b"\"\xC0\x80\"", b"\"\xC0\xAF\"", b"\"\xC1\xBF\"", b"\"\xE0\x80\x80\"", b"\"\xE0\x9F\xBF\"",
        b"\"\xF0\x8F\xBF\xBF\""]),
    (NotJson, &[b"\"\xF4\x90\x80\x80\"", b"\"\xF5\x80\x80\x80\"", b"\"\xF8\x88\x80\x80\x80\"",
        b"\"\xED\xA0\x80\"", b"\"\xED\xBF\xBF\""]),
    (Json, &[b"\"\xC2\x80\"", b"\"\xDF\xBF\"", b"\"\xE0\xA0\x80\"", b"\"\xED\x9F\xBF\"", b"\"\xEF\xBF\xBF\"",
        b"\"\xF4\x8F\xBF\xBF\""]),
    // Cut off, and cut off by something else.
    (NotJson, &[b"\"\xC3", b"\"\xE2\x82", b"\"\xF0\x9F\x98", b"\"\xC3\"", b"\"\xE2\x82\"",
        b"\"\xF0\x9F\x98\\n\"", b"\"\xC3\xC3\xA9\""]),
    // Latin-1, UTF-16 and UTF-32.
    (NotJson, &[b"\"caf\xE9\"", b"\xFF\xFE{\0}\0", b"\xFE\xFF\0{\0}", b"{\0}\0", b"\0{\0}", b"{\0\0\0}\0\0\0",
        b"\xEF\xBB", b"\xEF"]),
];

/// Texts that are made.
fn made() -> Vec<(Verdict, String)> {
    let nested = |levels: usize, open: &str, close: &str| open.repeat(levels) + "1" + &close.repeat(levels);
    let deep = Exception(Fault::TooDeep);
    vec![
        (Json, nested(MAX_DEPTH, "[", "]")),
        (deep, nested(MAX_DEPTH + 1, "[", "]")),
        (deep, nested(100_000, "[", "]")),
        (Json, nested(MAX_DEPTH, "{\"a\":", "}")),
        (deep, nested(MAX_DEPTH + 1, "{\"a\":", "}")),
        (Json, nested(MAX_DEPTH / 2, "[{\"a\":", "}]")),
        (deep, nested(MAX_DEPTH / 2 + 1, "[{\"a\":", "}]")),
        (Json, nested(MAX_DEPTH - 1, "[ ", " ]").replace('1', "[]")),
        (deep, nested(MAX_DEPTH, "[", "]").replace('1', "[]")),
        (NotJson, nested(64, "[", "]") + "]"),
        (NotJson, nested(64, "[", "}")),
        (NotJson, "[".repeat(MAX_DEPTH)),
        (Json, format!("[{}]", vec!["[[[{\"a\":[]}]]]"; 500].join(","))),
        (Json, format!("-{}.{}E+{}", "9".repeat(3000), "0".repeat(3000), "9".repeat(3000))),
        (NotJson, format!("{}.", "9".repeat(3000))),
        (NotJson, format!("0{}", "0".repeat(3000))),
        (Json, format!("\"{}\"", r"\ud83d".repeat(700))),
        (Json, format!("\"{}\"", "\\\\".repeat(2000))),
        (NotJson, format!("\"{}\"", "\\".repeat(4001))),
        (Json, format!("{{{}\"a\":1}}", "\"a\":1,".repeat(1000))),
        (NotJson, format!("{{{}}}", "\"a\":1,".repeat(1000))),
        (Json, format!("{}[]{}", " ".repeat(3000), "\n".repeat(3000))),
    ]
}

fn torture_set() -> Vec<(Verdict, Vec<u8>)> {
    let mut set: Vec<(Verdict, Vec<u8>)> = Vec::new();
    for (verdict, texts) in TEXTS {
        set.extend(texts.iter().map(|text| (*verdict, text.as_bytes().to_vec())));
    }
    for (verdict, texts) in BYTES {
        set.extend(texts.iter().map(|text| (*verdict, text.to_vec())));
    }
    set.extend(made().into_iter().map(|(verdict, text)| (verdict, text.into_bytes())));
    set
}

/// The text as the value of a record that would be delivered.
fn within_a_record(text: &[u8]) -> Vec<u8> {
    [br#"{"id":"1","x":"#, text, br#","resourceType":"Basic"}"#].concat()
}

fn serde_json_takes(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok()
}

#[test]
fn the_verdict_is_the_one_of_serde_json_but_for_the_named_exceptions() {
    for (verdict, text) in torture_set() {
        let shown = format!("{verdict:?}: {:.200}", text.escape_ascii().to_string());
        assert_eq!(serde_json_takes(&text), verdict != NotJson, "serde_json, {shown}");
        assert_eq!(shape(&text) == Shape::Complete, verdict == Json, "{shown}");
        if let Exception(fault) = verdict {
            assert_eq!(envelope(&text, Proof::Full).map_err(|bad| bad.fault), Err(fault), "{shown}");
        }
    }
}

#[test]
fn it_is_the_same_within_a_record() {
    for (_, text) in torture_set() {
        let record = within_a_record(&text);
        let shown = format!("{:.200}", text.escape_ascii().to_string());
        match envelope(&record, Proof::Full).map_err(|bad| bad.fault) {
            // The record adds a level; and what is too deep may be broken further on.
            Err(Fault::TooDeep) => assert!(text.len() >= MAX_DEPTH, "{shown}"),
            found => assert_eq!(found.is_ok(), serde_json_takes(&record), "{shown}"),
        }
    }
}

#[test]
fn it_is_the_same_in_fragments() {
    for (_, text) in torture_set() {
        cuts::check_everywhere(&text);
        cuts::check_everywhere(&within_a_record(&text));
    }
}

#[test]
fn it_is_the_same_for_every_beginning() {
    for (_, text) in torture_set().into_iter().filter(|(_, text)| text.len() < 100) {
        for end in 0..text.len() {
            let beginning = &text[..end];
            let shown = beginning.escape_ascii().to_string();
            assert_eq!(shape(beginning) == Shape::Complete, serde_json_takes(beginning), "{shown}");
            cuts::check_everywhere(beginning);
        }
    }
}
