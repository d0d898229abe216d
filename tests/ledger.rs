//! The account balances, and agrees with what lies in the outputs, for any bytes whatever.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use fhirline_core::{Identity, Origin, Receipt};
use fhirline_fetch::FolderStore;
use fhirline_flow::Entry;
use fhirline_sink::{OUTCOME_NAME, RAW_NAME};
use proptest::prelude::*;

use crate::support::slow_reader::SlowReader;
use crate::support::{CutOrigin, Ran, Setting, Text, line_zoo, sample, split, split_into};

/// Checks the account of a run over one source against the source and the outputs.
fn check(bytes: &[u8], setting: &Setting) -> Result<Ran, TestCaseError> {
    let ran = split([CutOrigin::whole("source", bytes).entry()], setting)
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let ledger = &ran.outcome.totals.ledger;
    prop_assert_eq!(ledger.check(), Ok(()));
    if ran.outcome.failed_sources > 0 {
        return Ok(ran);
    }
    prop_assert_eq!(ledger.bytes.read, bytes.len() as u64);
    prop_assert_eq!(ledger.bytes.byte_order_marks, if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 });
    let line_ends =
        |line: &[u8]| line.len() - line.strip_suffix(b"\r\n").unwrap_or(&line[..line.len() - 1]).len();
    let all_line_ends = |bytes: &[u8]| {
        let whole = bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
        whole.map(|line| line_ends(line) as u64).sum::<u64>()
    };
    // Where values span lines, line ends are a part of what is set aside, and of what a Bundle says of itself.
    let spans_lines = ledger.bytes.terminators != all_line_ends(bytes);
    if spans_lines {
        let mut slow = SlowReader::default();
        slow.read("source", bytes);
        prop_assert!(slow.spans_lines || slow.unwrapped > 0);
        prop_assert!(ledger.bytes.terminators < all_line_ends(bytes));
    }

    let (beside, outputs): (Vec<&Receipt>, Vec<&Receipt>) =
        ran.receipts.iter().partition(|receipt| receipt.name.starts_with("_entries"));
    let sums = |of: &[&Receipt]| {
        let records: u64 = of.iter().map(|receipt| receipt.records).sum();
        (records, of.iter().map(|receipt| receipt.plain_bytes).sum::<u64>() - records)
    };
    prop_assert_eq!((ledger.records.delivered, ledger.bytes.delivered), sums(&outputs));
    prop_assert_eq!((ledger.containers.bare_entries, ledger.bytes.sidecars), sums(&beside));
    for receipt in &ran.receipts {
        prop_assert_eq!(ran.files[&receipt.name].len() as u64, receipt.stored_bytes);
    }
    let raw = ran.files.get(RAW_NAME).map_or(0, Vec::len) as u64;
    prop_assert_eq!(raw, ledger.bytes.quarantined + ledger.records.quarantined);
    check_totals(&ran)?;
    Ok(ran)
}

/// Checks the account by type and by fault against the ledger.
fn check_totals(ran: &Ran) -> Result<(), TestCaseError> {
    let totals = &ran.outcome.totals;
    let (records, bytes) = (&totals.ledger.records, &totals.ledger.bytes);
    let delivered = totals.types.values().map(|of| (of.delivered.records, of.delivered.bytes));
    let filtered = totals.types.values().map(|of| (of.filtered.records, of.filtered.bytes));
    let add = |sum: (u64, u64), part: (u64, u64)| (sum.0 + part.0, sum.1 + part.1);
    prop_assert_eq!(delivered.fold((0, 0), add), (records.delivered, bytes.delivered));
    prop_assert_eq!(filtered.fold((0, 0), add), (records.filtered, bytes.filtered));
    let faulty: u64 = totals.faults.values().map(|fault| fault.records).sum();
    prop_assert_eq!(faulty, records.quarantined);
    Ok(())
}

/// Bytes of all kinds: mostly such as matter, in lines.
fn bytes() -> impl Strategy<Value = Text> {
    let byte = prop_oneof![
        4 => prop::sample::select(b"\n\r\t {}[]\":,\\\xEF\xBB\xBF01aE".to_vec()),
        1 => any::<u8>(),
    ];
    let mark = prop_oneof![2 => Just(&b""[..]), 1 => Just(&b"\xEF\xBB\xBF"[..]), 1 => Just(&b"{}\r\n"[..])];
    (mark, prop::collection::vec(byte, 0..400)).prop_map(|(mark, bytes)| Text([mark, &bytes].concat()))
}

/// Exports with damage: bytes replaced, pieces taken out or doubled.
fn damaged() -> impl Strategy<Value = Text> {
    let edit = (any::<prop::sample::Index>(), 0_usize..200, any::<u8>(), 0..3_u8);
    (0_u64..8, prop::collection::vec(edit, 0..20)).prop_map(|(seed, edits)| {
        let mut export = [line_zoo(), sample(seed, 60 << 10)].concat();
        for (place, length, byte, kind) in edits {
            let start = place.index(export.len());
            let end = (start + length).min(export.len());
            match kind {
                0 => export[start] = byte,
                1 => drop(export.drain(start..end)),
                _ => {
                    let doubled = export[start..end].to_vec();
                    export.splice(start..start, doubled);
                }
            }
        }
        Text(export)
    })
}

