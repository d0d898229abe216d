use std::collections::HashMap;

use fhirline_core::{Destination, Position, RecordSpan, RejectSpan, ResourceType};

/// What a worker needs beside the chunk and the batch; kept from one chunk to the next so that nothing is allocated.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Where the chunk begins.
    pub(crate) at: Position,
    /// Delivered records in source order.
    pub(crate) placed: Vec<Placed>,
    /// Rejected records in source order, each with its place in the chunk's buffer.
    pub(crate) rejects: Vec<(RejectSpan, u32)>,
    pub(crate) groups: Groups,
    /// Place and length in the chunk's buffer of all records, in the order of the batch.
    pub(crate) order: Vec<(u32, u32)>,
}

/// A delivered record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    /// The number of its group.
    pub(crate) group: u32,
    pub(crate) span: RecordSpan,
    /// Its place in the chunk's buffer.
    pub(crate) from: u32,
}

/// Where something stands: in the chunk's buffer, and in the source, counted from the beginning of the chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) from: u32,
    pub(crate) offset: u32,
    pub(crate) line: u32,
}

impl Place {
    /// What stands so many bytes behind it on the same line.
    pub(crate) fn behind(self, bytes: u32) -> Self {
        Self { from: self.from + bytes, offset: self.offset + bytes, ..self }
    }

    pub(crate) fn span(self, length: u32) -> RecordSpan {
        RecordSpan { offset: self.offset, length, line: self.line }
    }
}

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.placed.clear();
        self.rejects.clear();
        self.groups.clear();
        self.order.clear();
    }
}

/// The destinations met in one chunk, in the order of first appearance.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(crate) all: Vec<Group>,
    numbers: HashMap<Destination, u32>,
    latest: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) destination: Destination,
    pub(crate) wanted: bool,
    pub(crate) placed: Amount,
    pub(crate) left_out: Amount,
}

/// How many records, and their bytes without line ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Amount {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Groups {
    fn clear(&mut self) {
        self.all.clear();
        self.numbers.clear();
        self.latest = None;
    }

    /// The group of the latest record, if the next one has the same type: what is nearly always so in a file that is
    /// grouped by type.
    pub(crate) fn latest_if(&self, name: &str) -> Option<u32> {
        let number = self.latest?;
        match &self.all.get(number as usize)?.destination {
            Destination::Resource(resource_type) if resource_type.as_bytes() == name.as_bytes() => {
                Some(number)
            }
            _ => None,
        }
    }

    /// The group of a destination, made if it is the first record of it.
    pub(crate) fn number(
        &mut self,
        destination: Destination,
        wanted: impl FnOnce(&Destination) -> bool,
    ) -> u32 {
        let next = self.all.len() as u32;
        let number = *self.numbers.entry(destination).or_insert(next);
        if number == next {
            let wanted = wanted(&destination);
            let (placed, left_out) = Default::default();
            self.all.push(Group { destination, wanted, placed, left_out });
        }
        self.latest = Some(number);
        number
    }
}

/// Where records of that type go.
pub(crate) fn destination_of(name: &str) -> Destination {
    ResourceType::new(name).map_or(Destination::Unknown, Destination::Resource)
}
