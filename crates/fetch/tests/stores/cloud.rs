//! An object store as a store, over a bucket in memory whose uploads are as strict as those of S3.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use fhirline_core::{Partial, Store};
use fhirline_fetch::{CloudBucket, CloudStore, CloudStoreOptions};
use proptest::prelude::*;

use crate::conformance;

/// Parts so short that many go up.
const PART_BYTES: u64 = 16;

fn options() -> CloudStoreOptions {
    CloudStoreOptions::default()
        .upload_bytes(2048)
        .part_bytes(PART_BYTES)
        .lease_life(Duration::from_millis(400))
}

/// As from a process of its own, with an empty spool.
fn store(bucket: &CloudBucket) -> CloudStore {
    CloudStore::new(bucket.clone(), options())
}

fn names(bucket: &CloudBucket) -> Vec<String> {
    store(bucket).list().expect("listed")
}

fn content(bucket: &CloudBucket, name: &str) -> Option<Vec<u8>> {
    store(bucket).get(name, 1 << 20).expect("readable")
}

#[test]
fn an_object_store_conforms() {
    conformance::check(|| CloudStore::new(CloudBucket::in_memory(), CloudStoreOptions::default()));
    let below = || CloudBucket::in_memory().at("some/prefix").expect("a key");
    conformance::check(|| CloudStore::new(below(), CloudStoreOptions::default()));
}

#[test]
fn nothing_is_seen_before_the_seal_and_nothing_is_left_behind_it() {
    let bucket = CloudBucket::in_memory();
    let one = store(&bucket);
    let mut output = one.create("a").expect("created");
    let text: Vec<u8> = (0..100).collect();
    for piece in text.chunks(7) {
        output.append(piece).expect("appended");
        one.settle().expect("settled");
    }
    assert_eq!(names(&bucket), ["a.partial"]);
    assert_eq!(content(&bucket, "a"), None);
    output.seal().expect("sealed");
    assert_eq!(content(&bucket, "a"), Some(text));
    assert_eq!(keys(&bucket), ["a"]);
    assert_eq!(bucket.uploads_under_way(), 0);
}

#[test]
fn what_goes_up_is_read_where_copies_are_kept() {
    let bucket = CloudBucket::in_memory();
    let text: Vec<u8> = (0..100).collect();
    for copies in [true, false] {
        let one = CloudStore::new(bucket.clone(), options().copies(copies));
        let mut output = one.create("a").expect("created");
        text.chunks(7).for_each(|piece| output.append(piece).expect("appended"));
        output.mark();
        output.append(&[7; 50]).expect("appended");
        output.truncate(100).expect("marked");
        let (mut read, mut buffer) = (Vec::new(), [0; 11]);
        while let Ok(count @ 1..) = output.read_at(read.len() as u64, &mut buffer) {
            read.extend_from_slice(&buffer[..count]);
        }
        assert!(read == if copies { &text[..] } else { &[] }, "{} bytes", read.len());
        // An earlier length can be gone back to as well: nothing was let go.
        assert_eq!(output.truncate(PART_BYTES + 1).is_ok(), copies);
        output.discard().expect("discarded");
    }
    assert_eq!(bucket.uploads_under_way(), 0);
}

/// All objects of a bucket, also those that a store does not tell.
fn keys(bucket: &CloudBucket) -> Vec<String> {
    let all = ["a", "b", "_uploads.partial", "_fhirline-lock.partial"];
    all.into_iter()
        .filter(|key| bucket.object(key).is_ok_and(|object| is_there(&object)))
        .map(str::to_owned)
        .collect()
}

fn is_there(object: &fhirline_fetch::ObjectOrigin) -> bool {
    use fhirline_core::Origin;
    object.identity().is_ok()
}

#[test]
fn an_output_that_is_dropped_or_removed_leaves_no_upload() {
    let bucket = CloudBucket::in_memory();
    let one = store(&bucket);
    for name in ["a", "b", "c"] {
        let mut output = one.create(name).expect("created");
        output.append(&[7; 99]).expect("appended");
        match name {
            "a" => output.discard().expect("discarded"),
            "b" => drop(one.create("b").expect("created anew")),
            _ => one.remove("c.partial").expect("removed"),
        }
    }
    one.settle().expect("settled");
    assert_eq!(bucket.uploads_under_way(), 0);
    assert_eq!(names(&bucket), ["b.partial"]);
}

#[test]
fn without_a_place_for_the_spool_it_says_which() {
    let options = options().spool_folder("/nowhere/at/all");
    let store = CloudStore::new(CloudBucket::in_memory(), options);
    let error = store.create("a").expect("nothing is written yet").append(b"x").expect_err("no such folder");
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}

