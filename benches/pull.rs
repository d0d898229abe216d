//! What it costs to pull resources instead of pushing them: the lengths of the same export, added up by a sink and by the caller.
//!
//! `cargo bench --bench pull [-- ROUNDS]`. Both take turns, and each round gives a ratio: the machine's own speed changes by more, from one
//! minute to the next, than the two differ.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use fhirline::sample::Sample;
use fhirline::sink::{Batch, LongLine, Offload, Sink, SinkError, SourceId, resources};
use fhirline::{Job, PulledBatch, SinkJob};
use rustix::time::{ClockId, clock_gettime};

const BYTES: u64 = 256 << 20;

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

/// What one run took.
struct Took {
    wall: Duration,
    cpu: Duration,
}

fn main() {
    // `cargo bench` gives a word of its own.
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(21);
    let folder = tempfile::tempdir().expect("a folder");
    let export = folder.path().join("export.jsonl");
    let mut file = File::create(&export).expect("a file");
    Sample::new(3).target_bytes(BYTES).write_to(&mut file).expect("room");
    for threads in [1, 2, 4] {
        compare(&export, threads, rounds);
    }
}

fn compare(export: &Path, threads: usize, rounds: usize) {
    let expected = pushed(export, threads);
    assert_eq!(pulled(export, threads), expected, "the same resources");
    let (mut push, mut pull) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Who begins changes, lest one always finds the caches of the other.
        if round % 2 == 0 {
            push.push(timed(|| pushed(export, threads)));
            pull.push(timed(|| pulled(export, threads)));
        } else {
            pull.push(timed(|| pulled(export, threads)));
            push.push(timed(|| pushed(export, threads)));
        }
    }
    let mut wall = ratios(&push, &pull, |took| took.wall);
    let mut cpu = ratios(&push, &pull, |took| took.cpu);
    let mut pushed: Vec<_> = push.iter().map(|took| took.wall.as_secs_f64() * 1000.0).collect();
    println!(
        "{threads} threads, 256 MiB, {rounds} rounds: pushed in {:.0} ms; pulled takes {:.3} times as long (middle half {:.3} to {:.3}) and {:.3} times the processor's time",
        quantile(&mut pushed, 0.5),
        quantile(&mut wall, 0.5),
        quantile(&mut wall, 0.25),
        quantile(&mut wall, 0.75),
        quantile(&mut cpu, 0.5),
    );
}

fn job(export: &Path, threads: usize) -> Job {
    Job::new([export]).expect("a source").threads(threads)
}

fn pushed(export: &Path, threads: usize) -> u64 {
    let mut lengths = Lengths::default();
    job(export, threads).write_to(&mut lengths, &SinkJob::new(), &mut |_| {}).expect("sound");
    lengths.0
}

fn pulled(export: &Path, threads: usize) -> u64 {
    let batches = job(export, threads).batches().expect("enough memory");
    let length = |batch: PulledBatch| batch.resources().map(|resource| resource.length()).sum::<u64>();
    batches.map(|batch| length(batch.expect("sound"))).sum()
}

fn timed(run: impl FnOnce() -> u64) -> Took {
    let (began, cpu) = (Instant::now(), cpu_time());
    run();
    Took { wall: began.elapsed(), cpu: cpu_time() - cpu }
}

/// What all threads of this process took of the processor until now.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("after the beginning")
}

/// How many times as long each pull took as the push of its round.
fn ratios(push: &[Took], pull: &[Took], of: fn(&Took) -> Duration) -> Vec<f64> {
    push.iter().zip(pull).map(|(push, pull)| of(pull).as_secs_f64() / of(push).as_secs_f64()).collect()
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}
