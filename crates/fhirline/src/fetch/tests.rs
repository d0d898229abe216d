use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use fhirline_core::{Identity, Origin, Store};
use fhirline_fetch::{FetchError, MemoryStore};
use fhirline_flow::Cancel;
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::note;
use super::run::Run;
use super::wanted::{Part, Wanted};
use super::{FetchEvent, FetchJob, FetchReport};
use crate::{ChecksumKind, ExitStatus, JobError};

/// What a source holds and how it behaves.
#[derive(Clone)]
struct Remote {
    bytes: Vec<u8>,
    stated_bytes: Option<u64>,
    modified: Option<SystemTime>,
    tag: Option<String>,
    /// Reading breaks off there.
    breaks_at: usize,
    seeks: bool,
    /// Called with the place before each read.
    before_read: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

/// A source that can be changed from outside, and remembers from where it was read.
#[derive(Clone)]
struct TestOrigin {
    name: String,
    remote: Arc<Mutex<Remote>>,
    opened: Arc<Mutex<Vec<u64>>>,
}

impl fmt::Debug for TestOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl TestOrigin {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let remote = Remote {
            bytes: bytes.to_vec(),
            stated_bytes: Some(bytes.len() as u64),
            modified: Some(SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7)),
            tag: None,
            breaks_at: usize::MAX,
            seeks: true,
            before_read: None,
        };
        Self { name: name.to_owned(), remote: Arc::new(Mutex::new(remote)), opened: Arc::default() }
    }

    fn with(self, change: impl FnOnce(&mut Remote)) -> Self {
        change(&mut self.remote.lock().expect("not poisoned"));
        self
    }

    fn change(&self, change: impl FnOnce(&mut Remote)) {
        change(&mut self.remote.lock().expect("not poisoned"));
    }

    /// From where it was read since it was last asked.
    fn opened(&self) -> Vec<u64> {
        std::mem::take(&mut self.opened.lock().expect("not poisoned"))
    }
}

impl Origin for TestOrigin {
    fn identity(&self) -> io::Result<Identity> {
        let remote = self.remote.lock().expect("not poisoned");
        let (stored_bytes, modified) = (remote.stated_bytes, remote.modified);
        Ok(Identity { name: self.name.clone(), stored_bytes, modified, tag: remote.tag.clone() })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let remote = self.remote.lock().expect("not poisoned").clone();
        if offset > 0 && !remote.seeks {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.opened.lock().expect("not poisoned").push(offset);
        let mut bytes = Cursor::new(remote.bytes);
        bytes.set_position(offset);
        Ok(Box::new(TestReader { bytes, breaks_at: remote.breaks_at, before_read: remote.before_read }))
    }
}

struct TestReader {
    bytes: Cursor<Vec<u8>>,
    breaks_at: usize,
    before_read: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl Read for TestReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let at = self.bytes.position();
        self.before_read.iter().for_each(|call| call(at));
        let left = (self.breaks_at as u64).saturating_sub(at);
        if left == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let most = usize::try_from(left).unwrap_or(into.len()).min(into.len()).min(10_000);
        self.bytes.read(&mut into[..most])
    }
}

fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251) as u8 ^ (at % 251) as u8 ^ seed).collect()
}

fn job() -> FetchJob {
    FetchJob::to("out").checksum(Some(ChecksumKind::Sha256))
}

fn run_with(
    store: &MemoryStore,
    job: &FetchJob,
    wanted: &[Wanted],
    cancel: &Cancel,
    on_event: &mut dyn FnMut(&FetchEvent),
) -> Result<FetchReport, JobError> {
    Run { to: job, store, cancel, wanted, export: None }.run(on_event)
}

fn run(store: &MemoryStore, job: &FetchJob, origins: &[&TestOrigin]) -> Result<FetchReport, JobError> {
    let wanted: Vec<_> = origins.iter().map(|&origin| Wanted::source(Box::new(origin.clone()))).collect();
    run_with(store, job, &wanted, &Cancel::new(), &mut |_| {})
}

