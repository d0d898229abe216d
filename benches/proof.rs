//! The proof of JSON and UTF-8 with the envelope, line by line: our own walk, and the candidates it was chosen from.
//!
//! All do the same job: prove the whole record, find `resourceType` and `id` at its top level. See
//! `docs/decisions/0002-proof-of-json.md`.

use std::borrow::Cow;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fhirline_parse::{Proof, envelope};
use serde_json::value::RawValue;
use simd_json::prelude::*;

const INPUT_BYTES: usize = 4 << 20;

fn benches(criterion: &mut Criterion) {
    let lines = make_lines();
    let bytes: usize = lines.iter().map(String::len).sum();
    let mut group = criterion.benchmark_group("proof");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("walk", |b| b.iter(|| each(&lines, |line| walk(line, Proof::Full))));
    group.bench_function("walk, trusted", |b| b.iter(|| each(&lines, |line| walk(line, Proof::Trusted))));
    group.bench_function("serde_json RawValue, then a header", |b| b.iter(|| each(&lines, raw_value)));
    group.bench_function("serde_json header", |b| b.iter(|| each(&lines, header)));
    group.bench_function("simd-json tape", |b| {
        let (mut copy, mut buffers) = (Vec::new(), simd_json::Buffers::default());
        b.iter(|| each(&lines, |line| tape(line, &mut copy, &mut buffers)));
    });
    group.finish();
}

/// Sums what `measure` finds in each line, so that nothing is optimised away.
fn each(lines: &[String], mut measure: impl FnMut(&[u8]) -> usize) -> usize {
    lines.iter().map(|line| measure(black_box(line.as_bytes()))).sum()
}

fn walk(line: &[u8], proof: Proof) -> usize {
    let found = envelope(line, proof).expect("well-formed");
    found.resource_type.len() + usize::from(found.id.is_some())
}

#[derive(serde::Deserialize)]
struct Header<'l> {
    #[serde(borrow, rename = "resourceType")]
    resource_type: Cow<'l, str>,
    #[serde(borrow)]
    id: Option<Cow<'l, str>>,
}

fn raw_value(line: &[u8]) -> usize {
    let raw: &RawValue = serde_json::from_slice(line).expect("well-formed");
    let found: Header<'_> = serde_json::from_str(raw.get()).expect("a header");
    found.resource_type.len() + usize::from(found.id.is_some())
}

fn header(line: &[u8]) -> usize {
    // From a slice, serde_json would not look at the bytes of skipped strings.
    let text = str::from_utf8(line).expect("UTF-8");
    let found: Header<'_> = serde_json::from_str(text).expect("a header");
    found.resource_type.len() + usize::from(found.id.is_some())
}

fn tape(line: &[u8], copy: &mut Vec<u8>, buffers: &mut simd_json::Buffers) -> usize {
    // It writes into its input, and a record must come out as it was.
    copy.clear();
    copy.extend_from_slice(line);
    let tape = simd_json::to_tape_with_buffers(copy, buffers).expect("well-formed");
    let object = tape.as_value().as_object().expect("an object");
    let (mut resource_type, mut id) = (0, false);
    for (key, value) in &object {
        match key {
            "resourceType" => resource_type = value.as_str().map_or(0, str::len),
            "id" => id = value.as_str().is_some(),
            _ => {}
        }
    }
    resource_type + usize::from(id)
}

/// A small generator of numbers (splitmix64): the same lines in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        let (a, b, c) = (high >> 32, high >> 16 & 0xFFFF, high & 0xFFFF);
        format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xFFFF_FFFF_FFFF)
    }

    fn date(&mut self) -> String {
        let (month, day, minute) = (1 + self.below(12), 1 + self.below(28), self.below(60));
        format!("{}-{month:02}-{day:02}T{:02}:{minute:02}:00-04:00", 1960 + self.below(66), self.below(24))
    }

    fn words(&mut self, count: u64) -> String {
        const WORDS: [&str; 8] =
            ["serum", "plasma", "of", "Blood", "by", "Automated", "count", "(procedure)"];
        let words: Vec<_> = (0..count)
            .map(|_| match self.below(200) {
                0 => "né",
                1 => "\\\"left\\\"",
                other => WORDS[other as usize % WORDS.len()],
            })
            .collect();
        words.join(" ")
    }
}

fn make_lines() -> Vec<String> {
    let mut random = Random(1);
    let mut lines = Vec::new();
    let mut bytes = 0;
    while bytes < INPUT_BYTES {
        let line = match random.below(16) {
            0 => document(&mut random),
            1..=4 => claim(&mut random),
            5..=7 => encounter(&mut random),
            _ => observation(&mut random),
        };
        bytes += line.len();
        lines.push(line);
    }
    lines
}

fn coding(random: &mut Random) -> String {
    let (code, count) = (random.below(1_000_000), 1 + random.below(6));
    let display = random.words(count);
    format!(
        r#"{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"{display}"}}],"text":"{display}"}}"#
    )
}

/// The keys that matter come late, as they do in exports.
fn observation(random: &mut Random) -> String {
    let (code, date, id, patient) = (coding(random), random.date(), random.uuid(), random.uuid());
    let value = random.below(100_000) as f64 / 100.0;
    format!(
        r#"{{"category":[{}],"code":{code},"effectiveDateTime":"{date}","id":"{id}","resourceType":"Observation","status":"final","subject":{{"reference":"Patient/{patient}"}},"valueQuantity":{{"value":{value},"unit":"mg/dL"}}}}"#,
        coding(random)
    )
}

fn encounter(random: &mut Random) -> String {
    let (kind, start, end, id, patient) =
        (coding(random), random.date(), random.date(), random.uuid(), random.uuid());
    format!(
        r#"{{"resourceType":"Encounter","id":"{id}","meta":{{"lastUpdated":"{start}"}},"status":"finished","type":[{kind}],"subject":{{"reference":"Patient/{patient}"}},"period":{{"start":"{start}","end":"{end}"}}}}"#
    )
}

fn claim(random: &mut Random) -> String {
    let id = random.uuid();
    let items: Vec<_> = (0..random.below(12))
        .map(|sequence| {
            let (cents, product) = (random.below(1_000_000), coding(random));
            let (whole, part) = (cents / 100, cents % 100);
            format!(
                r#"{{"sequence":{sequence},"productOrService":{product},"net":{{"value":{whole}.{part:02},"currency":"USD"}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"contained":[{{"resourceType":"Coverage","id":"c1"}}],"id":"{id}","item":[{}],"resourceType":"Claim"}}"#,
        items.join(",")
    )
}

fn document(random: &mut Random) -> String {
    let (id, text) = (random.uuid(), random.words(30));
    let data: String = (0..1 + random.below(250)).map(|_| format!("{:016x}", random.next())).collect();
    format!(
        r#"{{"content":[{{"attachment":{{"contentType":"text/plain","data":"{data}=="}}}}],"id":"{id}","resourceType":"DocumentReference","text":{{"div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">{text}\n</div>"}}}}"#
    )
}

criterion_group!(proof, benches);
criterion_main!(proof);
