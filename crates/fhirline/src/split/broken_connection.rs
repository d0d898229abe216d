//! A run into an object store whose connection breaks at any call, and the same run again from another machine: the store
//! holds what a folder would.

use std::sync::{Arc, Mutex};
use std::thread;

use fhirline_core::{ChecksumKind, Store};
use fhirline_fetch::{CloudBucket, CloudStore, CloudStoreOptions};
use fhirline_sink::Codec;

use super::interrupted::{Broken, Case, Files, PLAIN, Place, Seen, WORKERS, assert_same};
use crate::{JobError, Report};

/// Short, so that every output of some size goes up in parts.
const PART_BYTES: u64 = 3 << 10;

/// With an empty spool, as on another machine.
fn store(bucket: &CloudBucket) -> CloudStore {
    let options = CloudStoreOptions::default().part_bytes(PART_BYTES).upload_bytes(2 * PART_BYTES);
    CloudStore::new(bucket.clone(), options)
}

fn run(place: &Place, checksum: Option<ChecksumKind>, bucket: &CloudBucket) -> Result<Report, JobError> {
    place.run_into(Arc::new(store(bucket)), &place.to("unused").checksum(checksum), &mut || ())
}

fn files(bucket: &CloudBucket) -> Files {
    let store = store(bucket);
    let names = store.list().expect("listed").into_iter();
    let content = |name: &String| store.get(name, 1 << 30).expect("readable").expect("it was listed");
    names.map(|name| (name.clone(), content(&name))).collect()
}

/// Breaks the connection at every so many calls, until a run is over before it breaks; after each break the same run again,
/// every third time over a connection that breaks as well.
#[track_caller]
fn breaks_at_every_call(case: Case, step: u64) -> Seen {
    let seen = Mutex::new(Seen::default());
    thread::scope(|scope| {
        for worker in 0..WORKERS as u64 {
            let seen = &seen;
            scope.spawn(move || {
                let place = Place::new(case);
                let unbroken = place.unbroken();
                let mut calls = (worker * step..).step_by(WORKERS * step as usize);
                while let Some(report) = calls.next().and_then(|calls| breaks_at(&place, calls, &unbroken)) {
                    seen.lock().expect("no other failed").add(&report);
                }
            });
        }
    });
    seen.into_inner().expect("none failed")
}

/// `None` if the run is over before the connection breaks.
fn breaks_at(place: &Place, calls: u64, unbroken: &Files) -> Option<Report> {
    let bucket = CloudBucket::in_memory().at("some/prefix").expect("a key");
    let crc32c = Some(ChecksumKind::Crc32c);
    let first = run(place, crc32c, &bucket.dying_after(calls));
    if first.is_ok() {
        if place.case.broken != Broken::Mended {
            assert_same(&files(&bucket), unbroken, "of a run that nothing happened to");
        }
        return None;
    }
    if calls.is_multiple_of(3) {
        let _ = run(place, crc32c, &bucket.dying_after(calls * 7 % 211));
    }
    if place.case.broken == Broken::Mended {
        let report = run(place, crc32c, &bucket).expect("sound");
        assert_eq!(report.account.sources.failed, 1);
        place.put_gzip(false);
    }
    let report = run(place, crc32c, &bucket).expect("sound");
    place.put_gzip(place.case.broken != Broken::No);
    assert_same(&files(&bucket), unbroken, &format!("after a break at call {calls}"));
    Some(report)
}

#[test]
fn broken_at_every_call() {
    let seen = breaks_at_every_call(PLAIN, 1);
    assert!(seen.resumed > 5 && seen.within_gzip > 5 && seen.afresh > 5 && seen.sealed > 5, "{seen:?}");
}

#[test]
fn broken_at_many_calls_with_compressed_outputs_in_many_files() {
    let case = Case { threads: 2, codec: Codec::Gzip, max_file_bytes: Some(20 << 10), ..PLAIN };
    let seen = breaks_at_every_call(case, 2);
    assert!(seen.resumed > 2 && seen.sealed > 5, "{seen:?}");
}

#[test]
fn broken_at_many_calls_with_compressed_outputs() {
    let seen = breaks_at_every_call(Case { codec: Codec::Zstd, ..PLAIN }, 2);
    assert!(seen.resumed > 5 && seen.within_gzip > 0, "{seen:?}");
}

#[test]
fn broken_at_many_calls_while_a_source_that_is_not_whole_is_left_out() {
    for codec in [Codec::None, Codec::Gzip] {
        let seen = breaks_at_every_call(Case { broken: Broken::Allowed, codec, ..PLAIN }, 3);
        assert!(seen.resumed > 2 && seen.sealed > 2, "{seen:?}");
    }
}

#[test]
fn broken_at_many_calls_while_a_source_is_not_whole_and_then_mended() {
    for codec in [Codec::None, Codec::Gzip] {
        let seen = breaks_at_every_call(Case { broken: Broken::Mended, codec, ..PLAIN }, 5);
        // The run that says so always leaves a checkpoint, at the beginning of that source.
        assert!(seen.resumed > 5 && seen.within_gzip + seen.afresh + seen.sealed == 0, "{seen:?}");
    }
}
