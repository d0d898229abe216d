//! Threads that do jobs, and a caller who helps them.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// A job was not done because it panicked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost;

/// Which job it was: they are numbered as they come.
type Ticket = u64;

/// Does jobs on threads of its own and on that of whoever waits for one. The threads begin with the first job, and are gone
/// when the crew is.
pub(crate) struct Crew<J> {
    shared: Arc<Shared<J>>,
    /// Nothing of a handle can be seen through a reference to the crew, before a panic or behind it.
    threads: AssertUnwindSafe<Vec<JoinHandle<()>>>,
    helpers: usize,
    next: Ticket,
}

struct Shared<J> {
    work: fn(&mut J),
    state: Mutex<State<J>>,
    /// There is a job to be done, or none will come any more.
    to_do: Condvar,
    /// A job was done.
    done: Condvar,
}

struct State<J> {
    waiting: VecDeque<(Ticket, J)>,
    done: Vec<(Ticket, Result<J, Lost>)>,
    closed: bool,
}

impl<J: Send + 'static> Crew<J> {
    pub(crate) fn new(helpers: usize, work: fn(&mut J)) -> Self {
        let state = State { waiting: VecDeque::new(), done: Vec::new(), closed: false };
        let shared = Shared { work, state: Mutex::new(state), to_do: Condvar::new(), done: Condvar::new() };
        Self { shared: Arc::new(shared), threads: AssertUnwindSafe(Vec::new()), helpers, next: 0 }
    }

    /// Has a job done, some time; jobs are begun in the order in which they come.
    pub(crate) fn send(&mut self, job: J) -> Ticket {
        self.begin();
        let ticket = self.next;
        self.next += 1;
        self.shared.lock().waiting.push_back((ticket, job));
        self.shared.to_do.notify_one();
        ticket
    }

    /// Waits for a job, and does others meanwhile, as long as there are any.
    pub(crate) fn finish(&mut self, ticket: Ticket) -> Result<J, Lost> {
        let mut state = self.shared.lock();
        loop {
            if let Some(at) = state.done.iter().position(|(done, _)| *done == ticket) {
                return state.done.swap_remove(at).1;
            }
            state = match state.waiting.pop_front() {
                Some(job) => {
                    drop(state);
                    self.shared.do_job(job);
                    self.shared.lock()
                }
                None => self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// With fewer threads than there should be, or none, the caller does more.
    fn begin(&mut self) {
        while self.threads.len() < self.helpers {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("fhirline-inflate".into());
            match thread.spawn(move || shared.do_jobs()) {
                Ok(thread) => self.threads.push(thread),
                Err(_) => self.helpers = self.threads.len(),
            }
        }
    }
}

impl<J> Drop for Crew<J> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.shared.to_do.notify_all();
        for thread in self.threads.drain(..) {
            // A panic in it was told as a lost job.
            let _ = thread.join();
        }
    }
}

impl<J> Shared<J> {
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Lists are changed in one step each: never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn do_jobs(&self) {
        while let Some(job) = self.next_job() {
            self.do_job(job);
        }
    }

    fn next_job(&self) -> Option<(Ticket, J)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            state = self.to_do.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn do_job(&self, (ticket, mut job): (Ticket, J)) {
        let mut report = Report { shared: self, ticket, result: Some(Err(Lost)) };
        (self.work)(&mut job);
        report.result = Some(Ok(job));
    }
}

/// Tells how a job ended, also when it ended with a panic.
struct Report<'s, J> {
    shared: &'s Shared<J>,
    ticket: Ticket,
    result: Option<Result<J, Lost>>,
}

impl<J> Drop for Report<'_, J> {
    fn drop(&mut self) {
        if let Some(result) = self.result.take() {
            self.shared.lock().done.push((self.ticket, result));
            self.shared.done.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn jobs_are_done_whoever_does_them() {
        for helpers in [0, 1, 2, 7] {
            let mut crew = Crew::new(helpers, |number: &mut u64| *number *= 2);
            let tickets: Vec<Ticket> = (0..100).map(|number| crew.send(number)).collect();
            for (number, ticket) in (0..100).zip(tickets) {
                assert_eq!(crew.finish(ticket), Ok(2 * number));
            }
        }
    }

    #[test]
    fn several_jobs_are_done_at_once() {
        // Each waits for the others: one after the other would never end.
        let together = Arc::new(Barrier::new(3));
        let mut crew = Crew::new(2, |together: &mut Arc<Barrier>| {
            together.wait();
        });
        let tickets = [(); 3].map(|()| crew.send(Arc::clone(&together)));
        for ticket in tickets {
            assert!(crew.finish(ticket).is_ok());
        }
    }

    /// A job that a helper is sure to do: the caller waits for the one before it meanwhile.
    #[test]
    fn a_job_that_panics_is_lost_and_the_others_are_not() {
        type Job = (Arc<Barrier>, bool);
        let work = |(met, bad): &mut Job| {
            met.wait();
            assert!(!*bad || thread::current().name() != Some("fhirline-inflate"), "as told");
        };
        let met = Arc::new(Barrier::new(2));
        let mut crew = Crew::new(1, work);
        // Helper and caller meet in pairs; the helper panics, and from then on there is none.
        let tickets = [true, true].map(|bad| crew.send((Arc::clone(&met), bad)));
        let results = tickets.map(|ticket| crew.finish(ticket).is_ok());
        assert_eq!(results.iter().filter(|&&sound| !sound).count(), 1, "{results:?}");
        let alone = Arc::new(Barrier::new(1));
        let ticket = crew.send((alone, false));
        assert!(crew.finish(ticket).is_ok(), "the caller does it");
    }

    #[test]
    fn threads_are_gone_when_the_crew_is() {
        struct Counted(Arc<AtomicUsize>, Arc<Barrier>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let jobs = Arc::new(AtomicUsize::new(0));
        let begun = Arc::new(Barrier::new(3));
        let mut crew = Crew::new(2, |job: &mut Counted| {
            job.1.wait();
        });
        for _ in 0..2 {
            jobs.fetch_add(1, Ordering::SeqCst);
            crew.send(Counted(Arc::clone(&jobs), Arc::clone(&begun)));
        }
        begun.wait();
        // They are in the middle of their work, and more waits.
        for _ in 0..10 {
            jobs.fetch_add(1, Ordering::SeqCst);
            crew.send(Counted(Arc::clone(&jobs), Arc::new(Barrier::new(1))));
        }
        let shared = Arc::downgrade(&crew.shared);
        drop(crew);
        assert!(shared.upgrade().is_none(), "a thread holds it");
        assert_eq!(jobs.load(Ordering::SeqCst), 0);
    }
}
