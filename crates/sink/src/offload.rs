/// Runs jobs that may go on elsewhere.
pub trait Offload {
    /// Runs the job now or later, here or on another thread.
    fn offload(&self, job: Box<dyn FnOnce() + Send>);
}

/// Runs each job at once, on the thread that asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Offload for Inline {
    fn offload(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}
