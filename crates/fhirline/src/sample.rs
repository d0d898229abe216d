//! Synthetic FHIR R4 exports of our own making, for the demo, the tests and the benches.
//!
//! A sample is shaped like the exports that vendors deliver: all types in one file, most lines Observations, a good
//! half of the lines not beginning with `resourceType`, contained resources and datatypes with a `resourceType` of
//! their own, ids of 88 characters, decimals whose zeros matter, every kind of escape, XHTML narratives, documents in
//! base64. The people, codes and sentences are invented and look it. The same options give the same bytes, on every
//! machine, and [`SampleCounts`] says exactly what was written, so that a test can check a run against it.
//!
//! ```
//! use fhirline::sample::Sample;
//!
//! let mut export = Vec::new();
//! let counts = Sample::new(7).target_bytes(64 << 10).write_to(&mut export)?;
//! assert_eq!(counts.bytes, export.len() as u64);
//! assert_eq!(counts.resources, counts.by_type.values().sum::<u64>());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Memory
//!
//! A buffer of some 100 KiB, whatever the size of the sample or of its largest line.

mod random;
mod shapes;
mod template;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::json;

use shapes::{SHAPES, Shape};
use template::{Filler, Template};

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 64 << 10;
/// Bytes of sample a patient.
const PATIENT_BYTES: u64 = 512 << 10;

/// A recipe for a synthetic export.
#[derive(Debug, Clone)]
pub struct Sample {
    seed: u64,
    target_bytes: u64,
    binary_bytes: u64,
    broken_lines: bool,
    grouped: bool,
    declare_broken: bool,
}

/// What a sample holds, exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SampleCounts {
    /// Lines, each ended by LF: resources, broken lines and blank ones.
    pub lines: u64,
    /// Good resources.
    pub resources: u64,
    /// Bytes altogether.
    pub bytes: u64,
    /// Bytes of the good resources, without line ends.
    pub resource_bytes: u64,
    /// Good resources by the text of their `resourceType`, which may be one that does not look like a type.
    pub by_type: BTreeMap<String, u64>,
    /// Lines that are not a resource.
    pub broken: u64,
    /// Those lines, in order.
    pub broken_lines: Vec<BrokenLine>,
    /// Resources that the broken lines would have been, by type.
    pub meant_by_type: BTreeMap<String, u64>,
    /// Empty lines.
    pub blank: u64,
    /// Good resources whose line ends with CR LF.
    pub crlf: u64,
}

/// One broken line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokenLine {
    /// What is wrong with it.
    pub kind: Broken,
    /// Number of the line, from 1.
    pub line: u64,
    /// Offset of its first byte.
    pub offset: u64,
    /// Its length without the LF.
    pub bytes: u64,
}

/// The ways in which a line of the sample may be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Broken {
    /// It ends in the middle of the object.
    CutOff,
    /// Two objects stand on it.
    TwoValues,
    /// A comma follows the object.
    TrailingComma,
    /// A string is not UTF-8.
    InvalidUtf8,
    /// The object has no `resourceType`, only a contained one has.
    NoType,
    /// `resourceType` is a number.
    NumberType,
    /// A string holds a raw tab.
    RawTab,
    /// It is a line of a log.
    LogLine,
}

impl Broken {
    /// The type that the line would have had.
    fn meant(self) -> Option<&'static str> {
        match self {
            Self::CutOff | Self::InvalidUtf8 => Some("Observation"),
            Self::TwoValues => Some("Condition"),
            Self::TrailingComma => Some("Encounter"),
            Self::RawTab => Some("DocumentReference"),
            Self::NoType | Self::NumberType | Self::LogLine => None,
        }
    }
}

