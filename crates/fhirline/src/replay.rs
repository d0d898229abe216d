//! Rejected records run again, each with the place that it had.
//!
//! The records of a quarantine stand one after the other in `lines.raw`, each followed by one LF, and where each came from
//! stands in `outcome.ndjson`, in the same order, with the number of lines that it has. Where a record ends follows from
//! these numbers and from nothing in it, so that a record may hold what it likes: whoever mends one must leave it on as many
//! lines. Neighbours from the same source become one source of the new run, under the same name; as it goes, a cursor over
//! the outcomes leads each record that is rejected again back to its original place.
//!
//! Where many neighbours share one outcome, it knows the places of the first and the last. Between them, a record's line is
//! told if each begins on the line behind the one before, or each on its last line, and its byte if, besides, nothing was
//! changed and what stands between them is surely a line end of the same length; otherwise it has the place, or the byte, of
//! the first.
//!
//! Both files are streamed, several times; what is kept does not grow with them.

mod error;
mod files;
mod outcomes;
mod pairs;
mod places;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod round_trip;
mod segments;
#[cfg(test)]
mod testing;

use std::fs;
use std::path::{self, Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use fhirline_fetch::Selection as Sources;
use fhirline_flow::Places;
use fhirline_sink::{OUTCOME_NAME, RAW_NAME};

use crate::manifest::{self, Manifest};
use crate::{Job, JobError};

pub use error::ReplayError;
use files::Marked;
use pairs::{By, Files};
use places::Cursor;
use segments::Entries;

/// A quarantine whose records are run again.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    files: Files,
    by: By,
    /// The folders in which nothing may be written: the quarantine, and the run that it belongs to.
    taken: Vec<PathBuf>,
}

impl Job {
    /// A job over the rejected records of an earlier split, to run them again: after they were mended, say, or with other
    /// options. It takes the folder `_quarantine` of that run, or the folder that holds it.
    ///
    /// Records may be changed in `lines.raw`, best in a copy of the folder, so that the run stays as it was. Each must keep the
    /// number of lines that `outcome.ndjson` tells; one that is not wanted any more may become as many empty lines. A record
    /// of several lines that is sound is delivered on one line, without the white space between its tokens; a Bundle is opened.
    ///
    /// A record that is rejected again is told, and kept, under the place where it stood in its original source, with what is
    /// wrong with it on its own (which may be another fault than within the Bundle in which it stood). The place is exact,
    /// unless it shares its entry in `outcome.ndjson` with others. Then the first and the last of them have
    /// their exact places; one between has its line if they stood on consecutive lines, and its byte if, besides, nothing
    /// was changed and every one had the same kind of line end; otherwise it has the line or the byte of the first. What a
    /// Bundle holds that is rejected has its line, and its byte if no record was changed, else the byte of the Bundle.
    ///
    /// ```
    /// use fhirline::{Job, SplitJob};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let export = folder.path().join("export.jsonl");
    /// std::fs::write(&export, "{\"resourceType\":\"Goal\"}\n{\"resourceType\":Goal}\nnot a record\n")?;
    /// let out = folder.path().join("out");
    /// Job::new([&export])?.split(&SplitJob::to(&out), &mut |_| {})?;
    ///
    /// let rejected = out.join("_quarantine/lines.raw");
    /// let mended = std::fs::read_to_string(&rejected)?.replace(":Goal", ":\"Goal\"");
    /// std::fs::write(&rejected, mended)?;
    /// let again = folder.path().join("again");
    /// let report = Job::replay_of(&out)?.split(&SplitJob::to(&again), &mut |_| {})?;
    /// assert_eq!(std::fs::read(again.join("Goal.ndjson"))?, b"{\"resourceType\":\"Goal\"}\n");
    /// assert_eq!(report.account.faults[0].first.line, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`JobError::Replay`] if there is no quarantine, nothing in it, or what is in it does not fit together.
    pub fn replay_of(folder: impl AsRef<Path>) -> Result<Self, JobError> {
        // What does not exist is told as for any other source.
        Sources::parse([folder.as_ref()])?;
        let replay = Replay::of(folder.as_ref())?;
        let job = Self::new(replay.paths())?;
        Ok(Self { replay: Some(replay), ..job })
    }
}

