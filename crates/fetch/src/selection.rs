use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::iter;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::vec;

use fhirline_core::{Identity, Origin, SourceRole};

use crate::ahead::Ahead;
use crate::manifest::scheme_of;
use crate::network::Network;
use crate::pattern::PathPattern;
use crate::walk::{self, Options, Walk};
use crate::{Declared, FetchError, Found, FoundBy, StandardInput, manifest_source};

/// What a user wrote to name sources: a file, a folder, a pattern or `-`.
#[derive(Clone, Debug)]
pub struct SourceSpec(Kind);

#[derive(Clone, Debug)]
enum Kind {
    #[cfg(feature = "http")]
    Web(WebUrl),
    #[cfg(feature = "cloud")]
    Objects(crate::ObjectUrl),
    StandardInput,
    Path(PathBuf),
    Pattern(Arc<PathPattern>),
    Given(Arc<Given>),
}

/// A source that somebody else has found.
#[derive(Debug)]
struct Given {
    origin: Arc<dyn Origin>,
    role: SourceRole,
    declared: Option<Declared>,
}

/// The same source each time it is found.
#[derive(Debug)]
struct Shared(Arc<dyn Origin>);

impl Origin for Shared {
    fn identity(&self) -> io::Result<Identity> {
        self.0.identity()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        self.0.open_at(offset)
    }

    fn is_at_hand(&self) -> bool {
        self.0.is_at_hand()
    }
}

/// A URL as it was given. Its query may be a key, and it may name a user: neither is shown.
#[cfg(feature = "http")]
#[derive(Clone)]
struct WebUrl(String);

#[cfg(feature = "http")]
impl std::fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::shown::shown(&self.0))
    }
}

impl SourceSpec {
    /// Finds out what was meant.
    ///
    /// `-` is standard input (a file of that name is `./-`). What exists is a file or a folder, whatever characters it is
    /// made of. Anything else with `*`, `?` or `[` in it is a pattern: `*` and `?` match within one name but not a leading
    /// dot, `[...]` a choice of characters, and `**` folders at any depth. With the features `http` and `cloud`, `http://` and
    /// `https://` are servers, and `s3://`, `gs://` and `az://` object stores.
    ///
    /// # Errors
    /// [`FetchError::NotFound`], [`FetchError::Unreadable`], [`FetchError::BadPattern`], [`FetchError::NoMatch`], or
    /// [`FetchError::SchemeNotSupported`] for another URL.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self, FetchError> {
        let text = text.as_ref();
        if text == "-" {
            return Ok(Self(Kind::StandardInput));
        }
        let path = Path::new(text);
        match fs::metadata(path) {
            Ok(_) => Ok(Self(Kind::Path(path.to_owned()))),
            Err(error) if is_absent(&error) => parse_absent(&text.to_string_lossy()),
            Err(error) => Err(FetchError::unreadable(path, error)),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
}

fn parse_absent(text: &str) -> Result<SourceSpec, FetchError> {
    // Before patterns: the query of a URL begins with a question mark, and must not be shown.
    if let Some(scheme) = scheme_of(text) {
        #[cfg(feature = "http")]
        if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Ok(SourceSpec(Kind::Web(WebUrl(text.to_owned()))));
        }
        #[cfg(feature = "cloud")]
        if crate::ObjectUrl::is_meant_by(text) {
            return Ok(SourceSpec(Kind::Objects(text.parse()?)));
        }
        return Err(FetchError::SchemeNotSupported { scheme: scheme.to_owned() });
    }
    if !PathPattern::is_meant_by(text) {
        return Err(FetchError::NotFound { name: text.to_owned() });
    }
    let pattern = Arc::new(PathPattern::parse(text)?);
    // Said now, not after hours spent on the sources before it.
    let options = Options { try_files: false, ..Options::default() };
    match Walk::of_pattern(Arc::clone(&pattern), options).next() {
        None => Err(FetchError::NoMatch { pattern: text.to_owned() }),
        // The folder that the pattern begins in; trouble below it is told in its place.
        Some(Err(error)) if fs::read_dir(walk::on_disk(pattern.base())).is_err() => Err(error),
        Some(_) => Ok(SourceSpec(Kind::Pattern(pattern))),
    }
}

