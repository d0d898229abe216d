use std::collections::HashSet;

use reqwest::Url;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::SecretUrl;
use crate::manifest_form::{BYTE_ORDER_MARK, MAX_BYTES, MAX_OUTPUTS, Never, bounded};

/// Most bytes of one URL.
const MAX_URL_BYTES: usize = 8 << 10;
/// Most bytes of all URLs of one manifest together, with its pages.
const MAX_URLS_BYTES: usize = 32 << 20;

/// What a server says an export has come to: the status manifest of FHIR Bulk Data Access.
///
/// Versions 2 and 3 of the standard and the ballot of version 4 are read into this one form: `error` and `outcome` both end
/// up in [`outcomes`](Self::outcomes), an `extension` may be an object or an array (it is not kept), and unknown keys are
/// passed over. A manifest has at most 16 MiB and, with all its pages, 65,536 files.
///
/// `Debug` shows URLs without their query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusManifest {
    /// No resource was modified after it: the next export's `_since`. As the server wrote it.
    pub transaction_time: Option<String>,
    /// The kick-off URL. Version 4 has none, and HAPI once left it out.
    pub request: Option<SecretUrl>,
    /// Whether the files want the access token. `false` where the manifest does not say (HAPI once left it out): a token
    /// is sent only to who asks for it.
    pub requires_access_token: bool,
    /// The type that the data is organized by, if it is. Then files hold several types, blocks begin with a `Parameters`
    /// line that is no data, and [`ManifestFile::resource_type`] is absent.
    pub organized_by: Option<String>,
    /// The data.
    pub outputs: Vec<ManifestFile>,
    /// Transaction Bundles that say what was deleted.
    pub deleted: Vec<ManifestFile>,
    /// OperationOutcomes of any severity about the export.
    pub outcomes: Vec<ManifestFile>,
    /// The next page of the manifest.
    pub next: Option<SecretUrl>,
}

/// One file of a [`StatusManifest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// Where it is.
    pub url: SecretUrl,
    /// The type of its resources, as the server wrote it.
    pub resource_type: Option<String>,
    /// How many resources it holds.
    pub count: Option<u64>,
    /// Its length in bytes.
    pub file_size: Option<u64>,
    /// Where the block goes on that does not end in this file.
    pub continues_in_file: Option<SecretUrl>,
}

/// Why something is no manifest, or none that is followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is not of the form.
    #[error("not a Bulk Data manifest (line {line}, column {column})")]
    NotAManifest {
        /// Where that was seen, from 1.
        line: usize,
        /// The character there, from 1; 0 for the line's end.
        column: usize,
    },
    /// It has more bytes, files, or bytes of URLs than are read.
    #[error("larger than a manifest may be ({max_bytes} bytes, {max_files} files)")]
    TooLarge {
        /// The most bytes.
        max_bytes: u64,
        /// The most files.
        max_files: usize,
    },
    /// A URL in it means nothing, or leads where this manifest must not lead (out of the web to a file, say).
    #[error("{list}[{ordinal}] of the manifest has no URL that can be followed")]
    BadUrl {
        /// The field of the manifest.
        list: &'static str,
        /// The place in it, from 0.
        ordinal: usize,
    },
    /// Its pages name each other in a ring.
    #[error("the manifest's pages repeat: {url} came before")]
    PagesRepeat {
        /// The page that came before, without its query.
        url: String,
    },
    /// It has more pages than are followed.
    #[error("the manifest has more than {max_pages} pages")]
    TooManyPages {
        /// The most pages.
        max_pages: usize,
    },
    /// A page is of another export, or of another mind about the access token.
    #[error("a page of the manifest differs from the first in {field}")]
    PagesDiffer {
        /// The field.
        field: &'static str,
    },
}

