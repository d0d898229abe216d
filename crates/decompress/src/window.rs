/// The longest frame header: magic, descriptor, window, dictionary and content size (RFC 8878, section 3.1.1.1).
pub(crate) const ZSTD_HEADER_BYTES: usize = 4 + 1 + 1 + 4 + 8;

const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// What the header of a zstd frame says about the memory that its decoder needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ZstdHeader {
    /// A frame without data.
    Skippable,
    Frame {
        window_bytes: u64,
        dictionary: bool,
    },
}

/// Reads a frame header; `None` if it is not complete.
pub(crate) fn zstd_header(head: &[u8]) -> Option<ZstdHeader> {
    let (magic, rest) = head.split_at_checked(ZSTD_MAGIC.len())?;
    if magic != ZSTD_MAGIC {
        return Some(ZstdHeader::Skippable);
    }
    let (&descriptor, rest) = rest.split_first()?;
    let single_segment = descriptor & 0x20 != 0;
    let (window, rest) = rest.split_at_checked(usize::from(!single_segment))?;
    let (dictionary, rest) = rest.split_at_checked([0, 1, 2, 4][usize::from(descriptor & 3)])?;
    let window_bytes = match window.first() {
        Some(&window) => window_of(window),
        None => content_size(descriptor >> 6, rest)?,
    };
    Some(ZstdHeader::Frame { window_bytes, dictionary: dictionary.iter().any(|&byte| byte != 0) })
}

/// Section 3.1.1.1.2: a power of two from 1 KiB on, and eighths of it.
fn window_of(descriptor: u8) -> u64 {
    let base = 1u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

/// Section 3.1.1.1.4, for a single-segment frame: there the window is the whole content.
fn content_size(flag: u8, rest: &[u8]) -> Option<u64> {
    let field = rest.get(..1 << flag)?;
    let little_endian = field.iter().rev().fold(0, |size, &byte| size << 8 | u64::from(byte));
    Some(if flag == 1 { little_endian + 256 } else { little_endian })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(tail: &[u8]) -> Option<ZstdHeader> {
        zstd_header(&[ZSTD_MAGIC, tail].concat())
    }

    fn frame(window_bytes: u64) -> Option<ZstdHeader> {
        Some(ZstdHeader::Frame { window_bytes, dictionary: false })
    }

    #[test]
    fn windows_are_read_from_their_descriptor() {
        assert_eq!(header(&[0, 0]), frame(1 << 10));
        assert_eq!(header(&[0, (27 - 10) << 3]), frame(128 << 20));
        assert_eq!(header(&[0, 0xff]), frame((1 << 41) + 7 * (1 << 38)));
        assert_eq!(header(&[0]), None);
    }

    #[test]
    fn a_single_segment_is_its_own_window() {
        assert_eq!(header(&[0x20, 200]), frame(200));
        assert_eq!(header(&[0x60, 1, 1]), frame(257 + 256));
        assert_eq!(header(&[0xa0, 0, 0, 0, 0x80]), frame(1 << 31));
        assert_eq!(header(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80]), frame(1 << 63));
        assert_eq!(header(&[0xe0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn a_dictionary_is_seen_unless_its_id_is_zero() {
        let with = |id: u8| header(&[0x21, id, 9]);
        assert_eq!(with(0), frame(9));
        assert_eq!(with(5), Some(ZstdHeader::Frame { window_bytes: 9, dictionary: true }));
    }

    #[test]
    fn skippable_frames_have_no_window() {
        assert_eq!(zstd_header(&[0x53, 0x2a, 0x4d, 0x18]), Some(ZstdHeader::Skippable));
    }
}