/// The sources of a run, in the order in which they are read.
///
/// In a folder, names that begin with `_` or `.` or end in `.partial` are skipped, and so is what is neither a file nor a
/// folder. Links are followed, except where they lead back into a folder on the way to them. A folder (or one below it)
/// that holds a `manifest.json` with an `output` array is read through it: each output once, in the manifest's order, behind
/// them what it lists as `deleted`, `error` and `outcome`, in roles of their own, and nothing else of that folder. A file is
/// found by its relative path, which must not lead out of the folder, or by the last segment of its URL; one that is not data
/// also in a folder `deleted`, `error` or `outcome`, where some downloaders put it. A missing output is an error, and so is a
/// missing file of deletions: without it, what was deleted would be taken for present. A missing file of errors is only
/// skipped, as is the one that tells of the quarantine in a folder that we wrote. Whatever is skipped is said.
///
/// A file that is named and is such a manifest itself (one JSON object with `output` and `transactionTime`, and without
/// `resourceType`) stands for what it names: what lies beside it, as in a folder, and with the feature `http` what does not is asked
/// for under its URL, as are further pages. A file that two URLs of it could mean is asked for, too.
///
/// What matches a pattern counts as named, as if the shell had put the names in the pattern's place.
///
/// ```
/// use fhirline_fetch::{Found, Selection};
///
/// let folder = tempfile::tempdir()?;
/// for name in ["b.ndjson", "a.ndjson", "_log.txt"] {
///     std::fs::write(folder.path().join(name), b"{}\n")?;
/// }
/// let selection = Selection::parse([folder.path()])?;
/// assert_eq!(selection.total_bytes(), Some(6));
/// let mut names = Vec::new();
/// for found in selection.expand() {
///     if let Found::Source { origin, .. } = found? {
///         names.push(origin.name().rsplit('/').next().unwrap_or_default().to_owned());
///     }
/// }
/// assert_eq!(names, ["a.ndjson", "b.ndjson"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Selection {
    specs: Vec<SourceSpec>,
    options: Options,
    #[cfg(feature = "cloud")]
    exclude_objects: Option<crate::ObjectUrl>,
}

impl Selection {
    /// These sources.
    ///
    /// # Errors
    /// [`FetchError::StandardInputTwice`].
    pub fn new(specs: Vec<SourceSpec>) -> Result<Self, FetchError> {
        if specs.iter().filter(|spec| matches!(spec.0, Kind::StandardInput)).count() > 1 {
            return Err(FetchError::StandardInputTwice);
        }
        Ok(Self::of_specs(specs))
    }

    /// Sources that somebody else has found, say in a manifest: what they are to it, and what it declares of them.
    #[must_use]
    pub fn of_origins(
        origins: impl IntoIterator<Item = (Arc<dyn Origin>, SourceRole, Option<Declared>)>,
    ) -> Self {
        let given =
            |(origin, role, declared)| SourceSpec(Kind::Given(Arc::new(Given { origin, role, declared })));
        Self::of_specs(origins.into_iter().map(given).collect())
    }

    fn of_specs(specs: Vec<SourceSpec>) -> Self {
        Self {
            specs,
            options: Options::default(),
            #[cfg(feature = "cloud")]
            exclude_objects: None,
        }
    }

    /// What a user wrote, one text a source.
    ///
    /// # Errors
    /// Those of [`SourceSpec::parse`] and [`new`](Self::new).
    pub fn parse<T: AsRef<OsStr>>(texts: impl IntoIterator<Item = T>) -> Result<Self, FetchError> {
        Self::new(texts.into_iter().map(SourceSpec::parse).collect::<Result<_, _>>()?)
    }

    /// Asks servers and object stores like this; as their environment says, and without credentials of HTTP, unless set. Nothing is
    /// asked yet.
    ///
    /// # Errors
    /// For a URL that may not be asked for so, such as an `http://` one that leads to another machine.
    pub fn with_network(mut self, network: Network) -> Result<Self, FetchError> {
        #[cfg(feature = "http")]
        for spec in &self.specs {
            if let Kind::Web(url) = &spec.0 {
                network.check(&url.0)?;
            }
        }
        self.options.network = network;
        Ok(self)
    }

