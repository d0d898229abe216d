use std::fmt;
use std::io::{self, Read};

use fhirline_core::{ChecksumKind, Destination, Partial, Receipt, Store};

use crate::checkpoint::{PartSavepoint, PartState};
use crate::checksum::Hasher;
use crate::encode::Encoding;
use crate::error::{ResumeError, SinkError};
use crate::open_blocks::{provisional, read_pieces};

/// One output that is still being written, with what is needed to go back to where the source began.
pub(crate) struct Part {
    name: String,
    partial: Box<dyn Partial>,
    /// What the store holds.
    written: Mark,
    /// The state of the store at the savepoint.
    anchor: Mark,
    /// Plain bytes and records taken so far, and as they were at the savepoint.
    taken: Extent,
    savepoint: Extent,
    /// Plain bytes that wait to be cut into a block; of a plain output, that wait for more to be written with.
    pub(crate) open: Vec<u8>,
    /// How the store takes care that there is a way back to the savepoint.
    way_back: WayBack,
    /// Whether it was changed since it was made to survive a crash of the machine, and whether its name was made since
    /// [`take_new`](Self::take_new).
    dirty: bool,
    new: bool,
}

/// The way back to the bytes that were open at the savepoint, once their block is cut.
enum WayBack {
    /// They are read from the store.
    Read,
    /// The store does not read back: of what is open so many bytes, the first, were so at the savepoint.
    Open(usize),
    /// The same, but they were cut since. They are held, and take no more than open blocks may.
    Held(Vec<u8>),
}

/// A state of the store at the end of a member (or of an append).
#[derive(Clone)]
struct Mark {
    stored_bytes: u64,
    plain_bytes: u64,
    hasher: Hasher,
}

impl Mark {
    fn state(&self, taken: Extent) -> PartState {
        PartState {
            stored_bytes: self.stored_bytes,
            plain_bytes: self.plain_bytes,
            records: taken.records,
            digest: self.digest(),
            hash_state: None,
        }
    }

