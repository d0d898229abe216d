//! Whether what lies at a URL is a manifest.

use std::io;

use reqwest::Url;

use fhirline_core::Origin;

use super::{BulkError, Export, ExportEvent, FhirBase, StatusManifest, Watch};
use crate::manifest_form::is_manifest;
use crate::{HttpClient, HttpError, HttpOrigin};

/// What a look may be behind the network: data is read again, from its beginning.
const AHEAD_BYTES: usize = 64 << 10;

/// The manifest at that URL, with all its pages, and what its files are asked for with; `None` if there is something else.
///
/// Data is never taken for a manifest: a manifest is one JSON object with `output` and `transactionTime`, and without
/// `resourceType`. What is no manifest is read no further than it takes to see that. A server that is still at work on an export
/// (202) is waited for.
pub(crate) fn manifest_at(
    client: &HttpClient,
    url: &str,
    token_hosts: &[String],
    watch: &Watch,
) -> Result<Option<(Export, StatusManifest)>, BulkError> {
    let first = first_look(client, url)?;
    // It was parsed before, or an origin of it could not have been made.
    let Some(url) = Url::parse(url).ok().filter(|_| first != First::Other) else { return Ok(None) };
    let export = Export::new(client.clone(), &server_of(&url)?).token_hosts(token_hosts.iter().cloned());
    let (manifest, pages) = export.pages(&url, &mut |event| watch.tell(event), &|| watch.is_over())?;
    if first == First::Working {
        watch.tell(&ExportEvent::Complete { pages, manifest: &manifest });
    }
    Ok(Some((export, manifest)))
}

/// What a URL gives at first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Manifest,
    /// There will be a manifest.
    Working,
    Other,
}

fn first_look(client: &HttpClient, url: &str) -> Result<First, BulkError> {
    let looked = HttpOrigin::new(&client.with_ahead_bytes(AHEAD_BYTES), url)
        .map_err(io::Error::from)
        .and_then(|origin| origin.open_at(0))
        .and_then(is_manifest);
    match looked {
        Ok(true) => Ok(First::Manifest),
        Ok(false) => Ok(First::Other),
        Err(error) => match HttpError::of(&error) {
            Some(HttpError::Refused { status: 202, .. }) => Ok(First::Working),
            error => {
                let setup = || HttpError::BadUrl { reason: "it cannot be opened".to_owned() };
                let source = error.cloned().unwrap_or_else(setup);
                Err(BulkError::Http { step: "the first look", source })
            }
        },
    }
}

/// The server that the user named: it may have the credentials.
fn server_of(url: &Url) -> Result<FhirBase, BulkError> {
    FhirBase::parse(&url.origin().ascii_serialization())
}
