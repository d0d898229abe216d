use fhirline_core::{BadRecord, Batch, ChecksumKind, Fault, LongLine, Position, Store, Verdict};

use crate::checkpoint::{FilesSavepoint, FilesState, GroupState, QuarantineState};
use crate::encode::Encoding;
use crate::error::{ResumeError, SinkError};
use crate::long;
use crate::outcome::{Rejected, encode};
use crate::part::Part;

/// The exact bytes of every rejected record, each followed by one LF that is not part of it.
pub const RAW_NAME: &str = "_quarantine/lines.raw";
/// One OperationOutcome a rejected record.
pub const OUTCOME_NAME: &str = "_quarantine/outcome.ndjson";

/// After this many rejects of one source, neighbours with the same fault share one OperationOutcome.
const SINGLE_OUTCOMES: u64 = 10_000;

/// Where rejected records are kept.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    checksum: Option<ChecksumKind>,
    /// The folder in which it lies, unless it is that of the names above.
    folder: Option<String>,
    files: Option<Files>,
    source: String,
    /// Records of this source committed before the current batch, good or bad.
    records_before: u64,
    /// Rejects of this source.
    rejects: u64,
    /// Rejects of the whole run.
    ordinal: u64,
    savepoint_ordinal: u64,
    /// Neighbours that share one outcome, not written yet.
    group: Option<Group>,
    /// The record of the latest outcome, for reuse of its memory.
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Files {
    raw: Part,
    outcomes: Part,
    /// Whether they existed when the source began.
    before_savepoint: bool,
}

#[derive(Debug)]
struct Group {
    rejected: Rejected,
    /// Ordinal in the source of the record behind the last one of the group.
    next_record: u64,
}

impl Files {
    fn resume(
        store: &dyn Store,
        checksum: Option<ChecksumKind>,
        noted: &FilesState,
        buffer: &mut [u8],
    ) -> Result<Self, ResumeError> {
        let savepoint = noted.savepoint.as_ref();
        let (raw, outcomes) = (savepoint.map(|at| &at.raw), savepoint.map(|at| &at.outcomes));
        let mut part = |name: &str, noted, savepoint| {
            Part::resume(store, name.to_owned(), checksum, noted, savepoint, buffer)
        };
        Ok(Self {
            raw: part(RAW_NAME, &noted.raw, raw)?,
            outcomes: part(OUTCOME_NAME, &noted.outcomes, outcomes)?,
            before_savepoint: savepoint.is_some(),
        })
    }

    fn state(&self) -> FilesState {
        FilesState {
            raw: self.raw.state(),
            outcomes: self.outcomes.state(),
            savepoint: self.before_savepoint.then(|| self.savepoint_state()),
        }
    }

    fn state_at_savepoint(&self) -> FilesState {
        FilesState {
            raw: self.raw.state_at_savepoint(),
            outcomes: self.outcomes.state_at_savepoint(),
            savepoint: Some(self.savepoint_state()),
        }
    }

    fn savepoint_state(&self) -> FilesSavepoint {
        FilesSavepoint { raw: self.raw.savepoint_state(), outcomes: self.outcomes.savepoint_state() }
    }
}

impl Group {
    /// Whether a record stands right behind the group, spans as many lines and has the same fault. Records that are run again
    /// stand side by side, however far apart they stood originally: their lines have to meet, too.
    fn is_joined_by(&self, noted: &Noted) -> bool {
        let Rejected { why, last_line, lines, .. } = self.rejected;
        let meets = (last_line..=last_line.saturating_add(lines)).contains(&noted.position.line);
        let alike = why.fault == noted.why.fault && lines == noted.lines;
        meets && alike && self.next_record == noted.record
    }

    fn resume(source: &str, noted: &GroupState) -> Option<Self> {
        let rejected = Rejected {
            source: source.to_owned(),
            why: BadRecord { fault: Fault::from_code(&noted.fault)?, at: noted.at },
            line: noted.line,
            byte: noted.byte,
            length: noted.length,
            lines: noted.lines,
            ordinal: noted.ordinal,
            count: noted.count,
            last_line: noted.last_line,
            last_byte: noted.last_byte,
        };
        Some(Self { rejected, next_record: noted.next_record })
    }

    fn state(&self) -> GroupState {
        let rejected = &self.rejected;
        GroupState {
            fault: rejected.why.fault.code().to_owned(),
            at: rejected.why.at,
            line: rejected.line,
            byte: rejected.byte,
            length: rejected.length,
            lines: rejected.lines,
            ordinal: rejected.ordinal,
            count: rejected.count,
            last_line: rejected.last_line,
            last_byte: rejected.last_byte,
            next_record: self.next_record,
        }
    }
}

