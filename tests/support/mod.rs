//! What several test modules need: sources that are cut at will, runs into memory, and the slow reader.

#[cfg(feature = "http")]
pub(crate) mod bulk_server;
pub(crate) mod containers;
#[cfg(feature = "serve")]
pub(crate) mod postgres;
#[cfg(any(feature = "http", feature = "cloud"))]
#[path = "../../crates/fetch/tests/support/servers.rs"]
pub(crate) mod servers;
pub(crate) mod slow_reader;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;

use fhirline::sample::Sample;
use fhirline_core::{Identity, Origin, Receipt, ResourceType, Store};
use fhirline_fetch::MemoryStore;
use fhirline_flow::{Cancel, Entry, FlowOptions, Outcome, RunError, run};
use fhirline_line_split::ChunkSize;
use fhirline_route::{Router, Selection};
use fhirline_sink::{Codec, Encoding, Inline, SplitOptions, SplitSink};

/// A ceiling for jobs of the facade: all tests share one process, which holds more than the 64 MiB of the default.
pub(crate) const MEMORY_BYTES: u64 = 1 << 30;

/// What a store or a folder holds: name and bytes.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Bytes that a failed property shows as text.
#[derive(Clone)]
pub(crate) struct Text(pub(crate) Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Bytes that arrive in pieces of the given sizes, over and over.
#[derive(Clone)]
pub(crate) struct CutOrigin {
    name: String,
    bytes: Arc<[u8]>,
    cuts: Arc<[usize]>,
}

impl CutOrigin {
    /// Bytes that arrive as the reader wants them.
    pub(crate) fn whole(name: &str, bytes: &[u8]) -> Self {
        Self::cut(name, bytes, &[usize::MAX])
    }

    pub(crate) fn cut(name: &str, bytes: &[u8], cuts: &[usize]) -> Self {
        Self { name: name.to_owned(), bytes: bytes.into(), cuts: cuts.into() }
    }

    pub(crate) fn entry(self) -> Entry {
        Entry::named(self)
    }
}

impl Origin for CutOrigin {
    fn identity(&self) -> io::Result<Identity> {
        let stored_bytes = Some(self.bytes.len() as u64);
        Ok(Identity { name: self.name.clone(), stored_bytes, modified: None, tag: None })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut bytes = Cursor::new(Arc::clone(&self.bytes));
        bytes.set_position(offset);
        Ok(Box::new(CutReader { bytes, cuts: Arc::clone(&self.cuts), turn: 0 }))
    }

    fn is_at_hand(&self) -> bool {
        true
    }
}

impl fmt::Debug for CutOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CutOrigin({}, {} bytes)", self.name, self.bytes.len())
    }
}

struct CutReader {
    bytes: Cursor<Arc<[u8]>>,
    cuts: Arc<[usize]>,
    turn: usize,
}

impl Read for CutReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let cut = self.cuts[self.turn % self.cuts.len()].max(1);
        self.turn += 1;
        let wanted = cut.min(into.len());
        self.bytes.read(&mut into[..wanted])
    }
}

/// How a run into memory goes.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) flow: FlowOptions,
    pub(crate) split: SplitOptions,
    pub(crate) router: Router,
}

impl Setting {
    pub(crate) fn threads(threads: usize) -> Self {
        Self {
            flow: FlowOptions { threads, ..FlowOptions::default() },
            split: SplitOptions::default(),
            router: Router::default(),
        }
    }

    /// Outputs compressed at the usual level, with open blocks as under a ceiling of so many MiB.
    pub(crate) fn compressed(mut self, codec: Codec, memory_mib: u64) -> Self {
        self.split.encoding = Encoding::new(codec, None).expect("the usual level");
        let ceiling_bytes = memory_mib << 20;
        self.split.block_bytes = self.split.encoding.block_bytes(ceiling_bytes);
        self.split.open_block_bytes = (ceiling_bytes / 16).max(2 * self.split.block_bytes as u64);
        self
    }

    pub(crate) fn chunk_bytes(mut self, max_bytes: usize) -> Self {
        self.flow.chunk_size = ChunkSize { max_bytes, ..ChunkSize::default() };
        self
    }

