use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use fhirline_bundle::{
    Entry, Mark, Pretty, Proof, Refused, Scanner, Serial, WriteOptions, WriteTally, Writer, envelope,
};
use fhirline_core::{Batch, LongLine, Position, Receipt, SourceId, Spool, Store, Verdict};

use crate::error::SinkError;
use crate::offload::Offload;
use crate::part::Part;
use crate::quarantine::Quarantine;
use crate::split::sync_names;
use crate::{Sink, long};

mod files;

pub use files::{BundleFiles, BundleNames};

/// Bytes of a resource that are written at once. Laid out for people, they can become seventy times as many.
const STEP_BYTES: usize = 16 << 10;

/// How a [`BundleSink`] writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleOptions {
    /// How Bundles are written.
    pub write: WriteOptions,
    /// What the outputs are called.
    pub names: BundleNames,
    /// The folder of the quarantine in the store.
    pub quarantine: String,
    /// Whether the seal waits until everything is safe on the disk. If not, what goes wrong on the way there may be told to nobody: some
    /// file systems (NFS, quotas) tell only when a file is closed or synced.
    pub durable: bool,
}

/// Writes all resources in the order of the sources as FHIR Bundles into a store, with the quarantine beside them.
///
/// It takes batches whose records were left together ([`Destination::Together`](fhirline_core::Destination)), for only those
/// have an order. What goes to sidecars is no resource, and is left out.
///
/// Everything stands under provisional names until [`FinishedBundles::seal`]; a sink that is dropped leaves them so. It
/// cannot be taken up again.
pub struct BundleSink {
    store: Arc<dyn Store>,
    durable: bool,
    writer: Writer,
    files: BundleFiles,
    quarantine: Quarantine,
    source: String,
    /// Sources that began and were not abandoned, the present one included.
    sources: u64,
    /// Resources of this source.
    records: u64,
    /// The moment at which it began.
    savepoint: Mark,
}

impl BundleSink {
    /// A sink that writes to that store. The first Bundle is there at once, be it under its provisional name: without any
    /// resource there will be one, too.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn new(store: Arc<dyn Store>, options: BundleOptions) -> Result<Self, SinkError> {
        let writer = Writer::new(options.write);
        Ok(Self {
            files: BundleFiles::create(Arc::clone(&store), options.names)?,
            store,
            durable: options.durable,
            savepoint: writer.mark(),
            writer,
            quarantine: Quarantine::in_folder(options.quarantine),
            source: String::new(),
            sources: 0,
            records: 0,
        })
    }

    /// Ends the last Bundle, writes what is still held and makes it durable if asked. The names are still the provisional ones.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn finish(mut self) -> Result<FinishedBundles, SinkError> {
        self.writer.end_bundle(self.files.out());
        let mut bundles = self.files.finish()?;
        let mut quarantine = self.quarantine.finish(&*self.store)?;
        if self.durable {
            bundles.iter_mut().chain(&mut quarantine).try_for_each(Part::sync)?;
        }
        let (store, durable, tally) = (self.store, self.durable, *self.writer.tally());
        Ok(FinishedBundles { store, durable, bundles, quarantine, tally })
    }

    fn add(&mut self, record: &[u8], at: Position) -> Result<(), SinkError> {
        // Whoever routed it has read as much of it; if nothing can be said of it, it still has its place.
        let (resource_type, id) = match envelope(record, Proof::Trusted) {
            Ok(found) => (found.resource_type, found.id),
            Err(_) => ("".into(), None),
        };
        let mut length = Length::of(&self.writer);
        length.add(record);
        let entry = Entry::new(resource_type, id, self.serial(), length.bytes);
        self.write(&entry, at, |push| push(record))
    }

    /// The same for a resource that waits in a spool. It is read twice: what a Bundle has to know of it may stand at its end.
    fn add_long(&mut self, spool: &mut dyn Spool, record: Range<u64>, at: Position) -> Result<(), SinkError> {
        let (mut scanner, mut length) = (Scanner::new(Proof::Trusted), Length::of(&self.writer));
        long::copy(spool, record.clone(), |piece| {
            scanner.push(piece);
            length.add(piece);
            Ok(())
        })?;
        let (resource_type, id) = match scanner.finish() {
            Ok(found) => (found.resource_type, found.id),
            Err(_) => (String::new(), None),
        };
        let entry = Entry::new(resource_type, id, self.serial(), length.bytes);
        self.write(&entry, at, |push| long::copy(spool, record, push))
    }

    fn serial(&self) -> Serial {
        Serial { source: self.sources.saturating_sub(1), record: self.records }
    }

    /// Writes an entry whose resource `read` hands over in pieces.
    fn write(
        &mut self,
        entry: &Entry<'_>,
        at: Position,
        read: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), SinkError>) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let placed = self.writer.place(entry).map_err(|why| refused(&self.source, at, why))?;
        if placed.ended().is_some() {
            self.writer.end_bundle(self.files.out());
            self.files.start_next()?;
        }
        let mut open = self.writer.begin(&placed, self.files.out());
        read(&mut |piece| {
            for step in piece.chunks(STEP_BYTES) {
                open.push(step, self.files.out());
                self.files.write_if_full()?;
            }
            Ok(())
        })?;
        open.end(self.files.out());
        self.files.count_entry();
        self.records += 1;
        Ok(())
    }
}

