use std::collections::{BTreeMap, BTreeSet};

use fhirline_core::{ChecksumKind, Setting, Store};
use fhirline_flow::{Cancel, RunError};

use super::copy::Place;
use super::crew::{Ended, Stop, fetch_all};
use super::event::FetchEvent;
use super::manifest::DownloadManifest;
use super::names::Names;
use super::note::{ExportMark, FileNote, Note, Notes, Seen};
use super::report::{FetchFailureReport, FetchReport, FetchedReport};
use super::start::{self, Holds};
use super::wanted::Wanted;
use super::{FetchJob, OnFetch};
use crate::{ExitStatus, JobError, manifest};

/// A download into a store that nobody else writes to.
#[derive(Debug)]
pub(crate) struct Run<'r> {
    pub(crate) to: &'r FetchJob,
    pub(crate) store: &'r dyn Store,
    pub(crate) cancel: &'r Cancel,
    pub(crate) wanted: &'r [Wanted],
    /// The export whose files these are, if they are.
    pub(crate) export: Option<&'r ExportMark>,
}

impl Run<'_> {
    /// Looks what the store holds, and fetches what is left to fetch.
    pub(crate) fn run(&self, on_event: &mut OnFetch<'_>) -> Result<FetchReport, JobError> {
        let plan = self.plan();
        let note =
            match start::look(self.store, self.export.is_some()).map_err(self.to.failed("look into"))? {
                Holds::Others => return Err(JobError::NotOurs { name: self.to.name() }),
                Holds::Nothing => plan,
                Holds::Complete(manifest) if self.to.overwrite => {
                    replacing(plan, start::names_complete(&manifest))
                }
                Holds::Complete(manifest) => return self.on_complete(&plan, *manifest),
                Holds::Interrupted(note) if self.to.overwrite => replacing(plan, start::names_left(&note)),
                Holds::Interrupted(note) => self.on_interrupted(plan, note)?,
            };
        let note = start::clear(self.store, note, self.to.durable).map_err(self.to.failed("clean"))?;
        let notes = Notes::begin(self.store, self.to.durable, note).map_err(self.to.failed("write to"))?;
        let outcome = self.fetch(&notes, on_event);
        // Also of a run that had to stop: what has come is worth knowing.
        let noted = notes.write_all().map_err(self.to.failed("write to"));
        let (ended, kept) = outcome?;
        noted?;
        let files = notes.into_files();
        let report = report(&files, ended, &kept);
        if report.failures.is_empty() {
            self.seal(files)?;
        }
        Ok(report)
    }

    /// The note of a download of which nothing is there.
    fn plan(&self) -> Note {
        let mut names = Names::new();
        let file = |wanted: &Wanted| FileNote {
            key: wanted.key(),
            source: wanted.source.clone(),
            name: names.name(wanted),
            part: wanted.part,
            resource_type: wanted.resource_type.clone(),
            count: wanted.count,
            begun: None,
            done: None,
        };
        let files = self.wanted.iter().map(file).collect();
        let checksum = self.to.checksum.map(|kind| ChecksumKind::name(kind).to_owned());
        Note::new(checksum, self.export.cloned(), files)
    }

    /// The same files as before, or why not.
    fn on_complete(&self, plan: &Note, manifest: DownloadManifest) -> Result<FetchReport, JobError> {
        let (name, theirs) = (self.to.name(), &manifest.extension.fhirline);
        let differences = differences(plan, &theirs.files, theirs.checksum.as_ref());
        if !differences.is_empty() || self.any_changed(&theirs.files) {
            let differences = if differences.is_empty() { vec![THE_SOURCES.to_owned()] } else { differences };
            return Err(JobError::OtherRun { name, differences });
        }
        recorded(self.to, self.store, manifest)
    }

    /// Whether a local file is not what was fetched. What lies elsewhere is not asked: a link that has served its time may be
    /// dead.
    fn any_changed(&self, files: &[FileNote]) -> bool {
        let changed = |(wanted, file): (&Wanted, &FileNote)| {
            let origin = wanted.origin.as_ref().ok().filter(|_| !wanted.source.contains("://"));
            let Some(Ok(identity)) = origin.map(|origin| origin.identity()) else { return false };
            // A stream without a length is another each time.
            identity.stored_bytes.is_none() || file.begun.as_ref() != Some(&Seen::of(&identity))
        };
        self.wanted.iter().zip(files).any(changed)
    }

    fn on_interrupted(&self, plan: Note, mut note: Note) -> Result<Note, JobError> {
        let mut differences = differences(&plan, &note.files, note.checksum.as_ref());
        let id = |export: Option<&ExportMark>| export.map(|export| export.id.clone());
        if id(note.export.as_ref()) != id(self.export) {
            differences.push(THE_EXPORT.to_owned());
        }
        if !differences.is_empty() {
            return Err(JobError::OtherOptions { name: self.to.name(), differences });
        }
        for (file, planned) in note.files.iter_mut().zip(plan.files) {
            (file.key, file.source) = (planned.key, planned.source);
            let Some(done) = &file.done else { continue };
            let there = self.store.stored_bytes(&done.name).map_err(self.to.failed("look into"))?;
            if there != Some(done.bytes) {
                file.done = None;
            }
        }
        Ok(note)
    }

    /// Fetches what is not there; what became of it, and what was there.
    fn fetch(
        &self,
        notes: &Notes<'_>,
        on_event: &mut OnFetch<'_>,
    ) -> Result<(Vec<Ended>, BTreeSet<usize>), JobError> {
        let noted: Vec<FileNote> = (0..self.wanted.len()).filter_map(|ordinal| notes.of(ordinal)).collect();
        let (mut left, mut kept) = (Vec::new(), BTreeSet::new());
        for (ordinal, file) in noted.iter().enumerate() {
            match &file.done {
                None => left.push(ordinal),
                Some(done) => {
                    let (name, bytes) = (done.name.clone(), done.bytes);
                    on_event(&FetchEvent::Finished { ordinal, name, bytes, kept: true });
                    kept.insert(ordinal);
                }
            }
        }
        let place = Place {
            store: self.store,
            notes,
            checksum: self.to.checksum,
            durable: self.to.durable,
            cancel: self.cancel,
        };
        let names: Vec<String> = noted.into_iter().map(|file| file.name).collect();
        let ended = fetch_all(place, &left, self.wanted, &names, self.to.max_downloads, on_event);
        let ended = ended.map_err(|stop| match stop {
            Stop::Store(action, error) => self.to.failed(action)(error),
            Stop::Run(error) => error.into(),
        })?;
        Ok((ended, kept))
    }

    /// Writes the manifest: what it names is complete as soon as it can be seen.
    fn seal(&self, files: Vec<FileNote>) -> Result<(), JobError> {
        if !self.cancel.pass_stopping() {
            return Err(RunError::Cancelled.into());
        }
        let checksum = self.to.checksum.map(|kind| kind.name().to_owned());
        let json = DownloadManifest::new(checksum, self.export, files).to_json();
        if self.to.durable {
            self.store.sync().map_err(self.to.failed("write to"))?;
        }
        self.store.put_if_absent(manifest::NAME, &json).map_err(self.to.failed("write to"))?;
        start::tidy(self.store).map_err(self.to.failed("clean"))?;
        if self.to.durable {
            self.store.sync().map_err(self.to.failed("write to"))?;
        }
        Ok(())
    }
}

