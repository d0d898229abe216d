use crate::ahead::Room;
use crate::codec::Trouble;
use crate::gzip::STATE_BYTES;
use crate::input::INPUT_BYTES;

/// What a [`Decoder`](crate::Decoder) may cost.
///
/// ```
/// use fhirline_decompress::Limits;
///
/// let limits = Limits::default().with_window_bytes(160 << 20); // enough for `zstd --long` and `xz -9`
/// assert!(limits.memory_bytes() > 160 << 20);
///
/// let strict = limits.with_max_ratio(Some(200)).with_max_decoded_bytes(Some(100 << 30));
/// assert_eq!((strict.max_ratio, strict.max_decoded_bytes), (Some(200), Some(100 << 30)));
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

    /// The most decoded bytes for each stored byte of a compressed source; `None`, the default, for any number.
    ///
    /// The first [`FREE_BYTES`](Self::FREE_BYTES) decoded bytes are not judged: a small file that compresses
    /// uncommonly well is legal and does no harm. From there on, no more than `max_ratio` times the stored bytes read
    /// so far may have come out of them; one more is [`TooExpanded`](crate::DecompressError::TooExpanded). The bytes
    /// read so far are counted in buffers of 64 KiB that are always filled, and everything is decoded that one buffer
    /// gives before the next is read, so the verdict and the byte at which it falls are functions of the source alone.
    ///
    /// FHIR in NDJSON compresses 10 to 30 times, an export of much the same resources over and over 100 or 200 times,
    /// deflate can do 1,032 and the others a million.
    pub max_ratio: Option<u64>,

    /// The most decoded bytes of a source, compressed or not; `None`, the default, for any number.
    ///
    /// Exactly so many are handed out, and one more is [`TooLong`](crate::DecompressError::TooLong).
    pub max_decoded_bytes: Option<u64>,

    /// How many threads may decode members of a gzip source at once, that of the caller included; 0, the default, to decode
    /// one member after the other. See [`with_ahead`](Self::with_ahead).
    pub ahead_threads: usize,

    /// The memory for members that are decoded ahead, in bytes, threads included; 0, the default, to decode none ahead.
    pub ahead_bytes: u64,
}

impl Limits {
    /// Decoded bytes at the beginning of a source that [`max_ratio`](Self::max_ratio) does not judge: 16 MiB.
    pub const FREE_BYTES: u64 = 16 << 20;

    /// The same limits with another bound on window and state.
    #[must_use]
    pub fn with_window_bytes(mut self, window_bytes: u64) -> Self {
        self.window_bytes = window_bytes;
        self
    }

    /// The same limits with another [`max_ratio`](Self::max_ratio).
    #[must_use]
    pub fn with_max_ratio(mut self, max_ratio: Option<u64>) -> Self {
        self.max_ratio = max_ratio;
        self
    }

    /// The same limits with another [`max_decoded_bytes`](Self::max_decoded_bytes).
    #[must_use]
    pub fn with_max_decoded_bytes(mut self, max_decoded_bytes: Option<u64>) -> Self {
        self.max_decoded_bytes = max_decoded_bytes;
        self
    }

    /// The same limits, with members of a gzip source decoded before their turn: by so many threads, that of the caller
    /// included, in so much memory.
    ///
    /// BGZF, concatenated gzip files and what many loggers write have members; what `gzip` and `pigz` write is one, and is
    /// decoded as always. Nothing is looked for, no memory is taken and no thread begins before a second member does. A
    /// member of which more comes out than fits into its part of the memory is decoded in its turn. That part is
    /// `ahead_bytes / (threads + 3)`, less half a MiB for each thread: with 2 threads, 8 MiB do for members of 1 MiB. With
    /// less than a few hundred KiB for each thread nothing is decoded ahead.
    ///
    /// What comes out, how it ends and where is the same with any number of threads. With one, nothing is decoded ahead; it
    /// takes a core that is idle otherwise for anything to be gained.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use fhirline_decompress::{Decoder, Limits};
    ///
    /// let mut stored = Vec::new();
    /// for line in ["{\"resourceType\":\"Patient\"}\n", "{\"resourceType\":\"Goal\"}\n"].repeat(50) {
    ///     let mut gzip = flate2::write::GzEncoder::new(&mut stored, flate2::Compression::fast());
    ///     gzip.write_all(line.as_bytes())?;
    ///     gzip.finish()?;
    /// }
    /// let limits = Limits::default().with_ahead(2, 8 << 20);
    /// let mut decoder = Decoder::new(&stored[..], limits)?;
    /// let mut text = String::new();
    /// decoder.read_to_string(&mut text)?;
    /// assert_eq!(text.lines().count(), 100);
    /// assert!(decoder.memory_bytes() <= limits.memory_bytes());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_ahead(mut self, threads: usize, bytes: u64) -> Self {
        self.ahead_threads = threads;
        self.ahead_bytes = bytes;
        self
    }

    /// The most memory that one decoder holds under these limits, in bytes: what to reserve for it. Only gzip is decoded
    /// ahead, and needs next to no window.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let ahead_bytes = self.ahead_room().map_or(0, |room| room.total_bytes + STATE_BYTES);
        self.window_bytes.max(ahead_bytes).saturating_add(INPUT_BYTES as u64)
    }

    /// What members may take that are decoded ahead; `None` if none are.
    pub(crate) fn ahead_room(&self) -> Option<Room> {
        Room::divide(self.ahead_threads, self.ahead_bytes)
    }

    /// What may come out of a plain source.
    pub(crate) fn plain_cap(&self) -> Cap {
        let decoded_bytes = self.max_decoded_bytes.unwrap_or(u64::MAX);
        Cap { decoded_bytes, beyond: Trouble::TooLong { max_decoded_bytes: decoded_bytes } }
    }

    /// What may come out of the first `stored_bytes` of a compressed source.
    pub(crate) fn coded_cap(&self, stored_bytes: u64) -> Cap {
        let plain = self.plain_cap();
        let Some(max_ratio) = self.max_ratio else {
            return plain;
        };
        let decoded_bytes = max_ratio.saturating_mul(stored_bytes).max(Self::FREE_BYTES);
        if plain.decoded_bytes <= decoded_bytes {
            return plain;
        }
        Cap { decoded_bytes, beyond: Trouble::TooExpanded { max_ratio, decoded_bytes, stored_bytes } }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window_bytes: 16 << 20,
            max_ratio: None,
            max_decoded_bytes: None,
            ahead_threads: 0,
            ahead_bytes: 0,
        }
    }
}

/// A bound on what comes out, and the trouble that one more byte is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cap {
    pub(crate) decoded_bytes: u64,
    pub(crate) beyond: Trouble,
}
