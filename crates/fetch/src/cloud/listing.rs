//! What the URL of an object or a prefix stands for.

use std::collections::HashSet;
use std::io::BufReader;
use std::path::{self, Component};
use std::sync::Arc;
use std::vec;

use fhirline_core::Origin;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::bucket::{CloudBucket, wait};
use super::pages::Pages;
use super::{CloudError, CloudOptions, ObjectOrigin, ObjectUrl};
use crate::manifest::{self, Document, Listed, ListedFile, ListedUrl, MANIFEST};
use crate::manifest_form::{MAX_BYTES, MAX_OUTPUTS};
use crate::manifest_source::Beside;
use crate::network::Network;
use crate::pattern::PathPattern;
use crate::walk::{Item, kept_out_by_name};
use crate::{FetchError, Found, FoundBy, SkipReason};

/// What is asked for at a time when an object is looked at.
const LOOK_BYTES: usize = 64 << 10;

/// The sources that a URL names, one at a time, in the order of the bytes of their keys.
///
/// - The object that has that key, if there is one (and it is not the empty mark of a folder): data, or the files of the
///   manifest that it is by its content, beside it or, if they are not there, at their URLs;
/// - otherwise, if `*` or `[` is in it, what matches it as a pattern: as for files, `*` matches within one name but not a
///   leading dot, `[...]` a choice of characters, and `**` folders at any depth (`?` begins a query, which is refused). Of
///   those, only names that end in `.json` are looked at whether they are manifests;
/// - otherwise all objects below it, as if the slashes in their keys divided folders, by the rules of folders: names
///   that begin with `_` or `.` or end in `.partial` are skipped, and a folder that holds a `manifest.json` with an `output`
///   array is read through it (see [`Selection`](crate::Selection)). To find out, one request a folder is made.
///
/// Nothing is asked of the store before the first item. An error of the store ends the list.
///
/// # Memory
///
/// One page of the store's list (up to 5,000 keys), the folders on the way down, and the outputs of one manifest.
///
/// ```
/// use fhirline_fetch::{CloudBucket, Found, Objects};
///
/// let bucket = CloudBucket::in_memory();
/// for key in ["export/b.ndjson", "export/a/1.ndjson", "export/_log"] {
///     bucket.put(key, b"{}\n")?;
/// }
/// let mut names = Vec::new();
/// for found in Objects::in_bucket(&bucket.at("export/")?) {
///     if let Found::Source { origin, .. } = found? {
///         names.push(origin.name().to_owned());
///     }
/// }
/// assert_eq!(names, ["memory://memory/export/a/1.ndjson", "memory://memory/export/b.ndjson"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Objects {
    state: State,
    exclude: Option<ObjectUrl>,
    network: Network,
}

#[derive(Debug)]
enum State {
    Unopened(ObjectUrl, CloudOptions),
    Opened(CloudBucket),
    Walking(Box<Walk>),
    Done,
}

impl Objects {
    /// What the URL names.
    #[must_use]
    pub fn of(url: &ObjectUrl, options: &CloudOptions) -> Self {
        Self::new(State::Unopened(url.clone(), options.clone()))
    }

    /// What the bucket's [root](CloudBucket::url) names.
    #[must_use]
    pub fn in_bucket(bucket: &CloudBucket) -> Self {
        Self::new(State::Opened(bucket.clone()))
    }

    fn new(state: State) -> Self {
        Self { state, exclude: None, network: Network::default() }
    }

    /// Asks like this for what a manifest names elsewhere.
    pub(crate) fn with_network(self, network: Network) -> Self {
        Self { network, ..self }
    }

    /// Leaves out what lies below a prefix (the destination) wherever it turns up below another one.
    #[must_use]
    pub fn excluding(self, prefix: &ObjectUrl) -> Self {
        Self { exclude: Some(prefix.clone()), ..self }
    }

    fn begin(&self, bucket: CloudBucket) -> Result<State, FetchError> {
        let exclude =
            self.exclude.as_ref().filter(|exclude| exclude.bucket_url() == bucket.url().bucket_url());
        let exclude = exclude.map(|exclude| folder_of(&exclude.path()));
        Ok(State::Walking(Box::new(Walk::begin(bucket, exclude, self.network.clone())?)))
    }

    fn advance(&mut self) -> Result<Option<Found>, FetchError> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Done) {
                State::Unopened(url, options) => State::Opened(CloudBucket::open(&url, &options)?),
                State::Opened(bucket) => self.begin(bucket)?,
                State::Walking(mut walk) => match walk.next() {
                    Some(item) => {
                        self.state = State::Walking(walk);
                        return item.map(Some);
                    }
                    None => State::Done,
                },
                State::Done => return Ok(None),
            }
        }
    }
}