/// What a resource will take, if that matters.
struct Length {
    bytes: u64,
    layout: Option<Pretty>,
    matters: bool,
    scratch: Vec<u8>,
}

impl Length {
    fn of(writer: &Writer) -> Self {
        Self { bytes: 0, layout: writer.layout(), matters: writer.needs_lengths(), scratch: Vec::new() }
    }

    fn add(&mut self, piece: &[u8]) {
        match &mut self.layout {
            Some(layout) if self.matters => {
                for step in piece.chunks(STEP_BYTES) {
                    self.scratch.clear();
                    layout.push(step, &mut self.scratch);
                    self.bytes += self.scratch.len() as u64;
                }
            }
            _ => self.bytes += piece.len() as u64,
        }
    }
}

fn refused(source: &str, at: Position, why: Refused) -> SinkError {
    SinkError::Entry { name: source.to_owned(), line: at.line, byte: at.byte, why }
}

impl Sink for BundleSink {
    fn begin_source(&mut self, _source: SourceId, name: &str) -> Result<(), SinkError> {
        self.files.set_savepoint()?;
        self.savepoint = self.writer.mark();
        name.clone_into(&mut self.source);
        (self.sources, self.records) = (self.sources + 1, 0);
        self.quarantine.begin_source(&*self.store, name)
    }

    fn commit(&mut self, batch: &mut Batch, _offload: &dyn Offload) -> Result<(), SinkError> {
        for run in batch.runs.iter().filter(|run| !run.destination.is_sidecar()) {
            for record in batch.records(run) {
                self.add(record.bytes, record.position)?;
            }
        }
        self.quarantine.commit(&*self.store, batch)
    }

    fn commit_long(&mut self, line: &mut LongLine, _offload: &dyn Offload) -> Result<(), SinkError> {
        if let Verdict::Delivered { destination, record } = &line.verdict
            && !destination.is_sidecar()
        {
            let record = record.clone();
            self.add_long(&mut *line.spool, record, line.at)?;
        }
        self.quarantine.commit_long(&*self.store, line)
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        self.files.go_back()?;
        let mut recall = self.writer.go_back(self.savepoint);
        self.files.read_last(|piece| recall.push(piece))?;
        recall.finish();
        self.sources -= 1;
        self.quarantine.abandon_source()
    }

    fn fail_source(&mut self, _progress: Option<&[u8]>) -> Result<(), SinkError> {
        self.files.write()
    }
}

impl fmt::Debug for BundleSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BundleSink")
            .field("store", &self.store)
            .field("writer", &self.writer)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

/// Bundles that are all written and durable, but still have their provisional names.
#[derive(Debug)]
pub struct FinishedBundles {
    store: Arc<dyn Store>,
    durable: bool,
    bundles: Vec<Part>,
    quarantine: Vec<Part>,
    tally: WriteTally,
}

impl FinishedBundles {
    /// What the Bundles will say of themselves, in order. Their records are their entries.
    pub fn bundles(&self) -> impl Iterator<Item = Receipt> {
        self.bundles.iter().map(|part| part.receipt(None))
    }

    /// The same of the files of the quarantine; none if nothing was rejected.
    pub fn quarantine(&self) -> impl Iterator<Item = Receipt> {
        self.quarantine.iter().map(|part| part.receipt(None))
    }

    /// What was written, and how.
    #[must_use]
    pub fn tally(&self) -> &WriteTally {
        &self.tally
    }

    /// Gives every output its final name, the first Bundle last: once it can be seen, all is there.
    ///
    /// # Errors
    /// When the store refuses; some outputs may then have their final names, each of them complete.
    pub fn seal(self) -> Result<(), SinkError> {
        self.quarantine.into_iter().try_for_each(Part::seal)?;
        self.bundles.into_iter().rev().try_for_each(Part::seal)?;
        sync_names(&*self.store, self.durable)
    }
}