/// One reject as it is noted.
#[derive(Clone, Copy)]
struct Noted {
    why: BadRecord,
    position: Position,
    length: u64,
    /// Physical lines that it spans.
    lines: u64,
    /// Ordinal in the source, counting good and bad records.
    record: u64,
}

impl Quarantine {
    pub(crate) fn new(checksum: Option<ChecksumKind>) -> Self {
        Self { checksum, ..Self::default() }
    }

    /// One without checksums, in that folder of the store.
    pub(crate) fn in_folder(folder: String) -> Self {
        Self { folder: Some(folder), ..Self::default() }
    }

    fn name(&self, name: &str) -> String {
        match (&self.folder, name.split_once('/')) {
            (Some(folder), Some((_, file))) => format!("{folder}/{file}"),
            _ => name.to_owned(),
        }
    }

    /// Goes on where a checkpoint left it.
    pub(crate) fn resume(
        store: &dyn Store,
        checksum: Option<ChecksumKind>,
        noted: &QuarantineState,
        buffer: &mut [u8],
    ) -> Result<Self, ResumeError> {
        let files =
            noted.files.as_ref().map(|files| Files::resume(store, checksum, files, buffer)).transpose()?;
        let group = noted.group.as_ref().and_then(|group| Group::resume(&noted.source, group));
        Ok(Self {
            checksum,
            folder: None,
            files,
            source: noted.source.clone(),
            records_before: noted.records_before,
            rejects: noted.rejects,
            ordinal: noted.ordinal,
            savepoint_ordinal: noted.savepoint_ordinal,
            group,
            buffer: Vec::new(),
        })
    }

    /// What a checkpoint says of it.
    pub(crate) fn state(&self) -> QuarantineState {
        QuarantineState {
            source: self.source.clone(),
            records_before: self.records_before,
            rejects: self.rejects,
            ordinal: self.ordinal,
            savepoint_ordinal: self.savepoint_ordinal,
            files: self.files.as_ref().map(Files::state),
            group: self.group.as_ref().map(Group::state),
        }
    }

    /// What a checkpoint would have said of it when the source began.
    pub(crate) fn state_at_savepoint(&self) -> QuarantineState {
        let files = self.files.as_ref().filter(|files| files.before_savepoint);
        QuarantineState {
            source: self.source.clone(),
            records_before: 0,
            rejects: 0,
            ordinal: self.savepoint_ordinal,
            savepoint_ordinal: self.savepoint_ordinal,
            files: files.map(Files::state_at_savepoint),
            group: None,
        }
    }