fn ran(store: &MemoryStore, origins: &[&TestOrigin]) -> FetchReport {
    run(store, &job(), origins).expect("no trouble with the store")
}

fn sha256(bytes: &[u8]) -> Option<String> {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("sha256:{hex}"))
}

fn manifest(store: &MemoryStore) -> Value {
    serde_json::from_slice(&store.contents("manifest.json").expect("there")).expect("JSON")
}

#[track_caller]
fn names_are(store: &MemoryStore, names: &[&str]) {
    assert_eq!(store.list().expect("in memory"), names);
}

#[test]
fn files_come_as_they_are() {
    let store = MemoryStore::new();
    let (a, b) = (bytes(1, 300_000), [&[0x1f, 0x8b, 8][..], b"whatever"].concat());
    let report = ran(&store, &[&TestOrigin::new("d/a.ndjson", &a), &TestOrigin::new("d/b.ndjson", &b)]);
    assert_eq!((report.status, report.exit_code), (ExitStatus::Complete, 0));
    names_are(&store, &["a.ndjson", "b.ndjson.gz", "manifest.json"]);
    assert!(
        store.contents("a.ndjson") == Some(a.clone()) && store.contents("b.ndjson.gz") == Some(b.clone())
    );
    assert_eq!((&report.files[0].checksum, &report.files[1].checksum), (&sha256(&a), &sha256(&b)));
    assert_eq!(report.stored_bytes, (a.len() + b.len()) as u64);
    assert_eq!(report.fetched_bytes, report.stored_bytes);
    let manifest = manifest(&store);
    assert_eq!(manifest["transactionTime"], "2001-09-09T01:46:40Z");
    assert_eq!(manifest["output"][1]["url"], "b.ndjson.gz");
    assert_eq!(manifest["output"][0]["extension"]["bytes"], 300_000);
    assert_eq!(manifest["extension"]["fhirline"]["kind"], "download");
}

#[test]
fn what_the_sender_says_of_files_is_kept() {
    let store = MemoryStore::new();
    let wanted = |name: &str, part, resource_type: &str, count| Wanted {
        part,
        resource_type: Some(resource_type.to_owned()),
        count,
        ..Wanted::source(Box::new(TestOrigin::new(name, b"{}\n")))
    };
    let wanted = [
        wanted("https://h/1", Part::Output, "Patient", Some(1)),
        wanted("https://h/2", Part::Output, "Patient", None),
        wanted("https://h/3", Part::Deleted, "Bundle", None),
        wanted("https://h/4", Part::Error, "OperationOutcome", None),
    ];
    run_with(&store, &job(), &wanted, &Cancel::new(), &mut |_| {}).expect("no trouble");
    let names = [
        "Patient.0002.ndjson",
        "Patient.ndjson",
        "deleted/Bundle.ndjson",
        "error/OperationOutcome.ndjson",
        "manifest.json",
    ];
    names_are(&store, &names);
    let manifest = manifest(&store);
    assert_eq!(
        (&manifest["output"][0]["type"], &manifest["output"][0]["count"]),
        (&"Patient".into(), &1.into())
    );
    assert_eq!(manifest["output"][1].get("count"), None);
    assert_eq!(manifest["deleted"][0]["url"], "deleted/Bundle.ndjson");
    assert_eq!(manifest["error"][0]["url"], "error/OperationOutcome.ndjson");
}

