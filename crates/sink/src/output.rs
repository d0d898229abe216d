use fhirline_core::Destination;

use crate::part::Part;

/// The parts of one destination: the last one is written to, the others are complete.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) destination: Destination,
    pub(crate) stem: String,
    pub(crate) parts: Vec<Part>,
    /// How many parts there were when the source began.
    pub(crate) savepoint: usize,
}

impl Output {
    /// The part that was written to when the source began, if there was one.
    pub(crate) fn savepoint_part(&self) -> Option<&Part> {
        self.parts.get(self.savepoint.checked_sub(1)?)
    }

    pub(crate) fn savepoint_part_mut(&mut self) -> Option<&mut Part> {
        self.parts.get_mut(self.savepoint.checked_sub(1)?)
    }
}

/// When an output goes on in another file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Most plain bytes in a file, line ends included.
    pub(crate) max_bytes: Option<u64>,
    /// Most records in a file.
    pub(crate) max_records: Option<u64>,
}

impl Rotation {
    pub(crate) fn is_off(self) -> bool {
        self.max_bytes.is_none() && self.max_records.is_none()
    }

    /// Whether a record of so many bytes, line end included, still fits behind what a file holds.
    pub(crate) fn fits(self, held_records: u64, held_bytes: u64, record_bytes: u64) -> bool {
        held_records == 0
            || (self.max_records.is_none_or(|max| held_records < max)
                && self.max_bytes.is_none_or(|max| held_bytes.saturating_add(record_bytes) <= max))
    }

    /// How many of the next records still fit behind what a file holds, and their bytes with line ends. An empty file
    /// takes at least one.
    pub(crate) fn fitting(
        self,
        held_records: u64,
        held_bytes: u64,
        lengths: impl Iterator<Item = u32>,
    ) -> (u64, u64) {
        let (mut records, mut bytes) = (0, 0);
        for length in lengths {
            let (more_records, more_bytes) = (records + 1, bytes + u64::from(length) + 1);
            let fits = self.max_records.is_none_or(|max| held_records + more_records <= max)
                && self.max_bytes.is_none_or(|max| held_bytes + more_bytes <= max);
            if !fits && held_records + records > 0 {
                break;
            }
            (records, bytes) = (more_records, more_bytes);
        }
        (records, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitting(rotation: Rotation, held: (u64, u64), lengths: &[u32]) -> (u64, u64) {
        rotation.fitting(held.0, held.1, lengths.iter().copied())
    }

    #[test]
    fn a_file_takes_what_fits_and_at_least_one() {
        let by_bytes = Rotation { max_bytes: Some(10), max_records: None };
        assert_eq!(fitting(by_bytes, (0, 0), &[4, 4, 4]), (2, 10));
        assert_eq!(fitting(by_bytes, (1, 5), &[4, 4]), (1, 5));
        assert_eq!(fitting(by_bytes, (2, 10), &[4]), (0, 0));
        assert_eq!(fitting(by_bytes, (0, 0), &[99, 1]), (1, 100));
        let by_records = Rotation { max_bytes: None, max_records: Some(2) };
        assert_eq!(fitting(by_records, (0, 0), &[1, 1, 1]), (2, 4));
        assert_eq!(fitting(by_records, (1, 9), &[1, 1, 1]), (1, 2));
        for rotation in [by_bytes, by_records] {
            for held in [(0, 0), (1, 5), (1, 9), (2, 10)] {
                for length in [1, 4, 5, 99] {
                    let fits = fitting(rotation, held, &[length]).0 == 1;
                    assert_eq!(rotation.fits(held.0, held.1, u64::from(length) + 1), fits);
                }
            }
        }
    }
}
