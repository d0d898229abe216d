//! The whole way from bytes to files: every byte is accounted for, neither threads nor cuts change anything, and the files
//! are those of the slow reader, which does the same job by other code.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use fhirline_core::{ByteTally, Identity, Origin, Receipt, ResourceType, Store};
use fhirline_fetch::{BytesOrigin, MemoryStore};
use fhirline_flow::{Cancel, Entry, Event, FlowOptions, SourceError, Totals, run};
use fhirline_line_split::ChunkSize;
use fhirline_route::{Router, Selection};
use fhirline_sink::{Codec, Encoding, Inline, OUTCOME_NAME, SplitOptions, SplitSink};

use super::choices::Choices;
use super::slow_reader::SlowReader;

pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let setting = Setting::choose(&mut choices);
    let cuts = choices.cuts();
    let storage = Storage::choose(&mut choices);
    let place = usize::from(choices.byte()) << 4 | usize::from(choices.byte() & 15);
    let texts = match choices.rest() {
        text if place > 0 && place < text.len() => vec![&text[..place], &text[place..]],
        text => vec![text],
    };
    let stored: Vec<Vec<u8>> = texts.iter().map(|text| storage.of(text)).collect();

    let one = setting.run(1, stored.iter().map(|bytes| Entry::named(BytesOrigin::new("source", bytes))));
    let two = setting.run(2, stored.iter().map(|bytes| Entry::named(CutOrigin::new(bytes, cuts))));
    one.check_same(&two);
    one.check_account(&setting);
    if storage.is_whole() && !texts.iter().any(|text| is_coded(text) || may_be_deep(text)) {
        one.check_prediction(&texts, &setting);
    }
}

/// How a source is stored.
#[derive(Clone, Copy)]
enum Storage {
    Plain,
    Gzip,
    /// So many bytes are missing at the end.
    CutGzip(usize),
}

impl Storage {
    fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..200 => Self::Plain,
            200..230 => Self::Gzip,
            cut => Self::CutGzip(usize::from(cut) - 229),
        }
    }

    fn is_whole(self) -> bool {
        !matches!(self, Self::CutGzip(_))
    }

    fn of(self, text: &[u8]) -> Vec<u8> {
        if matches!(self, Self::Plain) {
            return text.to_vec();
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let stored = encoder.write_all(text).and_then(|()| encoder.finish());
        let mut stored = stored.expect("a vector takes all");
        if let Self::CutGzip(missing) = self {
            stored.truncate(stored.len().saturating_sub(missing));
        }
        stored
    }
}

/// Whether a text begins like a compressed one, which the slow reader would not decode.
fn is_coded(text: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"\x1F", b"\x28", b"BZ", b"\xFD"];
    magics.iter().any(|magic| text.starts_with(magic)) || matches!(text, [0x50..0x60, 0x2A, ..])
}

/// Whether a text may be nested too deeply: then the slow reader does not tell whether it was broken before that.
fn may_be_deep(text: &[u8]) -> bool {
    text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > 1000
}

struct Setting {
    flow: FlowOptions,
    split: SplitOptions,
    router: Router,
}

impl Setting {
    fn choose(choices: &mut Choices<'_>) -> Self {
        let flags = choices.flags();
        let codec = choices.of(&[Codec::None, Codec::Gzip, Codec::Zstd]);
        let chunk_size = ChunkSize { max_bytes: choices.size(), max_lines: choices.size() };
        let sizes = choices.cuts();
        let flow = FlowOptions {
            chunk_size,
            held_line_bytes: if flags[0] { sizes[0] } else { 1 << 20 },
            max_line_bytes: flags[1].then_some(sizes[1] as u64),
            allow_incomplete: flags[2],
            ..FlowOptions::default()
        };
        let split = SplitOptions {
            encoding: Encoding::new(codec, None).expect("the usual level"),
            max_file_bytes: flags[3].then_some(sizes[2] as u64),
            max_file_records: flags[4].then_some(sizes[3] as u64),
            block_bytes: choices.size(),
            open_block_bytes: choices.size() as u64,
            ..SplitOptions::default()
        };
        let except = ResourceType::new("Patient").filter(|_| flags[5]).into_iter().collect();
        let selection = Selection { except, ..Selection::default() };
        Self { flow, split, router: Router { selection, ..Router::default() } }
    }

