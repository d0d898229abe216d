//! Records in fragments, against the same records whole.

use fhirline_core::{BadRecord, Fault};
use fhirline_parse::{Envelope, Id, MAX_TYPE_BYTES, Proof, ScannedEnvelope, Scanner, envelope};

type Outcome = Result<ScannedEnvelope, BadRecord>;

/// Checks a record cut at every place, and into fragments of every telling size; a long one at some places.
pub(crate) fn check_everywhere(record: &[u8]) {
    for size in [1, 2, 3, 5, 63, 64, 65, 4096] {
        let places: Vec<usize> = (0..record.len()).step_by(size).collect();
        check(record, &places);
    }
    for cut in (0..=record.len()).step_by(record.len() / 400 + 1) {
        check(record, &[cut]);
    }
}

/// Checks a record cut at these places: both proofs, with the white space around it and without.
pub(crate) fn check(record: &[u8], cuts: &[usize]) {
    let mut places: Vec<usize> = cuts.iter().copied().chain([0, record.len()]).collect();
    places.sort_unstable();
    for proof in [Proof::Full, Proof::Trusted] {
        let scanned = || {
            let mut scanner = Scanner::new(proof);
            places.windows(2).for_each(|pair| scanner.push(&record[pair[0]..pair[1]]));
            assert_eq!(scanner.length(), record.len() as u64);
            assert_eq!(scanner.is_blank(), trimmed(record).1.is_empty());
            assert!(scanner.held_bytes() <= Scanner::MAX_HELD_BYTES);
            scanner
        };
        let shown = || {
            let first = &places[..places.len().min(20)];
            format!("{proof:?}: {:.300} cut at {first:?}", record.escape_ascii().to_string())
        };
        assert_eq!(scanned().finish(), whole(record, proof), "{}", shown());
        assert_eq!(scanned().finish_line(), line(record, proof), "as a line, {}", shown());
    }
}

/// What `envelope` says of the record, told as a scanner would.
pub(crate) fn whole(record: &[u8], proof: Proof) -> Outcome {
    let Envelope { resource_type, id, duplicate_keys } = envelope(record, proof)?;
    let (lead, value) = trimmed(record);
    Ok(ScannedEnvelope {
        resource_type: resource_type[..resource_type.floor_char_boundary(MAX_TYPE_BYTES)].to_owned(),
        resource_type_bytes: resource_type.len() as u64,
        id: id.map(|id| match id {
            Id::Text(text) => Id::Text(text.into_owned().into()),
            Id::TooLong(bytes) => Id::TooLong(bytes),
        }),
        duplicate_keys,
        value: lead..lead + value.len() as u64,
    })
}

/// What `envelope` says of the record without the white space around it, told of the record with it.
fn line(record: &[u8], proof: Proof) -> Outcome {
    let (lead, visible) = trimmed(record);
    if visible.is_empty() {
        return Err(BadRecord { fault: Fault::Incomplete, at: 0 });
    }
    let moved = |bad: BadRecord| BadRecord { at: bad.at + lead, ..bad };
    let mut found = whole(visible, proof).map_err(moved)?;
    found.value = found.value.start + lead..found.value.end + lead;
    Ok(found)
}

fn trimmed(record: &[u8]) -> (u64, &[u8]) {
    let is_visible = |byte: &u8| !b" \t\n\r".contains(byte);
    let first = record.iter().position(is_visible).unwrap_or(record.len());
    let end = record.iter().rposition(is_visible).map_or(first, |last| last + 1);
    (first as u64, &record[first..end])
}
