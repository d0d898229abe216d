use fhirline_core::{
    BadRecord, Batch, CHUNK_BYTES, Chunk, Content, Destination, Filtered, Ledger, Lines, Position,
    RecordSpan, RejectSpan, ResourceType, Run, SourceRole,
};
use fhirline_parse::{Envelope, Proof, envelope, envelope_without_id};

use crate::place::{Group, Place, Placed, Scratch, destination_of};
use crate::role::sidecar_of_line;
use crate::{Filters, IdRule, Selection};

/// How delivered records are regrouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// One run for each resource type.
    #[default]
    ByType,
    /// One run of all records, in source order.
    Together,
}

/// Decides what becomes of each record.
#[derive(Clone, Debug, Default)]
pub struct Router {
    /// How much of each record is proved.
    pub proof: Proof,
    /// Which types are wanted.
    pub selection: Selection,
    /// How delivered records are regrouped.
    pub grouping: Grouping,
    /// Which ids are good enough.
    pub ids: IdRule,
    /// Which resources of the wanted types are kept; all, unless given.
    pub filters: Option<Filters>,
}

/// What something sound is found to be.
pub(crate) enum Judged<'r> {
    /// A record that may be delivered.
    Record(Envelope<'r>),
    /// No record: it is kept in that sidecar.
    Beside(Destination),
}

impl Router {
    /// Regroups the records of a chunk. `into` lends its memory to the batch; the chunk's buffers come back for the next
    /// chunk.
    #[must_use]
    pub fn route(&self, chunk: Chunk, mut into: Batch, scratch: &mut Scratch) -> (Batch, Content) {
        scratch.clear();
        into.clear();
        let Chunk { sequence, role, mut content, lease } = chunk;
        (into.sequence, into.lease) = (sequence, Some(lease));
        let bytes = match &mut content {
            Content::Lines(lines) => {
                (into.at, into.end) = (lines.at, end_of(lines));
                scratch.at = into.at;
                into.ledger = self.place_lines(lines, role, scratch);
                &mut lines.bytes
            }
            Content::Parts(parts) => {
                (into.at, into.end) = (parts.at, parts.end);
                scratch.at = into.at;
                into.providers.append(&mut parts.providers);
                into.ledger = parts.ledger;
                self.place_parts(parts, role, scratch, &mut into.ledger);
                &mut parts.bytes
            }
        };
        move_records(bytes, scratch, &mut into, self.grouping);
        (into, content)
    }

