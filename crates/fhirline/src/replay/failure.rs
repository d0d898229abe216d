use std::sync::{Arc, Mutex, PoisonError};

use super::ReplayError;

/// Where trouble is noted that the engine has no way to hand on; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<ReplayError>>>);

impl Failure {
    /// Notes it; the first one counts.
    pub(super) fn note(&self, error: ReplayError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// What was noted.
    pub(crate) fn take(&self) -> Result<(), ReplayError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}
