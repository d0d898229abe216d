use std::sync::Arc;

use fhirline_core::Store;
use fhirline_fetch::{FolderStore, MemoryStore};
use fhirline_sink::{
    Checkpoint, Codec, Encoding, Inline, MAX_DESTINATIONS, ResumeError, Sink, SplitOptions, SplitSink,
    safe_name,
};
use proptest::prelude::*;

use crate::support::{NAME, Ran, Run, Step, contents, options, run_text, sealed, steps, unbroken};

/// A run that stops after the steps in `kills`, and makes checkpoints after those in `checkpoints`.
pub(crate) fn interrupted(
    store: &dyn Fn() -> Arc<dyn Store>,
    options: SplitOptions,
    steps: &[Step],
    checkpoints: &[bool],
    kills: &[usize],
    threads: bool,
) -> Ran {
    let mut run = Run::begin(store(), options, steps, threads);
    for &kill in kills {
        advance(&mut run, checkpoints, kill.min(steps.len()));
        if kill > steps.len() {
            // As late as can be: everything is written, and nothing has its final name.
            drop(run.sink.finish(&Inline).expect("a store with room"));
        } else {
            drop(run);
        }
        run = match Run::resume(store(), options, steps, threads) {
            Ok(run) => run,
            // There is no checkpoint yet, or a source was abandoned since.
            Err(ResumeError::Malformed { .. }) => {
                let store = store();
                let names = store.list().expect("listed");
                names.iter().for_each(|name| store.remove(name).expect("removed"));
                Run::begin(store, options, steps, threads)
            }
            Err(error) => panic!("{error:?}"),
        };
    }
    advance(&mut run, checkpoints, steps.len());
    sealed(run.sink.finish(&Inline).expect("a store with room"), &*store())
}

/// A run that stops so many steps behind a checkpoint, and takes the source back when it goes on; what it leaves, and the
/// steps that this amounts to.
pub(crate) fn abandoned(
    store: &dyn Fn() -> Arc<dyn Store>,
    options: SplitOptions,
    steps: &[Step],
    checkpoint: usize,
    kill: usize,
    again: bool,
) -> (Ran, Vec<Step>) {
    let mut run = Run::begin(store(), options, steps, false);
    run.steps_to(checkpoint);
    run.checkpoint();
    let abandons = |step: &Step| matches!(step, Step::Abandon);
    let most = steps[checkpoint..].iter().position(abandons).unwrap_or(steps.len() - checkpoint);
    run.steps_to(checkpoint + kill.min(most));
    drop(run);
    let mut before = steps[..checkpoint].to_vec();
    before.push(Step::Abandon);
    let mut run = Run::resume(store(), options, &before, false).expect("sound");
    run.step();
    if again {
        run.checkpoint();
        drop(run);
        run = Run::resume(store(), options, &before, false).expect("sound");
    }
    let ran = sealed(run.sink.finish(&Inline).expect("in memory"), &*store());
    (ran, before)
}

