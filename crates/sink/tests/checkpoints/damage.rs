use std::collections::BTreeMap;
use std::sync::Arc;

use fhirline_core::{ChecksumKind, Store};
use fhirline_fetch::MemoryStore;
use fhirline_sink::{
    Checkpoint, Codec, Encoding, OUTCOME_NAME, RAW_NAME, ResumeError, SplitOptions, SplitSink, safe_name,
};

use crate::support::{NAME, Run, Step, contents};

fn options(codec: Codec, checksum: Option<ChecksumKind>) -> SplitOptions {
    let encoding = Encoding::new(codec, None).expect("the usual level");
    SplitOptions {
        encoding,
        checksum,
        max_file_records: Some(4),
        block_bytes: 300,
        open_block_bytes: 1200,
        ..SplitOptions::default()
    }
}

/// An interrupted run with rotated parts, rejects, and bytes behind the checkpoint.
fn left_by(options: SplitOptions) -> (MemoryStore, Checkpoint) {
    let batch = |from: u8| Step::Batch((0..40).map(|place| ((from + place) % 13, 40)).collect());
    let steps = [Step::Begin(0), batch(0), Step::Begin(1), batch(3), batch(6), batch(9)];
    let store = MemoryStore::new();
    let mut run = Run::begin(Arc::new(store.clone()), options, &steps, false);
    run.steps_to(4);
    run.checkpoint();
    run.steps_to(steps.len());
    let json = store.contents(NAME).expect("a checkpoint");
    (store, Checkpoint::parse(&json).expect("ours"))
}

fn copy_of(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::new();
    for (name, bytes) in contents(store) {
        copy.replace(&name, &bytes, false).expect("in memory");
    }
    copy
}

/// What the store holds when the run is taken up again: all names of the checkpoint, cut to what it knows.
fn known(store: &MemoryStore, options: SplitOptions, checkpoint: &Checkpoint) -> Vec<(String, Vec<u8>)> {
    let copy = copy_of(store);
    resume(&copy, options, checkpoint).expect("undamaged");
    contents(&copy).into_iter().filter(|(name, _)| name != NAME).collect()
}

fn resume(store: &MemoryStore, options: SplitOptions, checkpoint: &Checkpoint) -> Result<(), ResumeError> {
    SplitSink::resume(Arc::new(store.clone()), options, NAME, checkpoint.clone()).map(drop)
}

#[test]
fn every_lost_byte_is_noticed_before_anything_is_cut() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        for checksum in [None, Some(ChecksumKind::Crc32c)] {
            let options = options(codec, checksum);
            let (store, checkpoint) = left_by(options);
            for (name, bytes) in outputs_known(&store, options, &checkpoint) {
                let Some(shorter) = bytes.len().checked_sub(1) else { continue };
                let damaged = copy_of(&store);
                damaged.replace(&name, &bytes[..shorter], false).expect("in memory");
                check_refused(&damaged, options, &checkpoint, &name);
                damaged.remove(&name).expect("in memory");
                check_refused(&damaged, options, &checkpoint, &name);
            }
        }
    }
}

/// What the checkpoint refers to, without the safe one beside it.
fn outputs_known(
    store: &MemoryStore,
    options: SplitOptions,
    checkpoint: &Checkpoint,
) -> BTreeMap<String, Vec<u8>> {
    let mut known: BTreeMap<_, _> = known(store, options, checkpoint).into_iter().collect();
    known.remove(&safe_name(NAME));
    known
}

fn check_refused(damaged: &MemoryStore, options: SplitOptions, checkpoint: &Checkpoint, of: &str) {
    let before = contents(damaged);
    let error = resume(damaged, options, checkpoint).expect_err(of);
    match &error {
        ResumeError::Missing { name } | ResumeError::OpenBlocks { name } => assert_eq!(name, of),
        ResumeError::Short { name, stored_bytes, noted_bytes } => {
            assert_eq!((&**name, stored_bytes + 1), (of, *noted_bytes));
        }
        _ => panic!("{error:?}"),
    }
    assert!(contents(damaged) == before, "{of}: something was cut");
}

#[test]
fn every_changed_byte_is_noticed() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        for checksum in [ChecksumKind::Crc32c, ChecksumKind::Sha256] {
            let options = options(codec, Some(checksum));
            let (store, checkpoint) = left_by(options);
            let all = contents(&store);
            for (name, bytes) in outputs_known(&store, options, &checkpoint) {
                for at in [0, bytes.len() / 2, bytes.len().saturating_sub(1)] {
                    let mut damaged_bytes = all[&name].clone();
                    let Some(byte) = damaged_bytes.get_mut(at).filter(|_| at < bytes.len()) else { continue };
                    *byte ^= 1;
                    let damaged = copy_of(&store);
                    damaged.replace(&name, &damaged_bytes, false).expect("in memory");
                    let error = resume(&damaged, options, &checkpoint).expect_err(&name);
                    let (ResumeError::Changed { name: told } | ResumeError::OpenBlocks { name: told }) =
                        error
                    else {
                        panic!("{error:?}")
                    };
                    assert_eq!(told, name);
                }
            }
        }
    }
}

#[test]
fn there_is_something_to_damage() {
    let options = options(Codec::Gzip, None);
    let (store, checkpoint) = left_by(options);
    let known = known(&store, options, &checkpoint);
    let has = |of: &str| known.iter().any(|(name, bytes)| name.contains(of) && !bytes.is_empty());
    for of in ["_blocks-", "Goal.ndjson.gz", "Goal.0002.ndjson.gz", RAW_NAME, OUTCOME_NAME] {
        assert!(has(of), "{of}");
    }
}

#[test]
fn bytes_behind_the_checkpoint_may_be_anything() {
    let options = options(Codec::Zstd, Some(ChecksumKind::Crc32c));
    let (store, checkpoint) = left_by(options);
    let known = known(&store, options, &checkpoint);
    let damaged = copy_of(&store);
    for (name, bytes) in known.iter().filter(|(name, _)| !name.starts_with("_blocks-")) {
        damaged.replace(name, &[&bytes[..], b"garbage"].concat(), false).expect("in memory");
    }
    resume(&damaged, options, &checkpoint).expect("the garbage is cut off");
}

#[test]
fn other_options_are_refused() {
    let first = options(Codec::Gzip, None);
    let (store, checkpoint) = left_by(first);
    let before = contents(&store);
    let crc = Some(ChecksumKind::Crc32c);
    for (other, wanted) in
        [(options(Codec::Zstd, None), "compression"), (options(Codec::Gzip, crc), "checksum")]
    {
        let refused = resume(&store, other, &checkpoint).expect_err("other options");
        assert!(matches!(refused, ResumeError::OtherOptions { what } if what == wanted), "{refused:?}");
    }
    assert!(contents(&store) == before);
}

#[test]
fn no_flipped_bit_of_a_checkpoint_is_believed() {
    let (store, _) = left_by(options(Codec::Gzip, Some(ChecksumKind::Crc32c)));
    let noted = store.contents(NAME).expect("a checkpoint");
    for bit in 0..noted.len() * 8 {
        let mut damaged = noted.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Checkpoint::parse(&damaged).is_err(), "bit {bit}");
    }
}