/// The report of a download that was complete before.
pub(crate) fn recorded(
    to: &FetchJob,
    store: &dyn Store,
    manifest: DownloadManifest,
) -> Result<FetchReport, JobError> {
    if let Some(file) = start::damaged(store, &manifest).map_err(to.failed("look into"))? {
        return Err(JobError::Damaged { name: to.name(), file });
    }
    start::tidy(store).map_err(to.failed("clean"))?;
    let files = manifest.extension.fhirline.files;
    let kept = (0..files.len()).collect();
    Ok(FetchReport { already_complete: true, ..report(&files, Vec::new(), &kept) })
}

fn replacing(mut plan: Note, names: Vec<String>) -> Note {
    plan.leftover = names;
    plan
}

pub(crate) const THE_EXPORT: &str = "the export";
const THE_SOURCES: &str = "the sources";

/// In what another download differs from the one planned; empty if in nothing.
fn differences(plan: &Note, theirs: &[FileNote], checksum: Option<&String>) -> Vec<String> {
    // What was not begun may have been found somewhere else meanwhile.
    let same = |(ours, theirs): (&FileNote, &FileNote)| {
        (ours.key == theirs.key || theirs.begun.is_none()) && ours.name == theirs.name
    };
    let same_sources = plan.files.len() == theirs.len() && plan.files.iter().zip(theirs).all(same);
    let same_checksum = plan.checksum.as_ref() == checksum;
    let named = [(same_checksum, Setting::Checksum.name()), (same_sources, THE_SOURCES)];
    named.into_iter().filter(|(same, _)| !same).map(|(_, what)| what.to_owned()).collect()
}

fn report(files: &[FileNote], ended: Vec<Ended>, kept: &BTreeSet<usize>) -> FetchReport {
    let mut ended: BTreeMap<usize, Ended> = ended.into_iter().map(|file| (file.ordinal, file)).collect();
    let mut report = FetchReport::default();
    for (ordinal, file) in files.iter().enumerate() {
        let now = ended.remove(&ordinal);
        report.fetched_bytes += now.as_ref().map_or(0, |now| now.bytes - now.from_bytes);
        match now {
            Some(Ended { failure: Some((causes, hint)), name, bytes, .. }) => {
                let source = file.source.clone();
                report.failures.push(FetchFailureReport { source, name, stored_bytes: bytes, causes, hint });
            }
            now => report.files.extend(fetched_report(file, now, kept.contains(&ordinal))),
        }
    }
    report.stored_bytes = report.files.iter().map(|file| file.stored_bytes).sum();
    if !report.failures.is_empty() {
        report.status = ExitStatus::Incomplete;
        report.conditions = vec![report.status];
    }
    report.exit_code = report.status.code();
    report
}

fn fetched_report(file: &FileNote, now: Option<Ended>, kept: bool) -> Option<FetchedReport> {
    let done = file.done.as_ref()?;
    let (from_bytes, begun_afresh) = now.map_or((0, None), |now| (now.from_bytes, now.begun_afresh));
    let resumed_from = if kept { Some(done.bytes) } else { Some(from_bytes).filter(|bytes| *bytes > 0) };
    Some(FetchedReport {
        name: done.name.clone(),
        source: file.source.clone(),
        resource_type: file.resource_type.clone(),
        declared: file.count,
        stored_bytes: done.bytes,
        checksum: done.checksum.clone(),
        resumed_from,
        begun_afresh,
    })
}
