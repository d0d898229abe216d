use std::collections::BTreeMap;

use fhirline_core::Destination;
use fhirline_flow::{Cancel, RunError};

use super::RestoreError;
use super::layout::Layout;
use super::output::Output;
use super::told::{BundleHead, EntryHead, Told};
use crate::JobError;

/// Puts Bundles together from what a run has left of them.
pub(super) struct Assembly<'c> {
    pub(super) bundles: Told,
    pub(super) entries: Told,
    pub(super) outputs: Outputs,
    pub(super) layout: Layout,
    pub(super) cancel: &'c Cancel,
    pub(super) tally: Tally,
}

/// What was put together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) entries: u64,
    pub(super) resources: u64,
}

impl Assembly<'_> {
    pub(super) fn all(&mut self) -> Result<(), JobError> {
        while let Some(head) = self.bundles.head()? {
            self.bundle(head)?;
        }
        if self.entries.head::<EntryHead>()?.is_some() {
            return Err(self.entries.foreign().into());
        }
        Ok(self.outputs.finish()?)
    }

    /// A Bundle whose first line is begun.
    fn bundle(&mut self, mut head: BundleHead) -> Result<(), JobError> {
        self.layout.begin_bundle()?;
        let entries = loop {
            self.layout.begin_members();
            self.bundles.members(&mut |piece| Ok(self.layout.members(piece)?))?;
            if let Some(entries) = head.entries {
                break entries;
            }
            let next = self.bundles.head::<BundleHead>()?.filter(|next| next.bundle == head.bundle);
            head = next.ok_or_else(|| self.bundles.foreign())?;
        };
        if head.ending.as_deref() != Some("closed") {
            return Err(RestoreError::NoEnd { bundle: head.bundle }.into());
        }
        // FHIR knows no empty arrays.
        if entries > 0 {
            self.layout.begin_members();
            self.layout.members(b"\"entry\":[")?;
            for number in 0..entries {
                self.layout.begin_entry(number)?;
                self.entry(&head.bundle, number)?;
            }
            self.layout.put(b"]")?;
        }
        Ok(self.layout.end_bundle()?)
    }

    fn entry(&mut self, bundle: &str, number: u64) -> Result<(), JobError> {
        if self.cancel.is_cancelled() {
            return Err(RunError::Cancelled.into());
        }
        let mut head = self.entry_head(bundle, number)?;
        if head.outputs.as_deref().is_some_and(|outputs| outputs == [Destination::Entries.name()]) {
            self.bare_entry()?;
        } else {
            self.layout.begin_object()?;
            let outputs = loop {
                self.layout.begin_members();
                self.entries.members(&mut |piece| Ok(self.layout.members(piece)?))?;
                if let Some(outputs) = head.outputs {
                    break outputs;
                }
                head = self.entry_head(bundle, number)?;
            };
            for name in outputs {
                self.layout.begin_members();
                self.layout.members(b"\"resource\":")?;
                self.record(&name)?;
            }
            self.layout.put(b"}")?;
        }
        self.layout.count_entry();
        self.tally.entries += 1;
        Ok(())
    }

    fn entry_head(&mut self, bundle: &str, number: u64) -> Result<EntryHead, RestoreError> {
        let head = self.entries.head::<EntryHead>()?;
        let ours = head.filter(|head| head.bundle == bundle && head.entry == number);
        ours.ok_or_else(|| self.entries.foreign())
    }

    /// An entry without a resource, which stands in its sidecar as it was.
    fn bare_entry(&mut self) -> Result<(), JobError> {
        let mut any = false;
        self.entries.members(&mut |piece| {
            any |= !piece.is_empty();
            Ok(())
        })?;
        if any {
            return Err(self.entries.foreign().into());
        }
        self.outputs.copy(Destination::Entries.name(), &mut self.layout)
    }

    fn record(&mut self, name: &str) -> Result<(), JobError> {
        let is_record = Destination::from_name(name).is_some_and(|destination| !destination.is_sidecar());
        if !is_record {
            return Err(self.entries.foreign().into());
        }
        self.tally.resources += 1;
        self.outputs.copy(name, &mut self.layout)
    }
}

/// The outputs that hold resources and entries, each read once and all at the same time.
pub(super) struct Outputs {
    pub(super) by_name: BTreeMap<String, Output>,
    /// What readers may hold, and what they do.
    pub(super) memory: Memory,
    space: Vec<u8>,
}

/// What readers may hold, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) ceiling: u64,
    pub(super) most: u64,
    pub(super) held: u64,
}

impl Memory {
    /// One of so many readers holds that much now, and held that much before.
    fn change(&mut self, before: u64, now: u64, readers: usize) -> Result<(), RestoreError> {
        self.held = self.held.saturating_sub(before) + now;
        if self.held <= self.most {
            return Ok(());
        }
        // The others may hold as much.
        let needed = self.held.max(now * readers as u64);
        Err(RestoreError::Memory { least_bytes: self.ceiling + needed - self.most })
    }
}

impl Outputs {
    pub(super) fn new(by_name: BTreeMap<String, Output>, memory: Memory) -> Self {
        Self { by_name, memory, space: Vec::new() }
    }

    /// Copies the next line of that output.
    fn copy(&mut self, name: &str, layout: &mut Layout) -> Result<(), JobError> {
        let readers = self.by_name.len();
        let too_few = || RestoreError::TooFew { name: name.to_owned() };
        let output = self.by_name.get_mut(name).ok_or_else(too_few)?;
        let before = output.memory_bytes();
        if !output.begin_line()? {
            return Err(too_few().into());
        }
        self.memory.change(before, output.memory_bytes(), readers)?;
        loop {
            let is_last = output.piece(&mut self.space)?;
            layout.put(&self.space)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Whether nothing is left, and all was what the manifest says.
    fn finish(&mut self) -> Result<(), RestoreError> {
        for output in self.by_name.values_mut() {
            let (name, records) = (output.name().to_owned(), output.left());
            if records > 0 {
                return Err(RestoreError::Outside { output: name, records });
            }
            if output.begin_line()? {
                return Err(RestoreError::Foreign { name, line: output.line() });
            }
        }
        Ok(())
    }
}
