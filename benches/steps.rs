//! What each step of the pipeline costs, in bytes a second: decompress, split, frame, parse, route, encode, and all of them together.

use std::fmt;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use fhirline::sample::Sample;
use fhirline_bundle::{Framed as Found, Framer, Options};
use fhirline_core::{
    Batch, Chunk, Identity, Lease, Lines, Origin, PARTIAL_SUFFIX, Partial, SourceId, SourceRole, Store,
};
use fhirline_decompress::{Decoder, Limits};
use fhirline_flow::{Cancel, Entry, FlowOptions, run};
use fhirline_line_split::{Framed, LineSplitter};
use fhirline_parse::{Proof, envelope};
use fhirline_route::{Router, Scratch};
use fhirline_sink::{Codec, Encoding, Inline, Sink, SplitOptions, SplitSink};

const INPUT_BYTES: u64 = 16 << 20;
const READ_BYTES: usize = 128 << 10;
const MAX_LINE_BYTES: usize = 16 << 20;

fn input() -> Vec<u8> {
    let mut bytes = Vec::new();
    let sample = Sample::new(7).target_bytes(INPUT_BYTES).binary_bytes(256 << 10);
    sample.write_to(&mut bytes).expect("into memory");
    bytes
}

fn split_lines(input: &[u8], splitter: &mut LineSplitter, mut each: impl FnMut(Lines) -> Option<Lines>) {
    splitter.restart(SourceId(0));
    for step in input.chunks(READ_BYTES) {
        splitter.space(READ_BYTES)[..step.len()].copy_from_slice(step);
        splitter.filled(step.len());
        drain(splitter, &mut each);
    }
    splitter.finish();
    drain(splitter, &mut each);
}

fn drain(splitter: &mut LineSplitter, each: &mut impl FnMut(Lines) -> Option<Lines>) {
    while let Some(framed) = splitter.next() {
        if let Framed::Lines(lines) = framed
            && let Some(lines) = each(lines)
        {
            splitter.recycle(lines);
        }
    }
}

fn chunks_of(input: &[u8]) -> Vec<Lines> {
    let mut all = Vec::new();
    split_lines(input, &mut LineSplitter::new(SourceId(0), MAX_LINE_BYTES), |lines| {
        all.push(lines);
        None
    });
    all
}

fn copy_of(lines: &Lines) -> Chunk {
    let lines = Lines { at: lines.at, bytes: lines.bytes.clone(), ends: lines.ends.clone() };
    Chunk { sequence: 0, role: SourceRole::Data, content: lines.into(), lease: Lease::free_of_charge() }
}

fn split(criterion: &mut Criterion) {
    let input = input();
    let mut group = criterion.benchmark_group("split");
    group.throughput(Throughput::Bytes(input.len() as u64));
    let mut splitter = LineSplitter::new(SourceId(0), MAX_LINE_BYTES);
    group.bench_function("lines", |bencher| {
        bencher.iter(|| split_lines(&input, &mut splitter, |lines| Some(black_box(lines))));
    });
    group.finish();
}

/// The export in gzip members of so many plain bytes.
fn gzip_members(plain_bytes: usize) -> Vec<u8> {
    let mut stored = Vec::new();
    for piece in input().chunks(plain_bytes) {
        let mut member = flate2::write::GzEncoder::new(&mut stored, flate2::Compression::default());
        member.write_all(piece).and_then(|()| member.finish()).expect("into memory");
    }
    stored
}

fn decode(stored: &[u8], limits: Limits, buffer: &mut [u8]) -> u64 {
    let mut decoder = Decoder::new(stored, limits).expect("what was made");
    while decoder.read(buffer).expect("sound") > 0 {}
    decoder.decoded_bytes()
}

/// The same members in their turn, and decoded ahead by two threads, of which one is that of whoever asks.
fn decompress(criterion: &mut Criterion) {
    let mut buffer = vec![0; READ_BYTES];
    let mut group = criterion.benchmark_group("decompress");
    group.throughput(Throughput::Bytes(input().len() as u64));
    group.sample_size(20);
    for (name, plain_bytes) in
        [("one member", usize::MAX), ("members of 1 MiB", 1 << 20), ("of 64 KiB", 64 << 10)]
    {
        let stored = gzip_members(plain_bytes);
        for threads in [0, 2] {
            let limits = Limits::default().with_ahead(threads, 12 << 20);
            group.bench_function(format!("gzip, {name}, {threads} ahead"), |bencher| {
                bencher.iter(|| decode(black_box(&stored), limits, &mut buffer));
            });
        }
    }
    let stored = zstd::bulk::compress(&input(), 3).expect("into memory");
    group.bench_function("zstd", |bencher| {
        bencher.iter(|| decode(black_box(&stored), Limits::default(), &mut buffer));
    });
    group.finish();
}

/// The resources of the export in one Bundle, whose type is known before or behind them.
fn bundle(head: &str, tail: &str) -> Vec<u8> {
    let input = input();
    let lines = input.split(|&byte| byte == b'\n').filter(|line| envelope(line, Proof::Full).is_ok());
    let mut bundle = head.as_bytes().to_vec();
    for line in lines {
        bundle.extend_from_slice(b"{\"fullUrl\":\"urn:x\",\"resource\":");
        bundle.extend_from_slice(line.trim_ascii());
        bundle.extend_from_slice(b"},");
    }
    bundle.pop();
    bundle.extend_from_slice(tail.as_bytes());
    bundle
}