impl Replay {
    /// The quarantine in that folder, or in the folder `_quarantine` in it.
    pub(crate) fn of(folder: &Path) -> Result<Self, ReplayError> {
        let quarantine = find(folder)?;
        let file = |name: &'static str| match quarantine.join(name) {
            path if path.exists() => Marked::new(path),
            _ => Err(ReplayError::NoQuarantine { name: folder.display().to_string(), missing: name }),
        };
        let (raw, outcomes) = (file(file_name(RAW_NAME))?, file(file_name(OUTCOME_NAME))?);
        if raw.bytes() == 0 && outcomes.bytes() == 0 {
            return Err(ReplayError::Nothing { name: folder.display().to_string() });
        }
        let files = Files { raw, outcomes };
        let by = By::of(&files)?;
        Ok(Self { files, by, taken: taken_by(&quarantine) })
    }

    /// The files that are read.
    pub(crate) fn paths(&self) -> [&Path; 2] {
        [self.files.raw.path(), self.files.outcomes.path()]
    }

    /// Bytes of the records.
    pub(crate) fn raw_bytes(&self) -> u64 {
        self.files.raw.bytes()
    }

    /// Refuses to write into the run whose records these are.
    pub(crate) fn check_destination(&self, folder: &Path) -> Result<(), ReplayError> {
        let absolute = path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let existing = absolute.ancestors().find_map(|path| path.canonicalize().ok());
        let within = |existing: PathBuf| self.taken.iter().any(|taken| existing.starts_with(taken));
        if existing.is_some_and(within) {
            return Err(ReplayError::WithinRun { name: folder.display().to_string() });
        }
        Ok(())
    }

    /// What tells these files from others, and from what they were before they were changed.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for file in [&self.files.raw, &self.files.outcomes] {
            hash.update(format!("{:?} {file:?}", file.path().canonicalize().ok()));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The sources: one for each stretch of records that came from the same one.
    pub(crate) fn entries(&self) -> Entries {
        Entries::new(self.files.clone(), self.by)
    }

    /// Leads from a place in these sources to where the record stood.
    pub(crate) fn places(&self) -> Places {
        let mut cursor = Cursor::new(self.files.clone(), self.by);
        Arc::new(Mutex::new(move |at| cursor.place(at).map_err(Into::into)))
    }
}

/// The quarantine that is meant by a folder.
fn find(folder: &Path) -> Result<PathBuf, ReplayError> {
    let holds =
        |folder: &Path| [RAW_NAME, OUTCOME_NAME].iter().any(|name| folder.join(file_name(name)).exists());
    let inner = folder.join(folder_name());
    if holds(folder) {
        return Ok(folder.to_owned());
    }
    if holds(&inner) {
        return Ok(inner);
    }
    if is_run(folder) || is_empty(folder) || is_empty(&inner) {
        return Err(ReplayError::Nothing { name: folder.display().to_string() });
    }
    Ok(folder.to_owned())
}

/// The folders in which a replay of that quarantine may not write.
fn taken_by(quarantine: &Path) -> Vec<PathBuf> {
    let Ok(quarantine) = quarantine.canonicalize() else { return Vec::new() };
    let named = quarantine.file_name().is_some_and(|name| name == folder_name());
    let run = quarantine.parent().filter(|parent| named && is_run(parent)).map(Path::to_owned);
    run.into_iter().chain([quarantine]).collect()
}

/// Whether a folder holds a complete run of ours.
fn is_run(folder: &Path) -> bool {
    let path = folder.join(manifest::NAME);
    let fits = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= manifest::MAX_BYTES);
    let json = if fits { fs::read(path).ok() } else { None };
    json.is_some_and(|json| serde_json::from_slice::<Manifest>(&json).is_ok())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// The name of the folder in which a run keeps its rejected records.
fn folder_name() -> &'static str {
    RAW_NAME.split('/').next().unwrap_or(RAW_NAME)
}

