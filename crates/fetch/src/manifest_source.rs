//! A manifest that is a source itself: a file or an object that somebody has saved, say from a server's answer.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::Path;
use std::sync::Arc;

use crate::FetchError;
use crate::manifest::{self, Listed, ListedUrl, Said};
use crate::network::Network;
use crate::walk::{self, Item, Options};

/// What the manifest at `path` stands for; `None` if that file is none. What lies beside it is read there, and what does not is
/// asked for under its URL.
pub(crate) fn found_in(path: &Path, options: &Options) -> Option<Vec<Item>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let beside = Beside {
        manifest: path.display().to_string(),
        find: |file: &ListedUrl| manifest::beside(path, file),
        place: Arc::clone,
        source: |listed| walk::file_of_manifest(folder, listed, options),
    };
    Some(match manifest::named(path)? {
        Ok(said) => beside.found(said, &options.network),
        Err(error) => vec![Err(error)],
    })
}

/// What lies beside a manifest: how a file of it is found, by what two of them are the same, and how one is read.
pub(crate) struct Beside<F, P, S> {
    /// As it is shown.
    pub(crate) manifest: String,
    pub(crate) find: F,
    pub(crate) place: P,
    pub(crate) source: S,
}

impl<F, P, S> Beside<F, P, S> {
    /// What the manifest stands for.
    pub(crate) fn found<T, K>(&self, said: Said, network: &Network) -> Vec<Item>
    where
        K: Eq + Hash,
        F: Fn(&ListedUrl) -> Result<T, FetchError>,
        P: Fn(&T) -> K,
        S: Fn(Listed<T>) -> Item,
    {
        let Said { files, requires_token, next } = said;
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for (file, at) in manifest::sole(&self.manifest, files, &self.find, &self.place) {
            let elsewhere = at.is_err().then(|| network.found_elsewhere(&file, requires_token));
            if let Some(item) = elsewhere.flatten() {
                found.push(item);
                continue;
            }
            let is_new = at.as_ref().is_ok_and(|at| seen.insert((self.place)(at)));
            let listed = file.taken(at, is_new, &self.manifest);
            found.extend(listed.map(|listed| listed.and_then(|listed| (self.source)(listed))));
        }
        if let Some(next) = next {
            found.extend(network.found_on_page(&self.manifest, &next));
        }
        found
    }
}
