//! A folder of files to select from, and what a selection says of it in short.

use std::fs;
use std::path::{Path, PathBuf};

use fhirline_core::SourceRole;
use fhirline_fetch::{FetchError, Found, FoundBy, Selection};
use tempfile::TempDir;

pub(crate) struct Tree(TempDir);

impl Tree {
    /// Files of these relative paths, each with its path as content; a path that ends in `/` is an empty folder.
    pub(crate) fn new(paths: &[&str]) -> Self {
        let tree = Self(tempfile::tempdir().expect("a folder"));
        for path in paths {
            tree.write(path, path);
        }
        tree
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let full = self.path(path);
        if path.ends_with('/') {
            fs::create_dir_all(full).expect("made");
            return;
        }
        fs::create_dir_all(full.parent().expect("below the tree")).expect("made");
        fs::write(full, content).expect("written");
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn select(&self, paths: &[&str]) -> Selection {
        let paths = paths.iter().map(|path| self.path(path));
        Selection::parse(paths).expect("a selection")
    }

    /// One line for each thing found: `source PATH`, `named PATH`, `listed PATH`, `listed PATH as ROLE`, `skipped PATH: WHY`,
    /// `error MESSAGE`.
    pub(crate) fn lines(&self, selection: &Selection) -> Vec<String> {
        selection.expand().map(|found| self.line(&found)).collect()
    }

    /// What a selection of the whole folder says.
    pub(crate) fn walk(&self) -> Vec<String> {
        self.lines(&self.select(&[""]))
    }

    pub(crate) fn line(&self, found: &Result<Found, FetchError>) -> String {
        let line = match found {
            Ok(Found::Source { origin, by, role, .. }) => {
                let by = match by {
                    FoundBy::Folder => "source",
                    FoundBy::Name => "named",
                    FoundBy::Manifest => "listed",
                };
                let role = if *role == SourceRole::Data { String::new() } else { format!(" as {role:?}") };
                format!("{by} {}{role}", origin.name())
            }
            Ok(Found::Skipped { name, why }) => format!("skipped {name}: {why:?}"),
            Err(error) => format!("error {error}"),
        };
        line.replace(&format!("{}/", self.root().display()), "")
    }
}
