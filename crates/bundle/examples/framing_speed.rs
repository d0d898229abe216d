//! What framing costs: `cargo run --release -p fhirline-bundle --example framing_speed FILE...`.
//!
//! Each file is held in memory and framed as the engine does it, read by read; the best of nine runs counts.

use std::io::Write;
use std::time::Instant;

use fhirline_bundle::{Framed, Framer, Options};
use fhirline_core::SourceId;

const READ_BYTES: usize = 128 << 10;
const RUNS: u32 = 9;

fn main() -> std::io::Result<()> {
    for path in std::env::args().skip(1) {
        let input = std::fs::read(&path)?;
        let mut counts = Counts::default();
        let mut best = f64::MAX;
        for _ in 0..RUNS {
            let start = Instant::now();
            counts = frame(&input);
            best = best.min(start.elapsed().as_secs_f64());
        }
        let a_gigabyte = best * 1e9 / input.len() as f64;
        let name = path.rsplit('/').next().unwrap_or_default();
        writeln!(std::io::stdout(), "{a_gigabyte:.2} s/GB  {name}: {counts:?}")?;
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Counts {
    parts: u64,
    proven: u64,
    pieces: u64,
}

fn frame(input: &[u8]) -> Counts {
    let mut framer = Framer::new(SourceId(0), Options::default());
    let mut counts = Counts::default();
    for step in input.chunks(READ_BYTES) {
        framer.space(READ_BYTES)[..step.len()].copy_from_slice(step);
        framer.filled(step.len());
        drain(&mut framer, &mut counts);
    }
    framer.finish();
    drain(&mut framer, &mut counts);
    counts
}

fn drain(framer: &mut Framer, counts: &mut Counts) {
    while let Some(framed) = framer.next() {
        match framed {
            Framed::Part(part) => {
                counts.parts += 1;
                counts.proven += u64::from(part.proven);
            }
            Framed::Piece(_) => counts.pieces += 1,
            _ => {}
        }
    }
}
