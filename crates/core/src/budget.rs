use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A fixed number of bytes that may be in use at once.
///
/// Whoever is about to hold memory takes a [`Lease`] first and keeps it with the data. Inside the pipeline only the
/// source takes leases, in sequence order and in advance for all that will become of a chunk; a worker that took one
/// could wait for memory that only the commit of an earlier, still unpaid batch would free.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

struct Shared {
    capacity: u64,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: u64,
    closed: bool,
}

impl Budget {
    /// A budget of that many bytes.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        let state = Mutex::new(State { free: capacity_bytes, closed: false });
        Self { shared: Arc::new(Shared { capacity: capacity_bytes, state, changed: Condvar::new() }) }
    }

    /// The size of the whole budget, in bytes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shared.capacity
    }

    /// Bytes that nobody holds a lease on now.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.shared.lock().free
    }

    /// Takes `bytes`, waiting until they are free.
    ///
    /// A request beyond the whole budget is granted once nothing else is out, so that it can never wait for ever; callers
    /// keep their requests below the capacity by construction.
    ///
    /// # Errors
    /// [`BudgetClosed`] once [`close`](Self::close) was called.
    pub fn lease(&self, bytes: u64) -> Result<Lease, BudgetClosed> {
        let mut lease = Lease { shared: Arc::clone(&self.shared), bytes: 0 };
        lease.grow(bytes)?;
        Ok(lease)
    }

    /// Takes `bytes` if they are free now.
    #[must_use]
    pub fn try_lease(&self, bytes: u64) -> Option<Lease> {
        let mut state = self.shared.lock();
        if state.closed || state.free < bytes {
            return None;
        }
        state.free -= bytes;
        drop(state);
        Some(Lease { shared: Arc::clone(&self.shared), bytes })
    }

    /// Ends all waiting, now and later: the run is over.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is a number and a flag, written in one step each: never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("capacity", &self.capacity()).field("free", &self.free()).finish()
    }
}

/// Bytes taken from a [`Budget`]; they go back when it is dropped.
pub struct Lease {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Lease {
    /// A lease on nothing, from a budget of its own: for data that is paid for elsewhere.
    #[must_use]
    pub fn free_of_charge() -> Self {
        Self { shared: Budget::new(0).shared, bytes: 0 }
    }

    /// The size of the lease.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes `more` bytes, waiting until they are free. What this lease holds already does not stand in its own way: a
    /// lease may always grow to the capacity of its budget once it is the only one.
    ///
    /// # Errors
    /// [`BudgetClosed`] once the budget was closed.
    pub fn grow(&mut self, more: u64) -> Result<(), BudgetClosed> {
        let mut state = self.shared.lock();
        loop {
            if state.closed {
                return Err(BudgetClosed);
            }
            let alone = state.free + self.bytes >= self.shared.capacity;
            if state.free >= more || alone {
                break;
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let granted = more.min(state.free);
        state.free -= granted;
        drop(state);
        self.bytes += granted;
        Ok(())
    }

    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        give_back(&self.shared, surplus);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        give_back(&self.shared, self.bytes);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("bytes", &self.bytes).finish()
    }
}

fn give_back(shared: &Shared, bytes: u64) {
    if bytes > 0 {
        shared.lock().free += bytes;
        shared.changed.notify_all();
    }
}

/// The budget was closed while somebody waited for a lease: the run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetClosed;

impl fmt::Display for BudgetClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the memory budget was closed")
    }
}

impl std::error::Error for BudgetClosed {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn leases_return_on_drop_and_shrink() {
        let budget = Budget::new(100);
        let mut lease = budget.lease(60).expect("open");
        let other = budget.lease(40).expect("open");
        assert_eq!(budget.free(), 0);
        lease.shrink_to(10);
        assert_eq!(budget.free(), 50);
        drop(other);
        drop(lease);
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn a_lease_waits_until_another_returns() {
        let budget = Budget::new(100);
        let first = budget.lease(80).expect("open");
        let (sender, receiver) = mpsc::channel();
        let waiting = budget.clone();
        let thread = thread::spawn(move || {
            let lease = waiting.lease(50).expect("open");
            sender.send(lease.bytes()).expect("receiver lives");
        });
        assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(first);
        assert_eq!(receiver.recv(), Ok(50));
        thread.join().expect("no panic");
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn the_only_lease_may_outgrow_the_budget_and_returns_what_it_took() {
        let budget = Budget::new(100);
        let mut lease = budget.lease(30).expect("open");
        lease.grow(500).expect("alone");
        assert_eq!((lease.bytes(), budget.free()), (100, 0));
        drop(lease);
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn what_is_not_free_now_is_not_waited_for() {
        let budget = Budget::new(100);
        let lease = budget.try_lease(100).expect("free");
        assert!(budget.try_lease(1).is_none());
        drop(lease);
        assert!(budget.try_lease(101).is_none());
        assert_eq!(budget.free(), 100);
        budget.close();
        assert!(budget.try_lease(1).is_none());
    }

    #[test]
    fn closing_ends_the_wait() {
        let budget = Budget::new(10);
        let _all = budget.lease(10).expect("open");
        let waiting = budget.clone();
        let thread = thread::spawn(move || waiting.lease(1).map(|lease| lease.bytes()));
        budget.close();
        assert_eq!(thread.join().expect("no panic"), Err(BudgetClosed));
    }
}
