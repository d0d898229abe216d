//! Checkpoints of a split, and the way back from one.

use std::collections::HashSet;
use std::sync::Arc;

use fhirline_core::{ChecksumKind, Destination, PARTIAL_SUFFIX, Store};
use serde_json::value::RawValue;

use super::{Savepoint, SplitOptions, SplitSink, sync_names};
use crate::Inline;
use crate::blocks::LONGEST_BLOCK;
use crate::checkpoint::{BlocksState, Checkpoint, OutputSavepoint, OutputState, PartState, State};
use crate::error::{ResumeError, SinkError};
use crate::long::PIECE_BYTES;
use crate::names::{Names, part_name};
use crate::open_blocks::{NAMES, OpenBlocks, provisional};
use crate::output::Output;
use crate::part::Part;
use crate::quarantine::{OUTCOME_NAME, Quarantine, RAW_NAME};

/// Where checkpoints are written, and what they hold beside the state of the sink.
pub(super) struct Checkpoints {
    /// Of the latest.
    name: String,
    run: Box<RawValue>,
    pub(super) open_blocks: OpenBlocks,
    /// Whether the latest one was made since the source began, and the same of the safe one.
    within_source: bool,
    safe_within_source: bool,
}

impl Checkpoints {
    fn json(&self, progress: &[u8], state: &State) -> Result<Vec<u8>, SinkError> {
        let json = Checkpoint::write(&self.run, progress, state);
        json.map_err(|error| SinkError::store("write to", &self.name)(error.into()))
    }

    fn replace_latest(&mut self, store: &dyn Store, json: &[u8], durable: bool) -> Result<(), SinkError> {
        store.replace(&self.name, json, durable).map_err(SinkError::store("write to", &self.name))?;
        self.within_source = true;
        Ok(())
    }

    fn replace_safe(&mut self, store: &dyn Store, json: &[u8]) -> Result<(), SinkError> {
        let name = safe_name(&self.name);
        store.replace(&name, json, true).map_err(SinkError::store("write to", &name))?;
        self.safe_within_source = true;
        Ok(())
    }
}

/// The name of the safe checkpoint beside the latest of that name: of `_fhirline.partial` it is `_fhirline-safe.partial`.
#[must_use]
pub fn safe_name(name: &str) -> String {
    format!("{}-safe{PARTIAL_SUFFIX}", name.trim_end_matches(PARTIAL_SUFFIX))
}

/// What was found when an interrupted run was taken up again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumed {
    /// Stored bytes of outputs and quarantine that were written behind the checkpoint, and are cut off.
    pub discarded_bytes: u64,
}

impl SplitSink {
    /// The same sink, which notes its state under that name of the store whenever it is told to. `name` is a full name and
    /// ends in [`PARTIAL_SUFFIX`]; `run` is what the caller wants to find again: [`Checkpoint::run`].
    #[must_use]
    pub fn with_checkpoints(mut self, name: impl Into<String>, run: Box<RawValue>) -> Self {
        let open_blocks = OpenBlocks::default();
        self.checkpoints = Some(Checkpoints {
            name: name.into(),
            run,
            open_blocks,
            within_source: false,
            safe_within_source: false,
        });
        self
    }

    /// Goes on where a checkpoint left a run, and notes further checkpoints under `name`.
    ///
    /// All that was written before the checkpoint is read and must be what it was, as far as the checksum tells. All that
    /// was written behind it is cut off, and provisional names that it does not know are removed. The next call is the
    /// one that came, or would have come, behind the checkpoint.
    ///
    /// # Errors
    /// When the outputs are not what they were or the options are others. Then nothing was lost that the checkpoint knows.
    pub fn resume(
        store: Arc<dyn Store>,
        options: SplitOptions,
        name: impl Into<String>,
        checkpoint: Checkpoint,
    ) -> Result<(Self, Resumed), ResumeError> {
        let Checkpoint { run, state, named, .. } = checkpoint;
        let name = name.into();
        check_options(&state, &options)?;
        // Nothing is cut before all that can be seen without is known to be there.
        let mut discarded_bytes = bytes_behind(&*store, &state, &named)?;
        let mut open_blocks = OpenBlocks::resume(&*store, state.blocks.as_ref())?;
        if let Some(safe) = safe_checkpoint(&*store, &name)? {
            open_blocks.keep(safe.state.blocks.as_ref());
        }
        let mut sink = Self::new(store, options);
        sink.checkpoints =
            Some(Checkpoints { name, run, open_blocks, within_source: true, safe_within_source: true });
        sink.resume_parts(&state, named)?;
        sink.resume_savepoint(&state);
        discarded_bytes += sink.remove_younger()?;
        sink.reopen_blocks(&state)?;
        Ok((sink, Resumed { discarded_bytes }))
    }

