//! Sources with Bundles, arrays and lists of providers in them, written in every way.

use proptest::prelude::*;
use serde_json::Value;

use super::Text;

/// Resources with whatever could be taken for something else.
const RESOURCES: [&str; 12] = [
    r#"{"resourceType":"Patient","id":"1","multipleBirthInteger":1.00,"x":[1E2,-0.0,12345678901234567890.5]}"#,
    r#"{"id":"2","text":"}],{\"resource\":\\","resourceType":"Observation"}"#,
    r#"{"resourceType":"List","entry":[{"item":{"reference":"Patient/1"}},{"resource":{"resourceType":"Goal"}}]}"#,
    r#"{"entry":[{"resource":{"resourceType":"Goal"}}],"resourceType":"List","type":"collection"}"#,
    r#"{"resourceType":"Observation","contained":[{"resourceType":"Bundle","type":"batch","entry":[]}]}"#,
    r#"{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Composition"}}]}"#,
    r#"{"resourceType":"Parameters","parameter":[{"name":"p","resource":{"resourceType":"Bundle"}}]}"#,
    r#"{"type":"collection","resourceType":"Basic","providers":[]}"#,
    r#"{"resourceType":"Goal","note":"a [ b { c \u007D \ud83d\ude00 \/ ","empty":{},"none":[]}"#,
    r#"{"resourceType":"Goal","resourceType":"Patient","id":1,"id":2}"#,
    r#"{"note":"no type"}"#,
    r#"{"resourceType":"odd/type","list":[[],[[]],{}]}"#,
];

const TYPES: [&str; 13] = [
    "collection",
    "searchset",
    "batch",
    "transaction",
    "history",
    "batch-response",
    "transaction-response",
    "document",
    "message",
    "subscription-notification",
    "unheard-of",
    "Collection",
    "",
];

/// Members of a Bundle or an entry beside those that matter.
const BUNDLE_MEMBERS: [&str; 5] = [
    r#""id":"b""#,
    r#""total":2.0"#,
    r#""link":[{"relation":"self","url":"https://example.org/?entry=[]"}]"#,
    r#""signature":{"data":"e30="}"#,
    r#""meta":{"entry":[{"resource":{"resourceType":"Goal"}}],"type":"document"}"#,
];
const ENTRY_MEMBERS: [&str; 4] = [
    r#""fullUrl":"urn:uuid:c0ffee""#,
    r#""search":{"mode":"match","score":1.0}"#,
    r#""request":{"method":"PUT","url":"Patient/1"}"#,
    r#""link":[{"resource":{"resourceType":"Goal"}}]"#,
];

