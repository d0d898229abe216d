use std::fmt;

use crate::Destination;

/// How many records took which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordTally {
    /// Records read. A blank line is not a record, nor is a container; an entry of a container is.
    pub read: u64,
    /// Records delivered to an output.
    pub delivered: u64,
    /// Records left out because the caller asked for it.
    pub filtered: u64,
    /// Records set aside because they are broken.
    pub quarantined: u64,
}

/// Where every decoded byte went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteTally {
    /// Decoded (decompressed) bytes read.
    pub read: u64,
    /// Bytes of delivered records, without line ends.
    pub delivered: u64,
    /// Bytes of filtered records.
    pub filtered: u64,
    /// Bytes of quarantined records.
    pub quarantined: u64,
    /// Line ends: 0x0A, and the 0x0D right before it.
    pub terminators: u64,
    /// White space around records and on blank lines.
    pub white_space: u64,
    /// Byte order marks at the start of sources.
    pub byte_order_marks: u64,
    /// Syntax of containers around their entries (Bundle, array).
    pub container: u64,
    /// What Bundles and entries say of themselves, where nobody asked to keep it.
    pub metadata: u64,
    /// Bytes kept in files beside the resources (entries without a resource, what is no data to its sender, and metadata on
    /// request).
    pub sidecars: u64,
}

/// The containers that were opened. They are no records; what stands in them is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerTally {
    /// JSON arrays of resources.
    pub arrays: u64,
    /// Bundles.
    pub bundles: u64,
    /// Bundles without a `type`, or with one that FHIR does not know.
    pub untyped_bundles: u64,
    /// Bundles with a signature, which holds for the whole and not for the parts.
    pub signed_bundles: u64,
    /// Objects with a list of providers.
    pub provider_lists: u64,
    /// Entries without a resource. They are no records.
    pub bare_entries: u64,
}

/// What a sender lists beside its data, by line. None of it is a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SidecarTally {
    /// Bundles that tell what was deleted.
    pub deleted: u64,
    /// OperationOutcomes that tell how the export went.
    pub errors: u64,
    /// Header lines.
    pub headers: u64,
}

/// The account of a run, or of any part of one: what came in and where all of it went.
///
/// [`check`](Self::check) holds the law: records read = delivered + filtered + quarantined, and bytes read = the sum of
/// all other byte fields. Ledgers of parts add up with [`add`](Self::add).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Records.
    pub records: RecordTally,
    /// Decoded bytes.
    pub bytes: ByteTally,
    /// Containers.
    pub containers: ContainerTally,
    /// What stands beside the data.
    pub sidecars: SidecarTally,
    /// Lines that hold nothing but white space. They are not counted where values span lines.
    pub blank_lines: u64,
    /// Delivered records in which a top-level `resourceType` or `id` stood more than once (the last one counts).
    pub duplicate_keys: u64,
    /// Delivered records that went to `_unknown` because their type does not look like one, or too many types are open.
    pub unknown_types: u64,
}

impl Ledger {
    /// Adds the account of another part.
    pub fn add(&mut self, part: &Self) {
        self.records.read += part.records.read;
        self.records.delivered += part.records.delivered;
        self.records.filtered += part.records.filtered;
        self.records.quarantined += part.records.quarantined;
        add_bytes(&mut self.bytes, &part.bytes);
        add_containers(&mut self.containers, &part.containers);
        self.sidecars.deleted += part.sidecars.deleted;
        self.sidecars.errors += part.sidecars.errors;
        self.sidecars.headers += part.sidecars.headers;
        self.blank_lines += part.blank_lines;
        self.duplicate_keys += part.duplicate_keys;
        self.unknown_types += part.unknown_types;
    }

    /// Counts so many bytes of the source that go to a sidecar as one thing there.
    pub fn count_beside(&mut self, sidecar: Destination, bytes: u64) {
        self.bytes.sidecars += bytes;
        match sidecar {
            Destination::Entries => self.containers.bare_entries += 1,
            Destination::Deleted => self.sidecars.deleted += 1,
            Destination::Errors => self.sidecars.errors += 1,
            Destination::Headers => self.sidecars.headers += 1,
            // Lines of our own: what they tell is counted where it stands.
            _ => {}
        }
    }