impl Sample {
    /// A sample of 1 MiB of good lines in mixed order.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            target_bytes: 1 << 20,
            binary_bytes: 0,
            broken_lines: false,
            grouped: false,
            declare_broken: false,
        }
    }

    /// The size to stop at. The sample ends with the line that reaches it, so it is longer by less than a line; but it
    /// holds each shape of line once (some 40 KiB), and the large `Binary` if there is one, whatever the target says.
    #[must_use]
    pub fn target_bytes(mut self, bytes: u64) -> Self {
        self.target_bytes = bytes;
        self
    }

    /// Adds, half way through, one `Binary` with about that many characters of base64, its `resourceType` behind them.
    #[must_use]
    pub fn binary_bytes(mut self, bytes: u64) -> Self {
        self.binary_bytes = bytes;
        self
    }

    /// Adds one broken line of each kind of [`Broken`], an empty line, one with CR LF, and a legal resource with a type
    /// (`x-custom/thing`) that no file could be named after. The first line stays good.
    #[must_use]
    pub fn broken_lines(mut self, yes: bool) -> Self {
        self.broken_lines = yes;
        self
    }

    /// Writes the lines grouped by type, the types in alphabetical order, rather than mixed.
    #[must_use]
    pub fn grouped(mut self, yes: bool) -> Self {
        self.grouped = yes;
        self
    }

    /// Makes [`event`](Self::event) declare the resources that broken lines were meant to be, as a sender would that
    /// knows nothing of the damage. Otherwise it declares what is good, and the counts agree.
    #[must_use]
    pub fn declare_broken(mut self, yes: bool) -> Self {
        self.declare_broken = yes;
        self
    }

    /// Writes the sample.
    ///
    /// # Errors
    ///
    /// Whatever `out` fails with.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<SampleCounts> {
        let mut run = Run::new(self, out);
        for (shapes, end) in self.sections() {
            run.section(&shapes, end)?;
        }
        run.finish()
    }

    /// The webhook event that would announce this sample: Fasten Connect's `patient.ehi_export_success` in its
    /// documented envelope, in test mode, with one download link.
    ///
    /// Ids and date follow from the seed, so the same sample has the same event.
    #[must_use]
    pub fn event(&self, counts: &SampleCounts, download_url: &str) -> String {
        let mut filler = Filler::new(!self.seed, 1);
        let mut id = || filled(&mut filler, "~u");
        let (event, connection, task, organization) = (id(), id(), id().replace('-', ""), id());
        let declared = self.declared(counts);
        json!({
            "api_mode": "test",
            "date": "2026-01-15T08:30:00Z",
            "id": event,
            "type": "patient.ehi_export_success",
            "data": {
                "download_links": [{
                    "url": download_url,
                    "export_type": "jsonl",
                    "content_type": "application/fhir+ndjson",
                }],
                "org_connection_id": connection,
                "org_id": organization,
                "task_id": task,
                "stats": {
                    "total_resources": declared.values().sum::<u64>(),
                    "total_by_resource_type": declared,
                },
            },
        })
        .to_string()
    }

    fn declared(&self, counts: &SampleCounts) -> BTreeMap<String, u64> {
        let mut declared = counts.by_type.clone();
        if self.declare_broken {
            for (name, n) in &counts.meant_by_type {
                *declared.entry(name.clone()).or_default() += n;
            }
        }
        declared
    }

    /// Bytes of ordinary lines.
    fn plain_bytes(&self) -> u64 {
        self.target_bytes.saturating_sub(self.binary_bytes)
    }

    /// The shapes of each section, and the share of the plain bytes at which it ends.
    fn sections(&self) -> Vec<(Vec<usize>, u64)> {
        if !self.grouped {
            return vec![((0..SHAPES.len()).collect(), self.plain_bytes())];
        }
        let total = u64::from(SHAPES.iter().map(|shape| shape.weight).sum::<u32>());
        let (mut first, mut weight, mut sections) = (0, 0, Vec::new());
        for group in SHAPES.chunk_by(|a, b| a.type_name == b.type_name) {
            weight += u64::from(group.iter().map(|shape| shape.weight).sum::<u32>());
            let end = u128::from(self.plain_bytes()) * u128::from(weight) / u128::from(total);
            sections.push(((first..first + group.len()).collect(), end as u64));
            first += group.len();
        }
        sections
    }

    /// What stands between the ordinary lines, and after how many percent of them.
    fn extras(&self) -> Vec<(u64, Extra)> {
        let mut extras = Vec::new();
        if self.binary_bytes > 0 {
            extras.push((50, Extra::LargeBinary));
        }
        if self.broken_lines {
            extras.extend([(15, Extra::Blank), (25, Extra::CrLf), (60, Extra::OddType)]);
            extras.extend(BROKEN.map(|(percent, kind)| (percent, Extra::Broken(kind))));
        }
        extras.sort_by_key(|(percent, _)| *percent);
        extras
    }
}