    pub(super) fn write_checkpoint(&mut self, progress: &[u8], sync: bool) -> Result<(), SinkError> {
        // Without a checksum nobody would see that a crash of the machine took what it vouches for.
        if !sync && self.options.durable && self.options.checksum.is_none() {
            return Ok(());
        }
        let Some(mut checkpoints) = self.checkpoints.take() else { return Ok(()) };
        let written = self.write_checkpoint_to(&mut checkpoints, progress, sync && self.options.durable);
        self.checkpoints = Some(checkpoints);
        written
    }

    fn write_checkpoint_to(
        &mut self,
        to: &mut Checkpoints,
        progress: &[u8],
        durable: bool,
    ) -> Result<(), SinkError> {
        self.write_waiting(0)?;
        self.write_open()?;
        if durable {
            self.parts_mut().try_for_each(Part::sync)?;
        }
        let open = self.outputs.iter().filter_map(|output| output.parts.last()).map(|part| &*part.open);
        let held = self.outputs[..self.savepoint.outputs].iter().filter_map(Output::savepoint_part);
        let blocks = to.open_blocks.write(&*self.store, open.chain(held.map(Part::held)), durable)?;
        if durable {
            self.sync_new_names(&mut to.open_blocks)?;
        }
        self.settle()?;
        let json = to.json(progress, &self.state(blocks))?;
        // In this order the latest is never older than the safe one, unless the machine crashes.
        to.replace_latest(&*self.store, &json, false)?;
        if durable {
            to.replace_safe(&*self.store, &json)?;
        }
        to.open_blocks.referred(blocks.as_ref());
        Ok(())
    }

    /// Notes the moment at which the source began. No block is open and none is on its way any more.
    pub(super) fn write_savepoint(&mut self, progress: &[u8]) -> Result<(), SinkError> {
        let Some(mut checkpoints) = self.checkpoints.take() else { return Ok(()) };
        let written = self.write_savepoint_to(&mut checkpoints, progress);
        self.checkpoints = Some(checkpoints);
        written
    }

    fn write_savepoint_to(&mut self, to: &mut Checkpoints, progress: &[u8]) -> Result<(), SinkError> {
        let durable = self.options.durable;
        if durable {
            self.parts_mut().try_for_each(Part::sync)?;
        }
        let open = self.open_at_savepoint()?;
        let blocks = to.open_blocks.write(&*self.store, open.iter().map(Vec::as_slice), durable)?;
        if durable {
            self.sync_new_names(&mut to.open_blocks)?;
        }
        self.settle()?;
        let json = to.json(progress, &self.state_at_savepoint(blocks))?;
        // In this order the safe one is never ahead of the latest: whoever goes on with the latest may cut off, or write
        // otherwise, what a safe one within the source refers to.
        if durable {
            to.replace_safe(&*self.store, &json)?;
        }
        // Durable, too: behind a crash of the machine the one within the source would say that it may not have changed.
        to.replace_latest(&*self.store, &json, durable)?;
        to.open_blocks.referred(blocks.as_ref());
        Ok(())
    }

    /// What the checkpoint that comes next refers to must be found by whoever goes on with it.
    fn settle(&self) -> Result<(), SinkError> {
        self.store.settle().map_err(SinkError::store("settle", &self.store.name()))
    }

    /// The bytes that outputs had in open blocks when the source began, in their order.
    fn open_at_savepoint(&mut self) -> Result<Vec<Vec<u8>>, SinkError> {
        let encoding = self.options.encoding;
        let old = self.outputs.iter_mut().take(self.savepoint.outputs);
        let parts = old.filter_map(|output| output.parts.get_mut(output.savepoint.saturating_sub(1)));
        parts
            .filter(|part| part.open_bytes_at_savepoint() > 0)
            .map(|part| part.open_at_savepoint(encoding))
            .collect()
    }

