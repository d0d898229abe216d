//! Runs that are made of steps, so that they can be stopped between any two.

use std::collections::BTreeMap;
use std::sync::Arc;

use fhirline_core::{
    BadRecord, Batch, ChecksumKind, Chunk, Content, Destination, Fault, Lease, Ledger, LongLine,
    MemorySpools, PartKind, PartSpan, Parts, Position, Receipt, ResourceType, SourceId, SourceRole, Spools,
    Store, Verdict,
};
use fhirline_fetch::MemoryStore;
use fhirline_route::{Router, Scratch};
use fhirline_sink::{
    Checkpoint, Codec, Encoding, Finished, Inline, Offload, ResumeError, Sink, SinkError, SplitOptions,
    SplitSink, safe_name,
};
use proptest::prelude::*;
use serde_json::value::RawValue;

pub(crate) const NAME: &str = "_fhirline.partial";

/// One call of a sink.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Begin(u32),
    /// Kind and length of each line: records, broken ones, and what goes to sidecars.
    Batch(Vec<(u8, u16)>),
    Long(u8, u16),
    /// One record of each of so many types.
    Types(std::ops::Range<u16>),
    Abandon,
}

/// What a run leaves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    outputs: Vec<Receipt>,
    quarantine: Vec<Receipt>,
    pub(crate) diverted_records: u64,
}

struct Threads;

impl Offload for Threads {
    fn offload(&self, job: Box<dyn FnOnce() + Send>) {
        std::thread::spawn(job);
    }
}

/// Bytes that no encoder makes much smaller, the same ones for the same line.
fn padding(seed: usize, length: usize) -> String {
    let mut state = seed as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (state >> 33) as u8 % 26)
    };
    (0..length).map(|_| next()).collect()
}

const TYPES: [&str; 6] = ["Patient", "PATIENT", "Goal", "Observation", "x-custom", "Encounter"];

pub(crate) fn line(kind: u8, seed: usize, length: usize) -> String {
    match kind {
        0..10 => {
            let name = TYPES[usize::from(kind) % TYPES.len()];
            format!("{{\"resourceType\":\"{name}\",\"text\":\"{}\"}}\n", padding(seed, length))
        }
        10 | 11 => format!("{{\"broken\":\"{}\n", padding(seed, length)),
        12 => "[]\n".to_owned(),
        _ => format!("{{\"fullUrl\":\"{}\"}}\n", padding(seed, length)),
    }
}

/// Where lines of that kind go, if that is a sidecar.
fn sidecar(kind: u8) -> Option<Destination> {
    let place = usize::from(kind.checked_sub(13)?);
    [Destination::Entries, Destination::Bundles, Destination::EntryMetadata].get(place).copied()
}

fn part_kind(kind: u8) -> PartKind {
    match sidecar(kind) {
        None => PartKind::Line,
        Some(Destination::Entries) => PartKind::Entry,
        Some(sidecar) => PartKind::Sidecar(sidecar),
    }
}

/// Where a step begins in its source.
fn position_of(steps: &[Step], place: usize) -> Position {
    let mut at = Position::default();
    for step in &steps[..place] {
        let lines = match step {
            Step::Begin(source) => {
                at = Position::start_of(SourceId(*source));
                continue;
            }
            Step::Batch(lines) => lines.len() as u64,
            Step::Long(..) => 1,
            Step::Types(types) => types.len() as u64,
            Step::Abandon => 0,
        };
        at = at.advanced(lines * 5000, lines);
    }
    at
}

pub(crate) fn batch_of(lines: impl Iterator<Item = (u8, String)>, at: Position) -> Batch {
    let mut all = Parts { at, ..Parts::default() };
    for (number, (kind, line)) in (0..).zip(lines) {
        let (kind, from) = (part_kind(kind), all.bytes.len() as u32);
        let length = if kind == PartKind::Line { line.len() } else { line.len() - 1 } as u32;
        let part = PartSpan {
            kind,
            from,
            length,
            offset: from,
            line: number,
            line_ends: 0,
            proven: false,
            known_type: None,
        };
        all.list.push(part);
        all.bytes.extend_from_slice(line.as_bytes());
    }
    let (role, content) = (SourceRole::Data, Content::Parts(Box::new(all)));
    let chunk = Chunk { sequence: 0, role, content, lease: Lease::free_of_charge() };
    Router::default().route(chunk, Batch::default(), &mut Scratch::default()).0
}

