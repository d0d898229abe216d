//! What a checkpoint says, and what of it is believed.

use std::collections::HashSet;
use std::fmt;

use fhirline_core::{ChecksumKind, Destination, Fault};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::error::ResumeError;
use crate::names::Names;
use crate::open_blocks::NAMES;
use crate::split::{MAX_DESTINATIONS, MAX_FILES};

/// The format that this version writes, and the only one that it reads.
const VERSION: u64 = 1;

/// No number in a checkpoint is larger: sums of a few stay within 64 bits, and every JSON parser keeps them exact.
const MAX_NUMBER: u64 = 1 << 53;

/// What an interrupted run left of itself: all that [`SplitSink::resume`](crate::SplitSink::resume) needs, and beside it
/// what the engine and whoever started the run wanted to find again.
///
/// It holds names, lengths, counts and positions, and not one byte of a record; only where the store cannot read outputs back
/// and the checksum is SHA-256 the state of that holds up to 63 of the bytes that were hashed last.
///
/// ```
/// use fhirline_sink::{Checkpoint, ResumeError};
///
/// assert!(matches!(Checkpoint::parse(b"no checkpoint"), Err(ResumeError::Malformed { .. })));
/// assert!(matches!(
///     Checkpoint::parse(b"{\"fhirline_checkpoint\":1000}"),
///     Err(ResumeError::UnknownFormat { version: 1000 })
/// ));
/// ```
#[derive(Clone)]
pub struct Checkpoint {
    pub(crate) run: Box<RawValue>,
    progress: Box<RawValue>,
    pub(crate) state: State,
    /// Destination and stem of each output.
    pub(crate) named: Vec<(Destination, String)>,
}

impl Checkpoint {
    /// No checkpoint is longer.
    pub const MAX_BYTES: u64 = 64 << 20;

    /// Reads a checkpoint. Whatever the bytes are, this ends in a checkpoint that makes sense or in an error.
    ///
    /// # Errors
    /// [`ResumeError::UnknownFormat`] if another version wrote it, [`ResumeError::Malformed`] if it is none of ours.
    pub fn parse(bytes: &[u8]) -> Result<Self, ResumeError> {
        let malformed = |why| ResumeError::Malformed { why };
        if bytes.len() as u64 > Self::MAX_BYTES {
            return Err(malformed("it is too long"));
        }
        // What the parser says could quote the file; why it refuses is of no use to anybody anyway.
        let not_ours = |_| malformed("it is not what this program writes");
        let version = serde_json::from_slice::<Version>(bytes).map_err(not_ours)?.fhirline_checkpoint;
        if version != VERSION {
            return Err(ResumeError::UnknownFormat { version });
        }
        let file: File<Box<RawValue>> = serde_json::from_slice(bytes).map_err(not_ours)?;
        if file.crc32c != digest([&file.run, &file.progress, &file.state]) {
            return Err(malformed("its checksum is wrong"));
        }
        let state: State = serde_json::from_str(file.state.get()).map_err(not_ours)?;
        state.check().map_err(malformed)?;
        let named = state.named().map_err(malformed)?;
        Ok(Self { run: file.run, progress: file.progress, state, named })
    }

    /// What whoever started the run wanted to find again: [`with_checkpoints`](crate::SplitSink::with_checkpoints).
    #[must_use]
    pub fn run(&self) -> &RawValue {
        &self.run
    }

    /// What the engine needs to go on: the argument of [`checkpoint`](crate::Sink::checkpoint).
    #[must_use]
    pub fn progress(&self) -> &RawValue {
        &self.progress
    }

    pub(crate) fn write(run: &RawValue, progress: &[u8], state: &State) -> serde_json::Result<Vec<u8>> {
        let (progress, state) = (serde_json::from_slice(progress)?, &*to_raw_value(state)?);
        let crc32c = digest([run, progress, state]);
        serde_json::to_vec(&File { fhirline_checkpoint: VERSION, crc32c, run, progress, state })
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").field("outputs", &self.named.len()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Version {
    fhirline_checkpoint: u64,
}

/// The file. A digit of it that is another one would be believed, but for the checksum.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File<R> {
    fhirline_checkpoint: u64,
    /// Of the three values behind it, as they are written.
    crc32c: u32,
    run: R,
    progress: R,
    state: R,
}

fn digest(values: [&RawValue; 3]) -> u32 {
    values.into_iter().fold(0, |digest, value| crc32c::crc32c_append(digest, value.get().as_bytes()))
}

