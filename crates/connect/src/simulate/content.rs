//! The export that is served.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempPath;

use super::{Misbehaviour, SimulatorOptions};

/// How often the export is repeated when it is to be huge.
const HUGE: u64 = 1000;
/// Behind so many lines comes one that is broken.
const BROKEN_EVERY: u64 = 10;
const BROKEN: &[u8] = b"{\"resourceType\":\"Observation\",\"id\":\"cut off in its mid\n";

/// A file, one or more times one behind the other.
#[derive(Debug)]
pub(super) struct Content {
    path: PathBuf,
    /// Removed with it.
    _own: Option<TempPath>,
    file_bytes: u64,
    times: u64,
    /// How many bytes of it come before the connection ends.
    pub(super) sent_bytes: u64,
    pub(super) by_type: BTreeMap<String, u64>,
    /// Of this content and no other.
    pub(super) etag: String,
}

impl Content {
    pub(super) fn of(options: &SimulatorOptions) -> io::Result<Self> {
        let (path, own) = if options.misbehaves(Misbehaviour::Malformed) {
            let own = with_broken_lines(&options.export)?;
            (own.to_path_buf(), Some(own))
        } else {
            (options.export.clone(), None)
        };
        let times = if options.misbehaves(Misbehaviour::Huge) { HUGE } else { 1 };
        let file_bytes = path.metadata()?.len();
        let total_bytes = file_bytes * times;
        let is_truncated = options.misbehaves(Misbehaviour::Truncated);
        let mut by_type = types(&options.export)?;
        by_type.values_mut().for_each(|count| *count *= times);
        Ok(Self {
            sent_bytes: if is_truncated { total_bytes / 2 } else { total_bytes },
            etag: format!("\"{:016x}\"", fastrand::u64(..)),
            path,
            _own: own,
            file_bytes,
            times,
            by_type,
        })
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.file_bytes * self.times
    }

    pub(super) fn total_resources(&self) -> u64 {
        self.by_type.values().sum()
    }

    /// Some bytes from that offset on; none at the end.
    pub(super) fn read(&self, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        if offset >= self.total_bytes() {
            return Ok(Vec::new());
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset % self.file_bytes))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// How many resources there are of each type; lines that are none are not counted. Each is read as a whole: what skips the strings that it has no
/// use for takes one that is not UTF-8 for a good one.
fn types(path: &Path) -> io::Result<BTreeMap<String, u64>> {
    let mut types = BTreeMap::new();
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        let Ok(resource) = serde_json::from_slice::<Value>(&line?) else { continue };
        if let Some(name) = resource["resourceType"].as_str().filter(|name| !name.is_empty()) {
            *types.entry(name.to_owned()).or_default() += 1;
        }
    }
    Ok(types)
}

fn with_broken_lines(path: &Path) -> io::Result<TempPath> {
    let mut own = tempfile::NamedTempFile::new()?;
    for (number, line) in (1..).zip(BufReader::new(File::open(path)?).split(b'\n')) {
        own.write_all(&line?)?;
        own.write_all(b"\n")?;
        if number % BROKEN_EVERY == 0 {
            own.write_all(BROKEN)?;
        }
    }
    own.flush()?;
    Ok(own.into_temp_path())
}