pub(crate) fn long_line(kind: u8, length: u16, seed: usize, at: Position) -> LongLine {
    let mut spool = MemorySpools.create().expect("in memory");
    let bytes = line(kind, seed, usize::from(length));
    let bytes = bytes.trim_end().as_bytes();
    spool.append(b"  ").and_then(|()| spool.append(bytes)).expect("in memory");
    let destination = match kind {
        0..10 if TYPES[usize::from(kind) % TYPES.len()] == "x-custom" => Some(Destination::Unknown),
        0..10 => ResourceType::new(TYPES[usize::from(kind) % TYPES.len()]).map(Destination::Resource),
        _ => sidecar(kind),
    };
    let length = bytes.len() as u64 + 2;
    let rejected = Verdict::Rejected(BadRecord { fault: Fault::TooLong, at: 7 });
    let delivered = |destination| Verdict::Delivered { destination, record: 2..length };
    let mut ledger = Ledger::default();
    ledger.records.read = u64::from(sidecar(kind).is_none());
    let (end, verdict) = (at.advanced(length + 1, 1), destination.map_or(rejected, delivered));
    LongLine { at, end, length, lines: 1, verdict, ledger, spool }
}

/// Takes one step; the same step at the same place is the same call.
fn take(sink: &mut SplitSink, steps: &[Step], place: usize, threads: bool) -> Result<(), SinkError> {
    let offload: &dyn Offload = if threads { &Threads } else { &Inline };
    let at = position_of(steps, place);
    match &steps[place] {
        Step::Begin(source) => sink.begin_source(SourceId(*source), &format!("source {source}")),
        Step::Batch(lines) => {
            let text = |(number, &(kind, length)): (usize, &(u8, u16))| {
                (kind, line(kind, place * 31 + number, usize::from(length)))
            };
            let lines = lines.iter().enumerate().map(text);
            sink.commit(&mut batch_of(lines, at), offload)
        }
        Step::Types(types) => {
            let letter = |number: u16, power| char::from(b'a' + (number / 26_u16.pow(power) % 26) as u8);
            let name = |number| (0..3).map(|power| letter(number, power)).collect::<String>();
            let lines =
                types.clone().map(|number| (0, format!("{{\"resourceType\":\"T{}\"}}\n", name(number))));
            sink.commit(&mut batch_of(lines, at), offload)
        }
        Step::Long(kind, length) => sink.commit_long(&mut long_line(*kind, *length, place, at), offload),
        Step::Abandon => sink.abandon_source(),
    }
}

/// A run from its first step to its last.
pub(crate) fn unbroken(steps: &[Step], options: SplitOptions) -> Ran {
    let store = MemoryStore::new();
    let mut sink = SplitSink::new(Arc::new(store.clone()), options);
    (0..steps.len()).for_each(|place| take(&mut sink, steps, place, false).expect("in memory"));
    sealed(sink.finish(&Inline).expect("in memory"), &store)
}

pub(crate) fn sealed(finished: Finished, store: &dyn Store) -> Ran {
    let (outputs, quarantine) = (finished.outputs(), finished.quarantine());
    let diverted_records = finished.diverted_records();
    finished.seal().expect("sealed");
    store.remove(NAME).expect("removed");
    store.remove(&safe_name(NAME)).expect("removed");
    Ran { files: contents(store), outputs, quarantine, diverted_records }
}

pub(crate) fn contents(store: &dyn Store) -> BTreeMap<String, Vec<u8>> {
    let names = store.list().expect("listed");
    let content = |name: &String| store.get(name, u64::MAX - 1).expect("read").expect("it was listed");
    names.iter().map(|name| (name.clone(), content(name))).collect()
}

pub(crate) fn run_text() -> Box<RawValue> {
    RawValue::from_string("{\"version\":\"test\"}".to_owned()).expect("JSON")
}

/// A run under way, which notes after how many steps each checkpoint was made.
pub(crate) struct Run<'s> {
    pub(crate) sink: SplitSink,
    steps: &'s [Step],
    pub(crate) taken: usize,
    threads: bool,
}

impl<'s> Run<'s> {
    pub(crate) fn begin(
        store: Arc<dyn Store>,
        options: SplitOptions,
        steps: &'s [Step],
        threads: bool,
    ) -> Self {
        let sink = SplitSink::new(store, options).with_checkpoints(NAME, run_text());
        Self { sink, steps, taken: 0, threads }
    }

    pub(crate) fn step(&mut self) {
        self.try_step().expect("a store with room");
    }

    pub(crate) fn try_step(&mut self) -> Result<(), SinkError> {
        take(&mut self.sink, self.steps, self.taken, self.threads)?;
        self.taken += 1;
        Ok(())
    }

    pub(crate) fn steps_to(&mut self, taken: usize) {
        while self.taken < taken {
            self.step();
        }
    }

    pub(crate) fn checkpoint(&mut self) {
        self.try_checkpoint().expect("a store with room");
    }

