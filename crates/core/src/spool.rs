use std::fmt;
use std::io;

/// A place for the bytes of one record that is too long for memory: written once, then read, and gone when it is dropped.
pub trait Spool: Send + fmt::Debug {
    /// Appends bytes.
    ///
    /// # Errors
    /// What the system says (no space, say).
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reads bytes written earlier, from `offset` on; returns how many (0 at the end).
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}

/// Makes spools.
pub trait Spools: Send + Sync + fmt::Debug {
    /// An empty spool.
    ///
    /// # Errors
    /// When there is no room for one.
    fn create(&self) -> io::Result<Box<dyn Spool>>;
}

/// Spools in memory: for tests, and where records are known to be short.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemorySpools;

impl Spools for MemorySpools {
    fn create(&self) -> io::Result<Box<dyn Spool>> {
        Ok(Box::new(MemorySpool::default()))
    }
}

#[derive(Default)]
struct MemorySpool {
    bytes: Vec<u8>,
}

impl Spool for MemorySpool {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.bytes.get(from..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl fmt::Debug for MemorySpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySpool").field("bytes", &self.bytes.len()).finish()
    }
}

/// Spools that keep nothing: for whoever only counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSpools;

impl Spools for NoSpools {
    fn create(&self) -> io::Result<Box<dyn Spool>> {
        Ok(Box::new(NoSpool))
    }
}

#[derive(Debug)]
struct NoSpool;

impl Spool for NoSpool {
    fn append(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&mut self, _offset: u64, _into: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "nothing was kept"))
    }
}
