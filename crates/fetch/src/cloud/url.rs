use std::fmt;
use std::str::FromStr;

use object_store::path::Path;

use super::CloudError;

/// The kinds of object stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cloud {
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// The memory of this process, for tests and examples.
    Memory,
}

/// The hosts that an `abfss://container@account.host/` URL may name.
const AZURE_HOSTS: [&str; 2] = [".dfs.core.windows.net", ".blob.core.windows.net"];

/// The URL of an object, or of a prefix that objects lie below.
///
/// `s3://bucket/key` (also `s3a://`), `gs://bucket/key` (also `gcs://`), `az://container/key` (also `azure://`, `adl://`,
/// `abfs://`, `abfss://`, and `abfss://container@account.dfs.core.windows.net/key`). What stands behind the bucket is the
/// key as it is stored: nothing in it is decoded, as in the stores' own command lines. A slash at the end says that a
/// prefix is meant.
///
/// No secret is in it, so that it can be shown: a user, a password or a query is refused.
///
/// ```
/// use fhirline_fetch::ObjectUrl;
///
/// let url: ObjectUrl = "S3A://exports/2026/Patient.ndjson".parse()?;
/// assert_eq!((url.bucket(), url.key()), ("exports", "2026/Patient.ndjson"));
/// assert_eq!(url.to_string(), "s3://exports/2026/Patient.ndjson");
/// assert!("s3://key:secret@exports/".parse::<ObjectUrl>().is_err());
/// # Ok::<(), fhirline_fetch::CloudError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectUrl {
    cloud: Cloud,
    account: Option<(String, &'static str)>,
    bucket: String,
    key: String,
}

impl ObjectUrl {
    /// Whether a text begins like one: with a scheme of these.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| cloud_of(scheme).is_some())
    }

    /// The kind of store.
    #[must_use]
    pub fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// The bucket or container.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key as given, without a slash in front; empty for the whole bucket.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether only a prefix can be meant: the whole bucket, or a key with a slash at its end.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// The same bucket with another key.
    ///
    /// # Errors
    /// [`CloudError::BadUrl`] if that cannot be a key.
    pub fn with_key(&self, key: &str) -> Result<Self, CloudError> {
        check_key(key)?;
        Ok(Self { key: key.to_owned(), ..self.clone() })
    }

    /// The Azure account, if the URL names it.
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_ref().map(|(account, _)| account.as_str())
    }

    /// The whole bucket.
    pub(super) fn bucket_url(&self) -> Self {
        Self { key: String::new(), ..self.clone() }
    }

    /// The place of the key in the store, without a slash at its end.
    pub(super) fn path(&self) -> Path {
        // Checked when it was made.
        Path::parse(&self.key).unwrap_or_default()
    }

    pub(super) fn in_memory() -> Self {
        Self { cloud: Cloud::Memory, account: None, bucket: "memory".to_owned(), key: String::new() }
    }
}

impl fmt::Display for ObjectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cloud, account, bucket, key } = self;
        match (cloud, account) {
            (Cloud::S3, _) => write!(f, "s3://{bucket}/{key}"),
            (Cloud::Gcs, _) => write!(f, "gs://{bucket}/{key}"),
            (Cloud::Azure, None) => write!(f, "az://{bucket}/{key}"),
            (Cloud::Azure, Some((account, host))) => write!(f, "abfss://{bucket}@{account}{host}/{key}"),
            (Cloud::Memory, _) => write!(f, "memory://{bucket}/{key}"),
        }
    }
}

impl FromStr for ObjectUrl {
    type Err = CloudError;

