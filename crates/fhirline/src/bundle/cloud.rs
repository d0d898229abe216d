//! Bundles below a prefix of an object store.

use std::path::Path;
use std::sync::Arc;

use fhirline_core::{PARTIAL_SUFFIX, Store};
use fhirline_sink::FinishedBundles;

use super::target::{Claim, Held, Opening, Place, Target};
use crate::JobError;
use crate::prefix::Prefix;

/// Says that a run gives its outputs their names: what has one is not all there is.
const SEALING: &str = "_sealing.partial";

pub(super) fn target_at(path: &Path, url: &str) -> Result<Target, JobError> {
    let name = crate::split::Target::of(path.to_owned()).name();
    let prefix = Prefix::parse(name.clone(), url)?;
    if prefix.url.key().ends_with(".json") {
        let why =
            "Bundles have numbers below a prefix; a prefix that is called so ends in a slash".to_owned();
        return Err(JobError::BadDestination { name, why });
    }
    Ok(Target::numbered(name, Place::Prefix(prefix)))
}

impl Target {
    /// The same as for a folder. Of a run that was killed nothing is there but what it had given names to.
    pub(super) fn open_prefix(&self, prefix: &Prefix, opening: &mut Opening<'_>) -> Result<Held, JobError> {
        let Opening { overwrite, spool_dir, upload_bytes, copies, network, cancel, on_wait } = opening;
        let store = prefix.store(network, spool_dir, *upload_bytes, *copies)?;
        let claim = prefix.claim(&store, cancel, &mut |at_most| on_wait(&self.name, at_most))?;
        let names = store.list().map_err(self.failed("look into"))?;
        if !names.iter().all(|name| self.is_ours(name) || name == SEALING) {
            return Err(JobError::NotOurs { name: self.name.clone() });
        }
        let is_sealing = names.iter().any(|name| name == SEALING);
        let (partials, mut old): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| name.ends_with(PARTIAL_SUFFIX));
        if let (Some(name), false, false) = (old.first(), *overwrite, is_sealing) {
            return Err(JobError::Exists { name: self.shown(name) });
        }
        if is_sealing {
            self.remove(&store, &std::mem::take(&mut old))?;
        }
        self.remove(&store, &partials)?;
        Ok(Held { store: Arc::new(store), old, _claim: Claim::Prefix { _claim: claim } })
    }

    /// Ends the uploads of outputs that are not complete.
    pub(super) fn remove_uploads(&self, store: &dyn Store) -> Result<(), JobError> {
        let mut names = store.list().map_err(self.failed("look into"))?;
        names.retain(|name| name.ends_with(PARTIAL_SUFFIX) && name != SEALING);
        self.remove(store, &names)
    }

    pub(super) fn seal_prefix(&self, held: &Held, finished: FinishedBundles) -> Result<(), JobError> {
        held.store.replace(SEALING, b"", false).map_err(self.failed("write to"))?;
        finished.seal()?;
        held.store.remove(SEALING).map_err(self.failed("clean"))
    }
}
