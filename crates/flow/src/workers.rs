//! The threads that route and compress, and the one that begins sources.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, Scope};

use crossbeam_channel::{Receiver, Sender, unbounded};

use fhirline_sink::Offload;

type Job = Box<dyn FnOnce() + Send>;

/// A way to threads that do jobs, first come, first served. They end when the last such way is gone and all jobs are done.
///
/// Nothing here divides itself or is stolen, so this is no pool of rayon (docs/decisions/0020).
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    /// Not bounded: what is under way is bounded by what it leases.
    jobs: Sender<Job>,
}

impl Workers {
    /// Begins threads of these names.
    pub(crate) fn begin<'scope>(
        scope: &'scope Scope<'scope, '_>,
        names: impl IntoIterator<Item = String>,
    ) -> io::Result<Self> {
        let (jobs, queue) = unbounded();
        for name in names {
            let queue = queue.clone();
            Builder::new().name(name).spawn_scoped(scope, move || work(&queue))?;
        }
        Ok(Self { jobs })
    }
}

impl Offload for Workers {
    fn offload(&self, job: Job) {
        // The threads end after this.
        let _ = self.jobs.send(job);
    }
}

/// A job that panics drops its promise, which whoever waits for it sees; the thread goes on.
fn work(queue: &Receiver<Job>) {
    for job in queue {
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn jobs_are_begun_in_their_order_and_a_panic_ends_one_of_them_only() {
        let (sender, done) = channel();
        thread::scope(|scope| {
            let workers = Workers::begin(scope, ["one".to_owned()]).expect("a thread");
            for number in 0..20 {
                let sender = sender.clone();
                workers.offload(Box::new(move || {
                    assert_ne!(number, 7, "as a job may");
                    sender.send(number).expect("listened to");
                }));
            }
        });
        drop(sender);
        assert_eq!(
            done.iter().collect::<Vec<_>>(),
            (0..20).filter(|number| *number != 7).collect::<Vec<_>>()
        );
    }

    #[test]
    fn each_worker_does_jobs_while_another_waits() {
        let ((to_first, of_second), (sender, done)) = (channel(), channel());
        thread::scope(|scope| {
            let workers = Workers::begin(scope, ["one".to_owned(), "two".to_owned()]).expect("two threads");
            workers.offload(Box::new(move || {
                // With one worker nothing would ever come.
                let heard = of_second.recv_timeout(Duration::from_secs(60));
                sender.send(heard).expect("listened to");
            }));
            workers.offload(Box::new(move || to_first.send("from the other").expect("listened to")));
        });
        assert_eq!(done.recv(), Ok(Ok("from the other")));
    }
}
