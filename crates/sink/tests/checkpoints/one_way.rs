//! A store that gives nothing back of what was written to an output, and cuts it back only to where it was marked.

use std::io;
use std::sync::Arc;

use fhirline_core::{Partial, Store};
use fhirline_fetch::MemoryStore;
use fhirline_sink::SplitOptions;
use proptest::prelude::*;

use crate::interrupted::{abandoned, interrupted};
use crate::support::{options, steps, unbroken};

#[derive(Clone, Debug)]
struct OneWay {
    store: MemoryStore,
}

impl OneWay {
    fn partial(inner: Box<dyn Partial>, mark: u64, is_short: bool) -> Box<dyn Partial> {
        Box::new(OneWayPartial { inner, mark, is_short })
    }
}

impl Store for OneWay {
    fn name(&self) -> String {
        self.store.name()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        Ok(Self::partial(self.store.create(name)?, 0, false))
    }

    fn create_short(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        Ok(Self::partial(self.store.create(name)?, 0, true))
    }

    fn reads_back(&self) -> bool {
        false
    }

    fn resume(&self, name: &str, stored_bytes: u64) -> io::Result<Option<Box<dyn Partial>>> {
        // Only what is short is gone on with like this.
        Ok(self.store.resume(name, stored_bytes)?.map(|inner| Self::partial(inner, 0, true)))
    }

    fn resume_marked(
        &self,
        name: &str,
        stored_bytes: u64,
        mark: u64,
    ) -> io::Result<Option<Box<dyn Partial>>> {
        Ok(self.store.resume(name, stored_bytes)?.map(|inner| Self::partial(inner, mark, false)))
    }

    fn replace(&self, name: &str, bytes: &[u8], durable: bool) -> io::Result<()> {
        self.store.replace(name, bytes, durable)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
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
        self.store.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.store.sync()
    }
}

#[derive(Debug)]
struct OneWayPartial {
    inner: Box<dyn Partial>,
    mark: u64,
    is_short: bool,
}

fn refused() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

impl Partial for OneWayPartial {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.append(bytes)
    }

    fn stored_bytes(&self) -> u64 {
        self.inner.stored_bytes()
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        if self.is_short { self.inner.read_at(offset, into) } else { Err(refused()) }
    }

    fn mark(&mut self) {
        self.mark = self.inner.stored_bytes();
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        if self.is_short || bytes == self.mark { self.inner.truncate(bytes) } else { Err(refused()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.inner.sync()
    }

    fn seal(self: Box<Self>) -> io::Result<()> {
        self.inner.seal()
    }

    fn discard(self: Box<Self>) -> io::Result<()> {
        self.inner.discard()
    }
}

/// Such a store has no crash of the machine to fear: one checkpoint is enough.
fn one_way_options() -> impl Strategy<Value = SplitOptions> {
    options().prop_map(|options| SplitOptions { durable: false, ..options })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nobody_sees_that_a_run_was_interrupted(
        options in one_way_options(),
        steps in steps(),
        checkpoints in prop::collection::vec(prop::bool::weighted(0.4), 1..24),
        kills in prop::collection::vec(0usize..30, 1..5),
        threads in any::<bool>(),
    ) {
        let store = OneWay { store: MemoryStore::new() };
        let ran = interrupted(&|| Arc::new(store.clone()), options, &steps, &checkpoints, &kills, threads);
        prop_assert!(ran == unbroken(&steps, options));
    }

    #[test]
    fn a_source_can_be_abandoned_after_all(
        options in one_way_options(),
        steps in steps(),
        checkpoint in 0usize..30,
        kill in 0usize..6,
        again in any::<bool>(),
    ) {
        let store = OneWay { store: MemoryStore::new() };
        let checkpoint = checkpoint % (steps.len() + 1);
        let (ran, before) = abandoned(&|| Arc::new(store.clone()), options, &steps, checkpoint, kill, again);
        prop_assert!(ran == unbroken(&before, options));
    }
}
