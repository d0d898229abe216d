//! What another process needs to go on is put into the store.

use std::io;
use std::sync::Arc;

use fhirline_core::mapped_buffer;
use object_store::PutMode;

use super::output::{Missing, Piece};
use super::prefix::Written;
use super::{JOURNAL, PART_BYTES, Shared, TAILS};

/// No pack is longer: it is held in memory on its way.
const MAX_PACK_BYTES: u64 = PART_BYTES;

/// Packs are written anew when more than half of them is of no use, and that is more than so many bytes, or when they are
/// more than so many.
const SPARE_PACK_BYTES: u64 = 8 * MAX_PACK_BYTES;
const SPARE_PACKS: usize = 256;

impl Shared {
    /// Puts what no other process could find into packs, and then the journal that says where everything is.
    pub(super) fn settle(&self) -> io::Result<()> {
        self.wait_for_parts();
        let mut book = self.book()?;
        book.check()?;
        self.unpack_if_wasteful(&mut book);
        drop(book);
        self.pack_missing()?;
        let mut book = self.book()?;
        book.outputs_mut().for_each(|(_, output)| output.settled());
        drop(book);
        self.write_journal()?;
        self.book()?.remove_packs(&self.objects)
    }

    /// Has everything packed anew if too little of what is there is of use.
    fn unpack_if_wasteful(&self, book: &mut super::Book) {
        let tails = book.outputs_mut().map(|(_, output)| output.length() - output.tail_start());
        let useful: u64 = tails.sum();
        let stored: u64 = book.packs.values().sum();
        let least = useful.div_ceil(MAX_PACK_BYTES) as usize;
        if stored > 2 * useful + SPARE_PACK_BYTES || book.packs.len() > 2 * least + SPARE_PACKS {
            book.outputs_mut().for_each(|(_, output)| output.unpack());
        }
    }

    fn pack_missing(&self) -> io::Result<()> {
        let missing: Vec<(String, u64, Missing)> = {
            let mut book = self.book()?;
            let outputs = book.outputs_mut();
            outputs
                .flat_map(|(name, output)| {
                    let (name, serial) = (name.clone(), output.serial);
                    output.missing().into_iter().map(move |missing| (name.clone(), serial, missing))
                })
                .collect()
        };
        let most = MAX_PACK_BYTES.min(self.options.most_bytes());
        let mut pack = Pack::of(most);
        for (name, serial, mut missing) in missing {
            while missing.from < missing.to {
                if pack.bytes.len() as u64 >= most {
                    self.put_pack(std::mem::replace(&mut pack, Pack::of(most)))?;
                }
                let (at, room) = (pack.bytes.len() as u64, most - pack.bytes.len() as u64);
                let mut book = self.book()?;
                let bytes = book.output(&name, serial)?.read_missing(missing, room, &mut pack.bytes)?;
                let (output, part, from) = (name.clone(), missing.part, missing.from);
                pack.pieces.push(Packed { output, serial, part, from, bytes, at });
                missing.from += bytes;
            }
        }
        if pack.bytes.is_empty() { Ok(()) } else { self.put_pack(pack) }
    }

    fn put_pack(&self, pack: Pack) -> io::Result<()> {
        let _room = self.room_for(pack.bytes.len() as u64)?;
        let number = {
            let mut book = self.book()?;
            book.packs_written += 1;
            book.packs_written
        };
        let name: Arc<str> = format!("{TAILS}{}-{number}.partial", self.run).into();
        let bytes = pack.bytes.len() as u64;
        self.objects.put(&name, pack.bytes, PutMode::Overwrite)?;
        let mut book = self.book()?;
        book.packs.insert(Arc::clone(&name), bytes);
        for packed in pack.pieces {
            let piece =
                Piece { from: packed.from, bytes: packed.bytes, pack: Arc::clone(&name), at: packed.at };
            book.output(&packed.output, packed.serial)?.packed(packed.part, piece);
        }
        Ok(())
    }

    /// Writes the journal if the one in the store says what does not hold any more.
    pub(super) fn flush_if_stale(&self) -> io::Result<()> {
        let book = self.book()?;
        let stale = book.stale && book.journal.is_some();
        drop(book);
        if stale { self.write_journal() } else { Ok(()) }
    }

    /// Puts the journal in the place of the one that this process knows. If there is another one, another process wrote it.
    fn write_journal(&self) -> io::Result<()> {
        let (bytes, mode) = {
            let book = self.book()?;
            let mode = book.journal.clone().map_or(PutMode::Create, PutMode::Update);
            (book.journal_bytes()?, mode)
        };
        let version = match self.objects.put(JOURNAL, bytes.clone(), mode)? {
            Written::Done(version) => version,
            // The answer to an attempt that succeeded may have been lost.
            Written::Refused => match self.objects.get_versioned(JOURNAL, bytes.len() as u64) {
                Ok(Some((found, version))) if found == bytes => version,
                _ => return Err(super::lease::taken_over(&self.objects.name())),
            },
        };
        let mut book = self.lock();
        (book.journal, book.stale) = (Some(version), false);
        Ok(())
    }
}

/// Ranges of outputs, one behind the other.
struct Pack {
    bytes: Vec<u8>,
    pieces: Vec<Packed>,
}

struct Packed {
    output: String,
    serial: u64,
    part: usize,
    from: u64,
    bytes: u64,
    at: u64,
}

impl Pack {
    /// An empty one that is to become so long.
    fn of(bytes: u64) -> Self {
        Self { bytes: mapped_buffer(usize::try_from(bytes).unwrap_or(usize::MAX)), pieces: Vec::new() }
    }
}
