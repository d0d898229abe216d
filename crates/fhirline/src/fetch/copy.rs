//! The way of one file.

use std::io::{self, Read};

use fhirline_core::{ChecksumKind, Identity, Origin, PARTIAL_SUFFIX, Partial, Store};
use fhirline_flow::Cancel;
use fhirline_sink::Hasher;

use super::crew::Teller;
use super::error::DownloadError;
use super::names::{MAGIC_BYTES, final_name, possible_names};
use super::note::{Done, Notes, Seen};

/// Bytes that are read and written at a time.
const BUFFER_BYTES: usize = 128 << 10;
/// Bytes of an interrupted file that are compared with its source before it goes on.
const OVERLAP_BYTES: u64 = 64 << 10;

const NOT_TOLD: &str = "its source does not say what would tell it from another";
const OTHER_SOURCE: &str = "its source is not the same any more";
const OTHER_BYTES: &str = "its source holds other bytes than were fetched before";
const NO_SEEK: &str = "its source can be read from its beginning only";

/// Where and how files are fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'r> {
    pub(super) store: &'r dyn Store,
    pub(super) notes: &'r Notes<'r>,
    pub(super) checksum: Option<ChecksumKind>,
    pub(super) durable: bool,
    pub(super) cancel: &'r Cancel,
}

/// Why a file is not fetched.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Its source is to blame; others can still be fetched.
    Source(DownloadError),
    /// The folder is to blame, and what was tried with it.
    Store(&'static str, io::Error),
    /// Somebody asked to stop.
    Cancelled,
}

/// A file on its way.
struct Coming {
    name: String,
    partial: Box<dyn Partial>,
    reader: Box<dyn Read + Send>,
    hasher: Hasher,
    from_bytes: u64,
}

/// Fetches a file, or the rest of it.
pub(super) fn copy(
    place: Place<'_>,
    ordinal: usize,
    planned: &str,
    origin: &dyn Origin,
    tell: &mut Teller<'_>,
) -> Result<Done, Trouble> {
    let identity = origin.identity().map_err(|error| Trouble::Source(DownloadError::Open(error)))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut copy = match resume(place, ordinal, planned, origin, &identity, &mut buffer)? {
        Attempt::Resumed(copy) => {
            tell.started(&copy.name, identity.stored_bytes, copy.from_bytes);
            *copy
        }
        Attempt::Nothing => begin(place, ordinal, planned, origin, &identity, &mut buffer, tell)?,
        Attempt::Afresh { name, why } => {
            tell.begun_afresh(&name, why);
            begin(place, ordinal, planned, origin, &identity, &mut buffer, tell)?
        }
    };
    pour(place, &mut copy, identity.stored_bytes, &mut buffer, tell)?;
    let bytes = copy.partial.stored_bytes();
    if place.durable {
        copy.partial.sync().map_err(|error| Trouble::Store("write to", error))?;
    }
    copy.partial.seal().map_err(|error| Trouble::Store("write to", error))?;
    let checksum = copy.hasher.finish();
    let checksum = checksum.map(|checksum| format!("{}:{checksum}", checksum.kind.name()));
    Ok(Done { name: copy.name, bytes, checksum })
}

/// What came of going on with what an earlier run left.
enum Attempt {
    Resumed(Box<Coming>),
    /// It left nothing.
    Nothing,
    /// What it left is of no use.
    Afresh {
        name: String,
        why: &'static str,
    },
}

fn resume(
    place: Place<'_>,
    ordinal: usize,
    planned: &str,
    origin: &dyn Origin,
    identity: &Identity,
    buffer: &mut [u8],
) -> Result<Attempt, Trouble> {
    let Some((name, bytes)) = left_of(place.store, planned)? else { return Ok(Attempt::Nothing) };
    let seen = Seen::of(identity);
    let begun = place.notes.of(ordinal).and_then(|note| note.begun);
    let why = match begun {
        None => return Ok(Attempt::Nothing),
        Some(_) if !seen.tells() => NOT_TOLD,
        Some(before) if before != seen => OTHER_SOURCE,
        Some(_) if identity.stored_bytes.is_some_and(|stated| bytes > stated) => OTHER_BYTES,
        Some(_) => return go_on(place, name, bytes, origin, buffer),
    };
    Ok(Attempt::Afresh { name, why })
}

