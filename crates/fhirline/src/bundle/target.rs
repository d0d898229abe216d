use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use fhirline_core::{PARTIAL_SUFFIX, Store};
use fhirline_fetch::{FolderClaim, FolderStore};
use fhirline_sink::{BundleNames, OUTCOME_NAME, RAW_NAME};

use super::beside::Beside;
use crate::JobError;

/// Where Bundles go.
#[derive(Debug)]
pub(super) struct Target {
    /// As given.
    name: String,
    pub(super) folder: PathBuf,
    /// What the Bundles are called.
    pub(super) names: BundleNames,
    /// The folder of the quarantine in that folder.
    pub(super) quarantine: String,
    /// Whether nothing else may lie in the folder.
    pub(super) alone: bool,
}

/// A target that is ready to be written to.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) store: Arc<dyn Store>,
    /// What is to be replaced, the first Bundle first.
    old: Vec<String>,
    /// Two runs on one folder would take each other's files for leftovers.
    _claim: Option<FolderClaim>,
}

impl Target {
    pub(super) fn of(path: &Path) -> Result<Self, JobError> {
        crate::split::Target::refuse_url(path)?;
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
            return Ok(Self { name, folder, names, quarantine, alone: false });
        }
        if path.exists() && !path.is_dir() {
            return Err(JobError::NotAFolder { name });
        }
        let (names, quarantine) = (BundleNames::numbered("Bundle"), "_quarantine".to_owned());
        Ok(Self { name, folder: path.to_owned(), names, quarantine, alone: true })
    }

    /// Whether a source lies where outputs are written.
    pub(super) fn holds(&self, source: &str) -> bool {
        let (Ok(folder), Ok(source)) = (self.folder.canonicalize(), Path::new(source).canonicalize()) else {
            return false;
        };
        let Ok(below) = source.strip_prefix(folder) else { return false };
        self.alone || below.to_str().is_some_and(|name| self.is_ours(name))
    }

    /// Whether outputs are written into that folder or below it.
    pub(super) fn is_within(&self, folder: &Path) -> bool {
        let Ok(folder) = folder.canonicalize() else { return false };
        // What does not exist yet will be made below what does.
        let named = |path: &'_ Path| {
            if path.as_os_str().is_empty() { Path::new(".").into() } else { path.to_owned() }
        };
        let existing = self.folder.ancestors().find_map(|path| named(path).canonicalize().ok());
        existing.is_some_and(|path| path.starts_with(&folder))
    }

    /// Makes sure that the target is free, and removes what an interrupted run left there. Nothing is changed before it is
    /// certain that it may be.
    pub(super) fn open(&self, overwrite: bool) -> Result<Held, JobError> {
        let is_new = !self.folder.exists();
        let folder = FolderStore::open(&self.folder).map_err(self.failed("make"))?;
        let claim = if self.alone { Some(self.claim(&folder)?) } else { None };
        let store: Arc<dyn Store> = if self.alone || is_new {
            Arc::new(folder)
        } else {
            Arc::new(Beside::new(folder, self.folder.join(&self.quarantine)))
        };
        let mut old = self.present(&*store, "").map_err(self.failed("look into"))?;
        if self.alone {
            let names = store.list().map_err(self.failed("look into"))?;
            if !names.iter().all(|name| self.is_ours(name) || is_spool(name)) {
                return Err(JobError::NotOurs { name: self.name.clone() });
            }
        } else {
            drop(self.lock_first()?);
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
    fn shown(&self, name: &str) -> String {
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
        if self.alone { Ok(None) } else { self.lock_first() }
    }

    fn lock_first(&self) -> Result<Option<File>, JobError> {
        let path = self.folder.join(provisional(&self.names.name(1)));
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
    pub(super) fn remove_old(&self, held: &Held) -> Result<(), JobError> {
        self.remove(&*held.store, &held.old)
    }

    pub(super) fn remove_partials(&self, store: &dyn Store) -> Result<(), JobError> {
        let partials = self.present(store, PARTIAL_SUFFIX).map_err(self.failed("look into"))?;
        self.remove(store, &partials)
    }

    fn remove(&self, store: &dyn Store, names: &[String]) -> Result<(), JobError> {
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
    fn is_ours(&self, name: &str) -> bool {
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
