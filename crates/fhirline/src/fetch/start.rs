//! What stands in the folder before a download, and what may be done about it.

use std::io;

use fhirline_core::{PARTIAL_SUFFIX, Store};

use super::manifest::DownloadManifest;
use super::names::possible_names;
use super::note::{self, ExportMark, Note};
use crate::manifest;

/// What a folder holds.
#[derive(Debug)]
pub(crate) enum Holds {
    Nothing,
    /// What a complete download left.
    Complete(Box<DownloadManifest>),
    /// What a download left that did not come to its end.
    Interrupted(Note),
    /// Files that are not those of a download.
    Others,
}

/// The names of an export that is not over.
pub(crate) const EXPORT_STATE: &str = "_export.partial";
/// The log of an export.
pub(crate) const EXPORT_LOG: &str = "log.ndjson";

/// What is there for a download; `exporting` if what an export leaves before its downloads may be there, too.
pub(crate) fn look(store: &dyn Store, exporting: bool) -> io::Result<Holds> {
    if let Some(json) = get(store, manifest::NAME, manifest::MAX_BYTES)? {
        let ours = json.as_deref().and_then(DownloadManifest::parse);
        return Ok(ours.map_or(Holds::Others, |manifest| Holds::Complete(Box::new(manifest))));
    }
    let noted = get(store, note::NAME, note::MAX_BYTES)?;
    if let Some(note) = noted.flatten().as_deref().and_then(Note::parse) {
        return Ok(Holds::Interrupted(note));
    }
    // A note that makes no sense, alone, can be one that a crash of the machine left.
    let names = store.list()?;
    let of_export = |name: &str| is_export_state(name) || name == EXPORT_LOG;
    let exporting = exporting && names.iter().any(|name| is_export_state(name));
    let foreign = names.iter().any(|name| !(is_note(name) || exporting && of_export(name)));
    Ok(if foreign { Holds::Others } else { Holds::Nothing })
}

/// Whether it is the note, or what a store leaves beside the note or the manifest when it is killed.
fn is_note(name: &str) -> bool {
    let ours = [note::NAME, manifest::NAME].iter().any(|ours| name.starts_with(ours));
    ours && name.ends_with(PARTIAL_SUFFIX)
}

/// Whether it is the state of an export, or what a store leaves beside it when it is killed.
fn is_export_state(name: &str) -> bool {
    name.starts_with(EXPORT_STATE) && name.ends_with(PARTIAL_SUFFIX)
}

/// A small object: what it holds, or nothing if it is too large to be ours. The outer `None` if there is none.
#[expect(clippy::option_option, reason = "whether it is there, and whether it is small")]
fn get(store: &dyn Store, name: &str, max_bytes: u64) -> io::Result<Option<Option<Vec<u8>>>> {
    match store.get(name, max_bytes) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(Some(None)),
        found => Ok(found?.map(Some)),
    }
}

/// The first file of a complete download that is not there as it was left.
pub(crate) fn damaged(store: &dyn Store, manifest: &DownloadManifest) -> io::Result<Option<String>> {
    for (name, bytes) in manifest.file_sizes() {
        if store.stored_bytes(name)? != Some(bytes) {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Removes what lies beside a complete download if it was killed at the last moment.
pub(crate) fn tidy(store: &dyn Store) -> io::Result<()> {
    let left = store.list()?.into_iter().filter(|name| is_note(name) || is_export_state(name));
    left.into_iter().try_for_each(|name| store.remove(&name))
}

/// All names that an interrupted download may have left.
pub(crate) fn names_left(note: &Note) -> Vec<String> {
    let planned = note.files.iter().flat_map(|file| possible_names(&file.name));
    let both = planned.flat_map(|name| [format!("{name}{PARTIAL_SUFFIX}"), name]);
    let names = both.chain(note.leftover.iter().cloned());
    names.chain(of_export(note.export.as_ref())).collect()
}

/// All names of a complete download, but for that of its manifest.
pub(crate) fn names_complete(manifest: &DownloadManifest) -> Vec<String> {
    let names = manifest.file_sizes().map(|(name, _)| name.to_owned());
    names.chain(of_export(manifest.extension.fhirline.export.as_ref())).collect()
}

fn of_export(export: Option<&ExportMark>) -> impl Iterator<Item = String> {
    let names = export.map(|_| [EXPORT_STATE, EXPORT_LOG].map(str::to_owned));
    names.into_iter().flatten()
}

/// Removes names that are of no use any more: first a note says whose they are, then the manifest goes.
pub(crate) fn clear(store: &dyn Store, mut note: Note, durable: bool) -> io::Result<Note> {
    if !note.leftover.is_empty() {
        note.write(store, durable)?;
        store.remove(manifest::NAME)?;
        note.leftover.iter().try_for_each(|name| store.remove(name))?;
        note.leftover.clear();
    }
    Ok(note)
}
