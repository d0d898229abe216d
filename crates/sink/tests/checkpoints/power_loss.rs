//! With `durable`, a checkpoint holds also after a loss of power, when all that was not synced is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use fhirline_core::{Partial, Store};
use fhirline_fetch::MemoryStore;
use fhirline_sink::{Inline, SplitOptions};
use proptest::prelude::*;

use crate::support::{Run, contents, options, sealed, steps, unbroken};

/// A store in memory that remembers what of it would outlive a loss of power.
#[derive(Clone, Debug, Default)]
pub(crate) struct Volatile {
    store: MemoryStore,
    safe: Arc<Mutex<Safe>>,
    /// Whether a cut, or what takes the place of an object without a sync, outlives it at once or only with the next sync: a
    /// disk may do either.
    cuts_are_safe: bool,
}

#[derive(Debug, Default)]
struct Safe {
    names: BTreeSet<String>,
    /// By name; what was never synced is empty.
    bytes: BTreeMap<String, Vec<u8>>,
}

impl Volatile {
    /// What is there when the power comes back.
    pub(crate) fn after_power_loss(&self) -> MemoryStore {
        let safe = self.safe.lock().expect("no panic");
        let left = MemoryStore::new();
        for name in &safe.names {
            let bytes = safe.bytes.get(name).cloned().unwrap_or_default();
            left.replace(name, &bytes, true).expect("in memory");
        }
        left
    }

    pub(crate) fn started_from(store: &MemoryStore, cuts_are_safe: bool) -> Self {
        let bytes = contents(store);
        let names = bytes.keys().cloned().collect();
        Self { store: store.clone(), safe: Arc::new(Mutex::new(Safe { names, bytes })), cuts_are_safe }
    }

    fn partial(&self, name: &str, inner: Box<dyn Partial>) -> Box<dyn Partial> {
        Box::new(VolatilePartial { of: self.clone(), name: format!("{name}.partial"), inner })
    }
}

impl Store for Volatile {
    fn name(&self) -> String {
        self.store.name()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        let partial = self.partial(name, self.store.create(name)?);
        // A new file under an old name: neither its bytes nor its name are safe yet.
        let mut safe = self.safe.lock().expect("no panic");
        safe.names.remove(&format!("{name}.partial"));
        safe.bytes.remove(&format!("{name}.partial"));
        Ok(partial)
    }

    fn resume(&self, name: &str, stored_bytes: u64) -> io::Result<Option<Box<dyn Partial>>> {
        Ok(self.store.resume(name, stored_bytes)?.map(|inner| self.partial(name, inner)))
    }

    fn replace(&self, name: &str, bytes: &[u8], durable: bool) -> io::Result<()> {
        self.store.replace(name, bytes, durable)?;
        let mut safe = self.safe.lock().expect("no panic");
        if !durable && !self.cuts_are_safe {
            return Ok(());
        }
        safe.names.insert(name.to_owned());
        safe.bytes.insert(name.to_owned(), bytes.to_vec());
        Ok(())
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
        // At worst it is safe at once.
        self.safe.lock().expect("no panic").names.remove(name);
        self.store.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.safe.lock().expect("no panic").names = self.store.list()?.into_iter().collect();
        Ok(())
    }
}

#[derive(Debug)]
struct VolatilePartial {
    of: Volatile,
    name: String,
    inner: Box<dyn Partial>,
}

impl Partial for VolatilePartial {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.append(bytes)
    }

    fn stored_bytes(&self) -> u64 {
        self.inner.stored_bytes()
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(offset, into)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.inner.truncate(bytes)?;
        let mut safe = self.of.safe.lock().expect("no panic");
        if self.of.cuts_are_safe
            && let Some(safe) = safe.bytes.get_mut(&self.name)
        {
            safe.truncate(bytes as usize);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let bytes = self.of.store.contents(&self.name).expect("it is there");
        self.of.safe.lock().expect("no panic").bytes.insert(self.name.clone(), bytes);
        self.inner.sync()
    }

    fn seal(self: Box<Self>) -> io::Result<()> {
        self.inner.seal()
    }

    fn discard(self: Box<Self>) -> io::Result<()> {
        self.of.safe.lock().expect("no panic").names.remove(&self.name);
        self.inner.discard()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_durable_checkpoint_holds(
        options in options(),
        steps in steps(),
        checkpoints in prop::collection::vec(prop::option::of(any::<bool>()), 1..20),
        kills in prop::collection::vec(0usize..25, 1..4),
        cuts_are_safe in any::<bool>(),
    ) {
        let options = SplitOptions { durable: true, ..options };
        let mut store = Volatile { cuts_are_safe, ..Volatile::default() };
        let mut run = Run::begin(Arc::new(store.clone()), options, &steps, false);
        run.checkpoint();
        let mut kills = kills.into_iter();
        let mut next = kills.next();
        while run.taken < steps.len() {
            let abandons = matches!(steps[run.taken], crate::support::Step::Abandon);
            run.step();
            match checkpoints[run.taken % checkpoints.len()] {
                _ if abandons => run.checkpoint(),
                Some(sync) => run.try_checkpoint_synced(sync).expect("in memory"),
                None => {}
            }
            if next.is_some_and(|kill| kill <= run.taken) {
                next = kills.next();
                store = Volatile::started_from(&store.after_power_loss(), cuts_are_safe);
                run = Run::resume(Arc::new(store.clone()), options, &steps, false).expect("the checkpoint holds");
            }
        }
        let finished = run.sink.finish(&Inline).expect("in memory");
        let parts: Vec<_> = finished.outputs().into_iter().chain(finished.quarantine()).collect();
        let safe = store.safe.lock().expect("no panic").bytes.clone();
        let wanted = unbroken(&steps, options);
        for part in parts {
            let bytes = safe.get(&format!("{}.partial", part.name));
            prop_assert!(bytes == Some(&wanted.files[&part.name]), "{} is not safe yet", part.name);
        }
        prop_assert!(sealed(finished, &store) == wanted);
    }
}