    pub(crate) fn max_line_bytes(mut self, bytes: u64) -> Self {
        self.flow.max_line_bytes = Some(bytes);
        self
    }

    /// Longer lines pass through a spool.
    pub(crate) fn held_line_bytes(mut self, bytes: usize) -> Self {
        self.flow.held_line_bytes = bytes;
        self
    }

    /// What Bundles and entries say of themselves is kept.
    pub(crate) fn keep_entry_metadata(mut self) -> Self {
        self.flow.keep_entry_metadata = true;
        self
    }

    pub(crate) fn allow_incomplete(mut self) -> Self {
        self.flow.allow_incomplete = true;
        self
    }

    pub(crate) fn only(mut self, types: &[&str]) -> Self {
        let only = types.iter().map(|name| ResourceType::new(name).expect("a type")).collect();
        self.router.selection = Selection { only, ..Selection::default() };
        self
    }
}

/// What came of a run into memory.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    /// What the store holds; provisional names if a source failed and that is not allowed.
    pub(crate) files: Files,
    /// Of the outputs, without the quarantine; none if nothing was sealed.
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) diverted_records: u64,
}

/// Splits the sources into memory.
pub(crate) fn split(
    sources: impl IntoIterator<Item = Entry, IntoIter: Send>,
    setting: &Setting,
) -> Result<Ran, RunError> {
    let store = MemoryStore::new();
    let (outcome, receipts, diverted_records) = split_into(Arc::new(store.clone()), sources, setting)?;
    let names = store.list().expect("in memory");
    let contents = |name: String| {
        let bytes = store.contents(&name).expect("it was listed");
        (name, bytes)
    };
    Ok(Ran { outcome, files: names.into_iter().map(contents).collect(), receipts, diverted_records })
}

/// Splits the sources into a store, and seals the outputs if the outcome allows it.
pub(crate) fn split_into(
    store: Arc<dyn Store>,
    sources: impl IntoIterator<Item = Entry, IntoIter: Send>,
    setting: &Setting,
) -> Result<(Outcome, Vec<Receipt>, u64), RunError> {
    let mut sink = SplitSink::new(store, setting.split);
    let outcome = run(sources, &setting.router, &mut sink, &setting.flow, &Cancel::new(), &mut |_| {})?;
    if outcome.failed_sources > 0 && !setting.flow.allow_incomplete {
        return Ok((outcome, Vec::new(), 0));
    }
    let finished = sink.finish(&Inline)?;
    let (receipts, diverted) = (finished.outputs(), finished.diverted_records());
    finished.seal()?;
    Ok((outcome, receipts, diverted))
}

/// The same files without compression, under names without its suffix.
pub(crate) fn plain(files: &Files) -> Files {
    let plain = |(name, bytes): (&String, &Vec<u8>)| {
        let stem = name.trim_end_matches(".gz").trim_end_matches(".zst").to_owned();
        (stem, decoded(bytes))
    };
    files.iter().map(plain).collect()
}

/// The bytes without compression, which is told from them.
pub(crate) fn decoded(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match bytes {
        [0x1F, 0x8B, ..] => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => zstd::Decoder::new(bytes).expect("zstd").read_to_end(&mut plain),
        _ => return bytes.to_vec(),
    }
    .expect("it decodes");
    plain
}

/// Says with `cargo test -- --nocapture` what is not seen in a verdict: that something was skipped, or a number.
#[expect(clippy::print_stdout, reason = "captured unless asked for")]
pub(crate) fn say(message: &str) {
    println!("{message}");
}

/// All files below a folder.
pub(crate) fn files_in(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("below the folder").display().to_string();
            files.insert(name, std::fs::read(&path).expect("a readable file"));
        }
    }
    files
}

/// Fails with the first difference between two sets of files, without printing what is in them.
#[track_caller]
pub(crate) fn assert_same(found: &Files, wanted: &Files, of: &str) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(wanted), "the names of {of}");
    for (name, bytes) in found {
        let other = &wanted[name];
        let same = bytes.iter().zip(other).take_while(|(one, other)| one == other).count();
        assert!(
            bytes == other,
            "{name} of {of} differs at byte {same} (lengths {} and {})",
            bytes.len(),
            other.len()
        );
    }
}