impl Iterator for Objects {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        self.advance().transpose()
    }
}

/// What is read in a folder.
#[derive(Clone, Debug)]
enum Rule {
    /// Whatever may be data.
    Data,
    /// Nothing: the manifest of the folder named what is, and this tells what else there is.
    Rest(HashSet<String>),
    /// What matches.
    Matches { pattern: Arc<PathPattern>, depth: usize },
}

/// A folder on the way down: its key with a slash behind it, or nothing for the bucket.
#[derive(Debug)]
struct Folder {
    key: String,
    rule: Rule,
}

/// The outputs of a manifest that are still to be found.
#[derive(Debug)]
struct Outputs {
    manifest: String,
    folder: String,
    files: vec::IntoIter<ListedUrl>,
    keys: HashSet<String>,
}

struct Walk {
    bucket: CloudBucket,
    /// The destination's key, with a slash behind it.
    exclude: Option<String>,
    network: Network,
    /// What is found at the place where the walk stands.
    named: vec::IntoIter<Item>,
    pages: Option<Pages>,
    folders: Vec<Folder>,
    outputs: Option<Outputs>,
    /// The object at which the walk stands.
    at: Option<ObjectMeta>,
    /// A folder, with its slash, whose objects are passed over.
    over: Option<String>,
    pattern: Option<Arc<PathPattern>>,
    found_any: bool,
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk")
            .field("bucket", &self.bucket)
            .field("folders", &self.folders)
            .finish_non_exhaustive()
    }
}

impl Walk {
    fn begin(bucket: CloudBucket, exclude: Option<String>, network: Network) -> Result<Self, FetchError> {
        let mut walk = Self {
            bucket,
            exclude,
            network,
            named: Vec::new().into_iter(),
            pages: None,
            folders: Vec::new(),
            outputs: None,
            at: None,
            over: None,
            pattern: None,
            found_any: false,
        };
        let url = walk.bucket.url().clone();
        let object = if url.is_prefix() { None } else { walk.look_at(&url)? };
        // What exists is meant as it is, whatever characters it is made of.
        if object.is_none() && PathPattern::is_meant_by(url.key()) {
            walk.begin_pattern(&url)?;
        } else {
            walk.begin_key(&url, object)?;
        }
        Ok(walk)
    }

    fn begin_pattern(&mut self, url: &ObjectUrl) -> Result<(), FetchError> {
        let pattern = Arc::new(PathPattern::parse(url.key())?);
        let base = pattern.base().to_string_lossy().into_owned();
        let prefix = url.with_key(&base)?.path();
        self.pages = Some(Pages::below(&self.bucket, &prefix));
        self.folders
            .push(Folder { key: base, rule: Rule::Matches { pattern: Arc::clone(&pattern), depth: 0 } });
        self.pattern = Some(pattern);
        Ok(())
    }

    fn begin_key(&mut self, url: &ObjectUrl, object: Option<ObjectMeta>) -> Result<(), FetchError> {
        let path = url.path();
        let mut pages = match object {
            Some(meta) if meta.size > 0 => {
                self.named = self.found_in(&meta).into_iter();
                return Ok(());
            }
            _ => Pages::below(&self.bucket, &path),
        };
        let first = pages.find(|item| !item.as_ref().is_ok_and(|meta| meta.location == path)).transpose()?;
        match (first, object) {
            (None, Some(empty)) => self.named = vec![Ok(self.source(&empty, FoundBy::Name))].into_iter(),
            (None, None) => return Err(CloudError::Nothing { url: url.to_string() }.into()),
            (Some(first), _) => {
                self.at = Some(first);
                self.pages = Some(pages);
                self.enter(folder_of(&path))?;
            }
        }
        Ok(())
    }

    /// What is known of an object; `None` if there is none of that key.
    fn look_at(&self, url: &ObjectUrl) -> Result<Option<ObjectMeta>, CloudError> {
        let (objects, path) = (Arc::clone(self.bucket.objects()), url.path());
        match wait(url, async move { objects.head(&path).await })? {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(CloudError::reading(url, &error)),
        }
    }

    fn source(&self, meta: &ObjectMeta, by: FoundBy) -> Found {
        let url = self.bucket.url_of(&meta.location);
        Found::source(ObjectOrigin::new(self.bucket.clone(), url, Some(meta)), by)
    }

