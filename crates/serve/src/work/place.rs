//! Where the output of an export comes about, and how it gets its name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fhirline::JobError;
use serde_json::{Value, json};

use crate::State;
use crate::store::ExportRow;

/// What tells whose output a folder holds.
const LABEL: &str = "_export.json";
const MANIFEST: &str = "manifest.json";

/// A folder comes about under another name, which it gives up at the end: whoever looks finds it whole or not at all. Below a prefix the
/// manifest, which comes last, says so.
pub(super) enum Place<'d> {
    Folder {
        /// Its name.
        finished: &'d Path,
        /// The name that it has until then.
        work: PathBuf,
    },
    Prefix {
        url: &'d str,
        /// Counts the times that it was begun with new links.
        generation: i64,
    },
}

impl<'d> Place<'d> {
    pub(super) fn of(destination: &'d str, generation: i64) -> Self {
        if destination.contains("://") {
            return Self::Prefix { url: destination, generation };
        }
        let finished = Path::new(destination);
        Self::Folder { finished, work: work_of(finished, generation) }
    }

    /// Where the run writes to.
    pub(super) fn work(&self) -> String {
        match self {
            Self::Folder { work, .. } => work.display().to_string(),
            Self::Prefix { url, .. } => (*url).to_owned(),
        }
    }

    /// Where the output will be.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Folder { finished, .. } => finished.display().to_string(),
            Self::Prefix { url, .. } => (*url).to_owned(),
        }
    }

    /// Whether what lies there may be replaced: below a prefix, parts of a run over links that have ended.
    pub(super) fn begins_afresh(&self, attempts: i64) -> bool {
        matches!(self, Self::Prefix { generation, .. } if *generation > 1 && attempts == 1)
    }

    /// The account of the export, if its folder has its name already.
    pub(super) fn finished(&self, export: &str) -> io::Result<Option<Value>> {
        let Self::Folder { finished, .. } = self else { return Ok(None) };
        match fs::symlink_metadata(finished) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let label: Value = read_json(&finished.join(LABEL))?;
        if label["id"].as_str() != Some(export) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is that of something else"));
        }
        let manifest = read_json(&finished.join(MANIFEST))?;
        Ok(Some(manifest["extension"]["fhirline"]["account"].clone()))
    }

    /// Gives a complete output its name, and removes what earlier links left.
    pub(super) fn seal(&self, export: &ExportRow, state: State) -> io::Result<()> {
        let Self::Folder { finished, work } = self else { return Ok(()) };
        write_label(&work.join(LABEL), export, state)?;
        fs::rename(work, finished)?;
        let parent = finished.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        for generation in 1..export.generation {
            // What is left there takes room, and nothing else.
            let _ = fs::remove_dir_all(work_of(finished, generation));
        }
        Ok(())
    }
}

fn work_of(finished: &Path, generation: i64) -> PathBuf {
    let name = finished.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    finished.with_file_name(format!(".{name}.attempt-{generation}"))
}

fn read_json(path: &Path) -> io::Result<Value> {
    let text = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(io::ErrorKind::AlreadyExists, "it is that of something else")
        }
        _ => error,
    })?;
    serde_json::from_slice(&text).map_err(io::Error::from)
}

fn write_label(path: &Path, export: &ExportRow, state: State) -> io::Result<()> {
    let label = json!({
        "id": export.id,
        "api_mode": export.mode,
        "task_id": export.task_id,
        "org_connection_id": export.org_connection_id,
        "external_id": export.external_id,
        "request_id": export.request_id,
        "export_type": export.export_type,
        "state": state,
    });
    let mut file = File::create(path)?;
    writeln!(file, "{label:#}")?;
    file.sync_all()
}

/// Trouble that comes before the run.
pub(super) fn refused(export: &ExportRow, why: &str) -> JobError {
    JobError::BadDestination { name: format!("the export {}", export.id), why: why.to_owned() }
}
