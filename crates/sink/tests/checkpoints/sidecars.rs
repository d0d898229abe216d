//! What stands beside the resources is written like them, and is no record.

use std::sync::Arc;

use fhirline_core::{Destination, Position, SourceId};
use fhirline_fetch::MemoryStore;
use fhirline_sink::{
    CatSink, Codec, Encoding, Inline, MAX_DESTINATIONS, Sink, SplitOptions, SplitSink, StatsSink,
};

use crate::support::{Run, Step, batch_of, line, long_line, sealed, unbroken};

const SIDECARS: [(u8, &str); 3] = [(13, "_entries"), (14, "_bundles"), (15, "_entry_metadata")];

/// A resource, a line for each sidecar, and a resource again.
fn mixed() -> Vec<(u8, u16)> {
    vec![(2, 10), (13, 20), (14, 30), (15, 40), (2, 50)]
}

fn commit_all(sink: &mut dyn Sink) {
    let at = Position::start_of(SourceId(0));
    let lines = mixed().into_iter().map(|(kind, length)| (kind, line(kind, 0, length.into())));
    sink.begin_source(SourceId(0), "source").expect("in memory");
    sink.commit(&mut batch_of(lines, at), &Inline).expect("in memory");
    for kind in [13, 14, 15, 2] {
        sink.commit_long(&mut long_line(kind, 300, 1, at), &Inline).expect("in memory");
    }
}

#[test]
fn sidecars_have_outputs_of_their_own() {
    let store = MemoryStore::new();
    let mut sink = SplitSink::new(Arc::new(store.clone()), SplitOptions::default());
    commit_all(&mut sink);
    let finished = sink.finish(&Inline).expect("in memory");
    let outputs = finished.outputs();
    let told: Vec<_> = outputs.iter().map(|output| (&*output.name, output.records)).collect();
    assert_eq!(
        told,
        [("Goal.ndjson", 3), ("_bundles.ndjson", 2), ("_entries.ndjson", 2), ("_entry_metadata.ndjson", 2)]
    );
    assert!(outputs[1..].iter().all(|output| output.destination.is_some_and(|to| to.is_sidecar())));
    finished.seal().expect("in memory");
    for (kind, stem) in SIDECARS {
        let length = [20, 30, 40][usize::from(kind) - 13];
        let lines = line(kind, 0, length) + &line(kind, 1, 300);
        assert_eq!(store.contents(&format!("{stem}.ndjson")).as_deref(), Some(lines.as_bytes()));
    }
}

#[test]
fn other_sinks_pass_over_them() {
    let mut out = Vec::new();
    commit_all(&mut CatSink::new(&mut out));
    let goals = [line(2, 0, 10), line(2, 0, 50), line(2, 1, 300)].concat();
    assert_eq!(String::from_utf8(out).expect("UTF-8"), goals);
    let mut stats = StatsSink::new();
    commit_all(&mut stats);
    let types = stats.into_types();
    let told: Vec<_> = types.iter().map(|(of, lengths)| (of.name(), lengths.count())).collect();
    assert_eq!(told, [("Goal", 3)]);
}

/// They are compressed, rotated and taken up again as all outputs are.
#[test]
fn nobody_sees_that_a_run_with_sidecars_was_interrupted() {
    let options = SplitOptions {
        encoding: Encoding::new(Codec::Gzip, None).expect("the usual level"),
        max_file_records: Some(5),
        block_bytes: 150,
        open_block_bytes: 400,
        ..SplitOptions::default()
    };
    let batch = || Step::Batch(mixed().repeat(3));
    let steps =
        [Step::Begin(0), batch(), Step::Long(13, 500), batch(), Step::Begin(1), Step::Long(15, 90), batch()];
    let wanted = unbroken(&steps, options);
    for (_, stem) in SIDECARS {
        assert!(wanted.files.contains_key(&format!("{stem}.0002.ndjson.gz")));
    }
    for kill in 1..=steps.len() {
        let store = MemoryStore::new();
        let mut run = Run::begin(Arc::new(store.clone()), options, &steps, false);
        run.steps_to(kill);
        run.checkpoint();
        run.steps_to(steps.len().min(kill + 1));
        drop(run);
        let mut run = Run::resume(Arc::new(store.clone()), options, &steps, false).expect("sound");
        assert_eq!(run.taken, kill);
        run.steps_to(steps.len());
        assert!(sealed(run.sink.finish(&Inline).expect("in memory"), &store) == wanted, "{kill}");
    }
}

/// No type has to go to `_unknown` because of them, and none of them ever does.
#[test]
fn sidecars_take_no_place_of_a_type() {
    let most = MAX_DESTINATIONS as u16;
    let sidecars = Step::Batch(vec![(13, 1), (14, 1), (15, 1)]);
    let mut steps = vec![Step::Begin(0), sidecars.clone(), Step::Types(0..most)];
    assert_eq!(unbroken(&steps, SplitOptions::default()).diverted_records, 0);
    steps.swap(1, 2);
    steps.push(Step::Types(most..most + 1));
    let ran = unbroken(&steps, SplitOptions::default());
    assert_eq!(ran.diverted_records, 1);
    assert!(SIDECARS.iter().all(|(_, stem)| ran.files.contains_key(&format!("{stem}.ndjson"))));

    let store = MemoryStore::new();
    let mut run = Run::begin(Arc::new(store.clone()), SplitOptions::default(), &steps, false);
    run.steps_to(steps.len());
    run.checkpoint();
    drop(run);
    let run = Run::resume(Arc::new(store.clone()), SplitOptions::default(), &steps, false).expect("sound");
    assert!(sealed(run.sink.finish(&Inline).expect("in memory"), &store) == ran);
}

#[test]
fn sidecars_are_found_by_their_names() {
    for (_, stem) in SIDECARS {
        assert!(Destination::from_name(stem).is_some_and(|destination| destination.is_sidecar()));
    }
}
