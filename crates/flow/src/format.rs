//! What a source holds, told from its first lines.

use memchr::memmem;

use fhirline_core::Fault;
use fhirline_route::{Proof, Shape, envelope, shape};

use crate::error::NotLines;
use fhirline_decompress::Compression;

/// What the beginning of a source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One record a line.
    Lines,
    /// JSON values over several lines, or an array.
    Values,
    /// Something that cannot be read.
    Not(NotLines),
    /// More of the source must be seen.
    Undecided,
}

/// Most bytes of a file that merely lay in a folder that are searched for a line that looks like a resource.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// Bytes at the beginning of a source in which magic numbers stand: that of tar comes last.
pub(crate) const MAGIC_BYTES: usize = 262;

/// One of these stands in the first line of a Bundle.
const BUNDLE_WORDS: [&[u8]; 2] = [b"\"entry\"", b"\"Bundle\""];

/// Tells the format from the beginning of the decoded bytes.
///
/// If the first line that is not blank is one complete JSON value, or no legal beginning of one, lines are records and
/// LF always resynchronises. If it is a legal but incomplete beginning, the next such line decides: unless it is a complete
/// resource, values span lines. An array is opened wherever it ends, for no record is one, and so is an object whose first key is
/// `providers`.
///
/// It is asked again when more has come, and looks at every byte only once.
#[derive(Debug, Default)]
pub(crate) struct FormatProbe {
    begun: bool,
    /// Up to here everything is blank, or belongs to the first line.
    from: usize,
    /// Up to here there is no line end behind `from`.
    searched: usize,
    /// The first line is incomplete: values span lines unless the second is a complete object.
    spanning: bool,
    /// There is a key in it that Bundles have.
    may_be_bundle: bool,
}

impl FormatProbe {
    /// `head` begins with what was seen before, and holds [`MAGIC_BYTES`] at least unless `ended` says that there is no
    /// more.
    pub(crate) fn look(&mut self, head: &[u8], ended: bool) -> Format {
        if !self.begun {
            self.begun = true;
            if let Some(other) = foreign(head) {
                return Format::Not(other);
            }
        }
        if !self.spanning {
            self.skip_blank(head);
            if head.get(self.from) == Some(&b'<') {
                return Format::Not(NotLines::Markup);
            }
            let Some(first) = self.next_line(head, ended) else { return undecided_unless(ended) };
            match shape(first) {
                Shape::Illegal => return Format::Lines,
                _ if is_opened(first) => return Format::Values,
                Shape::Complete => return Format::Lines,
                Shape::Incomplete => {
                    self.spanning = true;
                    self.may_be_bundle = BUNDLE_WORDS.iter().any(|word| memmem::find(first, word).is_some());
                }
            }
        }
        match self.next_line(head, ended) {
            Some(second) if is_record(second) => Format::Lines,
            Some(_) => Format::Values,
            // Nothing behind it: it was cut off. A Bundle that was is no whole source, and any other line a bad record.
            None if ended && self.may_be_bundle => Format::Values,
            None => undecided_unless(ended),
        }
    }

    fn skip_blank(&mut self, head: &[u8]) {
        let rest = &head[self.from..];
        self.from += rest.iter().position(is_solid).unwrap_or(rest.len());
        self.searched = self.searched.max(self.from);
    }

    /// The next line that is not blank, without white space around it; the last one only if it is known to be whole.
    fn next_line<'h>(&mut self, head: &'h [u8], ended: bool) -> Option<&'h [u8]> {
        self.skip_blank(head);
        let line_end = head[self.searched..].iter().position(|&byte| byte == b'\n');
        let whole = line_end.map(|at| self.searched + at);
        self.searched = whole.unwrap_or(head.len());
        let end = whole.or((ended && self.from < head.len()).then_some(head.len()))?;
        let line = trimmed(&head[self.from..end]);
        self.from = end;
        Some(line)
    }
}

/// Whether a file that merely lay in a folder looks like data: it begins like a JSON object or array, or one of its first
/// lines does.
pub(crate) fn looks_like_data(head: &[u8]) -> bool {
    let head = &head[..head.len().min(HEAD_BYTES)];
    let text = head.trim_ascii_start();
    let opens = |line: &[u8]| line.starts_with(b"{\"");
    matches!(text.first(), Some(b'{' | b'[')) || head.split(|&byte| byte == b'\n').any(opens)
}