    /// Reads each line's envelope and notes where the line goes.
    fn place_lines(&self, lines: &Lines, role: SourceRole, scratch: &mut Scratch) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.bytes.read = lines.bytes.len() as u64;
        for (number, (offset, line)) in lines.iter().enumerate() {
            let place = Place { from: offset, offset, line: number as u32 };
            self.place_line(line, place, role, scratch, &mut ledger);
        }
        ledger
    }

    pub(crate) fn place_line(
        &self,
        line: &[u8],
        at: Place,
        role: SourceRole,
        scratch: &mut Scratch,
        ledger: &mut Ledger,
    ) {
        let content = without_terminator(line);
        ledger.bytes.terminators += (line.len() - content.len()) as u64;
        let (lead, record) = trimmed(content);
        if record.is_empty() {
            ledger.blank_lines += 1;
            ledger.bytes.white_space += content.len() as u64;
            return;
        }
        match self.judged(record, self.proof, |found| sidecar_of_line(role, found, content)) {
            Ok(judged) => {
                ledger.bytes.white_space += (content.len() - record.len()) as u64;
                let at = at.behind(lead as u32);
                match judged {
                    Judged::Record(found) => self.place_record(at, record, &found, scratch, ledger),
                    Judged::Beside(sidecar) => {
                        place_beside(sidecar, at, record.len() as u32, scratch, ledger);
                    }
                }
            }
            Err(mut why) => {
                // A rejected line is kept whole: what is white space around it only a sound value could say.
                why.at += lead as u64;
                reject(at, content.len() as u32, 1, why, scratch, ledger);
            }
        }
    }

    /// What something sound is: a record that may be delivered, or, as `sidecar_of` says of its type, none.
    pub(crate) fn judged<'r>(
        &self,
        record: &'r [u8],
        proof: Proof,
        sidecar_of: impl FnOnce(&str) -> Option<Destination>,
    ) -> Result<Judged<'r>, BadRecord> {
        let found = match self.ids {
            IdRule::Any => envelope_without_id(record, proof)?,
            IdRule::Legal => envelope(record, proof)?,
        };
        if let Some(sidecar) = sidecar_of(&found.resource_type) {
            return Ok(Judged::Beside(sidecar));
        }
        match self.ids.fault(&found.resource_type, found.id.as_ref()) {
            None => Ok(Judged::Record(found)),
            Some(fault) => Err(BadRecord { fault, at: 0 }),
        }
    }

    pub(crate) fn place_record(
        &self,
        at: Place,
        record: &[u8],
        found: &Envelope<'_>,
        scratch: &mut Scratch,
        ledger: &mut Ledger,
    ) {
        let group = self.group_of(found, scratch);
        ledger.duplicate_keys +=
            self.place_in(group, at, record, scratch, ledger) * u64::from(found.duplicate_keys > 0);
    }

    /// Notes a record of that group, and says whether it is delivered (1) or left out (0).
    pub(crate) fn place_in(
        &self,
        number: u32,
        at: Place,
        record: &[u8],
        scratch: &mut Scratch,
        ledger: &mut Ledger,
    ) -> u64 {
        let keeps = self.keeps(number, at, record, scratch);
        let length = record.len() as u64;
        let group = &mut scratch.groups.all[number as usize];
        ledger.records.read += 1;
        if !group.wanted || !keeps {
            group.left_out.records += 1;
            group.left_out.bytes += length;
            ledger.records.filtered += 1;
            ledger.bytes.filtered += length;
            return 0;
        }
        group.placed.records += 1;
        group.placed.bytes += length;
        ledger.records.delivered += 1;
        ledger.bytes.delivered += length;
        ledger.unknown_types += u64::from(group.destination == Destination::Unknown);
        scratch.placed.push(Placed { group: number, span: at.span(length as u32), from: at.from });
        1
    }

    /// The number of the group that a record belongs to.
    pub(crate) fn group_of(&self, found: &Envelope<'_>, scratch: &mut Scratch) -> u32 {
        let name: &str = &found.resource_type;
        let groups = &mut scratch.groups;
        groups.known(name).unwrap_or_else(|| {
            groups.number(destination_of(name), |destination| self.selection.wants(destination))
        })
    }
}

impl Router {
    /// The number of the group of that type.
    pub(crate) fn group_of_type(&self, known: ResourceType, scratch: &mut Scratch) -> u32 {
        let groups = &mut scratch.groups;
        groups.known(known.as_str()).unwrap_or_else(|| {
            groups.number(Destination::Resource(known), |destination| self.selection.wants(destination))
        })
    }
}

/// Notes what is no record and goes to a sidecar.
pub(crate) fn place_beside(
    sidecar: Destination,
    at: Place,
    length: u32,
    scratch: &mut Scratch,
    ledger: &mut Ledger,
) {
    ledger.count_beside(sidecar, u64::from(length));
    note_beside(sidecar, at, length, scratch);
}

/// The same of what is accounted for already.
pub(crate) fn note_beside(sidecar: Destination, at: Place, length: u32, scratch: &mut Scratch) {
    let group = scratch.groups.number(sidecar, |_| true);
    let beside = &mut scratch.groups.all[group as usize];
    beside.placed.records += 1;
    beside.placed.bytes += u64::from(length);
    scratch.placed.push(Placed { group, span: at.span(length), from: at.from });
}

/// Sets a record aside, whole.
pub(crate) fn reject(
    at: Place,
    length: u32,
    lines: u32,
    why: BadRecord,
    scratch: &mut Scratch,
    ledger: &mut Ledger,
) {
    let ordinal = ledger.records.read as u32;
    ledger.records.read += 1;
    ledger.records.quarantined += 1;
    ledger.bytes.quarantined += u64::from(length);
    scratch.rejects.push((RejectSpan { span: at.span(length), ordinal, lines, why }, at.from));
}

fn end_of(lines: &Lines) -> Position {
    lines.at.advanced(lines.bytes.len() as u64, lines.len() as u64)
}

