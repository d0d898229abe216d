//! A run that ends at any moment: between two operations of its store, or in the middle of a write.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fhirline_core::{Partial, Store};
use fhirline_fetch::MemoryStore;
use fhirline_sink::{Inline, ResumeError, SinkError, SplitOptions};
use proptest::prelude::*;

use crate::power_loss::Volatile;
use crate::support::{Run, Step, options, sealed, steps, unbroken};

/// A store that changes nothing any more after so many operations; the last write is half done.
#[derive(Clone, Debug)]
pub(crate) struct Dying {
    store: Arc<dyn Store>,
    left: Arc<AtomicU64>,
}

impl Dying {
    pub(crate) fn after(store: impl Store + 'static, operations: u64) -> Self {
        Self { store: Arc::new(store), left: Arc::new(AtomicU64::new(operations)) }
    }

    /// A store that lives on, and what changed it so far: writes, new names and the like.
    pub(crate) fn counting(store: impl Store + 'static) -> Self {
        Self::after(store, u64::MAX)
    }

    pub(crate) fn operations(&self) -> u64 {
        u64::MAX - self.left.load(Ordering::Relaxed)
    }

    /// Whether it lives.
    fn lives(&self) -> io::Result<()> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| io::Error::other("killed"))
    }

    fn partial(&self, inner: Box<dyn Partial>) -> Box<dyn Partial> {
        Box::new(DyingPartial { of: self.clone(), inner })
    }
}

impl Store for Dying {
    fn name(&self) -> String {
        self.store.name()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        self.lives()?;
        Ok(self.partial(self.store.create(name)?))
    }

    fn resume(&self, name: &str, stored_bytes: u64) -> io::Result<Option<Box<dyn Partial>>> {
        self.lives()?;
        Ok(self.store.resume(name, stored_bytes)?.map(|inner| self.partial(inner)))
    }

    fn replace(&self, name: &str, bytes: &[u8], durable: bool) -> io::Result<()> {
        self.lives()?;
        self.store.replace(name, bytes, durable)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.lives()?;
        self.store.put_if_absent(name, bytes)
    }

    fn get(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        self.store.get(name, max_bytes)
    }

    fn stored_bytes(&self, name: &str) -> io::Result<Option<u64>> {
        self.store.stored_bytes(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.store.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lives()?;
        self.store.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.lives()?;
        self.store.sync()
    }
}

#[derive(Debug)]
struct DyingPartial {
    of: Dying,
    inner: Box<dyn Partial>,
}

impl Partial for DyingPartial {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.of.left.load(Ordering::Relaxed) == 1 {
            self.inner.append(&bytes[..bytes.len() / 2])?;
            self.of.lives()?;
        }
        self.of.lives()?;
        self.inner.append(bytes)
    }

    fn stored_bytes(&self) -> u64 {
        self.inner.stored_bytes()
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(offset, into)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.of.lives()?;
        self.inner.truncate(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.of.lives()?;
        self.inner.sync()
    }

    fn seal(self: Box<Self>) -> io::Result<()> {
        self.of.lives()?;
        self.inner.seal()
    }

    fn discard(self: Box<Self>) -> io::Result<()> {
        self.of.lives()?;
        self.inner.discard()
    }
}

/// Steps on to the end, with checkpoints, unless the store dies.
fn advance(run: &mut Run<'_>, steps: &[Step], checkpoints: &[bool]) -> Result<(), SinkError> {
    while run.taken < steps.len() {
        run.try_step()?;
        if checkpoints[run.taken % checkpoints.len()] {
            run.try_checkpoint()?;
        }
    }
    Ok(())
}

/// A run as the life before left it, or afresh.
pub(crate) fn taken_up<'s>(
    store: &Dying,
    options: SplitOptions,
    steps: &'s [Step],
) -> Result<Run<'s>, SinkError> {
    match Run::resume(Arc::new(store.clone()), options, steps, false) {
        Ok(run) => Ok(run),
        Err(ResumeError::Sink(error)) => Err(error),
        // There is no checkpoint yet, or a source was abandoned since.
        Err(ResumeError::Malformed { .. }) => {
            let names = store.list().expect("listed");
            // Whoever starts afresh can do so with what was there before.
            names.iter().for_each(|name| store.store.remove(name).expect("removed"));
            Ok(Run::begin(Arc::new(store.clone()), options, steps, false))
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// One life of a run, from what the one before left; the run if it came to its end.
fn live<'s>(
    store: &Dying,
    options: SplitOptions,
    steps: &'s [Step],
    checkpoints: &[bool],
) -> Result<Run<'s>, SinkError> {
    let mut run = taken_up(store, options, steps)?;
    advance(&mut run, steps, checkpoints)?;
    Ok(run)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_kill_at_any_moment_leaves_a_run_that_goes_on(
        options in options(),
        steps in steps(),
        checkpoints in prop::collection::vec(prop::bool::weighted(0.6), 1..20),
        lives in prop::collection::vec(0u64..120, 1..6),
    ) {
        let store = MemoryStore::new();
        for operations in lives {
            // Some lives are long enough.
            drop(live(&Dying::after(store.clone(), operations), options, &steps, &checkpoints));
        }
        let run = live(&Dying::after(store.clone(), u64::MAX), options, &steps, &checkpoints);
        let finished = run.expect("it lives").sink.finish(&Inline).expect("it lives");
        prop_assert!(sealed(finished, &store) == unbroken(&steps, options));
    }

    #[test]
    fn so_does_a_loss_of_power(
        options in options(),
        steps in steps(),
        checkpoints in prop::collection::vec(prop::bool::weighted(0.6), 1..20),
        lives in prop::collection::vec(0u64..120, 1..6),
        cuts_are_safe in any::<bool>(),
    ) {
        let options = SplitOptions { durable: true, ..options };
        let mut store = Volatile::started_from(&MemoryStore::new(), cuts_are_safe);
        for operations in lives {
            drop(live(&Dying::after(store.clone(), operations), options, &steps, &checkpoints));
            store = Volatile::started_from(&store.after_power_loss(), cuts_are_safe);
        }
        let run = live(&Dying::after(store.clone(), u64::MAX), options, &steps, &checkpoints);
        let finished = run.expect("it lives").sink.finish(&Inline).expect("it lives");
        prop_assert!(sealed(finished, &store) == unbroken(&steps, options));
    }
}
