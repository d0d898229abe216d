//! What downloaded files are called.

use std::collections::HashSet;

use fhirline_core::{PARTIAL_SUFFIX, ResourceType};

use super::wanted::{Part, Wanted};

/// Suffixes by which programs know compressed files, with the first bytes of such files. The empty one comes first.
pub(super) const SUFFIXES: [(&str, &[u8]); 5] = [
    ("", &[]),
    (".gz", &[0x1f, 0x8b]),
    (".zst", &[0x28, 0xb5, 0x2f, 0xfd]),
    (".bz2", b"BZh"),
    (".xz", &[0xfd, b'7', b'z', b'X', b'Z', 0]),
];

/// First bytes that tell a compressed file.
pub(super) const MAGIC_BYTES: usize = 6;

/// Longest name, in bytes: file systems allow 255, and a number, a suffix and what a store adds come behind it.
const MAX_NAME_BYTES: usize = 160;

/// Names with a meaning of their own in a download, which no file of it may have.
const RESERVED: [&str; 4] = ["manifest.json", "log.ndjson", "deleted", "error"];

/// Gives each file a name that no other has, also where upper case is not told from lower case, and whatever suffix its first
/// bytes will add.
#[derive(Debug)]
pub(super) struct Names {
    taken: HashSet<String>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { taken: RESERVED.into_iter().map(str::to_owned).collect() }
    }

    /// The name for a file. It depends on nothing but the files before it.
    pub(super) fn name(&mut self, wanted: &Wanted) -> String {
        let (stem, extensions) = base_of(wanted);
        let folder = wanted.part.folder();
        let numbered = (1..).map(|number: u32| match number {
            1 => format!("{folder}{stem}{extensions}"),
            _ => format!("{folder}{stem}.{number:04}{extensions}"),
        });
        let mut free = numbered.filter(|name| self.is_free(name));
        let name = free.next().unwrap_or_default();
        self.taken.extend(possible_names(&name).map(|name| name.to_lowercase()));
        name
    }

    fn is_free(&self, name: &str) -> bool {
        possible_names(name).all(|name| !self.taken.contains(&name.to_lowercase()))
    }
}

/// A planned name, and what it may become once the first bytes are known.
pub(super) fn possible_names(name: &str) -> impl Iterator<Item = String> {
    let suffixes = if has_suffix(name) { &SUFFIXES[..1] } else { &SUFFIXES[..] };
    suffixes.iter().map(move |(suffix, _)| format!("{name}{suffix}"))
}

/// What a planned name becomes once the first bytes are known.
pub(super) fn final_name(name: &str, head: &[u8]) -> String {
    let compressed = SUFFIXES[1..].iter().find(|(_, magic)| head.starts_with(magic));
    let suffix = compressed.map(|(suffix, _)| *suffix).filter(|_| !has_suffix(name));
    format!("{name}{}", suffix.unwrap_or_default())
}

fn has_suffix(name: &str) -> bool {
    let name = name.to_lowercase();
    SUFFIXES[1..].iter().any(|(suffix, _)| name.ends_with(suffix))
}

/// Stem and extensions of a name before it is numbered.
fn base_of(wanted: &Wanted) -> (String, String) {
    let known = wanted.resource_type.as_deref().filter(|name| ResourceType::new(name).is_some());
    let known = known.or(match wanted.part {
        Part::Output | Part::Organized => None,
        Part::Deleted => Some("Bundle"),
        Part::Error => Some("OperationOutcome"),
    });
    match known {
        Some(resource_type) => (resource_type.to_owned(), ".ndjson".to_owned()),
        None => parts_of(&safe(last_segment(&wanted.source))),
    }
}

/// The last segment of a path or of a URL.
fn last_segment(source: &str) -> &str {
    let path = match source.split_once("://") {
        Some((_, rest)) => rest.split(['?', '#']).next().unwrap_or_default(),
        None => source,
    };
    path.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or_default()
}

/// A name that every file system takes, that no reader passes over, and that needs no escapes in a URL.
fn safe(segment: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    let name: String = segment.chars().map(plain).collect();
    let mut name = name.trim_start_matches(['_', '.']).trim_end_matches('.');
    while let Some(shorter) = strip_suffix_of_any_case(name, PARTIAL_SUFFIX) {
        name = shorter.trim_end_matches('.');
    }
    if name.is_empty() { "source".to_owned() } else { name.to_owned() }
}

fn strip_suffix_of_any_case<'n>(name: &'n str, suffix: &str) -> Option<&'n str> {
    let at = name.len().checked_sub(suffix.len())?;
    let (stem, end) = name.split_at_checked(at)?;
    end.eq_ignore_ascii_case(suffix).then_some(stem)
}

