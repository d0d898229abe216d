//! What stands in a destination before a run, and what may be done about it.

use std::collections::HashSet;
use std::io;

use fhirline_core::{PARTIAL_SUFFIX, Store};

use crate::manifest::{self, Manifest};

/// The name that says, provisionally, that a destination belongs to a run that is not over.
const MARKER: &str = "_fhirline";

/// What a destination holds.
#[derive(Debug)]
pub(crate) enum Holds {
    Nothing,
    /// What a complete run of ours left.
    Complete(Box<Manifest>),
    /// What a run of ours left that did not come to its end.
    Interrupted(Vec<String>),
    /// Files that are not ours.
    Others,
}

pub(crate) fn look(store: &dyn Store) -> io::Result<Holds> {
    if let Some(json) = get(store, manifest::NAME)? {
        let ours = serde_json::from_slice::<Manifest>(&json).ok();
        return Ok(ours.map_or(Holds::Others, |manifest| Holds::Complete(Box::new(manifest))));
    }
    let names = store.list()?;
    if names.is_empty() {
        return Ok(Holds::Nothing);
    }
    let claimed = names.contains(&provisional(MARKER));
    let sealing = get(store, &provisional(manifest::NAME))?;
    let sealing = sealing.and_then(|json| serde_json::from_slice::<Manifest>(&json).ok());
    if !claimed && sealing.is_none() {
        return Ok(Holds::Others);
    }
    Ok(Holds::Interrupted(left_by(&names, sealing.as_ref())))
}

/// Which of the names an interrupted run left: everything provisional, and what its manifest, written right before the
/// seal, names.
fn left_by(names: &[String], sealing: Option<&Manifest>) -> Vec<String> {
    let sealed: HashSet<&str> = sealing.iter().flat_map(|manifest| manifest.file_names()).collect();
    let ours = |name: &&String| name.ends_with(PARTIAL_SUFFIX) || sealed.contains(name.as_str());
    names.iter().filter(ours).cloned().collect()
}

/// Says in the destination that it is ours from now on. The name alone says so: there may be no room for a byte more.
pub(crate) fn claim(store: &dyn Store) -> io::Result<()> {
    store.create(MARKER).map(drop)
}

/// Takes the claim back: the destination is as it was found, or has a manifest that says the same.
pub(crate) fn disclaim(store: &dyn Store) -> io::Result<()> {
    store.remove(&provisional(MARKER))
}

/// The first file of a complete run that is not there as the run left it.
pub(crate) fn damaged(store: &dyn Store, manifest: &Manifest) -> io::Result<Option<String>> {
    for (name, bytes) in manifest.file_sizes() {
        if store.stored_bytes(name)? != Some(bytes) {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Removes what a complete run left: its manifest first, then only the files that it named.
pub(crate) fn remove_complete(store: &dyn Store, manifest: &Manifest) -> io::Result<()> {
    store.remove(manifest::NAME)?;
    manifest.file_names().try_for_each(|name| store.remove(name))
}

/// Removes what an interrupted run left: first what has its final name, while the manifest still tells that it is ours, and
/// the claim last.
pub(crate) fn remove_interrupted(store: &dyn Store, left: &[String]) -> io::Result<()> {
    claim(store)?;
    let (provisional_names, sealed): (Vec<_>, Vec<_>) =
        left.iter().partition(|name| name.ends_with(PARTIAL_SUFFIX));
    let marker = provisional(MARKER);
    let mut names = sealed.into_iter().chain(provisional_names).filter(|name| **name != marker);
    names.try_for_each(|name| store.remove(name))?;
    disclaim(store)
}

fn provisional(name: &str) -> String {
    format!("{name}{PARTIAL_SUFFIX}")
}

/// A small object, or nothing if it is too large to be ours.
fn get(store: &dyn Store, name: &str) -> io::Result<Option<Vec<u8>>> {
    match store.get(name, manifest::MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(None),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fhirline_fetch::MemoryStore;

    fn holds(names: &[(&str, &[u8])]) -> Holds {
        let store = MemoryStore::new();
        for (name, bytes) in names {
            store.put_if_absent(name, bytes).expect("new name");
        }
        look(&store).expect("in memory")
    }

    #[test]
    fn only_what_is_ours_is_taken_for_ours() {
        assert!(matches!(holds(&[]), Holds::Nothing));
        assert!(matches!(holds(&[("notes.txt", b"mine")]), Holds::Others));
        assert!(matches!(holds(&[("manifest.json", b"{\"output\":[]}")]), Holds::Others));
        assert!(matches!(holds(&[("manifest.json", b"not JSON")]), Holds::Others));
    }

    #[test]
    fn a_claim_marks_an_interrupted_run_and_is_given_back() {
        let store = MemoryStore::new();
        claim(&store).expect("in memory");
        let Holds::Interrupted(left) = look(&store).expect("in memory") else { panic!("not interrupted") };
        assert_eq!(left, ["_fhirline.partial"]);
        disclaim(&store).expect("in memory");
        assert!(matches!(look(&store).expect("in memory"), Holds::Nothing));
    }

    #[test]
    fn half_a_manifest_beside_the_claim_is_an_interrupted_run() {
        let store = MemoryStore::new();
        claim(&store).expect("in memory");
        store.create("manifest.json").and_then(|mut manifest| manifest.append(b"{\"out")).expect("in memory");
        let Holds::Interrupted(left) = look(&store).expect("in memory") else { panic!("not interrupted") };
        remove_interrupted(&store, &left).expect("in memory");
        assert!(matches!(look(&store).expect("in memory"), Holds::Nothing));
    }

    #[test]
    fn what_others_put_beside_an_interrupted_run_stays() {
        let store = MemoryStore::new();
        claim(&store).expect("in memory");
        store.put_if_absent("notes.txt", b"mine").expect("new name");
        let Holds::Interrupted(left) = look(&store).expect("in memory") else { panic!("not interrupted") };
        remove_interrupted(&store, &left).expect("in memory");
        assert_eq!(store.list().expect("in memory"), ["notes.txt"]);
    }
}
