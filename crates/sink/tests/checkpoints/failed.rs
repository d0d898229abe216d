//! A source that is not whole: what came of it stays, and a later run goes back to where it began.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use fhirline_core::{PARTIAL_SUFFIX, Store};
use fhirline_fetch::MemoryStore;
use fhirline_sink::{Codec, Encoding, Inline, Sink, SinkError, SplitOptions, SplitSink, safe_name};
use proptest::prelude::*;

use crate::killed::{Dying, taken_up};
use crate::power_loss::Volatile;
use crate::support::{NAME, Run, Step, begun_before, contents, options, sealed, steps, unbroken};

/// What outputs and quarantine hold, decoded, without the suffixes of provisional names and of encodings.
fn decoded(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let outputs = files.iter().filter(|(name, _)| name.contains(".ndjson") || name.contains("lines.raw"));
    outputs.map(|(name, bytes)| plain(name.trim_end_matches(PARTIAL_SUFFIX), bytes)).collect()
}

fn plain(name: &str, stored: &[u8]) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let (name, read) = match name.rsplit_once('.') {
        Some((name, "gz")) => (name, flate2::read::MultiGzDecoder::new(stored).read_to_end(&mut bytes)),
        Some((name, "zst")) => {
            (name, zstd::stream::read::Decoder::new(stored).and_then(|mut of| of.read_to_end(&mut bytes)))
        }
        _ => (name, (&*stored).read_to_end(&mut bytes)),
    };
    read.expect("whole members");
    (name.to_owned(), bytes)
}

