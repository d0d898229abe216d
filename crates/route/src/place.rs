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
#[derive(Debug)]
pub(crate) struct Groups {
    pub(crate) all: Vec<Group>,
    numbers: HashMap<Destination, u32>,
    /// The group that was met last of those whose names have the same [`slot`], plus 1; 0 if there is none.
    met: [u32; SLOTS],
}

/// More than the types of most exports, so that few share a slot.
const SLOTS: usize = 256;

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

impl Default for Groups {
    fn default() -> Self {
        Self { all: Vec::new(), numbers: HashMap::new(), met: [0; SLOTS] }
    }
}

impl Groups {
    fn clear(&mut self) {
        self.all.clear();
        self.numbers.clear();
        self.met = [0; SLOTS];
    }

    /// The group of that type, if it was met in this chunk and none since that shares its slot: found without a hash of the name, and
    /// without a look whether it is one.
    pub(crate) fn known(&self, name: &str) -> Option<u32> {
        let number = self.met[slot(name)].checked_sub(1)?;
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
        if let Destination::Resource(resource_type) = &destination {
            self.met[slot(resource_type.as_str())] = number + 1;
        }
        number
    }
}

/// Where to look for a type first: what is cheap of a name, and differs between most types of FHIR (143 of them have 110 slots).
fn slot(name: &str) -> usize {
    let bytes = name.as_bytes();
    let at = |place: usize| bytes.get(place).map_or(0, |&byte| usize::from(byte));
    (at(0) + 3 * at(2) + 31 * at(bytes.len() / 2) + 7 * bytes.len()) % SLOTS
}

/// Where records of that type go.
pub(crate) fn destination_of(name: &str) -> Destination {
    ResourceType::new(name).map_or(Destination::Unknown, Destination::Resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(groups: &mut Groups, name: &str) -> u32 {
        groups.known(name).unwrap_or_else(|| groups.number(destination_of(name), |_| true))
    }

    #[test]
    fn types_that_share_a_slot_are_told_apart() {
        let names = ["Observation", "OperationDefinition", "Group", "StructureMap"];
        assert_eq!(slot(names[0]), slot(names[1]));
        assert_eq!(slot(names[2]), slot(names[3]));
        let mut groups = Groups::default();
        for _ in 0..3 {
            for (name, expected) in names.iter().zip(0..) {
                assert_eq!(number(&mut groups, name), expected);
                assert_eq!(groups.known(name), Some(expected));
            }
        }
    }

    #[test]
    fn nothing_is_known_in_the_next_chunk() {
        let mut groups = Groups::default();
        assert_eq!(number(&mut groups, "Goal"), 0);
        groups.clear();
        assert_eq!(groups.known("Goal"), None);
        assert_eq!(["List", "Goal"].map(|name| number(&mut groups, name)), [0, 1]);
    }

    #[test]
    fn what_is_no_type_has_no_slot() {
        let mut groups = Groups::default();
        for name in ["", "x", "no type", "no type"] {
            assert_eq!(number(&mut groups, name), 0);
            assert_eq!(groups.known(name), None);
        }
    }
}
