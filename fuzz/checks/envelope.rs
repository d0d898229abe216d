//! The envelope and the proof of any bytes agree with `serde_json`, and with the same bytes in fragments.
//!
//! Two things are known to differ, and nothing else: nesting ends at [`MAX_DEPTH`], and a lone surrogate in an escape,
//! which `serde_json` takes as bytes only, is U+FFFD.

use std::fmt;

use fhirline_core::{BadRecord, Fault};
use fhirline_parse::{Envelope, Id, MAX_DEPTH, MAX_ID_BYTES, Proof, Shape, envelope, shape};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::choices::{Choices, pieces};

#[path = "../../crates/parse/tests/support/cuts.rs"]
mod cuts;

/// Records up to this length are cut everywhere.
const SHORT: usize = 24;

pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let sizes = choices.cuts();
    let record = choices.rest();

    let found = envelope(record, Proof::Full);
    match &found {
        Ok(found) => check_found(record, found),
        Err(bad) => check_fault(record, *bad),
    }
    check_trusted(record, &found);
    let places = pieces(record, &sizes).scan(0, |place, piece| {
        *place += piece.len();
        Some(*place)
    });
    cuts::check(record, &places.collect::<Vec<_>>());
    if record.len() <= SHORT {
        cuts::check_everywhere(record);
    }
}

fn check_found(record: &[u8], found: &Envelope<'_>) {
    let top = top_level(record).expect("serde_json takes it as an object");
    assert_eq!(shape(record), Shape::Complete);
    assert_eq!(Some(&*found.resource_type), top.resource_type.as_deref());
    assert!(!found.resource_type.is_empty());
    assert_eq!(found.duplicate_keys, top.duplicate_keys);
    match &found.id {
        Some(Id::TooLong(bytes)) => {
            assert!(*bytes > MAX_ID_BYTES);
            assert_eq!(Some(*bytes), top.id.map(|id| id.len()));
        }
        Some(Id::Text(id)) => assert_eq!(Some(&**id), top.id.as_deref()),
        None => assert_eq!(None, top.id),
    }
}

fn check_fault(record: &[u8], bad: BadRecord) {
    let at = usize::try_from(bad.at).expect("a small record");
    assert!(at <= record.len());
    let is_json = serde_json::from_slice::<&RawValue>(record).is_ok();
    let before = shape(&record[..at]);
    match bad.fault {
        Fault::TooDeep => {
            assert_eq!(open_at(record, at), MAX_DEPTH + 1);
            assert_eq!(shape(record), Shape::Incomplete);
            return;
        }
        Fault::NotAnObject => assert!(top_level(record).is_none() && at == 0),
        Fault::NoResourceType => assert!(top_of(record).types == 0 && at == 0),
        Fault::ResourceTypeNotString => {
            assert!(top_of(record).types > 0 && top_of(record).resource_type.is_none() && record[at] != b'"');
        }
        Fault::ResourceTypeEmpty => {
            assert_eq!(top_of(record).resource_type.as_deref(), Some(""));
            assert!(record[at..].starts_with(b"\"\""));
        }
        Fault::ByteOrderMark => assert!(record.starts_with(b"\xEF\xBB\xBF") && at == 0),
        Fault::SeveralValues => assert_eq!(before, Shape::Complete),
        Fault::Incomplete => assert_eq!((at, shape(record)), (record.len(), Shape::Incomplete)),
        Fault::NotUtf8 => {
            assert_ne!(before, Shape::Illegal);
            assert_eq!(str::from_utf8(record).expect_err("not UTF-8").valid_up_to(), at);
        }
        Fault::NotJson => assert_ne!(before, Shape::Illegal),
        other => panic!("a record cannot be {other:?}"),
    }
    assert_eq!(is_json, is_about_content(bad.fault));
    assert_eq!(is_json, shape(record) == Shape::Complete);
}

/// Trust changes nothing for what would pass the proof.
fn check_trusted(record: &[u8], full: &Result<Envelope<'_>, BadRecord>) {
    let trusted = envelope(record, Proof::Trusted);
    match full {
        Ok(_) => assert!(&trusted == full),
        Err(bad) if is_about_content(bad.fault) => assert!(&trusted == full),
        Err(_) => assert!(!trusted.is_err_and(|bad| bad.fault == Fault::NotUtf8)),
    }
}

fn is_about_content(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::NotAnObject | Fault::NoResourceType | Fault::ResourceTypeNotString | Fault::ResourceTypeEmpty
    )
}

/// How many brackets are open behind the one at `at`.
fn open_at(record: &[u8], at: usize) -> usize {
    let (mut open, mut in_string, mut escaped) = (0, false, false);
    for &byte in &record[..=at] {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => open += 1,
            b'}' | b']' if !in_string => open -= 1,
            _ => {}
        }
    }
    open
}

/// The top level of an object as `serde_json` finds it.
#[derive(Default)]
struct TopLevel {
    types: u32,
    resource_type: Option<String>,
    id: Option<String>,
    duplicate_keys: u32,
}

fn top_of(record: &[u8]) -> TopLevel {
    top_level(record).expect("serde_json takes it as an object")
}

/// `None` if the record is no object, or not all of it.
fn top_level(record: &[u8]) -> Option<TopLevel> {
    let mut deserializer = serde_json::Deserializer::from_slice(record);
    let found = deserializer.deserialize_map(TopLevelVisitor).ok()?;
    deserializer.end().ok()?;
    str::from_utf8(record).ok()?;
    Some(found)
}

struct TopLevelVisitor;

impl<'de> Visitor<'de> for TopLevelVisitor {
    type Value = TopLevel;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopLevel, A::Error> {
        let (mut top, mut ids) = (TopLevel::default(), 0_u32);
        while let Some((key, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
            match text(key).as_deref() {
                Some("resourceType") => {
                    top.types += 1;
                    top.resource_type = text(value);
                }
                Some("id") => {
                    ids += 1;
                    top.id = text(value);
                }
                _ => {}
            }
        }
        top.duplicate_keys = top.types.saturating_sub(1) + ids.saturating_sub(1);
        Ok(top)
    }
}

/// What a string says; `None` if the value is no string.
fn text(value: &RawValue) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_str(value.get());
    let bytes = value.get().starts_with('"').then(|| deserializer.deserialize_bytes(BytesVisitor))?;
    Some(without_surrogates(bytes.expect("a string that was proven")))
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

/// UTF-8 in which surrogates stand as if they were characters, with U+FFFD in their place.
fn without_surrogates(mut bytes: Vec<u8>) -> String {
    for at in 0..bytes.len().saturating_sub(2) {
        if bytes[at] == 0xED && bytes[at + 1] >= 0xA0 {
            bytes[at..at + 3].copy_from_slice("\u{FFFD}".as_bytes());
        }
    }
    String::from_utf8(bytes).expect("UTF-8 but for surrogates")
}