    /// How they are asked.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.options.network
    }

    /// Ends a wait for a source that is the status of an export which a server still makes, as soon as this says so.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn stopped_by(mut self, stopped: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.options.network = self.options.network.stopped_by(stopped);
        self
    }

    /// Whether any of the sources is beyond this machine: a URL, or what a manifest among the files names elsewhere.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        let options = || Options { try_files: false, ..self.options.clone() };
        self.specs.iter().any(|spec| match &spec.0 {
            Kind::StandardInput => false,
            Kind::Path(path) => manifest_source::found_in(path, &options())
                .is_some_and(|found| found.iter().any(is_elsewhere)),
            Kind::Pattern(pattern) => {
                Walk::of_pattern(Arc::clone(pattern), options()).any(|found| is_elsewhere(&found))
            }
            #[cfg(feature = "http")]
            Kind::Web(_) => true,
            #[cfg(feature = "cloud")]
            Kind::Objects(_) => true,
            Kind::Given(_) => true,
        })
    }

    /// Leaves out a folder wherever it or what lies in it turns up in a folder or among matches: the destination, which
    /// need not exist yet. A file in it that is named directly is still read.
    ///
    /// # Errors
    /// When the folder's place cannot be found out.
    pub fn excluding(mut self, folder: impl AsRef<Path>) -> io::Result<Self> {
        self.options.exclude = Some(future_canonical(folder.as_ref())?.into());
        Ok(self)
    }

    /// Leaves out what lies below that prefix wherever a listing comes upon it: the destination.
    #[cfg(feature = "cloud")]
    #[must_use]
    pub fn excluding_objects(mut self, below: &crate::ObjectUrl) -> Self {
        self.exclude_objects = Some(below.clone());
        self
    }

    /// Sets how many names of one folder are held at once (16,384 unless set; at least 1): fewer cost less memory and more
    /// passes over large folders, and yield the same.
    #[must_use]
    pub fn names_at_once(mut self, names: usize) -> Self {
        self.options.names_at_once = names.max(1);
        self
    }

    /// Finds the sources, one at a time. What cannot be read is an error in its place, and the next call goes on behind it.
    #[must_use]
    pub fn expand(&self) -> Expansion {
        Expansion {
            specs: self.specs.clone().into_iter(),
            current: None,
            options: self.options.clone(),
            #[cfg(feature = "cloud")]
            exclude_objects: self.exclude_objects.clone(),
        }
    }

    /// The same for a run: while one source is read, those behind it that come from servers and stores begin to arrive, as many
    /// as the network is told to have at once. Together they hold `held_bytes`, or little more if those are few.
    pub fn expand_ahead(
        &self,
        held_bytes: usize,
    ) -> impl Iterator<Item = Result<Found, FetchError>> + Send + use<> {
        let network = self.options.network.clone().with_held_bytes(held_bytes);
        let ahead = network.max_downloads() - 1;
        Ahead::new(self.expand_over(network), ahead)
    }

    /// The same for whoever reads so many at once. Together they hold 6 MiB, or little more if they are many.
    #[must_use]
    pub fn expand_together(&self, downloads: usize) -> Expansion {
        self.expand_over(self.options.network.clone().with_max_downloads(downloads).together())
    }

    fn expand_over(&self, network: Network) -> Expansion {
        Expansion { options: Options { network, ..self.options.clone() }, ..self.expand() }
    }

    /// The stored bytes of all sources together; `None` if one of them is a stream. What cannot be read does not count.
    ///
    /// This walks all folders, but opens no file except manifests, and what is named to see whether it is one.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        let mut expansion = self.expand();
        expansion.options.try_files = false;
        let mut total: u64 = 0;
        for found in expansion.flatten() {
            let Found::Source { origin, .. } = found else { continue };
            let Ok(identity) = origin.identity() else { continue };
            total = total.saturating_add(identity.stored_bytes?);
        }
        Some(total)
    }
}

fn is_elsewhere(found: &Result<Found, FetchError>) -> bool {
    matches!(found, Ok(Found::Source { origin, .. }) if origin.arrives_by_itself())
}

