use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::vec;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use fhirline_core::SourceRole;

use crate::shown::shown;
use crate::{Declared, FetchError, SkipReason};

/// The name under which a folder's manifest is looked for.
pub(crate) const MANIFEST: &str = "manifest.json";

const MAX_BYTES: u64 = 16 << 20;
const MAX_OUTPUTS: usize = 1 << 16;

/// Where a run of ours tells of the records that it rejected. They are no errors of a sender: `fhirline replay` reads them.
const QUARANTINE: &str = "_quarantine/outcome.ndjson";

/// The files that a folder's manifest names, as far as they are in the folder.
pub(crate) struct Outputs {
    /// In the order of the manifest, each once: the file below the folder, or why there is none.
    pub(crate) in_order: vec::IntoIter<Result<Listed, FetchError>>,
    /// The paths alone.
    pub(crate) paths: Arc<HashSet<Arc<Path>>>,
}

/// What a manifest names.
#[derive(Debug)]
pub(crate) enum Listed {
    /// A file to be read.
    File(ListedFile),
    /// Something that is not read, and why.
    Skipped { name: String, why: SkipReason },
}

/// A file to be read, and what the manifest says of it.
#[derive(Debug)]
pub(crate) struct ListedFile {
    /// Below the folder.
    pub(crate) path: Arc<Path>,
    pub(crate) role: SourceRole,
    pub(crate) declared: Option<Declared>,
}

/// The files of the manifest in `folder`; `None` if it has no manifest.
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
        Document::Manifest(listed) => Ok(Some(resolve_all(folder, &manifest, &listed))),
    }
}

#[derive(Debug, PartialEq)]
enum Document {
    Manifest(Manifest),
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
        Ok(manifest) if manifest.lists().any(|(_, list)| list.len() > max_outputs) => {
            Some(Document::TooLarge)
        }
        Ok(manifest) => Some(Document::Manifest(manifest)),
        Err(_) if text.limit() == 0 => Some(Document::TooLarge),
        Err(_) => None,
    }
}

fn skip_byte_order_mark(text: &mut impl BufRead) -> io::Result<()> {
    if text.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
        text.consume(3);
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Manifest {
    #[serde(deserialize_with = "bounded")]
    output: Vec<Output>,
    #[serde(default, deserialize_with = "bounded_if_any")]
    deleted: Vec<Output>,
    /// Up to version 3 of the guide; `outcome` from the ballot of version 4 on.
    #[serde(default, deserialize_with = "bounded_if_any")]
    error: Vec<Output>,
    #[serde(default, deserialize_with = "bounded_if_any")]
    outcome: Vec<Output>,
    #[serde(default, rename = "outputOrganizedBy")]
    organized_by: Option<Lenient<String>>,
    /// Ends the reading: whatever has this is a FHIR resource, not a manifest.
    #[serde(default, rename = "resourceType")]
    _resource_type: Never,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Output {
    url: String,
    #[serde(default, rename = "type")]
    resource_type: Option<Lenient<String>>,
    #[serde(default)]
    count: Option<Lenient<u64>>,
}

/// What should be there, or whatever stands in its place.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Right(T),
    Wrong(IgnoredAny),
}

impl<T> Lenient<T> {
    fn right(&self) -> Option<&T> {
        match self {
            Self::Right(value) => Some(value),
            Self::Wrong(_) => None,
        }
    }
}

impl Manifest {
    /// The files that it lists, and what each list is called.
    fn lists(&self) -> impl Iterator<Item = (&'static str, &Vec<Output>)> {
        let lists = [
            ("output", &self.output),
            ("deleted", &self.deleted),
            ("error", &self.error),
            ("outcome", &self.outcome),
        ];
        lists.into_iter()
    }

    /// What the files of the list of that name are.
    fn role_of(&self, list: &str) -> SourceRole {
        match list {
            "deleted" => SourceRole::Deleted,
            "error" | "outcome" => SourceRole::Errors,
            _ if self.organized_by.is_some() => SourceRole::Organized,
            _ => SourceRole::Data,
        }
    }
}

impl Output {
    fn declared(&self) -> Declared {
        Declared {
            resource_type: self.resource_type.as_ref().and_then(Lenient::right).cloned(),
            count: self.count.as_ref().and_then(Lenient::right).copied(),
        }
    }
}

#[derive(Debug, Default, PartialEq)]
struct Never;

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("a resource, not a manifest"))
    }
}

/// Reads the outputs, but keeps no more than are needed to see that they are too many.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Output>, D::Error> {
    deserializer.deserialize_seq(AtMost(MAX_OUTPUTS + 1))
}

