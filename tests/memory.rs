//! How much memory a run takes. A binary of its own, because the allocator counts for the whole process.
//!
//! What is counted is the heap of Rust code. The state of a zstd encoder or decoder, of liblzma, and the stacks of threads
//! are not in it: a test in `fhirline-sink` and the limits of `fhirline-decompress` hold the former, and `benches/rss.sh`
//! measures all of it from outside.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use fhirline::sample::Sample;
use fhirline_core::{Batch, Identity, LongLine, Origin, SourceId};
use fhirline_fetch::{FileOrigin, FolderSpools, FolderStore};
use fhirline_flow::{Cancel, Entry, Event, FlowOptions, MemoryPlan, Outcome, run};
use fhirline_route::Router;
use fhirline_sink::{Codec, Encoding, Inline, Offload, Sink, SinkError, SplitOptions, SplitSink, StatsSink};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What a run may hold beside what its plan gives to chunks, decoder and compression: tables of outputs, queues, the
/// threads' own, and the generator of the input. Part of the plan's overhead.
const BESIDE_BYTES: u64 = 3 << 20;

/// A buffer for a long line reserves 32 MiB of address space and uses 4 of them; the allocator counts what is reserved.
/// What the heart has for such lines holds three of them.
const RESERVED_BYTES: u64 = 3 * 28 * MIB;

const MIB: u64 = 1 << 20;
const CEILING_BYTES: u64 = 64 * MIB;

// ---- inputs ----------------------------------------------------------------------------------------------------------

type Make = dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync;

/// A source that is made while it is read, by a thread of its own: it is never in memory as a whole.
struct Made {
    name: String,
    make: Arc<Make>,
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Made").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Origin for Made {
    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { name: self.name.clone(), stored_bytes: None, modified: None, tag: None })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn open_at(&self, _offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let (reader, mut writer) = io::pipe()?;
        let make = Arc::clone(&self.make);
        // A maker that fails leaves a source that is too short, which the counts of each test tell.
        thread::spawn(move || make(&mut writer));
        Ok(Box::new(reader))
    }
}

fn made(make: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'static) -> Vec<Entry> {
    vec![Entry::named(Made { name: "made".to_owned(), make: Arc::new(make) })]
}

fn export(bytes: u64) -> impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync {
    move |out| Sample::new(7).target_bytes(bytes).broken_lines(true).write_to(out).map(drop)
}

fn gzipped(bytes: u64) -> impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync {
    move |out| {
        let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
        export(bytes)(&mut encoder)?;
        encoder.finish().map(drop)
    }
}

/// As many gzip members as it takes, each of so many bytes.
fn gzip_members(bytes: u64, of_each: usize) -> impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync {
    move |out| {
        let mut members = Members { out, of_each, open: Vec::new() };
        export(bytes)(&mut members)?;
        members.end()
    }
}

struct Members<'o> {
    out: &'o mut dyn Write,
    of_each: usize,
    open: Vec<u8>,
}

impl Members<'_> {
    fn end(&mut self) -> io::Result<()> {
        let mut encoder = flate2::write::GzEncoder::new(&mut *self.out, flate2::Compression::fast());
        encoder.write_all(&self.open)?;
        self.open.clear();
        encoder.finish().map(drop)
    }
}

