use crate::input::INPUT_BYTES;

/// What a [`Decoder`](crate::Decoder) may cost.
///
/// ```
/// use fhirline_decompress::Limits;
///
/// let limits = Limits::default().with_window_bytes(160 << 20); // enough for `zstd --long` and `xz -9`
/// assert!(limits.memory_bytes() > 160 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most memory that a decoder may take for its window and state, in bytes. A stream that asks for more is
    /// refused before the memory is taken.
    ///
    /// The default, 16 MiB, is enough for every gzip and bzip2, for `zstd` up to level 19 (8 MiB window) and for `xz`
    /// up to its default level 6 (8 MiB dictionary), and leaves most of a 64 MiB process to others.
    pub window_bytes: u64,
}

impl Limits {
    /// The same limits with another bound on window and state.
    #[must_use]
    pub fn with_window_bytes(mut self, window_bytes: u64) -> Self {
        self.window_bytes = window_bytes;
        self
    }

    /// The most memory that one decoder holds under these limits, in bytes: what to reserve for it.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.window_bytes.saturating_add(INPUT_BYTES as u64)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { window_bytes: 16 << 20 }
    }
}
