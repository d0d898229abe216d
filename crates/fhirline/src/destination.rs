//! What stands in a destination before a run, and what may be done about it.

use std::collections::HashSet;
use std::io;

use fhirline_core::{PARTIAL_SUFFIX, Store};
use fhirline_sink::{is_provisional_of_ours, safe_name};

use crate::manifest::{self, Manifest};

/// The name that says, provisionally, that a destination belongs to a run that is not over. What it holds is the last
/// checkpoint; nothing before the first.
const MARKER: &str = "_fhirline";

/// What a checkpoint keeps beside the outputs.
const SIDE_OBJECTS: [&str; 5] = [
    "_blocks-0.partial",
    "_blocks-1.partial",
    "_blocks-2.partial",
    "_blocks-3.partial",
    "_fhirline-safe.partial",
];

/// What a destination holds.
#[derive(Debug)]
pub(crate) enum Holds {
    Nothing,
    /// What a complete run of ours left.
    Complete(Box<Manifest>),
    /// What a run of ours left that did not come to its end.
    Interrupted(Left),
    /// Files that are not ours.
    Others,
}

/// What an interrupted run left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    names: Vec<String>,
    /// Its manifest, which is written whole right before the outputs get their names.
    pub(crate) sealing: Option<Sealing>,
}

/// A manifest that still has its provisional name.
#[derive(Debug)]
pub(crate) struct Sealing {
    pub(crate) manifest: Box<Manifest>,
    stored_bytes: u64,
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
    let claimed = names.contains(&marker());
    let sealing = get(store, &provisional(manifest::NAME))?.and_then(|json| {
        let manifest = serde_json::from_slice::<Manifest>(&json).ok()?;
        Some(Sealing { manifest: Box::new(manifest), stored_bytes: json.len() as u64 })
    });
    if !claimed && sealing.is_none() {
        return Ok(Holds::Others);
    }
    Ok(Holds::Interrupted(Left { names: left_by(names, sealing.as_ref()), sealing }))
}

/// Which of the names an interrupted run left: everything provisional, and what its manifest, written right before the
/// seal, names.
fn left_by(mut names: Vec<String>, sealing: Option<&Sealing>) -> Vec<String> {
    let sealed: HashSet<&str> = sealing.iter().flat_map(|sealing| sealing.manifest.file_names()).collect();
    names.retain(|name| is_provisional_of_ours(name) || sealed.contains(name.as_str()));
    names
}

impl Left {
    /// Whether some outputs have their final names already.
    pub(crate) fn any_sealed(&self) -> bool {
        self.names.iter().any(|name| !is_provisional_of_ours(name))
    }

    /// Provisional names that are of no use once the outputs are sealed, if they are still there then.
    fn remains(&self) -> impl Iterator<Item = &str> {
        let kept = [marker(), provisional(manifest::NAME)];
        let names =
            self.names.iter().filter(move |name| is_provisional_of_ours(name) && !kept.contains(name));
        names.map(String::as_str)
    }
}

