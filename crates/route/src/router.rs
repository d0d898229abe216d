use fhirline_core::{
    Batch, CHUNK_BYTES, Chunk, Destination, Filtered, Ledger, Lines, RecordSpan, RejectSpan, Run,
};
use fhirline_parse::{Envelope, Proof, envelope};

use crate::Selection;
use crate::place::{Scratch, destination_of};

/// How delivered records are regrouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// One run for each resource type.
    #[default]
    ByType,
    /// One run of all records, in source order.
    Together,
}

/// Decides what becomes of each line.
#[derive(Clone, Debug, Default)]
pub struct Router {
    /// How much of each record is proved.
    pub proof: Proof,
    /// Which types are wanted.
    pub selection: Selection,
    /// How delivered records are regrouped.
    pub grouping: Grouping,
}

impl Router {
    /// Regroups the lines of a chunk. `into` lends its memory to the batch; the chunk's buffers come back for the next
    /// chunk.
    #[must_use]
    pub fn route(&self, chunk: Chunk, mut into: Batch, scratch: &mut Scratch) -> (Batch, Lines) {
        scratch.clear();
        into.clear();
        let Chunk { sequence, mut lines, lease } = chunk;
        (into.sequence, into.at, into.lease) = (sequence, lines.at, Some(lease));
        into.end = lines.at.advanced(lines.bytes.len() as u64, lines.len() as u64);
        into.ledger = self.place_lines(&lines, scratch);
        move_records(&mut lines, scratch, &mut into, self.grouping);
        (into, lines)
    }

    /// Reads each line's envelope and notes where the line goes.
    fn place_lines(&self, lines: &Lines, scratch: &mut Scratch) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.bytes.read = lines.bytes.len() as u64;
        for (number, (offset, line)) in lines.iter().enumerate() {
            let content = without_terminator(line);
            ledger.bytes.terminators += (line.len() - content.len()) as u64;
            let (lead, record) = trimmed(content);
            if record.is_empty() {
                ledger.blank_lines += 1;
                ledger.bytes.white_space += content.len() as u64;
                continue;
            }
            let ordinal = ledger.records.read as u32;
            ledger.records.read += 1;
            let line = number as u32;
            match envelope(record, self.proof) {
                Ok(found) => {
                    ledger.bytes.white_space += (content.len() - record.len()) as u64;
                    let span = RecordSpan { offset: offset + lead as u32, length: record.len() as u32, line };
                    self.place_record(span, &found, scratch, &mut ledger);
                }
                Err(mut why) => {
                    // A rejected line is kept whole: what is white space around it only a sound value could say.
                    why.at += lead as u64;
                    ledger.records.quarantined += 1;
                    ledger.bytes.quarantined += content.len() as u64;
                    let span = RecordSpan { offset, length: content.len() as u32, line };
                    scratch.rejects.push(RejectSpan { span, ordinal, why });
                }
            }
        }
        ledger
    }

    fn place_record(
        &self,
        span: RecordSpan,
        found: &Envelope<'_>,
        scratch: &mut Scratch,
        ledger: &mut Ledger,
    ) {
        let name: &str = &found.resource_type;
        let groups = &mut scratch.groups;
        let number = groups.latest_if(name).unwrap_or_else(|| {
            groups.number(destination_of(name), |destination| self.selection.wants(destination))
        });
        let group = &mut groups.all[number as usize];
        group.records += 1;
        group.bytes += u64::from(span.length);
        if !group.wanted {
            ledger.records.filtered += 1;
            ledger.bytes.filtered += u64::from(span.length);
            return;
        }
        ledger.records.delivered += 1;
        ledger.bytes.delivered += u64::from(span.length);
        ledger.duplicate_keys += u64::from(found.duplicate_keys > 0);
        ledger.unknown_types += u64::from(group.destination == Destination::Unknown);
        scratch.placed.push((number, span));
    }
}

/// Fills the batch with the records as they were placed.
fn move_records(lines: &mut Lines, scratch: &Scratch, batch: &mut Batch, grouping: Grouping) {
    note_filtered(scratch, batch);
    batch.rejects.extend_from_slice(&scratch.rejects);
    match grouping {
        Grouping::ByType => note_runs(scratch, batch),
        Grouping::Together => note_one_run(scratch, batch),
    }
    let records = batch.spans.iter().chain(batch.rejects.iter().map(|reject| &reject.span));
    if lines.len() == 1 && lines.bytes.len() > CHUNK_BYTES {
        if let Some(span) = records.last() {
            take_whole(lines, *span, &mut batch.bytes);
        }
        return;
    }
    // Exactly: the lease pays for no more.
    batch.bytes.reserve_exact(lines.bytes.len() + 1);
    for span in records {
        let start = span.offset as usize;
        batch.bytes.extend_from_slice(&lines.bytes[start..start + span.length as usize]);
        batch.bytes.push(b'\n');
    }
}

/// Hands the buffer of a single long line on instead of copying it.
fn take_whole(lines: &mut Lines, span: RecordSpan, into: &mut Vec<u8>) {
    std::mem::swap(&mut lines.bytes, into);
    into.truncate((span.offset + span.length) as usize);
    into.drain(..span.offset as usize);
    into.push(b'\n');
}

fn note_filtered(scratch: &Scratch, batch: &mut Batch) {
    for group in scratch.groups.all.iter().filter(|group| !group.wanted) {
        let (destination, records, bytes) = (group.destination, group.records, group.bytes);
        batch.filtered.push(Filtered { destination, records, bytes });
    }
}

/// One run for each wanted group; the spans are sorted into them, keeping the source order within each.
fn note_runs(scratch: &Scratch, batch: &mut Batch) {
    let (mut byte, mut span) = (0, 0);
    let mut next_of = Vec::with_capacity(scratch.groups.all.len());
    for group in &scratch.groups.all {
        next_of.push(span);
        if group.wanted {
            let bytes = byte..byte + (group.bytes + group.records) as usize;
            let spans = span..span + group.records as usize;
            (byte, span) = (bytes.end, spans.end);
            batch.runs.push(Run { destination: group.destination, bytes, spans });
        }
    }
    batch.rejects_from = byte;
    batch.spans.resize(span, RecordSpan { offset: 0, length: 0, line: 0 });
    for &(group, placed) in &scratch.placed {
        let next = &mut next_of[group as usize];
        batch.spans[*next] = placed;
        *next += 1;
    }
}

fn note_one_run(scratch: &Scratch, batch: &mut Batch) {
    batch.spans.extend(scratch.placed.iter().map(|(_, span)| *span));
    let bytes: usize = batch.spans.iter().map(|span| span.length as usize + 1).sum();
    batch.rejects_from = bytes;
    if bytes > 0 {
        batch.runs.push(Run {
            destination: Destination::Together,
            bytes: 0..bytes,
            spans: 0..batch.spans.len(),
        });
    }
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
