//! Generated JSON, sound and broken.

use proptest::collection::vec;
use proptest::prelude::*;

/// White space between tokens: mostly none.
fn blank() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t ")]
}

/// A string literal with its quotes: without lone surrogates, which `serde_json` does not decode.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9 /:.-]{0,40}",
        1 => "[\u{80}-\u{10FFFF}]{0,3}".prop_map(|text| text.replace(['\u{FEFF}'], "")),
        1 => prop::sample::select(vec![r"\n", r#"\""#, r"\\", r"\/", r"\u00e9", r"\uD83D\uDE00", r"\b", "\u{7f}"])
            .prop_map(str::to_owned),
    ];
    vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A key: often one that matters, sometimes in disguise.
fn key() -> impl Strategy<Value = String> {
    let known =
        [r#""resourceType""#, r#""id""#, r#""resource\u0054ype""#, r#""\u0069\u0064""#, r#""ID""#, r#""""#];
    prop_oneof![prop::sample::select(known.map(str::to_owned).to_vec()), string()]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => string(),
        1 => r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        1 => prop::sample::select(vec!["true", "false", "null", "{}", "[]"]).prop_map(str::to_owned),
    ]
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (blank(), key(), blank(), blank(), value, blank())
        .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
    vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// Any JSON value, nested a little.
pub(crate) fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(5, 64, 6, |inner| {
        let element = (blank(), inner.clone(), blank()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        prop_oneof![
            object(inner),
            vec(element, 0..6).prop_map(|elements| format!("[{}]", elements.join(","))),
        ]
    })
}

/// A record as exports hold them, around generated values.
pub(crate) fn record() -> impl Strategy<Value = String> {
    (string(), value(), value(), blank()).prop_map(|(id, name, contained, blank)| {
        format!(
            "{blank}{{\"contained\":[{contained}],\"id\":{id},\"meta\":{{\"versionId\":\"1\",\"tag\":[]}},\"name\":\
             {name},\"valueQuantity\":{{\"value\":1.00,\"unit\":\"m\\u00b2\"}},\"resourceType\":\"Observation\"}}{blank}"
        )
    })
}

/// A change of one place.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Replace(prop::sample::Index, u8),
    FlipBit(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Delete(prop::sample::Index),
    Truncate(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
}

/// A byte that is likely to matter.
pub(crate) fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![3 => prop::sample::select(b"{}[]:,\"\\ \t\r\n\0\x1F0-+.eEutfn/x\x7F\xC3\xEF\xFF".to_vec()), 1 => any::<u8>()]
}

/// Any change.
pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        (place(), byte()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (place(), 0..8u8).prop_map(|(at, bit)| Edit::FlipBit(at, bit)),
        (place(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        place().prop_map(Edit::Delete),
        place().prop_map(Edit::Truncate),
        (place(), place()).prop_map(|(from, to)| Edit::Repeat(from, to)),
    ]
}

/// Changes the text.
pub(crate) fn apply(text: &mut Vec<u8>, edit: &Edit) {
    if text.is_empty() {
        return;
    }
    let length = text.len();
    match edit {
        Edit::Replace(at, byte) => text[at.index(length)] = *byte,
        Edit::FlipBit(at, bit) => text[at.index(length)] ^= 1 << bit,
        Edit::Insert(at, byte) => text.insert(at.index(length), *byte),
        Edit::Delete(at) => drop(text.remove(at.index(length))),
        Edit::Truncate(at) => text.truncate(at.index(length)),
        Edit::Repeat(from, to) => {
            let (from, to) = (from.index(length), to.index(length));
            let piece = text[from.min(to)..from.max(to)].to_vec();
            text.splice(to..to, piece);
        }
    }
}

/// Brackets that match, of random kinds, around nothing.
pub(crate) fn nested(kinds: &[bool]) -> String {
    let mut text: String = kinds.iter().map(|&object| if object { "{\"a\":" } else { "[" }).collect();
    text.push('0');
    text.extend(kinds.iter().rev().map(|&object| if object { '}' } else { ']' }));
    text
}