#[test]
fn a_journal_of_a_later_version_is_not_touched() {
    let bucket = CloudBucket::in_memory();
    bucket.put("_uploads.partial", b"{\"fhirline_uploads\":2}").expect("put");
    assert_eq!(store(&bucket).list().expect_err("unknown").kind(), ErrorKind::InvalidData);
    bucket.put("_uploads.partial", b"half a journ").expect("put");
    assert!(names(&bucket).is_empty(), "a damaged one tells nothing");
}

mod claims {
    use super::*;
    use std::time::Instant;

    /// As a claim of a process on another machine, of which nobody knows whether it lives.
    fn put_lock(bucket: &CloudBucket, renewal: u64, life: Duration) {
        let lock = format!(
            "{{\"fhirline_lock\":1,\"holder\":\"x\",\"number\":4,\"renewal\":{renewal},\"life_millis\":{},\
             \"process\":null}}",
            life.as_millis()
        );
        bucket.put("_fhirline-lock.partial", lock.as_bytes()).expect("put");
    }

    #[test]
    fn one_run_at_a_time() {
        let bucket = CloudBucket::in_memory();
        // With the usual life: where nobody can tell whether a process lives, a shorter one could end on a busy machine.
        let store = || CloudStore::new(bucket.clone(), CloudStoreOptions::default());
        let (one, other) = (store(), store());
        let claim = one.claim(&mut |_| panic!("nobody else")).expect("nobody else");
        let refused = other.claim(&mut |_| ()).expect_err("claimed");
        assert_eq!(refused.kind(), ErrorKind::ResourceBusy);
        assert!(one.list().expect("listed").is_empty(), "the lock is no name");
        drop(claim);
        drop(other.claim(&mut |_| ()).expect("nobody else any more"));
        assert!(keys(&bucket).is_empty(), "a claim leaves nothing behind");
    }

    #[test]
    fn a_claim_that_nobody_renews_is_taken_over_after_its_life() {
        let bucket = CloudBucket::in_memory();
        let life = Duration::from_millis(300);
        put_lock(&bucket, 0, life);
        let (begun, mut told) = (Instant::now(), None);
        drop(store(&bucket).claim(&mut |wait| told = Some(wait)).expect("taken over"));
        assert!(begun.elapsed() >= life, "not before");
        assert_eq!(told, Some(life));
    }

    #[test]
    fn a_claim_that_is_renewed_is_respected() {
        let bucket = CloudBucket::in_memory();
        put_lock(&bucket, 0, Duration::from_secs(600));
        let refused = store(&bucket).claim(&mut |_| put_lock(&bucket, 1, Duration::from_secs(600)));
        assert_eq!(refused.expect_err("it lives").kind(), ErrorKind::ResourceBusy);
    }

    #[test]
    fn who_waits_for_a_claim_stops_when_it_is_told_to() {
        let bucket = CloudBucket::in_memory();
        put_lock(&bucket, 0, Duration::from_secs(600));
        let stop = std::cell::Cell::new(false);
        let refused = store(&bucket).claim_unless(&|| stop.get(), &mut |_| stop.set(true));
        assert_eq!(refused.expect_err("stopped").kind(), ErrorKind::Interrupted);
        assert_eq!(keys(&bucket), ["_fhirline-lock.partial"], "that of the other run");
    }

    /// How often a lock was renewed.
    fn renewals(bucket: &CloudBucket) -> u64 {
        use fhirline_core::Origin;
        // It may be renewed while it is read, which its reader refuses.
        let read = || {
            let lock = bucket.object("_fhirline-lock.partial").expect("a key").open_at(0);
            lock.and_then(std::io::read_to_string).ok()
        };
        let text = std::iter::repeat_with(read).flatten().next().expect("text");
        let (_, rest) = text.split_once("\"renewal\":").expect("a number");
        rest.split(',').next().and_then(|number| number.parse().ok()).expect("a number")
    }

    #[test]
    fn a_claim_is_renewed_until_it_is_dropped() {
        let bucket = CloudBucket::in_memory();
        let one = store(&bucket);
        let claim = one.claim(&mut |_| ()).expect("nobody else");
        // However late a renewal comes: nobody else is there to take over.
        while renewals(&bucket) < 4 {
            std::thread::yield_now();
            one.sync().expect("still ours");
        }
        drop(claim);
        assert!(keys(&bucket).is_empty());
        assert_eq!(one.sync().expect_err("given back").kind(), ErrorKind::ResourceBusy);
    }

