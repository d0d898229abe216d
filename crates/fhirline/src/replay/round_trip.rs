//! Hostile sources on any number of lines: what was rejected once and left as it was is rejected again, byte for byte and at
//! the same place, or it is sound on its own.

use std::fs;
use std::path::Path;

use fhirline_line_split::ChunkSize;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::files::Marked;
use super::outcomes::{Outcome, Outcomes};
use crate::{Job, SplitJob};

/// Pieces of pretty-printed sources.
const PIECES: [&str; 30] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "\r\n",
    "\n  ",
    "\n{\n",
    "\n}\n",
    "},\n{",
    "\r",
    "\"",
    " ",
    "\"resourceType\": ",
    "\"Patient\"",
    "\"Bundle\"",
    "\"type\": \"collection\"",
    "\"entry\": [",
    "\"resource\": ",
    "\"id\": 1,\n",
    "17",
    "nul",
    "{\n  \"resourceType\": \"Goal\",\n  \"id\": \"g\"\n}\n",
    "{\n  \"resourceType\": Goal,\n  \"id\": \"g\"\n}\n",
    "{\n  \"id\": \"no type\"\n}\n",
    "{\"resourceType\":\"Goal\"}",
    "{\"resource\": {\n\"resourceType\":\"Goal\"}\n},\n",
    "{\n\"resourceType\": \"Bundle\",\n\"type\": \"collection\",\n\"entry\": [\n",
];

/// A rejected record: what is told of it, and its bytes.
type Rejected = (Outcome, Vec<u8>);

fn rejected(run: &Path) -> Vec<Rejected> {
    let quarantine = run.join("_quarantine");
    let Ok(raw) = fs::read(quarantine.join("lines.raw")) else { return Vec::new() };
    let file = Marked::new(quarantine.join("outcome.ndjson")).and_then(|file| file.open()).expect("there");
    let (mut outcomes, mut from, mut rejected) = (Outcomes::new(file), 0, Vec::new());
    while let Some(outcome) = outcomes.next().expect("ours") {
        let end = from + outcome.length as usize;
        let bytes = raw[from..end].to_vec();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count() as u64 + 1, outcome.lines);
        assert_eq!(raw[end], b'\n');
        rejected.push((outcome, bytes));
        from = end + 1;
    }
    assert_eq!(from, raw.len());
    rejected
}

fn is_sound(record: &[u8]) -> bool {
    let value = serde_json::from_slice::<Value>(record);
    value.is_ok_and(|value| value["resourceType"].as_str().is_some_and(|name| !name.is_empty()))
}

/// Splits; an incomplete source is none.
fn split(job: Job, to: &Path, max_bytes: usize) {
    let chunk_size = ChunkSize { max_bytes, ..ChunkSize::default() };
    let job = Job { chunk_size, ..job.memory_bytes(1 << 30).threads(1) };
    job.allow_incomplete(true).split(&SplitJob::to(to), &mut |_| {}).expect("split");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_left_as_it_was_is_rejected_as_it_was(
        pieces in vec(prop::sample::select(&PIECES[..]), 0..25),
        more in vec(prop::sample::select(&PIECES[..]), 0..25),
        max_bytes in 1_usize..200,
    ) {
        let place = TempDir::new().expect("a folder");
        let sources = ["a.json", "b.json"].map(|name| place.path().join(name));
        for (source, pieces) in sources.iter().zip([pieces, more]) {
            // A good beginning on several lines, so that lines are no records.
            fs::write(source, format!("{{\n\"resourceType\":\"Goal\"}}\n{}", pieces.concat())).expect("written");
        }
        let (out, again) = (place.path().join("out"), place.path().join("again"));
        split(Job::new(&sources).expect("sources"), &out, max_bytes);
        let before = rejected(&out);
        // Where a container has no end, a record without a byte says so. In a replay there is nothing of it.
        let before: Vec<_> = before.into_iter().filter(|(outcome, _)| outcome.length > 0).collect();
        prop_assume!(!before.is_empty());
        split(Job::replay_of(&out).expect("a quarantine"), &again, max_bytes);
        let after = rejected(&again);
        for record in &before {
            prop_assert!(after.contains(record) != is_sound(&record.1), "{:?}", record);
        }
        for (outcome, bytes) in &after {
            // What a Bundle holds that is sound as a whole lies within it.
            let is_in = |(known, record): &Rejected| {
                let from = outcome.byte.checked_sub(known.byte).map(|from| from as usize);
                known.source == outcome.source && from.is_some_and(|from| record[from.min(record.len())..].starts_with(bytes))
            };
            prop_assert!(before.iter().any(is_in), "{:?}", outcome);
        }
    }
}
