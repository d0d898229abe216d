//! Records that come in fragments: the outcome of the scanner is that of `envelope` for the whole record, and it holds next
//! to nothing of it.

use fhirline_core::Fault;
use fhirline_parse::{Id, MAX_DEPTH, MAX_ID_BYTES, MAX_TYPE_BYTES, Proof, ScannedEnvelope, Scanner};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::value::RawValue;

use generated::{apply, byte, edit, nested, record, value};

#[path = "support/cuts.rs"]
mod cuts;
#[path = "support/generated.rs"]
mod generated;

const MIB: usize = 1 << 20;

/// A scanner that was given the text in fragments of that size, and the most that it ever held.
fn scanned(text: &[u8], size: usize) -> (Scanner, usize) {
    let (mut scanner, mut held) = (Scanner::new(Proof::Full), 0);
    for fragment in text.chunks(size) {
        scanner.push(fragment);
        held = held.max(scanner.held_bytes());
    }
    (scanner, held)
}

fn found(text: &str) -> ScannedEnvelope {
    cuts::check_everywhere(text.as_bytes());
    scanned(text.as_bytes(), 1).0.finish().expect("well-formed")
}

/// Checks a text cut at these places against `envelope`, and its verdict against `serde_json`.
fn check(text: &[u8], places: &[Index]) -> Result<(), TestCaseError> {
    let places: Vec<usize> = places.iter().map(|place| place.index(text.len() + 1)).collect();
    cuts::check(text, &places);
    let (scanner, _) = scanned(text, 1 + places.first().copied().unwrap_or_default());
    let outcome = scanner.finish().map_err(|bad| bad.fault);
    let is_json = match outcome {
        Ok(_) => true,
        Err(fault) => is_about_content(fault),
    };
    prop_assert_eq!(is_json, serde_json::from_slice::<&RawValue>(text).is_ok());
    Ok(())
}

fn is_about_content(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::NotAnObject | Fault::NoResourceType | Fault::ResourceTypeNotString | Fault::ResourceTypeEmpty
    )
}

/// Places to cut at.
fn places() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..12)
}

/// An object of pieces that matter to keys, escapes, surrogates and UTF-8, in any order.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 30] = [
        b"resource",
        b"Type",
        b"id",
        b"\\u0054ype",
        b"\\u0069",
        b"d",
        b"\\ud83d",
        b"\\uDE00",
        b"\\ud8",
        b"\\u",
        b"\\",
        b"\\n",
        b"\\\"",
        b"\"",
        b"\":\"",
        b"\",\"",
        b"\":[",
        b"],\"",
        b"\":{\"",
        b"\"},\"",
        b"\":-1.5e7,\"",
        b"\":null,\"",
        b"\xC3",
        b"\xA9",
        b"\xF0\x9F",
        b"\x98\x80",
        b"\xED\xA0\x80",
        b"\xFF",
        b" ",
        b"\t",
    ];
    let piece = prop_oneof![2 => select(pieces.to_vec()), 1 => select(pieces[..9].to_vec())];
    let keys = vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    (keys.clone(), keys, any::<bool>()).prop_map(|(first, second, known)| {
        let key: &[u8] = if known { b"resourceType" } else { b"" };
        [b"{\"", key, b"\":\"", &first, b"\",\"i\\u0064\":\"", &second, b"\"}"].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes(text in vec(any::<u8>(), 0..200), places in places()) {
        check(&text, &places)?;
    }

    #[test]
    fn bytes_that_look_like_json(text in vec(byte(), 0..12), places in places()) {
        check(&text, &places)?;
        cuts::check_everywhere(&text);
    }

    #[test]
    fn strings_of_pieces_that_matter(text in soup(), places in places()) {
        check(&text, &places)?;
        cuts::check_everywhere(&text);
    }

    #[test]
    fn generated_json(text in value(), places in places()) {
        check(text.as_bytes(), &places)?;
    }

    #[test]
    fn generated_records(text in record(), places in places()) {
        check(text.as_bytes(), &places)?;
    }

    #[test]
    fn edited_records(text in record(), edits in vec(edit(), 1..4), places in places()) {
        let mut text = text.into_bytes();
        for edit in &edits {
            apply(&mut text, edit);
            check(&text, &places)?;
        }
    }

    #[test]
    fn white_space_and_what_looks_like_it(
        text in record(),
        at in any::<Index>(),
        blank in "[ \t\r\n]{1,4}",
        places in places(),
    ) {
        // Often within a character.
        let cut = &text.as_bytes()[..at.index(text.len() + 1)];
        let (text, blank, mark) = (text.as_bytes(), blank.as_bytes(), &b"\xEF\xBB\xBF"[..]);
        for parts in [[blank, text, b""], [cut, blank, b""], [mark, text, blank], [blank, mark, text], [blank; 3]] {
            check(&parts.concat(), &places)?;
        }
    }

    #[test]
    fn deep_nesting(kinds in vec(any::<bool>(), 1..300), edits in vec(edit(), 0..3), places in places()) {
        let mut text = nested(&kinds).into_bytes();
        edits.iter().for_each(|edit| apply(&mut text, edit));
        check(&text, &places)?;
    }
}

proptest! {
    // Hundreds of records in each.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_beginning_of_a_record(text in record(), places in places()) {
        for end in 0..text.len() {
            check(&text.as_bytes()[..end], &places)?;
        }
    }
}

