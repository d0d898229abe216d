use std::fs::{self, File, Metadata};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::ReplayError;

const BUFFER_BYTES: usize = 32 << 10;

/// A file that must stay what it is for as long as the run goes on: it is read more than once.
#[derive(Clone, Debug)]
pub(super) struct Marked {
    path: PathBuf,
    mark: Mark,
}

/// What tells that a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Mark {
    fn of(metadata: &Metadata) -> Self {
        Self { bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl Marked {
    /// The file as it is now.
    pub(super) fn new(path: PathBuf) -> Result<Self, ReplayError> {
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Self { mark: Mark::of(&metadata), path }),
            Err(error) => Err(unreadable(&path, error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.mark.bytes
    }

    /// Opens it, if it is still the same.
    pub(super) fn open(&self) -> Result<Watched, ReplayError> {
        let file = File::open(&self.path).map_err(|error| unreadable(&self.path, error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&self.path, error))?;
        if Mark::of(&metadata) != self.mark {
            return Err(ReplayError::Changed { name: self.name() });
        }
        Ok(Watched { path: self.path.clone(), reader: BufReader::with_capacity(BUFFER_BYTES, file) })
    }
}

/// A file that is read, and the name to tell if it cannot be.
pub(super) struct Watched {
    path: PathBuf,
    pub(super) reader: BufReader<File>,
}

impl Watched {
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn unreadable(&self, error: io::Error) -> ReplayError {
        unreadable(&self.path, error)
    }

    pub(super) fn changed(&self) -> ReplayError {
        ReplayError::Changed { name: self.name() }
    }
}

fn unreadable(path: &Path, source: io::Error) -> ReplayError {
    ReplayError::Read { name: path.display().to_string(), source }
}
