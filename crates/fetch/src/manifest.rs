use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::vec;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use crate::FetchError;

/// The name under which a folder's manifest is looked for.
pub(crate) const MANIFEST: &str = "manifest.json";

pub(crate) const MAX_BYTES: u64 = 16 << 20;
pub(crate) const MAX_OUTPUTS: usize = 1 << 16;
/// Most characters of a URL that are shown.
const SHOWN_CHARACTERS: usize = 512;

/// The outputs that a folder's manifest names, as far as they are in the folder.
pub(crate) struct Outputs {
    /// In the order of the manifest, each once: the path below the folder, or why there is none.
    pub(crate) in_order: vec::IntoIter<Result<Arc<Path>, FetchError>>,
    /// The paths alone.
    pub(crate) paths: Arc<HashSet<Arc<Path>>>,
}

/// The outputs of the manifest in `folder`; `None` if it has no manifest.
///
/// A `manifest.json` that is something else (a FHIR resource, say) is no manifest, and one that cannot be read is left to
/// whoever reads the folder as it is.
pub(crate) fn outputs_of(folder: &Path) -> Result<Option<Outputs>, FetchError> {
    let path = folder.join(MANIFEST);
    let Some(document) = read(&path, MAX_BYTES, MAX_OUTPUTS) else { return Ok(None) };
    let manifest = path.display().to_string();
    match document {
        Document::TooLarge => Err(too_large(manifest)),
        Document::Manifest(urls) => Ok(Some(resolve_all(folder, &manifest, &urls))),
    }
}

pub(crate) fn too_large(name: String) -> FetchError {
    FetchError::ManifestTooLarge { name, max_bytes: MAX_BYTES, max_outputs: MAX_OUTPUTS }
}

/// What a document turned out to be.
#[derive(Debug, PartialEq)]
pub(crate) enum Document {
    Manifest(Vec<String>),
    TooLarge,
}

fn read(path: &Path, max_bytes: u64, max_outputs: usize) -> Option<Document> {
    // Looked at first: opening a pipe of that name would wait for a writer.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    read_from(BufReader::new(File::open(path).ok()?), max_bytes, max_outputs).ok()?
}

/// Parses a document as it is read, so that the text itself is never held; `None` if it is no manifest. Only what the
/// reader says is an error.
pub(crate) fn read_from(
    text: impl BufRead,
    max_bytes: u64,
    max_outputs: usize,
) -> io::Result<Option<Document>> {
    let mut text = text.take(max_bytes);
    skip_byte_order_mark(&mut text)?;
    match serde_json::from_reader::<_, Manifest>(&mut text) {
        Ok(manifest) if manifest.output.len() > max_outputs => Ok(Some(Document::TooLarge)),
        Ok(manifest) => {
            Ok(Some(Document::Manifest(manifest.output.into_iter().map(|output| output.url).collect())))
        }
        Err(error) if error.is_io() => Err(error.into()),
        Err(_) if text.limit() == 0 => Ok(Some(Document::TooLarge)),
        Err(_) => Ok(None),
    }
}

fn skip_byte_order_mark(text: &mut impl BufRead) -> io::Result<()> {
    if text.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
        text.consume(3);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(deserialize_with = "bounded")]
    output: Vec<Output>,
    /// Ends the reading: whatever has this is a FHIR resource, not a manifest.
    #[serde(default, rename = "resourceType")]
    _resource_type: Never,
}

#[derive(Deserialize)]
struct Output {
    url: String,
}

#[derive(Default)]
struct Never;

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("a resource, not a manifest"))
    }
}

/// Reads the outputs, but keeps no more than are needed to see that they are too many.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Output>, D::Error> {
    struct AtMost(usize);

    impl<'de> Visitor<'de> for AtMost {
        type Value = Vec<Output>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of outputs")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut outputs: A) -> Result<Vec<Output>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() < self.0 {
                let Some(output) = outputs.next_element()? else { return Ok(kept) };
                kept.push(output);
            }
            while outputs.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }

    deserializer.deserialize_seq(AtMost(MAX_OUTPUTS + 1))
}

fn resolve_all(folder: &Path, manifest: &str, urls: &[String]) -> Outputs {
    let mut distinct = HashSet::new();
    let mut paths = HashSet::new();
    let mut in_order = Vec::new();
    for url in urls.iter().filter(|url| distinct.insert(url.as_str())) {
        match resolve(folder, manifest, url) {
            Ok(path) if paths.insert(Arc::clone(&path)) => in_order.push(Ok(path)),
            // Two spellings of one path, such as `a` and `./a`.
            Ok(_) if !is_absolute(url) => {}
            // The folder has one file for two outputs that have only the last segment in common.
            Ok(_) => in_order.push(Err(missing(manifest, url))),
            Err(error) => in_order.push(Err(error)),
        }
    }
    Outputs { in_order: in_order.into_iter(), paths: Arc::new(paths) }
}

/// The path below `folder` of the file that holds the output.
fn resolve(folder: &Path, manifest: &str, url: &str) -> Result<Arc<Path>, FetchError> {
    let mut files = candidates(manifest, url)?.filter(|path| folder.join(path).is_file());
    files.next().map(Arc::from).ok_or_else(|| missing(manifest, url))
}

