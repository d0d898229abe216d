//! A second look at bytes that were read before.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use fhirline_bundle::Framer;
use fhirline_core::{Origin, Position, Spool};

use crate::plan::READ_BYTES;

/// Bytes that are framed although the source was read on behind them: a line that turned out to be a Bundle, or what turned
/// out to be a container when it was too late to hand out what it holds.
pub(super) struct Look {
    pub(super) framer: Framer,
    pub(super) input: Input,
    /// Where in the source the bytes begin, and how many there are.
    pub(super) at: Position,
    pub(super) length: u64,
    /// How many of them were given to the framer.
    pub(super) given: u64,
    /// The framer knows that there are no more.
    pub(super) finished: bool,
    /// Where what follows begins.
    pub(super) end: Position,
    /// Bytes of the line end behind them.
    pub(super) terminator_bytes: u8,
}

/// Where the bytes are.
pub(super) enum Input {
    Held(Vec<u8>),
    Spooled(Box<dyn Spool>),
    /// In the source, which can be read again.
    Source,
    /// Among those of the look below.
    Below,
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("at", &self.at).field("length", &self.length).finish_non_exhaustive()
    }
}

/// A plain source, read again from anywhere.
pub(super) struct Reread {
    origin: Arc<dyn Origin>,
    /// The reader, and where it stands.
    reader: Option<(u64, Box<dyn Read + Send>)>,
}

impl fmt::Debug for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reread").finish_non_exhaustive()
    }
}

impl Reread {
    pub(super) fn new(origin: Arc<dyn Origin>) -> Self {
        Self { origin, reader: None }
    }

    fn read_at(&mut self, byte: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut reader = match self.reader.take() {
            Some((at, reader)) if at == byte => reader,
            _ => self.origin.open_at(byte)?,
        };
        let count = loop {
            match reader.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.reader = Some((byte + count as u64, reader));
        Ok(count)
    }
}

/// Bytes of a plain source in the place of a spool: nothing is copied.
#[derive(Debug)]
pub(super) struct SourceSpool {
    reread: Reread,
    from: u64,
}

impl Spool for SourceSpool {
    fn append(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.reread.read_at(self.from + offset, into)
    }
}

impl Reread {
    /// The bytes from there on.
    pub(super) fn spool(&self, from: u64) -> SourceSpool {
        SourceSpool { reread: Self::new(Arc::clone(&self.origin)), from }
    }
}

/// Reads bytes of the topmost look again, from `offset` on; without any look, of the source itself from that byte.
pub(super) fn read_again(
    looks: &mut [Look],
    source: Option<&mut Reread>,
    offset: u64,
    into: &mut [u8],
) -> io::Result<usize> {
    match looks.split_last_mut() {
        Some((top, below)) => read_input(&mut top.input, top.at, below, source, offset, into),
        None => {
            let source = source.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
            source.read_at(offset, into)
        }
    }
}

/// Reads bytes of a look that begins at `at`, and lies above those `below`.
fn read_input(
    input: &mut Input,
    at: Position,
    below: &mut [Look],
    source: Option<&mut Reread>,
    offset: u64,
    into: &mut [u8],
) -> io::Result<usize> {
    match input {
        Input::Held(bytes) => {
            let rest = bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
        Input::Spooled(spool) => spool.read_at(offset, into),
        Input::Source => read_again(&mut [], source, at.byte + offset, into),
        Input::Below => {
            let from = below.last().map_or(0, |look| look.at.byte);
            read_again(below, source, at.byte - from + offset, into)
        }
    }
}

/// Gives the topmost look the next of its bytes, or tells its framer that there are no more.
pub(super) fn give_more(looks: &mut [Look], source: Option<&mut Reread>) -> io::Result<()> {
    let Some((top, below)) = looks.split_last_mut() else { return Ok(()) };
    let left = top.length - top.given;
    if left == 0 {
        top.framer.finish();
        top.finished = true;
        return Ok(());
    }
    let space = top.framer.space(READ_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX)));
    let count = read_input(&mut top.input, top.at, below, source, top.given, space)?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    top.framer.filled(count);
    top.given += count as u64;
    Ok(())
}
