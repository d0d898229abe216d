//! Whether it was the caller's own code that panicked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fhirline_flow::RunError;
use fhirline_route::{Filter, Filters, Resource};

use crate::JobError;

/// Calls of filters and callbacks that a job was given. Clones, and those of the job, are of the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<AtomicBool>);

/// The filters of a job, watched.
struct Watched {
    filters: Filters,
    calls: Calls,
}

/// Notes it if it is dropped by a panic.
struct Watch<'c>(&'c AtomicBool);

impl Calls {
    /// A run begins: nothing has panicked yet.
    pub(crate) fn begin(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Runs code of the caller's.
    pub(crate) fn watching<T>(&self, call: impl FnOnce() -> T) -> T {
        let _watch = Watch(&self.0);
        call()
    }

    /// The same filters; of those that panic it is noted.
    pub(crate) fn watched(&self, filters: &Filters) -> Filters {
        Filters::with(None, Arc::new(Watched { filters: filters.clone(), calls: self.clone() }))
    }

    /// What it means that a thread of the job is gone.
    pub(crate) fn lost(&self) -> JobError {
        self.blamed(RunError::WorkerLost.into())
    }

    /// The error of a run; not told as a defect of ours if it is none.
    pub(crate) fn blamed(&self, error: JobError) -> JobError {
        match error {
            JobError::Run(RunError::WorkerLost) if self.0.load(Ordering::Acquire) => JobError::CallerPanicked,
            error => error,
        }
    }
}

impl Filter for Watched {
    fn name(&self) -> String {
        self.filters.names().join(", ")
    }

    fn keeps(&self, resource: &Resource<'_>) -> bool {
        self.calls.watching(|| self.filters.keep(resource))
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}
