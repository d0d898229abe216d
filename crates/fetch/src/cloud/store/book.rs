//! Which outputs there are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use object_store::UpdateVersion;

use super::journal::{self, BadJournal};
use super::output::{Left, Output, State};
use super::prefix::Prefix;
use super::{JOURNAL, is_internal};
use fhirline_core::PARTIAL_SUFFIX;

/// An output that has its provisional name.
pub(super) enum Entry {
    /// This process writes it.
    Open(Output),
    /// An earlier one did.
    Left(Left),
}

impl Entry {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Open(output) => output.length(),
            Self::Left(left) => left.length(),
        }
    }

    pub(super) fn upload(&self) -> Option<&str> {
        match self {
            Self::Open(output) => output.upload.as_deref(),
            Self::Left(left) => left.upload.as_deref(),
        }
    }

    fn states(&self) -> &[State] {
        match self {
            Self::Open(output) => &output.states,
            Self::Left(left) => &left.states,
        }
    }
}

/// All that is known of outputs on their way.
#[derive(Default)]
pub(super) struct Book {
    pub(super) loaded: bool,
    pub(super) entries: BTreeMap<String, Entry>,
    /// Provisional names that stand in the store as objects.
    pub(super) replaced: BTreeSet<String>,
    /// Packs in the store and their lengths.
    pub(super) packs: BTreeMap<Arc<str>, u64>,
    /// The version of the journal that is in the store, if there is one.
    pub(super) journal: Option<UpdateVersion>,
    /// The journal in the store tells more than is true by now; it must be written before parts are.
    pub(super) stale: bool,
    /// Parts on their way.
    pub(super) in_flight: usize,
    /// Why a part did not come up.
    failed: Option<(io::ErrorKind, String)>,
    serials: u64,
    pub(super) packs_written: u64,
}

impl Book {
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serials += 1;
        self.serials
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The output of that name, if it is the one with that number.
    pub(super) fn output(&mut self, name: &str, serial: u64) -> io::Result<&mut Output> {
        match self.entries.get_mut(name) {
            Some(Entry::Open(output)) if output.serial == serial => Ok(output),
            _ => {
                let why = format!("{name}{PARTIAL_SUFFIX} is gone");
                Err(io::Error::new(io::ErrorKind::NotFound, why))
            }
        }
    }

    pub(super) fn outputs_mut(&mut self) -> impl Iterator<Item = (&String, &mut Output)> {
        self.entries.iter_mut().filter_map(|(name, entry)| match entry {
            Entry::Open(output) => Some((name, output)),
            Entry::Left(_) => None,
        })
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Entry> {
        let entry = self.entries.remove(name)?;
        self.stale |= !entry.states().is_empty();
        Some(entry)
    }

    pub(super) fn remove_left(&mut self, name: &str) -> Option<Left> {
        match self.entries.remove(name)? {
            Entry::Left(left) => Some(left),
            open @ Entry::Open(_) => {
                self.entries.insert(name.to_owned(), open);
                None
            }
        }
    }

    pub(super) fn fail(&mut self, error: &io::Error) {
        self.failed.get_or_insert_with(|| (error.kind(), error.to_string()));
    }

    /// Fails if a part did not come up.
    pub(super) fn check(&self) -> io::Result<()> {
        match &self.failed {
            None => Ok(()),
            Some((kind, why)) => Err(io::Error::new(*kind, why.clone())),
        }
    }

    /// The packs that somebody may still need.
    pub(super) fn packs_in_use(&self) -> BTreeSet<Arc<str>> {
        journal::packs(self.entries.values().flat_map(Entry::states))
    }

    pub(super) fn journal_bytes(&self) -> io::Result<Vec<u8>> {
        let open = self.entries.iter().filter_map(|(name, entry)| match entry {
            Entry::Open(output) => Some((name, output)),
            Entry::Left(_) => None,
        });
        let left = self.entries.iter().filter_map(|(name, entry)| match entry {
            Entry::Left(left) => Some((name, left)),
            Entry::Open(_) => None,
        });
        Ok(journal::write(open, left)?)
    }

    /// Reads what an earlier process left, and removes what is of no use to anybody: packs that the journal does not know,
    /// and the journal and all packs if every output in it has its final name.
    pub(super) fn load(&mut self, objects: &Prefix) -> io::Result<()> {
        let listed: BTreeMap<String, u64> = objects.list()?.into_iter().collect();
        if listed.contains_key(JOURNAL) {
            self.load_journal(objects)?;
        }
        // Whoever sealed an output may have died before it took it out of the journal.
        self.entries.retain(|name, entry| listed.get(name) != Some(&entry.length()));
        for (name, &bytes) in &listed {
            if journal::is_pack(name) {
                self.packs.insert(name.as_str().into(), bytes);
            } else if name.ends_with(PARTIAL_SUFFIX) && !is_internal(name) {
                self.replaced.insert(name.clone());
            }
        }
        self.loaded = true;
        if self.is_empty() { self.clear(objects) } else { self.remove_packs(objects) }
    }

    fn load_journal(&mut self, objects: &Prefix) -> io::Result<()> {
        let Some((bytes, version)) = objects.get_versioned(JOURNAL, journal::MAX_BYTES)? else {
            return Ok(());
        };
        self.journal = Some(version);
        match journal::parse(&bytes) {
            Ok(left) => {
                self.entries = left.into_iter().map(|(name, left)| (name, Entry::Left(left))).collect();
                Ok(())
            }
            // Whoever looks for outputs finds none, and begins afresh.
            Err(BadJournal::Damaged) => Ok(()),
            Err(BadJournal::OtherVersion(version)) => {
                let why = format!("{JOURNAL} has format {version}, which this version cannot read");
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
        }
    }

    /// Removes packs that nobody needs any more.
    pub(super) fn remove_packs(&mut self, objects: &Prefix) -> io::Result<()> {
        let in_use = self.packs_in_use();
        let unused: Vec<_> = self.packs.keys().filter(|name| !in_use.contains(*name)).cloned().collect();
        for name in unused {
            objects.delete(&name)?;
            self.packs.remove(&name);
        }
        Ok(())
    }

    /// Removes the journal and the packs: there is nothing to go on with.
    pub(super) fn clear(&mut self, objects: &Prefix) -> io::Result<()> {
        if self.journal.is_some() {
            objects.delete(JOURNAL)?;
            self.journal = None;
        }
        self.stale = false;
        self.remove_packs(objects)
    }
}