/// A synthetic export.
pub(crate) fn sample(seed: u64, target_bytes: u64) -> Vec<u8> {
    let mut export = Vec::new();
    let sample = Sample::new(seed).target_bytes(target_bytes).broken_lines(true);
    sample.write_to(&mut export).expect("into memory");
    export
}

/// An export for a proof at scale: the file that `FHIRLINE_PROOF_FILE` names, else a synthetic one of `FHIRLINE_PROOF_MIB`, or
/// of so many.
#[cfg(any(feature = "http", feature = "cloud"))]
pub(crate) fn proof_export(mib: u64) -> Vec<u8> {
    if let Some(file) = std::env::var_os("FHIRLINE_PROOF_FILE") {
        return std::fs::read(file).expect("an export");
    }
    let given = std::env::var("FHIRLINE_PROOF_MIB").map(|given| given.parse().expect("a number of MiB"));
    sample(7, given.unwrap_or(mib) << 20)
}

/// Numbers that are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() % 1000) as f64 / 1000.0
    }
}

/// Lines of every kind that is worth a test, each with its line end; the first one is sound.
pub(crate) fn line_zoo() -> Vec<u8> {
    let lines: &[&[u8]] = &[
        b"\xEF\xBB\xBF{\"resourceType\":\"Patient\",\"id\":\"1\"}\r\n",
        b"\n",
        b" \t\r\n",
        b"  {\"id\":\"2\",\"value\":1.00,\"resourceType\":\"Observation\"} \t\r\n",
        "{\"resourceType\":\"Goal\",\"text\":\"a\u{2028}b\u{85}c\"}\n".as_bytes(),
        b"{\"resource\\u0054ype\":\"Pati\\u0065nt\"}\n",
        b"{\"resourceType\":\"Goal\",\"resourceType\":\"Patient\"}\n",
        b"{\"contained\":[{\"resourceType\":\"Binary\"}],\"resourceType\":\"Observation\"}\n",
        b"{\"resourceType\":\"x-custom/thing\"}\n",
        b"{\"resourceType\":\"PATIENT\"}\n",
        b"\xEF\xBB\xBF{\"resourceType\":\"Patient\"}\n",
        b"{\"resourceType\":\"Patient\"} {\"resourceType\":\"Goal\"}\n",
        b"{\"resourceType\":\"Patient\",\"name\":\n",
        b"{\"resourceType\":\"Patient\",\"name\":\"\xFF\"}\n",
        b"{\"resourceType\":\"Patient\"\r}\r\r\n",
        b"not JSON at all \r\n",
        b"[1]\n",
        b"{\"resourceType\":7}\n",
        b"{\"resourceType\":\"\"}\n",
        b"{}\n",
        b"{\"resourceType\":\"Patient\",\"last\":\"without a line end\"}\r",
    ];
    lines.concat()
}

/// Gzip members, one for each piece.
pub(crate) fn gzip_members(pieces: &[&[u8]]) -> Vec<u8> {
    let mut stored = Vec::new();
    for piece in pieces {
        let mut encoder = flate2::write::GzEncoder::new(&mut stored, flate2::Compression::fast());
        encoder.write_all(piece).expect("into memory");
        encoder.finish().expect("into memory");
    }
    stored
}

/// Members that state their stored length, as `bgzip` writes them; of at most 60,000 bytes each.
pub(crate) fn bgzf_members(pieces: &[&[u8]]) -> Vec<u8> {
    let member = |piece: &&[u8]| {
        let header = flate2::GzBuilder::new().extra(*b"BC\x02\0\0\0").operating_system(255);
        let mut encoder = header.write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(piece).expect("into memory");
        let mut member = encoder.finish().expect("into memory");
        let length = u16::try_from(member.len() - 1).expect("a short piece");
        member[16..18].copy_from_slice(&length.to_le_bytes());
        member
    };
    pieces.iter().flat_map(member).collect()
}
