use std::fmt;
use std::io::{self, Read};
use std::time::SystemTime;

/// What is known about a source without reading it: enough to name it, and to see later whether it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name to show: a path as the user gave it, `standard input`, a URL without its query.
    pub name: String,
    /// Its stored length in bytes, if known.
    pub stored_bytes: Option<u64>,
    /// When it was last changed, if known.
    pub modified: Option<SystemTime>,
    /// What a server calls this version of it (its `ETag`), if there is a server and it does. Nobody is shown it.
    pub tag: Option<String>,
}

/// Where the bytes of one source come from.
pub trait Origin: Send + Sync + fmt::Debug {
    /// What is known about it now.
    ///
    /// # Errors
    /// When it cannot be looked at (it is gone, or not readable).
    fn identity(&self) -> io::Result<Identity>;

    /// The name to show, without looking at the source.
    fn name(&self) -> &str;

    /// A reader of its stored bytes from `offset` on. Blocking; ends with `Ok(0)`.
    ///
    /// # Errors
    /// When it cannot be opened, or not at that offset (standard input cannot seek).
    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>>;

    /// Whether opening it returns at once, and its bytes begin to arrive without anybody reading, up to a bound: then it is worth
    /// opening before its turn.
    fn arrives_by_itself(&self) -> bool {
        false
    }

    /// Whether it can be opened at any time, again and again, at next to no cost, and its bytes are not waited for: then its beginning is
    /// worth reading before its turn. What has no [length](Identity::stored_bytes) is never read before it.
    fn is_at_hand(&self) -> bool {
        false
    }
}