/// How many things a framer hands out.
fn frame_all(input: &[u8]) -> usize {
    let mut framer = Framer::new(SourceId(0), Options::default());
    let mut found = 0;
    for step in input.chunks(READ_BYTES) {
        framer.space(READ_BYTES)[..step.len()].copy_from_slice(step);
        framer.filled(step.len());
        while let Some(framed) = framer.next() {
            found += usize::from(!matches!(black_box(framed), Found::Lines));
        }
    }
    framer.finish();
    while framer.next().is_some() {
        found += 1;
    }
    found
}

fn frame(criterion: &mut Criterion) {
    let known = bundle("{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[", "]}");
    let unknown = bundle("{\"entry\":[", "],\"resourceType\":\"Bundle\",\"type\":\"batch\"}");
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Bytes(known.len() as u64));
    for (name, bundle) in [("a Bundle", known), ("a Bundle, type last, first look", unknown)] {
        group.bench_function(name, |bencher| bencher.iter(|| frame_all(&bundle)));
    }
    group.finish();
}

fn parse(criterion: &mut Criterion) {
    let input = input();
    let lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(input.len() as u64));
    for (name, proof) in [("full", Proof::Full), ("trusted", Proof::Trusted)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| lines.iter().filter(|line| envelope(line, proof).is_ok()).count());
        });
    }
    group.finish();
}

fn route(criterion: &mut Criterion) {
    let input = input();
    let chunks = chunks_of(&input);
    let (router, mut scratch) = (Router::default(), Scratch::default());
    let mut spare = Some(Batch::default());
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Bytes(input.len() as u64));
    group.bench_function("by type", |bencher| {
        bencher.iter_batched(
            || chunks.iter().map(copy_of).collect::<Vec<_>>(),
            |chunks| {
                for chunk in chunks {
                    let (batch, _) = router.route(chunk, spare.take().unwrap_or_default(), &mut scratch);
                    spare = Some(black_box(batch));
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let input = input();
    let mut scratch = Scratch::default();
    let router = Router::default();
    let mut batches: Vec<Batch> = chunks_of(&input)
        .iter()
        .map(|lines| router.route(copy_of(lines), Batch::default(), &mut scratch).0)
        .collect();
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(input.len() as u64));
    group.sample_size(10);
    for (name, codec) in [("plain, crc32c", Codec::None), ("gzip 6", Codec::Gzip), ("zstd 3", Codec::Zstd)] {
        let options = SplitOptions {
            encoding: Encoding::new(codec, None).expect("usual level"),
            ..SplitOptions::default()
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut sink = SplitSink::new(Arc::new(Nowhere), options);
                batches.iter_mut().for_each(|batch| sink.commit(batch, &Inline).expect("nothing to fail"));
                sink.finish(&Inline).expect("nothing to fail").outputs().len()
            });
        });
    }
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    let input: Arc<[u8]> = input().into();
    let mut group = criterion.benchmark_group("whole");
    group.throughput(Throughput::Bytes(input.len() as u64));
    group.sample_size(20);
    for threads in [1, 2] {
        let options = FlowOptions { threads, ..FlowOptions::default() };
        group.bench_function(format!("split to nowhere, threads {threads}"), |bencher| {
            bencher.iter(|| {
                let mut sink = SplitSink::new(Arc::new(Nowhere), SplitOptions::default());
                let sources = [Entry::named(Memory(Arc::clone(&input)))];
                run(sources, &Router::default(), &mut sink, &options, &Cancel::new(), &mut |_| {})
                    .expect("sound")
            });
        });
    }
    group.finish();
}

/// A source in memory that is shared, not copied.
#[derive(Clone, Debug)]
struct Memory(Arc<[u8]>);

struct MemoryReader(Arc<[u8]>, usize);

impl Origin for Memory {
    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity {
            name: "memory".into(),
            stored_bytes: Some(self.0.len() as u64),
            modified: None,
            tag: None,
        })
    }

    fn name(&self) -> &str {
        "memory"
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(MemoryReader(Arc::clone(&self.0), offset as usize)))
    }
}

impl Read for MemoryReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = (&self.0[self.1..]).read(into)?;
        self.1 += count;
        Ok(count)
    }
}

/// A store that takes everything and keeps nothing: what is measured is the work before it.
#[derive(Debug)]
struct Nowhere;

struct NowhereFile(u64);

impl Store for Nowhere {
    fn name(&self) -> String {
        "nowhere".into()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        assert!(!name.ends_with(PARTIAL_SUFFIX), "a final name");
        Ok(Box::new(NowhereFile(0)))
    }

    fn resume(&self, _name: &str, _stored_bytes: u64) -> io::Result<Option<Box<dyn Partial>>> {
        Ok(None)
    }

    fn replace(&self, _name: &str, _bytes: &[u8], _durable: bool) -> io::Result<()> {
        Ok(())
    }

    fn put_if_absent(&self, _name: &str, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn get(&self, _name: &str, _max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn stored_bytes(&self, _name: &str) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Partial for NowhereFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0 += black_box(bytes).len() as u64;
        Ok(())
    }

    fn stored_bytes(&self) -> u64 {
        self.0
    }

    fn read_at(&mut self, _offset: u64, _into: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.0 = bytes;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn seal(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }

    fn discard(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for NowhereFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NowhereFile").field("bytes", &self.0).finish()
    }
}

criterion_group!(benches, decompress, split, frame, parse, route, encode, whole);
criterion_main!(benches);