    /// The files, if there are any yet.
    pub(crate) fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        self.files.iter_mut().flat_map(|files| [&mut files.raw, &mut files.outcomes])
    }

    pub(crate) fn begin_source(&mut self, store: &dyn Store, name: &str) -> Result<(), SinkError> {
        self.write_group(store)?;
        name.clone_into(&mut self.source);
        (self.records_before, self.rejects) = (0, 0);
        self.savepoint_ordinal = self.ordinal;
        if let Some(files) = &mut self.files {
            files.raw.set_savepoint();
            files.outcomes.set_savepoint();
            files.before_savepoint = true;
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self, store: &dyn Store, batch: &Batch) -> Result<(), SinkError> {
        if !batch.rejects.is_empty() {
            let bytes = batch.reject_bytes();
            let raw = &mut self.files(store)?.raw;
            raw.take(batch.rejects.len() as u64, bytes.len() as u64);
            raw.write(bytes, bytes.len() as u64)?;
        }
        for reject in batch.rejects() {
            self.note(
                store,
                Noted {
                    why: reject.why,
                    position: reject.position,
                    length: reject.bytes.len() as u64,
                    lines: u64::from(reject.lines),
                    record: self.records_before + u64::from(reject.ordinal),
                },
            )?;
        }
        self.records_before += batch.ledger.records.read;
        Ok(())
    }

    pub(crate) fn commit_long(&mut self, store: &dyn Store, line: &mut LongLine) -> Result<(), SinkError> {
        let record = self.records_before;
        self.records_before += line.ledger.records.read;
        let Verdict::Rejected(why) = line.verdict else { return Ok(()) };
        let raw = &mut self.files(store)?.raw;
        raw.take(1, line.length + 1);
        long::copy(&mut *line.spool, 0..line.length, |piece| raw.write(piece, piece.len() as u64))?;
        raw.write(b"\n", 1)?;
        let (position, length, lines) = (line.at, line.length, line.lines);
        self.note(store, Noted { why, position, length, lines, record })
    }

    pub(crate) fn abandon_source(&mut self) -> Result<(), SinkError> {
        self.group = None;
        self.ordinal = self.savepoint_ordinal;
        match self.files.take() {
            None => Ok(()),
            Some(mut files) if files.before_savepoint => {
                files.raw.go_back(Encoding::plain())?;
                files.outcomes.go_back(Encoding::plain())?;
                self.files = Some(files);
                Ok(())
            }
            Some(files) => {
                files.raw.discard()?;
                files.outcomes.discard()
            }
        }
    }

    /// Writes what is still held back, and hands the files over.
    pub(crate) fn finish(mut self, store: &dyn Store) -> Result<Vec<Part>, SinkError> {
        self.write_group(store)?;
        Ok(self.files.map_or_else(Vec::new, |files| vec![files.raw, files.outcomes]))
    }

    fn files(&mut self, store: &dyn Store) -> Result<&mut Files, SinkError> {
        let files = match self.files.take() {
            Some(files) => files,
            None => Files {
                raw: Part::create(store, self.name(RAW_NAME), self.checksum)?,
                outcomes: Part::create(store, self.name(OUTCOME_NAME), self.checksum)?,
                before_savepoint: false,
            },
        };
        Ok(self.files.insert(files))
    }

    fn note(&mut self, store: &dyn Store, noted: Noted) -> Result<(), SinkError> {
        self.ordinal += 1;
        self.rejects += 1;
        if let Some(group) = &mut self.group
            && self.rejects > SINGLE_OUTCOMES
            && group.is_joined_by(&noted)
        {
            group.next_record += 1;
            group.rejected.count += 1;
            group.rejected.last_line = noted.position.line;
            group.rejected.last_byte = noted.position.byte;
            return Ok(());
        }
        self.write_group(store)?;
        self.group = Some(Group { next_record: noted.record + 1, rejected: self.rejected(noted) });
        Ok(())
    }

    fn rejected(&self, noted: Noted) -> Rejected {
        Rejected {
            source: self.source.clone(),
            why: noted.why,
            line: noted.position.line,
            byte: noted.position.byte,
            length: noted.length,
            lines: noted.lines,
            ordinal: self.ordinal,
            count: 1,
            last_line: noted.position.line,
            last_byte: noted.position.byte,
        }
    }

    /// Writes the outcome that waits for neighbours.
    pub(crate) fn write_group(&mut self, store: &dyn Store) -> Result<(), SinkError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let mut line = std::mem::take(&mut self.buffer);
        line.clear();
        encode(&group.rejected, &mut line);
        let outcomes = &mut self.files(store)?.outcomes;
        outcomes.take(1, line.len() as u64);
        outcomes.write(&line, line.len() as u64)?;
        self.buffer = line;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fhirline_core::SourceId;
    use fhirline_fetch::MemoryStore;

    fn noted(line: u64, lines: u64, record: u64) -> Noted {
        let position = Position { source: SourceId(0), byte: line * 10, line };
        let why = BadRecord { fault: Fault::NotJson, at: 0 };
        Noted { why, position, length: 9, lines, record }
    }

    /// The second and the third of the records: whether they share an outcome.
    fn joined(second: Noted, third: Noted) -> bool {
        let store = MemoryStore::new();
        let mut quarantine = Quarantine { rejects: SINGLE_OUTCOMES, ..Quarantine::new(None) };
        for each in [second, third] {
            quarantine.note(&store, each).expect("in memory");
        }
        quarantine.group.is_some_and(|group| group.rejected.count == 2)
    }

    #[test]
    fn neighbours_share_an_outcome_if_they_span_as_many_lines() {
        assert!(joined(noted(1, 1, 0), noted(2, 1, 1)));
        assert!(joined(noted(1, 3, 0), noted(4, 3, 1)), "one begins where the other ends");
        assert!(joined(noted(1, 3, 0), noted(3, 3, 1)), "one begins on the line on which the other ends");
        assert!(!joined(noted(1, 3, 0), noted(4, 2, 1)));
        assert!(!joined(noted(1, 1, 0), noted(4, 1, 1)), "a line lies between them");
        assert!(!joined(noted(1, 1, 0), noted(2, 1, 2)), "a record lies between them");
    }

    #[test]
    fn an_outcome_tells_how_many_lines_the_record_spans() {
        let store = MemoryStore::new();
        let mut quarantine = Quarantine::new(None);
        quarantine.note(&store, noted(7, 4, 0)).expect("in memory");
        quarantine.write_group(&store).expect("in memory");
        let outcome = store.contents(&format!("{OUTCOME_NAME}.partial")).unwrap_or_default();
        let outcome = String::from_utf8(outcome).expect("JSON");
        assert!(outcome.contains(r#"{"url":"lines","valueDecimal":4}"#), "{outcome}");
    }
}
