//! What a download notes of itself, so that the same job can go on with it.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fhirline_core::{Identity, Store};
use serde::{Deserialize, Serialize};

use super::wanted::Part;

/// The name of the note in a folder whose download is not over.
pub(super) const NAME: &str = "_fetch.partial";
/// Notes beyond this are not ours.
pub(super) const MAX_BYTES: u64 = 64 << 20;
const VERSION: u32 = 1;
/// Bytes that come at least between two writings of the note.
const LEAST_BETWEEN: u64 = 256 << 10;

/// The note as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    version: u32,
    /// How files are hashed.
    pub(super) checksum: Option<String>,
    /// In the order of the sources.
    pub(super) files: Vec<FileNote>,
    /// Names of a download that this one replaces, as far as they are not removed yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) leftover: Vec<String>,
}

/// What is noted of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileNote {
    /// Tells its source from others.
    pub(super) key: String,
    /// Its source, to be shown.
    pub(super) source: String,
    /// What it is called, before its first bytes are known.
    pub(super) name: String,
    #[serde(default)]
    pub(super) part: Part,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub(super) resource_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) count: Option<u64>,
    /// What its source was when its fetching began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) begun: Option<Seen>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) done: Option<Done>,
}

/// What a source was: enough to tell whether it is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) bytes: Option<u64>,
    /// Seconds and nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) modified: Option<(u64, u32)>,
    /// What a server calls this version of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) tag: Option<String>,
}

/// A file that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) name: String,
    pub(super) bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) checksum: Option<String>,
}

impl Seen {
    pub(super) fn of(identity: &Identity) -> Self {
        let since_1970 = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let modified = identity.modified.and_then(since_1970);
        let modified = modified.map(|since| (since.as_secs(), since.subsec_nanos()));
        Self { bytes: identity.stored_bytes, modified, tag: identity.tag.clone() }
    }

    /// Whether another source would look different.
    pub(super) fn tells(&self) -> bool {
        self.bytes.is_some() && (self.modified.is_some() || self.tag.is_some())
    }

    /// When the source was last changed.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        let (seconds, nanoseconds) = self.modified?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds.min(999_999_999)))
    }
}

impl Note {
    pub(super) fn new(checksum: Option<String>, files: Vec<FileNote>) -> Self {
        Self { version: VERSION, checksum, files, leftover: Vec::new() }
    }

    /// Makes sense of a note; `None` if there is none in it.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(json).ok().filter(|note| note.version == VERSION)
    }

    pub(super) fn write(&self, store: &dyn Store, durable: bool) -> io::Result<u64> {
        // Strings, numbers and lists of them into memory: nothing here can fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        store.replace(NAME, &json, durable)?;
        Ok(json.len() as u64)
    }
}

/// The note of a download that goes on.
///
/// It is written again once as many bytes have come as it is long, so that writing it never takes the greater part of the
/// work: what came since is fetched again after a kill.
#[derive(Debug)]
pub(super) struct Notes<'s> {
    store: &'s dyn Store,
    durable: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    note: Note,
    written_bytes: u64,
    bytes_since: u64,
}

impl<'s> Notes<'s> {
    /// Writes the note for the first time.
    pub(super) fn begin(store: &'s dyn Store, durable: bool, note: Note) -> io::Result<Self> {
        let written_bytes = note.write(store, durable)?;
        let inner = Mutex::new(Inner { note, written_bytes, bytes_since: 0 });
        Ok(Self { store, durable, inner })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is noted of a file.
    pub(super) fn of(&self, ordinal: usize) -> Option<FileNote> {
        self.lock().note.files.get(ordinal).cloned()
    }

    /// A file is fetched from its beginning, from that source.
    pub(super) fn begun(&self, ordinal: usize, seen: Seen) -> io::Result<()> {
        let mut inner = self.lock();
        let Some(file) = inner.note.files.get_mut(ordinal) else { return Ok(()) };
        let other = file.begun.as_ref().is_some_and(|before| *before != seen) || file.done.is_some();
        (file.begun, file.done) = (Some(seen), None);
        // Before a byte of it is there: nobody must take it for what was noted.
        if other { self.write(&mut inner) } else { Ok(()) }
    }

    /// More bytes have come.
    pub(super) fn came(&self, bytes: u64) -> io::Result<()> {
        let mut inner = self.lock();
        inner.bytes_since += bytes;
        let enough = inner.written_bytes.max(LEAST_BETWEEN);
        if inner.bytes_since < enough { Ok(()) } else { self.write(&mut inner) }
    }

    /// A file is complete. What is noted of it is worth as much as its bytes.
    pub(super) fn done(&self, ordinal: usize, done: Done) -> io::Result<()> {
        let bytes = done.bytes;
        if let Some(file) = self.lock().note.files.get_mut(ordinal) {
            file.done = Some(done);
        }
        self.came(bytes)
    }

    /// Writes what is not written yet.
    pub(super) fn write_all(&self) -> io::Result<()> {
        self.write(&mut self.lock())
    }

    fn write(&self, inner: &mut Inner) -> io::Result<()> {
        inner.written_bytes = inner.note.write(self.store, self.durable)?;
        inner.bytes_since = 0;
        Ok(())
    }

    pub(super) fn into_files(self) -> Vec<FileNote> {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner).note.files
    }
}
