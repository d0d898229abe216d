//! What compressed outputs hold open, set aside at a checkpoint: cutting it there would move the ends of members.

use std::fmt;
use std::io;

use fhirline_core::{PARTIAL_SUFFIX, Partial, Store};

use crate::checkpoint::BlocksState;
use crate::error::{ResumeError, SinkError};
use crate::long::PIECE_BYTES;

/// Objects that take turns, two for safe checkpoints and two for those in between: the one that the latest of a kind refers
/// to is not touched.
pub(crate) const NAMES: [&str; 4] = ["_blocks-0", "_blocks-1", "_blocks-2", "_blocks-3"];

/// The objects that hold open blocks, under their provisional names for as long as they exist.
#[derive(Default)]
pub(crate) struct OpenBlocks {
    objects: [Option<Box<dyn Partial>>; NAMES.len()],
    /// The one that the latest checkpoint refers to.
    current: Option<usize>,
    /// The one that was used last for a checkpoint that is safe, and for one that is not.
    last: [Option<usize>; 2],
    /// Whether one was made since [`take_new`](Self::take_new).
    new: bool,
}

impl OpenBlocks {
    /// Writes blocks one behind the other into the object whose turn it is; `None` if there is no byte in them.
    pub(crate) fn write<'b>(
        &mut self,
        store: &dyn Store,
        blocks: impl Iterator<Item = &'b [u8]>,
        durable: bool,
    ) -> Result<Option<BlocksState>, SinkError> {
        let mut blocks = blocks.filter(|block| !block.is_empty()).peekable();
        if blocks.peek().is_none() {
            return Ok(None);
        }
        let kind = usize::from(!durable);
        let number = 2 * kind + usize::from(self.last[kind] == Some(2 * kind));
        let failed = |action| SinkError::store(action, NAMES[number]);
        let object = self.emptied(store, number)?;
        let mut written = BlocksState { number, bytes: 0, crc32c: 0 };
        for block in blocks {
            object.append(block).map_err(failed("write to"))?;
            written.bytes += block.len() as u64;
            written.crc32c = crc32c::crc32c_append(written.crc32c, block);
        }
        if durable {
            object.sync().map_err(failed("sync"))?;
        }
        Ok(Some(written))
    }

    fn emptied(&mut self, store: &dyn Store, number: usize) -> Result<&mut dyn Partial, SinkError> {
        let name = NAMES[number];
        let object = match self.objects[number].take() {
            Some(mut object) => {
                object.truncate(0).map_err(SinkError::store("cut back", name))?;
                object
            }
            None => {
                self.new = true;
                store.create_short(name).map_err(SinkError::store("create", name))?
            }
        };
        Ok(&mut **self.objects[number].insert(object))
    }

    /// A checkpoint that refers to them is in place.
    pub(crate) fn referred(&mut self, blocks: Option<&BlocksState>) {
        self.current = blocks.map(|blocks| blocks.number);
        if let Some(number) = self.current {
            self.last[number / 2] = Some(number);
        }
    }

    /// An older checkpoint refers to them, and may still be needed; what the one gone on with refers to comes first.
    pub(crate) fn keep(&mut self, blocks: Option<&BlocksState>) {
        if let Some(blocks) = blocks {
            self.last[blocks.number / 2].get_or_insert(blocks.number);
        }
    }

    /// Whether there is a new name, which is none from now on.
    pub(crate) fn take_new(&mut self) -> bool {
        std::mem::take(&mut self.new)
    }

    /// Takes up the object that a checkpoint refers to. Nothing is changed unless it holds what the checkpoint says.
    pub(crate) fn resume(store: &dyn Store, blocks: Option<&BlocksState>) -> Result<Self, ResumeError> {
        let mut open = Self { new: true, ..Self::default() };
        let Some(blocks) = blocks else { return Ok(open) };
        let name = NAMES[blocks.number];
        let damaged = || ResumeError::OpenBlocks { name: provisional(name) };
        let found = store.stored_bytes(&provisional(name)).map_err(SinkError::store("look for", name))?;
        if found != Some(blocks.bytes) {
            return Err(damaged());
        }
        let object = store.resume(name, blocks.bytes).map_err(SinkError::store("go on with", name))?;
        let mut object = object.ok_or_else(damaged)?;
        if crc32c_of(&mut *object, name, blocks.bytes)? != Some(blocks.crc32c) {
            return Err(damaged());
        }
        open.objects[blocks.number] = Some(object);
        open.referred(Some(blocks));
        Ok(open)
    }

    /// Reads a block back from the object that the checkpoint refers to.
    pub(crate) fn read(&mut self, at: u64, bytes: u64) -> Result<Vec<u8>, ResumeError> {
        let number = self.current.unwrap_or(0);
        let damaged = || ResumeError::OpenBlocks { name: provisional(NAMES[number]) };
        let object = self.objects[number].as_deref_mut().ok_or_else(damaged)?;
        let mut block = vec![0; usize::try_from(bytes).map_err(|_| damaged())?];
        let read = read_full(object, at, &mut block).map_err(SinkError::store("read back", NAMES[number]))?;
        if read == block.len() { Ok(block) } else { Err(damaged()) }
    }

    /// Removes the objects, also those of an earlier run that this one went on with.
    pub(crate) fn discard(self, store: &dyn Store) -> Result<(), SinkError> {
        drop(self.objects);
        let remove = |name| store.remove(&provisional(name)).map_err(SinkError::store("remove", name));
        NAMES.into_iter().try_for_each(remove)
    }
}

impl fmt::Debug for OpenBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBlocks").field("current", &self.current).finish_non_exhaustive()
    }
}

pub(crate) fn provisional(name: &str) -> String {
    format!("{name}{PARTIAL_SUFFIX}")
}

fn crc32c_of(object: &mut dyn Partial, name: &str, bytes: u64) -> Result<Option<u32>, SinkError> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut crc = 0;
    let whole = read_pieces(object, 0..bytes, &mut buffer, |piece| crc = crc32c::crc32c_append(crc, piece));
    Ok(whole.map_err(SinkError::store("read back", name))?.then_some(crc))
}

/// Reads a range piece by piece; whether all of it was there.
pub(crate) fn read_pieces(
    from: &mut dyn Partial,
    range: std::ops::Range<u64>,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]),
) -> io::Result<bool> {
    let mut at = range.start;
    while at < range.end {
        let wanted = buffer.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        let count = read_full(from, at, &mut buffer[..wanted])?;
        take(&buffer[..count]);
        if count < wanted {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}

/// Reads as much as there is, up to the length of the buffer.
fn read_full(from: &mut dyn Partial, at: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read_at(at + filled as u64, &mut into[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
