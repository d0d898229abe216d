use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use fhirline_core::{Batch, LongLine, NoSpools, SourceId, Spools};
use fhirline_sink::{Offload, Sink, SinkError};

use super::PulledBatch;

/// Spent batches that wait to be used again; the memory of others is freed.
const MOST_SPENT: usize = 2;

/// Hands each batch on as it is: what the router copied is copied no more. In its place it leaves the memory of one that was used up.
pub(super) struct HandOver<G> {
    give: G,
    source: Arc<str>,
    spent: Receiver<Batch>,
    back: SyncSender<Batch>,
}

impl<G: FnMut(PulledBatch) -> bool> HandOver<G> {
    pub(super) fn new(give: G) -> Self {
        let (back, spent) = sync_channel(MOST_SPENT);
        Self { give, source: Arc::from(""), spent, back }
    }

    fn give(&mut self, batch: PulledBatch) -> Result<(), SinkError> {
        if (self.give)(batch) { Ok(()) } else { Err(SinkError::Closed) }
    }
}

impl<G: FnMut(PulledBatch) -> bool> Sink for HandOver<G> {
    fn begin_source(&mut self, _source: SourceId, name: &str) -> Result<(), SinkError> {
        self.source = Arc::from(name);
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _offload: &dyn Offload) -> Result<(), SinkError> {
        let next = self.spent.try_recv().unwrap_or_default();
        let batch = mem::replace(batch, next);
        let batch = PulledBatch::regrouped(&self.source, batch, self.back.clone());
        self.give(batch)
    }

    fn takes_leases(&self) -> bool {
        true
    }

    fn commit_long(&mut self, line: &mut LongLine, _offload: &dyn Offload) -> Result<(), SinkError> {
        let nothing = NoSpools.create().map_err(SinkError::own)?;
        let spool = mem::replace(&mut line.spool, nothing);
        let batch = PulledBatch::long(&self.source, line, spool);
        self.give(batch)
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        // What was handed out is not ours any more; the report tells.
        Ok(())
    }
}

impl<G> fmt::Debug for HandOver<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOver").field("source", &self.source).finish_non_exhaustive()
    }
}