#[test]
fn the_limit_of_nesting_is_the_same_within_values() {
    for depth in MAX_DEPTH - 3..=MAX_DEPTH + 1 {
        for objects in [0, 1, 2, 3] {
            // Two are open around them, and one value has ended there: what follows is walked over where it can be.
            let kinds: Vec<bool> = (2..depth).map(|level| objects > 0 && level % objects == 0).collect();
            let deep = nested(&kinds);
            let text = format!(r#"{{"a":[0,{deep},[1],{deep}],"resourceType":"A"}}"#);
            cuts::check_everywhere(text.as_bytes());
            let fault = scanned(text.as_bytes(), 4096).0.finish().map_err(|bad| bad.fault);
            assert_eq!(fault.is_err_and(|fault| fault == Fault::TooDeep), depth > MAX_DEPTH);
        }
    }
}

#[test]
fn what_is_wrong_within_values_is_found_where_it_stands() {
    let wrong: [&[u8]; 36] = [
        b"\"\r\"",
        b"\"\n\"",
        b"\"a\tb\"",
        b"\"\0\"",
        b"\"\x1F\"",
        b"\"\xFF\"",
        b"\"\xC3\"",
        b"\"\xED\xA0\x80\"",
        b"\xC3\xA9",
        b"{\"\xC3\":1}",
        b"{\"\t\":1}",
        b"\"\\x\"",
        b"\"\\u12g4\"",
        b"01",
        b"1.",
        b"-",
        b"1e+",
        b"+1",
        b".5",
        b"1 2",
        b"tru",
        b"nulL",
        b"[1,]",
        b"[,1]",
        b"[1}",
        b"{\"a\":1,}",
        b"{,}",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\" 1}",
        b"{1:1}",
        b"{\"a\":1]",
        b"]",
        b"}",
        b":",
        b"\x0B",
    ];
    let sound = r#"{"b" : [ "x", {"c":"é\n"}, -1.5e7, [], {} ]}"#.as_bytes();
    for wrong in wrong {
        for (before, behind) in [(&b"0,"[..], &b""[..]), (b"{\"k\":[0,", b"]}"), (b"0,\r\n\t  ", b"\r\n\t  ")]
        {
            let text =
                [b"{\"a\":[", sound, b",", before, wrong, behind, b",", sound, b"],\"resourceType\":\"A\"}"]
                    .concat();
            assert!(serde_json::from_slice::<&RawValue>(&text).is_err());
            cuts::check_everywhere(&text);
        }
    }
}

#[test]
fn every_cut_within_values_that_are_walked_over() {
    let values = "0,[ ],[ [] , {} ],{\"a\" : [ 1 , 20.5e+1 ]},{ } ,true,\"\\ud83d\\ude00é\",{\"k\":{\"l\":[null ,false]}},-0 ";
    for (front, back) in [("{\"a\":[", "],"), ("{\"a\":{\"b\":[", "]},"), ("{\"id\":[[", "]],\"id\":\"x\",")]
    {
        let text = format!("{front}{values}{back}\"resourceType\":\"A\"}}");
        assert_eq!(found(&text).resource_type, "A");
        for first in 0..text.len() {
            for second in first..text.len() {
                cuts::check(text.as_bytes(), &[first, second]);
            }
        }
    }
}

/// A text of that length in which every block of 64 bytes has its own characters.
fn long_text(bytes: usize, alphabet: &str) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let mut text: String =
        (0..).map(|place: usize| alphabet[place * place % 8191 % alphabet.len()]).take(bytes).collect();
    text.truncate(text.floor_char_boundary(bytes));
    text
}

