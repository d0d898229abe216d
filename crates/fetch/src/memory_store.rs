use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fhirline_core::{Partial, Store};

use crate::object_name::{self, already_exists, beyond_the_end, partial_name, too_large};

/// A store in memory, for tests and for programs that want the outputs as bytes. Clones share what they hold.
///
/// ```
/// use fhirline_core::Store;
/// use fhirline_fetch::MemoryStore;
///
/// let store = MemoryStore::new();
/// let mut patients = store.create("Patient.ndjson")?;
/// patients.append(b"{}\n")?;
/// assert_eq!(store.contents("Patient.ndjson.partial").as_deref(), Some(&b"{}\n"[..]));
/// patients.seal()?;
/// assert_eq!(store.contents("Patient.ndjson").as_deref(), Some(&b"{}\n"[..]));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<Objects>>,
}

type Objects = BTreeMap<String, Vec<u8>>;

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a name holds now, be it final or provisional (with its suffix).
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().get(name).cloned()
    }

    fn partial(&self, name: &str) -> MemoryPartial {
        MemoryPartial { store: self.clone(), name: name.to_owned(), partial: partial_name(name) }
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        // A map of vectors is whole after any panic that its methods can have (none but running out of memory).
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        object_name::check_final(name)?;
        let partial = self.partial(name);
        self.lock().insert(partial.partial.clone(), Vec::new());
        Ok(Box::new(partial))
    }

    fn resume(&self, name: &str, stored_bytes: u64) -> io::Result<Option<Box<dyn Partial>>> {
        object_name::check_final(name)?;
        let mut partial = self.partial(name);
        let found = self.stored_bytes(&partial.partial)?;
        if found.is_none_or(|found| found < stored_bytes) {
            return Ok(None);
        }
        partial.truncate(stored_bytes)?;
        Ok(Some(Box::new(partial)))
    }

    fn replace(&self, name: &str, bytes: &[u8], _durable: bool) -> io::Result<()> {
        object_name::check(name)?;
        self.lock().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        object_name::check_final(name)?;
        let mut objects = self.lock();
        if objects.contains_key(name) {
            return Err(already_exists(name));
        }
        objects.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn get(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        object_name::check(name)?;
        match self.lock().get(name) {
            Some(bytes) if bytes.len() as u64 > max_bytes => Err(too_large(name, max_bytes)),
            bytes => Ok(bytes.cloned()),
        }
    }

    fn stored_bytes(&self, name: &str) -> io::Result<Option<u64>> {
        object_name::check(name)?;
        Ok(self.lock().get(name).map(|bytes| bytes.len() as u64))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        object_name::check(name)?;
        self.lock().remove(name);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects = self.lock();
        f.debug_map().entries(objects.iter().map(|(name, bytes)| (name, bytes.len()))).finish()
    }
}

#[derive(Debug)]
struct MemoryPartial {
    store: MemoryStore,
    name: String,
    partial: String,
}

impl MemoryPartial {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("{} is gone", self.partial));
        self.store.lock().get_mut(&self.partial).map(act).ok_or_else(gone)
    }
}

impl Partial for MemoryPartial {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|stored| stored.extend_from_slice(bytes))
    }

    fn stored_bytes(&self) -> u64 {
        self.with(|stored| stored.len() as u64).unwrap_or(0)
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.with(|stored| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let rest = stored.get(from..).unwrap_or_default();
            let length = rest.len().min(into.len());
            into[..length].copy_from_slice(&rest[..length]);
            length
        })
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.with(|stored| match usize::try_from(bytes) {
            Ok(length) if length <= stored.len() => {
                stored.truncate(length);
                Ok(())
            }
            _ => Err(beyond_the_end(&self.partial, bytes, stored.len() as u64)),
        })?
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|_| ())
    }

    fn seal(self: Box<Self>) -> io::Result<()> {
        let mut objects = self.store.lock();
        if objects.contains_key(&self.name) {
            return Err(already_exists(&self.name));
        }
        let bytes = objects
            .remove(&self.partial)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{} is gone", self.partial)))?;
        objects.insert(self.name.clone(), bytes);
        Ok(())
    }

    fn discard(self: Box<Self>) -> io::Result<()> {
        self.store.remove(&self.partial)
    }
}
