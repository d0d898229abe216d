use std::fmt;
use std::io::{self, Read};

use fhirline_core::{ChecksumKind, Destination, Partial, Receipt, Store};

use crate::checksum::Hasher;
use crate::encode::Encoding;
use crate::error::SinkError;

/// One output that is still being written, with what is needed to go back to where the source began.
pub(crate) struct Part {
    name: String,
    partial: Box<dyn Partial>,
    /// What the store holds.
    written: Mark,
    /// The last state of the store that lies at or before the savepoint.
    anchor: Mark,
    /// Plain bytes and records taken so far, and as they were at the savepoint.
    taken: Extent,
    savepoint: Extent,
    /// Plain bytes that wait to be cut into a block; empty for plain outputs.
    pub(crate) open: Vec<u8>,
}

/// A state of the store at the end of a member (or of an append).
#[derive(Clone)]
struct Mark {
    stored_bytes: u64,
    plain_bytes: u64,
    hasher: Hasher,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) plain_bytes: u64,
    pub(crate) records: u64,
}

impl Part {
    pub(crate) fn create(
        store: &dyn Store,
        name: String,
        checksum: Option<ChecksumKind>,
    ) -> Result<Self, SinkError> {
        let partial = store.create(&name).map_err(SinkError::store("create", &name))?;
        let start = Mark { stored_bytes: 0, plain_bytes: 0, hasher: Hasher::new(checksum) };
        let nothing = Extent::default();
        let anchor = start.clone();
        Ok(Self {
            name,
            partial,
            written: start,
            anchor,
            taken: nothing,
            savepoint: nothing,
            open: Vec::new(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn taken(&self) -> Extent {
        self.taken
    }

    /// Notes that records were taken, whether they are written yet or not.
    pub(crate) fn take(&mut self, records: u64, plain_bytes: u64) {
        self.taken.records += records;
        self.taken.plain_bytes += plain_bytes;
    }

    /// Appends bytes that stand for `plain_bytes` of plain content.
    pub(crate) fn write(&mut self, stored: &[u8], plain_bytes: u64) -> Result<(), SinkError> {
        self.partial.append(stored).map_err(SinkError::store("write to", &self.name))?;
        self.written.hasher.update(stored);
        self.written.stored_bytes += stored.len() as u64;
        self.written.plain_bytes += plain_bytes;
        if self.written.plain_bytes <= self.savepoint.plain_bytes {
            self.anchor = self.written.clone();
        }
        Ok(())
    }

    /// Remembers this moment as the one to go back to.
    pub(crate) fn set_savepoint(&mut self) {
        self.savepoint = self.taken;
        self.anchor = self.written.clone();
    }

    /// Goes back to the savepoint. Nothing may be on its way to the store.
    pub(crate) fn go_back(&mut self, encoding: Encoding) -> Result<(), SinkError> {
        let to = self.savepoint;
        if self.written.plain_bytes <= to.plain_bytes {
            self.open.truncate((to.plain_bytes - self.written.plain_bytes) as usize);
        } else {
            let count = to.plain_bytes - self.anchor.plain_bytes;
            let stored = StoredFrom { partial: &mut *self.partial, at: self.anchor.stored_bytes };
            self.open =
                encoding.decode_first(stored, count).map_err(SinkError::store("read back", &self.name))?;
            let keep = self.anchor.stored_bytes;
            self.partial.truncate(keep).map_err(SinkError::store("cut back", &self.name))?;
            self.written = self.anchor.clone();
        }
        self.taken = to;
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), SinkError> {
        self.partial.sync().map_err(SinkError::store("sync", &self.name))
    }

    pub(crate) fn discard(self) -> Result<(), SinkError> {
        self.partial.discard().map_err(SinkError::store("remove", &self.name))
    }

    /// What the output will say of itself once all that was taken is written.
    pub(crate) fn receipt(&self, destination: Option<Destination>) -> Receipt {
        Receipt {
            name: self.name.clone(),
            destination,
            records: self.taken.records,
            plain_bytes: self.written.plain_bytes,
            stored_bytes: self.written.stored_bytes,
            checksum: self.written.hasher.finish(),
        }
    }

    /// Gives the output its final name.
    pub(crate) fn seal(self) -> Result<(), SinkError> {
        self.partial.seal().map_err(SinkError::store("seal", &self.name))
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).field("taken", &self.taken).finish_non_exhaustive()
    }
}

/// Reads what was written, from some byte on.
struct StoredFrom<'p> {
    partial: &'p mut dyn Partial,
    at: u64,
}

impl Read for StoredFrom<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.partial.read_at(self.at, into)?;
        self.at += count as u64;
        Ok(count)
    }
}
