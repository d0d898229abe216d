use std::fmt;
use std::io::{self, Write};

use fhirline_core::{Batch, LongLine, SourceId, Verdict};

use crate::{Offload, Sink, SinkError, long};

/// Writes delivered records to one stream as clean NDJSON: one record a line, LF line ends, nothing else. What goes to sidecars
/// is no record, and is left out.
///
/// What was written cannot be taken back: a source that turns out to be incomplete has its records in the stream, and only
/// the outcome of the run tells.
pub struct CatSink<'w> {
    out: &'w mut (dyn Write + Send),
}

impl<'w> CatSink<'w> {
    /// A sink that writes to `out`, one call a batch.
    pub fn new(out: &'w mut (dyn Write + Send)) -> Self {
        Self { out }
    }
}

impl Sink for CatSink<'_> {
    fn begin_source(&mut self, _source: SourceId, _name: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _offload: &dyn Offload) -> Result<(), SinkError> {
        for run in batch.runs.iter().filter(|run| !run.destination.is_sidecar()) {
            self.out.write_all(batch.run_bytes(run)).map_err(write_error)?;
        }
        Ok(())
    }

    fn commit_long(&mut self, line: &mut LongLine, _offload: &dyn Offload) -> Result<(), SinkError> {
        let Verdict::Delivered { destination, record } = &line.verdict else { return Ok(()) };
        if destination.is_sidecar() {
            return Ok(());
        }
        long::copy(&mut *line.spool, record.clone(), |piece| self.out.write_all(piece).map_err(write_error))?;
        self.out.write_all(b"\n").map_err(write_error)
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

impl fmt::Debug for CatSink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatSink").finish_non_exhaustive()
    }
}

fn write_error(error: io::Error) -> SinkError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return SinkError::Closed;
    }
    SinkError::Store { action: "write to", name: "the output stream".to_owned(), source: error }
}
