//! The walk against `serde_json`: the same verdict on every input, and the same envelope.

use std::borrow::Cow;
use std::fmt;

use fhirline_core::Fault;
use fhirline_parse::{Envelope, Id, MAX_ID_BYTES, Proof, Shape, envelope, envelope_without_id, shape};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;

use generated::{apply, byte, edit, nested, record, value};

#[path = "support/generated.rs"]
mod generated;

/// Whether `serde_json` takes the text as one value.
fn oracle_takes(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok()
}

/// The envelope as a map visitor of `serde_json` finds it; the outer `None` if the text is not an object.
fn oracle_envelope(text: &str) -> Option<OracleEnvelope> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde::Deserializer::deserialize_map(&mut deserializer, OracleVisitor).ok()
}

#[derive(Default)]
struct OracleEnvelope {
    resource_type: Option<String>,
    id: Option<String>,
    duplicate_keys: u32,
}

struct OracleVisitor;

impl<'de> serde::de::Visitor<'de> for OracleVisitor {
    type Value = OracleEnvelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<OracleEnvelope, A::Error> {
        let (mut types, mut ids) = (Vec::new(), Vec::new());
        while let Some((key, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            match &*key {
                "resourceType" => types.push(value),
                "id" => ids.push(value),
                _ => {}
            }
        }
        let string =
            |value: Option<&&RawValue>| value.and_then(|value| serde_json::from_str(value.get()).ok());
        let again = types.len().saturating_sub(1) + ids.len().saturating_sub(1);
        Ok(OracleEnvelope {
            resource_type: string(types.last()),
            id: string(ids.last()),
            duplicate_keys: again as u32,
        })
    }
}

/// Checks all that must hold for any bytes at all.
fn check(text: &[u8]) -> Result<(), TestCaseError> {
    let valid = oracle_takes(text);
    prop_assert_eq!(shape(text) == Shape::Complete, valid);
    let trusted = envelope(text, Proof::Trusted);
    let full = envelope(text, Proof::Full);
    let without_id = full.clone().map(|found| Envelope { id: None, ..found });
    prop_assert!(
        envelope_without_id(text, Proof::Full) == without_id,
        "who does not ask for ids sees something else"
    );
    match full {
        Ok(found) => {
            prop_assert!(valid);
            prop_assert!(trusted == Ok(found), "trust changes the envelope");
        }
        Err(bad) => {
            prop_assert_eq!(is_about_content(bad.fault), valid, "{}", bad);
            prop_assert!(bad.at <= text.len() as u64);
            check_place(text, bad.fault, bad.at as usize)?;
            if valid {
                prop_assert!(trusted == Err(bad), "trust changes the fault");
            }
        }
    }
    Ok(())
}

/// Checks that the offending byte is the first: what stands before it can still become a value.
fn check_place(text: &[u8], fault: Fault, at: usize) -> Result<(), TestCaseError> {
    match fault {
        Fault::SeveralValues => prop_assert_eq!(shape(&text[..at]), Shape::Complete),
        Fault::NotJson | Fault::NotUtf8 => {
            prop_assert_ne!(shape(&text[..at]), Shape::Illegal);
            prop_assert_eq!(shape(text), Shape::Illegal);
        }
        Fault::Incomplete => prop_assert_eq!((at, shape(text)), (text.len(), Shape::Incomplete)),
        _ => {}
    }
    Ok(())
}

fn is_about_content(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::NotAnObject | Fault::NoResourceType | Fault::ResourceTypeNotString | Fault::ResourceTypeEmpty
    )
}

/// Checks the envelope of well-formed JSON against the oracle.
fn check_envelope(text: &str) -> Result<(), TestCaseError> {
    check(text.as_bytes())?;
    let oracle = oracle_envelope(text);
    let Ok(Envelope { resource_type, id, duplicate_keys }) = envelope(text.as_bytes(), Proof::Full) else {
        let typed = oracle.and_then(|oracle| oracle.resource_type).is_some_and(|name| !name.is_empty());
        prop_assert!(!typed, "an envelope was missed");
        return Ok(());
    };
    let oracle = oracle.ok_or_else(|| TestCaseError::fail("not an object"))?;
    prop_assert_eq!(Some(&*resource_type), oracle.resource_type.as_deref());
    prop_assert_eq!(duplicate_keys, oracle.duplicate_keys);
    match id {
        Some(Id::TooLong(bytes)) => {
            prop_assert!(bytes > MAX_ID_BYTES);
            prop_assert_eq!(Some(bytes), oracle.id.map(|id| id.len()));
        }
        Some(Id::Text(text)) => prop_assert_eq!(Some(text.into_owned()), oracle.id),
        None => prop_assert_eq!(None, oracle.id),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes(text in vec(any::<u8>(), 0..200)) {
        check(&text)?;
    }

    #[test]
    fn bytes_that_look_like_json(text in vec(byte(), 0..12)) {
        check(&text)?;
    }

    #[test]
    fn generated_json(text in value()) {
        prop_assert!(oracle_takes(text.as_bytes()));
        check_envelope(&text)?;
    }

    #[test]
    fn generated_records(text in record()) {
        prop_assert!(envelope(text.as_bytes(), Proof::Full).is_ok_and(|found| found.resource_type == "Observation"));
        check_envelope(&text)?;
    }

    #[test]
    fn edited_records(text in record(), edits in vec(edit(), 1..4)) {
        let mut text = text.into_bytes();
        for edit in &edits {
            apply(&mut text, edit);
            check(&text)?;
        }
    }

    #[test]
    fn deep_nesting(kinds in vec(any::<bool>(), 1..300), edits in vec(edit(), 1..3)) {
        let mut text = nested(&kinds).into_bytes();
        prop_assert!(oracle_takes(&text));
        check(&text)?;
        for edit in &edits {
            apply(&mut text, edit);
            check(&text)?;
        }
    }

    #[test]
    fn every_beginning_of_a_record(text in record()) {
        let record = text.trim();
        for end in 0..record.len() {
            let beginning = &record.as_bytes()[..end];
            let fault = envelope(beginning, Proof::Full).map_err(|bad| (bad.fault, bad.at));
            prop_assert!(fault == Err((Fault::Incomplete, end as u64)));
            prop_assert!(!oracle_takes(beginning));
        }
    }
}