    fn run(&self, threads: usize, sources: impl Iterator<Item = Entry> + Send) -> Ran {
        let store = MemoryStore::new();
        let mut sink = SplitSink::new(Arc::new(store.clone()), self.split);
        let options = FlowOptions { threads, ..self.flow.clone() };
        let mut rejects = Vec::new();
        let mut note = |event: Event<'_>| {
            if let Event::Rejected { position, length, why, .. } = event {
                rejects.push(format!("{position:?} {length} {why:?}"));
            }
        };
        let outcome = run(sources, &self.router, &mut sink, &options, &Cancel::new(), &mut note);
        let outcome = outcome.expect("memory takes all");
        let mut receipts = Vec::new();
        if outcome.failed_sources == 0 || options.allow_incomplete {
            let finished = sink.finish(&Inline).expect("memory takes all");
            receipts = finished.outputs();
            receipts.extend(finished.quarantine());
            finished.seal().expect("memory takes all");
        }
        let names = store.list().expect("in memory");
        let contents = |name: String| (name.clone(), store.contents(&name).expect("it was listed"));
        Ran {
            totals: outcome.totals,
            failures: outcome.failures.into_iter().map(|failure| failure.error).collect(),
            files: names.into_iter().map(contents).collect(),
            receipts,
            rejects,
        }
    }
}

/// What came of a run into memory.
#[derive(Debug)]
struct Ran {
    totals: Totals,
    failures: Vec<SourceError>,
    files: BTreeMap<String, Vec<u8>>,
    /// Of all files that were sealed.
    receipts: Vec<Receipt>,
    rejects: Vec<String>,
}

impl Ran {
    fn check_same(&self, other: &Self) {
        assert_eq!(self.totals, other.totals);
        assert_eq!(format!("{:?}", self.failures), format!("{:?}", other.failures));
        assert_eq!(self.rejects, other.rejects);
        assert_eq!(self.receipts, other.receipts);
        assert!(self.files == other.files, "the files differ");
    }

    /// The account balances and agrees with the files.
    fn check_account(&self, setting: &Setting) {
        let ledger = &self.totals.ledger;
        assert_eq!(ledger.check(), Ok(()));
        let sealed = self.failures.is_empty() || setting.flow.allow_incomplete;
        assert_eq!(
            self.files.keys().any(|name| name.ends_with(".partial")),
            !sealed && !self.files.is_empty()
        );
        if !sealed {
            return;
        }
        let ByteTally { delivered, quarantined, .. } = ledger.bytes;
        let (told, raw): (Vec<&Receipt>, Vec<&Receipt>) =
            self.receipts.iter().partition(|receipt| receipt.destination.is_some());
        let sum =
            |of: &[&Receipt], part: fn(&Receipt) -> u64| of.iter().map(|receipt| part(receipt)).sum::<u64>();
        assert_eq!(sum(&told, |receipt| receipt.records), ledger.records.delivered);
        assert_eq!(sum(&told, |receipt| receipt.plain_bytes), delivered + ledger.records.delivered);
        let raw: Vec<&Receipt> = raw.into_iter().filter(|receipt| receipt.name != OUTCOME_NAME).collect();
        assert_eq!(sum(&raw, |receipt| receipt.plain_bytes), quarantined + ledger.records.quarantined);
        assert_eq!(self.receipts.len(), self.files.len());
        for receipt in &self.receipts {
            let bytes = &self.files[&receipt.name];
            assert_eq!(bytes.len() as u64, receipt.stored_bytes);
            assert_eq!(plain(&receipt.name, bytes).len() as u64, receipt.plain_bytes);
        }
    }