/// The name and the length of what an earlier run left of a file.
fn left_of(store: &dyn Store, planned: &str) -> Result<Option<(String, u64)>, Trouble> {
    for name in possible_names(planned) {
        let bytes = store.stored_bytes(&format!("{name}{PARTIAL_SUFFIX}"));
        match bytes.map_err(|error| Trouble::Store("look into", error))? {
            None | Some(0) => {}
            Some(bytes) => return Ok(Some((name, bytes))),
        }
    }
    Ok(None)
}

/// Goes on behind what is there, if its end is what the source has in its place.
fn go_on(
    place: Place<'_>,
    name: String,
    bytes: u64,
    origin: &dyn Origin,
    buffer: &mut [u8],
) -> Result<Attempt, Trouble> {
    let resumed = place.store.resume(&name, bytes).map_err(|error| Trouble::Store("go on with", error))?;
    let Some(mut partial) = resumed else { return Ok(Attempt::Nothing) };
    let overlap = bytes.min(OVERLAP_BYTES);
    let mut reader = match origin.open_at(bytes - overlap) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            return Ok(Attempt::Afresh { name, why: NO_SEEK });
        }
        opened => opened.map_err(|error| Trouble::Source(DownloadError::Open(error)))?,
    };
    if !is_same(&mut *reader, &mut *partial, bytes - overlap, buffer)? {
        return Ok(Attempt::Afresh { name, why: OTHER_BYTES });
    }
    let hasher = hash_of(place, &mut *partial, buffer)?;
    Ok(Attempt::Resumed(Box::new(Coming { name, partial, reader, hasher, from_bytes: bytes })))
}

/// Whether the source gives what the file holds from there to its end.
fn is_same(
    reader: &mut dyn Read,
    partial: &mut dyn Partial,
    mut at: u64,
    buffer: &mut [u8],
) -> Result<bool, Trouble> {
    let half = buffer.len() / 2;
    let (theirs, ours) = buffer.split_at_mut(half);
    while at < partial.stored_bytes() {
        let left = usize::try_from(partial.stored_bytes() - at).unwrap_or(half).min(half);
        let read = read_some(reader, &mut theirs[..left]);
        let read = read.map_err(|error| Trouble::Source(DownloadError::Read(error)))?;
        read_back(partial, at, &mut ours[..read])?;
        if read == 0 || theirs[..read] != ours[..read] {
            return Ok(false);
        }
        at += read as u64;
    }
    Ok(true)
}

/// The hash of what is there.
fn hash_of(place: Place<'_>, partial: &mut dyn Partial, buffer: &mut [u8]) -> Result<Hasher, Trouble> {
    let mut hasher = Hasher::new(place.checksum);
    let mut at = 0;
    while place.checksum.is_some() && at < partial.stored_bytes() {
        if place.cancel.is_cancelled() {
            return Err(Trouble::Cancelled);
        }
        let left = usize::try_from(partial.stored_bytes() - at).unwrap_or(buffer.len()).min(buffer.len());
        read_back(partial, at, &mut buffer[..left])?;
        hasher.update(&buffer[..left]);
        at += left as u64;
    }
    Ok(hasher)
}

/// Reads bytes that are there.
fn read_back(partial: &mut dyn Partial, mut at: u64, mut into: &mut [u8]) -> Result<(), Trouble> {
    while !into.is_empty() {
        let read = partial.read_at(at, into).map_err(|error| Trouble::Store("read", error))?;
        if read == 0 {
            return Err(Trouble::Store("read", io::ErrorKind::UnexpectedEof.into()));
        }
        into = &mut into[read..];
        at += read as u64;
    }
    Ok(())
}

