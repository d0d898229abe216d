//! A store that fails at an operation of choice: as after a kill, or as on a disk that is full.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fhirline_core::{Partial, Store};

/// How a store dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// From some operation on nothing is done any more.
    Kill,
    /// The same, but if that operation writes, half of its bytes arrive.
    TornWrite,
    /// There is no space for that operation, half of whose bytes arrive if it writes; then there is again.
    Full,
}

/// Counts what a store does, and ends it.
#[derive(Debug)]
pub(super) struct Life {
    operations: AtomicU64,
    last: u64,
    death: Death,
    dead: AtomicBool,
}

impl Life {
    /// A life that ends behind so many operations.
    pub(super) fn of(operations: u64, death: Death) -> Arc<Self> {
        Arc::new(Self {
            operations: AtomicU64::new(0),
            last: operations,
            death,
            dead: AtomicBool::new(false),
        })
    }

    pub(super) fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Whether it came as far as to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.operations.load(Ordering::SeqCst) > self.last
    }

    /// One more operation that leaves something behind. `half` is what is left of it if it is the last.
    fn act<T>(&self, act: impl FnOnce() -> io::Result<T>, half: impl FnOnce()) -> io::Result<T> {
        self.look()?;
        if self.operations.fetch_add(1, Ordering::SeqCst) != self.last {
            return act();
        }
        if self.death != Death::Kill {
            half();
        }
        if self.death == Death::Full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.end();
        Err(killed())
    }

    /// An operation that leaves nothing behind.
    fn look(&self) -> io::Result<()> {
        if self.dead.load(Ordering::SeqCst) { Err(killed()) } else { Ok(()) }
    }
}

fn killed() -> io::Error {
    io::Error::other("killed")
}

#[derive(Debug)]
pub(super) struct DyingStore {
    pub(super) inner: Arc<dyn Store>,
    pub(super) life: Arc<Life>,
}

impl DyingStore {
    fn act<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.life.act(act, || ())
    }

    fn wrap(&self, inner: Box<dyn Partial>) -> Box<dyn Partial> {
        Box::new(DyingPartial { inner, life: Arc::clone(&self.life) })
    }
}

impl Store for DyingStore {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        self.act(|| self.inner.create(name)).map(|partial| self.wrap(partial))
    }

    fn resume(&self, name: &str, stored_bytes: u64) -> io::Result<Option<Box<dyn Partial>>> {
        Ok(self.act(|| self.inner.resume(name, stored_bytes))?.map(|partial| self.wrap(partial)))
    }

    fn resume_marked(
        &self,
        name: &str,
        stored_bytes: u64,
        mark: u64,
    ) -> io::Result<Option<Box<dyn Partial>>> {
        let resumed = self.act(|| self.inner.resume_marked(name, stored_bytes, mark))?;
        Ok(resumed.map(|partial| self.wrap(partial)))
    }

    fn create_short(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        self.act(|| self.inner.create_short(name)).map(|partial| self.wrap(partial))
    }

    fn reads_back(&self) -> bool {
        self.inner.reads_back()
    }

    fn settle(&self) -> io::Result<()> {
        self.act(|| self.inner.settle())
    }

    fn replace(&self, name: &str, bytes: &[u8], _durable: bool) -> io::Result<()> {
        self.act(|| self.inner.replace(name, bytes, false))
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.act(|| self.inner.put_if_absent(name, bytes))
    }

    fn get(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        self.life.look()?;
        self.inner.get(name, max_bytes)
    }

    fn stored_bytes(&self, name: &str) -> io::Result<Option<u64>> {
        self.life.look()?;
        self.inner.stored_bytes(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.life.look()?;
        self.inner.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.act(|| self.inner.remove(name))
    }

    fn sync(&self) -> io::Result<()> {
        // The machine itself does not crash here, and waiting for the disk would only take time.
        self.act(|| Ok(()))
    }
}

#[derive(Debug)]
struct DyingPartial {
    inner: Box<dyn Partial>,
    life: Arc<Life>,
}

impl Partial for DyingPartial {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (life, inner) = (Arc::clone(&self.life), std::cell::RefCell::new(&mut self.inner));
        life.act(
            || inner.borrow_mut().append(bytes),
            || inner.borrow_mut().append(&bytes[..bytes.len() / 2]).expect("the inner store is sound"),
        )
    }

    fn stored_bytes(&self) -> u64 {
        self.inner.stored_bytes()
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.life.look()?;
        self.inner.read_at(offset, into)
    }

    fn mark(&mut self) {
        self.inner.mark();
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.life.act(|| self.inner.truncate(bytes), || ())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.life.act(|| Ok(()), || ())
    }

    fn seal(self: Box<Self>) -> io::Result<()> {
        let Self { inner, life } = *self;
        life.act(|| inner.seal(), || ())
    }

    fn discard(self: Box<Self>) -> io::Result<()> {
        let Self { inner, life } = *self;
        life.act(|| inner.discard(), || ())
    }
}