fn settings() -> impl Strategy<Value = Setting> {
    let threads = prop_oneof![Just(1), Just(3)];
    let max_line_bytes = prop_oneof![2 => Just(u64::MAX), 1 => 1_u64..200];
    let held_line_bytes = prop_oneof![Just(4 << 20), 1_usize..200];
    let chunk_bytes = prop_oneof![Just(1 << 20), 1_usize..500];
    let lines = (max_line_bytes, held_line_bytes);
    (threads, lines, chunk_bytes, any::<bool>()).prop_map(|(threads, (line, held), chunk, filter)| {
        let setting = Setting::threads(threads).max_line_bytes(line).held_line_bytes(held).chunk_bytes(chunk);
        if filter { setting.only(&["Patient", "Goal"]) } else { setting }
    })
}

fn quietly(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(quietly(1500))]

    #[test]
    fn test_the_ledger_balances_for_any_bytes(Text(bytes) in bytes(), setting in settings()) {
        check(&bytes, &setting)?;
    }
}

proptest! {
    #![proptest_config(quietly(60))]

    #[test]
    fn test_the_ledger_balances_for_damaged_exports(Text(export) in damaged(), setting in settings()) {
        let ran = check(&export, &setting)?;
        prop_assume!(ran.outcome.failed_sources == 0);
        let mut predicted = SlowReader::new(setting.flow.max_line_bytes.unwrap_or(u64::MAX));
        predicted.read("source", &export);
        prop_assume!(predicted.unpredicted.is_empty());
        let ledger = &ran.outcome.totals.ledger;
        prop_assert_eq!(ledger.records.delivered + ledger.records.filtered, predicted.delivered);
        prop_assert_eq!(ledger.records.quarantined, predicted.rejects.len() as u64);
        prop_assert_eq!(ledger.blank_lines, predicted.blank_lines);
    }
}

#[test]
fn test_a_filter_takes_out_what_it_says() {
    let export = [line_zoo(), sample(3, 200 << 10)].concat();
    let all = check(&export, &Setting::threads(1)).expect("it balances");
    let some = check(&export, &Setting::threads(3).only(&["Patient", "Goal"])).expect("it balances");
    let names: Vec<&String> = some.receipts.iter().map(|receipt| &receipt.name).collect();
    assert_eq!(names, ["Goal.ndjson", "Patient.ndjson"]);
    for name in ["Goal.ndjson", "Patient.ndjson", RAW_NAME, OUTCOME_NAME] {
        assert!(some.files[name] == all.files[name], "{name} does not depend on the filter");
    }
    let (all, some) = (all.outcome.totals.ledger, some.outcome.totals.ledger);
    assert!(some.records.filtered > 0);
    assert_eq!(some.records.filtered + some.records.delivered, all.records.delivered);
}

/// So many bytes of `x\n`, made while they are read.
struct Flood(u64);

impl Origin for Flood {
    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { name: self.name().to_owned(), stored_bytes: Some(self.0), modified: None, tag: None })
    }

    fn name(&self) -> &str {
        "flood"
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        assert_eq!(offset, 0);
        Ok(Box::new(FloodReader(self.0)))
    }
}

impl fmt::Debug for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flood({})", self.0)
    }
}

/// Bytes still to come: always an even number.
struct FloodReader(u64);

impl Read for FloodReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = (into.len() as u64 & !1).min(self.0) as usize;
        into[..count].chunks_exact_mut(2).for_each(|line| line.copy_from_slice(b"x\n"));
        self.0 -= count as u64;
        Ok(count)
    }
}

#[test]
fn test_a_flood_of_rejects_is_kept_whole_and_told_in_few_words() {
    const BYTES: u64 = 256 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(FolderStore::open(folder.path()).expect("a folder"));
    let mut setting = Setting::threads(2);
    setting.split.durable = false;
    let (outcome, _, _) = split_into(store, [Entry::named(Flood(BYTES))], &setting).expect("a run");
    let ledger = outcome.totals.ledger;
    assert_eq!((ledger.records.quarantined, ledger.bytes.quarantined), (BYTES / 2, BYTES / 2));

    let raw = std::fs::metadata(folder.path().join(RAW_NAME)).expect("the rejects").len();
    assert_eq!(raw, BYTES);
    let told = std::fs::read(folder.path().join(OUTCOME_NAME)).expect("the outcomes");
    assert!(told.len() < 10 << 20, "{} bytes of outcomes", told.len());
    let outcomes: Vec<serde_json::Value> = serde_json::Deserializer::from_slice(&told)
        .into_iter()
        .map(|outcome| outcome.expect("JSON"))
        .collect();
    let number = |outcome: &serde_json::Value, name: &str| {
        let parts = outcome["issue"][0]["extension"][0]["extension"].as_array().expect("parts").clone();
        parts.iter().find(|part| part["url"] == name).and_then(|part| part["valueDecimal"].as_u64())
    };
    let count = |outcome| number(outcome, "count").unwrap_or(1);
    assert_eq!(outcomes.iter().map(count).sum::<u64>(), BYTES / 2);
    let last = outcomes.last().expect("outcomes");
    assert!(count(last) > 1);
    assert_eq!(number(last, "lastLine"), Some(BYTES / 2));
    assert_eq!(number(last, "lastByte"), Some(BYTES - 2));
}
