use std::error::Error;
use std::fmt;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};

use super::first_contact::NeverAnswered;

/// Why something in an object store could not be read or written.
///
/// What a server or the client below says is not passed on: bodies and request URLs can hold signatures. Shown are the
/// object's URL, the HTTP status and the store's error code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// That is no URL of an object or a prefix. The text is not shown: it may hold a secret.
    #[error("not the URL of an object: {why}")]
    BadUrl {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A variable of the environment or a profile cannot be used.
    #[error("{setting}: {why}")]
    BadSetting {
        /// The name of the variable, the profile or the file.
        setting: String,
        /// What is wrong with it, without its value.
        why: String,
    },
    /// There is no such object, or no such bucket.
    #[error("{url} does not exist{answer}")]
    NotFound {
        /// The object.
        url: String,
        /// What the store said.
        answer: Answer,
    },
    /// There is no such object, and no object lies below that prefix.
    #[error("{url}: there is no such object, and none lies below it")]
    Nothing {
        /// The object or prefix.
        url: String,
    },
    /// The store does not know the credentials, or they do not suffice.
    #[error("the store refused the credentials for {url}{answer}")]
    Refused {
        /// The object.
        url: String,
        /// What the store said.
        answer: Answer,
    },
    /// There are no credentials: neither in the environment nor in files, nor does the machine have a role.
    #[error("no credentials for {url}: none in the environment, the usual files, or given to this machine")]
    NoCredentials {
        /// The object.
        url: String,
    },
    /// The object is not the one any more whose beginning was read.
    #[error("{url} changed while it was read")]
    Changed {
        /// The object.
        url: String,
    },
    /// The store sent fewer or other bytes than were asked for.
    #[error("{url}: the store sent {got_bytes} of the {asked_bytes} bytes at byte {offset}")]
    Short {
        /// The object.
        url: String,
        /// Where the bytes begin.
        offset: u64,
        /// How many were asked for.
        asked_bytes: u64,
        /// How many came.
        got_bytes: u64,
    },
    /// Something of that name is there already, or the condition for writing it does not hold.
    #[error("{url} exists already, or is not the one that was to be replaced")]
    Conflict {
        /// The object.
        url: String,
    },
    /// The store could not be reached, or did not do its work, after several attempts.
    #[error("cannot reach the store of {url}: {how}{answer}")]
    Unreachable {
        /// The object.
        url: String,
        /// What happened.
        how: &'static str,
        /// What the store said.
        answer: Answer,
    },
    /// No connection to the store, tried several times, before anything had answered.
    #[error("cannot reach the store of {url}: no connection (tried {attempts} times)")]
    NeverAnswered {
        /// The object.
        url: String,
        /// How many attempts failed, those of requests before this one too.
        attempts: u32,
    },
    /// The store listed what cannot be a key, or not in the order of its keys.
    #[error("cannot list {url}: {why}")]
    BadListing {
        /// The prefix.
        url: String,
        /// What is wrong with the list.
        why: &'static str,
    },
    /// Anything else.
    #[error("{url}: {what}{answer}")]
    Other {
        /// The object.
        url: String,
        /// What happened, as far as it can be told.
        what: &'static str,
        /// What the store said.
        answer: Answer,
    },
}

/// What a store answered: as much of it as holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: Option<u16>,
    /// The store's word for the error, such as `NoSuchBucket`.
    pub code: Option<String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, &self.code) {
            (None, None) => Ok(()),
            (Some(status), None) => write!(f, " (status {status})"),
            (None, Some(code)) => write!(f, " ({code})"),
            (Some(status), Some(code)) => write!(f, " (status {status}, {code})"),
        }
    }
}

impl From<CloudError> for io::Error {
    fn from(error: CloudError) -> Self {
        use io::ErrorKind;
        let kind = match &error {
            CloudError::BadUrl { .. } | CloudError::BadSetting { .. } => ErrorKind::InvalidInput,
            CloudError::NotFound { .. } | CloudError::Nothing { .. } => ErrorKind::NotFound,
            CloudError::Refused { .. } | CloudError::NoCredentials { .. } => ErrorKind::PermissionDenied,
            CloudError::Short { .. } => ErrorKind::UnexpectedEof,
            CloudError::Conflict { .. } => ErrorKind::AlreadyExists,
            CloudError::Unreachable { .. } | CloudError::NeverAnswered { .. } => ErrorKind::NotConnected,
            CloudError::Changed { .. } | CloudError::BadListing { .. } | CloudError::Other { .. } => {
                ErrorKind::Other
            }
        };
        Self::new(kind, error)
    }
}

/// What the credentials' own error is replaced by on its way through the client.
#[derive(Debug, thiserror::Error)]
#[error("no credentials")]
pub(super) struct NoCredentials;

/// Codes with which stores refuse credentials under another status than 401 and 403.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
const REFUSALS: [&str; 6] = [
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthorizationHeaderMalformed",
];

const NO_CHECKSUMS: &str = "the store takes no checksums of uploads (set AWS_CHECKSUM_ALGORITHM=none)";