/// Begins a file anew, with its first bytes: they say what it is called.
fn begin(
    place: Place<'_>,
    ordinal: usize,
    planned: &str,
    origin: &dyn Origin,
    identity: &Identity,
    buffer: &mut [u8],
    tell: &mut Teller<'_>,
) -> Result<Coming, Trouble> {
    place.notes.begun(ordinal, Seen::of(identity)).map_err(|error| Trouble::Store("write to", error))?;
    remove_remains(place.store, planned).map_err(|error| Trouble::Store("clean", error))?;
    let mut reader = origin.open_at(0).map_err(|error| Trouble::Source(DownloadError::Open(error)))?;
    let (head, failed) = read_head(&mut *reader, buffer);
    let name = final_name(planned, &buffer[..head]);
    let partial = place.store.create(&name).map_err(|error| Trouble::Store("write to", error))?;
    tell.started(&name, identity.stored_bytes, 0);
    let hasher = Hasher::new(place.checksum);
    let mut copy = Coming { name, partial, reader, hasher, from_bytes: 0 };
    take(place, &mut copy, &buffer[..head], identity.stored_bytes, tell)?;
    failed.map_or(Ok(copy), |error| Err(Trouble::Source(DownloadError::Read(error))))
}

/// Reads what tells a compressed file, and whatever comes with it; how much came, and what was wrong then.
fn read_head(reader: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut head = 0;
    while head < MAGIC_BYTES {
        match read_some(reader, &mut buffer[head..]) {
            Ok(0) => break,
            Ok(read) => head += read,
            Err(error) => return (head, Some(error)),
        }
    }
    (head, None)
}

/// Removes all that an earlier run may have left of a file.
pub(super) fn remove_remains(store: &dyn Store, planned: &str) -> io::Result<()> {
    for name in possible_names(planned) {
        store.remove(&format!("{name}{PARTIAL_SUFFIX}"))?;
        store.remove(&name)?;
    }
    Ok(())
}

/// Fetches the rest of a file.
fn pour(
    place: Place<'_>,
    copy: &mut Coming,
    stated_bytes: Option<u64>,
    buffer: &mut [u8],
    tell: &mut Teller<'_>,
) -> Result<(), Trouble> {
    loop {
        let read = read_some(&mut *copy.reader, buffer);
        match read.map_err(|error| Trouble::Source(DownloadError::Read(error)))? {
            0 => break,
            read => take(place, copy, &buffer[..read], stated_bytes, tell)?,
        }
    }
    let read_bytes = copy.partial.stored_bytes();
    match stated_bytes.filter(|&stated| stated > read_bytes) {
        Some(stated_bytes) => Err(Trouble::Source(DownloadError::Short { stated_bytes, read_bytes })),
        None => Ok(()),
    }
}

/// Puts bytes that came behind the others.
fn take(
    place: Place<'_>,
    copy: &mut Coming,
    bytes: &[u8],
    stated_bytes: Option<u64>,
    tell: &mut Teller<'_>,
) -> Result<(), Trouble> {
    let left = stated_bytes.map(|stated| stated.saturating_sub(copy.partial.stored_bytes()));
    if let Some(stated_bytes) = stated_bytes.filter(|_| left.is_some_and(|left| bytes.len() as u64 > left)) {
        return Err(Trouble::Source(DownloadError::Long { stated_bytes }));
    }
    copy.partial.append(bytes).map_err(|error| Trouble::Store("write to", error))?;
    copy.hasher.update(bytes);
    place.notes.came(bytes.len() as u64).map_err(|error| Trouble::Store("write to", error))?;
    if tell.advanced(copy.partial.stored_bytes()) && !place.cancel.is_cancelled() {
        Ok(())
    } else {
        Err(Trouble::Cancelled)
    }
}

/// Reads what is there now; nothing at the end only.
fn read_some(reader: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
