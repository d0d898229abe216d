use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use crate::{BadRecord, Destination, Ledger, Position, Spool};

/// A record that was too long to be held, once it is read: a batch of one record whose bytes wait in a spool. It is a line, or
/// something that was found in a container.
#[derive(Debug)]
pub struct LongLine {
    /// Where it begins.
    pub at: Position,
    /// Where what follows it begins.
    pub end: Position,
    /// Its length in the spool in bytes, without line end.
    pub length: u64,
    /// Physical lines that it spans in the source.
    pub lines: u64,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Its account.
    pub ledger: Ledger,
    /// Its bytes, without line end.
    pub spool: Box<dyn Spool>,
}

impl LongLine {
    /// If it is delivered: where to, and its bytes, without line end and surrounding white space.
    pub fn delivered(&mut self) -> Option<(Destination, LongReader<'_>)> {
        match &self.verdict {
            Verdict::Delivered { destination, record } => {
                Some((*destination, LongReader { spool: &mut *self.spool, left: record.clone() }))
            }
            _ => None,
        }
    }

    /// If it is rejected: why, and its bytes, without line end.
    pub fn rejected(&mut self) -> Option<(BadRecord, LongReader<'_>)> {
        match &self.verdict {
            Verdict::Rejected(why) => {
                Some((*why, LongReader { spool: &mut *self.spool, left: 0..self.length }))
            }
            _ => None,
        }
    }
}

/// Reads a record that was too long to be held. Made by [`LongLine::delivered`] and [`LongLine::rejected`].
pub struct LongReader<'l> {
    spool: &'l mut dyn Spool,
    left: Range<u64>,
}

impl LongReader<'_> {
    /// Bytes that are left to be read.
    #[must_use]
    pub fn bytes_left(&self) -> u64 {
        self.left.end - self.left.start
    }
}

impl Read for LongReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wanted = into.len().min(usize::try_from(self.bytes_left()).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.spool.read_at(self.left.start, &mut into[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left.start += count as u64;
        Ok(count)
    }
}

impl fmt::Debug for LongReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongReader").field("left", &self.left).finish_non_exhaustive()
    }
}

/// What becomes of a line that was too long to be held. Ranges count from the first byte of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds nothing but white space.
    Blank,
    /// It is delivered.
    Delivered {
        /// Where to.
        destination: Destination,
        /// Where in the line the record stands.
        record: Range<u64>,
    },
    /// It is left out on request.
    Filtered {
        /// Where it would have gone.
        destination: Destination,
        /// Where in the line the record stands.
        record: Range<u64>,
    },
    /// It is set aside, whole.
    Rejected(BadRecord),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fault, MemorySpools, Spools};

    fn line(verdict: Verdict) -> LongLine {
        let mut spool = MemorySpools.create().expect("in memory");
        spool.append(b" {} ").expect("in memory");
        let (at, ledger) = (Position::default(), Ledger::default());
        LongLine { at, end: at.advanced(5, 1), length: 4, lines: 1, verdict, ledger, spool }
    }

    fn read(reader: Option<LongReader<'_>>) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        reader?.read_to_end(&mut bytes).expect("in memory");
        Some(bytes)
    }

    #[test]
    fn what_is_delivered_is_the_record_and_what_is_rejected_the_whole_line() {
        let why = BadRecord { fault: Fault::NotJson, at: 1 };
        let mut rejected = line(Verdict::Rejected(why));
        assert_eq!(rejected.rejected().map(|(why, _)| why), Some(why));
        assert_eq!(read(rejected.rejected().map(|(_, reader)| reader)).as_deref(), Some(&b" {} "[..]));
        assert!(rejected.delivered().is_none());
        let mut delivered = line(Verdict::Delivered { destination: Destination::Unknown, record: 1..3 });
        assert_eq!(read(delivered.delivered().map(|(_, reader)| reader)).as_deref(), Some(&b"{}"[..]));
        assert!(delivered.rejected().is_none());
    }
}
