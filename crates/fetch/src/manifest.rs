use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::hash::Hash;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::vec;

use serde::Deserialize;
use serde::de::IgnoredAny;

use fhirline_core::SourceRole;

use crate::manifest_form::{BYTE_ORDER_MARK, MAX_BYTES, MAX_OUTPUTS, Never, bounded, is_manifest, listed};
use crate::shown::shown;
use crate::{Declared, FetchError, SkipReason};

/// The name under which a folder's manifest is looked for.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Where a run of ours tells of the records that it rejected. They are no errors of a sender: `fhirline replay` reads them.
const QUARANTINE: &str = "_quarantine/outcome.ndjson";

/// The files that a folder's manifest names, as far as they are in the folder.
pub(crate) struct Outputs {
    /// In the order of the manifest, each once: the file below the folder, or why there is none.
    pub(crate) in_order: vec::IntoIter<Result<Listed<Arc<Path>>, FetchError>>,
    /// The paths alone.
    pub(crate) paths: Arc<HashSet<Arc<Path>>>,
}

/// What a manifest names.
#[derive(Debug)]
pub(crate) enum Listed<T> {
    /// A file to be read.
    File(ListedFile<T>),
    /// Something that is not read, and why.
    Skipped { name: String, why: SkipReason },
}

/// A file to be read, and what the manifest says of it.
#[derive(Debug)]
pub(crate) struct ListedFile<T> {
    /// Where it is.
    pub(crate) at: T,
    pub(crate) role: SourceRole,
    pub(crate) declared: Option<Declared>,
}

/// One file that a manifest lists.
#[derive(Debug, PartialEq)]
pub(crate) struct ListedUrl {
    pub(crate) url: String,
    pub(crate) role: SourceRole,
    /// If it is an output.
    pub(crate) declared: Option<Declared>,
    /// The name of the list, if that is not the one of outputs.
    beside: Option<&'static str>,
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
        Document::TooLarge => Err(too_large(manifest)),
        Document::Manifest(said) => Ok(Some(resolve_all(folder, &manifest, said.files))),
    }
}

/// What a manifest says that was named itself, if that file is one. Whatever else it is, it is read as data.
pub(crate) fn named(path: &Path) -> Option<Result<Said, FetchError>> {
    // Looked at first: opening a pipe waits for a writer, and uses it up.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    said_by(&path.display().to_string(), || File::open(path))
}

/// The same of what is opened so.
pub(crate) fn said_by<R: Read>(
    name: &str,
    open: impl Fn() -> io::Result<R>,
) -> Option<Result<Said, FetchError>> {
    // Who opens it as data tells why that cannot be.
    match is_manifest(open().ok()?) {
        Ok(true) => {}
        Ok(false) | Err(_) => return None,
    }
    let name = name.to_owned();
    let opened = open().and_then(|body| read_from(BufReader::new(body), MAX_BYTES, MAX_OUTPUTS));
    Some(match opened {
        Err(source) => Err(FetchError::Unreadable { name, source }),
        Ok(None) => Err(FetchError::BadManifest { name }),
        Ok(Some(Document::TooLarge)) => Err(too_large(name)),
        Ok(Some(Document::Manifest(said))) => Ok(said),
    })
}

/// The file beside the manifest at `path` that it means.
pub(crate) fn beside(path: &Path, file: &ListedUrl) -> Result<Arc<Path>, FetchError> {
    resolve(path.parent().unwrap_or(Path::new("")), &path.display().to_string(), file)
}

/// The files that a manifest names, where each was found beside it, and why not if it was not. A place that two URLs have in common
/// is neither's.
pub(crate) fn sole<T, K: Eq + Hash>(
    manifest: &str,
    files: Vec<ListedUrl>,
    find: impl Fn(&ListedUrl) -> Result<T, FetchError>,
    place: impl Fn(&T) -> K,
) -> Vec<(ListedUrl, Result<T, FetchError>)> {
    let found: Vec<_> = files.into_iter().map(|file| (find(&file), file)).collect();
    let mut wanted: HashMap<K, usize> = HashMap::new();
    for (at, _) in found.iter().filter(|(_, file)| is_absolute(&file.url)) {
        at.iter().for_each(|at| *wanted.entry(place(at)).or_default() += 1);
    }
    let sole = |(found, file): (Result<T, FetchError>, ListedUrl)| {
        let found = found.and_then(|at| match wanted.get(&place(&at)) {
            Some(2..) if is_absolute(&file.url) => Err(missing(manifest, &file.url)),
            _ => Ok(at),
        });
        (file, found)
    };
    found.into_iter().map(sole).collect()
}