/// The state of a sink, except the bytes of open blocks. Names of files are not in it: they follow from the destinations,
/// so that no file of somebody else's is ever cut back because a checkpoint says so.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// What names of outputs end in.
    pub(crate) suffix: String,
    /// The name of the checksum, if there is one.
    pub(crate) checksum: Option<String>,
    /// In order of creation.
    pub(crate) outputs: Vec<OutputState>,
    pub(crate) quarantine: QuarantineState,
    #[serde(deserialize_with = "number")]
    pub(crate) diverted_records: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) savepoint_diverted_records: u64,
    /// Where the bytes of open blocks lie, one output behind the other, and behind all of them those that are held of blocks
    /// that were open at the savepoint; `None` if there are none.
    pub(crate) blocks: Option<BlocksState>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputState {
    pub(crate) destination: String,
    pub(crate) parts: Vec<PartState>,
    /// Bytes that the last part has in its open block.
    #[serde(deserialize_with = "number")]
    pub(crate) open_bytes: u64,
    /// `None` if the output is younger than the savepoint.
    pub(crate) savepoint: Option<OutputSavepoint>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputSavepoint {
    /// How many parts there were.
    pub(crate) parts: usize,
    /// How far the last of them had come.
    pub(crate) last: PartSavepoint,
}

impl OutputSavepoint {
    /// The same as it was at that moment: all that was open then is still open.
    pub(crate) fn not_passed(mut self) -> Self {
        self.last.held_bytes = 0;
        self
    }
}

/// What the store holds of a part.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartState {
    #[serde(deserialize_with = "number")]
    pub(crate) stored_bytes: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) plain_bytes: u64,
    /// Records taken, those in the open block too.
    #[serde(deserialize_with = "number")]
    pub(crate) records: u64,
    /// The hash of the stored bytes, in hexadecimal digits.
    pub(crate) digest: Option<String>,
    /// All that the hash needs to go on, where the stored bytes cannot be read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hash_state: Option<String>,
}

/// How far a part had come at the savepoint, and the last end of a member at or before it.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartSavepoint {
    #[serde(deserialize_with = "number")]
    pub(crate) plain_bytes: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) records: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) anchor_stored_bytes: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) anchor_plain_bytes: u64,
    /// The state of the hash at the anchor, where the stored bytes cannot be read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) anchor_hash_state: Option<String>,
    /// Bytes that were open at the savepoint, were cut since and cannot be read back: they lie with the open blocks.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "number")]
    pub(crate) held_bytes: u64,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuarantineState {
    pub(crate) source: String,
    #[serde(deserialize_with = "number")]
    pub(crate) records_before: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) rejects: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) ordinal: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) savepoint_ordinal: u64,
    pub(crate) files: Option<FilesState>,
    pub(crate) group: Option<GroupState>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilesState {
    pub(crate) raw: PartState,
    pub(crate) outcomes: PartState,
    /// `None` if they are younger than the savepoint.
    pub(crate) savepoint: Option<FilesSavepoint>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilesSavepoint {
    pub(crate) raw: PartSavepoint,
    pub(crate) outcomes: PartSavepoint,
}

/// Neighbouring rejects whose outcome is not written yet. They are of the current source.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupState {
    pub(crate) fault: String,
    #[serde(deserialize_with = "number")]
    pub(crate) at: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) line: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) byte: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) length: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) lines: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) ordinal: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) count: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) last_line: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) last_byte: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) next_record: u64,
}

/// The object that holds the open blocks.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlocksState {
    /// Which of the two.
    pub(crate) number: usize,
    #[serde(deserialize_with = "number")]
    pub(crate) bytes: u64,
    pub(crate) crc32c: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(from)?;
    if number > MAX_NUMBER { Err(D::Error::custom("a number that nothing reaches")) } else { Ok(number) }
}

type Checked = Result<(), &'static str>;

fn require(holds: bool, why: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(why) }
}

impl State {
    /// Whether a sink can have been in that state.
    fn check(&self) -> Checked {
        require(["", ".gz", ".zst"].contains(&&*self.suffix), "no output has that suffix")?;
        let checksum = self.checksum_kind();
        require(checksum.is_some() == self.checksum.is_some(), "there is no such checksum")?;
        let files: usize = self.outputs.iter().map(|output| output.parts.len()).sum();
        // Beside the types there may be `_unknown` and the sidecars.
        let most = MAX_DESTINATIONS + Destination::FIXED.len();
        require(self.outputs.len() <= most && files <= MAX_FILES, "too many outputs")?;
        let old = self.savepoint_outputs();
        let younger = self.outputs.iter().skip(old);
        require(younger.clone().all(|output| output.savepoint.is_none()), "the savepoint has gaps")?;
        require(self.savepoint_diverted_records <= self.diverted_records, "the savepoint is ahead")?;
        let compressed = !self.suffix.is_empty();
        self.outputs.iter().try_for_each(|output| output.check(compressed, checksum))?;
        self.quarantine.check(checksum)?;
        self.check_blocks()
    }

