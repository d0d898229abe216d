//! What is noted of an export that is split below a prefix of an object store.

use std::env;
use std::fs;
use std::path::Path;

use fhirline_core::Store;
use fhirline_fetch::{BulkError, CloudStore, ExportState, Network};
use tempfile::NamedTempFile;

use super::MAX_STATE_BYTES;
use super::notes::names_beside;
use crate::fetch::start::EXPORT_LOG;
use crate::prefix::Prefix;
use crate::{JobError, SplitJob};

/// Objects beside a prefix. The log is written to a file of its own first: an object cannot be appended to.
pub(super) struct PrefixNotes {
    to: SplitJob,
    /// The prefix, and what lies beside it.
    below: CloudStore,
    beside: CloudStore,
    state_name: String,
    log_name: String,
    log: NamedTempFile,
}

impl PrefixNotes {
    pub(super) fn beside(to: &SplitJob, network: &Network) -> Result<Self, JobError> {
        let spool_dir = to.spool_dir.clone().unwrap_or_else(env::temp_dir);
        let prefix = to.prefix()?;
        let (parent, name) = place_of(&prefix, to)?;
        let [state_name, log_name] = names_beside(&name);
        let store = |prefix: &Prefix| prefix.store(network, &spool_dir, 0, false);
        let (below, beside) = (store(&prefix)?, store(&parent)?);
        let log = NamedTempFile::new_in(&spool_dir).map_err(to.failed("make the log of"))?;
        let noted = beside.get(&log_name, MAX_STATE_BYTES).map_err(to.failed("look beside"))?;
        fs::write(log.path(), noted.unwrap_or_default()).map_err(to.failed("make the log of"))?;
        Ok(Self { to: to.clone(), below, beside, state_name, log_name, log })
    }

    pub(super) fn load(&self) -> Result<Option<ExportState>, JobError> {
        let noted = self.beside.get(&self.state_name, MAX_STATE_BYTES);
        let Some(noted) = noted.map_err(self.to.failed("look beside"))? else { return Ok(None) };
        let text = String::from_utf8(noted).map_err(|_| BulkError::BadState)?;
        Ok(Some(ExportState::from_json(&text)?))
    }

    pub(super) fn save(&self, state: &ExportState) -> Result<(), JobError> {
        let noted = self.beside.replace(&self.state_name, state.to_json().as_bytes(), true);
        noted.map_err(self.to.failed("write beside"))
    }

    pub(super) fn log(&self) -> &Path {
        self.log.path()
    }

    fn log_text(&self) -> Result<Vec<u8>, JobError> {
        fs::read(self.log.path()).map_err(self.to.failed("read the log of"))
    }

    pub(super) fn keep_log(&self) -> Result<(), JobError> {
        let kept = self.beside.replace(&self.log_name, &self.log_text()?, true);
        kept.map_err(self.to.failed("write beside"))
    }

    pub(super) fn conclude(&self) -> Result<(), JobError> {
        let text = self.log_text()?;
        if !text.is_empty() {
            self.below.replace(EXPORT_LOG, &text, true).map_err(self.to.failed("write the log into"))?;
        }
        self.remove()
    }

    pub(super) fn remove_log(&self) -> Result<(), JobError> {
        fs::write(self.log.path(), b"").map_err(self.to.failed("clean the log of"))?;
        self.beside.remove(&self.log_name).map_err(self.to.failed("clean beside"))
    }

    pub(super) fn remove(&self) -> Result<(), JobError> {
        self.remove_log()?;
        self.beside.remove(&self.state_name).map_err(self.to.failed("clean beside"))
    }
}

/// What a prefix lies in, and its name there.
fn place_of(prefix: &Prefix, to: &SplitJob) -> Result<(Prefix, String), JobError> {
    let why =
        || "what is noted of an export lies beside its destination, and there is nothing beside a bucket";
    let refused = |why: String| JobError::BadDestination { name: to.name(), why };
    let key = prefix.url.key().trim_matches('/');
    let (parent, name) = key.rsplit_once('/').unwrap_or(("", key));
    if name.is_empty() {
        return Err(refused(why().to_owned()));
    }
    let url = prefix.url.with_key(parent).map_err(|error| refused(error.to_string()))?;
    Ok((Prefix::at(url), name.to_owned()))
}