/// Stem and extensions: one that tells what a file is, and one that tells how it is compressed. The stem is cut where the name
/// would be too long.
fn parts_of(name: &str) -> (String, String) {
    let compressed = SUFFIXES[1..].iter().find_map(|(suffix, _)| strip_suffix_of_any_case(name, suffix));
    let before = compressed.unwrap_or(name);
    let stem = match before.rsplit_once('.') {
        Some((stem, extension)) if is_extension(extension) && !stem.is_empty() => stem,
        _ => before,
    };
    let extensions = &name[stem.len()..];
    let mut end = stem.len().min(MAX_NAME_BYTES - extensions.len().min(MAX_NAME_BYTES / 2));
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    (stem[..end].to_owned(), extensions.to_owned())
}

fn is_extension(text: &str) -> bool {
    text.len() <= 10
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fhirline_fetch::{BytesOrigin, FetchError};
    use proptest::prelude::*;

    fn named(source: &str) -> Wanted {
        Wanted::lost(source.to_owned(), FetchError::NotFound { name: String::new() })
    }

    fn names_of(sources: &[&str]) -> Vec<String> {
        let mut names = Names::new();
        sources.iter().map(|source| names.name(&named(source))).collect()
    }

    #[test]
    fn names_are_last_segments() {
        let sources = [
            "data/Patient.ndjson",
            "https://host/a/Goal.ndjson.gz?sig=secret",
            "https://host/bulk/",
            "https://host/x#part",
            "standard input",
            "https://host/a%20b.ndjson",
        ];
        let names = ["Patient.ndjson", "Goal.ndjson.gz", "bulk", "x", "standard_input", "a_20b.ndjson"];
        assert_eq!(names_of(&sources), names);
    }

    #[test]
    fn names_are_safe() {
        let sources = [
            "__a",
            "...",
            ".hidden",
            "a/b.partial",
            "x.PARTIAL.partial",
            "C:\\b.json",
            "a\u{1b}b",
            "é.ndjson",
        ];
        let names = ["a", "source", "hidden", "b", "x", "b.json", "a_b", "é.ndjson"];
        assert_eq!(names_of(&sources), names);
    }

    #[test]
    fn what_is_there_twice_is_numbered_before_its_extensions() {
        let sources =
            ["a/x.ndjson.gz", "b/X.ndjson.gz", "c/x.ndjson.gz", "1/export", "2/export", "manifest.json"];
        let names = [
            "x.ndjson.gz",
            "X.0002.ndjson.gz",
            "x.0003.ndjson.gz",
            "export",
            "export.0002",
            "manifest.0002.json",
        ];
        assert_eq!(names_of(&sources), names);
        assert_eq!(
            names_of(&["a.0002.json", "x/a.json", "y/a.json"]),
            ["a.0002.json", "a.json", "a.0003.json"]
        );
    }

    #[test]
    fn what_first_bytes_may_add_is_taken_too() {
        assert_eq!(names_of(&["a/export", "b/export.gz"]), ["export", "export.0002.gz"]);
        assert_eq!(names_of(&["b/export.gz", "a/export"]), ["export.gz", "export.0002"]);
    }

    #[test]
    fn first_bytes_add_a_suffix_that_is_not_there() {
        assert_eq!(final_name("a.ndjson", &[0x1f, 0x8b, 8]), "a.ndjson.gz");
        assert_eq!(final_name("a.GZ", &[0x1f, 0x8b, 8]), "a.GZ");
        assert_eq!(final_name("a.gz", &[0x28, 0xb5, 0x2f, 0xfd]), "a.gz");
        assert_eq!(final_name("a", b"{\"a\":1}"), "a");
        assert_eq!(final_name("a", b"BZh91AY"), "a.bz2");
    }

    #[test]
    fn files_of_a_known_type_are_called_by_it() {
        let mut names = Names::new();
        let mut of = |part, resource_type: Option<&str>| {
            let origin = Box::new(BytesOrigin::new("https://h/1", Vec::new()));
            let resource_type = resource_type.map(str::to_owned);
            names.name(&Wanted { part, resource_type, ..Wanted::source(origin) })
        };
        assert_eq!(of(Part::Output, Some("Patient")), "Patient.ndjson");
        assert_eq!(of(Part::Output, Some("Patient")), "Patient.0002.ndjson");
        assert_eq!(of(Part::Output, Some("../Patient")), "1");
        assert_eq!(of(Part::Deleted, None), "deleted/Bundle.ndjson");
        assert_eq!(of(Part::Error, Some("OperationOutcome")), "error/OperationOutcome.ndjson");
        assert_eq!(of(Part::Error, None), "error/OperationOutcome.0002.ndjson");
    }

    proptest! {
        #[test]
        fn no_two_are_the_same_and_all_are_plain(sources in proptest::collection::vec("[a./_A%é\\\\:?]{0,8}|\\PC{0,300}", 1..8)) {
            let mut names = Names::new();
            let mut seen = HashSet::new();
            for source in &sources {
                let name = names.name(&named(source));
                prop_assert!(name.len() < 200 && !name.starts_with(['_', '.']), "{name}");
                prop_assert!(!name.contains(['/', '\\', ':', '?']) && !name.ends_with(PARTIAL_SUFFIX), "{name}");
                for name in possible_names(&name) {
                    prop_assert!(seen.insert(name.to_lowercase()), "{name}");
                }
            }
        }
    }
}
