use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use fhirline_core::ChecksumKind;
use fhirline_decompress::{Decoder, DecompressError, Limits};
use fhirline_sink::Hasher;

use super::RestoreError;
use crate::OutputReport;

/// Decoded bytes held of each output.
const BUFFER_BYTES: usize = 16 << 10;

/// A line is handed on in pieces of about this length.
const PIECE_BYTES: u64 = 64 << 10;

/// One output of a run, read from the first line of its first file to the last line of its last one.
pub(super) struct Output {
    name: String,
    folder: PathBuf,
    files: VecDeque<OutputReport>,
    open: Option<Open>,
    /// Lines in all its files, as the manifest says.
    records: u64,
    /// Lines that were begun.
    begun: u64,
}

struct Open {
    file: OutputReport,
    reader: BufReader<Decoder<Hashed>>,
    lines: u64,
}

impl Output {
    /// The output that those files make up together.
    pub(super) fn new(name: &str, folder: &Path, files: Vec<OutputReport>) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            records: files.iter().map(|file| file.records).sum(),
            files: files.into(),
            open: None,
            begun: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The present line, from 1.
    pub(super) fn line(&self) -> u64 {
        self.begun
    }

    /// Lines that were not begun.
    pub(super) fn left(&self) -> u64 {
        self.records.saturating_sub(self.begun)
    }

    /// What it holds in memory, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        let decoder = |open: &Open| open.reader.get_ref().memory_bytes() + BUFFER_BYTES as u64;
        self.open.as_ref().map_or(0, decoder)
    }

    /// Goes to the next line; `false` if there is none.
    pub(super) fn begin_line(&mut self) -> Result<bool, RestoreError> {
        loop {
            if let Some(open) = &mut self.open {
                let path = self.folder.join(&open.file.name);
                if !open.reader.fill_buf().map_err(broken(&path))?.is_empty() {
                    open.lines += 1;
                    self.begun += 1;
                    return Ok(true);
                }
                if !open.is_sound() {
                    return Err(damaged(&path));
                }
            }
            match self.files.pop_front() {
                Some(file) => self.open = Some(Open::new(&self.folder, file)?),
                None => {
                    self.open = None;
                    return Ok(false);
                }
            }
        }
    }

    /// Puts the next piece of the present line into `space`, without its line end; whether it was the last one.
    pub(super) fn piece(&mut self, space: &mut Vec<u8>) -> Result<bool, RestoreError> {
        space.clear();
        let Some(open) = &mut self.open else { return Ok(true) };
        let path = self.folder.join(&open.file.name);
        let count = (&mut open.reader).take(PIECE_BYTES).read_until(b'\n', space).map_err(broken(&path))?;
        if count == 0 {
            // Each line of ours has an end.
            return Err(damaged(&path));
        }
        Ok(space.pop_if(|last| *last == b'\n').is_some())
    }
}

impl Open {
    fn new(folder: &Path, file: OutputReport) -> Result<Self, RestoreError> {
        let path = folder.join(&file.name);
        let mut components = Path::new(&file.name).components();
        if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
            return Err(damaged(&path));
        }
        let opened = File::open(&path).and_then(|stored| {
            let stored = Hashed { stored, hasher: Hasher::new(kind_of(file.checksum.as_deref())) };
            Decoder::new(stored, Limits::default())
        });
        let reader = BufReader::with_capacity(BUFFER_BYTES, opened.map_err(broken(&path))?);
        Ok(Self { file, reader, lines: 0 })
    }

    /// Whether all that was read, up to the end, is what the manifest says.
    fn is_sound(&self) -> bool {
        let hasher = &self.reader.get_ref().get_ref().hasher;
        let told = self.file.checksum.as_deref().and_then(|checksum| checksum.split_once(':'));
        let same = match (hasher.finish(), told) {
            (Some(found), Some((_, told))) => found.to_string() == told,
            _ => true,
        };
        same && self.lines == self.file.records
    }
}

fn kind_of(checksum: Option<&str>) -> Option<ChecksumKind> {
    let (kind, _) = checksum?.split_once(':')?;
    [ChecksumKind::Crc32c, ChecksumKind::Sha256].into_iter().find(|known| known.name() == kind)
}

/// A file, and the hash of what was read of it.
struct Hashed {
    stored: File,
    hasher: Hasher,
}

impl Read for Hashed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stored.read(into)?;
        self.hasher.update(&into[..count]);
        Ok(count)
    }
}

fn damaged(path: &Path) -> RestoreError {
    RestoreError::Damaged { name: path.display().to_string() }
}

fn broken(path: &Path) -> impl FnOnce(io::Error) -> RestoreError + '_ {
    move |source| match DecompressError::find_in(&source) {
        Some(_) => damaged(path),
        None if source.kind() == io::ErrorKind::NotFound => damaged(path),
        None => RestoreError::Read { name: path.display().to_string(), source },
    }
}
