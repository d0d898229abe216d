//! What stands in the folder before a download, and what may be done about it.

use std::io;

use fhirline_core::{PARTIAL_SUFFIX, Store};

use super::manifest::DownloadManifest;
use super::names::possible_names;
use super::note::{self, Note};
use crate::manifest;

/// What a folder holds.
#[derive(Debug)]
pub(super) enum Holds {
    Nothing,
    /// What a complete download left.
    Complete(Box<DownloadManifest>),
    /// What a download left that did not come to its end.
    Interrupted(Note),
    /// Files that are not those of a download.
    Others,
}

pub(super) fn look(store: &dyn Store) -> io::Result<Holds> {
    if let Some(json) = get(store, manifest::NAME, manifest::MAX_BYTES)? {
        let ours = json.as_deref().and_then(DownloadManifest::parse);
        return Ok(ours.map_or(Holds::Others, |manifest| Holds::Complete(Box::new(manifest))));
    }
    let noted = get(store, note::NAME, note::MAX_BYTES)?;
    if let Some(note) = noted.flatten().as_deref().and_then(Note::parse) {
        return Ok(Holds::Interrupted(note));
    }
    // A note that makes no sense, alone, can be one that a crash of the machine left.
    let foreign = store.list()?.into_iter().any(|name| !is_note(&name));
    Ok(if foreign { Holds::Others } else { Holds::Nothing })
}

/// Whether it is the note, or what a store leaves beside the note or the manifest when it is killed.
fn is_note(name: &str) -> bool {
    let ours = [note::NAME, manifest::NAME].iter().any(|ours| name.starts_with(ours));
    ours && name.ends_with(PARTIAL_SUFFIX)
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
pub(super) fn damaged(store: &dyn Store, manifest: &DownloadManifest) -> io::Result<Option<String>> {
    for (name, bytes) in manifest.file_sizes() {
        if store.stored_bytes(name)? != Some(bytes) {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Removes what lies beside a complete download if it was killed at the last moment.
pub(super) fn tidy(store: &dyn Store) -> io::Result<()> {
    let left = store.list()?.into_iter().filter(|name| is_note(name));
    left.into_iter().try_for_each(|name| store.remove(&name))
}

/// All names that an interrupted download may have left.
pub(super) fn names_left(note: &Note) -> Vec<String> {
    let planned = note.files.iter().flat_map(|file| possible_names(&file.name));
    let both = planned.flat_map(|name| [format!("{name}{PARTIAL_SUFFIX}"), name]);
    both.chain(note.leftover.iter().cloned()).collect()
}