/// What is told from the very first bytes.
fn foreign(head: &[u8]) -> Option<NotLines> {
    const MAGICS: [(&[u8], NotLines); 11] = [
        (b"\xFF\xFE", NotLines::Utf16),
        (b"\xFE\xFF", NotLines::Utf16),
        (b"\x1F\x8B\x08", NotLines::Nested(Compression::Gzip)),
        (b"\x28\xB5\x2F\xFD", NotLines::Nested(Compression::Zstd)),
        (b"\xFD7zXZ\0", NotLines::Nested(Compression::Xz)),
        (b"7z\xBC\xAF\x27\x1C", NotLines::Other("a 7z archive")),
        (b"PK\x03\x04", NotLines::Other("a zip archive")),
        (b"PK\x05\x06", NotLines::Other("a zip archive")),
        (b"PAR1", NotLines::Other("a Parquet file")),
        (b"%PDF-", NotLines::Other("a PDF file")),
        (b"SQLite format 3\0", NotLines::Other("an SQLite database")),
    ];
    let magic = MAGICS.iter().find(|(magic, _)| head.starts_with(magic));
    let bzip2 = || is_bzip2(head).then_some(NotLines::Nested(Compression::Bzip2));
    let tar = || (head.get(257..262) == Some(b"ustar")).then_some(NotLines::Other("a tar archive"));
    let utf16 = || is_utf16(head).then_some(NotLines::Utf16);
    magic.map(|(_, what)| *what).or_else(bzip2).or_else(tar).or_else(utf16)
}

/// A level is part of the magic number of bzip2.
fn is_bzip2(head: &[u8]) -> bool {
    let behind_name = head.strip_prefix(b"BZh");
    behind_name.is_some_and(|rest| matches!(rest, [b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..]))
}

/// Whether every second byte is NUL and no other: UTF-16 without a byte order mark.
fn is_utf16(head: &[u8]) -> bool {
    const SEEN_BYTES: usize = 64;
    const LEAST_BYTES: usize = 8;
    let head = &head[..head.len().min(SEEN_BYTES)];
    let alternates = |zero: usize| head.iter().enumerate().all(|(at, &byte)| (byte == 0) == (at % 2 == zero));
    head.len() >= LEAST_BYTES && (alternates(0) || alternates(1))
}