#[test]
fn a_string_of_three_mebibytes() {
    for alphabet in ["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "aé患\u{1F600}b"] {
        let data = long_text(3 * MIB, alphabet);
        let sound = format!(r#"{{"data":"{data}","id":"b1","resourceType":"Binary"}}"#);
        let mut broken = sound.clone().into_bytes();
        broken[2 * MIB..][..2].copy_from_slice(b"\xE6\x82");
        let cut = sound.as_bytes()[..sound.len() - 33].to_vec();
        for text in [sound.into_bytes(), broken, cut] {
            let expected = cuts::whole(&text, Proof::Full);
            for size in [61, 997, 4099, 16_383, 16_385, 65_521, MIB, 4 * MIB] {
                let (scanner, held) = scanned(&text, size);
                assert!(held <= Scanner::MAX_HELD_BYTES);
                assert_eq!(scanner.finish(), expected, "by {size}");
            }
        }
    }
}

#[test]
fn a_long_type_is_told_by_its_beginning_and_its_length() {
    let typed = |name: &str| found(&format!(r#"{{"resourceType":"{name}"}}"#));
    let longest = "T".repeat(MAX_TYPE_BYTES);
    for (name, kept) in [
        (longest.clone(), longest.clone()),
        (format!("{longest}x"), longest.clone()),
        // No character is cut, and nothing is kept behind one that was left out.
        (format!("{}患x", &longest[2..]), longest[2..].to_owned()),
        (format!("{}é患", &longest[2..]), format!("{}é", &longest[2..])),
    ] {
        let found = typed(&name);
        assert_eq!((found.resource_type, found.resource_type_bytes), (kept, name.len() as u64));
    }
    let escaped = typed(&r"\u0041".repeat(MAX_TYPE_BYTES + 1));
    assert_eq!((escaped.resource_type.len(), escaped.resource_type_bytes), (1024, 1025));
    // What is kept of a name that is too long never looks like a type.
    assert!(fhirline_core::ResourceType::new(&typed(&format!("{longest}x")).resource_type).is_none());
}

#[test]
fn ids_are_kept_up_to_their_limit() {
    let id = |id: &str| found(&format!(r#"{{"id":"{id}","resourceType":"A"}}"#)).id;
    let longest = "x".repeat(MAX_ID_BYTES - 2);
    assert_eq!(id(&format!("{longest}é")), Some(Id::Text(format!("{longest}é").into())));
    assert_eq!(id(&format!("{longest}患")), Some(Id::TooLong(MAX_ID_BYTES + 1)));
    assert_eq!(id(&format!("{longest}患y")), Some(Id::TooLong(MAX_ID_BYTES + 2)));
    assert_eq!(id(&format!(r"{longest}\ud83d")), Some(Id::TooLong(MAX_ID_BYTES + 1)));
    assert_eq!(id(&format!(r"{longest}\u00e9")), Some(Id::Text(format!("{longest}é").into())));
}

#[test]
fn keys_are_compared_without_being_kept() {
    for key in ["resourceTyp", "resourceTypee", "resourceType\\u0000", "i", "idd", "\\ud83did", "Id", ""] {
        let text = format!(r#"{{"{key}":"X","resourceType":"A"}}"#);
        let found = found(&text);
        assert_eq!((found.resource_type.as_str(), found.id, found.duplicate_keys), ("A", None, 0), "{key}");
    }
    let found = found(r#"{"resource\u0054ype":"B","\u0069\u0064":"1","id":"\u0032","resourceType":"C"}"#);
    assert_eq!((found.resource_type.as_str(), found.id), ("C", Some(Id::Text("2".into()))));
    assert_eq!(found.duplicate_keys, 2);
}

#[test]
fn nothing_makes_it_hold_much() {
    let filler = "k".repeat(MIB);
    let escaped = r"\u006b".repeat(MIB / 4);
    let keys: String = (0..1_000_000).map(|number| format!("\"k{number}\":{number},")).collect();
    let same: String = (0..100_000).map(|number| format!("\"id\":\"{number:2000}\",")).take(500).collect();
    let typed = r#""resourceType":"A""#;
    for (name, text) in [
        ("a long key", format!(r#"{{"{filler}":1,{typed}}}"#)),
        ("a long key with escapes", format!(r#"{{"{escaped}":1,{typed}}}"#)),
        ("a long key that begins as one that counts", format!(r#"{{"resourceType{filler}":1,{typed}}}"#)),
        ("a long id", format!(r#"{{"id":"{filler}",{typed}}}"#)),
        ("a long id with escapes", format!(r#"{{"id":"{escaped}",{typed}}}"#)),
        ("a long type", format!(r#"{{"resourceType":"{filler}"}}"#)),
        ("a long type and a long id", format!(r#"{{"resourceType":"{escaped}","id":"{filler}"}}"#)),
        ("many ids", format!("{{{same}{typed}}}")),
        ("many keys", format!("{{{keys}{typed}}}")),
        ("a long number", format!(r#"{{"a":{},{typed}}}"#, "7".repeat(MIB))),
        ("much white space", format!(r#"{}{{{typed}}}{}"#, " ".repeat(MIB), " ".repeat(MIB))),
        ("much nesting", format!("{{\"a\":{}1{},{typed}}}", "[".repeat(999), "]".repeat(999))),
        ("too much nesting", "[".repeat(MIB)),
        ("nothing sound", "]".repeat(MIB)),
        ("nothing", " ".repeat(MIB)),
    ] {
        let expected = cuts::whole(text.as_bytes(), Proof::Full);
        for size in [7, 4096, MIB] {
            let (scanner, held) = scanned(text.as_bytes(), size);
            assert!(held <= Scanner::MAX_HELD_BYTES, "{name}: {held} bytes");
            assert_eq!(scanner.finish(), expected, "{name}");
        }
    }
    const { assert!(Scanner::MAX_HELD_BYTES < 4096) };
}

#[test]
fn a_line_is_judged_without_the_white_space_around_it() {
    let line = |text: &[u8]| {
        cuts::check_everywhere(text);
        let (scanner, _) = scanned(text, 3);
        scanner.finish_line().map(|found| found.value).map_err(|bad| (bad.fault, bad.at))
    };
    assert_eq!(line(b" {\"resourceType\":\"A\"}\t\r"), Ok(1..21));
    assert_eq!(line(b"  \xEF\xBB\xBF{}"), Err((Fault::ByteOrderMark, 2)));
    assert_eq!(line(b"  [] "), Err((Fault::NotAnObject, 2)));
    assert_eq!(line(b" {\"a\":\"b\t \r"), Err((Fault::Incomplete, 8)));
    assert_eq!(line(b" {\"a\":\"b\t x"), Err((Fault::NotJson, 8)));
    assert_eq!(line(b" {\"a\":tru  "), Err((Fault::Incomplete, 9)));
    assert_eq!(line(b" {\"a\":\"\xC3 "), Err((Fault::Incomplete, 8)));
    assert_eq!(line(b" {\"a\":\"\xC3 x"), Err((Fault::NotUtf8, 7)));
    assert_eq!(line(b" \t "), Err((Fault::Incomplete, 0)));
}

#[test]
fn debug_output_holds_no_byte_of_the_record() {
    let record = r#"{"CANARY":"CANARY","resourceType":"CANARY-type","id":"CANARY-id","x":"CANARY"}"#;
    let mut scanner = Scanner::new(Proof::Full);
    let mut shown = String::new();
    for byte in record.as_bytes() {
        scanner.push(&[*byte]);
        shown += &format!("{scanner:?} {scanner:#?}");
    }
    let found = scanner.finish().expect("well-formed");
    shown += &format!("{found:?} {found:#?}");
    assert!(!shown.contains("CANARY") && !shown.contains("67, 65, 78"), "{shown}");
    assert!(shown.contains("bytes: 78") && shown.contains("9 bytes"), "{shown}");
}
