use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fhirline::Event;

/// How far a job is, as its thread tells it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    read_bytes: AtomicU64,
    records: AtomicU64,
    rejects: AtomicU64,
    /// None is known as long as it is 0.
    source_bytes: AtomicU64,
}

impl Progress {
    pub(crate) fn see(&self, event: &Event<'_>) {
        match event {
            Event::SourceBegun { stored_bytes: Some(bytes), .. } => {
                self.0.source_bytes.fetch_add(*bytes, Ordering::Relaxed);
            }
            Event::Committed { before, current, stored_bytes } => {
                let (before, current) = (&before.ledger.records, &current.ledger.records);
                self.0.records.store(before.read + current.read, Ordering::Relaxed);
                self.0.rejects.store(before.quarantined + current.quarantined, Ordering::Relaxed);
                self.0.read_bytes.store(*stored_bytes, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Bytes read, records, rejected ones, and the bytes that there are to read, if that is known.
    pub(crate) fn read(&self) -> (u64, u64, u64, Option<u64>) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let total = Some(of(&self.0.source_bytes)).filter(|bytes| *bytes > 0);
        (of(&self.0.read_bytes), of(&self.0.records), of(&self.0.rejects), total)
    }

    /// The same as JSON.
    pub(crate) fn told(&self) -> serde_json::Value {
        let (bytes, records, rejects, total) = self.read();
        serde_json::json!({ "source_bytes_read": bytes, "records": records, "rejects": rejects, "source_bytes": total })
    }
}
