//! A manifest that is a source itself: a file that somebody has saved, say from a server's answer.

use std::collections::HashSet;
use std::path::Path;

use crate::manifest::{self, Said};
use crate::walk::{self, Item, Options};

/// What the manifest at `path` stands for; `None` if that file is none. What lies beside it is read there, and what does not is
/// asked for under its URL.
pub(crate) fn found_in(path: &Path, options: &Options) -> Option<Vec<Item>> {
    Some(match manifest::named(path)? {
        Ok(said) => found_by(path, said, options),
        Err(error) => vec![Err(error)],
    })
}

fn found_by(path: &Path, said: Said, options: &Options) -> Vec<Item> {
    let Said { files, requires_token, next } = said;
    let name = path.display().to_string();
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for (file, at) in manifest::beside(path, files) {
        let elsewhere = at.is_err().then(|| options.network.found_elsewhere(&file, requires_token));
        if let Some(item) = elsewhere.flatten() {
            found.push(item);
            continue;
        }
        let is_new = at.as_ref().is_ok_and(|at| seen.insert(at.clone()));
        let listed = file.taken(at, is_new, &name);
        found.extend(
            listed.map(|listed| listed.and_then(|listed| walk::file_of_manifest(folder, listed, options))),
        );
    }
    if let Some(next) = next {
        found.extend(options.network.found_on_page(&name, &next));
    }
    found
}
