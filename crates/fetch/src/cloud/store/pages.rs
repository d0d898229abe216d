//! What waits for its upload, on the disk of this machine.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fhirline_core::mapped_buffer;

use crate::folder_spools::{in_folder, without_name};
use crate::folder_store::read_at;

/// What an extent grows by. Hundreds of outputs each waste half of one.
const PAGE_BYTES: u64 = 64 << 10;

/// One file without a name for the bytes of all outputs, so that thousands of outputs need one handle. It is made with the
/// first byte, has mode 0600, and goes with the process.
pub(super) struct PageSpool {
    folder: PathBuf,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    file: Option<File>,
    /// Pages that were used and are free again.
    free: Vec<u32>,
    count: u32,
}

impl PageSpool {
    pub(super) fn in_folder(folder: &Path) -> Arc<Self> {
        Arc::new(Self { folder: folder.to_owned(), pages: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        // Whatever panicked, the lists of pages are whole.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_page(&self) -> io::Result<u32> {
        let mut pages = self.lock();
        if let Some(page) = pages.free.pop() {
            return Ok(page);
        }
        let page = pages.count;
        pages.count = page.checked_add(1).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        Ok(page)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut pages = self.lock();
        let file = match pages.file.take() {
            Some(file) => file,
            None => without_name(&self.folder)
                .map_err(|error| in_folder("a temporary file cannot be made", &self.folder, &error))?,
        };
        let file = pages.file.insert(file);
        let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes));
        written.map_err(|error| in_folder("a temporary file cannot be written", &self.folder, &error))
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let pages = self.lock();
        let file = pages.file.as_ref().ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut filled = 0;
        while filled < into.len() {
            let read = match read_at(file, at + filled as u64, &mut into[filled..]) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                read => read,
            };
            filled +=
                read.map_err(|error| in_folder("a temporary file cannot be read", &self.folder, &error))?;
        }
        Ok(())
    }
}

impl fmt::Debug for PageSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageSpool").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Bytes that follow each other, on pages anywhere in the spool. They go when it is dropped.
#[derive(Debug)]
pub(super) struct Extent {
    spool: Arc<PageSpool>,
    pages: Vec<u32>,
    bytes: u64,
}

impl Extent {
    pub(super) fn new(spool: &Arc<PageSpool>) -> Self {
        Self { spool: Arc::clone(spool), pages: Vec::new(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let within = self.bytes % PAGE_BYTES;
            if within == 0 {
                self.pages.push(self.spool.take_page()?);
            }
            let page = self.pages.last().copied().unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min((PAGE_BYTES - within) as usize));
            if let Err(error) = self.spool.write(u64::from(page) * PAGE_BYTES + within, now) {
                self.truncate(self.bytes);
                return Err(error);
            }
            self.bytes += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Reads from a byte on as much as there is; returns how many.
    pub(super) fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let wanted = self.bytes.saturating_sub(offset).min(into.len() as u64) as usize;
        let mut filled = 0;
        while filled < wanted {
            let at = offset + filled as u64;
            let (page, within) = (self.pages[(at / PAGE_BYTES) as usize], at % PAGE_BYTES);
            let count = ((PAGE_BYTES - within) as usize).min(wanted - filled);
            self.spool.read(u64::from(page) * PAGE_BYTES + within, &mut into[filled..filled + count])?;
            filled += count;
        }
        Ok(filled)
    }

    /// Reads a range that is there.
    pub(super) fn read(&self, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let mut read = mapped_buffer(usize::try_from(bytes).unwrap_or(usize::MAX));
        self.read_onto(offset, bytes, &mut read)?;
        Ok(read)
    }

    /// Appends a range that is there.
    pub(super) fn read_onto(&self, offset: u64, bytes: u64, onto: &mut Vec<u8>) -> io::Result<()> {
        let before = onto.len();
        onto.resize(before + usize::try_from(bytes).unwrap_or(usize::MAX), 0);
        let count = self.read_at(offset, &mut onto[before..])?;
        if (count as u64) < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    pub(super) fn truncate(&mut self, bytes: u64) {
        self.bytes = self.bytes.min(bytes);
        let needed = self.bytes.div_ceil(PAGE_BYTES) as usize;
        if needed < self.pages.len() {
            let freed = self.pages.split_off(needed);
            self.spool.lock().free.extend(freed);
        }
    }

    /// A copy of its first bytes.
    pub(super) fn beginning(&self, bytes: u64) -> io::Result<Self> {
        let mut copy = Self::new(&self.spool);
        while copy.bytes < bytes {
            let piece = self.read(copy.bytes, (bytes - copy.bytes).min(PAGE_BYTES))?;
            copy.append(&piece)?;
        }
        Ok(copy)
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        self.truncate(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: usize, length: usize) -> Vec<u8> {
        (0..length).map(|i| ((i * 31 + seed * 7919) % 251) as u8).collect()
    }

    #[test]
    fn extents_grow_side_by_side_and_pages_are_used_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = PageSpool::in_folder(folder.path());
        let page = PAGE_BYTES as usize;
        let mut extents: Vec<Extent> = (0..5).map(|_| Extent::new(&spool)).collect();
        for length in [1, page - 1, 3, page, 2 * page + 7] {
            for (seed, extent) in extents.iter_mut().enumerate() {
                let from = extent.bytes() as usize;
                extent.append(&noise(seed, from + length)[from..]).expect("appended");
            }
        }
        let total = extents[0].bytes();
        for (seed, extent) in extents.iter().enumerate() {
            assert_eq!(extent.read(0, total).expect("read"), noise(seed, total as usize));
            let copy = extent.beginning(PAGE_BYTES + 9).expect("copied");
            assert_eq!(copy.read(0, copy.bytes()).expect("read"), noise(seed, page + 9));
        }
        let count = spool.lock().count;
        extents[0].truncate(PAGE_BYTES + 1);
        extents.remove(1);
        let mut other = Extent::new(&spool);
        other.append(&noise(9, 3 * page)).expect("appended");
        assert_eq!(spool.lock().count, count, "freed pages come first");
        extents[0].append(b"x").expect("appended");
        assert_eq!(extents[0].read(PAGE_BYTES, 2).expect("read"), [noise(0, page + 1)[page], b'x']);
        assert!(extents[0].read(PAGE_BYTES, 3).is_err());
        assert_eq!(folder.path().read_dir().expect("listed").count(), 0, "the file has no name");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let spool = PageSpool::in_folder(Path::new("/nowhere/at/all"));
        let error = Extent::new(&spool).append(b"x").expect_err("no such folder");
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