impl Write for Members<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.of_each - self.open.len());
        self.open.extend_from_slice(&bytes[..taken]);
        if self.open.len() == self.of_each {
            self.end()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn zstd_with_window(bytes: u64, log: u32) -> impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync {
    move |out| {
        let mut encoder = zstd::Encoder::new(out, 1)?;
        encoder.window_log(log)?;
        export(bytes)(&mut encoder)?;
        encoder.finish().map(drop)
    }
}

/// Good records of that many MiB each.
fn long_lines(count: usize, mib: usize) -> impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync {
    move |out| {
        let filler = [b'A'; 64 << 10];
        for _ in 0..count {
            out.write_all(br#"{"resourceType":"Binary","data":""#)?;
            (0..16 * mib).try_for_each(|_| out.write_all(&filler))?;
            out.write_all(b"\"}\n")?;
        }
        Ok(())
    }
}

/// An export as one Bundle: on one line or over many, with its keys before its entries or behind them.
fn bundle(
    bytes: u64,
    before: &'static str,
    between: &'static str,
    behind: &'static str,
) -> impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync {
    move |out| {
        let mut out = io::BufWriter::with_capacity(64 << 10, out);
        let filler = "x".repeat(2000);
        write!(out, "{{{before}\"entry\":[")?;
        for record in 0..bytes / 2000 {
            let comma = if record == 0 { "" } else { "," };
            write!(out, "{comma}{between}{{\"fullUrl\":\"urn:{record}\",{between}\"resource\":{{{between}")?;
            write!(out, "\"resourceType\":\"Goal\",{between}\"x\":\"{filler}\"}}}}")?;
        }
        write!(out, "{between}]{behind}}}")?;
        out.flush()
    }
}

/// As many records of each type as said, about `bytes` long: the types round robin, or one after the other.
fn types(
    types: u64,
    each: u64,
    bytes: usize,
    robin: bool,
) -> impl Fn(&mut dyn Write) -> io::Result<()> + Send {
    types_from(0, types, each, bytes, robin)
}

/// The same from a type on that is not the first.
fn types_from(
    first: u64,
    types: u64,
    each: u64,
    bytes: usize,
    robin: bool,
) -> impl Fn(&mut dyn Write) -> io::Result<()> + Send {
    move |out| {
        let mut out = io::BufWriter::with_capacity(64 << 10, out);
        for record in 0..types * each {
            let of_type = first + if robin { record % types } else { record / each };
            let name = name_of_type(of_type);
            writeln!(out, "{{\"resourceType\":\"{name}\",\"id\":\"{record:0bytes$}\"}}")?;
        }
        out.flush()
    }
}

/// Names of types are letters only.
fn name_of_type(number: u64) -> String {
    let letter = |digit: u64| char::from(b'a' + (digit % 26) as u8);
    [26 * 26, 26, 1]
        .into_iter()
        .fold("Type".to_owned(), |name, part| name + &letter(number / part).to_string())
}

// ---- runs ------------------------------------------------------------------------------------------------------------

/// One run at a time, or they would be counted together.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn encoding(codec: Codec) -> Encoding {
    Encoding::new(codec, None).expect("usual level")
}

fn options(threads: usize, encoding: Encoding) -> FlowOptions {
    options_within(CEILING_BYTES, threads, encoding)
}

fn options_within(ceiling_bytes: u64, threads: usize, encoding: Encoding) -> FlowOptions {
    let memory =
        MemoryPlan::new(ceiling_bytes, threads, encoding).expect("enough memory").with_waiting_writes();
    FlowOptions {
        threads,
        memory,
        spools: Arc::new(FolderSpools::new(std::env::temp_dir())),
        ..FlowOptions::default()
    }
}

fn allowed(plan: &MemoryPlan) -> u64 {
    plan.heart_bytes + plan.compression_bytes + plan.open_block_bytes + BESIDE_BYTES
}

/// The peak of the heap while `job` runs, above what was there before.
fn peak_of<T>(job: impl FnOnce() -> T) -> (u64, T) {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let result = job();
    (HEAP.peak_usage().saturating_sub(before) as u64, result)
}

fn drive<I>(sources: I, sink: &mut dyn Sink, options: &FlowOptions) -> Outcome
where
    I: IntoIterator<Item = Entry, IntoIter: Send>,
{
    run(sources, &Router::default(), sink, options, &Cancel::new(), &mut |_| {}).expect("a run to its end")
}

/// Splits the sources into a folder, and sees the heap stay within the plan.
fn split<I>(what: &str, sources: I, threads: usize, codec: Codec) -> Outcome
where
    I: IntoIterator<Item = Entry, IntoIter: Send>,
{
    split_reserving(0, what, sources, threads, codec)
}

fn split_reserving<I>(reserved: u64, what: &str, sources: I, threads: usize, codec: Codec) -> Outcome
where
    I: IntoIterator<Item = Entry, IntoIter: Send>,
{
    let folder = tempfile::tempdir().expect("a folder");
    let flow = FlowOptions { allow_incomplete: true, ..options(threads, encoding(codec)) };
    let split = SplitOptions {
        encoding: encoding(codec),
        durable: false,
        open_block_bytes: flow.memory.open_block_bytes,
        max_jobs: flow.memory.compression_jobs,
        ..SplitOptions::default()
    };
    let (peak, outcome) = peak_of(|| {
        let store = FolderStore::open(folder.path().join("out")).expect("a store");
        let mut sink = SplitSink::new(Arc::new(store), split);
        let outcome = drive(sources, &mut sink, &flow);
        let finished = sink.finish(&Inline).expect("finished");
        let records: u64 = finished.outputs().iter().map(|receipt| receipt.records).sum();
        assert_eq!(records, outcome.totals.ledger.records.delivered, "{what}");
        outcome
    });
    within(what, threads, codec, peak.saturating_sub(reserved), &flow.memory);
    outcome
}

fn within(what: &str, threads: usize, codec: Codec, peak: u64, plan: &MemoryPlan) {
    let kib = |bytes: u64| bytes >> 10;
    assert!(
        peak <= allowed(plan),
        "{what}, {threads} threads, {codec:?}: {} KiB on the heap, {} allowed by {plan:?}",
        kib(peak),
        kib(allowed(plan)),
    );
}

// ---- ordinary exports ------------------------------------------------------------------------------------------------

#[test]
fn an_export_of_any_size_at_any_number_of_threads() {
    let _alone = alone();
    for (mib, threads) in [(256, 2), (64, 1), (64, 8)] {
        let outcome = split(&format!("{mib} MiB"), made(export(mib * MIB)), threads, Codec::None);
        assert!(outcome.totals.ledger.bytes.read >= mib * MIB);
        assert_eq!(outcome.totals.ledger.records.quarantined, 8);
    }
}

#[test]
fn counting_needs_no_more_than_splitting() {
    let _alone = alone();
    for threads in [1, 8] {
        let flow = options(threads, Encoding::plain());
        let (peak, outcome) = peak_of(|| drive(made(export(64 * MIB)), &mut StatsSink::new(), &flow));
        within("counted", threads, Codec::None, peak, &flow.memory);
        assert!(outcome.totals.ledger.bytes.read >= 64 * MIB);
    }
}

#[test]
fn compressed_inputs() {
    let _alone = alone();
    for threads in [1, 8] {
        let outcome = split("gzip in", made(gzipped(48 * MIB)), threads, Codec::None);
        assert!(outcome.totals.ledger.bytes.read >= 48 * MIB);
        let outcome =
            split("zstd in, 8 MiB window", made(zstd_with_window(48 * MIB, 23)), threads, Codec::None);
        assert!(outcome.totals.ledger.bytes.read >= 48 * MIB);
    }
}

/// Members are decoded ahead by several threads, as many as fit into a part of the ceiling.
#[test]
fn gzip_members_of_any_length() {
    let _alone = alone();
    for (of_each, threads, codec) in [
        (60_000, 4, Codec::None),
        (1 << 20, 4, Codec::None),
        (1 << 20, 8, Codec::Gzip),
        (1 << 20, 8, Codec::None),
        (5 << 20, 8, Codec::None),
    ] {
        let source = made(gzip_members(48 * MIB, of_each));
        let outcome = split(&format!("members of {of_each}"), source, threads, codec);
        assert!(outcome.totals.ledger.bytes.read >= 48 * MIB);
    }
}

#[test]
fn compressed_outputs() {
    let _alone = alone();
    for codec in [Codec::Gzip, Codec::Zstd] {
        for threads in [1, 2, 8] {
            let outcome = split("compressed", made(export(24 * MIB)), threads, codec);
            assert!(outcome.totals.ledger.bytes.read >= 24 * MIB);
        }
    }
}

// ---- odd shapes ------------------------------------------------------------------------------------------------------

#[test]
fn long_lines_in_a_row() {
    let _alone = alone();
    for (threads, codec) in [(1, Codec::None), (8, Codec::None), (8, Codec::Zstd)] {
        let outcome =
            split_reserving(RESERVED_BYTES, "15 MiB lines", made(long_lines(12, 15)), threads, codec);
        assert_eq!(outcome.totals.ledger.records.delivered, 12);
    }
}

#[test]
fn a_line_that_is_longer_than_the_memory() {
    let _alone = alone();
    for threads in [1, 8] {
        let outcome =
            split_reserving(RESERVED_BYTES, "a 300 MiB line", made(long_lines(1, 300)), threads, Codec::None);
        assert_eq!(outcome.totals.ledger.records.delivered, 1);
        assert!(outcome.totals.ledger.bytes.delivered > 300 * MIB);
    }
}

#[test]
fn long_lines_among_short_ones() {
    let _alone = alone();
    let mixed = |out: &mut dyn Write| {
        for _ in 0..4 {
            export(12 * MIB)(out)?;
            long_lines(2, 15)(out)?;
        }
        Ok(())
    };
    for threads in [1, 8] {
        let outcome =
            split_reserving(RESERVED_BYTES, "long and short lines", made(mixed), threads, Codec::None);
        assert!(outcome.totals.ledger.bytes.read > 160 * MIB);
    }
}

#[test]
fn bundles_whatever_is_known_of_them() {
    let _alone = alone();
    let (known, late) = (
        "\"resourceType\":\"Bundle\",\"type\":\"batch\",",
        ",\"resourceType\":\"Bundle\",\"type\":\"batch\"",
    );
    let whole = ",\"resourceType\":\"Bundle\",\"type\":\"document\"";
    for (what, before, between, behind, records) in [
        ("a Bundle on one line", known, "", "", 48 * MIB / 2000),
        ("a Bundle over many lines", known, "\n   ", "", 48 * MIB / 2000),
        ("a Bundle whose keys come last", "", "", late, 48 * MIB / 2000),
        ("a document whose keys come last", "", "\n ", whole, 1),
    ] {
        for threads in [1, 8] {
            let source = made(bundle(48 * MIB, before, between, behind));
            let outcome = split(what, source, threads, Codec::None);
            assert_eq!(outcome.totals.ledger.records.delivered, records, "{what}");
        }
    }
}

#[test]
fn bundles_on_lines_as_long_as_are_held() {
    let _alone = alone();
    let lines = |out: &mut dyn Write| {
        let head = "\"resourceType\":\"Bundle\",\"type\":\"batch\",";
        (0..16).try_for_each(|_| bundle(3 * MIB, head, "", "")(out).and_then(|()| out.write_all(b"\n")))
    };
    for threads in [1, 8] {
        let outcome = split_reserving(RESERVED_BYTES, "Bundles on lines", made(lines), threads, Codec::Gzip);
        assert_eq!(outcome.totals.ledger.containers.bundles, 16);
    }
}

#[test]
fn nothing_but_rejects() {
    let _alone = alone();
    let flood = |out: &mut dyn Write| {
        let lines = b"x\n".repeat(32 << 10);
        (0..256).try_for_each(|_| out.write_all(&lines))
    };
    for threads in [1, 8] {
        let outcome = split("16 MiB of x", made(flood), threads, Codec::None);
        assert_eq!(outcome.totals.ledger.records.quarantined, 8 << 20);
    }
}

#[test]
fn thousands_of_types_round_robin() {
    let _alone = alone();
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        for threads in [1, 8] {
            let outcome = split("5,000 types", made(types(5000, 6, 400, true)), threads, codec);
            assert_eq!(outcome.totals.ledger.records.delivered, 30_000);
            assert_eq!(outcome.totals.ledger.unknown_types, 0);
        }
    }
}