/// The first source waits until the second is at its end: only two at a time can get through, and the order is still that of
/// the sources.
#[test]
fn the_order_is_that_of_the_sources_whatever_ends_first() {
    let ended = Arc::new((Mutex::new(false), Condvar::new()));
    let (waits, tells) = (Arc::clone(&ended), ended);
    let first = TestOrigin::new("x/a", b"first").with(|remote| {
        remote.before_read = Some(Arc::new(move |_| {
            let (lock, changed) = &*waits;
            drop(changed.wait_while(lock.lock().expect("not poisoned"), |ended| !*ended));
        }));
    });
    let second = TestOrigin::new("y/a", b"second").with(|remote| {
        remote.before_read = Some(Arc::new(move |at| {
            if at == 6 {
                *tells.0.lock().expect("not poisoned") = true;
                tells.1.notify_all();
            }
        }));
    });
    let store = MemoryStore::new();
    let report = run(&store, &job().max_downloads(2), &[&first, &second]).expect("no trouble");
    let names: Vec<_> = report.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["a", "a.0002"]);
    assert_eq!(store.contents("a.0002"), Some(b"second".to_vec()));
    let alone = MemoryStore::new();
    let sources = [TestOrigin::new("x/a", b"first"), TestOrigin::new("y/a", b"second")];
    run(&alone, &job().max_downloads(1), &[&sources[0], &sources[1]]).expect("no trouble");
    assert_eq!(store.contents("manifest.json"), alone.contents("manifest.json"));
}

#[test]
fn no_more_are_fetched_at_once_than_allowed() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let together = Arc::new(Barrier::new(3));
    let origins: Vec<_> = (0..9)
        .map(|number| {
            let (now, most, together) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&together));
            TestOrigin::new(&format!("{number}"), b"x").with(|remote| {
                let reading = AtomicBool::new(true);
                remote.before_read = Some(Arc::new(move |at| {
                    if at == 0 {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        // Nobody gets through alone.
                        together.wait();
                    } else if reading.swap(false, Ordering::SeqCst) {
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                }));
            })
        })
        .collect();
    let store = MemoryStore::new();
    let report =
        run(&store, &job().max_downloads(3), &origins.iter().collect::<Vec<_>>()).expect("no trouble");
    assert_eq!((report.files.len(), most.load(Ordering::SeqCst) <= 3), (9, true));
}

#[test]
fn a_source_that_breaks_off_goes_on_where_it_was() {
    let store = MemoryStore::new();
    let (whole, other) = (bytes(3, 500_000), bytes(4, 1000));
    let broken = TestOrigin::new("broken", &whole).with(|remote| remote.breaks_at = 400_000);
    let sound = TestOrigin::new("sound", &other);
    let report = ran(&store, &[&broken, &sound]);
    assert_eq!((report.status, report.exit_code), (ExitStatus::Incomplete, 5));
    let failure = &report.failures[0];
    assert_eq!((failure.stored_bytes, failure.causes[0].as_str()), (400_000, "cannot be read on"));
    names_are(&store, &["_fetch.partial", "broken.partial", "sound"]);
    assert!(store.contents("broken.partial").as_deref() == Some(&whole[..400_000]));

    broken.change(|remote| remote.breaks_at = usize::MAX);
    assert_eq!((broken.opened(), sound.opened()), (vec![0], vec![0]));
    let report = ran(&store, &[&broken, &sound]);
    assert_eq!(report.status, ExitStatus::Complete);
    assert_eq!((report.files[0].resumed_from, report.files[1].resumed_from), (Some(400_000), Some(1000)));
    assert_eq!((report.files[0].checksum.clone(), report.fetched_bytes), (sha256(&whole), 100_000));
    assert_eq!((broken.opened(), sound.opened()), (vec![400_000 - 65_536], vec![]));
    names_are(&store, &["broken", "manifest.json", "sound"]);
    assert!(store.contents("broken") == Some(whole));
}

/// What is fetched of a source after it broke off, and what the report says of it.
#[track_caller]
fn after_a_break(change: impl FnOnce(&mut Remote)) -> (Vec<u8>, FetchReport, Vec<u64>) {
    let store = MemoryStore::new();
    let origin = TestOrigin::new("a", &bytes(5, 200_000)).with(|remote| remote.breaks_at = 100_000);
    assert_eq!(ran(&store, &[&origin]).exit_code, 5);
    origin.change(|remote| {
        remote.breaks_at = usize::MAX;
        change(remote);
    });
    origin.opened();
    let report = ran(&store, &[&origin]);
    (store.contents("a").unwrap_or_default(), report, origin.opened())
}

