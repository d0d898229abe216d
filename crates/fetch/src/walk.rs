use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use fhirline_core::PARTIAL_SUFFIX;

use crate::listing::{Entry, Kind, Listing};
use crate::manifest::{self, Listed, ListedFile, MANIFEST, Outputs};
use crate::network::Network;
use crate::pattern::PathPattern;
use crate::{FetchError, FileOrigin, Found, FoundBy, SkipReason, manifest_source};

/// Names of one folder that are held at once: 1 to 5 MB, and 62 passes over a folder of a million files.
const NAMES_AT_ONCE: usize = 16_384;

/// How to walk.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The canonical path of a folder that is never entered.
    pub(crate) exclude: Option<Arc<Path>>,
    /// How many names of one folder are held at once.
    pub(crate) names_at_once: usize,
    /// Whether files are opened to see that they can be.
    pub(crate) try_files: bool,
    /// How what manifests name elsewhere is asked for.
    pub(crate) network: Network,
}

impl Default for Options {
    fn default() -> Self {
        Self { exclude: None, names_at_once: NAMES_AT_ONCE, try_files: true, network: Network::default() }
    }
}

/// What is read in a folder.
#[derive(Clone, Debug)]
enum Rule {
    /// Whatever may be data.
    Data,
    /// Nothing: the manifest in the folder `base` named what is, and this walk tells what else there is.
    Rest { base: Arc<Path>, outputs: Arc<HashSet<Arc<Path>>> },
    /// What matches.
    Matches { pattern: Arc<PathPattern>, depth: usize },
}

#[derive(Debug)]
enum Step {
    /// A folder that was not looked at yet.
    Enter {
        path: PathBuf,
        rule: Rule,
    },
    Folder(Folder),
    /// The outputs that the manifest of the folder `base` names.
    Outputs {
        base: Arc<Path>,
        in_order: vec::IntoIter<Result<Listed<Arc<Path>>, FetchError>>,
    },
    /// What a manifest stands for that a pattern matches.
    Found(vec::IntoIter<Item>),
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    canonical: PathBuf,
    listing: Listing,
    rule: Rule,
}

pub(crate) type Item = Result<Found, FetchError>;

/// What lies in a folder and the folders below it, in the order of path bytes.
#[derive(Debug)]
pub(crate) struct Walk {
    options: Options,
    /// The way down to where the walk stands.
    stack: Vec<Step>,
}

impl Walk {
    /// What may be data in `folder`.
    pub(crate) fn of_folder(folder: PathBuf, options: Options) -> Self {
        Self { options, stack: vec![Step::Enter { path: folder, rule: Rule::Data }] }
    }

    /// What matches the pattern.
    pub(crate) fn of_pattern(pattern: Arc<PathPattern>, options: Options) -> Self {
        let path = pattern.base().to_owned();
        Self { options, stack: vec![Step::Enter { path, rule: Rule::Matches { pattern, depth: 0 } }] }
    }

    /// Takes the next step; `None` in the outer option at the end of the walk, in the inner one if there is nothing to say.
    fn advance(&mut self) -> Option<Option<Item>> {
        match self.stack.last_mut()? {
            Step::Enter { .. } => {
                let Some(Step::Enter { path, rule }) = self.stack.pop() else { return None };
                Some(self.enter(path, None, rule))
            }
            Step::Outputs { base, in_order } => {
                let base = Arc::clone(base);
                let Some(output) = in_order.next() else {
                    self.stack.pop();
                    return Some(None);
                };
                Some(Some(output.and_then(|listed| file_of_manifest(&base, listed, &self.options))))
            }
            Step::Found(found) => {
                let next = found.next();
                if next.is_none() {
                    self.stack.pop();
                }
                Some(next)
            }
            Step::Folder(_) => Some(self.advance_folder()),
        }
    }