/// Each output is cut at least once and then keeps a small open block, which must not sit in a large buffer.
#[test]
fn hundreds_of_types_one_after_the_other() {
    let _alone = alone();
    for codec in [Codec::Gzip, Codec::Zstd] {
        let outcome = split("100 types in turn", made(types(100, 2600, 500, false)), 2, codec);
        assert_eq!(outcome.totals.ledger.records.delivered, 260_000);
        assert_eq!(outcome.totals.ledger.unknown_types, 0);
    }
}

// ---- many sources ----------------------------------------------------------------------------------------------------

#[test]
fn ten_thousand_small_sources() {
    let _alone = alone();
    let sources = |count: u32| {
        (0..count).map(|number| {
            let make = move |out: &mut dyn Write| {
                writeln!(out, "{{\"resourceType\":\"Patient\",\"id\":\"{number}\"}}")
            };
            Entry::named(Made { name: format!("export-{number:06}.ndjson"), make: Arc::new(make) })
        })
    };
    for threads in [1, 8] {
        let outcome = split("10,000 sources", sources(10_000), threads, Codec::None);
        assert_eq!(outcome.sources, 10_000);
        assert_eq!(outcome.totals.ledger.records.delivered, 10_000);
    }
}

/// The beginnings of those to come are held beside the source that is read, but not beside a decoder with a large window.
#[test]
fn sources_that_are_begun_before_their_turn() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let written = |number: usize, make: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
        let path = folder.path().join(format!("{number:03}"));
        make(&mut File::create(&path).expect("a file")).expect("a disk with room");
        Entry::named(FileOrigin::new(path))
    };
    let sources = |long: bool| {
        let source = |number| match number % 10 {
            3 => written(number, &zstd_with_window(9 * MIB, 23)),
            5 => written(number, &export(3 * MIB)),
            6 => written(number, &gzip_members(5 * MIB, 60_000)),
            7 => written(number, &gzipped(1000)),
            8 if long => written(number, &long_lines(1, 6)),
            _ => written(number, &gzipped(3 * MIB)),
        };
        (0..40).map(source).collect::<Vec<_>>()
    };
    // The buffers of six beginnings, as those of long lines.
    const RESERVED: u64 = 6 * 31 * MIB;
    for (threads, codec) in [(2, Codec::None), (4, Codec::None), (8, Codec::None), (8, Codec::Gzip)] {
        let reserved = if threads < 4 { 0 } else { RESERVED };
        let outcome = split_reserving(reserved, "sources begun early", sources(false), threads, codec);
        assert_eq!((outcome.sources, outcome.failures.len()), (40, 0));
    }
    // A long line comes to its room too.
    let reserved = RESERVED + RESERVED_BYTES;
    let outcome = split_reserving(reserved, "long lines between", sources(true), 8, Codec::None);
    assert_eq!((outcome.sources, outcome.failures.len()), (40, 0));
}