#[test]
fn a_source_that_is_another_is_begun_afresh() {
    let (found, report, opened) = after_a_break(|remote| remote.modified = Some(SystemTime::UNIX_EPOCH));
    assert!(found == bytes(5, 200_000));
    assert_eq!(opened, [0]);
    let why = report.files[0].begun_afresh.as_deref();
    assert_eq!((why, report.files[0].resumed_from), (Some("its source is not the same any more"), None));
}

#[test]
fn a_source_with_other_bytes_is_begun_afresh_although_it_looks_the_same() {
    let (found, report, opened) = after_a_break(|remote| remote.bytes = bytes(6, 200_000));
    assert!(found == bytes(6, 200_000));
    assert_eq!(opened, [100_000 - 65_536, 0]);
    let why = report.files[0].begun_afresh.as_deref();
    assert_eq!(why, Some("its source holds other bytes than were fetched before"));
}

#[test]
fn a_source_that_cannot_be_told_from_others_is_begun_afresh() {
    let store = MemoryStore::new();
    let origin = TestOrigin::new("a", &bytes(5, 200_000)).with(|remote| {
        remote.modified = None;
        remote.breaks_at = 100_000;
    });
    assert_eq!(ran(&store, &[&origin]).exit_code, 5);
    origin.change(|remote| remote.breaks_at = usize::MAX);
    let report = ran(&store, &[&origin]);
    assert_eq!(origin.opened(), [0, 0]);
    let why = report.files[0].begun_afresh.as_deref();
    assert_eq!(why, Some("its source does not say what would tell it from another"));
}

#[test]
fn the_tag_of_a_source_tells_it_too() {
    let store = MemoryStore::new();
    let origin = TestOrigin::new("a", &bytes(5, 200_000)).with(|remote| {
        (remote.modified, remote.tag) = (None, Some("\"1\"".to_owned()));
        remote.breaks_at = 100_000;
    });
    assert_eq!(ran(&store, &[&origin]).exit_code, 5);
    origin.change(|remote| remote.breaks_at = 150_000);
    assert_eq!(ran(&store, &[&origin]).failures[0].stored_bytes, 150_000);
    origin.change(|remote| (remote.breaks_at, remote.tag) = (usize::MAX, Some("\"2\"".to_owned())));
    let report = ran(&store, &[&origin]);
    assert_eq!(report.files[0].begun_afresh.as_deref(), Some("its source is not the same any more"));
    assert_eq!(origin.opened(), [0, 100_000 - 65_536, 0]);
}

#[test]
fn a_source_that_cannot_be_read_in_its_middle_is_begun_afresh() {
    let (found, report, opened) = after_a_break(|remote| remote.seeks = false);
    assert!(found == bytes(5, 200_000));
    assert_eq!(opened, [0]);
    let why = report.files[0].begun_afresh.as_deref();
    assert_eq!(why, Some("its source can be read from its beginning only"));
}

#[test]
fn a_source_that_is_not_as_long_as_it_says_is_incomplete() {
    let store = MemoryStore::new();
    let short = TestOrigin::new("short", b"12345").with(|remote| remote.stated_bytes = Some(7));
    let long = TestOrigin::new("long", b"12345").with(|remote| remote.stated_bytes = Some(3));
    let report = ran(&store, &[&short, &long]);
    let causes: Vec<_> = report.failures.iter().map(|failure| failure.causes.join("; ")).collect();
    assert_eq!(causes, ["ended after 5 of 7 bytes", "did not end after its 3 bytes"]);
    assert_eq!(report.exit_code, 5);
    names_are(&store, &["_fetch.partial", "long.partial", "short.partial"]);
    // As long as it says, now.
    for (origin, bytes) in [(&short, &b"1234567"[..]), (&long, b"123")] {
        origin.change(|remote| remote.bytes = bytes.to_vec());
    }
    assert_eq!(ran(&store, &[&short, &long]).exit_code, 0);
    assert_eq!(store.contents("short"), Some(b"1234567".to_vec()));
    assert_eq!(store.contents("long"), Some(b"123".to_vec()));
}

