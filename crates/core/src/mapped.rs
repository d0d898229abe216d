//! Buffers that are the system's again as soon as they are freed.

/// A buffer that is to be mapped by itself takes at least so much address space; of memory it takes what is written to it.
///
/// glibc keeps what is freed for later use, in an arena of the thread that allocated it, unless the block is larger than this
/// bound: each block that is freed raises the size from which blocks are mapped, up to 32 MiB on 64 bits. So threads that pass buffers
/// of some MiB on to each other could keep several times what is in use.
/// <https://man7.org/linux/man-pages/man3/mallopt.3.html>, `M_MMAP_THRESHOLD`.
pub const MAPPED_BYTES: usize = (32 << 20) + 1;

/// Blocks up to this length do no harm in an arena, and mapping each would cost more than it saves: glibc maps none that is
/// shorter.
const SMALL_BYTES: usize = 128 << 10;

/// An empty buffer for so many bytes, which takes memory only as far as it is filled, and gives all of it back when it is
/// dropped.
///
/// ```
/// let buffer = fhirline_core::mapped_buffer(8 << 20);
/// assert!(buffer.is_empty() && buffer.capacity() >= fhirline_core::MAPPED_BYTES);
/// assert!(fhirline_core::mapped_buffer(100).capacity() < 200, "small ones are like any other");
/// ```
#[must_use]
pub fn mapped_buffer(bytes: usize) -> Vec<u8> {
    Vec::with_capacity(block_bytes(bytes))
}

/// The same, filled with zeros that take no memory before they are overwritten. It is longer than asked for.
///
/// ```
/// assert!(fhirline_core::mapped_zeros(1 << 20).len() >= fhirline_core::MAPPED_BYTES);
/// assert_eq!(fhirline_core::mapped_zeros(100), [0; 100]);
/// ```
#[must_use]
pub fn mapped_zeros(bytes: usize) -> Vec<u8> {
    vec![0; block_bytes(bytes)]
}

fn block_bytes(bytes: usize) -> usize {
    if bytes <= SMALL_BYTES { bytes } else { bytes.max(MAPPED_BYTES) }
}