/// Whoever needs the most there is waits for nobody who waits for him.
#[test]
fn a_wide_window_and_a_long_line_get_the_room_of_what_was_begun() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let written = |name: &str, make: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
        let path = folder.path().join(name);
        make(&mut File::create(&path).expect("a file")).expect("a disk with room");
        Entry::named(FileOrigin::new(path))
    };
    let wide = |out: &mut dyn Write| {
        let mut encoder = zstd::Encoder::new(out, 1)?;
        encoder.window_log(25)?;
        long_lines(30, 3)(&mut encoder)?;
        encoder.finish().map(drop)
    };
    let few = written("a", &gzipped(1000));
    let sources: Vec<_> = [few, written("b", &wide)]
        .into_iter()
        .chain((0..20).map(|number| written(&format!("c{number}"), &gzipped(MIB))))
        .collect();
    let flow = options(4, Encoding::plain());
    assert!((33 * MIB..38 * MIB).contains(&flow.memory.decoder_bytes), "{:?}", flow.memory);
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = sender.send(drive(sources, &mut StatsSink::new(), &flow));
    });
    let outcome = ended.recv_timeout(Duration::from_secs(120)).expect("an end");
    assert_eq!((outcome.sources, outcome.failures.len()), (22, 0));
}

/// One record of each type, and then sources that end badly, each of them with much for a hundred of these types.
fn cut_off_sources(count: u64) -> Vec<Entry> {
    let mut sources = made(types(100 * count, 1, 20, true));
    sources.extend((0..count).map(|number| {
        let make = move |out: &mut dyn Write| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            types_from(100 * number, 100, 13, 4600, true)(&mut encoder)?;
            let gzip = encoder.finish()?;
            out.write_all(&gzip[..gzip.len() - 8])
        };
        Entry::named(Made { name: format!("cut-{number}.ndjson.gz"), make: Arc::new(make) })
    }));
    sources
}