    fn from_str(text: &str) -> Result<Self, CloudError> {
        let (scheme, rest) = text.split_once("://").ok_or(bad("it has no scheme"))?;
        let cloud = cloud_of(scheme).ok_or(bad("its scheme is none of s3, gs and az"))?;
        if rest.contains('?') {
            return Err(bad("it has a query (as a wildcard, write * for ?)"));
        }
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let (bucket, account) = match authority.split_once('@') {
            None => (authority, None),
            Some((container, host)) if cloud == Cloud::Azure => (container, Some(account_of(host)?)),
            Some(_) => return Err(bad("it holds a user")),
        };
        check_bucket(bucket)?;
        check_key(key)?;
        Ok(Self { cloud, account, bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

fn cloud_of(scheme: &str) -> Option<Cloud> {
    match scheme.to_ascii_lowercase().as_str() {
        "s3" | "s3a" => Some(Cloud::S3),
        "gs" | "gcs" => Some(Cloud::Gcs),
        "az" | "azure" | "adl" | "abfs" | "abfss" => Some(Cloud::Azure),
        _ => None,
    }
}

/// The account in `account.dfs.core.windows.net`. Whatever else stands behind an `@` has a user in front of it.
fn account_of(host: &str) -> Result<(String, &'static str), CloudError> {
    let named = |suffix: &&'static str| Some((host.strip_suffix(*suffix)?.to_owned(), *suffix));
    let (account, suffix) = AZURE_HOSTS.iter().find_map(named).ok_or(bad("it holds a user"))?;
    // https://learn.microsoft.com/azure/storage/common/storage-account-overview: lower-case letters and digits only
    if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(bad("its account is no name of an account"));
    }
    Ok((account, suffix))
}

fn check_bucket(bucket: &str) -> Result<(), CloudError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-$".contains(&byte);
    if bucket.is_empty() {
        return Err(bad("it names no bucket"));
    }
    if !bucket.bytes().all(allowed) || bucket.bytes().all(|byte| byte == b'.') {
        return Err(bad("its bucket is no name of a bucket"));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), CloudError> {
    if key.starts_with('/') || key.chars().any(char::is_control) || Path::parse(key).is_err() {
        return Err(bad("its key has an empty part, a part . or .., or a control character"));
    }
    Ok(())
}

fn bad(why: &'static str) -> CloudError {
    CloudError::BadUrl { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ObjectUrl {
        text.parse().expect("a URL")
    }

    #[test]
    fn all_spellings_are_shown_in_one_way() {
        for (text, shown) in [
            ("s3://b", "s3://b/"),
            ("s3a://b/", "s3://b/"),
            ("gcs://my.bucket/a b/c%20d", "gs://my.bucket/a b/c%20d"),
            ("GS://b/p/", "gs://b/p/"),
            ("abfs://c/k", "az://c/k"),
            ("adl://$web/k#1", "az://$web/k#1"),
            ("abfss://c@acc1.dfs.core.windows.net/p/", "abfss://c@acc1.dfs.core.windows.net/p/"),
        ] {
            assert_eq!(url(text).to_string(), shown);
            assert!(ObjectUrl::is_meant_by(text), "{text}");
            assert_eq!(url(shown), url(text));
        }
    }

    #[test]
    fn what_could_hold_a_secret_or_is_no_key_is_refused_without_being_shown() {
        for text in [
            "s3://user:canary@b/k",
            "az://user:canary@host/k",
            "az://canary@.dfs.core.windows.net/k",
            "az://c@can-ary.dfs.core.windows.net/k",
            "gs://b/k?canary=1",
            "s3:///canary",
            "s3://b//canary",
            "s3://b/canary//k",
            "s3://b/../canary",
            "s3://b/can\u{1b}ary",
            "s3://can ary/k",
            "s3://../canary",
            "https://canary/k",
            "canary",
        ] {
            let error = text.parse::<ObjectUrl>().expect_err(text);
            assert!(!format!("{error} {error:?}").contains("can"), "{error:?}");
        }
    }

    #[test]
    fn a_prefix_is_the_bucket_or_ends_in_a_slash() {
        for (text, prefix) in [("s3://b", true), ("s3://b/p/", true), ("s3://b/p", false)] {
            assert_eq!(url(text).is_prefix(), prefix, "{text}");
        }
        assert_eq!(url("s3://b/p/q/").path().as_ref(), "p/q");
        assert_eq!(url("s3://b/p").with_key("q").expect("a key").to_string(), "s3://b/q");
    }
}
