use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why an exchange over HTTP failed.
///
/// URLs in it are shown without user and query, and nothing of a body is in it.
/// A reader gives it inside an [`io::Error`]; [`HttpError::of`] finds it there.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// What was given as a URL is none, or not one of HTTP. It is not shown: a part of it may be a password.
    #[error("not a URL of http or https: {reason}")]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// The URL is `http://`, its host is not this machine, and that was not allowed.
    #[error("{url} is not encrypted")]
    NotEncrypted {
        /// The URL.
        url: String,
    },
    /// The options hold something that cannot be sent.
    #[error("the header {name} cannot be sent: {reason}")]
    BadHeader {
        /// The header's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The client could not be made ready.
    #[error("cannot make ready for the network")]
    Setup {
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The credentials could not be had.
    #[error("no credentials for {url}: {reason}")]
    NoCredentials {
        /// What they were for.
        url: String,
        /// Why there are none; shown as it is, so without secrets.
        reason: String,
    },
    /// No connection.
    #[error("cannot connect to {url}")]
    NoConnection {
        /// What was asked for.
        url: String,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// No connection, tried several times, before anything had answered.
    #[error("cannot connect to {url} (tried {attempts} times)")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Attempts to connect.
        attempts: u32,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// Nothing came for too long.
    #[error("{url} sent nothing for {waited:?}")]
    Silent {
        /// What was asked for.
        url: String,
        /// How long.
        waited: Duration,
    },
    /// Whoever waited was told to stop.
    #[error("{url} is not waited for any longer")]
    Stopped {
        /// What was asked for.
        url: String,
    },
    /// The connection broke, before the answer or within it.
    #[error("the connection to {url} broke")]
    Broken {
        /// What was asked for.
        url: String,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The body ended before its stated length.
    #[error("{url} ended after {read_bytes} of {stated_bytes} bytes")]
    Short {
        /// What was asked for.
        url: String,
        /// Bytes that came.
        read_bytes: u64,
        /// Bytes that there should be.
        stated_bytes: u64,
    },
    /// The body goes on behind its stated length.
    #[error("{url} sends more than the stated {stated_bytes} bytes")]
    Long {
        /// What was asked for.
        url: String,
        /// Bytes that there should be.
        stated_bytes: u64,
    },
    /// The server refused.
    #[error("{url} answered with status {status}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// The server refused the URL that a list of files gave, and there is no other one.
    #[error("{url} answered with status {status}, and there is no new link to it: {reason}")]
    NotRenewed {
        /// What was asked for.
        url: String,
        /// The status: 401, 403, 404 or 410.
        status: u16,
        /// Why there is none; shown as it is, so without secrets.
        reason: String,
    },
    /// The server gave the object at first, and now refuses it.
    #[error("{url} answered with status {status}, after it had given {read_bytes} bytes")]
    Expired {
        /// What was asked for.
        url: String,
        /// The status: 401, 403, 404 or 410.
        status: u16,
        /// Bytes that came before.
        read_bytes: u64,
    },
    /// The server asks for more patience than there is.
    #[error("{url} answered with status {status} and wants to be asked again in {wait:?}, not before")]
    TryLater {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// How long it asks to wait.
        wait: Duration,
    },
    /// It was tried often enough, or long enough.
    #[error("gave up after {attempts} attempts without a new byte")]
    GaveUp {
        /// Attempts in a row.
        attempts: u32,
        /// What went wrong the last time.
        source: Box<HttpError>,
    },
    /// The object is not the one that it was.
    #[error("{url} changed while it was being read: {what}")]
    Changed {
        /// What was asked for.
        url: String,
        /// By what it was seen.
        what: Change,
    },
    /// The answer does not fit the question.
    #[error("{url} gave a wrong answer: {reason}")]
    BadAnswer {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The body is coded in a way that was not asked for.
    #[error("{url} sends its body coded as {coding}, which was not asked for")]
    Coding {
        /// What was asked for.
        url: String,
        /// The coding's name.
        coding: String,
    },
    /// The body is a page or an XML document.
    #[error("{url} answered with {markup}, not with data (status {status})")]
    Markup {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// Which of them.
        markup: Markup,
    },
    /// The body is one JSON object that tells of an error.
    #[error("{url} answered with an error in JSON, not with data (status {status})")]
    JsonError {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// The body is larger than was allowed.
    #[error("{url} sends more than {max_bytes} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// Most bytes allowed.
        max_bytes: usize,
    },
    /// The object has no such byte.
    #[error("{url} has {stored_bytes} bytes and cannot be read from byte {offset}")]
    BehindEnd {
        /// What was asked for.
        url: String,
        /// Where it should begin.
        offset: u64,
        /// Its length.
        stored_bytes: u64,
    },
    /// The server redirects on and on.
    #[error("{url} leads to more than {max_redirects} redirects")]
    TooManyRedirects {
        /// What was asked for.
        url: String,
        /// Most redirects followed.
        max_redirects: usize,
    },
    /// The server redirects to where we do not go.
    #[error("{url} redirects to {to}, {reason}")]
    BadRedirect {
        /// What was asked for.
        url: String,
        /// Where it leads.
        to: String,
        /// Why not there.
        reason: &'static str,
    },
}

/// By what a change of an object was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Change {
    /// Its length.
    #[error("its length is another")]
    Length,
    /// Its `ETag` or `Last-Modified`.
    #[error("its ETag or Last-Modified is another")]
    Validator,
    /// The server says so (412).
    #[error("the server says so")]
    Precondition,
    /// Bytes that had been read before.
    #[error("bytes that were read before are not the same")]
    Bytes,
    /// Its content coding.
    #[error("its content coding is another")]
    Coding,
}

/// What stands in the place of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Markup {
    /// A page.
    #[error("HTML")]
    Html,
    /// An XML document.
    #[error("XML")]
    Xml,
}

impl HttpError {
    /// The one that an [`io::Error`] of a reader or an origin holds.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// What the user may try, with [settings](fhirline_core::Setting) by their names; `None` where there is nothing to say.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotEncrypted { .. } => "use https://, or allow http:// if the way to the server is safe",
            // Others come as connections that fail.
            Self::NoConnection { source, .. } if source.kind() == io::ErrorKind::InvalidData => {
                "if an authority of your own signed its certificate, name the authority's file in SSL_CERT_FILE"
            }
            Self::Unreachable { .. } => {
                "check the name, the port and the network, and whether a proxy is needed (HTTPS_PROXY)"
            }
            Self::Refused { status: 401, .. } | Self::NotRenewed { status: 401, .. } => {
                "the server wants credentials, or does not accept these: `HttpOptions::with_credentials`"
            }
            Self::Refused { status: 403, .. } => {
                "a link may have expired: ask for a new one; or the credentials do not allow it: \
                 `HttpOptions::with_credentials`"
            }
            Self::NotRenewed { .. } => {
                "check the credentials (`HttpOptions::with_credentials`), or give `overwrite` to begin the export again"
            }
            Self::Refused { status: 404 | 410, .. } => "check the URL; a link may have expired",
            Self::Expired { .. } => "the link expired; run again with a new one to go on",
            Self::TryLater { .. } => "the server is busy; run again later",
            Self::GaveUp { .. } | Self::Short { .. } => "run again to go on where it broke off",
            Self::Changed { .. } => "run again with a fresh destination, to read it from the beginning",
            Self::Markup { .. } | Self::JsonError { .. } => {
                "open the URL in a browser: it may be an error page, or want a login"
            }
            Self::BadRedirect { .. } => "name the URL that it leads to, if you trust it",
            _ => return None,
        })
    }

    /// The kind under which a reader gives it.
    pub(super) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::BadUrl { .. } | Self::BadHeader { .. } => io::ErrorKind::InvalidInput,
            Self::NotEncrypted { .. } | Self::NoCredentials { .. } => io::ErrorKind::PermissionDenied,
            Self::Refused { status, .. } | Self::NotRenewed { status, .. } | Self::Expired { status, .. } => {
                kind_of_status(*status)
            }
            Self::Short { .. } | Self::BehindEnd { .. } => io::ErrorKind::UnexpectedEof,
            Self::Silent { .. } => io::ErrorKind::TimedOut,
            Self::NoConnection { source, .. }
            | Self::Unreachable { source, .. }
            | Self::Broken { source, .. } => source.kind(),
            Self::GaveUp { source, .. } => source.kind(),
            Self::TryLater { .. } => io::ErrorKind::ResourceBusy,
            Self::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            Self::Setup { .. } => io::ErrorKind::Other,
            _ => io::ErrorKind::InvalidData,
        }
    }
}

fn kind_of_status(status: u16) -> io::ErrorKind {
    match status {
        401 | 403 => io::ErrorKind::PermissionDenied,
        404 | 410 => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    }
}

impl From<HttpError> for io::Error {
    fn from(error: HttpError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// What the system says, without what the client says around it: that may hold the URL.
pub(super) fn cause(error: reqwest::Error) -> Arc<io::Error> {
    let error = error.without_url();
    let mut deepest: &(dyn Error + 'static) = &error;
    let mut kind = io::ErrorKind::Other;
    loop {
        let system = deepest.downcast_ref::<io::Error>();
        kind = system.map_or(kind, io::Error::kind);
        // What an error of the system wraps is not its source; its source is that of what it wraps.
        let wrapped =
            system.and_then(|system| system.get_ref()).map(|wrapped| wrapped as &(dyn Error + 'static));
        match wrapped.or_else(|| deepest.source()) {
            Some(next) => deepest = next,
            None => return Arc::new(io::Error::new(kind, deepest.to_string())),
        }
    }
}
