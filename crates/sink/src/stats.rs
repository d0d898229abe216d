use std::collections::BTreeMap;

use fhirline_core::{Batch, Destination, LongLine, SourceId, Verdict};

use crate::split::MAX_DESTINATIONS;
use crate::{Lengths, Offload, Sink, SinkError};

/// What is known about the records of one type.
pub type TypeStats = Lengths;

/// Counts and measures records by type; writes nothing. What goes to sidecars is no record.
#[derive(Debug, Default)]
pub struct StatsSink {
    types: BTreeMap<Destination, TypeStats>,
    /// As they were when the source began.
    savepoint: BTreeMap<Destination, TypeStats>,
}

impl StatsSink {
    /// A sink that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was seen, by type. Beyond 4,096 types the rest is counted as unknown.
    #[must_use]
    pub fn into_types(self) -> BTreeMap<Destination, TypeStats> {
        self.types
    }

    fn lengths(&mut self, destination: Destination) -> &mut Lengths {
        let full = self.types.len() >= MAX_DESTINATIONS && !self.types.contains_key(&destination);
        self.types.entry(if full { Destination::Unknown } else { destination }).or_default()
    }
}

impl Sink for StatsSink {
    fn begin_source(&mut self, _source: SourceId, _name: &str) -> Result<(), SinkError> {
        self.savepoint.clone_from(&self.types);
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _offload: &dyn Offload) -> Result<(), SinkError> {
        for run in batch.runs.iter().filter(|run| !run.destination.is_sidecar()) {
            let lengths = self.lengths(run.destination);
            batch.lengths(run).for_each(|length| lengths.add(u64::from(length)));
        }
        Ok(())
    }

    fn commit_long(&mut self, line: &mut LongLine, _offload: &dyn Offload) -> Result<(), SinkError> {
        if let Verdict::Delivered { destination, record } = &line.verdict
            && !destination.is_sidecar()
        {
            self.lengths(*destination).add(record.end - record.start);
        }
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        self.types.clone_from(&self.savepoint);
        Ok(())
    }
}