const BROKEN: [(u64, Broken); 8] = [
    (10, Broken::CutOff),
    (20, Broken::TwoValues),
    (35, Broken::TrailingComma),
    (45, Broken::InvalidUtf8),
    (55, Broken::NoType),
    (70, Broken::NumberType),
    (80, Broken::RawTab),
    (90, Broken::LogLine),
];

#[derive(Clone, Copy)]
enum Extra {
    Blank,
    CrLf,
    OddType,
    LargeBinary,
    Broken(Broken),
}

/// One sample while it is written.
struct Run<'a> {
    sample: &'a Sample,
    out: &'a mut dyn Write,
    /// Lines not yet written, and where the line at hand begins in them.
    buffer: Vec<u8>,
    start: usize,
    templates: Vec<Template>,
    filler: Filler,
    /// Good lines of each shape.
    tally: Vec<u64>,
    /// What is still to stand between the ordinary lines, last first.
    extras: Vec<(u64, Extra)>,
    /// Bytes of the large `Binary` line.
    large: u64,
    counts: SampleCounts,
}

impl<'a> Run<'a> {
    fn new(sample: &'a Sample, out: &'a mut dyn Write) -> Self {
        let patients = 1 + sample.target_bytes / PATIENT_BYTES;
        let mut extras = sample.extras();
        extras.reverse();
        Self {
            sample,
            out,
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
            start: 0,
            templates: SHAPES.iter().map(|shape| Template::new(shape.text)).collect(),
            filler: Filler::new(sample.seed, u32::try_from(patients).unwrap_or(u32::MAX)),
            tally: vec![0; SHAPES.len()],
            extras,
            large: 0,
            counts: SampleCounts::default(),
        }
    }

    /// Each of the shapes once, then by weight until the ordinary lines reach `end` bytes.
    fn section(&mut self, shapes: &[usize], end: u64) -> io::Result<()> {
        for &shape in shapes {
            self.good_line(shape)?;
        }
        let lots = lots(shapes);
        while self.counts.bytes - self.large < end {
            let lot = self.filler.rng.below(lots.len() as u32);
            self.good_line(lots[lot as usize])?;
        }
        Ok(())
    }

    fn good_line(&mut self, shape: usize) -> io::Result<()> {
        self.templates[shape].fill(&mut self.filler, &mut self.buffer);
        self.tally[shape] += 1;
        self.end_resource(b"\n")?;
        let done = (self.counts.bytes - self.large).saturating_mul(100);
        while let Some((percent, extra)) = self.extras.last().copied() {
            if done < percent * self.sample.plain_bytes() {
                break;
            }
            self.extras.pop();
            self.extra(extra)?;
        }
        Ok(())
    }

    fn extra(&mut self, extra: Extra) -> io::Result<()> {
        match extra {
            Extra::Blank => {
                self.counts.blank += 1;
                self.end_line(b"\n")
            }
            Extra::CrLf => {
                self.fill_first("Observation");
                *self.counts.by_type.entry("Observation".to_owned()).or_default() += 1;
                self.counts.crlf += 1;
                self.end_resource(b"\r\n")
            }
            Extra::OddType => {
                self.fill_text(shapes::ODD);
                *self.counts.by_type.entry(shapes::ODD_TYPE.to_owned()).or_default() += 1;
                self.end_resource(b"\n")
            }
            Extra::LargeBinary => self.large_binary(),
            Extra::Broken(kind) => self.broken_line(kind),
        }
    }