    /// What an object stands for that was named, or that a pattern matches: itself, or the files of the manifest that it is.
    fn found_in(&self, meta: &ObjectMeta) -> Vec<Item> {
        let url = self.bucket.url_of(&meta.location);
        let open = || {
            let bucket = self.bucket.clone().window_bytes(LOOK_BYTES);
            ObjectOrigin::new(bucket, url.clone(), Some(meta)).open_at(0)
        };
        let said = if meta.size <= MAX_BYTES { manifest::said_by(&url.to_string(), open) } else { None };
        let folder = meta.location.as_ref().rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = folder_of(&Path::parse(folder).unwrap_or_default());
        let manifest = url.to_string();
        let beside = Beside {
            manifest: manifest.clone(),
            find: |file: &ListedUrl| self.find_output(&manifest, &folder, file),
            place: |meta: &ObjectMeta| meta.location.to_string(),
            source: |listed| Ok(self.listed(listed)),
        };
        match said {
            None => vec![Ok(self.source(meta, FoundBy::Name))],
            Some(Ok(said)) => beside.found(said, &self.network),
            Some(Err(error)) => vec![Err(error)],
        }
    }

    fn skipped(&self, key: &str, why: SkipReason) -> Found {
        let name = self.bucket.url_of(&Path::parse(key).unwrap_or_default()).to_string();
        Found::Skipped { name, why }
    }

    /// Goes into a folder of data, through its manifest if it has one.
    fn enter(&mut self, folder: String) -> Result<(), FetchError> {
        let url = self.bucket.url().with_key(&format!("{folder}{MANIFEST}"))?;
        self.folders.push(Folder { key: folder.clone(), rule: Rule::Data });
        let Some(meta) = self.look_at(&url)? else { return Ok(()) };
        let manifest = url.to_string();
        let origin = ObjectOrigin::new(self.bucket.clone(), url, Some(&meta));
        let unreadable = |source| FetchError::Unreadable { name: manifest.clone(), source };
        let text = BufReader::new(origin.open_at(0).map_err(unreadable)?);
        let document = manifest::read_from(text, MAX_BYTES, MAX_OUTPUTS);
        match document.map_err(unreadable)? {
            None => Ok(()),
            Some(Document::TooLarge) => Err(manifest::too_large(manifest)),
            Some(Document::Manifest(said)) => {
                let (files, keys) = (said.files.into_iter(), HashSet::new());
                self.outputs = Some(Outputs { manifest, folder, files, keys });
                Ok(())
            }
        }
    }

    /// The next output of a manifest, or nothing: then the rest of its folder is walked.
    fn next_output(&mut self) -> Option<Item> {
        let mut outputs = self.outputs.take()?;
        while let Some(file) = outputs.files.next() {
            let found = self.find_output(&outputs.manifest, &outputs.folder, &file);
            let is_new = found.as_ref().is_ok_and(|meta| outputs.keys.insert(meta.location.to_string()));
            let Some(listed) = file.taken(found, is_new, &outputs.manifest) else { continue };
            self.outputs = Some(outputs);
            return Some(listed.map(|listed| self.listed(listed)));
        }
        if let Some(folder) = self.folders.last_mut() {
            folder.rule = Rule::Rest(outputs.keys);
        }
        None
    }

    fn listed(&self, listed: Listed<ObjectMeta>) -> Found {
        let ListedFile { at, role, declared } = match listed {
            Listed::File(file) => file,
            Listed::Skipped { name, why } => return Found::Skipped { name, why },
        };
        let key = at.location.as_ref();
        if self.exclude.as_ref().is_some_and(|exclude| key.starts_with(exclude.as_str())) {
            return self.skipped(key, SkipReason::Destination);
        }
        let url = self.bucket.url_of(&at.location);
        let origin = Box::new(ObjectOrigin::new(self.bucket.clone(), url, Some(&at)));
        Found::Source { origin, by: FoundBy::Manifest, role, declared }
    }

    fn find_output(&self, manifest: &str, folder: &str, file: &ListedUrl) -> Result<ObjectMeta, FetchError> {
        for path in file.candidates(manifest)? {
            let Some(below) = key_of(&path) else { continue };
            let Ok(object) = self.bucket.url().with_key(&format!("{folder}{below}")) else { continue };
            if object.is_prefix() {
                continue;
            }
            if let Some(meta) = self.look_at(&object)? {
                return Ok(meta);
            }
        }
        Err(manifest::missing(manifest, &file.url))
    }

