use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fhirline_core::{PARTIAL_SUFFIX, Store};
use fhirline_fetch::{FolderClaim, FolderStore, Network};
use fhirline_flow::Cancel;
use fhirline_sink::{BundleNames, FinishedBundles, OUTCOME_NAME, RAW_NAME};

use super::beside::Beside;
use crate::JobError;

/// Where Bundles go.
#[derive(Debug)]
pub(super) struct Target {
    /// As it may be shown.
    pub(super) name: String,
    pub(super) place: Place,
    /// What the Bundles are called.
    pub(super) names: BundleNames,
    /// The folder of the quarantine in that folder.
    pub(super) quarantine: String,
    /// Whether nothing else may lie in the folder.
    pub(super) alone: bool,
}

#[derive(Debug)]
pub(super) enum Place {
    Folder(PathBuf),
    /// Below a prefix there are numbered Bundles only, and nothing else.
    #[cfg(feature = "cloud")]
    Prefix(crate::prefix::Prefix),
}

/// How a target is opened.
#[cfg_attr(not(feature = "cloud"), expect(dead_code, reason = "folders need less"))]
pub(super) struct Opening<'o> {
    pub(super) overwrite: bool,
    /// Where bytes wait that are on their way to an object store, and how many of them in memory.
    pub(super) spool_dir: &'o Path,
    pub(super) upload_bytes: u64,
    /// Whether what goes up has to be read while it is written.
    pub(super) copies: bool,
    pub(super) network: &'o Network,
    pub(super) cancel: &'o Cancel,
    /// Told of a store that somebody else may be writing to, and how long it takes to see that.
    pub(super) on_wait: &'o mut dyn FnMut(&str, Duration),
}

/// A target that is ready to be written to.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) store: Arc<dyn Store>,
    /// What is to be replaced, the first Bundle first.
    pub(super) old: Vec<String>,
    /// Two runs on one target would take each other's files for leftovers.
    pub(super) _claim: Claim,
}

#[derive(Debug)]
pub(super) enum Claim {
    None,
    Folder {
        _claim: FolderClaim,
    },
    #[cfg(feature = "cloud")]
    Prefix {
        _claim: fhirline_fetch::CloudClaim,
    },
}

impl Target {
    pub(super) fn of(path: &Path) -> Result<Self, JobError> {
        match crate::split::Target::of(path.to_owned()) {
            crate::split::Target::Folder(path) => Self::of_path(&path),
            #[cfg(feature = "cloud")]
            crate::split::Target::Url(ref url) => super::cloud::target_at(path, url),
            #[cfg(not(feature = "cloud"))]
            url @ crate::split::Target::Url(_) => Err(crate::split::lacks_feature(url.name())),
        }
    }

    fn of_path(path: &Path) -> Result<Self, JobError> {
        let name = path.display().to_string();
        let named_file = path.extension().is_some_and(|ext| ext == "json") && !ends_with_separator(path);
        if named_file && !path.is_dir() {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let stem = stem.ok_or_else(|| failed(&name, "name")(io::ErrorKind::InvalidFilename.into()))?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = parent.unwrap_or(Path::new(".")).to_owned();
            if folder.exists() && !folder.is_dir() {
                return Err(JobError::NotAFolder { name: folder.display().to_string() });
            }
            // Whoever reads the folder as a source passes over what begins so.
            let quarantine = format!("_{stem}.quarantine");
            let names = BundleNames::behind_first(stem);
            return Ok(Self { name, place: Place::Folder(folder), names, quarantine, alone: false });
        }
        if path.exists() && !path.is_dir() {
            return Err(JobError::NotAFolder { name });
        }
        Ok(Self::numbered(name, Place::Folder(path.to_owned())))
    }

    pub(super) fn numbered(name: String, place: Place) -> Self {
        let (names, quarantine) = (BundleNames::numbered("Bundle"), "_quarantine".to_owned());
        Self { name, place, names, quarantine, alone: true }
    }