/// Fills the batch with the records as they were placed.
fn move_records(bytes: &mut Vec<u8>, scratch: &mut Scratch, batch: &mut Batch, grouping: Grouping) {
    note_filtered(scratch, batch);
    batch.rejects.extend(scratch.rejects.iter().map(|(reject, _)| *reject));
    let mut order = std::mem::take(&mut scratch.order);
    note_runs(scratch, batch, grouping, &mut order);
    order.extend(scratch.rejects.iter().map(|(reject, from)| (*from, reject.span.length)));
    if let [(from, length)] = order[..]
        && bytes.len() > CHUNK_BYTES
    {
        take_whole(bytes, from as usize, length as usize, &mut batch.bytes);
    } else {
        // Exactly: the lease pays for no more.
        batch.bytes.reserve_exact(order.iter().map(|(_, length)| *length as usize + 1).sum());
        for &(from, length) in &order {
            batch.bytes.extend_from_slice(&bytes[from as usize..(from + length) as usize]);
            batch.bytes.push(b'\n');
        }
    }
    scratch.order = order;
}

/// Hands the buffer of a single long record on instead of copying it.
fn take_whole(bytes: &mut Vec<u8>, from: usize, length: usize, into: &mut Vec<u8>) {
    std::mem::swap(bytes, into);
    into.truncate(from + length);
    into.drain(..from);
    into.push(b'\n');
}

fn note_filtered(scratch: &Scratch, batch: &mut Batch) {
    for group in scratch.groups.all.iter().filter(|group| group.left_out.records > 0) {
        let (destination, records, bytes) = (group.destination, group.left_out.records, group.left_out.bytes);
        batch.filtered.push(Filtered { destination, records, bytes });
    }
}

/// One run for each destination, in the order of first appearance. The spans are sorted into the runs, keeping the source
/// order within each, and `order` says where the records of all of them stand.
fn note_runs(scratch: &Scratch, batch: &mut Batch, grouping: Grouping, order: &mut Vec<(u32, u32)>) {
    let runs = runs_of(&scratch.groups.all, grouping, &mut batch.runs);
    let mut next_of = Vec::with_capacity(batch.runs.len());
    let (mut byte, mut span) = (0, 0);
    for run in &mut batch.runs {
        next_of.push(span);
        (run.bytes, run.spans) = (byte..byte + run.bytes.end, span..span + run.spans.end);
        (byte, span) = (run.bytes.end, run.spans.end);
    }
    batch.rejects_from = byte;
    batch.spans.resize(span, RecordSpan { offset: 0, length: 0, line: 0 });
    order.resize(span, (0, 0));
    for placed in &scratch.placed {
        let next = &mut next_of[runs[placed.group as usize]];
        batch.spans[*next] = placed.span;
        order[*next] = (placed.from, placed.span.length);
        *next += 1;
    }
}

/// The number of each group's run. A run has its lengths only: where it begins is not known yet.
fn runs_of(groups: &[Group], grouping: Grouping, runs: &mut Vec<Run>) -> Vec<usize> {
    let mut numbers = Vec::with_capacity(groups.len());
    for group in groups {
        let together = grouping == Grouping::Together && !group.destination.is_sidecar();
        let destination = if together { Destination::Together } else { group.destination };
        let known = if together { runs.iter().position(|run| run.destination == destination) } else { None };
        let number = known.unwrap_or(runs.len());
        numbers.push(number);
        if group.placed.records == 0 {
            continue;
        }
        if number == runs.len() {
            runs.push(Run { destination, bytes: 0..0, spans: 0..0 });
        }
        runs[number].bytes.end += (group.placed.bytes + group.placed.records) as usize;
        runs[number].spans.end += group.placed.records as usize;
    }
    numbers
}

/// The line without LF, and without the one CR right before it.
fn without_terminator(line: &[u8]) -> &[u8] {
    match line {
        [content @ .., b'\r', b'\n'] | [content @ .., b'\n'] => content,
        content => content,
    }
}

/// The line without JSON white space around it, and how much of that stood in front.
fn trimmed(content: &[u8]) -> (usize, &[u8]) {
    let is_white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    let lead = content.iter().take_while(|byte| is_white(byte)).count();
    let trail = content[lead..].iter().rev().take_while(|byte| is_white(byte)).count();
    (lead, &content[lead..content.len() - trail])
}
