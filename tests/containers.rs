//! The laws for what stands around resources: Bundles, arrays, lists of providers. (The oracle looks at the resources.)

mod privacy;

use fhirline_core::Receipt;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::support::containers::sources;
use crate::support::slow_reader::{SlowReader, members};
use crate::support::{CutOrigin, Files, Ran, Setting, Text, assert_same, gzip_members, split};

/// A line of `_bundles.ndjson` or `_entry_metadata.ndjson`.
#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    members: &'l RawValue,
}

/// The members that a sidecar tells, in order, and byte for byte.
fn told(files: &Files, name: &str) -> Vec<String> {
    let lines = files.get(name).map_or("", |bytes| str::from_utf8(bytes).expect("UTF-8"));
    let each = |line| serde_json::from_str::<Line<'_>>(line).expect("a line of a sidecar").members.get();
    lines.lines().flat_map(|line| members(each(line))).map(|member| member.text.to_owned()).collect()
}

/// A member that is too long to be held comes before those that are.
fn check_told(files: &Files, name: &str, wanted: &[String], in_order: bool) -> Result<(), TestCaseError> {
    let (mut found, mut wanted) = (told(files, name), wanted.to_vec());
    if !in_order {
        found.sort();
        wanted.sort();
    }
    prop_assert_eq!(found, wanted);
    Ok(())
}

fn settings() -> impl Strategy<Value = Setting> {
    let held = prop_oneof![2 => Just(4 << 20), 1 => 64_usize..300];
    let chunk = prop_oneof![2 => Just(1 << 20), 1 => 1_usize..2000];
    (1_usize..=4, held, chunk)
        .prop_map(|(threads, held, chunk)| Setting::threads(threads).held_line_bytes(held).chunk_bytes(chunk))
}

fn run(bytes: &[u8], setting: &Setting) -> Ran {
    split([CutOrigin::whole("values", bytes).entry()], setting).expect("a run that balances")
}

/// What lies in the sidecars is what the account says that it is.
fn check_sidecars(ran: &Ran) -> Result<(), TestCaseError> {
    let ledger = &ran.outcome.totals.ledger;
    let is_entries = |receipt: &&Receipt| receipt.name.starts_with("_entries");
    let entries: u64 =
        ran.receipts.iter().filter(is_entries).map(|receipt| receipt.plain_bytes - receipt.records).sum();
    let of = |name| told(&ran.files, name).iter().map(|member| member.len() as u64).sum::<u64>();
    let kept = entries + of("_bundles.ndjson") + of("_entry_metadata.ndjson");
    prop_assert_eq!(ledger.bytes.sidecars, kept);
    Ok(())
}

fn quietly(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(quietly(600))]

    /// Whoever asks for it gets every member of every Bundle and entry, as it is written.
    #[test]
    fn test_what_bundles_say_is_kept_word_for_word(Text(source) in sources(), setting in settings()) {
        let mut slow = SlowReader::default();
        slow.read("values", &source);
        prop_assume!(slow.unpredicted.is_empty() && slow.refused.is_empty());
        let without = run(&source, &setting);
        let setting = setting.keep_entry_metadata();
        for stored in [source.clone(), gzip_members(&[&source])] {
            let ran = run(&stored, &setting);
            let in_order = setting.flow.held_line_bytes > source.len();
            check_told(&ran.files, "_bundles.ndjson", &slow.of_bundles, in_order)?;
            check_told(&ran.files, "_entry_metadata.ndjson", &slow.of_entries, in_order)?;
            check_sidecars(&ran)?;
            let mut files = ran.files;
            files.retain(|name, _| !name.starts_with("_bundles") && !name.starts_with("_entry_metadata"));
            assert_same(&files, &without.files, "a run that keeps more");
        }
    }

    /// Every byte is somewhere, however damaged the source is.
    #[test]
    fn test_every_byte_of_damaged_containers_is_accounted_for(
        Text(source) in sources(),
        setting in settings(),
        keep in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"{}[]\",:\\\n x0\xFF".to_vec())), 0..4),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let mut source = source;
        for (place, byte) in damage.into_iter().filter(|_| !source.is_empty()).collect::<Vec<_>>() {
            let place = place.index(source.len());
            source[place] = byte;
        }
        source.truncate(cut.map_or(source.len(), |cut| cut.index(source.len() + 1)));
        let setting = if keep { setting.keep_entry_metadata() } else { setting }.allow_incomplete();
        let ran = run(&source, &setting);
        let ledger = &ran.outcome.totals.ledger;
        prop_assert_eq!(ledger.check(), Ok(()));
        if ran.outcome.failed_sources == 0 {
            prop_assert_eq!(ledger.bytes.read, source.len() as u64);
            check_sidecars(&ran)?;
            let raw = ran.files.get("_quarantine/lines.raw").map_or(0, Vec::len) as u64;
            prop_assert_eq!(raw, ledger.bytes.quarantined + ledger.records.quarantined);
        }
    }

    /// The files depend on the source alone: not on how it arrives, is held, or is worked on.
    #[test]
    fn test_containers_leave_the_same_files_in_any_setting(
        Text(source) in sources(),
        threads in 2_usize..=4,
        step in 1_usize..900,
        cut in any::<prop::sample::Index>(),
    ) {
        let source = &source[..cut.index(2 * source.len() + 1).min(source.len())];
        let setting = |threads| Setting::threads(threads).keep_entry_metadata().allow_incomplete().held_line_bytes(150);
        let wanted = run(source, &setting(1));
        for stored in [source.to_vec(), gzip_members(&[source])] {
            let entry = [CutOrigin::cut("values", &stored, &[step]).entry()];
            let found = split(entry, &setting(threads)).expect("a run that balances");
            assert_same(&found.files, &wanted.files, "another setting");
            prop_assert_eq!(&found.outcome.totals, &wanted.outcome.totals);
        }
    }
}

/// Cut anywhere behind its first line, nothing of it has its final name, and what arrived is the beginning of what would have.
#[test]
fn test_a_container_that_was_cut_off_is_never_complete() {
    let goal = |id: u64| format!("{{\"resourceType\":\"Goal\",\"id\":\"{id}\"}}");
    let entries: String = (1..6).map(|id| format!(" {{\"resource\":{}}},\n", goal(id))).collect();
    let array: String = (1..6).map(|id| goal(id) + ",\n").collect();
    let head = "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[\n [],\n";
    let bundle = format!("{head}{entries} {{}}]}}");
    let pretty = bundle.replace("\":", "\": ").replace(":{", ":\n  {");
    for (whole, head) in [(bundle, head.len()), (pretty, head.len() + 3), (format!("[{array}{{}}]"), 1)] {
        let all = run(whole.as_bytes(), &Setting::threads(1)).files;
        for length in head..whole.len() {
            let ran = run(&whole.as_bytes()[..length], &Setting::threads(1));
            assert_eq!(ran.outcome.failed_sources, 1, "{}", &whole[..length]);
            assert!(ran.files.keys().all(|name| name.ends_with(".partial")), "{:?}", ran.files.keys());
            let arrived = ran.files.get("Goal.ndjson.partial").map_or(&b""[..], Vec::as_slice);
            let goals = whole[..length].matches("Goal\"").count();
            assert!(all["Goal.ndjson"].starts_with(arrived), "{}", &whole[..length]);
            assert!(arrived.split(|&byte| byte == b'\n').count() >= goals, "{}", &whole[..length]);
        }
    }
}
