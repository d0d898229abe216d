//! What is noted of an export that is split: beside its destination, where it is nobody's file.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use fhirline_core::PARTIAL_SUFFIX;
use fhirline_fetch::{ExportState, Network};

use crate::fetch::start::EXPORT_LOG;
use crate::{JobError, SplitJob};

/// How far the export is, and its log.
const STATE: &str = "export";
const LOG: &str = "export-log";

/// Where the notes are kept.
pub(super) enum Notes {
    Folder(FolderNotes),
    #[cfg(feature = "cloud")]
    Prefix(super::prefix_notes::PrefixNotes),
}

impl Notes {
    pub(super) fn of(to: &SplitJob, network: &Network) -> Result<Self, JobError> {
        if let Some(folder) = to.folder() {
            return Ok(Self::Folder(FolderNotes::beside(folder, to)));
        }
        #[cfg(feature = "cloud")]
        return super::prefix_notes::PrefixNotes::beside(to, network).map(Self::Prefix);
        #[cfg(not(feature = "cloud"))]
        return Err(no_prefix(to, network));
    }

    pub(super) fn load(&self) -> Result<Option<ExportState>, JobError> {
        match self {
            Self::Folder(notes) => Ok(ExportState::load(&notes.state)?),
            #[cfg(feature = "cloud")]
            Self::Prefix(notes) => notes.load(),
        }
    }

    pub(super) fn save(&self, state: &ExportState) -> Result<(), JobError> {
        match self {
            Self::Folder(notes) => notes.save(state),
            #[cfg(feature = "cloud")]
            Self::Prefix(notes) => notes.save(state),
        }
    }

    /// The file to which the log is written.
    pub(super) fn log(&self) -> &Path {
        match self {
            Self::Folder(notes) => &notes.log,
            #[cfg(feature = "cloud")]
            Self::Prefix(notes) => notes.log(),
        }
    }

    /// What the log says by now is there for whoever goes on.
    pub(super) fn keep_log(&self) -> Result<(), JobError> {
        match self {
            Self::Folder(_) => Ok(()),
            #[cfg(feature = "cloud")]
            Self::Prefix(notes) => notes.keep_log(),
        }
    }

    /// Puts the log, if there is one, where others look for it: nobody takes it for the file of a stranger any more. Nothing stays
    /// noted.
    pub(super) fn conclude(&self) -> Result<(), JobError> {
        match self {
            Self::Folder(notes) => notes.conclude(),
            #[cfg(feature = "cloud")]
            Self::Prefix(notes) => notes.conclude(),
        }
    }

    pub(super) fn remove_log(&self) -> Result<(), JobError> {
        match self {
            Self::Folder(notes) => notes.remove(&notes.log),
            #[cfg(feature = "cloud")]
            Self::Prefix(notes) => notes.remove_log(),
        }
    }

    /// Removes all that is noted.
    pub(super) fn remove(&self) -> Result<(), JobError> {
        match self {
            Self::Folder(notes) => notes.remove(&notes.state).and_then(|()| notes.remove(&notes.log)),
            #[cfg(feature = "cloud")]
            Self::Prefix(notes) => notes.remove(),
        }
    }
}

#[cfg(not(feature = "cloud"))]
fn no_prefix(to: &SplitJob, _: &Network) -> JobError {
    crate::split::lacks_feature(to.name())
}

/// Files beside a folder.
pub(super) struct FolderNotes {
    to: SplitJob,
    folder: PathBuf,
    state: PathBuf,
    log: PathBuf,
}

impl FolderNotes {
    fn beside(folder: &Path, to: &SplitJob) -> Self {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let [state, log] = [STATE, LOG].map(|what| {
            let mut name = OsString::from("_");
            name.push(folder.file_name().unwrap_or_default());
            name.push(format!(".{what}{PARTIAL_SUFFIX}"));
            folder.with_file_name(name)
        });
        Self { to: to.clone(), folder, state, log }
    }

    fn save(&self, state: &ExportState) -> Result<(), JobError> {
        if let Some(parent) = self.state.parent() {
            fs::create_dir_all(parent).map_err(self.to.failed("make"))?;
        }
        Ok(state.save(&self.state)?)
    }

    fn conclude(&self) -> Result<(), JobError> {
        if self.log.exists() {
            let log = self.folder.join(EXPORT_LOG);
            fs::rename(&self.log, log).map_err(self.to.failed("write the log into"))?;
        }
        self.remove(&self.state)
    }

    fn remove(&self, note: &Path) -> Result<(), JobError> {
        match fs::remove_file(note) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.to.failed("clean")(error)),
            _ => Ok(()),
        }
    }
}

/// What a note is called beside a prefix of that name.
#[cfg(feature = "cloud")]
pub(super) fn names_beside(name: &str) -> [String; 2] {
    [STATE, LOG].map(|what| format!("_{name}.{what}{PARTIAL_SUFFIX}"))
}
