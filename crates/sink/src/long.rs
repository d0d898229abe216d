//! Lines that were too long to be held: their bytes wait in a spool and pass through in pieces.

use std::ops::Range;

use fhirline_core::Spool;

use crate::error::SinkError;

/// Bytes of a spool, or of an output that is read back, that are held at once.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// Hands a part of a spool on, piece by piece.
pub(crate) fn copy(
    spool: &mut dyn Spool,
    range: Range<u64>,
    mut take: impl FnMut(&[u8]) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    let mut buffer =
        vec![0; PIECE_BYTES.min(usize::try_from(range.end - range.start).unwrap_or(PIECE_BYTES))];
    let mut at = range.start;
    while at < range.end {
        let wanted = buffer.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        let count = read(spool, at, &mut buffer[..wanted])?;
        take(&buffer[..count])?;
        at += count as u64;
    }
    Ok(())
}

fn read(spool: &mut dyn Spool, at: u64, into: &mut [u8]) -> Result<usize, SinkError> {
    loop {
        match spool.read_at(at, into) {
            Ok(0) => return Err(SinkError::SpoolCut { byte: at }),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SinkError::store("read back", "the spool of a long line")(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fhirline_core::{MemorySpools, Spools};

    #[test]
    fn a_part_of_a_spool_is_copied_in_pieces() {
        let mut spool = MemorySpools.create().expect("in memory");
        let bytes: Vec<u8> = (0..PIECE_BYTES * 2 + 10).map(|at| at as u8).collect();
        spool.append(&bytes).expect("in memory");
        for range in [0..0, 3..7, 1..bytes.len(), PIECE_BYTES..PIECE_BYTES + 1] {
            let mut copied = Vec::new();
            copy(&mut *spool, range.start as u64..range.end as u64, |piece| {
                copied.extend_from_slice(piece);
                Ok(())
            })
            .expect("all is there");
            assert!(copied == bytes[range]);
        }
    }

    #[test]
    fn a_spool_that_lost_bytes_is_noticed() {
        let mut spool = MemorySpools.create().expect("in memory");
        spool.append(b"short").expect("in memory");
        let error = copy(&mut *spool, 0..6, |_| Ok(())).expect_err("a byte is missing");
        assert!(matches!(error, SinkError::SpoolCut { byte: 5 }), "{error:?}");
    }
}
