use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::vec;

use serde::Deserialize;

use crate::FetchError;
use crate::manifest_form::{BYTE_ORDER_MARK, MAX_BYTES, MAX_OUTPUTS, Never, bounded};
use crate::shown::shown;

/// The name under which a folder's manifest is looked for.
pub(crate) const MANIFEST: &str = "manifest.json";

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
        Document::TooLarge => Err(FetchError::ManifestTooLarge {
            name: manifest,
            max_bytes: MAX_BYTES,
            max_outputs: MAX_OUTPUTS,
        }),
        Document::Manifest(urls) => Ok(Some(resolve_all(folder, &manifest, &urls))),
    }
}

#[derive(Debug, PartialEq)]
enum Document {
    Manifest(Vec<String>),
    TooLarge,
}

fn read(path: &Path, max_bytes: u64, max_outputs: usize) -> Option<Document> {
    // Looked at first: opening a pipe of that name would wait for a writer.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    // Parsed as it is read, so that the text itself is never held.
    let mut text = BufReader::new(File::open(path).ok()?).take(max_bytes);
    skip_byte_order_mark(&mut text).ok()?;
    match serde_json::from_reader::<_, Manifest>(&mut text) {
        Ok(manifest) if manifest.output.len() > max_outputs => Some(Document::TooLarge),
        Ok(manifest) => {
            Some(Document::Manifest(manifest.output.into_iter().map(|output| output.url).collect()))
        }
        Err(_) if text.limit() == 0 => Some(Document::TooLarge),
        Err(_) => None,
    }
}

fn skip_byte_order_mark(text: &mut impl BufRead) -> io::Result<()> {
    if text.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        text.consume(BYTE_ORDER_MARK.len());
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
    let mut files = candidates.into_iter().flatten().filter(|path| folder.join(path).is_file());
    files.next().map(Arc::from).ok_or_else(|| missing(manifest, url))
}

fn missing(manifest: &str, url: &str) -> FetchError {
    FetchError::MissingOutput { manifest: manifest.to_owned(), url: shown(url) }
}

/// Whether it begins with a scheme and `://`.
fn is_absolute(url: &str) -> bool {
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

pub(crate) fn percent_decoded(text: &str) -> String {
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
}