    pub(crate) fn try_checkpoint(&mut self) -> Result<(), SinkError> {
        self.try_checkpoint_synced(true)
    }

    pub(crate) fn try_checkpoint_synced(&mut self, sync: bool) -> Result<(), SinkError> {
        let progress = format!("{{\"steps\":{}}}", self.taken);
        self.sink.checkpoint(progress.as_bytes(), sync)
    }

    /// The source that is being read turns out not to be whole. The next life begins with it.
    pub(crate) fn try_fail(&mut self) -> Result<(), SinkError> {
        let progress = format!("{{\"steps\":{}}}", begun_before(self.steps, self.taken));
        self.sink.fail_source(Some(progress.as_bytes()))
    }

    /// Goes on from what lies in the store: from the latest checkpoint, or else from the safe one.
    pub(crate) fn resume(
        store: Arc<dyn Store>,
        options: SplitOptions,
        steps: &'s [Step],
        threads: bool,
    ) -> Result<Self, ResumeError> {
        let failed =
            |source| ResumeError::Sink(SinkError::Store { action: "write to", name: NAME.into(), source });
        let latest = match Self::resume_from(NAME, Arc::clone(&store), options, steps, threads) {
            Err(lost) if !matches!(lost, ResumeError::Sink(_)) => lost,
            resumed => return resumed,
        };
        store.replace(NAME, b"", false).map_err(failed)?;
        // A source was abandoned: a latest one from before a loss of power does not count either.
        let withdrawn = store.stored_bytes(&safe_name(NAME)).map_err(failed)? == Some(0);
        match Self::resume_from(&safe_name(NAME), store, options, steps, threads) {
            Err(lost) if !matches!(lost, ResumeError::Sink(_)) && !withdrawn => Err(latest),
            resumed => resumed,
        }
    }

    fn resume_from(
        name: &str,
        store: Arc<dyn Store>,
        options: SplitOptions,
        steps: &'s [Step],
        threads: bool,
    ) -> Result<Self, ResumeError> {
        let json = store.get(name, Checkpoint::MAX_BYTES).expect("read").unwrap_or_default();
        let checkpoint = Checkpoint::parse(&json)?;
        assert_eq!(checkpoint.run().get(), run_text().get());
        let progress: serde_json::Value =
            serde_json::from_str(checkpoint.progress().get()).expect("what was given");
        let taken = progress["steps"].as_u64().expect("what was given") as usize;
        let (sink, _) = SplitSink::resume(store, options, NAME, checkpoint)?;
        Ok(Self { sink, steps, taken, threads })
    }
}

/// After how many steps the source began that is being read after `taken` steps.
pub(crate) fn begun_before(steps: &[Step], taken: usize) -> usize {
    steps[..taken].iter().rposition(|step| matches!(step, Step::Begin(_))).unwrap_or(0)
}

/// Every way to write, with blocks that are short enough to be cut often.
pub(crate) fn options() -> impl Strategy<Value = SplitOptions> {
    let codecs = prop_oneof![Just(Codec::None), Just(Codec::Gzip), Just(Codec::Zstd)];
    let checksums =
        prop_oneof![Just(None), Just(Some(ChecksumKind::Crc32c)), Just(Some(ChecksumKind::Sha256))];
    let rotation = (prop::option::of(200u64..3000), prop::option::of(1u64..12));
    (codecs, checksums, rotation, 60usize..900, 100u64..3000, 1usize..4, any::<bool>()).prop_map(
        |(
            codec,
            checksum,
            (max_file_bytes, max_file_records),
            block_bytes,
            open_block_bytes,
            max_jobs,
            durable,
        )| {
            SplitOptions {
                encoding: Encoding::new(codec, None).expect("the usual level"),
                checksum,
                max_file_bytes,
                max_file_records,
                durable,
                block_bytes,
                open_block_bytes,
                max_jobs,
            }
        },
    )
}

/// Sources with batches and long lines, some of them abandoned.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lines = prop::collection::vec((0u8..16, 0u16..120), 0..12);
    let step = prop_oneof![
        6 => lines.prop_map(Step::Batch),
        1 => (0u8..16, 0u16..3000).prop_map(|(kind, length)| Step::Long(kind, length)),
    ];
    let source = (prop::collection::vec(step, 0..7), prop::bool::weighted(0.25));
    prop::collection::vec(source, 1..5).prop_map(|sources| {
        let mut all = Vec::new();
        for (number, (steps, abandoned)) in (0..).zip(sources) {
            all.push(Step::Begin(number));
            all.extend(steps);
            all.extend(abandoned.then_some(Step::Abandon));
        }
        all
    })
}
