use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use fhirline_core::{Destination, Imbalance, Receipt, Spools, Store};
use fhirline_flow::{MemoryPlan, RunError};
use fhirline_route::{Grouping, IdRule};
use fhirline_sink::{Finished, Inline, RAW_NAME, SplitOptions, SplitSink};

use super::known::Known;
use super::start::{Begun, Start};
use crate::destination;
use crate::job::{Going, OnEvent, Ran};
use crate::manifest::{self, Manifest, Ours};
use crate::report::{Account, OutputReport, output_report, resumed_report};
use crate::{Job, JobError, Report, SplitJob};

/// A split into a store that nobody else writes to.
pub(super) struct Run<'r> {
    pub(super) job: &'r Job,
    pub(super) to: &'r SplitJob,
    pub(super) plan: MemoryPlan,
    pub(super) known: Known,
    pub(super) store: Arc<dyn Store>,
    pub(super) spools: Arc<dyn Spools>,
}

impl Run<'_> {
    /// Looks what the store holds, and does what is left to do.
    pub(super) fn run(mut self, on_event: &mut OnEvent<'_>) -> Result<Report, JobError> {
        let Begun { mut sink, from, discarded_bytes, why_afresh } = match self.start()? {
            Start::Done(report) => return Ok(*report),
            Start::Begun(begun) => *begun,
        };
        let going = Going {
            // Whoever goes on with a checkpoint must replace it before something that it counts on changes.
            checkpoint_bytes: self.checkpoint_bytes().or(from.is_some().then_some(u64::MAX)),
            from,
            spools: Arc::clone(&self.spools),
            ids: IdRule::Any,
            keep_entry_metadata: self.to.keep_entry_metadata,
        };
        let ran = match self.job.run(Grouping::ByType, &mut sink, self.plan, going, on_event) {
            Err(error @ JobError::NothingToRead { .. }) => {
                destination::disclaim(&*self.store).map_err(self.to.failed("clean"))?;
                return Err(error);
            }
            result => result?,
        };
        let mut report = self.report(&ran, discarded_bytes);
        report.begun_afresh = why_afresh;
        if ran.outcome.failed_sources == 0 || self.job.allow_incomplete {
            self.seal(sink, &mut report)?;
        }
        Ok(report)
    }

    pub(super) fn sink_options(&self) -> SplitOptions {
        SplitOptions {
            encoding: self.to.encoding,
            checksum: self.to.checksum,
            max_file_bytes: self.to.max_file_bytes,
            max_file_records: self.to.max_file_records,
            durable: self.is_durable(),
            block_bytes: self.plan.block_bytes,
            open_block_bytes: self.plan.open_block_bytes,
            max_jobs: self.plan.compression_jobs,
        }
    }

    /// Whether something has to be done so that outputs survive a crash of the machine: not in an object store.
    pub(super) fn is_durable(&self) -> bool {
        self.to.durable && self.store.reads_back()
    }

    /// None for a run over a stream: nobody could go on in its middle.
    pub(super) fn checkpoint_bytes(&self) -> Option<u64> {
        self.to.checkpoint_bytes.filter(|_| self.known.fingerprint.is_some())
    }

    /// For `map_err`: what was tried on the destination.
    pub(super) fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> JobError {
        self.to.failed(action)
    }

    fn report(&self, ran: &Ran, discarded_bytes: u64) -> Report {
        let mut report = self.job.report(ran, self.plan);
        report.resumed = ran.outcome.resumed.as_ref().map(|at| resumed_report(at, discarded_bytes));
        report
    }

    /// Writes the manifest under its provisional name, gives the outputs their names, and the manifest its own last: what it
    /// names is complete as soon as it can be seen.
    fn seal(&mut self, sink: SplitSink, report: &mut Report) -> Result<(), JobError> {
        // The sources are read, and only the tails of outputs are left to compress: not worth a pool.
        let finished = sink.finish(&Inline)?;
        if !self.job.cancel.pass_stopping() {
            return Err(RunError::Cancelled.into());
        }
        check_outputs(&finished, &report.account)?;
        note_diverted(&finished, report);
        let (sidecars, outputs) = finished.outputs().into_iter().partition::<Vec<_>, _>(is_sidecar);
        report.outputs = outputs.into_iter().map(output_report).collect();
        report.sidecars = sidecars.into_iter().map(output_report).collect();
        let json = self.manifest(&finished, report).to_json();
        let store = &*self.store;
        let mut manifest = store.create_short(manifest::NAME).map_err(self.failed("write to"))?;
        manifest.append(&json).map_err(self.failed("write to"))?;
        if self.is_durable() {
            manifest.sync().map_err(self.failed("write to"))?;
        }
        store.settle().map_err(self.failed("write to"))?;
        finished.seal()?;
        destination::disclaim(store).map_err(self.failed("clean"))?;
        manifest.seal().map_err(self.failed("write to"))?;
        if self.is_durable() {
            store.sync().map_err(self.failed("write to"))?;
        }
        Ok(())
    }

    fn manifest(&mut self, finished: &Finished, report: &Report) -> Manifest {
        let quarantine: Vec<OutputReport> = finished.quarantine().into_iter().map(output_report).collect();
        let ours = Ours {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            options: self.known.options.take(),
            fingerprint: self.known.fingerprint.take(),
            sidecars: report.sidecars.clone(),
            rejected: quarantine.iter().find(|file| file.name == fhirline_sink::RAW_NAME).cloned(),
            account: report.account.clone(),
        };
        let newest = self.known.newest.unwrap_or_else(SystemTime::now);
        Manifest::new(newest, &report.outputs, &quarantine, ours)
    }
}