/// What the outputs held of a source that was gone back is free again, its buffers too.
#[test]
fn sources_that_end_badly_one_after_the_other() {
    let _alone = alone();
    for codec in [Codec::None, Codec::Gzip] {
        let outcome = split("30 sources cut off", cut_off_sources(30), 2, codec);
        assert_eq!((outcome.failed_sources, outcome.totals.ledger.records.delivered), (30, 3000));
    }
}

// ---- a sink that falls behind ----------------------------------------------------------------------------------------

/// The same bytes again and again, faster than anybody takes them.
#[derive(Debug)]
struct Repeated {
    bytes: Arc<[u8]>,
    times: usize,
    /// How much of it was read.
    read: Arc<AtomicU64>,
}

impl Origin for Repeated {
    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { name: "repeated".to_owned(), stored_bytes: None, modified: None, tag: None })
    }

    fn name(&self) -> &str {
        "repeated"
    }

    fn open_at(&self, _offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let (bytes, times, read) = (Arc::clone(&self.bytes), self.times, Arc::clone(&self.read));
        Ok(Box::new(Repeating { bytes, times, read, at: 0 }))
    }
}

struct Repeating {
    bytes: Arc<[u8]>,
    times: usize,
    read: Arc<AtomicU64>,
    at: usize,
}

