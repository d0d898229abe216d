//! Writes a synthetic export: `make_sample BYTES OUT [--seed N] [--broken] [--binary BYTES] [--grouped]`.
//!
//! `OUT` may be `-` for standard output. What was written is said on standard error.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};

use fhirline::sample::Sample;

const USAGE: &str = "usage: make_sample BYTES OUT [--seed N] [--broken] [--binary BYTES] [--grouped]";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(bytes), Some(out)) = (args.next(), args.next()) else { return Err(USAGE.into()) };
    let (mut seed, mut binary, mut broken, mut grouped) = (1, 0, false, false);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seed" => seed = args.next().ok_or(USAGE)?.parse()?,
            "--binary" => binary = args.next().ok_or(USAGE)?.parse()?,
            "--broken" => broken = true,
            "--grouped" => grouped = true,
            _ => return Err(USAGE.into()),
        }
    }
    let sample = Sample::new(seed)
        .target_bytes(bytes.parse()?)
        .binary_bytes(binary)
        .broken_lines(broken)
        .grouped(grouped);
    let counts = match out.as_str() {
        "-" => sample.write_to(&mut io::stdout().lock())?,
        path => sample.write_to(&mut File::create(path)?)?,
    };
    writeln!(
        io::stderr(),
        "{} bytes, {} resources of {} types, {} broken lines, seed {seed}",
        counts.bytes,
        counts.resources,
        counts.by_type.len(),
        counts.broken
    )?;
    Ok(())
}