#[test]
fn a_source_that_is_not_there_leaves_the_others_whole() {
    let store = MemoryStore::new();
    let lost = Wanted::lost("gone".to_owned(), FetchError::NotFound { name: "gone".to_owned() });
    let wanted = [lost, Wanted::source(Box::new(TestOrigin::new("a", b"x")))];
    let report = run_with(&store, &job(), &wanted, &Cancel::new(), &mut |_| {}).expect("no trouble");
    assert_eq!(report.failures[0].causes, ["cannot be found", "no such file or folder: gone"]);
    assert_eq!((report.exit_code, report.files.len()), (5, 1));
    names_are(&store, &["_fetch.partial", "a"]);
}

#[test]
fn the_same_again_does_nothing() {
    let (store, origin) = (MemoryStore::new(), TestOrigin::new("a", b"x"));
    let first = ran(&store, &[&origin]);
    origin.opened();
    let again = ran(&store, &[&origin]);
    assert!(again.already_complete && !first.already_complete && origin.opened().is_empty());
    assert_eq!((again.stored_bytes, again.fetched_bytes), (1, 0));
    assert_eq!(again.files[0].checksum, first.files[0].checksum);
}

#[test]
fn what_is_not_the_same_is_refused() {
    let (store, origin) = (MemoryStore::new(), TestOrigin::new("a", b"x"));
    ran(&store, &[&origin]);
    let differences = |job: &FetchJob, origins: &[&TestOrigin]| match run(&store, job, origins) {
        Err(JobError::OtherRun { differences, .. }) => differences,
        other => panic!("{other:?}"),
    };
    assert_eq!(differences(&job(), &[&TestOrigin::new("b", b"x")]), ["the sources"]);
    assert_eq!(differences(&job().checksum(None), &[&origin]), ["`checksum`"]);
    origin.change(|remote| remote.modified = Some(SystemTime::UNIX_EPOCH));
    assert_eq!(differences(&job(), &[&origin]), ["the sources"]);
    origin.change(|remote| remote.modified = Some(SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7)));
    store.remove("a").expect("in memory");
    assert!(matches!(run(&store, &job(), &[&origin]), Err(JobError::Damaged { file, .. }) if file == "a"));
}

#[test]
fn an_interrupted_download_of_something_else_is_refused() {
    let store = MemoryStore::new();
    let origin = TestOrigin::new("a", b"12345").with(|remote| remote.breaks_at = 3);
    ran(&store, &[&origin]);
    let refused = run(&store, &job(), &[&origin, &origin]);
    assert!(
        matches!(refused, Err(JobError::OtherOptions { differences, .. }) if differences == ["the sources"])
    );
}

#[test]
fn what_is_to_be_replaced_goes_and_nothing_else() {
    let store = MemoryStore::new();
    ran(&store, &[&TestOrigin::new("a", b"x"), &TestOrigin::new("b", b"x")]);
    store.put_if_absent("notes.txt", b"mine").expect("new name");
    let broken = TestOrigin::new("c", b"12345").with(|remote| remote.breaks_at = 3);
    run(&store, &job().overwrite(true), &[&broken]).expect("no trouble");
    names_are(&store, &["_fetch.partial", "c.partial", "notes.txt"]);
    run(&store, &job().overwrite(true), &[&TestOrigin::new("d", b"y")]).expect("no trouble");
    names_are(&store, &["d", "manifest.json", "notes.txt"]);
}

#[test]
fn what_is_not_ours_is_refused() {
    for (name, content) in
        [("notes.txt", &b"mine"[..]), ("manifest.json", b"{\"output\":[]}"), ("a.partial", b"x")]
    {
        let store = MemoryStore::new();
        store.replace(name, content, false).expect("in memory");
        let refused = run(&store, &job().overwrite(true), &[&TestOrigin::new("a", b"x")]);
        assert!(matches!(refused, Err(JobError::NotOurs { .. })), "{name}");
        names_are(&store, &[name]);
    }
}

