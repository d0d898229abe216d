//! What a source holds, told from its first lines.

use fhirline_route::{Proof, Shape, envelope, shape};

use crate::error::NotLines;
use fhirline_decompress::Compression;

/// What the beginning of a source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One resource a line.
    Lines,
    /// Something else.
    Not(NotLines),
    /// More of the source must be seen.
    Undecided,
}

/// Most bytes of a file that merely lay in a folder that are searched for a line that looks like a resource.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// Bytes at the beginning of a source in which magic numbers stand: that of tar comes last.
pub(crate) const MAGIC_BYTES: usize = 262;

/// Tells the format from the beginning of the decoded bytes; `ended` says that there are no more.
///
/// If the first line that is not blank is one complete JSON value, or no legal beginning of one, lines are records and
/// LF always resynchronises. If it is a legal but incomplete beginning, the next such line decides: unless it is a complete
/// object, values span lines.
pub(crate) fn format_of(head: &[u8], ended: bool) -> Format {
    if let Some(other) = foreign(head) {
        return Format::Not(other);
    }
    let mut lines = lines_of(head, ended);
    let Some(first) = lines.next() else { return undecided_unless(ended) };
    match shape(first) {
        Shape::Illegal => Format::Lines,
        Shape::Complete => container(first).map_or(Format::Lines, Format::Not),
        Shape::Incomplete => match lines.next() {
            Some(second) if is_object(second) => Format::Lines,
            Some(_) => Format::Not(values_of(first)),
            // Nothing behind it: a line that was cut off.
            None => undecided_unless(ended),
        },
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
    const MAGICS: [(&[u8], NotLines); 9] = [
        (b"\xFF\xFE", NotLines::Utf16),
        (b"\xFE\xFF", NotLines::Utf16),
        (b"\x1F\x8B\x08", NotLines::Nested(Compression::Gzip)),
        (b"\x28\xB5\x2F\xFD", NotLines::Nested(Compression::Zstd)),
        (b"\xFD7zXZ\0", NotLines::Nested(Compression::Xz)),
        (b"PK\x03\x04", NotLines::Other("a zip archive")),
        (b"PAR1", NotLines::Other("a Parquet file")),
        (b"%PDF-", NotLines::Other("a PDF file")),
        (b"SQLite format 3\0", NotLines::Other("an SQLite database")),
    ];
    let magic = MAGICS.iter().find(|(magic, _)| head.starts_with(magic));
    let tar = || (head.get(257..262) == Some(b"ustar")).then_some(NotLines::Other("a tar archive"));
    let markup = || (trimmed(head).first() == Some(&b'<')).then_some(NotLines::Markup);
    magic.map(|(_, what)| *what).or_else(tar).or_else(markup)
}

/// The lines that are not blank, without white space around them; the last one only if it is known to be whole.
fn lines_of(head: &[u8], ended: bool) -> impl Iterator<Item = &[u8]> {
    let whole =
        if ended { head.len() } else { head.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1) };
    head[..whole].split(|&byte| byte == b'\n').map(trimmed).filter(|line| !line.is_empty())
}

/// Without white space around it, in the sense of JSON: a line of anything else is not blank, but a bad record.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_solid = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = text.iter().position(is_solid).unwrap_or(text.len());
    let end = text.iter().rposition(is_solid).map_or(start, |last| last + 1);
    &text[start..end]
}

fn undecided_unless(ended: bool) -> Format {
    if ended { Format::Lines } else { Format::Undecided }
}

fn is_object(line: &[u8]) -> bool {
    line.starts_with(b"{") && shape(line) == Shape::Complete
}

fn container(line: &[u8]) -> Option<NotLines> {
    if line.starts_with(b"[") {
        return Some(NotLines::Array);
    }
    let found = envelope(line, Proof::Trusted).ok()?;
    (found.resource_type == "Bundle").then_some(NotLines::Bundle)
}

fn values_of(first: &[u8]) -> NotLines {
    if first.starts_with(b"[") { NotLines::Array } else { NotLines::Values }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("{\n  \"resourceType\": \"Patient\"\n}", NotLines::Values),
            ("[\n{\"resourceType\":\"Patient\"},\n{}]", NotLines::Array),
            ("[{\"resourceType\":\"Patient\"}]", NotLines::Array),
            ("{\"resourceType\":\"Bundle\",\"entry\":[]}", NotLines::Bundle),
            ("\n\n<!DOCTYPE html>", NotLines::Markup),
            ("PK\u{3}\u{4}", NotLines::Other("a zip archive")),
        ] {
            assert_eq!(whole(text), Format::Not(what), "{text:?}");
        }
        assert_eq!(format_of(b"\xFF\xFE{\0", true), Format::Not(NotLines::Utf16));
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
        assert!(decided.iter().all(|format| *format == Format::Not(NotLines::Values)), "{decided:?}");
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