    /// What was noted so far lies before the source that begins.
    pub(super) fn leave_checkpoint_behind(&mut self) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.within_source = false;
            checkpoints.safe_within_source = false;
        }
    }

    /// Takes the checkpoints back that hold what is about to be cut off: other bytes may come to stand there, and without a
    /// checksum nobody would see it. The name of the latest stays, for whoever sees by it whose the outputs are.
    pub(super) fn withdraw_checkpoint(&mut self) -> Result<(), SinkError> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        let failed = |error| SinkError::store("write to", &checkpoints.name)(error);
        if checkpoints.safe_within_source {
            self.store.replace(&safe_name(&checkpoints.name), b"", self.options.durable).map_err(failed)?;
        }
        if checkpoints.within_source {
            self.store.replace(&checkpoints.name, b"", self.options.durable).map_err(failed)?;
        }
        (checkpoints.within_source, checkpoints.safe_within_source) = (false, false);
        Ok(())
    }

    /// Makes names that were made since the last checkpoint survive a crash of the machine.
    fn sync_new_names(&mut self, open_blocks: &mut OpenBlocks) -> Result<(), SinkError> {
        let mut new = open_blocks.take_new();
        self.parts_mut().for_each(|part| new |= part.take_new());
        sync_names(&*self.store, new)
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        self.outputs.iter_mut().flat_map(|output| &mut output.parts).chain(self.quarantine.parts_mut())
    }

    fn state(&self, blocks: Option<BlocksState>) -> State {
        let outputs = self.outputs.iter().enumerate();
        let outputs = outputs.map(|(number, output)| state_of(output, number < self.savepoint.outputs));
        State {
            suffix: self.options.encoding.suffix().to_owned(),
            checksum: self.options.checksum.map(|kind| kind.name().to_owned()),
            outputs: outputs.collect(),
            quarantine: self.quarantine.state(),
            diverted_records: self.diverted_records,
            savepoint_diverted_records: self.savepoint.diverted_records,
            blocks,
        }
    }

    /// The state as it was when the source began.
    fn state_at_savepoint(&self, blocks: Option<BlocksState>) -> State {
        let old = &self.outputs[..self.savepoint.outputs];
        State {
            outputs: old.iter().map(state_at_savepoint_of).collect(),
            quarantine: self.quarantine.state_at_savepoint(),
            diverted_records: self.savepoint.diverted_records,
            ..self.state(blocks)
        }
    }

    fn resume_parts(&mut self, state: &State, named: Vec<(Destination, String)>) -> Result<(), ResumeError> {
        let (store, checksum) = (&*self.store, self.options.checksum);
        let mut buffer = vec![0; PIECE_BYTES];
        for ((destination, stem), noted) in named.into_iter().zip(&state.outputs) {
            let parts = resume_output(store, &self.options, &stem, noted, &mut buffer)?;
            let savepoint = noted.savepoint.as_ref().map_or(0, |at| at.parts);
            self.names.stem(destination.name());
            self.numbers.insert(destination, self.outputs.len());
            self.outputs.push(Output { destination, stem, parts, savepoint });
        }
        self.quarantine = Quarantine::resume(store, checksum, &state.quarantine, &mut buffer)?;
        self.diverted_records = state.diverted_records;
        Ok(())
    }

    fn resume_savepoint(&mut self, state: &State) {
        let outputs = state.savepoint_outputs();
        let mut names = Names::default();
        for output in &self.outputs[..outputs] {
            names.stem(output.destination.name());
        }
        self.savepoint = Savepoint { outputs, names, diverted_records: state.savepoint_diverted_records };
    }

    /// Removes provisional names that the checkpoint does not know, and tells how many bytes of outputs went with them.
    fn remove_younger(&mut self) -> Result<u64, SinkError> {
        let names = self.store.list().map_err(SinkError::store("look into", &self.store.name()))?;
        let checkpoints = self.checkpoints.iter().flat_map(|of| [of.name.clone(), safe_name(&of.name)]);
        let mut known: HashSet<String> = checkpoints.chain(NAMES.map(provisional)).collect();
        known.extend(self.parts_mut().map(|part| provisional(part.name())));
        let mut removed_bytes = 0;
        for name in names.iter().filter(|name| is_provisional_of_ours(name) && !known.contains(*name)) {
            if is_output(name, self.options.encoding.suffix()) {
                let bytes = self.store.stored_bytes(name).map_err(SinkError::store("look for", name))?;
                removed_bytes += bytes.unwrap_or(0);
            }
            self.store.remove(name).map_err(SinkError::store("remove", name))?;
        }
        Ok(removed_bytes)
    }

    /// Puts the open blocks back. If they may take less memory than before, some are cut.
    fn reopen_blocks(&mut self, state: &State) -> Result<(), ResumeError> {
        let mut at = 0;
        for (number, noted) in state.outputs.iter().enumerate().filter(|(_, noted)| noted.open_bytes > 0) {
            let Some(checkpoints) = &mut self.checkpoints else { break };
            let block = checkpoints.open_blocks.read(at, noted.open_bytes)?;
            self.open_part(number).reopen(block);
            at += noted.open_bytes;
            self.cut_to_share(&Inline)?;
        }
        self.hold_again(state, at)
    }

    /// Puts back what is held of the blocks that were open at the savepoint; it lies from that byte on.
    fn hold_again(&mut self, state: &State, mut at: u64) -> Result<(), ResumeError> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        for (output, noted) in self.outputs.iter_mut().zip(&state.outputs) {
            let held_bytes = noted.held_bytes();
            if let (1.., Some(part)) = (held_bytes, output.savepoint_part_mut()) {
                part.hold(checkpoints.open_blocks.read(at, held_bytes)?);
                at += held_bytes;
            }
        }
        Ok(())
    }
}

