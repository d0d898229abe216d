use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fhirline::sample::Sample;
use fhirline::{ExitStatus, Identity, Job, Origin, PulledBatch, SplitJob};

/// The names of outputs, and what stands in them.
pub(crate) type Outputs = BTreeMap<String, Vec<u8>>;

/// An export with broken lines, a binary that is too long to be held, and Bundles: on a line, and pretty-printed.
pub(crate) fn export(seed: u64, bytes: u64) -> Vec<u8> {
    let mut export = Vec::new();
    let sample = Sample::new(seed).target_bytes(bytes).binary_bytes(24 << 20).broken_lines(true);
    sample.write_to(&mut export).expect("into memory");
    export.extend_from_slice(
        br#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Goal","id":"in a Bundle"}},{"fullUrl":"urn:x"}]}
"#,
    );
    export
}

pub(crate) const PRETTY: &[u8] = br#"{
  "resourceType": "Bundle",
  "type": "collection",
  "entry": [
    { "resource": { "resourceType": "Goal",
        "id": "a" } },
    { "resource": { "resourceType": "Patient",
        "id": "b" } }
  ]
}
"#;

/// What a split of the same job leaves, without the manifest.
pub(crate) fn split(job: Job) -> Outputs {
    let folder = tempfile::tempdir().expect("a folder");
    job.to(SplitJob::to(folder.path().join("out"))).run().expect("a split");
    let mut outputs = Outputs::new();
    collect(&folder.path().join("out"), "", &mut outputs);
    outputs
}

fn collect(folder: &Path, prefix: &str, outputs: &mut Outputs) {
    for entry in fs::read_dir(folder).expect("readable") {
        let entry = entry.expect("readable");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type().expect("known").is_dir() {
            true => collect(&entry.path(), &format!("{name}/"), outputs),
            false if name == "manifest.json" => {}
            false => drop(outputs.insert(name, fs::read(entry.path()).expect("readable"))),
        }
    }
}

/// Adds what a batch holds to what a split would have written.
pub(crate) fn pour(batch: &PulledBatch, outputs: &mut Outputs) {
    for resource in batch.resources().chain(batch.beside()) {
        let name = format!("{}.ndjson", resource.destination().name());
        let output = outputs.entry(name).or_default();
        let length = resource.reader().read_to_end(output).expect("readable");
        assert_eq!(length as u64, resource.length());
        assert_eq!(resource.bytes().is_none(), length > 16 << 20, "held, unless it is too long for that");
        output.push(b'\n');
    }
    for reject in batch.rejects() {
        let output = outputs.entry("_quarantine/lines.raw".to_owned()).or_default();
        reject.record.reader().read_to_end(output).expect("readable");
        output.push(b'\n');
    }
}

/// Without the file that only a split writes.
pub(crate) fn without_outcome(mut outputs: Outputs) -> Outputs {
    outputs.remove("_quarantine/outcome.ndjson");
    outputs
}

/// A source in memory that counts what is read of it.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    bytes: Arc<Vec<u8>>,
    times: u64,
    pub(crate) read: Arc<AtomicU64>,
}

impl Counted {
    /// The bytes, so many times.
    pub(crate) fn new(bytes: Vec<u8>, times: u64) -> Self {
        Self { bytes: Arc::new(bytes), times, read: Arc::default() }
    }

    pub(crate) fn job(&self) -> Job {
        Job::of_origins([Arc::new(self.clone()) as Arc<dyn Origin>])
    }

    pub(crate) fn length(&self) -> u64 {
        self.bytes.len() as u64 * self.times
    }
}

impl Origin for Counted {
    fn identity(&self) -> io::Result<Identity> {
        let stored_bytes = Some(self.length());
        Ok(Identity { name: self.name().to_owned(), stored_bytes, modified: None, tag: None })
    }

    fn name(&self) -> &str {
        "counted"
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Reading { counted: self.clone(), at: offset }))
    }
}

struct Reading {
    counted: Counted,
    at: u64,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = &self.counted.bytes;
        if self.at >= self.counted.length() {
            return Ok(0);
        }
        let within = (self.at % bytes.len() as u64) as usize;
        let count = into.len().min(bytes.len() - within);
        into[..count].copy_from_slice(&bytes[within..within + count]);
        self.at += count as u64;
        self.counted.read.fetch_add(count as u64, Ordering::SeqCst);
        Ok(count)
    }
}

/// The status of a report that says that all is well, but for what is broken on purpose.
pub(crate) const WITH_REJECTS: ExitStatus = ExitStatus::Quarantined;