impl StatusManifest {
    /// Reads a manifest, or one page of it. Relative URLs are relative to `base`, the manifest's own URL.
    ///
    /// A document with `resourceType` is a resource and no manifest; so is one without `output`, unless it has both
    /// `transactionTime` and `requiresAccessToken` (version 4 lets an empty `output` be left out).
    ///
    /// # Errors
    /// [`ManifestError::NotAManifest`], [`ManifestError::TooLarge`], [`ManifestError::BadUrl`]. None shows what was read.
    pub fn parse(text: &[u8], base: &Url) -> Result<Self, ManifestError> {
        if text.len() as u64 > MAX_BYTES {
            return Err(too_large());
        }
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let form: Form = serde_json::from_slice(text).map_err(|error| not_a_manifest(&error))?;
        let Some(outputs) = form.output.or_else(|| {
            (form.transaction_time.is_some() && form.requires_access_token.is_some()).then(Vec::new)
        }) else {
            return Err(ManifestError::NotAManifest { line: 1, column: 0 });
        };
        // A list that is one longer may have been cut there.
        if [&outputs, &form.deleted, &form.error, &form.outcome].iter().any(|list| list.len() > MAX_OUTPUTS) {
            return Err(too_large());
        }
        let mut outcomes = resolved(form.error, "error", base)?;
        outcomes.extend(resolved(form.outcome, "outcome", base)?);
        let manifest = Self {
            transaction_time: form.transaction_time,
            // Only told, never followed: one that is no URL is as good as none.
            request: form.request.and_then(|url| base.join(&url).ok()).map(SecretUrl::from),
            requires_access_token: form.requires_access_token.unwrap_or(false),
            organized_by: form.output_organized_by,
            outputs: resolved(outputs, "output", base)?,
            deleted: resolved(form.deleted, "deleted", base)?,
            outcomes,
            next: next_of(&form.link, base)?,
        };
        manifest.within_bounds()
    }

    /// All files: outputs, then deleted, then outcomes.
    pub fn files(&self) -> impl Iterator<Item = &ManifestFile> {
        self.outputs.iter().chain(&self.deleted).chain(&self.outcomes)
    }

    /// Takes the files of the next page, each URL once, and the link to the page after it.
    ///
    /// # Errors
    /// [`ManifestError::PagesDiffer`], [`ManifestError::TooLarge`].
    pub(crate) fn joined(mut self, page: Self) -> Result<Self, ManifestError> {
        if self.requires_access_token != page.requires_access_token {
            return Err(ManifestError::PagesDiffer { field: "requiresAccessToken" });
        }
        if self.transaction_time != page.transaction_time {
            return Err(ManifestError::PagesDiffer { field: "transactionTime" });
        }
        self.outputs.extend(page.outputs);
        self.deleted.extend(page.deleted);
        self.outcomes.extend(page.outcomes);
        self.next = page.next;
        self.within_bounds()
    }

    /// Leaves out what is named twice in one list, and measures the rest.
    fn within_bounds(mut self) -> Result<Self, ManifestError> {
        for list in [&mut self.outputs, &mut self.deleted, &mut self.outcomes] {
            let mut seen = HashSet::new();
            list.retain(|file| seen.insert(file.url.clone()));
        }
        let mut bytes = 0;
        for file in self.files() {
            bytes += file.url.expose().as_str().len();
            bytes += file.continues_in_file.as_ref().map_or(0, |url| url.expose().as_str().len());
            bytes += file.resource_type.as_ref().map_or(0, String::len);
        }
        let files = self.files().count();
        if files > MAX_OUTPUTS || bytes > MAX_URLS_BYTES { Err(too_large()) } else { Ok(self) }
    }

    /// The manifest in the form of version 3, with absolute URLs: what [`parse`](Self::parse) reads as the same again. It
    /// holds the URLs' queries.
    #[must_use]
    pub(crate) fn to_json(&self) -> Value {
        let link = self.next.iter().map(|url| json!({"relation": "next", "url": url.expose().as_str()}));
        json!({
            "transactionTime": self.transaction_time,
            "request": self.request.as_ref().map(|url| url.expose().as_str()),
            "requiresAccessToken": self.requires_access_token,
            "outputOrganizedBy": self.organized_by,
            "output": forms(&self.outputs),
            "deleted": forms(&self.deleted),
            "error": forms(&self.outcomes),
            "link": link.collect::<Vec<_>>(),
        })
    }
}

