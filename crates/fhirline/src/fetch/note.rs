//! What a download notes of itself, so that the same job can go on with it.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fhirline_core::{Identity, Store};
use serde::{Deserialize, Serialize};

use super::wanted::Part;

/// The name of the note in a folder whose download is not over.
pub(crate) const NAME: &str = "_fetch.partial";
/// Notes beyond this are not ours.
pub(crate) const MAX_BYTES: u64 = 64 << 20;
const VERSION: u32 = 1;
/// Bytes that come at least between two writings of the note.
const LEAST_BETWEEN: u64 = 256 << 10;

/// The note as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    version: u32,
    /// How files are hashed.
    pub(crate) checksum: Option<String>,
    /// The export whose files these are, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) export: Option<ExportMark>,
    /// In the order of the sources.
    pub(crate) files: Vec<FileNote>,
    /// Names of a download that this one replaces, as far as they are not removed yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) leftover: Vec<String>,
}

/// Tells an export from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportMark {
    /// A hash of what was asked for: that itself may name a person.
    pub(crate) request: String,
    /// The same request may be made again.
    pub(crate) id: String,
    /// Where it was made, to be shown.
    pub(crate) url: String,
    /// What the server says of the time of its data.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) transaction_time: Option<String>,
    /// The type that the data is organized by, if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) organized_by: Option<String>,
}

/// What is noted of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileNote {
    /// Tells its source from others.
    pub(crate) key: String,
    /// Its source, to be shown.
    pub(crate) source: String,
    /// What it is called, before its first bytes are known.
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) part: Part,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub(crate) resource_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) count: Option<u64>,
    /// What its source was when its fetching began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) begun: Option<Seen>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) done: Option<Done>,
}

/// What a source was: enough to tell whether it is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) bytes: Option<u64>,
    /// Seconds and nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) modified: Option<(u64, u32)>,
    /// What a server calls this version of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) tag: Option<String>,
}

/// A file that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) checksum: Option<String>,
}

impl Seen {
    pub(crate) fn of(identity: &Identity) -> Self {
        let since_1970 = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let modified = identity.modified.and_then(since_1970);
        let modified = modified.map(|since| (since.as_secs(), since.subsec_nanos()));
        Self { bytes: identity.stored_bytes, modified, tag: identity.tag.clone() }
    }

    /// Whether another source would look different.
    pub(crate) fn tells(&self) -> bool {
        self.bytes.is_some() && (self.modified.is_some() || self.tag.is_some())
    }

    /// When the source was last changed.
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        let (seconds, nanoseconds) = self.modified?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds.min(999_999_999)))
    }
}

impl Note {
    pub(crate) fn new(checksum: Option<String>, export: Option<ExportMark>, files: Vec<FileNote>) -> Self {
        Self { version: VERSION, checksum, export, files, leftover: Vec::new() }
    }

    /// Makes sense of a note; `None` if there is none in it.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(json).ok().filter(|note| note.version == VERSION)
    }

    pub(crate) fn write(&self, store: &dyn Store, durable: bool) -> io::Result<u64> {
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
pub(crate) struct Notes<'s> {
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
    pub(crate) fn begin(store: &'s dyn Store, durable: bool, note: Note) -> io::Result<Self> {
        let written_bytes = note.write(store, durable)?;
        let inner = Mutex::new(Inner { note, written_bytes, bytes_since: 0 });
        Ok(Self { store, durable, inner })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is noted of a file.
    pub(crate) fn of(&self, ordinal: usize) -> Option<FileNote> {
        self.lock().note.files.get(ordinal).cloned()
    }

    /// A file is fetched from its beginning, from that source.
    pub(crate) fn begun(&self, ordinal: usize, seen: Seen) -> io::Result<()> {
        let mut inner = self.lock();
        let Some(file) = inner.note.files.get_mut(ordinal) else { return Ok(()) };
        let other = file.begun.as_ref().is_some_and(|before| *before != seen) || file.done.is_some();
        (file.begun, file.done) = (Some(seen), None);
        // Before a byte of it is there: nobody must take it for what was noted.
        if other { self.write(&mut inner) } else { Ok(()) }
    }

    /// More bytes have come.
    pub(crate) fn came(&self, bytes: u64) -> io::Result<()> {
        let mut inner = self.lock();
        inner.bytes_since += bytes;
        let enough = inner.written_bytes.max(LEAST_BETWEEN);
        if inner.bytes_since < enough { Ok(()) } else { self.write(&mut inner) }
    }

    /// A file is complete. What is noted of it is worth as much as its bytes.
    pub(crate) fn done(&self, ordinal: usize, done: Done) -> io::Result<()> {
        let bytes = done.bytes;
        if let Some(file) = self.lock().note.files.get_mut(ordinal) {
            file.done = Some(done);
        }
        self.came(bytes)
    }

    /// Writes what is not written yet.
    pub(crate) fn write_all(&self) -> io::Result<()> {
        self.write(&mut self.lock())
    }

    fn write(&self, inner: &mut Inner) -> io::Result<()> {
        inner.written_bytes = inner.note.write(self.store, self.durable)?;
        inner.bytes_since = 0;
        Ok(())
    }

    pub(crate) fn into_files(self) -> Vec<FileNote> {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner).note.files
    }
}
