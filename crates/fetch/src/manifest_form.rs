//! What is common to manifests wherever they lie: their bounds, and what they are told from other documents by.

use std::fmt;
use std::io::{self, Cursor, Read};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// Most bytes a manifest may have.
pub(crate) const MAX_BYTES: u64 = 16 << 20;
/// Most outputs a manifest may name.
pub(crate) const MAX_OUTPUTS: usize = 1 << 16;
/// What some writers put before the text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Bytes in which one of a manifest's own keys must stand. Whatever is no manifest is seen by them, nearly always.
const HEAD_BYTES: u64 = 64 << 10;
const KEYS: [&str; 2] = ["\"output\"", "\"transactionTime\""];

/// Ends the reading where it stands as a field's type and the field is there: whatever has a `resourceType` is a FHIR
/// resource, not a manifest.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Never;

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("a resource, not a manifest"))
    }
}

/// Reads a list, but keeps no more than are needed to see that they are too many: one above [`MAX_OUTPUTS`].
pub(crate) fn bounded<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(AtMost { items: MAX_OUTPUTS + 1, of: PhantomData })
}

/// The same where there may be `null`.
pub(crate) fn listed<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Listed<T>>::deserialize(deserializer)?.map(|listed| listed.0).unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(transparent, bound = "T: Deserialize<'de>")]
struct Listed<T>(#[serde(deserialize_with = "bounded")] Vec<T>);

struct AtMost<T> {
    items: usize,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtMost<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of outputs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.items {
            let Some(item) = items.next_element()? else { return Ok(kept) };
            kept.push(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept)
    }
}

/// Whether that is a manifest: one JSON object with `output` and `transactionTime`, and without `resourceType`. What is none is
/// read no further than it takes to see that.
pub(crate) fn is_manifest(mut body: impl Read) -> io::Result<bool> {
    let mut head = Vec::new();
    body.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head).trim_ascii_start();
    let has = |key: &str| memchr::memmem::find(text, key.as_bytes()).is_some();
    if text.first() != Some(&b'{') || !KEYS.into_iter().any(has) {
        return Ok(false);
    }
    let rest = MAX_BYTES.saturating_sub(text.len() as u64);
    match serde_json::from_reader::<_, Form>(Cursor::new(text).chain(body.take(rest))) {
        Ok(_) => Ok(true),
        Err(error) if error.is_io() => Err(error.into()),
        Err(_) => Ok(false),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    #[serde(rename = "output")]
    _output: Vec<IgnoredAny>,
    #[serde(rename = "transactionTime")]
    _transaction_time: String,
    /// Ends the reading.
    #[serde(default, rename = "resourceType")]
    _resource_type: Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> bool {
        is_manifest(text.as_bytes()).expect("in memory")
    }

    #[test]
    fn a_manifest_is_seen_wherever_its_keys_stand() {
        assert!(seen(r#"{"transactionTime":"t","output":[]}"#));
        assert!(seen("\u{FEFF} {\"output\":[{\"url\":\"u\"}],\n\"x\":1,\"transactionTime\":\"t\"}\n"));
        let long = "x".repeat(2 * HEAD_BYTES as usize);
        assert!(seen(&format!(r#"{{"output":[{{"url":"{long}"}}],"transactionTime":"t"}}"#)));
    }

    #[test]
    fn data_is_no_manifest() {
        let long = "x".repeat(2 * HEAD_BYTES as usize);
        for data in [
            "",
            "[]",
            r#"{"output":[]}"#,
            r#"{"transactionTime":"t"}"#,
            r#"{"resourceType":"Task","output":[],"transactionTime":"t"}"#,
            r#"{"output":[],"transactionTime":"t","resourceType":"Task"}"#,
            "{\"transactionTime\":\"t\",\"output\":[]}\n{\"resourceType\":\"Goal\"}\n",
            r#"{"transactionTime":"t","output":["#,
            &format!(r#"{{"x":"{long}","transactionTime":"t","output":[]}}"#),
        ] {
            assert!(!seen(data), "{data:.80}");
        }
    }
}
