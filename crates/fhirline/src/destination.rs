//! What stands in a destination before a run, and what may be done about it.

use std::io;

use fhirline_core::{PARTIAL_SUFFIX, Store};

use crate::manifest::{self, BEGUN, Manifest, Marker};

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
    let names = store.list()?;
    if names.is_empty() {
        return Ok(Holds::Nothing);
    }
    if let Some(json) = get(store, manifest::NAME)? {
        let ours = serde_json::from_slice::<Manifest>(&json).ok();
        return Ok(ours.map_or(Holds::Others, |manifest| Holds::Complete(Box::new(manifest))));
    }
    let begun = get(store, &provisional(manifest::NAME))?;
    let Some(begun) = begun.filter(|json| serde_json::from_slice::<Marker>(json).is_ok()) else {
        return Ok(Holds::Others);
    };
    Ok(Holds::Interrupted(left_by(&names, &begun)))
}

/// Which of the names an interrupted run left: everything provisional, and what its manifest, written right before the
/// seal, names.
fn left_by(names: &[String], begun: &[u8]) -> Vec<String> {
    let sealing = serde_json::from_slice::<Manifest>(begun).ok();
    let sealed = |name: &String| {
        sealing.as_ref().is_some_and(|manifest| manifest.file_names().any(|file| file == name))
    };
    names.iter().filter(|name| name.ends_with(PARTIAL_SUFFIX) || sealed(name)).cloned().collect()
}

/// Says in the destination that it is ours from now on.
pub(crate) fn claim(store: &dyn Store) -> io::Result<()> {
    let mut marker = store.create(manifest::NAME)?;
    marker.append(BEGUN)
}

/// Gives the destination back as it was found: nothing in it but our claim.
pub(crate) fn disclaim(store: &dyn Store) -> io::Result<()> {
    store.remove(&provisional(manifest::NAME))
}

/// Removes what a complete run left: its manifest first, then only the files that it named.
pub(crate) fn remove_complete(store: &dyn Store, manifest: &Manifest) -> io::Result<()> {
    store.remove(manifest::NAME)?;
    manifest.file_names().try_for_each(|name| store.remove(name))
}

/// Removes what an interrupted run left, its claim last.
pub(crate) fn remove_interrupted(store: &dyn Store, left: &[String]) -> io::Result<()> {
    let claim = provisional(manifest::NAME);
    left.iter().filter(|name| **name != claim).try_for_each(|name| store.remove(name))?;
    store.remove(&claim)
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
        assert_eq!(left, ["manifest.json.partial"]);
        disclaim(&store).expect("in memory");
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