impl CloudError {
    /// What the user may try; `None` where there is nothing to say.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotFound { .. } | Self::Nothing { .. } => "check the bucket and the key",
            Self::Refused { .. } | Self::NoCredentials { .. } => {
                "set the credentials as for the cloud's own tools (AWS_*, AZURE_*, GOOGLE_*)"
            }
            Self::Changed { .. } => "run again with a fresh destination, to read it from the beginning",
            Self::NeverAnswered { .. } => "check the endpoint, its name and port, and the network",
            Self::Short { .. } | Self::Unreachable { .. } => "run again to go on where it broke off",
            _ => return None,
        })
    }

    /// What went wrong when something was read.
    pub(crate) fn reading(url: impl fmt::Display, error: &object_store::Error) -> Self {
        use object_store::Error as E;
        match (error, url.to_string()) {
            (E::Precondition { .. }, url) => Self::Changed { url },
            (_, url) => Self::any(url, error),
        }
    }

    /// What went wrong when something was written.
    pub(crate) fn writing(url: impl fmt::Display, error: &object_store::Error) -> Self {
        use object_store::Error as E;
        match (error, url.to_string()) {
            (E::Precondition { .. } | E::AlreadyExists { .. }, url) => Self::Conflict { url },
            (_, url) => Self::any(url, error),
        }
    }

    fn any(url: String, error: &object_store::Error) -> Self {
        use object_store::Error as E;
        if find::<NoCredentials>(error).is_some() {
            return Self::NoCredentials { url };
        }
        if let Some(&NeverAnswered { attempts }) = find(error) {
            return Self::NeverAnswered { url, attempts };
        }
        let text = error.to_string();
        let answer = Answer { status: status_in(&text), code: code_in(&text) };
        let refusal = answer.code.as_deref().is_some_and(|code| REFUSALS.contains(&code));
        match (error, answer.status) {
            (E::NotFound { .. }, _) | (_, Some(404)) => return Self::NotFound { url, answer },
            (E::PermissionDenied { .. } | E::Unauthenticated { .. }, _) | (_, Some(401 | 403)) => {
                return Self::Refused { url, answer };
            }
            _ if refusal => return Self::Refused { url, answer },
            _ => {}
        }
        match error {
            E::InvalidPath { .. } => Self::BadListing { url, why: "it holds a key with an empty part" },
            _ if text.contains("redirect without LOCATION") => {
                Self::Other { url, what: "its bucket is in another region (set AWS_REGION)", answer }
            }
            // As stores say it that speak S3 but know no checksums: with the name of the header.
            _ if text.contains("x-amz-checksum-") => Self::Other { url, what: NO_CHECKSUMS, answer },
            _ => match how_unreachable(error, answer.status) {
                Some(how) => Self::Unreachable { url, how, answer },
                None => Self::Other { url, what: "the store did not do what it was asked to", answer },
            },
        }
    }
}

fn how_unreachable(error: &object_store::Error, status: Option<u16>) -> Option<&'static str> {
    if status.is_some_and(|status| status >= 500 || status == 429 || status == 408) {
        return Some("it answers only with errors");
    }
    match find::<HttpError>(error)?.kind() {
        HttpErrorKind::Connect => Some("no connection"),
        HttpErrorKind::Timeout => Some("it does not answer in time"),
        HttpErrorKind::Request | HttpErrorKind::Interrupted | HttpErrorKind::Decode => {
            Some("the connection breaks off")
        }
        _ => None,
    }
}

/// The first error of that type on the way down to the cause.
fn find<T: Error + 'static>(error: &object_store::Error) -> Option<&T> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The type that knows the status is private to object_store, but its text is not.
fn status_in(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The `<Code>` of an error document: letters only, so that nothing else can come along.
fn code_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let plain = !code.is_empty() && code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    plain.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn of_what_a_server_says_only_status_and_code_are_shown() {
        let text = "GET https://host/k?sig=canary - Server returned non-2xx status code: 400 Bad Request: \
                    <Error><Code>InvalidArgument</Code><Message>canary</Message></Error>";
        let error = CloudError::reading("s3://b/k", &generic(text));
        assert_eq!(
            error.to_string(),
            "s3://b/k: the store did not do what it was asked to (status 400, InvalidArgument)"
        );
        assert!(!format!("{error:?}").contains("canary"));
        assert_eq!(code_in("<Code>can ary</Code>"), None);
        assert_eq!(code_in(&format!("<Code>{}</Code>", "x".repeat(65))), None);
    }

    #[test]
    fn errors_have_kinds() {
        let of = |text: &str| CloudError::reading("u", &generic(text));
        assert!(matches!(of("status code: 503 "), CloudError::Unreachable { .. }));
        assert!(matches!(of("status code: 400 <Code>ExpiredToken</Code>"), CloudError::Refused { .. }));
        let source = Box::new(NoCredentials);
        let none = object_store::Error::Generic { store: "S3", source };
        assert!(matches!(CloudError::reading("u", &none), CloudError::NoCredentials { .. }));
        let condition = object_store::Error::Precondition { path: String::new(), source: "".into() };
        assert!(matches!(CloudError::reading("u", &condition), CloudError::Changed { .. }));
        assert!(matches!(CloudError::writing("u", &condition), CloudError::Conflict { .. }));
    }
}