/// The safe checkpoint beside the latest of that name, if it makes sense.
fn safe_checkpoint(store: &dyn Store, name: &str) -> Result<Option<Checkpoint>, SinkError> {
    let name = safe_name(name);
    let found = store.stored_bytes(&name).map_err(SinkError::store("look for", &name))?;
    if found.is_none_or(|bytes| bytes > Checkpoint::MAX_BYTES) {
        return Ok(None);
    }
    let bytes = store.get(&name, Checkpoint::MAX_BYTES).map_err(SinkError::store("read", &name))?;
    Ok(bytes.and_then(|bytes| Checkpoint::parse(&bytes).ok()))
}

fn state_of(output: &Output, before_savepoint: bool) -> OutputState {
    OutputState {
        destination: output.destination.name().to_owned(),
        parts: output.parts.iter().map(Part::state).collect(),
        open_bytes: output.parts.last().map_or(0, |part| part.open.len() as u64),
        savepoint: savepoint_of(output).filter(|_| before_savepoint),
    }
}

/// The state of an output that is older than the savepoint, as it was then.
fn state_at_savepoint_of(output: &Output) -> OutputState {
    let mut parts: Vec<PartState> = output.parts[..output.savepoint].iter().map(Part::state).collect();
    let last = output.savepoint_part();
    if let (Some(noted), Some(last)) = (parts.last_mut(), last) {
        *noted = last.state_at_savepoint();
    }
    OutputState {
        destination: output.destination.name().to_owned(),
        parts,
        open_bytes: last.map_or(0, Part::open_bytes_at_savepoint),
        savepoint: savepoint_of(output).map(OutputSavepoint::not_passed),
    }
}

fn savepoint_of(output: &Output) -> Option<OutputSavepoint> {
    let last = output.savepoint_part()?.savepoint_state();
    Some(OutputSavepoint { parts: output.savepoint, last })
}

/// Refuses to go on with other options than those that the checkpoint was made with, as far as they would do harm.
fn check_options(state: &State, options: &SplitOptions) -> Result<(), ResumeError> {
    let other = |what| Err(ResumeError::OtherOptions { what });
    if state.suffix != options.encoding.suffix() {
        return other("compression");
    }
    if state.checksum.as_deref() != options.checksum.map(ChecksumKind::name) {
        return other("checksum");
    }
    let most = options.block_bytes.max(LONGEST_BLOCK) as u64;
    let held = |output: &OutputState| {
        let behind = |at: &OutputSavepoint| at.last.plain_bytes - at.last.anchor_plain_bytes;
        output.open_bytes.max(output.savepoint.as_ref().map_or(0, behind))
    };
    if state.outputs.iter().any(|output| held(output) > most) {
        return other("block size");
    }
    Ok(())
}