    fn advance_folder(&mut self) -> Option<Item> {
        let names_at_once = self.options.names_at_once;
        let Some(Step::Folder(folder)) = self.stack.last_mut() else { return None };
        if folder.listing.needs_pass() {
            if let Err(error) = folder.listing.pass(on_disk(&folder.path), names_at_once) {
                let error = FetchError::unreadable(on_disk(&folder.path), error);
                self.stack.pop();
                return Some(Err(error));
            }
            self.bound_listings();
            return None;
        }
        let Some(entry) = folder.listing.next() else {
            self.stack.pop();
            return None;
        };
        let path = folder.path.join(&entry.name);
        let canonical = (!entry.linked).then(|| folder.canonical.join(&entry.name));
        let rule = folder.rule.clone();
        match rule {
            Rule::Data => self.visit_data(path, &entry, canonical),
            Rule::Rest { .. } => self.visit_rest(path, &entry, canonical, rule),
            Rule::Matches { pattern, depth } => self.visit_candidate(path, &entry, canonical, pattern, depth),
        }
    }

    fn visit_data(&mut self, path: PathBuf, entry: &Entry, canonical: Option<PathBuf>) -> Option<Item> {
        if let Some(why) = kept_out(entry) {
            return Some(skipped(&path, why));
        }
        match entry.kind {
            Kind::Folder => self.enter(path, canonical, Rule::Data),
            Kind::File => Some(file(path, entry.linked, FoundBy::Folder, &self.options)),
            Kind::Special => Some(skipped(&path, SkipReason::Special)),
        }
    }

    fn visit_rest(
        &mut self,
        path: PathBuf,
        entry: &Entry,
        canonical: Option<PathBuf>,
        rule: Rule,
    ) -> Option<Item> {
        let Rule::Rest { base, outputs } = &rule else { return None };
        let below = path.strip_prefix(base).unwrap_or(&path);
        if entry.kind == Kind::Folder {
            return self.enter(path, canonical, rule);
        }
        if outputs.contains(below) {
            return None;
        }
        let manifest = (below == Path::new(MANIFEST)).then_some(SkipReason::Manifest);
        let why = manifest.or_else(|| kept_out(entry)).unwrap_or(SkipReason::NotInManifest);
        Some(skipped(&path, why))
    }

    fn visit_candidate(
        &mut self,
        path: PathBuf,
        entry: &Entry,
        canonical: Option<PathBuf>,
        pattern: Arc<PathPattern>,
        depth: usize,
    ) -> Option<Item> {
        let below = path.strip_prefix(pattern.base()).unwrap_or(&path);
        let matches = pattern.matches(below, entry.kind == Kind::Folder);
        match entry.kind {
            Kind::Folder if matches => self.enter(path, canonical, Rule::Data),
            Kind::Folder if pattern.may_match_below(depth, &entry.name) => {
                self.enter(path, canonical, Rule::Matches { pattern, depth: depth + 1 })
            }
            Kind::File if matches => self.visit_named(path, entry),
            Kind::Special if matches => Some(skipped(&path, SkipReason::Special)),
            _ => None,
        }
    }

    fn visit_named(&mut self, path: PathBuf, entry: &Entry) -> Option<Item> {
        match manifest_source::found_in(&path, &self.options) {
            None => Some(file(path, entry.linked, FoundBy::Name, &self.options)),
            Some(found) => {
                self.stack.push(Step::Found(found.into_iter()));
                None
            }
        }
    }

    /// Goes into a folder; its canonical path must be found out unless it is known.
    fn enter(&mut self, path: PathBuf, canonical: Option<PathBuf>, rule: Rule) -> Option<Item> {
        let canonical = match canonical.map_or_else(|| fs::canonicalize(on_disk(&path)), Ok) {
            Ok(canonical) => canonical,
            Err(error) => return Some(Err(FetchError::unreadable(on_disk(&path), error))),
        };
        if self.options.exclude.as_ref().is_some_and(|exclude| canonical.starts_with(exclude)) {
            return Some(skipped(on_disk(&path), SkipReason::Destination));
        }
        if self.is_on_the_way(&canonical) {
            return Some(skipped(&path, SkipReason::Loop));
        }
        let outputs = match rule {
            Rule::Data => match manifest::outputs_of(&path) {
                Ok(outputs) => outputs,
                Err(error) => return Some(Err(error)),
            },
            Rule::Rest { .. } | Rule::Matches { .. } => None,
        };
        self.push(Folder { path, canonical, listing: Listing::default(), rule }, outputs);
        None
    }