fn resource() -> impl Strategy<Value = String> {
    let long = (200_usize..3000).prop_map(|bytes| {
        format!(r#"{{"data":"{}","resourceType":"Binary","x":[{{}}]}}"#, "A b".repeat(bytes / 3))
    });
    prop_oneof![9 => prop::sample::select(&RESOURCES[..]).prop_map(str::to_owned), 1 => long]
}

/// An object of these members, some of them, in any order.
fn object(members: Vec<String>, more: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::subsequence(more, 0..=more.len())
        .prop_map(move |more| [members.clone(), more.into_iter().map(str::to_owned).collect()].concat())
        .prop_shuffle()
        .prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn entry() -> impl Strategy<Value = String> {
    let resources = prop_oneof![
        8 => resource().prop_map(|one| vec![one]),
        2 => Just(Vec::new()),
        1 => bundle_of(&[format!(r#"{{"resource":{}}}"#, RESOURCES[0])]).prop_map(|nested| vec![nested]),
        1 => prop::collection::vec(resource(), 2),
    ];
    let named = |resources: Vec<String>| resources.iter().map(|one| format!(r#""resource":{one}"#)).collect();
    let entry = resources.prop_flat_map(move |resources| object(named(resources), &ENTRY_MEMBERS));
    prop_oneof![20 => entry, 1 => Just("null".to_owned()), 1 => Just("[{}]".to_owned())]
}

/// A Bundle of these entries; its type anywhere, or missing.
fn bundle_of(entries: &[String]) -> impl Strategy<Value = String> + use<> {
    let kind = prop_oneof![6 => Just("collection"), 4 => prop::sample::select(&TYPES[..])];
    let list = prop_oneof![9 => Just(format!("[{}]", entries.join(","))), 1 => prop::sample::select(&["null", "{}"][..]).prop_map(str::to_owned)];
    (prop::option::weighted(0.9, kind), list).prop_flat_map(|(kind, list)| {
        let mut members = vec![r#""resourceType":"Bundle""#.to_owned(), format!(r#""entry":{list}"#)];
        members.extend(kind.map(|kind| format!(r#""type":"{kind}""#)));
        object(members, &BUNDLE_MEMBERS)
    })
}

fn bundle() -> impl Strategy<Value = String> {
    prop::collection::vec(entry(), 0..6).prop_flat_map(|entries| bundle_of(&entries))
}

fn providers() -> impl Strategy<Value = String> {
    prop::collection::vec(resource(), 0..4).prop_map(|resources| {
        let list = resources.join(",");
        format!(r#"{{"providers":[{{"name":"A","fhir":{{"x":[{list}],"y":null}}}},{{"fhir":{{"z":[{list}]}},"name":"B"}}],"n":1}}"#)
    })
}

fn value() -> impl Strategy<Value = String> {
    let in_array = prop_oneof![2 => bundle(), 3 => resource(), 1 => Just("[1]".to_owned())];
    let array = prop::collection::vec(in_array, 0..5).prop_map(|values| format!("[{}]", values.join(",")));
    prop_oneof![6 => bundle(), 3 => resource(), 2 => array, 1 => providers()]
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
enum Style {
    Minified,
    Spaced,
    /// As it stands, with a line end behind every token.
    Lines(&'static str),
    /// By `serde_json`, which also sorts the keys.
    Pretty,
    Sorted,
}

fn styled(value: &str, style: Style) -> String {
    let tree = || serde_json::from_str::<Value>(value).expect("JSON");
    match style {
        Style::Minified => value.to_owned(),
        Style::Spaced => between_tokens(value, " \t"),
        Style::Lines(line_end) => between_tokens(value, line_end),
        Style::Pretty => serde_json::to_string_pretty(&tree()).expect("JSON"),
        Style::Sorted => tree().to_string(),
    }
}

/// With so much white space behind every bracket, colon and comma.
fn between_tokens(value: &str, space: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::new(), false, false);
    for character in value.chars() {
        out.push(character);
        in_string = if character == '"' && !escaped { !in_string } else { in_string };
        escaped = in_string && character == '\\' && !escaped;
        if !in_string && matches!(character, '{' | '[' | ',' | ':' | '}' | ']') {
            out.push_str(space);
        }
    }
    out
}

fn styles() -> impl Strategy<Value = Style> {
    prop::sample::select(vec![
        Style::Minified,
        Style::Spaced,
        Style::Lines("\n"),
        Style::Lines("\r\n  "),
        Style::Pretty,
        Style::Sorted,
    ])
}

/// Values in a row, written in one style or in any.
pub(crate) fn sources() -> impl Strategy<Value = Text> {
    let separator = prop::sample::select(&["\n", "\r\n", "", " ", "\n\n \n"][..]);
    let styles = (styles(), prop::bool::weighted(0.8), prop::collection::vec(styles(), 5));
    let start = prop_oneof![5 => Just(""), 1 => Just("\u{FEFF}"), 1 => Just("\n \n")];
    (start, prop::collection::vec(value(), 1..6), styles, separator).prop_map(
        |(start, values, (style, is_one, any), separator)| {
            let style = |number: usize| if is_one { style } else { any[number % any.len()] };
            let texts = values.iter().enumerate().map(|(number, value)| styled(value, style(number)));
            Text((start.to_owned() + &texts.collect::<Vec<_>>().join(separator)).into_bytes())
        },
    )
}
