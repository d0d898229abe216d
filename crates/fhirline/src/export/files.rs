//! The files of an export as what is to be fetched.

use std::sync::{Arc, Mutex, PoisonError};

use fhirline_core::{Origin, SourceRole};
use fhirline_fetch::{
    BulkError, Declared, Export, ExportState, HttpOrigin, ManifestFile, Selection, StatusManifest,
};
use fhirline_flow::Cancel;

use crate::DownloadError;
use crate::fetch::wanted::{Part, Wanted};

/// The way back to an export, for URLs that have expired.
#[derive(Clone)]
pub(super) struct Link(Arc<Way>);

struct Way {
    export: Export,
    state: Mutex<ExportState>,
    /// The manifest by which the files are fetched.
    manifest: StatusManifest,
    cancel: Cancel,
}

impl Link {
    pub(super) fn new(export: Export, state: ExportState, manifest: StatusManifest, cancel: Cancel) -> Self {
        Self(Arc::new(Way { export, state: Mutex::new(state), manifest, cancel }))
    }

    /// The URL that the file at that place of the manifest has now, which `expired` is not any more; or why there is none.
    fn renewed(&self, place: usize, expired: &str) -> Result<String, String> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(url) = state.manifest.as_ref().and_then(|manifest| url_at(manifest, place))
            && url != expired
        {
            // Another file has had them renewed.
            return Ok(url);
        }
        let refreshed = self.0.export.refresh(&mut state, &mut |_| {}, &|| self.0.cancel.is_cancelled());
        let manifest = refreshed.map_err(|error| error.to_string())?;
        // A place means something in the same lists only: another file must never come under the name of this one.
        if !is_same(&self.0.manifest, &manifest) {
            state.manifest = None;
            return Err("the server's manifest lists other files now".to_owned());
        }
        url_at(&manifest, place).ok_or_else(|| "the manifest does not name the file any more".to_owned())
    }
}

/// Whether two manifests list the same files, as far as can be told without their URLs.
fn is_same(one: &StatusManifest, other: &StatusManifest) -> bool {
    let lengths =
        |manifest: &StatusManifest| [&manifest.outputs, &manifest.deleted, &manifest.outcomes].map(Vec::len);
    let said = |manifest: &StatusManifest| -> Vec<_> {
        manifest.files().map(|file| (file.resource_type.clone(), file.count)).collect()
    };
    lengths(one) == lengths(other) && said(one) == said(other)
}

fn url_at(manifest: &StatusManifest, place: usize) -> Option<String> {
    manifest.files().nth(place).map(|file| file.url.expose().to_string())
}

/// All files of the manifest: outputs, then deleted, then outcomes.
pub(super) fn wanted_of(link: &Link, manifest: &StatusManifest) -> Vec<Wanted> {
    manifest.files().enumerate().map(|(place, file)| wanted(link, manifest, place, file)).collect()
}

fn wanted(link: &Link, manifest: &StatusManifest, place: usize, file: &ManifestFile) -> Wanted {
    let outputs = if manifest.organized_by.is_some() { Part::Organized } else { Part::Output };
    let deleted_from = manifest.outputs.len();
    let part = match place {
        place if place < deleted_from => outputs,
        place if place < deleted_from + manifest.deleted.len() => Part::Deleted,
        _ => Part::Error,
    };
    let origin = match origin(link, manifest, place, file) {
        Ok(origin) => Ok(Box::new(origin) as Box<dyn Origin>),
        Err(error) => Err(DownloadError::Denied(Box::new(error))),
    };
    Wanted {
        part,
        resource_type: file.resource_type.clone(),
        count: file.count,
        place: Some(place),
        ..Wanted::new(file.url.to_string(), origin)
    }
}

/// The same as sources of a run.
pub(super) fn sources_of(link: &Link, manifest: &StatusManifest) -> Result<Selection, BulkError> {
    let mut origins: Vec<(Arc<dyn Origin>, SourceRole, Option<Declared>)> = Vec::new();
    for (place, file) in manifest.files().enumerate() {
        let Wanted { part, resource_type, count, .. } = wanted(link, manifest, place, file);
        let declared = match part {
            Part::Output => Some(Declared { resource_type, count }),
            _ => None,
        };
        origins.push((Arc::new(origin(link, manifest, place, file)?), part.into(), declared));
    }
    Ok(Selection::of_origins(origins))
}

fn origin(
    link: &Link,
    manifest: &StatusManifest,
    place: usize,
    file: &ManifestFile,
) -> Result<HttpOrigin, BulkError> {
    let client = link.0.export.client_for_file(manifest, file)?;
    let url = file.url.expose().to_string();
    let step = "fetching the files of the export";
    let origin = HttpOrigin::new(&client, &url).map_err(|source| BulkError::Http { step, source })?;
    let link = link.clone();
    Ok(origin.renewed_by(move || link.renewed(place, &url)))
}