    #[test]
    fn whoever_was_taken_over_can_do_nothing_any_more() {
        let bucket = CloudBucket::in_memory();
        let one = store(&bucket);
        let _claim = one.claim(&mut |_| ()).expect("nobody else");
        let mut output = one.create("a").expect("created");
        output.append(b"late").expect("appended");
        one.settle().expect("settled");
        put_lock(&bucket, 0, Duration::from_secs(600));
        // At the next renewal at the latest.
        while one.sync().is_ok() {}
        for refused in [output.append(b"x"), one.settle(), one.replace("b", b"", false), output.seal()] {
            assert_eq!(refused.expect_err("lost").kind(), ErrorKind::ResourceBusy);
        }
        assert_eq!(content(&bucket, "a"), None);
    }

    #[test]
    fn a_seal_asks_first_whether_the_claim_holds() {
        let bucket = CloudBucket::in_memory();
        let long_life = Duration::from_millis(1200);
        let one = CloudStore::new(bucket.clone(), options().lease_life(long_life));
        let _claim = one.claim(&mut |_| ()).expect("nobody else");
        let output = one.create("a").expect("created");
        put_lock(&bucket, 0, Duration::from_secs(600));
        // The last time that the claim was seen to hold was before this; a twelfth of its life later that is too long ago.
        let begun = Instant::now();
        while begun.elapsed() < long_life / 12 {
            std::thread::yield_now();
        }
        assert_eq!(output.seal().expect_err("lost").kind(), ErrorKind::ResourceBusy);
        assert_eq!(content(&bucket, "a"), None);
    }

    #[test]
    fn two_that_write_the_journal_are_noticed_without_a_claim() {
        let bucket = CloudBucket::in_memory();
        let (one, other) = (store(&bucket), store(&bucket));
        let _first = one.create("a").expect("created");
        let _second = other.create("b").expect("created");
        one.settle().expect("settled");
        assert_eq!(other.settle().expect_err("another journal").kind(), ErrorKind::ResourceBusy);
    }
}

/// What happens to outputs.
#[derive(Clone, Debug)]
enum Step {
    Append(usize, usize),
    /// A source begins.
    Mark,
    /// It is taken back.
    GoBack,
    /// A checkpoint.
    Settle,
    /// A checkpoint that says what was when the source began.
    SettleMark,
    /// The process is killed. With `true` right after it has settled, before it could note that.
    Kill(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0usize..3, 0usize..60).prop_map(|(output, bytes)| Step::Append(output, bytes)),
        2 => Just(Step::Mark),
        1 => Just(Step::GoBack),
        4 => Just(Step::Settle),
        1 => Just(Step::SettleMark),
        2 => any::<bool>().prop_map(Step::Kill),
    ];
    prop::collection::vec(step, 1..60)
}

/// What outputs should hold, and where they were marked.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    outputs: BTreeMap<usize, (Vec<u8>, usize)>,
}

const NAMES: [&str; 3] = ["a", "b", "sub/c"];

struct World {
    bucket: CloudBucket,
    store: CloudStore,
    partials: BTreeMap<usize, Box<dyn Partial>>,
    model: Model,
    /// Of the outputs that are older than the mark.
    marked: Vec<usize>,
    checkpoint: Option<(Model, Vec<usize>)>,
    bytes: u8,
}