/// The canonical path of a folder that need not exist: where it will be.
fn future_canonical(folder: &Path) -> io::Result<PathBuf> {
    let absolute = path::absolute(folder)?;
    for existing in absolute.ancestors() {
        if let Ok(canonical) = fs::canonicalize(existing) {
            let missing = absolute.strip_prefix(existing).unwrap_or(Path::new(""));
            // Joining an empty path would put a slash behind it.
            return Ok(if missing.as_os_str().is_empty() { canonical } else { canonical.join(missing) });
        }
    }
    Ok(absolute)
}

/// The sources of a [`Selection`] as they are found. Made by [`Selection::expand`].
#[derive(Debug)]
pub struct Expansion {
    specs: vec::IntoIter<SourceSpec>,
    current: Option<Current>,
    options: Options,
    #[cfg(feature = "cloud")]
    exclude_objects: Option<crate::ObjectUrl>,
}

#[derive(Debug)]
enum Current {
    Listed(vec::IntoIter<Result<Found, FetchError>>),
    #[cfg(feature = "cloud")]
    Objects(Box<crate::Objects>),
    One(iter::Once<Result<Found, FetchError>>),
    Folder(Walk),
    Pattern {
        walk: Walk,
        pattern: Arc<PathPattern>,
        found_any: bool,
    },
}

impl Expansion {
    fn begin(&self, spec: SourceSpec) -> Current {
        match spec.0 {
            #[cfg(feature = "http")]
            Kind::Web(url) => Current::Listed(self.options.network.found_at(&url.0).into_iter()),
            #[cfg(feature = "cloud")]
            Kind::Objects(url) => Current::Objects(Box::new(self.objects(&url))),
            Kind::StandardInput => {
                Current::One(iter::once(Ok(Found::source(StandardInput::new(), FoundBy::Name))))
            }
            Kind::Path(path) => self.begin_path(path),
            Kind::Given(given) => {
                let origin = Box::new(Shared(Arc::clone(&given.origin)));
                let (role, declared) = (given.role, given.declared.clone());
                Current::One(iter::once(Ok(Found::Source { origin, by: FoundBy::Manifest, role, declared })))
            }
            Kind::Pattern(pattern) => {
                let walk = Walk::of_pattern(Arc::clone(&pattern), self.options.clone());
                Current::Pattern { walk, pattern, found_any: false }
            }
        }
    }

    #[cfg(feature = "cloud")]
    fn objects(&self, url: &crate::ObjectUrl) -> crate::Objects {
        let network = &self.options.network;
        let objects = crate::Objects::of(url, &network.cloud_to_read()).with_network(network.clone());
        match &self.exclude_objects {
            Some(below) => objects.excluding(below),
            None => objects,
        }
    }

    fn begin_path(&self, path: PathBuf) -> Current {
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => return Current::One(iter::once(Err(FetchError::unreadable(&path, error)))),
        };
        if metadata.is_dir() {
            return Current::Folder(Walk::of_folder(path, self.options.clone()));
        }
        if let Some(found) = manifest_source::found_in(&path, &self.options) {
            return Current::Listed(found.into_iter());
        }
        // Only regular files are tried: opening a pipe waits for a writer, and uses it up.
        let try_files = self.options.try_files && metadata.is_file();
        let options = Options { try_files, ..self.options.clone() };
        Current::One(iter::once(walk::file(path, false, FoundBy::Name, &options)))
    }
}

impl Current {
    fn next(&mut self) -> Option<Result<Found, FetchError>> {
        match self {
            Self::Listed(found) => found.next(),
            #[cfg(feature = "cloud")]
            Self::Objects(found) => found.next(),
            Self::One(item) => item.next(),
            Self::Folder(walk) => walk.next(),
            Self::Pattern { walk, pattern, found_any } => {
                let next = walk.next();
                let none_at_all = next.is_none() && !*found_any;
                *found_any = true;
                if none_at_all {
                    return Some(Err(FetchError::NoMatch { pattern: pattern.text().to_owned() }));
                }
                next
            }
        }
    }
}

impl Iterator for Expansion {
    type Item = Result<Found, FetchError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.current.as_mut().and_then(Current::next) {
                return Some(item);
            }
            let spec = self.specs.next()?;
            self.current = Some(self.begin(spec));
        }
    }
}