/// The paths below the manifest's folder that an output may have, the likeliest first.
pub(crate) fn candidates(
    manifest: &str,
    url: &str,
) -> Result<impl Iterator<Item = PathBuf> + use<>, FetchError> {
    let without_query = url.split(['?', '#']).next().unwrap_or_default();
    let candidates = if is_absolute(url) {
        let name = without_query.rsplit('/').next().unwrap_or_default();
        [name.to_owned(), percent_decoded(name)].map(|name| path_below(&name).filter(|path| is_name(path)))
    } else {
        let candidates = [url.to_owned(), percent_decoded(without_query)].map(|path| path_below(&path));
        if candidates.iter().any(Option::is_none) {
            return Err(FetchError::OutputOutside { manifest: manifest.to_owned(), url: shown(url) });
        }
        candidates
    };
    Ok(candidates.into_iter().flatten())
}

pub(crate) fn missing(manifest: &str, url: &str) -> FetchError {
    FetchError::MissingOutput { manifest: manifest.to_owned(), url: shown(url) }
}

/// Whether it begins with a scheme and `://`.
pub(crate) fn is_absolute(url: &str) -> bool {
    scheme_of(url).is_some()
}

/// What stands before `://`, if it looks like the scheme of a URL.
pub(crate) fn scheme_of(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once("://")?;
    let shaped = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (shaped && scheme.starts_with(|first: char| first.is_ascii_alphabetic())).then_some(scheme)
}

/// A relative path made of plain names only; `None` if it could lead anywhere else.
fn path_below(path: &str) -> Option<PathBuf> {
    let mut below = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => below.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(below)
}

fn is_name(path: &Path) -> bool {
    path.components().count() == 1
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex =
            bytes.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A URL as it may be shown: without query (it may hold a signature), without user, without control characters, not
/// endless.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let url = if scheme.is_empty() { url.to_owned() } else { format!("{scheme}://{host}{path}") };
    url.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).take(SHOWN_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, max_bytes: u64) -> Option<Document> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(MANIFEST), text).expect("written");
        read(&folder.path().join(MANIFEST), max_bytes, 2)
    }

    fn urls(urls: &[&str]) -> Option<Document> {
        Some(Document::Manifest(urls.iter().map(|url| (*url).to_owned()).collect()))
    }

    #[test]
    fn a_manifest_is_an_object_with_outputs() {
        let bulk_data = r#"{"transactionTime":"2026-01-01T00:00:00Z","request":"r","requiresAccessToken":false,
            "output":[{"type":"Patient","url":"p","count":3,"extension":{"x":[1]}},{"url":"q"}],"error":[{"url":"e"}]}"#;
        assert_eq!(read_text(bulk_data, 1000), urls(&["p", "q"]));
        assert_eq!(read_text("\u{FEFF} {\"output\":[]} \n", 1000), urls(&[]));
    }

    #[test]
    fn other_documents_are_no_manifests() {
        for text in [
            "",
            "[]",
            "garbage",
            "{}",
            r#"{"output":null}"#,
            r#"{"output":[{"type":"Patient"}]}"#,
            r#"{"output":[{"url":7}]}"#,
            r#"{"output":[{"url":"p"}]} {}"#,
            r#"{"output":[{"url":"p"}],"resourceType":"Patient"}"#,
            r#"{"resourceType":"Patient","output":[{"url":"p"}]}"#,
        ] {
            assert_eq!(read_text(text, 1000), None, "{text}");
        }
    }

    #[test]
    fn a_manifest_beyond_its_bounds_is_seen() {
        let text = r#"{"output":[{"url":"p"},{"url":"q"}]}"#;
        assert_eq!(read_text(text, text.len() as u64 - 1), Some(Document::TooLarge));
        assert_eq!(read_text(text, text.len() as u64 + 1), urls(&["p", "q"]));
        assert_eq!(
            read_text(r#"{"output":[{"url":"1"},{"url":"2"},{"url":"3"}]}"#, 1000),
            Some(Document::TooLarge)
        );
        assert_eq!(read_text(r#"{"resourceType":"Bundle","entry":[{"much":"more"}]}"#, 40), None);
    }

    #[test]
    fn paths_below_are_made_of_plain_names() {
        assert_eq!(path_below("a/./b"), Some(PathBuf::from("a/b")));
        for path in ["..", "a/../b", "/a", "//host/a"] {
            assert_eq!(path_below(path), None, "{path}");
        }
    }

    #[test]
    fn schemes_look_like_schemes() {
        assert_eq!(scheme_of("https://host/a"), Some("https"));
        for url in ["a/b://c", "://x", "3s://x", "Patient.ndjson"] {
            assert_eq!(scheme_of(url), None, "{url}");
        }
    }

    #[test]
    fn percent_signs_decode_or_stay() {
        for (text, decoded) in [("a%20b", "a b"), ("%2e%2E", ".."), ("100%", "100%"), ("%zz%4", "%zz%4")] {
            assert_eq!(percent_decoded(text), decoded);
        }
    }

    #[test]
    fn shown_urls_hold_no_secrets() {
        assert_eq!(shown("https://user:key@host/a/b?sig=1#f"), "https://host/a/b");
        assert_eq!(shown("https://host?token=a@b/c"), "https://host");
        assert_eq!(shown("a\u{1b}[31m?x"), "a\u{FFFD}[31m");
        assert_eq!(shown(&"x".repeat(10_000)).len(), SHOWN_CHARACTERS);
    }
}