    fn check_blocks(&self) -> Checked {
        let open = |sum: u64, output: &OutputState| {
            sum.checked_add(output.open_bytes)?.checked_add(output.held_bytes())
        };
        let open_bytes = self.outputs.iter().try_fold(0, open).ok_or("the open blocks are too large")?;
        let blocks = self.blocks.as_ref();
        require(blocks.map_or(0, |blocks| blocks.bytes) == open_bytes, "the open blocks do not add up")?;
        require(
            blocks.is_none_or(|blocks| blocks.number < NAMES.len() && blocks.bytes > 0),
            "no such blocks object",
        )
    }

    /// The destination and the stem of each output.
    fn named(&self) -> Result<Vec<(Destination, String)>, &'static str> {
        let mut names = Names::default();
        let mut seen = HashSet::new();
        let mut named = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            let destination = Destination::from_name(&output.destination).ok_or("no output has that name")?;
            require(seen.insert(destination), "a destination stands there twice")?;
            named.push((destination, names.stem(destination.name())));
        }
        Ok(named)
    }

    /// How many outputs are older than the savepoint.
    pub(crate) fn savepoint_outputs(&self) -> usize {
        self.outputs.iter().take_while(|output| output.savepoint.is_some()).count()
    }

    fn checksum_kind(&self) -> Option<ChecksumKind> {
        let kinds = [ChecksumKind::Crc32c, ChecksumKind::Sha256];
        kinds.into_iter().find(|kind| self.checksum.as_deref() == Some(kind.name()))
    }
}

impl OutputState {
    pub(crate) fn held_bytes(&self) -> u64 {
        self.savepoint.as_ref().map_or(0, |savepoint| savepoint.last.held_bytes)
    }

    fn check(&self, compressed: bool, checksum: Option<ChecksumKind>) -> Checked {
        let last = self.parts.last().ok_or("an output has no part")?;
        require(compressed || self.open_bytes == 0, "a plain output has an open block")?;
        self.parts.iter().try_for_each(|part| part.check(compressed, checksum))?;
        let Some(savepoint) = &self.savepoint else { return Ok(()) };
        let place = savepoint.parts.checked_sub(1);
        let part = place.and_then(|place| self.parts.get(place)).ok_or("the savepoint has no such part")?;
        let open_bytes = if std::ptr::eq(part, last) { self.open_bytes } else { 0 };
        savepoint.last.check(part, open_bytes, compressed)
    }
}

impl PartState {
    fn check(&self, compressed: bool, checksum: Option<ChecksumKind>) -> Checked {
        require((self.stored_bytes == 0) == (self.plain_bytes == 0), "a part is empty and is not")?;
        require(compressed || self.stored_bytes == self.plain_bytes, "a plain part has two lengths")?;
        let digits = checksum.map(|kind| match kind {
            ChecksumKind::Crc32c => 8,
            ChecksumKind::Sha256 => 64,
        });
        require(self.digest.as_ref().map(String::len) == digits, "a digest has another length")
    }
}

impl PartSavepoint {
    /// Whether the part can have been there on its way to where it is now.
    fn check(&self, part: &PartState, open_bytes: u64, compressed: bool) -> Checked {
        let anchor = (self.anchor_stored_bytes, self.anchor_plain_bytes);
        let written = (part.stored_bytes, part.plain_bytes);
        let passed = anchor.0 <= written.0
            && anchor.1 <= written.1
            && anchor.1 <= self.plain_bytes
            && self.plain_bytes <= part.plain_bytes + open_bytes
            && self.records <= part.records;
        require(passed, "the savepoint is ahead")?;
        require((anchor.0 == 0) == (anchor.1 == 0), "the anchor is at the start and is not")?;
        let held =
            self.held_bytes == 0 || (anchor.0 < written.0 && self.held_bytes == self.plain_bytes - anchor.1);
        require(held, "more or less is held than was open")?;
        require(
            compressed || (anchor.0 == anchor.1 && anchor.1 == self.plain_bytes),
            "the anchor is elsewhere",
        )
    }
}

impl QuarantineState {
    fn check(&self, checksum: Option<ChecksumKind>) -> Checked {
        require(self.savepoint_ordinal <= self.ordinal, "the savepoint is ahead")?;
        let Some(files) = &self.files else {
            return require(self.group.is_none() && self.ordinal == 0, "rejects have no files");
        };
        [&files.raw, &files.outcomes].into_iter().try_for_each(|part| part.check(false, checksum))?;
        if let Some(savepoint) = &files.savepoint {
            savepoint.raw.check(&files.raw, 0, false)?;
            savepoint.outcomes.check(&files.outcomes, 0, false)?;
        }
        let Some(group) = &self.group else { return Ok(()) };
        require(group.count > 0 && Fault::from_code(&group.fault).is_some(), "no rejects are like that")
    }
}