/// The last look: what the outputs hold is what the ledger says.
fn check_outputs(finished: &Finished, account: &Account) -> Result<(), JobError> {
    let (outputs, quarantine) = (finished.outputs(), finished.quarantine());
    let (sidecars, outputs): (Vec<_>, Vec<_>) = outputs.into_iter().partition(is_sidecar);
    let lines_of = |sidecar| -> u64 {
        let of = sidecars.iter().filter(|file| file.destination == Some(sidecar));
        of.map(|file| file.records).sum()
    };
    let raw = quarantine.iter().filter(|file| file.name == RAW_NAME);
    let (records, bytes) = (&account.ledger.records, &account.ledger.bytes);
    let beside = &account.ledger.sidecars;
    let sums = [
        ("records in the outputs", records.delivered, outputs.iter().map(|output| output.records).sum()),
        (
            "bytes in the outputs",
            bytes.delivered + records.delivered,
            outputs.iter().map(|output| output.plain_bytes).sum(),
        ),
        (
            "entries without a resource",
            account.ledger.containers.bare_entries,
            lines_of(Destination::Entries),
        ),
        ("lines of deletions", beside.deleted, lines_of(Destination::Deleted)),
        ("lines of errors", beside.errors, lines_of(Destination::Errors)),
        ("header lines", beside.headers, lines_of(Destination::Headers)),
        ("records in quarantine", records.quarantined, raw.clone().map(|file| file.records).sum()),
        (
            "bytes in quarantine",
            bytes.quarantined + records.quarantined,
            raw.map(|file| file.plain_bytes).sum(),
        ),
    ];
    match sums.into_iter().find(|(_, read, accounted): &(_, u64, u64)| read != accounted) {
        Some((of, read, accounted)) => Err(RunError::Ledger(Imbalance { of, read, accounted }).into()),
        None => Ok(()),
    }
}

fn is_sidecar(output: &Receipt) -> bool {
    output.destination.is_some_and(|destination| destination.is_sidecar())
}

fn note_diverted(finished: &Finished, report: &mut Report) {
    let diverted = finished.diverted_records();
    if diverted > 0 {
        let most = fhirline_sink::MAX_DESTINATIONS;
        let note = format!("{diverted} records of types beyond the first {most} went to _unknown");
        report.account.notes.push(note);
        report.account.ledger.unknown_types += diverted;
    }
}
