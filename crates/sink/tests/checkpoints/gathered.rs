//! Small writes to plain outputs are put together, and files that are full are closed.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use fhirline_fetch::{FolderStore, MemoryStore};
use fhirline_sink::{Codec, Encoding, Inline, SplitOptions};

use crate::killed::Dying;
use crate::support::{Run, Step, sealed, unbroken};

const TYPES: u16 = 100;
const BATCHES: usize = 200;

/// One record of each type, in turn.
fn mixed() -> Vec<Step> {
    let batches = std::iter::repeat_n(Step::Types(0..TYPES), BATCHES);
    std::iter::once(Step::Begin(0)).chain(batches).collect()
}

/// How many operations that takes, once it is seen to be what is written without waiting.
fn operations(steps: &[Step], open_block_bytes: u64) -> u64 {
    let options = SplitOptions { durable: false, open_block_bytes, ..SplitOptions::default() };
    let (store, memory) = counted();
    let mut run = Run::begin(Arc::new(store.clone()), options, steps, false);
    run.steps_to(steps.len());
    let finished = run.sink.finish(&Inline).expect("in memory");
    let operations = store.operations();
    let at_once = SplitOptions { open_block_bytes: 0, ..options };
    assert!(sealed(finished, &memory) == unbroken(steps, at_once));
    operations
}

fn counted() -> (Dying, MemoryStore) {
    let memory = MemoryStore::new();
    (Dying::counting(memory.clone()), memory)
}

#[test]
fn many_types_in_turn_do_not_cost_a_write_for_each_record() {
    let (steps, outputs) = (mixed(), u64::from(TYPES));
    assert_eq!(
        operations(&steps, 0),
        outputs + outputs * BATCHES as u64,
        "each made, and each record written"
    );
    assert_eq!(operations(&steps, 1 << 20), outputs * 2, "each made and written once, at the end");
    // Of 460 kB half a share, or a little less, is written at a time.
    let few = operations(&steps, 64 << 10);
    assert!(few < outputs * 20, "{few} operations");
}

/// How many files below a folder this process has open, where the system tells (Linux).
fn open_below(folder: &Path) -> Option<usize> {
    let open = fs::read_dir("/proc/self/fd").ok()?;
    let paths = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    Some(paths.filter(|path| path.starts_with(folder)).count())
}

#[test]
fn files_that_are_full_are_closed() {
    let steps: Vec<_> = std::iter::once(Step::Begin(0)).chain((0..40).map(|_| Step::Types(0..3))).collect();
    for codec in [Codec::None, Codec::Gzip] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = FolderStore::with_open_files(folder.path(), 200).expect("a store");
        let encoding = Encoding::new(codec, None).expect("the usual level");
        let options = SplitOptions { encoding, max_file_records: Some(1), ..SplitOptions::default() };
        let mut run = Run::begin(Arc::new(store), options, &steps, false);
        run.steps_to(steps.len());
        let files = fs::read_dir(folder.path()).expect("a list").count();
        assert!(files >= 120, "{files} files");
        // The last of each output, and of compressed ones those before it, which are on their way.
        let open = open_below(folder.path());
        assert!(open.is_none_or(|open| open <= 3 + options.max_jobs), "{codec:?}: {open:?} files");
    }
}

#[test]
fn what_waits_is_written_before_a_checkpoint() {
    let steps = [Step::Begin(0), Step::Types(0..3), Step::Begin(1), Step::Types(0..3)];
    let options = SplitOptions { durable: false, ..SplitOptions::default() };
    let (store, _) = counted();
    let mut run = Run::begin(Arc::new(store.clone()), options, &steps, false);
    run.steps_to(4);
    assert_eq!(store.operations(), 3, "three names");
    run.checkpoint();
    assert_eq!(store.operations(), 7, "their bytes, and the checkpoint");
}

#[test]
fn many_small_sources_do_not_cost_a_write_for_each_output() {
    let source = |number| [Step::Begin(number), Step::Types(0..TYPES)];
    let steps: Vec<_> = (0..BATCHES as u32).flat_map(source).collect();
    assert_eq!(operations(&steps, 1 << 20), u64::from(TYPES) * 2, "each made and written once, at the end");
}