    /// Streams one `Binary`, so that its size costs no memory.
    fn large_binary(&mut self) -> io::Result<()> {
        let before = self.counts.bytes;
        self.buffer.extend_from_slice(br#"{"contentType":"application/dicom","data":""#);
        let mut left = self.sample.binary_bytes.next_multiple_of(4);
        while left > 0 {
            let piece = left.min(BUFFER_BYTES as u64);
            self.filler.base64(piece as usize, &mut self.buffer);
            left -= piece;
            self.spill()?;
        }
        self.fill_text(r#"","id":"~l","meta":{"lastUpdated":"~T"},"resourceType":"Binary"}"#);
        *self.counts.by_type.entry("Binary".to_owned()).or_default() += 1;
        self.counts.resource_bytes += self.counts.bytes - before;
        self.end_resource(b"\n")?;
        self.large = self.counts.bytes - before;
        Ok(())
    }

    /// Writes the beginning of a line whose rest is yet to come.
    fn spill(&mut self) -> io::Result<()> {
        self.counts.bytes += (self.buffer.len() - self.start) as u64;
        self.flush()
    }

    fn broken_line(&mut self, kind: Broken) -> io::Result<()> {
        match kind.meant() {
            Some(name) => self.fill_first(name),
            None => self.fill_text(untyped(kind)),
        }
        damage(kind, self.start, &mut self.buffer);
        if let Some(name) = kind.meant() {
            let n = if kind == Broken::TwoValues { 2 } else { 1 };
            *self.counts.meant_by_type.entry(name.to_owned()).or_default() += n;
        }
        self.counts.broken += 1;
        self.counts.broken_lines.push(BrokenLine {
            kind,
            line: self.counts.lines + 1,
            offset: self.counts.bytes,
            bytes: (self.buffer.len() - self.start) as u64,
        });
        self.end_line(b"\n")
    }

    /// Fills the first shape of a type.
    fn fill_first(&mut self, type_name: &str) {
        if let Some(shape) = SHAPES.iter().position(|shape| shape.type_name == type_name) {
            self.templates[shape].fill(&mut self.filler, &mut self.buffer);
        }
    }

    fn fill_text(&mut self, text: &str) {
        Template::new(text).fill(&mut self.filler, &mut self.buffer);
    }

    fn end_resource(&mut self, end: &[u8]) -> io::Result<()> {
        self.counts.resources += 1;
        self.counts.resource_bytes += (self.buffer.len() - self.start) as u64;
        self.end_line(end)
    }

    fn end_line(&mut self, end: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(end);
        self.counts.lines += 1;
        self.counts.bytes += (self.buffer.len() - self.start) as u64;
        self.start = self.buffer.len();
        if self.start < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.start = 0;
        Ok(())
    }

    fn finish(mut self) -> io::Result<SampleCounts> {
        while let Some((_, extra)) = self.extras.pop() {
            self.extra(extra)?;
        }
        self.flush()?;
        self.out.flush()?;
        for (Shape { type_name, .. }, n) in SHAPES.iter().zip(&self.tally) {
            *self.counts.by_type.entry((*type_name).to_owned()).or_default() += n;
        }
        Ok(self.counts)
    }
}

/// Each shape as many times as its weight says, to draw from.
fn lots(shapes: &[usize]) -> Vec<usize> {
    shapes.iter().flat_map(|&shape| std::iter::repeat_n(shape, SHAPES[shape].weight as usize)).collect()
}

/// The text of a line that never had a type.
fn untyped(kind: Broken) -> &'static str {
    match kind {
        Broken::NoType => shapes::UNTYPED,
        Broken::NumberType => shapes::NUMBER_TYPE,
        _ => shapes::LOG_LINE,
    }
}

/// Breaks the good line that begins at `start`.
fn damage(kind: Broken, start: usize, line: &mut Vec<u8>) {
    match kind {
        Broken::CutOff => line.truncate(start + (line.len() - start) * 3 / 5),
        Broken::TwoValues => line.extend_from_within(start..),
        Broken::TrailingComma => line.push(b','),
        Broken::InvalidUtf8 => insert_in_text(b"\xC3(", start, line),
        Broken::RawTab => insert_in_text(b"\t", start, line),
        Broken::NoType | Broken::NumberType | Broken::LogLine => {}
    }
}

/// Inserts bytes at the beginning of the first string under the key `display`.
fn insert_in_text(bytes: &[u8], start: usize, line: &mut Vec<u8>) {
    const KEY: &[u8] = br#""display":""#;
    if let Some(at) = line[start..].windows(KEY.len()).position(|window| window == KEY) {
        let at = start + at + KEY.len();
        line.splice(at..at, bytes.iter().copied());
    }
}

/// One small text with its slots filled.
fn filled(filler: &mut Filler, text: &str) -> String {
    let mut out = Vec::new();
    Template::new(text).fill(filler, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
