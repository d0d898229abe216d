use std::sync::Arc;

use fhirline_core::{ChecksumKind, Store};
use fhirline_fetch::MemoryStore;
use fhirline_sink::{Checkpoint, Codec, Encoding, ResumeError, Sink, SplitOptions, SplitSink};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{NAME, Run, Step, contents};

fn options() -> SplitOptions {
    SplitOptions {
        encoding: Encoding::new(Codec::Zstd, None).expect("the usual level"),
        max_file_records: Some(5),
        block_bytes: 300,
        open_block_bytes: 1200,
        checksum: Some(ChecksumKind::Crc32c),
        ..SplitOptions::default()
    }
}

/// A store with a checkpoint in which every field is in use.
fn left() -> (MemoryStore, Value) {
    let batch = |from: u8| Step::Batch((0..40).map(|place| ((from + place) % 13, 40)).collect());
    let steps = [Step::Begin(0), batch(0), Step::Begin(1), batch(3)];
    let store = MemoryStore::new();
    let mut run = Run::begin(Arc::new(store.clone()), options(), &steps, false);
    run.steps_to(steps.len());
    run.checkpoint();
    let json = store.contents(NAME).expect("a checkpoint");
    (store, serde_json::from_slice(&json).expect("JSON"))
}

/// Parses a checkpoint after its checksum was made right.
fn parse(checkpoint: &Value) -> Result<Checkpoint, ResumeError> {
    let mut checkpoint = checkpoint.clone();
    if let Some(file) = checkpoint.as_object_mut() {
        let values = ["run", "progress", "state"].map(|name| file.get(name).map(Value::to_string));
        let values: String = values.into_iter().flatten().collect();
        file.insert("crc32c".to_owned(), json!(crc32c::crc32c(values.as_bytes())));
    }
    Checkpoint::parse(checkpoint.to_string().as_bytes())
}

#[test]
fn a_checkpoint_is_read_as_it_was_written() {
    let (store, checkpoint) = left();
    parse(&checkpoint).expect("ours");
    let state = &checkpoint["state"];
    assert!(state["outputs"].as_array().is_some_and(|outputs| outputs.len() > 3));
    assert!(state["blocks"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    assert!(
        state["quarantine"]["group"].is_object() && state["quarantine"]["files"]["savepoint"].is_object()
    );
    let json = store.contents(NAME).expect("a checkpoint");
    let records = contents(&store).into_iter().filter(|(name, _)| name.contains("lines.raw"));
    for (_, raw) in records {
        let told = |line: &[u8]| line.len() > 8 && json.windows(8).any(|window| line.starts_with(window));
        assert!(!raw.split(|&byte| byte == b'\n').any(told), "bytes of records are in the checkpoint");
    }
    let shown = format!("{:?}", Checkpoint::parse(&json).expect("ours"));
    assert!(shown.len() < 100 && !shown.contains("source"), "{shown}");
}

#[test]
fn a_sink_that_took_nothing_can_be_taken_up_again() {
    let store = MemoryStore::new();
    let run = serde_json::value::RawValue::from_string("null".to_owned()).expect("JSON");
    let mut sink = SplitSink::new(Arc::new(store.clone()), options()).with_checkpoints(NAME, run);
    sink.checkpoint(b" [1, 2]", true).expect("in memory");
    let json = store.contents(NAME).expect("a checkpoint");
    let checkpoint = Checkpoint::parse(&json).expect("ours");
    assert_eq!((checkpoint.run().get(), checkpoint.progress().get()), ("null", "[1, 2]"));
    SplitSink::resume(Arc::new(store), options(), NAME, checkpoint).expect("sound");
}

/// Changes one place of a checkpoint.
fn changed(checkpoint: &Value, pointer: &str, to: Value) -> Value {
    let mut changed = checkpoint.clone();
    *changed.pointer_mut(pointer).expect(pointer) = to;
    changed
}

#[test]
fn nonsense_is_refused() {
    let (_, checkpoint) = left();
    let outputs = checkpoint["state"]["outputs"].as_array().expect("outputs").clone();
    let many = Value::from(vec![outputs[0].clone(); 5000]);
    let mut parts = outputs[0].clone();
    parts["parts"] = Value::from(vec![parts["parts"][0].clone(); 16_385]);
    for (pointer, to) in [
        ("/state/outputs/1/destination", outputs[0]["destination"].clone()),
        ("/state/outputs/0/destination", json!("../../etc/passwd")),
        ("/state/outputs/0/destination", json!("_quarantine/lines.raw")),
        ("/state/outputs/0/parts", json!([])),
        ("/state/outputs/0", parts),
        ("/state/outputs", many),
        ("/state/suffix", json!(".bz2")),
        ("/state/suffix", json!("")),
        ("/state/checksum", json!("md5")),
        ("/state/checksum", json!("sha256")),
        ("/state/checksum", json!(null)),
        ("/state/outputs/0/open_bytes", json!(u64::MAX)),
        ("/state/outputs/0/open_bytes", json!(1u64 << 53)),
        ("/state/outputs/0/savepoint", json!(null)),
        ("/state/outputs/0/savepoint/parts", json!(0)),
        ("/state/outputs/0/savepoint/parts", json!(1000)),
        ("/state/outputs/0/savepoint/last/anchor_stored_bytes", json!(1_000_000)),
        ("/state/outputs/0/savepoint/last/plain_bytes", json!(1_000_000)),
        ("/state/outputs/0/savepoint/last/records", json!(1_000_000)),
        ("/state/outputs/0/parts/0/digest", json!("")),
        ("/state/outputs/0/parts/0/stored_bytes", json!(0)),
        ("/state/outputs/0/parts/0/stored_bytes", json!(-1)),
        ("/state/outputs/0/parts/0/records", json!((1u64 << 53) + 1)),
        ("/state/blocks", json!(null)),
        ("/state/blocks/number", json!(4)),
        ("/state/blocks/bytes", json!(1)),
        ("/state/quarantine/files", json!(null)),
        ("/state/quarantine/savepoint_ordinal", json!(1_000_000)),
        ("/state/quarantine/group/fault", json!("no-such-fault")),
        ("/state/savepoint_diverted_records", json!(1)),
        ("/progress", json!(null)),
    ] {
        let refused = parse(&changed(&checkpoint, pointer, to.clone()));
        // Progress may be any JSON: that it is not looked at shows that the others are refused for what they say.
        assert_eq!(refused.is_ok(), pointer == "/progress", "{pointer}");
    }
    let newer = changed(&checkpoint, "/fhirline_checkpoint", json!(2));
    assert!(matches!(parse(&newer), Err(ResumeError::UnknownFormat { version: 2 })));
    let mut unknown = checkpoint.clone();
    unknown["state"]["more"] = json!(1);
    assert!(parse(&unknown).is_err());
}

#[test]
fn what_is_refused_is_not_quoted() {
    for text in ["{\"fhirline_checkpoint\":\"SECRET\"}", "{\"fhirline_checkpoint\":1,\"SECRET\":1}", "SECRET"]
    {
        let refused = Checkpoint::parse(text.as_bytes()).expect_err("not ours");
        assert!(!format!("{refused} {refused:?}").contains("SECRET"));
    }
}

/// All places of a JSON value that can be changed.
fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Array(items) => {
            (0..)
                .zip(items)
                .for_each(|(number, item): (usize, _)| pointers(item, &format!("{at}/{number}"), into));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(key, field)| pointers(field, &format!("{at}/{key}"), into));
        }
        _ => {}
    }
}

fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        (0u64..2000).prop_map(Value::from),
        Just(json!(1u64 << 53)),
        Just(json!(-1)),
        Just(json!(null)),
        Just(json!([])),
        Just(json!({})),
        Just(json!("")),
        Just(json!("Patient")),
        Just(json!("00000000")),
    ]
}

/// What may differ between stores before and after: nothing whose name is not one of ours.
fn check_others(store: &MemoryStore) {
    assert_eq!(store.contents("notes.txt").as_deref(), Some(&b"mine"[..]));
    assert_eq!(store.contents("Mine.ndjson").as_deref(), Some(&b"mine"[..]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_value_makes_it_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), replacement()), 1..4)) {
        let (store, mut checkpoint) = left();
        for (place, to) in changes {
            let mut all = Vec::new();
            pointers(&checkpoint, "", &mut all);
            let pointer = &all[place.index(all.len())];
            *checkpoint.pointer_mut(pointer).expect("it is there") = to;
        }
        for name in ["notes.txt", "Mine.ndjson"] {
            store.put_if_absent(name, b"mine").expect("a new name");
        }
        if let Ok(checkpoint) = parse(&checkpoint) {
            let resumed = SplitSink::resume(Arc::new(store.clone()), options(), NAME, checkpoint);
            if let Ok((mut sink, _)) = resumed {
                // What is believed can at worst be the state of another run; going on from it is no defect.
                let _ = sink.abandon_source();
                let _ = sink.checkpoint(b"1", true);
            }
        }
        check_others(&store);
    }

    #[test]
    fn no_byte_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let (store, _) = left();
        let mut json = store.contents(NAME).expect("a checkpoint");
        for (place, byte) in changes {
            let place = place.index(json.len());
            json[place] = byte;
        }
        if !whole {
            json.truncate(cut.index(json.len()));
        }
        let _ = Checkpoint::parse(&json);
    }

    #[test]
    fn no_noise_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), nested in 0usize..100_000) {
        prop_assert!(Checkpoint::parse(&bytes).is_err());
        let deep = format!("{{\"fhirline_checkpoint\":1,\"run\":{}", "[".repeat(nested));
        prop_assert!(Checkpoint::parse(deep.as_bytes()).is_err());
    }
}
