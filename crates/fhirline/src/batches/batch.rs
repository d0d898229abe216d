use std::fmt;
use std::mem;
use std::ops::Range;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};

use fhirline_core::{
    BadRecord, Batch, Destination, Lease, Ledger, LongLine, Position, Reject, Spool, Verdict,
};
use fhirline_route::Resource;

use crate::Resources;

/// What [`Job::batches`](crate::Job::batches) hands out at a time: some resources of one source, and what of that stretch of the source was
/// rejected. (A sink is given a [`Batch`] instead.) A resource that is too long to be held may be read
/// from the source itself, so the source must stay as it is for as long.
pub struct PulledBatch {
    source: Arc<str>,
    held: Held,
}

enum Held {
    Regrouped {
        batch: Batch,
        /// Where its memory goes when it was used up.
        back: SyncSender<Batch>,
    },
    /// One record that was too long to be held.
    Long {
        at: Position,
        ledger: Ledger,
        verdict: Verdict,
        length: u64,
        lines: u64,
        spool: Mutex<Box<dyn Spool>>,
    },
}

/// The rejects of a [`PulledBatch`].
pub type Rejects<'b> = Box<dyn Iterator<Item = Rejected<'b>> + Send + 'b>;

/// A record that was rejected: why, where it stood, and its bytes.
#[derive(Clone, Debug)]
pub struct Rejected<'b> {
    /// Why.
    pub why: BadRecord,
    /// Physical lines that it spans.
    pub lines: u64,
    /// Where it stood, and its exact bytes; its type is not known.
    pub record: Resource<'b>,
}

impl PulledBatch {
    pub(super) fn regrouped(source: &Arc<str>, batch: Batch, back: SyncSender<Batch>) -> Self {
        Self { source: Arc::clone(source), held: Held::Regrouped { batch, back } }
    }

    pub(super) fn long(source: &Arc<str>, line: &LongLine, spool: Box<dyn Spool>) -> Self {
        let LongLine { at, length, lines, verdict, ledger, .. } = line;
        let (at, length, lines, verdict, ledger) = (*at, *length, *lines, verdict.clone(), *ledger);
        let held = Held::Long { at, ledger, verdict, length, lines, spool: Mutex::new(spool) };
        Self { source: Arc::clone(source), held }
    }

    /// The name of the source.
    #[must_use]
    pub fn source_name(&self) -> &str {
        &self.source
    }

    /// Where in the source it begins.
    #[must_use]
    pub fn position(&self) -> Position {
        match &self.held {
            Held::Regrouped { batch, .. } => batch.at,
            Held::Long { at, .. } => *at,
        }
    }

    /// The account of its stretch of the source.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        match &self.held {
            Held::Regrouped { batch, .. } => &batch.ledger,
            Held::Long { ledger, .. } => ledger,
        }
    }

    /// The resources, those of one type after the other, and of a type in the order of the source.
    #[must_use]
    pub fn resources(&self) -> Resources<'_> {
        self.records_where(|destination| !destination.is_sidecar())
    }

    /// What is no resource and stands beside them: entries of Bundles without one, deletions, what the sender lists as errors.
    #[must_use]
    pub fn beside(&self) -> Resources<'_> {
        self.records_where(Destination::is_sidecar)
    }

    fn records_where(&self, wanted: fn(&Destination) -> bool) -> Resources<'_> {
        match &self.held {
            Held::Regrouped { batch, .. } => Resources::of_batch(batch, wanted),
            Held::Long { at, verdict: Verdict::Delivered { destination, record }, spool, .. }
                if wanted(destination) =>
            {
                Resources::alone(Some(Resource::spooled(*destination, *at, spool, record.clone())))
            }
            Held::Long { .. } => Resources::alone(None),
        }
    }

    /// What was rejected, in the order of the source.
    #[must_use]
    pub fn rejects(&self) -> Rejects<'_> {
        match &self.held {
            Held::Regrouped { batch, .. } => Box::new(batch.rejects().map(rejected)),
            Held::Long { at, verdict: Verdict::Rejected(why), length, lines, spool, .. } => {
                let record = Resource::spooled(Destination::Unknown, *at, spool, all_of(*length));
                Box::new(std::iter::once(Rejected { why: *why, lines: *lines, record }))
            }
            Held::Long { .. } => Box::new(std::iter::empty()),
        }
    }

    pub(super) fn take_lease(&mut self) -> Option<Lease> {
        match &mut self.held {
            Held::Regrouped { batch, .. } => batch.lease.take(),
            Held::Long { .. } => None,
        }
    }
}

fn all_of(length: u64) -> Range<u64> {
    0..length
}

fn rejected(reject: Reject<'_>) -> Rejected<'_> {
    let record = Resource::inline(Destination::Unknown, reject.position, reject.bytes);
    Rejected { why: reject.why, lines: u64::from(reject.lines), record }
}

impl Drop for PulledBatch {
    fn drop(&mut self) {
        if let Held::Regrouped { batch, back } = &mut self.held {
            let mut batch = mem::take(batch);
            batch.clear();
            // Nobody wants it if the job is over, or if others wait already.
            let _ = back.try_send(batch);
        }
    }
}

impl fmt::Debug for PulledBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.ledger().records.read;
        f.debug_struct("PulledBatch")
            .field("position", &self.position())
            .field("records", &records)
            .finish_non_exhaustive()
    }
}
