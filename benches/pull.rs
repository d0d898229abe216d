//! What it costs to pull resources instead of pushing them: the same counts over the same export, by a sink and by the caller.

use std::fs::File;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use fhirline::sample::Sample;
use fhirline::sink::{Batch, LongLine, Offload, Sink, SinkError, SourceId, resources};
use fhirline::{Job, SinkJob};

/// Adds lengths up.
#[derive(Default)]
struct Lengths(u64);

impl Sink for Lengths {
    fn begin_source(&mut self, _: SourceId, _: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _: &dyn Offload) -> Result<(), SinkError> {
        self.0 += resources(batch).map(|resource| resource.length()).sum::<u64>();
        Ok(())
    }

    fn commit_long(&mut self, line: &mut LongLine, _: &dyn Offload) -> Result<(), SinkError> {
        self.0 += line.delivered().map_or(0, |(_, reader)| reader.bytes_left());
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

fn pull(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("export.jsonl");
    let mut file = File::create(&path).expect("a file");
    Sample::new(3).target_bytes(256 << 20).write_to(&mut file).expect("room");
    let job = || Job::new([&path]).expect("a source");

    let mut group = criterion.benchmark_group("256 MiB, two threads");
    group.throughput(Throughput::Bytes(file.metadata().expect("there").len()));
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("pushed into a sink", |bencher| {
        bencher.iter(|| {
            let mut lengths = Lengths::default();
            job().threads(2).write_to(&mut lengths, &SinkJob::new(), &mut |_| {}).expect("sound");
            black_box(lengths.0)
        });
    });
    group.bench_function("pulled in batches", |bencher| {
        bencher.iter(|| {
            let batches = job().threads(2).batches().expect("enough memory");
            let length = |batch: fhirline::PulledBatch| {
                batch.resources().map(|resource| resource.length()).sum::<u64>()
            };
            black_box(batches.map(|batch| length(batch.expect("sound"))).sum::<u64>())
        });
    });
    group.finish();
}

criterion_group!(benches, pull);
criterion_main!(benches);
