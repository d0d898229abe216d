/// Why a Bundle ended before all resources were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It had as many entries as it may have.
    MaxEntries = 0,
    /// It would have had more bytes than it may have.
    MaxBytes = 1,
    /// The next resource has a `fullUrl` that stands in it.
    Duplicate = 2,
    /// There was no memory to remember one more URL.
    Fingerprints = 3,
}

/// What was written, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteTally {
    /// Bundles that were ended.
    pub bundles: u64,
    /// Entries.
    pub entries: u64,
    /// Bytes of their resources, as they came.
    pub resource_bytes: u64,
    /// Resources whose `fullUrl` stood in the open Bundle already.
    pub duplicates: u64,
    /// Entries that got `urn:uuid:`.
    pub uuids: u64,
    /// Bundles of one entry that are longer than the limit.
    pub too_long: u64,
    /// Bundles that ended before the last, by the number of [`Ended`].
    pub(super) ended: [u64; 4],
}

impl WriteTally {
    /// How many Bundles ended for that reason.
    #[must_use]
    pub fn ended(&self, why: Ended) -> u64 {
        self.ended[why as usize]
    }
}
