use std::io;
use std::path::PathBuf;

use fhirline_core::{Partial, Store};
use fhirline_fetch::FolderStore;

use super::target::sync_folder;

/// A folder that holds other things as well, and maybe a great many: what makes names safe looks at no more of it than it
/// must.
#[derive(Debug)]
pub(super) struct Beside {
    folder: FolderStore,
    quarantine: PathBuf,
}

impl Beside {
    /// Outputs lie in the folder itself and in the one of the quarantine.
    pub(super) fn new(folder: FolderStore, quarantine: PathBuf) -> Self {
        Self { folder, quarantine }
    }
}

impl Store for Beside {
    fn name(&self) -> String {
        self.folder.name()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        self.folder.create(name)
    }

    fn resume(&self, name: &str, stored_bytes: u64) -> io::Result<Option<Box<dyn Partial>>> {
        self.folder.resume(name, stored_bytes)
    }

    fn replace(&self, name: &str, bytes: &[u8], durable: bool) -> io::Result<()> {
        self.folder.replace(name, bytes, durable)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.folder.put_if_absent(name, bytes)
    }

    fn get(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        self.folder.get(name, max_bytes)
    }

    fn stored_bytes(&self, name: &str) -> io::Result<Option<u64>> {
        self.folder.stored_bytes(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.folder.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        sync_folder(&self.quarantine)?;
        sync_folder(self.folder.path())
    }
}