impl World {
    fn new() -> Self {
        let bucket = CloudBucket::in_memory().at("prefix").expect("a key");
        let store = store(&bucket);
        let (partials, model) = (BTreeMap::new(), Model::default());
        Self { bucket, store, partials, model, marked: Vec::new(), checkpoint: None, bytes: 0 }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append(output, bytes) => self.append(*output, *bytes),
            Step::Mark => {
                self.marked = self.model.outputs.keys().copied().collect();
                for (number, partial) in &mut self.partials {
                    partial.mark();
                    let (bytes, mark) = self.model.outputs.get_mut(number).expect("modelled");
                    *mark = bytes.len();
                }
            }
            Step::GoBack => self.go_back(),
            Step::Settle => {
                self.store.settle().expect("settled");
                self.checkpoint = Some((self.model.clone(), self.marked.clone()));
            }
            Step::SettleMark => {
                self.store.settle().expect("settled");
                self.checkpoint = Some((self.at_mark(), self.marked.clone()));
            }
            Step::Kill(after_settling) => {
                if *after_settling {
                    self.store.settle().expect("settled");
                }
                self.resume();
            }
        }
    }

    fn append(&mut self, number: usize, bytes: usize) {
        let store = &self.store;
        let partial =
            self.partials.entry(number).or_insert_with(|| store.create(NAMES[number]).expect("created"));
        let appended: Vec<u8> = (0..bytes).map(|i| self.bytes.wrapping_add(i as u8)).collect();
        self.bytes = self.bytes.wrapping_mul(31).wrapping_add(7);
        partial.append(&appended).expect("appended");
        self.model.outputs.entry(number).or_default().0.extend_from_slice(&appended);
    }

    fn at_mark(&self) -> Model {
        let outputs = self.marked.iter().map(|number| {
            let (bytes, mark) = &self.model.outputs[number];
            (*number, (bytes[..*mark].to_vec(), *mark))
        });
        Model { outputs: outputs.collect() }
    }

    fn go_back(&mut self) {
        let (model, marked) = (self.at_mark(), self.marked.clone());
        // A checkpoint behind the mark is withdrawn.
        let within = |(noted, _): &(Model, Vec<usize>)| {
            noted.outputs.iter().any(|(number, (bytes, _))| {
                model.outputs.get(number).is_none_or(|(kept, _)| bytes.len() > kept.len())
            })
        };
        if self.checkpoint.as_ref().is_some_and(within) {
            self.checkpoint = None;
        }
        for number in self.partials.keys().copied().collect::<Vec<_>>() {
            if marked.contains(&number) {
                let to = model.outputs[&number].1 as u64;
                self.partials.get_mut(&number).expect("open").truncate(to).expect("marked");
            } else {
                self.partials.remove(&number).expect("open").discard().expect("discarded");
            }
        }
        self.model = model;
    }

    /// Another process on another machine goes on.
    fn resume(&mut self) {
        self.partials.clear();
        self.store = store(&self.bucket);
        let (model, marked) = self.checkpoint.clone().unwrap_or_default();
        for (number, (bytes, mark)) in &model.outputs {
            let (length, mark) = (bytes.len() as u64, *mark as u64);
            let found = self.store.resume_marked(NAMES[*number], length, mark).expect("no refusal");
            self.partials.insert(*number, found.expect("it was settled"));
        }
        for name in self.store.list().expect("listed") {
            let known = model.outputs.keys().any(|number| name == format!("{}.partial", NAMES[*number]));
            if !known {
                self.store.remove(&name).expect("removed");
            }
        }
        (self.model, self.marked) = (model, marked);
    }

    fn seal(self) {
        for (number, partial) in self.partials {
            assert_eq!(partial.stored_bytes(), self.model.outputs[&number].0.len() as u64);
            partial.seal().expect("sealed");
        }
        let found = store(&self.bucket);
        let names: Vec<_> = self.model.outputs.keys().map(|number| NAMES[*number].to_owned()).collect();
        assert_eq!(found.list().expect("listed"), names);
        for (number, (bytes, _)) in self.model.outputs {
            assert_eq!(found.get(NAMES[number], 1 << 20).expect("readable"), Some(bytes));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// However outputs grow, are cut back and change hands, what is sealed is what was appended.
    #[test]
    fn outputs_are_what_was_appended_whoever_goes_on(steps in steps()) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        world.seal();
    }

    /// The connection breaks at any call; whoever comes next finds what was settled before, or what was being settled.
    #[test]
    fn a_settling_that_dies_leaves_the_one_before(
        first in prop::collection::vec((0usize..3, 1usize..60), 1..8),
        second in prop::collection::vec((0usize..3, 1usize..60), 1..8),
        calls in 0u64..40,
    ) {
        let mut world = World::new();
        first.iter().for_each(|(output, bytes)| world.append(*output, *bytes));
        world.take(&Step::Settle);
        world.resume();
        let before = world.model.clone();
        // From here on over a connection that breaks.
        let healthy = world.bucket.clone();
        world.partials.clear();
        let dying = healthy.dying_after(calls);
        world.store = store(&dying);
        let mut partials = BTreeMap::new();
        for (number, (bytes, _)) in &before.outputs {
            if let Ok(found) = world.store.resume(NAMES[*number], bytes.len() as u64) {
                partials.insert(*number, found.expect("it was settled"));
            }
        }
        for (number, bytes) in &second {
            let Some(partial) = partials.get_mut(number) else { continue };
            let _ = partial.append(&vec![9; *bytes]);
        }
        let _ = world.store.settle();
        drop(partials);
        world.store = store(&healthy);
        world.model = before;
        world.resume();
        world.seal();
    }
}