    /// Whether everything read is accounted for.
    ///
    /// # Errors
    /// [`Imbalance`] with both sides of the sum that does not hold.
    pub fn check(&self) -> Result<(), Imbalance> {
        let (records, bytes) = (self.records, self.bytes);
        let kept = records.delivered + records.filtered + records.quarantined;
        if records.read != kept {
            return Err(Imbalance { of: "records", read: records.read, accounted: kept });
        }
        let accounted = accounted_bytes(&bytes);
        if bytes.read != accounted {
            return Err(Imbalance { of: "bytes", read: bytes.read, accounted });
        }
        Ok(())
    }
}

fn add_bytes(sum: &mut ByteTally, part: &ByteTally) {
    sum.read += part.read;
    sum.delivered += part.delivered;
    sum.filtered += part.filtered;
    sum.quarantined += part.quarantined;
    sum.terminators += part.terminators;
    sum.white_space += part.white_space;
    sum.byte_order_marks += part.byte_order_marks;
    sum.container += part.container;
    sum.metadata += part.metadata;
    sum.sidecars += part.sidecars;
}

fn add_containers(sum: &mut ContainerTally, part: &ContainerTally) {
    sum.arrays += part.arrays;
    sum.bundles += part.bundles;
    sum.untyped_bundles += part.untyped_bundles;
    sum.signed_bundles += part.signed_bundles;
    sum.provider_lists += part.provider_lists;
    sum.bare_entries += part.bare_entries;
}

fn accounted_bytes(bytes: &ByteTally) -> u64 {
    bytes.delivered
        + bytes.filtered
        + bytes.quarantined
        + bytes.terminators
        + bytes.white_space
        + bytes.byte_order_marks
        + bytes.container
        + bytes.metadata
        + bytes.sidecars
}

/// A ledger that does not add up: a defect of fhirline, never of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imbalance {
    /// What does not add up: `records` or `bytes`.
    pub of: &'static str,
    /// What was read.
    pub read: u64,
    /// What the other fields add up to.
    pub accounted: u64,
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the ledger does not balance: {} {} read, {} accounted for",
            self.read, self.of, self.accounted
        )
    }
}

impl std::error::Error for Imbalance {}

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced() -> Ledger {
        Ledger {
            records: RecordTally { read: 6, delivered: 3, filtered: 2, quarantined: 1 },
            bytes: ByteTally {
                read: 45,
                delivered: 1,
                filtered: 2,
                quarantined: 3,
                terminators: 4,
                white_space: 5,
                byte_order_marks: 6,
                container: 7,
                sidecars: 8,
                metadata: 9,
            },
            ..Ledger::default()
        }
    }

    #[test]
    fn sums_of_balanced_parts_balance() {
        let mut sum = balanced();
        sum.add(&balanced());
        assert_eq!(sum.check(), Ok(()));
        assert_eq!(sum.records.read, 12);
        assert_eq!(sum.bytes.sidecars, 16);
    }

    #[test]
    fn one_lost_record_is_seen() {
        let mut ledger = balanced();
        ledger.records.delivered -= 1;
        assert_eq!(ledger.check(), Err(Imbalance { of: "records", read: 6, accounted: 5 }));
    }

    #[test]
    fn one_lost_byte_of_any_kind_is_seen() {
        let fields: [fn(&mut ByteTally) -> &mut u64; 9] = [
            |b| &mut b.delivered,
            |b| &mut b.filtered,
            |b| &mut b.quarantined,
            |b| &mut b.terminators,
            |b| &mut b.white_space,
            |b| &mut b.byte_order_marks,
            |b| &mut b.container,
            |b| &mut b.sidecars,
            |b| &mut b.metadata,
        ];
        for field in fields {
            let mut ledger = balanced();
            *field(&mut ledger.bytes) -= 1;
            assert_eq!(ledger.check(), Err(Imbalance { of: "bytes", read: 45, accounted: 44 }));
        }
    }
}
