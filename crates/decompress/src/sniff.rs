use crate::Compression;

/// Bytes from which a member is told: the longest magic, bzip2's.
pub(crate) const MAGIC_BYTES: usize = 10;

/// Bytes from which everything is told: `ustar` ends here in the first header of a tar archive.
const HEAD_BYTES: usize = TAR_AT + TAR_MAGIC.len();

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// The bytes behind the first one, of which only the upper half counts.
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const BZIP2: &[u8] = b"BZh";
const BZIP2_BLOCK: &[u8] = &[0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
const BZIP2_END: &[u8] = &[0x17, 0x72, 0x45, 0x38, 0x50, 0x90];

/// Ways to store files that users do have, and that nothing here decodes.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"PK\x07\x08", "a spanned zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"\x04\x22\x4d\x18", "lz4 compression"),
    (b"LZIP\x01", "lzip compression"),
    (b"\x1f\x9d", "compress (.Z) compression"),
];
const TAR_AT: usize = 257;
const TAR_MAGIC: &[u8] = b"ustar";

/// How the first bytes of something compare with a magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Yes,
    /// So far; the magic is longer.
    Prefix,
    No,
}

/// What the first bytes of a source say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sniff {
    /// More bytes are needed.
    More,
    Stored(Compression),
    /// The source ends within the magic.
    CutOff(Compression),
    Foreign(&'static str),
}

/// Tells the compression of a source from its first bytes; `ended` when there are no more.
pub(crate) fn sniff(head: &[u8], ended: bool) -> Sniff {
    for compression in Compression::CODED {
        match member(compression, head) {
            Match::Yes => return Sniff::Stored(compression),
            Match::Prefix if !ended => return Sniff::More,
            Match::Prefix if tells(compression, head) => return Sniff::CutOff(compression),
            Match::Prefix | Match::No => {}
        }
    }
    foreign(head, ended)
}

fn foreign(head: &[u8], ended: bool) -> Sniff {
    for (magic, what) in FOREIGN {
        match starts(head, magic) {
            Match::Yes => return Sniff::Foreign(what),
            Match::Prefix if !ended => return Sniff::More,
            Match::Prefix | Match::No => {}
        }
    }
    if head.get(TAR_AT..).is_some_and(|tail| tail.starts_with(TAR_MAGIC)) {
        return Sniff::Foreign("a tar archive");
    }
    // What begins like JSON need not wait for the bytes that would tell a tar archive.
    let json = head.first().is_some_and(|byte| b"{[ \t\r\n\xef".contains(byte));
    if json || ended || head.len() >= HEAD_BYTES { Sniff::Stored(Compression::None) } else { Sniff::More }
}

/// Whether a member of this format begins here.
pub(crate) fn member(compression: Compression, head: &[u8]) -> Match {
    match compression {
        Compression::None => Match::No,
        Compression::Gzip => starts(head, GZIP),
        Compression::Zstd => either(starts(head, ZSTD), skippable(head)),
        Compression::Bzip2 => bzip2(head),
        Compression::Xz => starts(head, XZ),
    }
}

/// Whether a source that ends within a magic can be nothing else. One byte says nothing, and neither does `P*M`, which
/// is text; the others can be no JSON.
fn tells(compression: Compression, head: &[u8]) -> bool {
    match compression {
        Compression::Bzip2 => head.len() > BZIP2.len(),
        Compression::Zstd => head.len() > 1 && head[0] == ZSTD[0],
        Compression::None | Compression::Gzip | Compression::Xz => head.len() > 1,
    }
}

fn skippable(head: &[u8]) -> Match {
    match head.split_first() {
        Some((first, rest)) if first & 0xf0 == 0x50 => starts(rest, ZSTD_SKIPPABLE),
        Some(_) => Match::No,
        None => Match::Prefix,
    }
}

fn bzip2(head: &[u8]) -> Match {
    if head.len() <= BZIP2.len() {
        return if starts(head, BZIP2) == Match::No { Match::No } else { Match::Prefix };
    }
    let (magic, rest) = head.split_at(BZIP2.len());
    match (magic == BZIP2, rest[0]) {
        (true, b'1'..=b'9') => either(starts(&rest[1..], BZIP2_BLOCK), starts(&rest[1..], BZIP2_END)),
        _ => Match::No,
    }
}

fn starts(head: &[u8], magic: &[u8]) -> Match {
    let shared = head.len().min(magic.len());
    match head[..shared] == magic[..shared] {
        true if shared == magic.len() => Match::Yes,
        true => Match::Prefix,
        false => Match::No,
    }
}

fn either(one: Match, other: Match) -> Match {
    if one == Match::No { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_first_byte() {
        // `[` alone may begin a skippable frame, and needs the next byte.
        for first in [&b"{"[..], b"[{", b"[\n", b" ", b"\n", b"\xef\xbb\xbf{"] {
            assert_eq!(sniff(first, false), Sniff::Stored(Compression::None));
        }
    }

    #[test]
    fn nothing_is_decided_before_the_magic_is_whole() {
        for (magic, compression) in [
            (&[0x1f, 0x8b][..], Compression::Gzip),
            (ZSTD, Compression::Zstd),
            (&[0x5a, 0x2a, 0x4d, 0x18], Compression::Zstd),
            (b"BZh91AY&SY", Compression::Bzip2),
            (b"BZh1\x17\x72\x45\x38\x50\x90", Compression::Bzip2),
            (XZ, Compression::Xz),
        ] {
            for cut in 0..magic.len() {
                assert_eq!(sniff(&magic[..cut], false), Sniff::More, "{compression} {cut}");
            }
            assert_eq!(sniff(magic, false), Sniff::Stored(compression));
        }
    }

    #[test]
    fn a_source_that_ends_within_a_magic() {
        let plain = Sniff::Stored(Compression::None);
        for text in [&b""[..], b"\x1f", b"\x28", b"\xfd", b"B", b"BZ", b"BZh", b"P*M", b"PK"] {
            assert_eq!(sniff(text, true), plain, "{text:x?}");
        }
        assert_eq!(sniff(&ZSTD[..2], true), Sniff::CutOff(Compression::Zstd));
        assert_eq!(sniff(&XZ[..5], true), Sniff::CutOff(Compression::Xz));
        assert_eq!(sniff(b"BZh9", true), Sniff::CutOff(Compression::Bzip2));
        assert_eq!(sniff(b"BZh91AY", true), Sniff::CutOff(Compression::Bzip2));
    }

    #[test]
    fn text_that_resembles_a_magic_is_plain() {
        for text in [&b"BZh9 is a magic"[..], b"BZh0123456789", b"(and so on", b"PKs and others"] {
            assert_eq!(sniff(text, true), Sniff::Stored(Compression::None));
        }
    }

    #[test]
    fn foreign_formats_are_named() {
        for (magic, what) in FOREIGN {
            let head = [magic, &[0; 300][..]].concat();
            assert_eq!(sniff(&head, false), Sniff::Foreign(what));
        }
        let mut tar = [b'a'; 512];
        tar[TAR_AT..HEAD_BYTES].copy_from_slice(TAR_MAGIC);
        assert_eq!(sniff(&tar[..HEAD_BYTES - 1], false), Sniff::More);
        assert_eq!(sniff(&tar[..HEAD_BYTES], false), Sniff::Foreign("a tar archive"));
    }
}
