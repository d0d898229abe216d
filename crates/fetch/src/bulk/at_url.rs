//! Whether what lies at a URL is a manifest.

use std::io;

use reqwest::Url;

use fhirline_core::Origin;

use super::{BulkError, Export, FhirBase, StatusManifest};
use crate::manifest_form::is_manifest;
use crate::{HttpClient, HttpError, HttpOrigin};

/// What a look may be behind the network: data is read again, from its beginning.
const AHEAD_BYTES: usize = 64 << 10;

/// The manifest at that URL, with all its pages, and what its files are asked for with; `None` if there is something else.
///
/// Data is never taken for a manifest: a manifest is one JSON object with `output` and `transactionTime`, and without
/// `resourceType`. What is no manifest is read no further than it takes to see that.
pub(crate) fn manifest_at(
    client: &HttpClient,
    url: &str,
    token_hosts: &[String],
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
    let export = Export::new(client.clone(), &server_of(&url)?).token_hosts(token_hosts.iter().cloned());
    let (manifest, _) = export.pages(&url, &mut |_| (), &|| false)?;
    Ok(Some((export, manifest)))
}

/// The server that the user named: it may have the credentials.
fn server_of(url: &Url) -> Result<FhirBase, BulkError> {
    FhirBase::parse(&url.origin().ascii_serialization())
}