fn advance(run: &mut Run<'_>, checkpoints: &[bool], to: usize) {
    while run.taken < to {
        run.step();
        if checkpoints[run.taken % checkpoints.len()] {
            run.checkpoint();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nobody_sees_that_a_run_was_interrupted(
        options in options(),
        steps in steps(),
        checkpoints in prop::collection::vec(prop::bool::weighted(0.4), 1..24),
        kills in prop::collection::vec(0usize..30, 1..5),
        threads in any::<bool>(),
    ) {
        let store = MemoryStore::new();
        let ran = interrupted(&|| Arc::new(store.clone()), options, &steps, &checkpoints, &kills, threads);
        prop_assert!(ran == unbroken(&steps, options));
    }

    /// A source that was interrupted turns out to be another one now: the sink goes back to where it began.
    #[test]
    fn a_source_can_be_abandoned_after_all(
        options in options(),
        steps in steps(),
        checkpoint in 0usize..30,
        kill in 0usize..6,
        again in any::<bool>(),
    ) {
        let store = MemoryStore::new();
        let (ran, before) =
            abandoned(&|| Arc::new(store.clone()), options, &steps, checkpoint % (steps.len() + 1), kill, again);
        prop_assert!(ran == unbroken(&before, options));
    }

    /// Checkpoints alone move nothing either.
    #[test]
    fn checkpoints_do_not_move_the_ends_of_members(options in options(), steps in steps()) {
        let store = MemoryStore::new();
        let ran = interrupted(&|| Arc::new(store.clone()), options, &steps, &[true], &[], false);
        prop_assert!(ran == unbroken(&steps, options));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn nobody_sees_it_in_a_folder_either(
        options in options(),
        steps in steps(),
        checkpoints in prop::collection::vec(prop::bool::weighted(0.4), 1..24),
        kills in prop::collection::vec(0usize..30, 1..4),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || -> Arc<dyn Store> { Arc::new(FolderStore::with_open_files(folder.path(), 3).expect("opened")) };
        let ran = interrupted(&open, options, &steps, &checkpoints, &kills, true);
        prop_assert!(ran == unbroken(&steps, options));
    }
}

/// Rejects that share an outcome, with a checkpoint in the middle of the group.
#[test]
fn neighbouring_rejects_share_their_outcome_across_an_interruption() {
    let many = |count| Step::Batch(vec![(12, 0); count]);
    let steps = [Step::Begin(0), many(10_500), many(20), many(3), Step::Begin(1), many(2)];
    let options = SplitOptions::default();
    let wanted = unbroken(&steps, options);
    let outcomes = &wanted.files["_quarantine/outcome.ndjson"];
    let shared = b"\"count\",\"valueDecimal\":524}";
    assert!(outcomes.windows(shared.len()).any(|window| window == shared), "others share an outcome");
    for kills in [[2, 3], [3, 5], [4, 4]] {
        let store = MemoryStore::new();
        let ran = interrupted(&|| Arc::new(store.clone()), options, &steps, &[true], &kills, false);
        assert!(ran == wanted, "{kills:?}");
    }
}

/// More types than there may be outputs, within a source that is abandoned in the end and in one that is not.
#[test]
fn records_of_too_many_types_are_counted_across_an_interruption() {
    let most = MAX_DESTINATIONS as u16;
    let mut steps = vec![Step::Begin(0), Step::Types(0..most - 5), Step::Types(most - 9..most + 3)];
    steps.extend([Step::Begin(1), Step::Types(most..most + 20), Step::Types(most..most + 30)]);
    for abandons in [false, true] {
        steps.extend(abandons.then_some(Step::Abandon));
        let wanted = unbroken(&steps, SplitOptions::default());
        assert_eq!(wanted.diverted_records, if abandons { 3 } else { 53 });
        let store = MemoryStore::new();
        let open = || -> Arc<dyn Store> { Arc::new(store.clone()) };
        let ran = interrupted(&open, SplitOptions::default(), &steps, &[true], &[2, 3, 5], false);
        assert!(ran == wanted, "abandoned: {abandons}");
    }
}

fn compressed() -> SplitOptions {
    let encoding = Encoding::new(Codec::Gzip, None).expect("the usual level");
    SplitOptions { encoding, block_bytes: 500, open_block_bytes: 2000, ..SplitOptions::default() }
}

fn some_steps() -> Vec<Step> {
    let batch = |from: u8| Step::Batch((0..30).map(|place| ((from + place) % 13, 40)).collect());
    vec![Step::Begin(0), batch(0), batch(5), Step::Begin(1), batch(2), batch(9), batch(1)]
}

#[test]
fn a_finished_run_leaves_nothing_of_its_checkpoints() {
    let (store, steps) = (MemoryStore::new(), some_steps());
    let mut run = Run::begin(Arc::new(store.clone()), compressed(), &steps, false);
    while run.taken < steps.len() {
        run.step();
        run.checkpoint();
    }
    let left = |of: &str| contents(&store).keys().filter(|name| name.contains(of)).count();
    assert_eq!(left("_blocks-"), 2, "they take turns");
    let finished = run.sink.finish(&Inline).expect("in memory");
    assert_eq!((left("_blocks-"), left(NAME)), (2, 1), "it can still be taken up again");
    finished.seal().expect("in memory");
    assert_eq!(
        (left("_blocks-"), left(NAME), left(&safe_name(NAME))),
        (0, 1, 1),
        "those names are the caller's"
    );
    assert_eq!(left(".partial"), 2);
}

#[test]
fn what_was_written_behind_the_checkpoint_is_told_and_gone() {
    let (store, steps) = (MemoryStore::new(), some_steps());
    let mut run = Run::begin(Arc::new(store.clone()), SplitOptions::default(), &steps, false);
    run.steps_to(2);
    run.checkpoint();
    let stored = |store: &MemoryStore| contents(store).values().map(Vec::len).sum::<usize>() as u64;
    let (at_checkpoint, before) = (contents(&store), stored(&store));
    run.steps_to(steps.len());
    drop(run);
    let behind = stored(&store) - before;
    let mut younger = store.create("Younger.ndjson").expect("in memory");
    younger.append(b"{}\n").expect("in memory");
    store.replace("manifest.json.partial", b"{\"half", false).expect("in memory");
    store.put_if_absent("notes.txt", b"mine").expect("in memory");
    let json = store.get(NAME, u64::MAX).expect("in memory").expect("a checkpoint");
    let checkpoint = Checkpoint::parse(&json).expect("ours");
    let (_, resumed) =
        SplitSink::resume(Arc::new(store.clone()), SplitOptions::default(), NAME, checkpoint).expect("sound");
    assert_eq!(resumed.discarded_bytes, behind + 3);
    let mut left = contents(&store);
    assert_eq!(left.remove("notes.txt").as_deref(), Some(&b"mine"[..]));
    assert!(left == at_checkpoint);
}

#[test]
fn a_sink_without_checkpoints_makes_none() {
    let store = MemoryStore::new();
    let mut sink = SplitSink::new(Arc::new(store.clone()), compressed());
    sink.checkpoint(b"{}", true).expect("nothing to do");
    assert!(contents(&store).is_empty());
}

#[test]
fn progress_that_is_not_json_is_refused() {
    let store = MemoryStore::new();
    let sink = SplitSink::new(Arc::new(store.clone()), compressed());
    let mut sink = sink.with_checkpoints(NAME, run_text());
    assert!(sink.checkpoint(b"{\"half\":", true).is_err());
    assert!(contents(&store).is_empty());
}

/// Less memory than the interrupted run had: the decoded bytes are the same.
#[test]
fn a_run_goes_on_with_less_memory() {
    let steps = some_steps();
    let wanted = unbroken(&steps, SplitOptions::default());
    let less = SplitOptions { block_bytes: 100, open_block_bytes: 300, ..compressed() };
    let store = MemoryStore::new();
    let mut run = Run::begin(Arc::new(store.clone()), compressed(), &steps, false);
    run.steps_to(3);
    run.checkpoint();
    drop(run);
    let mut run = Run::resume(Arc::new(store.clone()), less, &steps, false).expect("sound");
    run.steps_to(steps.len());
    let ran = sealed(run.sink.finish(&Inline).expect("in memory"), &store);
    for (name, bytes) in &wanted.files {
        let Some(stored) = ran.files.get(&format!("{name}.gz")) else { continue };
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&stored[..]), &mut plain)
            .expect("it decodes");
        assert!(&plain == bytes, "{name}");
    }
}

/// A kill between the abandoning of a source and the next checkpoint: there is none then, rather than a wrong one.
#[test]
fn a_checkpoint_does_not_outlive_what_was_abandoned() {
    let mut steps = some_steps()[..3].to_vec();
    steps.push(Step::Abandon);
    let store = MemoryStore::new();
    let mut run = Run::begin(Arc::new(store.clone()), compressed(), &steps, false);
    run.steps_to(2);
    run.checkpoint();
    run.steps_to(4);
    drop(run);
    assert_eq!(store.contents(NAME).as_deref(), Some(&b""[..]), "the name says still whose the folder is");
    let refused = Run::resume(Arc::new(store.clone()), compressed(), &steps, false).err();
    assert!(matches!(refused, Some(ResumeError::Malformed { .. })), "{refused:?}");
}

/// A checkpoint before the abandoned source holds.
#[test]
fn a_checkpoint_before_an_abandoned_source_stays() {
    let mut steps = some_steps()[..5].to_vec();
    steps.push(Step::Abandon);
    let store = MemoryStore::new();
    let mut run = Run::begin(Arc::new(store.clone()), compressed(), &steps, false);
    run.steps_to(3);
    run.checkpoint();
    run.steps_to(steps.len());
    drop(run);
    let mut run = Run::resume(Arc::new(store.clone()), compressed(), &steps, false).expect("sound");
    assert_eq!(run.taken, 3);
    run.steps_to(steps.len());
    let ran = sealed(run.sink.finish(&Inline).expect("in memory"), &store);
    assert!(ran == unbroken(&steps, compressed()));
}

/// The steps with nothing in place of sources that were abandoned.
fn without_abandoned(steps: &[Step]) -> Vec<Step> {
    let mut kept: Vec<Step> = steps.to_vec();
    for end in (0..steps.len()).filter(|&at| matches!(steps[at], Step::Abandon)) {
        let begun = steps[..end].iter().rposition(|step| matches!(step, Step::Begin(_))).unwrap_or(0);
        kept[begun..=end].fill(Step::Batch(Vec::new()));
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Not even the ends of members tell of a source that was abandoned.
    #[test]
    fn an_abandoned_source_leaves_no_trace(options in options(), steps in steps()) {
        prop_assert!(unbroken(&steps, options) == unbroken(&without_abandoned(&steps), options));
    }
}

/// The abandoned source made one output's block too many, and it was cut although nothing of that source was in it.
#[test]
fn a_block_that_an_abandoned_source_had_cut_is_open_again() {
    let options = SplitOptions { block_bytes: 900, open_block_bytes: 400, ..compressed() };
    let steps = [
        Step::Begin(0),
        Step::Batch(vec![(0, 100), (0, 100)]),
        Step::Begin(1),
        Step::Batch(vec![(1, 100)]),
        Step::Abandon,
        Step::Begin(2),
        Step::Batch(vec![(0, 10)]),
    ];
    assert!(unbroken(&steps, options) == unbroken(&without_abandoned(&steps), options));
}