/// The names of all parts that a checkpoint knows, and what it says of them.
fn noted_parts<'s>(
    state: &'s State,
    named: &'s [(Destination, String)],
) -> impl Iterator<Item = (String, &'s PartState)> {
    let outputs = named.iter().zip(&state.outputs).flat_map(|((_, stem), output)| {
        let name = |number| part_name(stem, number, &state.suffix);
        output.parts.iter().enumerate().map(move |(place, part)| (name(place + 1), part))
    });
    let quarantine = state.quarantine.files.iter();
    let quarantine = quarantine.flat_map(|files| [(RAW_NAME, &files.raw), (OUTCOME_NAME, &files.outcomes)]);
    outputs.chain(quarantine.map(|(name, part)| (name.to_owned(), part)))
}

/// How many bytes were written behind the checkpoint, once every part is seen to be there and long enough.
fn bytes_behind(
    store: &dyn Store,
    state: &State,
    named: &[(Destination, String)],
) -> Result<u64, ResumeError> {
    let mut behind = 0;
    for (name, part) in noted_parts(state, named) {
        let name = provisional(&name);
        let found = store.stored_bytes(&name).map_err(SinkError::store("look for", &name))?;
        let Some(stored_bytes) = found else { return Err(ResumeError::Missing { name }) };
        let Some(more) = stored_bytes.checked_sub(part.stored_bytes) else {
            return Err(ResumeError::Short { name, stored_bytes, noted_bytes: part.stored_bytes });
        };
        behind += more;
    }
    Ok(behind)
}

fn resume_output(
    store: &dyn Store,
    options: &SplitOptions,
    stem: &str,
    noted: &OutputState,
    buffer: &mut [u8],
) -> Result<Vec<Part>, ResumeError> {
    let savepoint = |place: usize| noted.savepoint.as_ref().filter(|at| at.parts == place + 1);
    let resume = |(place, part): (usize, &PartState)| {
        let name = part_name(stem, place + 1, options.encoding.suffix());
        let at = savepoint(place).map(|at| &at.last);
        Part::resume(store, name, options.checksum, part, at, buffer)
    };
    noted.parts.iter().enumerate().map(resume).collect()
}

/// Whether a provisional name may be that of an output or of the quarantine.
fn is_output(provisional_name: &str, suffix: &str) -> bool {
    let name = provisional_name.strip_suffix(PARTIAL_SUFFIX).unwrap_or_default();
    let of_type = name.strip_suffix(suffix).is_some_and(|name| name.ends_with(".ndjson"));
    of_type || [RAW_NAME, OUTCOME_NAME].contains(&name)
}

/// Whether a name may be a provisional one of ours: of an output, the quarantine, the manifest, a checkpoint or what belongs to
/// it, or what a store puts beside one of those for a moment. All others belong to somebody else.
#[must_use]
pub fn is_provisional_of_ours(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(PARTIAL_SUFFIX) else { return false };
    let stem = without_number(stem);
    let fixed = [RAW_NAME, OUTCOME_NAME, "manifest.json", "_fhirline", "_fhirline-safe", "spool"];
    let output = [".ndjson", ".ndjson.gz", ".ndjson.zst"].iter().any(|end| stem.ends_with(end));
    fixed.contains(&stem) || NAMES.contains(&stem) || (output && !stem.contains('/'))
}

/// Without what a store adds to the name of an object that it is about to put in place: `.` and two numbers (process and count)
/// behind a name that is final or provisional.
fn without_number(stem: &str) -> &str {
    match stem.rsplit_once('.') {
        Some((base, number))
            if number.contains('-') && number.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) =>
        {
            base.strip_suffix(PARTIAL_SUFFIX).unwrap_or(base)
        }
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_not_finished_is_theirs() {
        for ours in [
            "Patient.ndjson.partial",
            "Goal.0002.ndjson.zst.partial",
            "_quarantine/lines.raw.partial",
            "_quarantine/outcome.ndjson.partial",
            "manifest.json.partial",
            "manifest.json.partial.17-0.partial",
            "_fhirline.partial",
            "_fhirline-safe.partial.17-3.partial",
            "_blocks-3.partial",
            "spool.17-0.partial",
        ] {
            assert!(is_provisional_of_ours(ours), "{ours}");
        }
        for other in ["Patient.ndjson", "film.mkv.partial", "mine/a.ndjson.partial", "notes.txt", ".partial"]
        {
            assert!(!is_provisional_of_ours(other), "{other}");
        }
    }
}