    /// The files are those that the slow reader makes of the sources.
    fn check_prediction(&self, texts: &[&[u8]], setting: &Setting) {
        let only_lines = self.failures.iter().all(|error| matches!(error, SourceError::NotLines(_)));
        // The slow reader sees a whole source before it says what that holds, and leaves nothing out.
        if !only_lines || setting.flow.held_line_bytes < texts.concat().len() {
            return;
        }
        let mut slow = SlowReader::new(setting.flow.max_line_bytes.unwrap_or(u64::MAX));
        texts.iter().for_each(|text| slow.read("source", text));
        if !slow.unpredicted.is_empty() {
            return;
        }
        if self.failures.is_empty() {
            assert_eq!(slow.refused.len(), 0, "the slow reader refuses a source");
        }
        if self.failures.len() != slow.refused.len() {
            return;
        }
        let ledger = &self.totals.ledger;
        assert_eq!(ledger.records.delivered + ledger.records.filtered, slow.delivered);
        assert_eq!(ledger.records.quarantined, slow.rejects.len() as u64);
        assert_eq!(ledger.blank_lines, slow.blank_lines);
        if !self.failures.is_empty() {
            return;
        }
        let read: usize = texts.iter().map(|text| text.len()).sum();
        assert_eq!(ledger.bytes.read, read as u64);
        if setting.router.selection.is_everything() {
            assert!(self.joined() == slow.files, "other files than the slow reader's");
        }
    }

    /// The files without compression and rotation, and without what is told of the rejects.
    fn joined(&self) -> BTreeMap<String, Vec<u8>> {
        let mut joined = BTreeMap::<String, Vec<u8>>::new();
        for receipt in self.receipts.iter().filter(|receipt| receipt.name != OUTCOME_NAME) {
            let bytes = plain(&receipt.name, &self.files[&receipt.name]);
            joined.entry(whole_name(&receipt.name)).or_default().extend(bytes);
        }
        joined
    }
}

/// The name of an output without the number of the part and the suffix of the encoding.
fn whole_name(name: &str) -> String {
    let Some((stem, _)) = name.split_once(".ndjson") else { return name.to_owned() };
    let stem = stem.split('.').next().unwrap_or(stem);
    format!("{stem}.ndjson")
}

/// What a file holds, without the compression that its name tells.
fn plain(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    if name.ends_with(".gz") {
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).expect("gzip");
    } else if name.ends_with(".zst") {
        zstd::Decoder::new(bytes).and_then(|mut decoder| decoder.read_to_end(&mut plain)).expect("zstd");
    } else {
        plain.extend_from_slice(bytes);
    }
    plain
}

/// Bytes that arrive in pieces of these sizes, in turn.
#[derive(Debug)]
struct CutOrigin {
    bytes: Arc<[u8]>,
    cuts: [usize; 4],
}

impl CutOrigin {
    fn new(bytes: &[u8], cuts: [usize; 4]) -> Self {
        Self { bytes: bytes.into(), cuts }
    }
}

impl Origin for CutOrigin {
    fn identity(&self) -> io::Result<Identity> {
        let stored_bytes = Some(self.bytes.len() as u64);
        Ok(Identity { name: self.name().to_owned(), stored_bytes, modified: None, tag: None })
    }

    fn name(&self) -> &str {
        "source"
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut bytes = io::Cursor::new(Arc::clone(&self.bytes));
        bytes.set_position(offset);
        Ok(Box::new(CutReader { bytes, cuts: self.cuts, turn: 0 }))
    }
}

struct CutReader {
    bytes: io::Cursor<Arc<[u8]>>,
    cuts: [usize; 4],
    turn: usize,
}

impl Read for CutReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        let size = self.cuts[self.turn % self.cuts.len()].min(into.len());
        self.bytes.read(&mut into[..size])
    }
}