fn file_name(name: &'static str) -> &'static str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cancel, Event, Report, SplitJob};
    use fhirline_line_split::ChunkSize;
    use tempfile::TempDir;

    /// A place with a run in `out` that rejected every second record of three sources.
    fn place() -> TempDir {
        let records = (0..50).map(|number| format!("{{\"resourceType\":\"Goal\"}}\nbroken {number}\n"));
        place_of(&records.collect::<String>())
    }

    /// The same with records of several lines, a Bundle among them.
    fn place_of_values() -> TempDir {
        let goal = "{\n\"resourceType\":\"Goal\"}";
        let entries = format!("{{\"resource\":{goal}}},\n{{\"resource\":{{\n}}}},").repeat(9);
        let bundle = format!("{{\"resourceType\":Bundle,\n\"type\":\"batch\",\"entry\":[{entries}{{}}]}}\n");
        let records = (0..20).map(|number| format!("{goal}\n{{\n\"broken\": {number}\n}}\n"));
        let records: Vec<String> = records.collect();
        let place = place_of(&[&records[..10].concat(), &bundle[..], &records[10..].concat()].concat());
        let raw = place.path().join("out/_quarantine/lines.raw");
        let mended = fs::read_to_string(&raw).expect("read").replace(":Bundle", ":\"Bundle\"");
        fs::write(&raw, mended).expect("written");
        place
    }

    fn place_of(text: &str) -> TempDir {
        let place = TempDir::new().expect("a folder");
        let sources = ["a", "b", "c"].map(|name| place.path().join(name));
        for source in &sources {
            fs::write(source, text).expect("written");
        }
        split(Job::new(&sources).expect("sources"), &place.path().join("out"), &mut |_| {}).expect("split");
        place
    }

    fn split(job: Job, to: &Path, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Report, JobError> {
        let chunk_size = ChunkSize { max_bytes: 64, ..ChunkSize::default() };
        let job = Job { chunk_size, ..job.memory_bytes(1 << 30).threads(1) };
        job.split(&SplitJob::to(to), on_event)
    }

    fn replay(place: &TempDir) -> Job {
        Job::replay_of(place.path().join("out")).expect("a quarantine")
    }

    fn read(place: &TempDir, name: &str) -> Vec<u8> {
        fs::read(place.path().join(name)).expect("read")
    }

    #[test]
    fn events_tell_the_original_places() {
        let place = place();
        let mut told = Vec::new();
        let job = replay(&place).memory_bytes(1 << 30);
        assert_eq!(job.total_bytes(), Some(read(&place, "out/_quarantine/lines.raw").len() as u64));
        let on_event = &mut |event: Event<'_>| {
            if let Event::Rejected { source, position, .. } = event {
                told.push((source.rsplit('/').next().map(str::to_owned), position.line, position.byte));
            }
        };
        job.cat(&mut std::io::sink(), on_event).expect("run");
        assert_eq!(told.len(), 150);
        assert_eq!(told[1], (Some("a".to_owned()), 4, 24 + 9 + 24));
        assert_eq!(told[149].0.as_deref(), Some("c"));
        assert_eq!(told[149].1, 100);
    }

    #[test]
    fn an_interrupted_replay_goes_on() {
        for rejects_until_stopped in [[70, 20, 1000], [1, 1, 1000], [100, 49, 1000]] {
            goes_on(&place(), rejects_until_stopped);
        }
        // In the middle of a Bundle, and before and behind it.
        for first in 9..23 {
            goes_on(&place_of_values(), [first, 5, 1000]);
        }
    }

    /// A replay that is stopped twice leaves what one leaves that was not.
    fn goes_on(place: &TempDir, rejects_until_stopped: [u64; 3]) {
        let whole = place.path().join("whole");
        split(replay(place), &whole, &mut |_| {}).expect("run");
        let again = place.path().join("again");
        let mut runs = 0;
        for rejects_until_stopped in rejects_until_stopped {
            let (cancel, mut rejects) = (Cancel::new(), 0);
            let stop = cancel.clone();
            let on_event = &mut |event: Event<'_>| {
                rejects += u64::from(matches!(event, Event::Rejected { .. }));
                if rejects == rejects_until_stopped {
                    stop.cancel();
                }
            };
            runs += u64::from(split(replay(place).cancelled_by(cancel), &again, on_event).is_err());
        }
        assert_eq!(runs, 2);
        for name in ["_quarantine/lines.raw", "_quarantine/outcome.ndjson", "manifest.json"] {
            assert!(read(place, &format!("again/{name}")) == read(place, &format!("whole/{name}")), "{name}");
        }
    }

    #[test]
    fn a_quarantine_that_changes_meanwhile_ends_in_nothing_complete() {
        let place = place();
        let outcomes = place.path().join("out/_quarantine/outcome.ndjson");
        let on_event = &mut |event: Event<'_>| {
            if let Event::SourceBegun { .. } = event {
                fs::write(&outcomes, "").expect("written");
            }
        };
        let refused = split(replay(&place), &place.path().join("again"), on_event).expect_err("changed");
        assert!(matches!(refused, JobError::Replay(ReplayError::Changed { .. })), "{refused:?}");
        assert!(!place.path().join("again/manifest.json").exists());
        let names: Vec<_> = fs::read_dir(place.path().join("again")).expect("listed").collect();
        let is_partial = |entry: &std::io::Result<fs::DirEntry>| {
            entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "partial"))
        };
        assert!(names.iter().all(is_partial), "{names:?}");
    }
}