fn forms(files: &[ManifestFile]) -> Vec<Value> {
    let form = |file: &ManifestFile| {
        json!({
            "url": file.url.expose().as_str(),
            "type": file.resource_type,
            "count": file.count,
            "fileSize": file.file_size,
            "continuesInFile": file.continues_in_file.as_ref().map(|url| url.expose().as_str()),
        })
    };
    files.iter().map(form).collect()
}

/// A manifest as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    transaction_time: Option<String>,
    request: Option<String>,
    requires_access_token: Option<bool>,
    output_organized_by: Option<String>,
    #[serde(default, deserialize_with = "present")]
    output: Option<Vec<FileForm>>,
    #[serde(default, deserialize_with = "listed")]
    deleted: Vec<FileForm>,
    #[serde(default, deserialize_with = "listed")]
    error: Vec<FileForm>,
    #[serde(default, deserialize_with = "listed")]
    outcome: Vec<FileForm>,
    #[serde(default, deserialize_with = "listed")]
    link: Vec<LinkForm>,
    #[serde(default, rename = "resourceType")]
    _resource_type: Never,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileForm {
    url: String,
    #[serde(rename = "type")]
    resource_type: Option<String>,
    #[serde(default, deserialize_with = "number")]
    count: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    file_size: Option<u64>,
    continues_in_file: Option<String>,
}

#[derive(Deserialize)]
struct LinkForm {
    relation: Option<String>,
    url: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<FileForm>>, D::Error> {
    bounded(deserializer).map(Some)
}

/// A list that may also be `null`.
fn listed<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Listed<T>>::deserialize(deserializer)?.map(|listed| listed.0).unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(transparent, bound = "T: Deserialize<'de>")]
struct Listed<T>(#[serde(deserialize_with = "bounded")] Vec<T>);

/// A whole number, also as a string (that is how FHIR writes large ones). Anything else counts as not said: counts are for
/// comparing, and no reason to lose the data.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

fn resolved(
    forms: Vec<FileForm>,
    list: &'static str,
    base: &Url,
) -> Result<Vec<ManifestFile>, ManifestError> {
    let resolve = |(ordinal, form): (usize, FileForm)| {
        let follow = |url: &str| resolved_url(url, base).ok_or(ManifestError::BadUrl { list, ordinal });
        Ok(ManifestFile {
            url: follow(&form.url)?,
            resource_type: form.resource_type,
            count: form.count,
            file_size: form.file_size,
            continues_in_file: form.continues_in_file.as_deref().map(follow).transpose()?,
        })
    };
    forms.into_iter().enumerate().map(resolve).collect()
}

fn next_of(links: &[LinkForm], base: &Url) -> Result<Option<SecretUrl>, ManifestError> {
    let is_next = |link: &LinkForm| link.relation.as_deref() == Some("next");
    let Some((ordinal, link)) = links.iter().enumerate().find(|(_, link)| is_next(link)) else {
        return Ok(None);
    };
    let url = link.url.as_deref().and_then(|url| resolved_url(url, base));
    url.map(Some).ok_or(ManifestError::BadUrl { list: "link", ordinal })
}

/// The absolute URL: on the web, or of the manifest's own scheme. A manifest from the web must not name files of this
/// machine.
fn resolved_url(url: &str, base: &Url) -> Option<SecretUrl> {
    if url.is_empty() || url.len() > MAX_URL_BYTES {
        return None;
    }
    let url = base.join(url).ok()?;
    let may_follow = ["https", "http", base.scheme()].contains(&url.scheme());
    may_follow.then(|| SecretUrl::from(url))
}

fn too_large() -> ManifestError {
    ManifestError::TooLarge { max_bytes: MAX_BYTES, max_files: MAX_OUTPUTS }
}

fn not_a_manifest(error: &serde_json::Error) -> ManifestError {
    ManifestError::NotAManifest { line: error.line(), column: error.column() }
}

#[cfg(test)]
mod tests;