    /// The folder, if it is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder),
            #[cfg(feature = "cloud")]
            Place::Prefix(_) => None,
        }
    }

    /// Where bytes wait on the disk.
    pub(super) fn spool_dir(&self, given: Option<&Path>) -> PathBuf {
        given.or_else(|| self.folder()).map_or_else(std::env::temp_dir, Path::to_owned)
    }

    /// Whether a source lies where outputs are written.
    pub(super) fn holds(&self, source: &str) -> bool {
        let Some(Ok(folder)) = self.folder().map(Path::canonicalize) else { return false };
        let Ok(source) = Path::new(source).canonicalize() else { return false };
        let Ok(below) = source.strip_prefix(folder) else { return false };
        self.alone || below.to_str().is_some_and(|name| self.is_ours(name))
    }

    /// Whether outputs are written into that folder or below it.
    pub(super) fn is_within(&self, folder: &Path) -> bool {
        let (Ok(folder), Some(ours)) = (folder.canonicalize(), self.folder()) else { return false };
        // What does not exist yet will be made below what does.
        let named = |path: &'_ Path| {
            if path.as_os_str().is_empty() { Path::new(".").into() } else { path.to_owned() }
        };
        let existing = ours.ancestors().find_map(|path| named(path).canonicalize().ok());
        existing.is_some_and(|path| path.starts_with(&folder))
    }

    /// Makes sure that the target is free, and removes what an interrupted run left there. Nothing is changed before it is
    /// certain that it may be.
    pub(super) fn open(&self, opening: &mut Opening<'_>) -> Result<Held, JobError> {
        match &self.place {
            Place::Folder(folder) => self.open_folder(folder, opening.overwrite),
            #[cfg(feature = "cloud")]
            Place::Prefix(prefix) => self.open_prefix(prefix, opening),
        }
    }

    fn open_folder(&self, path: &Path, overwrite: bool) -> Result<Held, JobError> {
        let is_new = !path.exists();
        let folder = FolderStore::open(path).map_err(self.failed("make"))?;
        let claim = if self.alone { Claim::Folder { _claim: self.claim(&folder)? } } else { Claim::None };
        let store: Arc<dyn Store> = if self.alone || is_new {
            Arc::new(folder)
        } else {
            Arc::new(Beside::new(folder, path.join(&self.quarantine)))
        };
        let mut old = self.present(&*store, "").map_err(self.failed("look into"))?;
        if self.alone {
            let names = store.list().map_err(self.failed("look into"))?;
            if !names.iter().all(|name| self.is_ours(name) || is_spool(name)) {
                return Err(JobError::NotOurs { name: self.name.clone() });
            }
        } else {
            drop(self.lock_first(path)?);
        }
        let first = self.names.name(1);
        let sealing = !old.contains(&first) && self.is_present(&*store, &provisional(&first))?;
        if let (Some(name), false, false) = (old.first(), overwrite, sealing) {
            return Err(JobError::Exists { name: self.shown(name) });
        }
        if sealing {
            // A run died while it gave its outputs their names.
            self.remove(&*store, &std::mem::take(&mut old))?;
        }
        self.remove_partials(&*store)?;
        Ok(Held { store, old, _claim: claim })
    }

    /// An output as the user would name it.
    pub(super) fn shown(&self, name: &str) -> String {
        let path = Path::new(&self.name);
        let path = if self.alone { path.join(name) } else { path.with_file_name(name) };
        path.display().to_string()
    }

    fn claim(&self, folder: &FolderStore) -> Result<FolderClaim, JobError> {
        folder.claim().map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => JobError::InUse { name: self.name.clone() },
            _ => self.failed("claim")(error),
        })
    }

    /// Claims the first Bundle, which is there from the beginning on. Where many files lie in one folder, runs on others of
    /// them do no harm. Where the file system has no locks, there is no claim.
    pub(super) fn claim_first(&self) -> Result<Option<File>, JobError> {
        match self.folder() {
            Some(folder) if !self.alone => self.lock_first(folder),
            _ => Ok(None),
        }
    }

    fn lock_first(&self, folder: &Path) -> Result<Option<File>, JobError> {
        let path = folder.join(provisional(&self.names.name(1)));
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(self.failed("claim"))?,
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(JobError::InUse { name: self.name.clone() }),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
        }
    }

    /// Removes what the new Bundles replace, the first one first: what is there without it is not complete.
    fn remove_old(&self, held: &Held) -> Result<(), JobError> {
        self.remove(&*held.store, &held.old)
    }

    /// Removes what a run leaves that came to nothing, where that costs money and is of no use: uploads.
    pub(super) fn give_up(&self, held: &Held) {
        #[cfg(feature = "cloud")]
        if let Place::Prefix(_) = self.place {
            // What went wrong before is what matters.
            let _ = self.remove_uploads(&*held.store);
        }
        #[cfg(not(feature = "cloud"))]
        let _ = held;
    }

    /// Gives the outputs their names. Of a prefix an object says so meanwhile: nothing else is left of a run that is killed then.
    pub(super) fn seal(&self, held: &Held, finished: FinishedBundles) -> Result<(), JobError> {
        self.remove_old(held)?;
        #[cfg(feature = "cloud")]
        if let Place::Prefix(_) = self.place {
            return self.seal_prefix(held, finished);
        }
        Ok(finished.seal()?)
    }

    pub(super) fn remove_partials(&self, store: &dyn Store) -> Result<(), JobError> {
        let partials = self.present(store, PARTIAL_SUFFIX).map_err(self.failed("look into"))?;
        self.remove(store, &partials)
    }

    pub(super) fn remove(&self, store: &dyn Store, names: &[String]) -> Result<(), JobError> {
        names.iter().try_for_each(|name| store.remove(name)).map_err(self.failed("clean"))
    }

    fn is_present(&self, store: &dyn Store, name: &str) -> Result<bool, JobError> {
        Ok(store.stored_bytes(name).map_err(self.failed("look into"))?.is_some())
    }

    /// Which of our names are there. Asked one by one: the folder may hold anything else, and much of it.
    fn present(&self, store: &dyn Store, suffix: &str) -> io::Result<Vec<String>> {
        let mut present = Vec::new();
        for number in 1.. {
            let name = self.names.name(number) + suffix;
            match store.stored_bytes(&name)? {
                Some(_) => present.push(name),
                None if number > 1 => break,
                None => {}
            }
        }
        for name in self.quarantine_names() {
            let name = name + suffix;
            if store.stored_bytes(&name)?.is_some() {
                present.push(name);
            }
        }
        Ok(present)
    }

    fn quarantine_names(&self) -> [String; 2] {
        [RAW_NAME, OUTCOME_NAME].map(|name| {
            let file = name.rsplit('/').next().unwrap_or(name);
            format!("{}/{file}", self.quarantine)
        })
    }

    /// Whether a run on this target gives that name to an output, final or provisional.
    pub(super) fn is_ours(&self, name: &str) -> bool {
        let name = name.strip_suffix(PARTIAL_SUFFIX).unwrap_or(name);
        if self.quarantine_names().iter().any(|ours| ours == name) {
            return true;
        }
        self.names.number(name).is_some()
    }

    pub(super) fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> JobError {
        failed(&self.name, action)
    }
}

fn failed(name: &str, action: &'static str) -> impl FnOnce(io::Error) -> JobError {
    let name = name.to_owned();
    move |source| JobError::Destination { action, name, source }
}

fn provisional(name: &str) -> String {
    format!("{name}{PARTIAL_SUFFIX}")
}

/// What a run that is killed while it makes a spool leaves.
fn is_spool(name: &str) -> bool {
    name.starts_with("spool.") && name.ends_with(PARTIAL_SUFFIX)
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(path::is_separator)
}

/// Makes the names in a folder survive a crash of the machine.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) || !folder.exists() {
        // Only Unix systems open folders like files.
        return Ok(());
    }
    match fs::File::open(folder)?.sync_all() {
        // Some network file systems know no such thing as the syncing of a folder.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}
