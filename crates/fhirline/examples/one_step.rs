//! Does one step of the pipeline over a small export that is always the same, for `.ci/instructions` to count what it takes:
//! `one_step STEP`, or no argument for the names of all steps.
//!
//! Only what the function `counted` calls is counted; what a step needs is made before.

use std::error::Error;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use fhirline::sample::Sample;
use fhirline::{BundleJob, Job, SplitJob};
use fhirline_bundle::{Framer, Options};
use fhirline_core::{Batch, Chunk, Lease, Lines, SourceId, SourceRole};
use fhirline_decompress::{Decoder, Limits};
use fhirline_line_split::{Framed, LineSplitter};
use fhirline_parse::{Proof, envelope};
use fhirline_route::{Router, Scratch};

const EXPORT_BYTES: u64 = 2 << 20;
const READ_BYTES: usize = 128 << 10;

/// A step that is ready to be done.
type Step = Box<dyn FnOnce() -> Result<usize, Box<dyn Error>>>;

const STEPS: [&str; 9] =
    ["inflate", "lines", "prove", "route", "frame", "frame-late", "split", "split-pretty", "bundle"];

fn main() -> Result<(), Box<dyn Error>> {
    let Some(name) = std::env::args().nth(1) else {
        return Ok(writeln!(io::stdout(), "{}", STEPS.join("\n"))?);
    };
    let folder = tempfile::tempdir()?;
    let step = prepared(&name, folder.path().to_owned())?;
    black_box(counted(step)?);
    Ok(())
}

/// Its name is what the counting goes by.
#[inline(never)]
fn counted(step: Step) -> Result<usize, Box<dyn Error>> {
    black_box(step())
}

fn prepared(name: &str, folder: PathBuf) -> Result<Step, Box<dyn Error>> {
    let export = export()?;
    Ok(match name {
        "inflate" => {
            let stored = gzip(&export)?;
            Box::new(move || inflate(&stored))
        }
        "lines" => Box::new(move || Ok(lines_of(&export).len())),
        "prove" => {
            let lines: Vec<Vec<u8>> = export.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
            Box::new(move || Ok(lines.iter().filter(|line| envelope(line, Proof::Full).is_ok()).count()))
        }
        "route" => {
            let chunks = lines_of(&export);
            Box::new(move || Ok(route(chunks)))
        }
        "frame" => {
            let bundle = bundle_of(&export, true);
            Box::new(move || Ok(frame(&bundle)))
        }
        "frame-late" => {
            let bundle = bundle_of(&export, false);
            Box::new(move || Ok(frame(&bundle)))
        }
        "split" => split_of(folder, &export)?,
        "split-pretty" => split_of(folder, &pretty(&export)?)?,
        "bundle" => {
            let source = folder.join("export.ndjson");
            std::fs::write(&source, &export)?;
            Box::new(move || {
                let report =
                    Job::new([&source])?.threads(1).to(BundleJob::to(folder.join("bundle.json"))).run()?;
                Ok(report.exit_code.into())
            })
        }
        _ => return Err("no such step".into()),
    })
}

fn export() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Sample::new(7).target_bytes(EXPORT_BYTES).binary_bytes(64 << 10).write_to(&mut bytes)?;
    Ok(bytes)
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn inflate(stored: &[u8]) -> Result<usize, Box<dyn Error>> {
    let mut decoder = Decoder::new(stored, Limits::default())?;
    let (mut buffer, mut decoded) = (vec![0; READ_BYTES], 0);
    loop {
        match decoder.read(&mut buffer)? {
            0 => return Ok(decoded),
            read => decoded += read,
        }
    }
}

fn lines_of(export: &[u8]) -> Vec<Lines> {
    let (mut splitter, mut all) = (LineSplitter::new(SourceId(0), export.len()), Vec::new());
    for step in export.chunks(READ_BYTES) {
        splitter.space(READ_BYTES)[..step.len()].copy_from_slice(step);
        splitter.filled(step.len());
        drain(&mut splitter, &mut all);
    }
    splitter.finish();
    drain(&mut splitter, &mut all);
    all
}

fn drain(splitter: &mut LineSplitter, all: &mut Vec<Lines>) {
    while let Some(framed) = splitter.next() {
        if let Framed::Lines(lines) = framed {
            all.push(lines);
        }
    }
}

fn route(chunks: Vec<Lines>) -> usize {
    let (router, mut scratch, mut spare) = (Router::default(), Scratch::default(), Batch::default());
    let count = chunks.len();
    for (sequence, lines) in (0..).zip(chunks) {
        let lease = Lease::free_of_charge();
        let chunk = Chunk { sequence, role: SourceRole::Data, content: lines.into(), lease };
        spare = black_box(router.route(chunk, spare, &mut scratch).0);
    }
    count
}

/// The resources of the export as a Bundle on one line, which says what it is before its entries or behind them.
fn bundle_of(export: &[u8], says_first: bool) -> Vec<u8> {
    let says = r#""resourceType":"Bundle","type":"collection""#;
    let mut bundle =
        if says_first { format!("{{{says},\"entry\":[") } else { "{\"entry\":[".to_owned() }.into_bytes();
    for line in export.split(|&byte| byte == b'\n').filter(|line| envelope(line, Proof::Full).is_ok()) {
        bundle.extend_from_slice(b"{\"fullUrl\":\"urn:example:resource\",\"resource\":");
        bundle.extend_from_slice(line);
        bundle.extend_from_slice(b"},");
    }
    bundle.pop();
    bundle.extend_from_slice(if says_first { "]}".to_owned() } else { format!("],{says}}}") }.as_bytes());
    bundle
}

/// The same Bundle, a line for each member.
fn pretty(export: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let bundle: serde_json::Value = serde_json::from_slice(&bundle_of(export, true))?;
    Ok(serde_json::to_vec_pretty(&bundle)?)
}

/// How many things a framer hands out.
fn frame(bundle: &[u8]) -> usize {
    let (mut framer, mut found) = (Framer::new(SourceId(0), Options::default()), 0);
    for step in bundle.chunks(READ_BYTES) {
        framer.space(READ_BYTES)[..step.len()].copy_from_slice(step);
        framer.filled(step.len());
        while let Some(framed) = framer.next() {
            black_box(framed);
            found += 1;
        }
    }
    framer.finish();
    while framer.next().is_some() {
        found += 1;
    }
    found
}

/// The whole way of a file, on one worker.
fn split_of(folder: PathBuf, export: &[u8]) -> Result<Step, Box<dyn Error>> {
    let source = folder.join("export");
    std::fs::write(&source, export)?;
    Ok(Box::new(move || {
        let split = SplitJob::to(folder.join("out")).durable(false);
        Ok(Job::new([&source])?.threads(1).to(split).run()?.exit_code.into())
    }))
}
