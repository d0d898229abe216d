//! A split below a prefix of an object store.

use std::env;
use std::sync::Arc;

use fhirline_core::Store;
use fhirline_fetch::FolderSpools;
use fhirline_flow::{Event, MemoryPlan};

use super::known::Known;
use super::run::Run;
use crate::job::OnEvent;
use crate::prefix::{Prefix, plan_with_uploads};
use crate::{Job, JobError, Report, SplitJob};

pub(super) fn into_store(
    mut job: Job,
    to: &SplitJob,
    url: &str,
    on_event: &mut OnEvent<'_>,
) -> Result<Report, JobError> {
    let prefix = Prefix::parse(to.name(), url)?;
    if let Some(source) = prefix.source_below(&job) {
        return Err(JobError::SourceInDestination { source_name: source.to_string() });
    }
    job.sources = job.sources.excluding_objects(&prefix.url);
    let (plan, upload_bytes) = memory_plan(&job, to)?;
    let known = Known::of(&job, to);
    job.check_cancel()?;
    if !known.any_source {
        return Err(super::nothing_to_read(&job, plan, on_event));
    }
    let spool_dir = to.spool_dir.clone().unwrap_or_else(env::temp_dir);
    let store = prefix.store(job.sources.network(), &spool_dir, upload_bytes, false)?;
    let name = store.name();
    // Held until the end, as with folders.
    let _claim = prefix.claim(&store, &job.cancel, &mut |at_most| {
        on_event(Event::Waiting { name: &name, at_most });
    })?;
    let spools = Arc::new(FolderSpools::new(&spool_dir));
    Run { job: &job, to, plan, known, store: Arc::new(store), spools }.run(on_event)
}

impl SplitJob {
    /// The prefix to write below.
    #[cfg(feature = "http")]
    pub(crate) fn prefix(&self) -> Result<Prefix, JobError> {
        Prefix::parse(self.name(), self.target.text())
    }
}

/// The prefix as a store, to be looked at.
#[cfg(feature = "http")]
pub(super) fn present_prefix(job: &Job, to: &SplitJob) -> Result<Option<Box<dyn Store>>, JobError> {
    let spool_dir = to.spool_dir.clone().unwrap_or_else(env::temp_dir);
    let store = to.prefix()?.store(job.sources.network(), &spool_dir, 0, false)?;
    Ok(Some(Box::new(store)))
}

/// How the memory is divided, and what of it is for uploads.
pub(super) fn memory_plan(job: &Job, to: &SplitJob) -> Result<(MemoryPlan, u64), JobError> {
    let (ceiling, threads) = (job.memory, job.threads);
    let plan = |network_bytes, upload_bytes| {
        MemoryPlan::with_network(network_bytes, upload_bytes, ceiling, threads, to.encoding)
    };
    Ok(plan_with_uploads(ceiling, job.network_bytes(true), plan)?)
}