    fn digest(&self) -> Option<String> {
        self.hasher.finish().map(|checksum| checksum.to_string())
    }
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
        Ok(Self::empty(name, partial, checksum, store.reads_back()))
    }

    fn empty(
        name: String,
        partial: Box<dyn Partial>,
        checksum: Option<ChecksumKind>,
        reads_back: bool,
    ) -> Self {
        let start = Mark { stored_bytes: 0, plain_bytes: 0, hasher: Hasher::new(checksum) };
        let nothing = Extent::default();
        Self {
            name,
            partial,
            anchor: start.clone(),
            written: start,
            taken: nothing,
            savepoint: nothing,
            open: Vec::new(),
            way_back: if reads_back { WayBack::Read } else { WayBack::Open(0) },
            dirty: true,
            new: true,
        }
    }

    /// Goes on with a part where a checkpoint left it. What was written behind is cut off; what stands before must be what
    /// was written, as far as a checksum tells. The bytes of the open block are the caller's to bring.
    pub(crate) fn resume(
        store: &dyn Store,
        name: String,
        checksum: Option<ChecksumKind>,
        noted: &PartState,
        savepoint: Option<&PartSavepoint>,
        buffer: &mut [u8],
    ) -> Result<Self, ResumeError> {
        let mark = savepoint.map_or(noted.stored_bytes, |at| at.anchor_stored_bytes);
        let found = store
            .resume_marked(&name, noted.stored_bytes, mark)
            .map_err(SinkError::store("go on with", &name))?;
        let partial = found.ok_or_else(|| ResumeError::Missing { name: provisional(&name) })?;
        let mut part = Self::empty(name, partial, checksum, store.reads_back());
        if let Some(at) = savepoint {
            part.go_over(at.anchor_stored_bytes, at.anchor_plain_bytes, &at.anchor_hash_state, buffer)?;
            part.anchor = part.written.clone();
            part.savepoint = Extent { plain_bytes: at.plain_bytes, records: at.records };
        }
        part.go_over(noted.stored_bytes, noted.plain_bytes, &noted.hash_state, buffer)?;
        if part.written.digest() != noted.digest {
            return Err(part.changed());
        }
        part.taken = Extent { plain_bytes: noted.plain_bytes, records: noted.records };
        if let WayBack::Open(bytes) = &mut part.way_back {
            let were_open = part.savepoint.plain_bytes - part.anchor.plain_bytes;
            let any_cut = part.written.stored_bytes > part.anchor.stored_bytes;
            if any_cut && savepoint.is_some_and(|at| at.held_bytes != were_open) {
                return Err(part.changed());
            }
            *bytes = if any_cut { 0 } else { were_open as usize };
        }
        Ok(part)
    }

    /// Goes over what the store holds, up to a mark that lies ahead. Where the store cannot read it back, the state that the
    /// hash had there is taken from the checkpoint.
    fn go_over(
        &mut self,
        stored_bytes: u64,
        plain_bytes: u64,
        hash_state: &Option<String>,
        buffer: &mut [u8],
    ) -> Result<(), ResumeError> {
        if matches!(self.way_back, WayBack::Read) {
            return self.read_back(stored_bytes, plain_bytes, buffer);
        }
        let kind = self.written.hasher.kind();
        let hasher = Hasher::from_state(kind, hash_state.as_deref()).ok_or_else(|| self.changed())?;
        self.written = Mark { stored_bytes, plain_bytes, hasher };
        Ok(())
    }

    /// Goes over what the store holds, up to a mark that lies ahead.
    fn read_back(
        &mut self,
        stored_bytes: u64,
        plain_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<(), ResumeError> {
        let hasher = &mut self.written.hasher;
        // Without a checksum there is nothing to learn from the bytes.
        if !matches!(hasher, Hasher::None) {
            let range = self.written.stored_bytes..stored_bytes;
            let whole = read_pieces(&mut *self.partial, range, buffer, |piece| hasher.update(piece));
            if !whole.map_err(SinkError::store("read back", &self.name))? {
                return Err(self.changed());
            }
        }
        (self.written.stored_bytes, self.written.plain_bytes) = (stored_bytes, plain_bytes);
        Ok(())
    }

    /// Hands on what the store holds, piece by piece; whether all of it was there.
    pub(crate) fn read(&mut self, buffer: &mut [u8], take: impl FnMut(&[u8])) -> Result<bool, SinkError> {
        let whole = read_pieces(&mut *self.partial, 0..self.written.stored_bytes, buffer, take);
        whole.map_err(SinkError::store("read back", &self.name))
    }

    fn changed(&self) -> ResumeError {
        ResumeError::Changed { name: provisional(&self.name) }
    }

    /// What a checkpoint says of it. Nothing may be on its way to the store.
    pub(crate) fn state(&self) -> PartState {
        PartState { hash_state: self.hash_state(&self.written), ..self.written.state(self.taken) }
    }

    /// The state of a hash, if it cannot be found again by reading.
    fn hash_state(&self, mark: &Mark) -> Option<String> {
        if matches!(self.way_back, WayBack::Read) { None } else { mark.hasher.state() }
    }

    /// What a checkpoint would have said of it at the savepoint.
    pub(crate) fn state_at_savepoint(&self) -> PartState {
        PartState { hash_state: self.hash_state(&self.anchor), ..self.anchor.state(self.savepoint) }
    }

    /// What a checkpoint says of the moment to go back to.
    pub(crate) fn savepoint_state(&self) -> PartSavepoint {
        PartSavepoint {
            plain_bytes: self.savepoint.plain_bytes,
            records: self.savepoint.records,
            anchor_stored_bytes: self.anchor.stored_bytes,
            anchor_plain_bytes: self.anchor.plain_bytes,
            anchor_hash_state: self.hash_state(&self.anchor),
            held_bytes: self.held().len() as u64,
        }
    }

    /// What was open at the savepoint and is held because the store could not read it back.
    pub(crate) fn held(&self) -> &[u8] {
        match &self.way_back {
            WayBack::Held(bytes) => bytes,
            WayBack::Read | WayBack::Open(_) => &[],
        }
    }

    /// Puts back what is held.
    pub(crate) fn hold(&mut self, bytes: Vec<u8>) {
        self.way_back = WayBack::Held(bytes);
    }

    /// Puts the open block back.
    pub(crate) fn reopen(&mut self, block: Vec<u8>) {
        self.taken.plain_bytes += block.len() as u64;
        self.open = block;
    }

    /// Hands the open block over, to be cut.
    pub(crate) fn take_open(&mut self) -> Vec<u8> {
        if let WayBack::Open(bytes @ 1..) = self.way_back {
            self.way_back = WayBack::Held(self.open[..bytes.min(self.open.len())].to_vec());
        }
        std::mem::take(&mut self.open)
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
        self.append(stored)?;
        self.note_written(stored, plain_bytes);
        Ok(())
    }

    fn append(&mut self, stored: &[u8]) -> Result<(), SinkError> {
        self.dirty = true;
        self.partial.append(stored).map_err(SinkError::store("write to", &self.name))
    }

    fn note_written(&mut self, stored: &[u8], plain_bytes: u64) {
        self.written.hasher.update(stored);
        self.written.stored_bytes += stored.len() as u64;
        self.written.plain_bytes += plain_bytes;
    }

    /// Nothing more is written to it, unless a source is gone back.
    pub(crate) fn rest(&mut self) {
        self.partial.rest();
    }

    /// Writes what waits of a plain output. Once that is so of what waited at the savepoint, the store itself can be cut back to that moment:
    /// no block that would have to be read back was open then.
    pub(crate) fn write_open(&mut self) -> Result<(), SinkError> {
        if self.open.is_empty() {
            return Ok(());
        }
        let open = self.take_open();
        let (waited, behind) = open.split_at(self.open_bytes_at_savepoint() as usize);
        self.append(&open)?;
        if !waited.is_empty() {
            self.note_written(waited, waited.len() as u64);
            self.anchor = self.written.clone();
        }
        self.note_written(behind, behind.len() as u64);
        Ok(())
    }

    /// Remembers this moment as the one to go back to. Nothing may be on its way to the store: what is cut from now on is not
    /// cut any more once it was gone back, be it from before this moment.
    pub(crate) fn set_savepoint(&mut self) {
        self.savepoint = self.taken;
        self.anchor = self.written.clone();
        self.partial.mark();
        self.nothing_cut_since_savepoint();
    }

    /// There is no way back to the savepoint any more: it was set in a later part.
    pub(crate) fn leave_savepoint(&mut self) {
        self.partial.mark();
        if let WayBack::Held(_) = self.way_back {
            self.way_back = WayBack::Open(0);
        }
    }

    fn nothing_cut_since_savepoint(&mut self) {
        if !matches!(self.way_back, WayBack::Read) {
            self.way_back = WayBack::Open(self.open.len());
        }
    }

    /// Goes back to the savepoint. Nothing may be on its way to the store.
    pub(crate) fn go_back(&mut self, encoding: Encoding) -> Result<(), SinkError> {
        let to = self.savepoint;
        // A buffer that held more is counted as no larger than what is in it. Copied, for what stays at the head of a large one would be in
        // the way of others.
        if self.written.stored_bytes == self.anchor.stored_bytes {
            let waited = (to.plain_bytes - self.written.plain_bytes) as usize;
            if self.open.len() > waited {
                self.open = self.open[..waited].to_vec();
            }
        } else {
            self.open = self.open_at_savepoint(encoding)?.as_slice().to_vec();
            let keep = self.anchor.stored_bytes;
            self.dirty = true;
            self.partial.truncate(keep).map_err(SinkError::store("cut back", &self.name))?;
            self.written = self.anchor.clone();
        }
        self.taken = to;
        self.nothing_cut_since_savepoint();
        Ok(())
    }

    /// What was open at the savepoint, if it is written by now.
    pub(crate) fn open_at_savepoint(&mut self, encoding: Encoding) -> Result<Vec<u8>, SinkError> {
        if !matches!(self.way_back, WayBack::Read) {
            return Ok(self.held().to_vec());
        }
        let count = self.open_bytes_at_savepoint();
        let stored = StoredFrom { partial: &mut *self.partial, at: self.anchor.stored_bytes };
        encoding.decode_first(stored, count).map_err(SinkError::store("read back", &self.name))
    }

    pub(crate) fn open_bytes_at_savepoint(&self) -> u64 {
        self.savepoint.plain_bytes - self.anchor.plain_bytes
    }

    /// Makes what was written survive a crash of the machine.
    pub(crate) fn sync(&mut self) -> Result<(), SinkError> {
        if self.dirty {
            self.partial.sync().map_err(SinkError::store("sync", &self.name))?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Whether its name is new, which it is not from now on.
    pub(crate) fn take_new(&mut self) -> bool {
        std::mem::take(&mut self.new)
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