pub(crate) fn too_large(name: String) -> FetchError {
    FetchError::ManifestTooLarge { name, max_bytes: MAX_BYTES, max_outputs: MAX_OUTPUTS }
}

/// What a document turned out to be.
#[derive(Debug, PartialEq)]
pub(crate) enum Document {
    Manifest(Said),
    TooLarge,
}

/// What a manifest says.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    /// Its files, each URL once: the outputs, then what is no data.
    pub(crate) files: Vec<ListedUrl>,
    /// Whether its URLs want the access token.
    pub(crate) requires_token: bool,
    /// The URL of its next page.
    pub(crate) next: Option<String>,
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
        Ok(manifest) if manifest.lists().iter().any(|(_, list)| list.len() > max_outputs) => {
            Ok(Some(Document::TooLarge))
        }
        Ok(manifest) => Ok(Some(Document::Manifest(manifest.said()))),
        Err(error) if error.is_io() => Err(error.into()),
        Err(_) if text.limit() == 0 => Ok(Some(Document::TooLarge)),
        Err(_) => Ok(None),
    }
}

fn skip_byte_order_mark(text: &mut impl BufRead) -> io::Result<()> {
    if text.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        text.consume(BYTE_ORDER_MARK.len());
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Manifest {
    #[serde(deserialize_with = "bounded")]
    output: Vec<Output>,
    #[serde(default, deserialize_with = "listed")]
    deleted: Vec<Output>,
    /// Up to version 3 of the guide; `outcome` from the ballot of version 4 on.
    #[serde(default, deserialize_with = "listed")]
    error: Vec<Output>,
    #[serde(default, deserialize_with = "listed")]
    outcome: Vec<Output>,
    #[serde(default, rename = "outputOrganizedBy")]
    organized_by: Option<Lenient<String>>,
    #[serde(default, rename = "requiresAccessToken")]
    requires_token: Option<Lenient<bool>>,
    #[serde(default, deserialize_with = "listed")]
    link: Vec<Lenient<Link>>,
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

#[derive(Debug, PartialEq, Deserialize)]
struct Link {
    relation: String,
    url: String,
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
    /// The files that it lists, and what each list is called if it is not the one of outputs.
    fn lists(&self) -> [(Option<&'static str>, &[Output]); 4] {
        [
            (None, &self.output),
            (Some("deleted"), &self.deleted),
            (Some("error"), &self.error),
            (Some("outcome"), &self.outcome),
        ]
    }

    fn role_of(&self, beside: Option<&str>) -> SourceRole {
        match beside {
            None if self.organized_by.is_some() => SourceRole::Organized,
            None => SourceRole::Data,
            Some("deleted") => SourceRole::Deleted,
            Some(_) => SourceRole::Errors,
        }
    }

    fn said(&self) -> Said {
        let links = self.link.iter().filter_map(Lenient::right);
        let next = links.filter(|link| link.relation == "next").map(|link| link.url.clone()).next();
        let requires_token = self.requires_token.as_ref().and_then(Lenient::right).copied();
        Said { files: self.files(), requires_token: requires_token.unwrap_or(false), next }
    }

    fn files(&self) -> Vec<ListedUrl> {
        let mut distinct = HashSet::new();
        let mut files = Vec::new();
        for (beside, outputs) in self.lists() {
            let role = self.role_of(beside);
            let new = outputs.iter().filter(|output| distinct.insert(output.url.as_str()));
            files.extend(new.map(|output| ListedUrl {
                url: output.url.clone(),
                role,
                declared: beside.is_none().then(|| output.declared()),
                beside,
            }));
        }
        files
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

fn resolve_all(folder: &Path, manifest: &str, files: Vec<ListedUrl>) -> Outputs {
    let mut paths = HashSet::new();
    let mut in_order = Vec::new();
    for file in files {
        let found = resolve(folder, manifest, &file);
        let is_new = found.as_ref().is_ok_and(|path| paths.insert(Arc::clone(path)));
        in_order.extend(file.taken(found, is_new, manifest));
    }
    Outputs { in_order: in_order.into_iter(), paths: Arc::new(paths) }
}

/// The path below `folder` of a file that the manifest lists.
fn resolve(folder: &Path, manifest: &str, file: &ListedUrl) -> Result<Arc<Path>, FetchError> {
    let mut files = file.candidates(manifest)?.filter(|path| folder.join(path).is_file());
    files.next().map(Arc::from).ok_or_else(|| missing(manifest, &file.url))
}

impl ListedUrl {
    /// The paths below the manifest's folder that the file may have, the likeliest first.
    pub(crate) fn candidates(
        &self,
        manifest: &str,
    ) -> Result<impl Iterator<Item = PathBuf> + use<>, FetchError> {
        let without_query = self.url.split(['?', '#']).next().unwrap_or_default();
        if !is_absolute(&self.url) {
            let paths = [self.url.clone(), percent_decoded(without_query)].map(|path| path_below(&path));
            if paths.iter().any(Option::is_none) {
                return Err(FetchError::OutputOutside {
                    manifest: manifest.to_owned(),
                    url: shown(&self.url),
                });
            }
            return Ok(Vec::from(paths).into_iter().flatten());
        }
        let name = without_query.rsplit('/').next().unwrap_or_default();
        let names = [name.to_owned(), percent_decoded(name)];
        let names = names.map(|name| path_below(&name).filter(|path| is_name(path)));
        // Some downloaders put what is no data into folders that are called as the lists are.
        let beside = names.iter().flatten().filter_map(|name| Some(Some(Path::new(self.beside?).join(name))));
        let paths: Vec<_> = beside.chain(names.iter().cloned()).collect();
        Ok(paths.into_iter().flatten())
    }

    /// What becomes of the file, once it is known where it is, and whether anything of the manifest was there before; `None`
    /// if that was the same file.
    pub(crate) fn taken<T>(
        self,
        found: Result<T, FetchError>,
        is_new: bool,
        manifest: &str,
    ) -> Option<Result<Listed<T>, FetchError>> {
        Some(match found {
            Ok(_) if is_new && self.url == QUARANTINE => {
                let folder = manifest.strip_suffix(MANIFEST).unwrap_or_default();
                Ok(Listed::Skipped { name: format!("{folder}{QUARANTINE}"), why: SkipReason::Quarantine })
            }
            Ok(at) if is_new => Ok(Listed::File(ListedFile { at, role: self.role, declared: self.declared })),
            // Two spellings of one path, such as `a` and `./a`.
            Ok(_) if !is_absolute(&self.url) => return None,
            // The folder has one file for two outputs that have only the last segment in common.
            Ok(_) => Err(missing(manifest, &self.url)),
            Err(FetchError::MissingOutput { url, .. }) if self.role == SourceRole::Errors => {
                Ok(Listed::Skipped { name: url, why: SkipReason::NoErrors })
            }
            Err(error) => Err(error),
        })
    }
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
        let output = |url: &&str| ListedUrl {
            url: (*url).to_owned(),
            role: SourceRole::Data,
            declared: Some(Declared::default()),
            beside: None,
        };
        let files = urls.iter().map(output).collect();
        Some(Document::Manifest(Said { files, requires_token: false, next: None }))
    }

    #[test]
    fn a_manifest_is_an_object_with_outputs() {
        let bulk_data = r#"{"transactionTime":"2026-01-01T00:00:00Z","request":"r","requiresAccessToken":false,
            "output":[{"type":"Patient","url":"p","count":3,"extension":{"x":[1]}},{"url":"q","type":7,"count":-1}],
            "deleted":null,"error":[{"url":"e"}],"outputOrganizedBy":"Patient"}"#;
        let Some(Document::Manifest(Said { files, .. })) = read_text(bulk_data, 1000) else {
            panic!("a manifest")
        };
        let goals = Declared { resource_type: Some("Patient".to_owned()), count: Some(3) };
        let found: Vec<_> = files.iter().map(|file| (&*file.url, file.role, file.declared.clone())).collect();
        assert_eq!(
            found,
            [
                ("p", SourceRole::Organized, Some(goals)),
                ("q", SourceRole::Organized, Some(Declared::default())),
                ("e", SourceRole::Errors, None),
            ]
        );
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