    /// Visits the object at which the walk stands. It stays there while folders on the way to it are entered.
    fn visit(&mut self, meta: ObjectMeta) -> Result<Option<Found>, FetchError> {
        let key = meta.location.as_ref();
        if self.over.as_ref().is_some_and(|over| key.starts_with(over.as_str())) {
            return Ok(None);
        }
        if let Some(exclude) = self.exclude.clone().filter(|exclude| key.starts_with(exclude.as_str())) {
            let found = self.skipped(&exclude, SkipReason::Destination);
            self.over = Some(exclude);
            return Ok(Some(found));
        }
        while self.folders.last().is_some_and(|folder| !key.starts_with(&folder.key)) {
            self.folders.pop();
        }
        let Some(folder) = self.folders.last() else { return Ok(None) };
        let below = key.strip_prefix(&folder.key).unwrap_or(key);
        if let Rule::Rest(outputs) = &folder.rule {
            return Ok(rest(key, below, outputs).map(|why| self.skipped(key, why)));
        }
        match below.split_once('/') {
            Some((name, _)) => {
                let inner = format!("{}{name}/", folder.key);
                let name = name.to_owned();
                self.visit_folder(meta, inner, &name)
            }
            None => {
                self.named = self.visit_object(&meta, below, folder).into_iter();
                Ok(None)
            }
        }
    }

    fn visit_object(&self, meta: &ObjectMeta, name: &str, folder: &Folder) -> Vec<Item> {
        let key = meta.location.as_ref();
        if let Rule::Matches { pattern, .. } = &folder.rule {
            let below = pattern.base().to_str().and_then(|base| key.strip_prefix(base));
            let matches = below.is_some_and(|below| pattern.matches(path::Path::new(below), false));
            return match matches {
                false => Vec::new(),
                // To look is one request more an object.
                true if name.ends_with(".json") => self.found_in(meta),
                true => vec![Ok(self.source(meta, FoundBy::Name))],
            };
        }
        vec![Ok(match kept_out_by_name(name.as_bytes()) {
            Some(why) => self.skipped(key, why),
            None => self.source(meta, FoundBy::Folder),
        })]
    }

    /// Enters the folder `inner`, which the object at which the walk stands lies in, or passes over it.
    fn visit_folder(
        &mut self,
        meta: ObjectMeta,
        inner: String,
        name: &str,
    ) -> Result<Option<Found>, FetchError> {
        let rule = self.folders.last().map(|folder| &folder.rule);
        if let Some(Rule::Matches { pattern, depth }) = rule {
            let base = pattern.base().to_string_lossy();
            let below = inner.strip_prefix(&*base).unwrap_or(&inner).trim_end_matches('/');
            if pattern.matches(path::Path::new(below), true) {
                self.at = Some(meta);
                self.enter(inner)?;
            } else if pattern.may_match_below(*depth, name.as_ref()) {
                let rule = Rule::Matches { pattern: Arc::clone(pattern), depth: depth + 1 };
                self.at = Some(meta);
                self.folders.push(Folder { key: inner, rule });
            } else {
                self.over = Some(inner);
            }
            return Ok(None);
        }
        if let Some(why) = kept_out_by_name(name.as_bytes()) {
            let found = self.skipped(&inner, why);
            self.over = Some(inner);
            return Ok(Some(found));
        }
        self.at = Some(meta);
        self.enter(inner)?;
        Ok(None)
    }

    /// The next step; `None` in the outer option at the end of the walk, in the inner one if there is nothing to say.
    fn advance(&mut self) -> Option<Option<Item>> {
        if let Some(item) = self.named.next() {
            return Some(Some(item));
        }
        if let Some(item) = self.next_output() {
            return Some(Some(item));
        }
        let meta = match self.at.take() {
            Some(meta) => meta,
            None => match self.pages.as_mut()?.next()? {
                Ok(meta) => meta,
                Err(error) => {
                    self.pages = None;
                    return Some(Some(Err(error.into())));
                }
            },
        };
        Some(self.visit(meta).transpose())
    }
}

impl Iterator for Walk {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        while let Some(step) = self.advance() {
            if let Some(item) = step {
                self.found_any = true;
                return Some(item);
            }
        }
        let none_at_all = !std::mem::replace(&mut self.found_any, true) && self.pattern.is_some();
        none_at_all.then(|| Err(FetchError::NoMatch { pattern: self.bucket.url().to_string() }))
    }
}

/// Why an object in a folder that is read through its manifest is not read; `None` if the manifest names it.
fn rest(key: &str, below: &str, outputs: &HashSet<String>) -> Option<SkipReason> {
    if outputs.contains(key) {
        return None;
    }
    let name = below.rsplit('/').next().unwrap_or_default();
    let manifest = (below == MANIFEST).then_some(SkipReason::Manifest);
    manifest.or_else(|| kept_out_by_name(name.as_bytes())).or(Some(SkipReason::NotInManifest))
}

fn folder_of(path: &Path) -> String {
    if path.as_ref().is_empty() { String::new() } else { format!("{path}/") }
}

/// A path made of plain names as a key; `None` if a name is not UTF-8.
fn key_of(path: &path::Path) -> Option<String> {
    let names: Option<Vec<&str>> = path
        .components()
        .map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    names.map(|names| names.join("/"))
}