#[test]
fn a_note_that_makes_no_sense_is_begun_afresh_if_it_is_alone() {
    let store = MemoryStore::new();
    store.replace(note::NAME, b"", false).expect("in memory");
    ran(&store, &[&TestOrigin::new("a", b"x")]);
    names_are(&store, &["a", "manifest.json"]);
}

#[test]
fn stopped_in_the_middle_and_run_again() {
    let (store, whole) = (MemoryStore::new(), bytes(9, 700_000));
    let cancel = Cancel::new();
    let stopping = cancel.clone();
    // By the source itself: whoever hears of events may hear of them when all is over.
    let stop = move |at: u64| {
        if at >= 300_000 {
            stopping.cancel();
        }
    };
    let origin = TestOrigin::new("a", &whole).with(|remote| remote.before_read = Some(Arc::new(stop)));
    let wanted = [Wanted::source(Box::new(origin.clone()))];
    let stopped = run_with(&store, &job(), &wanted, &cancel, &mut |_| {});
    assert_eq!(stopped.expect_err("stopped").exit_status(), ExitStatus::Interrupted);
    names_are(&store, &["_fetch.partial", "a.partial"]);
    let report = ran(&store, &[&origin]);
    assert!(report.files[0].resumed_from.is_some_and(|bytes| bytes >= 300_000), "{report:?}");
    assert!(store.contents("a") == Some(whole));
}

#[test]
fn events_tell_the_whole_story() {
    let store = MemoryStore::new();
    let origin = TestOrigin::new("a", &bytes(1, 30_000)).with(|remote| remote.breaks_at = 20_000);
    let wanted = [Wanted::source(Box::new(origin.clone()))];
    let mut events = Vec::new();
    let mut on_event = |event: &FetchEvent| events.push(event.clone());
    run_with(&store, &job(), &wanted, &Cancel::new(), &mut on_event).expect("no trouble");
    origin.change(|remote| remote.breaks_at = usize::MAX);
    run_with(&store, &job(), &wanted, &Cancel::new(), &mut on_event).expect("no trouble");
    let (ordinal, name) = (0, "a".to_owned());
    let started = |from_bytes| FetchEvent::Started {
        ordinal,
        name: name.clone(),
        stated_bytes: Some(30_000),
        from_bytes,
    };
    let expected = [
        started(0),
        FetchEvent::Advanced { ordinal, bytes: 10_000 },
        FetchEvent::Advanced { ordinal, bytes: 20_000 },
        FetchEvent::Failed {
            ordinal,
            name: name.clone(),
            why: "cannot be read on: connection reset".to_owned(),
        },
        started(20_000),
        FetchEvent::Advanced { ordinal, bytes: 30_000 },
        FetchEvent::Finished { ordinal, name: name.clone(), bytes: 30_000, kept: false },
    ];
    assert_eq!(events, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However often a source breaks off, the file is what it would be if it had not.
    #[test]
    fn breaks_change_nothing(
        length in 0_usize..300_000,
        mut breaks in proptest::collection::vec(0_usize..300_000, 0..4),
        gzip in any::<bool>(),
    ) {
        let mut whole = bytes(8, length);
        if gzip && length > 3 {
            whole[..3].copy_from_slice(&[0x1f, 0x8b, 8]);
        }
        let (store, origin) = (MemoryStore::new(), TestOrigin::new("a", &whole));
        breaks.sort_unstable();
        for at in breaks {
            origin.change(|remote| remote.breaks_at = at);
            ran(&store, &[&origin]);
        }
        origin.change(|remote| remote.breaks_at = usize::MAX);
        let report = ran(&store, &[&origin]);
        let name = if gzip && length > 3 { "a.gz" } else { "a" };
        prop_assert_eq!(report.exit_code, 0);
        prop_assert!(store.contents(name) == Some(whole.clone()));
        prop_assert_eq!(&report.files[0].checksum, &sha256(&whole));
        prop_assert_eq!(store.list().expect("in memory"), [name, "manifest.json"]);
    }
}
