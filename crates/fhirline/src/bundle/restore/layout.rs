use fhirline_bundle::Pretty;
use fhirline_sink::{BundleFiles, SinkError};

/// Bytes that are laid out at once: for people, they can become seventy times as many.
const STEP_BYTES: usize = 16 << 10;

/// Writes Bundles as they are told: an entry a line, or laid out for people.
pub(super) struct Layout {
    pub(super) files: BundleFiles,
    is_pretty: bool,
    pretty: Pretty,
    /// Bundles that were begun.
    pub(super) bundles: u64,
    /// The open object has a member.
    filled: bool,
    /// What comes next is not yet parted from it.
    parted: bool,
}

impl Layout {
    pub(super) fn new(files: BundleFiles, is_pretty: bool) -> Self {
        Self { files, is_pretty, pretty: Pretty::default(), bundles: 0, filled: false, parted: false }
    }

    pub(super) fn begin_bundle(&mut self) -> Result<(), SinkError> {
        if self.bundles > 0 {
            self.files.start_next()?;
        }
        self.bundles += 1;
        self.pretty = Pretty::default();
        self.begin_object()
    }

    pub(super) fn begin_object(&mut self) -> Result<(), SinkError> {
        (self.filled, self.parted) = (false, false);
        self.put(b"{")
    }

    /// More members of the open object follow.
    pub(super) fn begin_members(&mut self) {
        self.parted = false;
    }

    /// A piece of the members; there may be none.
    pub(super) fn members(&mut self, piece: &[u8]) -> Result<(), SinkError> {
        if piece.is_empty() {
            return Ok(());
        }
        if self.filled && !self.parted {
            self.put(b",")?;
        }
        (self.filled, self.parted) = (true, true);
        self.put(piece)
    }

    pub(super) fn begin_entry(&mut self, number: u64) -> Result<(), SinkError> {
        self.put(if number == 0 { b"\n" } else { b",\n" })
    }

    /// The entry has ended.
    pub(super) fn count_entry(&mut self) {
        self.files.count_entry();
    }

    pub(super) fn end_bundle(&mut self) -> Result<(), SinkError> {
        self.put(b"}")?;
        self.files.out().push(b'\n');
        self.files.write_if_full()
    }

    /// Bytes of the Bundle, as they are but for white space.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        for step in bytes.chunks(STEP_BYTES) {
            let out = self.files.out();
            if self.is_pretty {
                self.pretty.push(step, out);
            } else {
                out.extend_from_slice(step);
            }
            self.files.write_if_full()?;
        }
        Ok(())
    }
}