    /// The outputs that the folder's manifest names come first, and what else is there behind them.
    fn push(&mut self, mut folder: Folder, outputs: Option<Outputs>) {
        let Some(Outputs { in_order, paths }) = outputs else {
            self.stack.push(Step::Folder(folder));
            return;
        };
        let base: Arc<Path> = folder.path.as_path().into();
        folder.rule = Rule::Rest { base: Arc::clone(&base), outputs: paths };
        self.stack.push(Step::Folder(folder));
        self.stack.push(Step::Outputs { base, in_order });
    }

    /// Whether the walk came to where it stands through that folder: only a link can lead back into it.
    fn is_on_the_way(&self, canonical: &Path) -> bool {
        self.stack.iter().any(|step| matches!(step, Step::Folder(folder) if folder.canonical == canonical))
    }

    /// Lets the outermost folders forget what they listed when all on the way down together hold too much; they are the
    /// last to be needed again.
    fn bound_listings(&mut self) {
        let mut held: usize = self.listings().map(|listing| listing.held()).sum();
        let most = self.options.names_at_once.saturating_mul(2);
        for listing in self.listings() {
            if held <= most {
                return;
            }
            held -= listing.held();
            listing.release();
        }
    }

    fn listings(&mut self) -> impl Iterator<Item = &mut Listing> {
        self.stack.iter_mut().filter_map(|step| match step {
            Step::Folder(folder) => Some(&mut folder.listing),
            Step::Enter { .. } | Step::Outputs { .. } | Step::Found(_) => None,
        })
    }
}

impl Iterator for Walk {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.advance()? {
                return Some(item);
            }
        }
    }
}

/// The file as a source, or why it is none.
pub(crate) fn file(path: PathBuf, linked: bool, by: FoundBy, options: &Options) -> Item {
    if linked && let Some(exclude) = &options.exclude {
        let canonical = fs::canonicalize(&path).map_err(|error| FetchError::unreadable(&path, error))?;
        if canonical.starts_with(exclude) {
            return skipped(&path, SkipReason::Destination);
        }
    }
    if options.try_files {
        File::open(&path).map_err(|error| FetchError::unreadable(&path, error))?;
    }
    Ok(Found::source(FileOrigin::new(path), by))
}

/// What a manifest in the folder `base` lists, as a source.
pub(crate) fn file_of_manifest(base: &Path, listed: Listed<Arc<Path>>, options: &Options) -> Item {
    let ListedFile { at, role, declared } = match listed {
        Listed::File(file) => file,
        Listed::Skipped { name, why } => return Ok(Found::Skipped { name, why }),
    };
    // Whether the path leads over links is not known, so all are taken as if they did.
    Ok(match file(base.join(at), true, FoundBy::Manifest, options)? {
        Found::Source { origin, by, .. } => Found::Source { origin, by, role, declared },
        skipped @ Found::Skipped { .. } => skipped,
    })
}

fn skipped(path: &Path, why: SkipReason) -> Item {
    Ok(Found::Skipped { name: path.display().to_string(), why })
}

/// Why a name in a folder is not read although nobody looked at what it stands for.
fn kept_out(entry: &Entry) -> Option<SkipReason> {
    kept_out_by_name(entry.name.as_encoded_bytes())
}

/// The same for a name alone.
pub(crate) fn kept_out_by_name(name: &[u8]) -> Option<SkipReason> {
    if name.starts_with(b"_") || name.starts_with(b".") {
        return Some(SkipReason::Hidden);
    }
    name.ends_with(PARTIAL_SUFFIX.as_bytes()).then_some(SkipReason::Partial)
}

/// The working folder has an empty path in front of the names that a pattern finds in it.
pub(crate) fn on_disk(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_listings_on_the_way_down_together_are_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        for a in 0..5 {
            for b in 0..5 {
                for c in 0..5 {
                    let path = folder.path().join(format!("{a}/{b}/{c}"));
                    fs::create_dir_all(&path).expect("made");
                    File::create(path.join("x")).expect("written");
                }
            }
        }
        let options = Options { names_at_once: 4, try_files: false, ..Options::default() };
        let mut walk = Walk::of_folder(folder.path().to_owned(), options);
        let (mut sources, mut most_held) = (0, 0);
        while let Some(item) = walk.advance() {
            sources += usize::from(item.is_some());
            most_held = most_held.max(walk.listings().map(|listing| listing.held()).sum());
        }
        assert_eq!(sources, 125);
        assert!((5..=8).contains(&most_held), "{most_held} names were held");
    }
}
