use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const RUNNING: u8 = 0;
const ASKED: u8 = 1;
const PAST_STOPPING: u8 = 2;

/// Asks a run to stop; clones ask the same run.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    state: Arc<AtomicU8>,
    /// Who asks for this run and others at once.
    above: Option<Arc<AtomicU8>>,
}

impl Cancel {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What stops one run alone, which this one stops with all others that it is for.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { state: Arc::default(), above: Some(Arc::clone(&self.state)) }
    }

    /// Asks the run to stop. It ends with [`RunError::Cancelled`](crate::RunError::Cancelled) at the next batch. `false` if it
    /// is too late: the run is giving its outputs their names, and must come to its end.
    pub fn cancel(&self) -> bool {
        self.leave_running(ASKED) != PAST_STOPPING
    }

    /// Whether somebody has asked.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.is_asked_above() || self.state.load(Ordering::SeqCst) == ASKED
    }

    /// From now on the run cannot be stopped. `false` if somebody asked before.
    pub fn pass_stopping(&self) -> bool {
        !self.is_asked_above() && self.leave_running(PAST_STOPPING) != ASKED
    }

    fn is_asked_above(&self) -> bool {
        self.above.as_ref().is_some_and(|above| above.load(Ordering::SeqCst) == ASKED)
    }

    /// Changes the state if it is still the first, and returns what it was.
    fn leave_running(&self, to: u8) -> u8 {
        match self.state.compare_exchange(RUNNING, to, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(before) | Err(before) => before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_first_wins() {
        let stopped = Cancel::new();
        assert!(stopped.clone().cancel() && stopped.is_cancelled());
        assert!(!stopped.pass_stopping());

        let sealing = Cancel::new();
        assert!(sealing.pass_stopping());
        assert!(!sealing.cancel() && !sealing.is_cancelled());
    }

    #[test]
    fn one_of_several_runs_is_stopped_alone_or_with_all() {
        let all = Cancel::new();
        let (one, other) = (all.child(), all.child());
        assert!(one.cancel() && one.is_cancelled());
        assert!(!other.is_cancelled() && !all.is_cancelled());
        assert!(all.cancel() && other.is_cancelled() && !other.pass_stopping());
    }
}
