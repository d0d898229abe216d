//! Whether what lies at a URL is a manifest.

use std::io::{self, Cursor, Read};

use reqwest::Url;
use serde::Deserialize;
use serde::de::IgnoredAny;

use fhirline_core::Origin;

use super::{BulkError, Export, FhirBase, StatusManifest};
use crate::manifest_form::{BYTE_ORDER_MARK, MAX_BYTES, Never};
use crate::{HttpClient, HttpError, HttpOrigin};

/// Bytes in which one of a manifest's own keys must stand. Whatever is no manifest is seen by them, nearly always.
const HEAD_BYTES: u64 = 64 << 10;
/// What a look may be behind the network: data is read again, from its beginning.
const AHEAD_BYTES: usize = 64 << 10;
const KEYS: [&str; 2] = ["\"output\"", "\"transactionTime\""];

/// The manifest at that URL, with all its pages, and what its files are asked for with; `None` if there is something else.
///
/// Data is never taken for a manifest: a manifest is one JSON object with `output` and `transactionTime`, and without
/// `resourceType`. What is no manifest is read no further than it takes to see that.
pub(crate) fn manifest_at(
    client: &HttpClient,
    url: &str,
) -> Result<Option<(Export, StatusManifest)>, BulkError> {
    let looked = HttpOrigin::new(&client.with_ahead_bytes(AHEAD_BYTES), url)
        .map_err(io::Error::from)
        .and_then(|origin| origin.open_at(0))
        .and_then(is_manifest);
    let failed = |source| BulkError::Http { step: "the first look", source };
    let is_manifest = looked.map_err(|error| {
        let setup = || HttpError::BadUrl { reason: "it cannot be opened".to_owned() };
        failed(HttpError::of(&error).cloned().unwrap_or_else(setup))
    })?;
    // It was parsed before, or an origin of it could not have been made.
    let Some(url) = Url::parse(url).ok().filter(|_| is_manifest) else { return Ok(None) };
    let export = Export::new(client.clone(), &server_of(&url)?);
    let (manifest, _) = export.pages(&url, &mut |_| (), &|| false)?;
    Ok(Some((export, manifest)))
}

/// The server that the user named: it may have the credentials.
fn server_of(url: &Url) -> Result<FhirBase, BulkError> {
    FhirBase::parse(&url.origin().ascii_serialization())
}

fn is_manifest(mut body: impl Read) -> io::Result<bool> {
    let mut head = Vec::new();
    body.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head).trim_ascii_start();
    let has = |key: &str| text.windows(key.len()).any(|bytes| bytes == key.as_bytes());
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