impl Sealing {
    /// The outputs that still have their provisional names, and their lengths; `None` if one of all is not as the run left
    /// it.
    fn unsealed(&self, store: &dyn Store) -> io::Result<Option<Vec<(&str, u64)>>> {
        let mut unsealed = Vec::new();
        for (name, bytes) in self.manifest.file_sizes() {
            match store.stored_bytes(name)? {
                Some(sealed) if sealed == bytes => {}
                None if store.stored_bytes(&provisional(name))? == Some(bytes) => {
                    unsealed.push((name, bytes));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(unsealed))
    }
}

/// Gives the outputs of a run that had written its manifest the names that they do not have yet, and the manifest its own
/// last; whether there is such a manifest, and all the outputs.
pub(crate) fn finish_sealing(store: &dyn Store, left: &Left, durable: bool) -> io::Result<bool> {
    let Some(sealing) = &left.sealing else { return Ok(false) };
    let Some(unsealed) = sealing.unsealed(store)? else { return Ok(false) };
    unsealed.into_iter().try_for_each(|(name, bytes)| seal(store, name, bytes))?;
    let sync = || if durable { store.sync() } else { Ok(()) };
    sync()?;
    left.remains().try_for_each(|name| store.remove(name))?;
    disclaim(store)?;
    seal(store, manifest::NAME, sealing.stored_bytes)?;
    sync()?;
    Ok(true)
}

fn seal(store: &dyn Store, name: &str, stored_bytes: u64) -> io::Result<()> {
    let gone = || io::Error::new(io::ErrorKind::NotFound, format!("{name} is gone"));
    store.resume(name, stored_bytes)?.ok_or_else(gone)?.seal()
}

/// The checkpoints of an interrupted run: the latest, and the one that a crash of the machine cannot harm. None before the
/// first.
pub(crate) fn checkpoints(store: &dyn Store) -> io::Result<Vec<Vec<u8>>> {
    let names = [marker(), safe_name(&marker())];
    let found = names.iter().map(|name| get(store, name)).collect::<io::Result<Vec<_>>>()?;
    Ok(found.into_iter().flatten().filter(|bytes| !bytes.is_empty()).collect())
}

/// Says that the latest checkpoint does not hold any more, and keeps the claim.
pub(crate) fn forget_latest(store: &dyn Store) -> io::Result<()> {
    store.replace(&marker(), &[], false)
}

/// Says in an empty destination that it is ours from now on. The name alone says so: there may be no room for a byte more.
pub(crate) fn claim(store: &dyn Store) -> io::Result<()> {
    store.create(MARKER).map(drop)?;
    // In an object store nobody else sees what was only created.
    if store.reads_back() { Ok(()) } else { store.replace(&marker(), &[], false) }
}

/// Takes the claim back, with the checkpoint: the destination is as it was found, or has a manifest that says the same.
pub(crate) fn disclaim(store: &dyn Store) -> io::Result<()> {
    SIDE_OBJECTS.into_iter().try_for_each(|name| store.remove(name))?;
    store.remove(&marker())
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

/// Removes what may lie beside a complete run when it, or what began to replace it, died at the wrong moment.
pub(crate) fn tidy(store: &dyn Store) -> io::Result<()> {
    forget_manifest(store)?;
    disclaim(store)
}

/// Removes the manifest that an interrupted run had written: the run goes on, and will write another.
pub(crate) fn forget_manifest(store: &dyn Store) -> io::Result<()> {
    store.remove(&provisional(manifest::NAME))
}

/// Removes what a complete run left: its manifest first, then only the files that it named. The destination is claimed then.
///
/// Until the last of the files is gone a copy of the manifest tells whose they are.
pub(crate) fn remove_complete(store: &dyn Store, manifest: &Manifest) -> io::Result<()> {
    let json = get(store, manifest::NAME)?.unwrap_or_default();
    store.replace(&provisional(manifest::NAME), &json, false)?;
    claim(store)?;
    store.remove(manifest::NAME)?;
    manifest.file_names().try_for_each(|name| store.remove(name))?;
    forget_manifest(store)
}

/// Removes what an interrupted run left, and claims the destination: first its checkpoint goes, for what it tells will not
/// be there, then what has its final name, while the manifest still tells that it is ours.
pub(crate) fn remove_interrupted(store: &dyn Store, left: &Left) -> io::Result<()> {
    let marker = marker();
    store.remove(&safe_name(&marker))?;
    forget_latest(store)?;
    let (provisional_names, sealed): (Vec<_>, Vec<_>) =
        left.names.iter().partition(|name| is_provisional_of_ours(name));
    let mut names = sealed.into_iter().chain(provisional_names).filter(|name| **name != marker);
    names.try_for_each(|name| store.remove(name))
}

/// The name that checkpoints are written to.
pub(crate) fn marker() -> String {
    provisional(MARKER)
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
        assert_eq!(left.names, ["_fhirline.partial"]);
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
        assert_eq!(store.list().expect("in memory"), ["_fhirline.partial"]);
    }

    #[test]
    fn what_others_put_beside_an_interrupted_run_stays() {
        let store = MemoryStore::new();
        claim(&store).expect("in memory");
        store.put_if_absent("notes.txt", b"mine").expect("new name");
        let Holds::Interrupted(left) = look(&store).expect("in memory") else { panic!("not interrupted") };
        remove_interrupted(&store, &left).expect("in memory");
        assert_eq!(store.list().expect("in memory"), ["_fhirline.partial", "notes.txt"]);
    }
}