fn is_kept(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> bool {
    let outputs = before.iter().filter(|(name, _)| name.contains(".ndjson") || name.contains("lines.raw"));
    outputs.into_iter().all(|(name, bytes)| after.get(name).is_some_and(|now| now.starts_with(bytes)))
}

/// Steps on, with checkpoints, to where the source fails, or to the end.
fn advance(run: &mut Run<'_>, to: usize, checkpoints: &[bool]) -> Result<(), SinkError> {
    while run.taken < to {
        run.try_step()?;
        if checkpoints[run.taken % checkpoints.len()] {
            run.try_checkpoint()?;
        }
    }
    Ok(())
}

/// The same sources, but the one that is read after `taken` steps and those behind it are others now.
fn changed_behind(steps: &[Step], taken: usize, others: &[Step]) -> Vec<Step> {
    [&steps[..begun_before(steps, taken)], others].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_came_of_it_stays_until_it_is_read_again(
        options in options(),
        (steps, others) in (steps(), steps()),
        checkpoints in prop::collection::vec(prop::bool::weighted(0.4), 1..24),
        taken in 0usize..30,
        latest_is_lost in any::<bool>(),
    ) {
        let (store, taken) = (MemoryStore::new(), taken % (steps.len() + 1));
        let mut run = Run::begin(Arc::new(store.clone()), options, &steps, false);
        advance(&mut run, taken, &checkpoints).expect("in memory");
        let before = contents(&store);
        run.try_fail().expect("in memory");
        drop(run);
        let after = contents(&store);
        prop_assert!(is_kept(&before, &after));
        prop_assert!(decoded(&after) == decoded(&unbroken(&steps[..taken], options).files));
        if latest_is_lost && options.durable {
            store.replace(NAME, b"", false).expect("in memory");
        }
        let now = changed_behind(&steps, taken, &others);
        let mut run = Run::resume(Arc::new(store.clone()), options, &now, false).expect("the savepoint holds");
        prop_assert_eq!(run.taken, begun_before(&steps, taken));
        run.steps_to(now.len());
        let ran = sealed(run.sink.finish(&Inline).expect("in memory"), &store);
        prop_assert!(ran == unbroken(&now, options));
    }

    /// Once its failing is noted, the source may become another one; a kill before that leaves what it was.
    #[test]
    fn a_kill_at_any_moment_leaves_one_checkpoint_or_the_other(
        options in options(),
        sources in sources(),
        checkpoints in prop::collection::vec(prop::bool::weighted(0.6), 1..20),
        lives in prop::collection::vec(0u64..120, 1..6),
    ) {
        let (store, mut has_failed) = (MemoryStore::new(), false);
        for operations in lives {
            let store = Dying::after(store.clone(), operations);
            has_failed |= live(&store, options, &sources, has_failed, &checkpoints);
        }
        prop_assert!(as_in_one_life(&store, options, &sources, has_failed));
    }

    #[test]
    fn so_does_a_loss_of_power(
        options in options(),
        sources in sources(),
        checkpoints in prop::collection::vec(prop::bool::weighted(0.6), 1..20),
        lives in prop::collection::vec(0u64..120, 1..6),
        cuts_are_safe in any::<bool>(),
    ) {
        let options = SplitOptions { durable: true, ..options };
        let mut store = Volatile::started_from(&MemoryStore::new(), cuts_are_safe);
        let mut has_failed = false;
        for operations in lives {
            let dying = Dying::after(store.clone(), operations);
            has_failed |= live(&dying, options, &sources, has_failed, &checkpoints);
            store = Volatile::started_from(&store.after_power_loss(), cuts_are_safe);
        }
        prop_assert!(as_in_one_life(&store, options, &sources, has_failed));
    }
}

/// Sources of which one is not whole, and what they are later.
#[derive(Clone, Debug)]
struct Sources {
    steps: Vec<Step>,
    /// After so many steps one of them fails.
    failing: usize,
    later: Vec<Step>,
}

fn sources() -> impl Strategy<Value = Sources> {
    (steps(), 1usize..30, steps()).prop_map(|(steps, failing, others)| {
        let failing = failing.min(steps.len());
        let later = changed_behind(&steps, failing, &others);
        Sources { steps, failing, later }
    })
}

/// One life of a run; whether it came so far as to note that the source failed.
fn live(
    store: &Dying,
    options: SplitOptions,
    sources: &Sources,
    has_failed: bool,
    checkpoints: &[bool],
) -> bool {
    let steps = if has_failed { &sources.later } else { &sources.steps };
    let Ok(mut run) = taken_up(store, options, steps) else { return false };
    if has_failed {
        return advance(&mut run, steps.len(), checkpoints).is_err();
    }
    advance(&mut run, sources.failing, checkpoints).is_ok() && run.try_fail().is_ok()
}

/// Whether the last life leaves what a run leaves that has only one.
fn as_in_one_life(
    store: &(impl Store + Clone + 'static),
    options: SplitOptions,
    sources: &Sources,
    has_failed: bool,
) -> bool {
    let steps = if has_failed { &sources.later } else { &sources.steps };
    let mut run = taken_up(&Dying::after(store.clone(), u64::MAX), options, steps).expect("it lives");
    run.steps_to(steps.len());
    sealed(run.sink.finish(&Inline).expect("it lives"), store) == unbroken(steps, options)
}

fn compressed() -> SplitOptions {
    let encoding = Encoding::new(Codec::Gzip, None).expect("the usual level");
    SplitOptions { encoding, ..SplitOptions::default() }
}

#[test]
fn a_sink_without_checkpoints_keeps_it_too() {
    let store = MemoryStore::new();
    let mut sink = SplitSink::new(Arc::new(store.clone()), compressed());
    let line = crate::support::line(2, 0, 10);
    let mut batch = crate::support::batch_of([(2, line.clone())].into_iter(), Default::default());
    sink.begin_source(fhirline_core::SourceId(0), "source").expect("in memory");
    sink.commit(&mut batch, &Inline).expect("in memory");
    sink.fail_source(Some(b"{}")).expect("in memory");
    drop(sink);
    assert_eq!(contents(&store).len(), 1);
    assert_eq!(decoded(&contents(&store))["Goal.ndjson"], line.as_bytes());
}

/// Without progress there is nothing to note: the checkpoint within the source holds.
#[test]
fn an_older_checkpoint_may_stay_as_it_is() {
    let steps =
        [Step::Begin(0), Step::Batch(vec![(0, 40), (2, 40), (10, 5)]), Step::Batch(vec![(0, 40), (13, 5)])];
    let store = MemoryStore::new();
    let mut run = Run::begin(Arc::new(store.clone()), compressed(), &steps, false);
    run.steps_to(2);
    run.checkpoint();
    let noted = (store.contents(NAME), store.contents(&safe_name(NAME)));
    run.steps_to(3);
    run.sink.fail_source(None).expect("in memory");
    drop(run);
    assert!(noted == (store.contents(NAME), store.contents(&safe_name(NAME))));
    let mut run = Run::resume(Arc::new(store.clone()), compressed(), &steps, false).expect("it holds");
    run.steps_to(3);
    let ran = sealed(run.sink.finish(&Inline).expect("in memory"), &store);
    assert!(ran == unbroken(&steps, compressed()));
}