impl Read for Repeating {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.times == 0 {
            return Ok(0);
        }
        let rest = &self.bytes[self.at..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        if self.at == self.bytes.len() {
            (self.at, self.times) = (0, self.times - 1);
        }
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Takes its first batch only when the source has been read as far ahead as it will be.
#[derive(Debug)]
struct Behind {
    sink: StatsSink,
    read: Arc<AtomicU64>,
    waited: bool,
}

impl Behind {
    fn new(read: &Arc<AtomicU64>) -> Self {
        Self { sink: StatsSink::new(), read: Arc::clone(read), waited: false }
    }

    /// Should it go on too early, it has only seen less than the worst.
    fn wait(&mut self) {
        let (mut seen, mut unchanged) = (u64::MAX, 0);
        while !self.waited && unchanged < 100_000 {
            let now = self.read.load(Ordering::Relaxed);
            unchanged = if now == seen { unchanged + 1 } else { 0 };
            seen = now;
            thread::yield_now();
        }
        self.waited = true;
    }
}

impl Sink for Behind {
    fn begin_source(&mut self, source: SourceId, name: &str) -> Result<(), SinkError> {
        self.sink.begin_source(source, name)
    }

    fn commit(&mut self, batch: &mut Batch, offload: &dyn Offload) -> Result<(), SinkError> {
        self.wait();
        self.sink.commit(batch, offload)
    }

    fn commit_long(&mut self, line: &mut LongLine, offload: &dyn Offload) -> Result<(), SinkError> {
        self.sink.commit_long(line, offload)
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        self.sink.abandon_source()
    }
}

fn repeated(
    make: impl Fn(&mut dyn Write) -> io::Result<()>,
    times: usize,
    read: &Arc<AtomicU64>,
) -> Vec<Entry> {
    let mut bytes = Vec::new();
    make(&mut bytes).expect("into memory");
    let origin = Repeated { bytes: bytes.into(), times, read: Arc::clone(read) };
    vec![Entry::named(origin)]
}

#[test]
fn chunks_do_not_pile_up_behind_a_slow_sink() {
    let _alone = alone();
    let flow = options(16, Encoding::plain());
    let read = Arc::default();
    let sources = repeated(export(8 * MIB), 16, &read);
    let (peak, outcome) = peak_of(|| drive(sources, &mut Behind::new(&read), &flow));
    within("behind", 16, Codec::None, peak, &flow.memory);
    assert!(peak > flow.memory.heart_bytes / 4, "{peak} bytes: the sink was not behind");
    assert!(outcome.totals.ledger.bytes.read >= 128 * MIB);
}

/// What decoding ahead takes fits beside chunks that hold all they may.
#[test]
fn members_do_not_pile_up_behind_a_slow_sink() {
    let _alone = alone();
    for of_each in [60_000, 1 << 20] {
        let flow = options(16, Encoding::plain());
        let read = Arc::default();
        let sources = repeated(gzip_members(8 * MIB, of_each), 16, &read);
        let (peak, outcome) = peak_of(|| drive(sources, &mut Behind::new(&read), &flow));
        within("members behind", 16, Codec::None, peak, &flow.memory);
        assert!(peak > flow.memory.heart_bytes / 4, "{peak} bytes: the sink was not behind");
        assert!(outcome.totals.ledger.bytes.read >= 128 * MIB);
    }
}

#[test]
fn long_lines_do_not_pile_up_behind_a_slow_sink() {
    let _alone = alone();
    let flow = options(8, Encoding::plain());
    let read = Arc::default();
    let sources = repeated(long_lines(1, 15), 20, &read);
    let (peak, outcome) = peak_of(|| drive(sources, &mut Behind::new(&read), &flow));
    within("behind", 8, Codec::None, peak.saturating_sub(RESERVED_BYTES), &flow.memory);
    assert_eq!(outcome.totals.ledger.records.delivered, 20);
}

/// What chunks leave behind for reuse must make room for the decoder of the next source. The window itself is not counted
/// here, so what is counted must leave it free.
#[test]
fn a_wide_window_behind_many_chunks() {
    const WINDOW_BYTES: u64 = 64 * MIB;
    let _alone = alone();
    let flow = options_within(2 * CEILING_BYTES, 32, Encoding::plain());
    let read = Arc::default();
    let sources =
        repeated(export(8 * MIB), 16, &read).into_iter().chain(made(zstd_with_window(24 * MIB, 26)));
    let before = HEAP.current_usage();
    let mut on_event = |event: Event<'_>| {
        if matches!(event, Event::SourceBegun { .. }) {
            HEAP.reset_peak_usage();
        }
    };
    let mut sink = Behind::new(&read);
    let outcome = run(sources, &Router::default(), &mut sink, &flow, &Cancel::new(), &mut on_event);
    let peak = HEAP.peak_usage().saturating_sub(before) as u64;
    assert_eq!(outcome.expect("a run to its end").failed_sources, 0);
    within("64 MiB window behind chunks", 32, Codec::None, peak + WINDOW_BYTES, &flow.memory);
}