/// Not white space in the sense of JSON: a line of anything else is not blank, but a bad record.
fn is_solid(byte: &u8) -> bool {
    !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without white space behind it.
fn trimmed(text: &[u8]) -> &[u8] {
    &text[..text.iter().rposition(is_solid).map_or(0, |last| last + 1)]
}

fn undecided_unless(ended: bool) -> Format {
    if ended { Format::Lines } else { Format::Undecided }
}

/// A complete object with a type, or something in its place: an entry that stands on a line of its own has none.
fn is_record(line: &[u8]) -> bool {
    let is_object = line.starts_with(b"{") && shape(line) == Shape::Complete;
    is_object && envelope(line, Proof::Trusted).err().is_none_or(|why| why.fault != Fault::NoResourceType)
}

/// Whether a value that begins like this is opened for what is in it. (A Bundle is, too, where lines are.)
fn is_opened(line: &[u8]) -> bool {
    let first_key = line.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    let has_providers = first_key.is_some_and(|key| key.starts_with(b"\"providers\""));
    line.starts_with(b"[") || (has_providers && !is_record(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(head: &[u8], ended: bool) -> Format {
        FormatProbe::default().look(head, ended)
    }

    fn whole(text: &str) -> Format {
        format_of(text.as_bytes(), true)
    }

    #[test]
    fn lines_are_told_from_values() {
        let patient = "{\"resourceType\":\"Patient\"}";
        for text in [
            "",
            "\n \n",
            patient,
            "junk\n{",
            "{\"a\":\n{\"resourceType\":\"Goal\"}",
            "{\"cut\":",
            "1\n",
            "\x0C\n{\n  \"a\": 1\n}",
            "\"x\"\n{",
        ] {
            assert_eq!(whole(text), Format::Lines, "{text:?}");
        }
        for (text, what) in [
            ("{\n  \"resourceType\": \"Patient\"\n}", Format::Values),
            ("[\n{\"resourceType\":\"Patient\"},\n{}]", Format::Values),
            ("[{\"resourceType\":\"Patient\"}]", Format::Values),
            ("{ \"providers\":[]}", Format::Values),
            ("{\"resourceType\":\"Bundle\",\"entry\":[]}", Format::Lines),
            ("\n\n<!DOCTYPE html>", Format::Not(NotLines::Markup)),
            ("PK\u{3}\u{4}", Format::Not(NotLines::Other("a zip archive"))),
        ] {
            assert_eq!(whole(text), what, "{text:?}");
        }
    }

    #[test]
    fn other_formats_are_told_from_their_first_bytes() {
        let bzip2 = NotLines::Nested(Compression::Bzip2);
        for (head, what) in [
            (&b"\xFF\xFE{\0"[..], NotLines::Utf16),
            (b"{\0\"\0a\0\"\0", NotLines::Utf16),
            (b"\0{\0\"\0a\0\"\0", NotLines::Utf16),
            (b"BZh11AY&SY", bzip2),
            (b"BZh91AY&SY and so on", bzip2),
            (b"7z\xBC\xAF\x27\x1C\0\x04", NotLines::Other("a 7z archive")),
            (b"PK\x05\x06\0\0", NotLines::Other("a zip archive")),
        ] {
            assert_eq!(format_of(head, true), Format::Not(what), "{head:?}");
        }
        let zeros = [0; 100];
        for head in [&b"BZh01AY&SY"[..], b"BZh91AY&S", b"7z\xBC\xAF", b"{\0\"\0", b"{\0\"\0a\0ab", &zeros] {
            assert_eq!(format_of(head, true), Format::Lines, "{head:?}");
        }
    }

    #[test]
    fn what_came_before_need_not_be_seen_again() {
        for (text, verdict) in [
            (" \r\n\n\t {\"a\":1} \r\n", Format::Lines),
            ("\n\n <html>", Format::Not(NotLines::Markup)),
            ("\n[ \n\n \n{\n", Format::Values),
            ("{\"a\":\n\n {\"resourceType\":\"Goal\"}\n", Format::Lines),
            ("{\"a\":[\n\n {\"b\":1}\n", Format::Values),
            ("\n{\n \n}\n", Format::Values),
            (" \n \n", Format::Lines),
            ("{\n\n\n", Format::Lines),
        ] {
            let mut probe = FormatProbe::default();
            let mut told = (0..text.len()).map(|end| probe.look(&text.as_bytes()[..end], false));
            let early = told.find(|format| *format != Format::Undecided);
            let format = early.unwrap_or_else(|| probe.look(text.as_bytes(), true));
            assert_eq!(format, verdict, "{text:?}");
            assert_eq!(whole(text), verdict, "{text:?}");
        }
    }

    #[test]
    fn a_bundle_behind_the_first_line_is_a_record() {
        assert_eq!(whole("{\"resourceType\":\"Goal\"}\n{\"resourceType\":\"Bundle\"}"), Format::Lines);
    }

    #[test]
    fn nothing_is_decided_too_early() {
        let pretty = b"\n{\n  \"a\": 1\n}\n";
        let decided = (0..=pretty.len()).map(|end| format_of(&pretty[..end], false));
        let decided: Vec<_> = decided.filter(|format| *format != Format::Undecided).collect();
        assert!(decided.iter().all(|format| *format == Format::Values), "{decided:?}");
        assert!(!decided.is_empty());
    }

    #[test]
    fn files_in_folders_are_told_by_their_bytes() {
        for data in ["{\"a\":1}", " \n[", "junk line\n{\"resourceType\":\"Goal\"}\n"] {
            assert!(looks_like_data(data.as_bytes()), "{data:?}");
        }
        for other in ["# Notes\n\n- a list {x}\n", "", "<html>", "package main {\n}"] {
            assert!(!looks_like_data(other.as_bytes()), "{other:?}");
        }
    }
}