/// The same where there may be `null`.
fn bounded_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Output>, D::Error> {
    deserializer.deserialize_option(AtMost(MAX_OUTPUTS + 1))
}

struct AtMost(usize);

impl<'de> Visitor<'de> for AtMost {
    type Value = Vec<Output>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of outputs")
    }

    fn visit_none<E: Error>(self) -> Result<Vec<Output>, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Output>, D::Error> {
        deserializer.deserialize_seq(self)
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

fn resolve_all(folder: &Path, manifest_name: &str, manifest: &Manifest) -> Outputs {
    let mut distinct = HashSet::new();
    let mut paths = HashSet::new();
    let mut in_order = Vec::new();
    for (list, outputs) in manifest.lists() {
        let role = manifest.role_of(list);
        for output in outputs.iter().filter(|output| distinct.insert(output.url.as_str())) {
            let url = output.url.as_str();
            let declared = role.sidecar().is_none().then(|| output.declared());
            match resolve(folder, manifest_name, url, list) {
                Ok(path) if path.as_ref() == Path::new(QUARANTINE) => {
                    let name = folder.join(&path).display().to_string();
                    paths.insert(path);
                    in_order.push(Ok(Listed::Skipped { name, why: SkipReason::Quarantine }));
                }
                Ok(path) if paths.insert(Arc::clone(&path)) => {
                    in_order.push(Ok(Listed::File(ListedFile { path, role, declared })));
                }
                // Two spellings of one path, such as `a` and `./a`.
                Ok(_) if !is_absolute(url) => {}
                Err(FetchError::MissingOutput { url, .. }) if role == SourceRole::Errors => {
                    in_order.push(Ok(Listed::Skipped { name: url, why: SkipReason::NoErrors }));
                }
                // The folder has one file for two outputs that have only the last segment in common.
                Ok(_) => in_order.push(Err(missing(manifest_name, url))),
                Err(error) => in_order.push(Err(error)),
            }
        }
    }
    Outputs { in_order: in_order.into_iter(), paths: Arc::new(paths) }
}

/// The path below `folder` of the file that the manifest names in that list.
fn resolve(folder: &Path, manifest: &str, url: &str, list: &str) -> Result<Arc<Path>, FetchError> {
    let without_query = url.split(['?', '#']).next().unwrap_or_default();
    let candidates = if is_absolute(url) {
        let name = without_query.rsplit('/').next().unwrap_or_default();
        let names = [name.to_owned(), percent_decoded(name)]
            .map(|name| path_below(&name).filter(|path| is_name(path)));
        // Some downloaders put what is no data into folders that are called as the lists are.
        let beside = names
            .clone()
            .map(|name| name.filter(|_| list != "output").map(|name| Path::new(list).join(name)));
        beside.into_iter().chain(names).collect::<Vec<_>>()
    } else {
        let candidates = [url.to_owned(), percent_decoded(without_query)].map(|path| path_below(&path));
        if candidates.iter().any(Option::is_none) {
            return Err(FetchError::OutputOutside { manifest: manifest.to_owned(), url: shown(url) });
        }
        candidates.to_vec()
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
        Some(Document::Manifest(Manifest { output: outputs(urls), ..Manifest::default() }))
    }

    fn outputs(urls: &[&str]) -> Vec<Output> {
        urls.iter().map(|url| Output { url: (*url).to_owned(), ..Output::default() }).collect()
    }

    #[test]
    fn a_manifest_is_an_object_with_outputs() {
        let bulk_data = r#"{"transactionTime":"2026-01-01T00:00:00Z","request":"r","requiresAccessToken":false,
            "output":[{"type":"Patient","url":"p","count":3,"extension":{"x":[1]}},{"url":"q","type":7,"count":-1}],
            "deleted":null,"error":[{"url":"e"}],"outputOrganizedBy":"Patient"}"#;
        let Some(Document::Manifest(manifest)) = read_text(bulk_data, 1000) else { panic!("a manifest") };
        let declared =
            |name: &str, count| Declared { resource_type: Some(name.to_owned()), count: Some(count) };
        let of_outputs: Vec<_> = manifest.output.iter().map(Output::declared).collect();
        assert_eq!(of_outputs, [declared("Patient", 3), Declared::default()]);
        assert_eq!((manifest.deleted.len(), &manifest.error), (0, &outputs(&["e"])));
        assert_eq!(manifest.role_of("output"), SourceRole::Organized);
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
