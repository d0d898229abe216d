use std::sync::Arc;

use fhirline_flow::Progress;
use fhirline_sink::{Checkpoint, ResumeError, SplitSink};

use super::run::Run;
use crate::destination::{self, Holds, Left};
use crate::manifest::{Manifest, Ours};
use crate::{JobError, Report};

const NO_CHECKPOINT: &str = "it had not come to its first checkpoint";
const A_STREAM: &str = "standard input and pipes cannot be read again";
const SOME_SEALED: &str = "some of its outputs are missing or not as it left them";

/// How a run starts on what a destination holds.
pub(super) enum Start {
    /// Everything was done before.
    Done(Box<Report>),
    /// There is something to do.
    Begun(Box<Begun>),
}

/// A run that has begun.
pub(super) struct Begun {
    pub(super) sink: SplitSink,
    /// Where to go on.
    pub(super) from: Option<Progress>,
    /// Bytes behind the checkpoint that were cut off, and will be written again.
    pub(super) discarded_bytes: u64,
    /// Why an interrupted run was not continued.
    pub(super) why_afresh: Option<String>,
}

/// What came of going on from a checkpoint.
enum Attempt {
    Begun(Box<Begun>),
    /// It does not hold any more, and why.
    Lost(String),
}

impl Run<'_> {
    /// Makes sure that the destination is free, or goes on with what it holds. Nothing is changed before it is certain that
    /// it may be.
    pub(super) fn start(&self) -> Result<Start, JobError> {
        let store = &*self.store;
        match destination::look(store).map_err(self.failed("look into"))? {
            Holds::Nothing => destination::claim(store).map_err(self.failed("write to"))?,
            Holds::Others => return Err(JobError::NotOurs { name: self.to.name() }),
            Holds::Complete(manifest) if self.to.overwrite => {
                destination::remove_complete(store, &manifest).map_err(self.failed("clean"))?;
            }
            Holds::Complete(manifest) => return self.on_complete(*manifest),
            Holds::Interrupted(left) if self.to.overwrite => return self.afresh(&left, None),
            Holds::Interrupted(left) => return self.on_interrupted(left),
        }
        Ok(self.begun_new(None))
    }

    fn on_complete(&self, manifest: Manifest) -> Result<Start, JobError> {
        let (known, name) = (&self.known, self.to.name());
        let theirs = &manifest.extension.fhirline;
        if known.fingerprint.is_none() || theirs.fingerprint != known.fingerprint {
            let mut differences = known.differences(&theirs.options);
            if differences.is_empty() {
                differences.push("the sources".to_owned());
            }
            return Err(JobError::OtherRun { name, differences });
        }
        match destination::damaged(&*self.store, &manifest).map_err(self.failed("look into"))? {
            Some(file) => Err(JobError::Damaged { name, file }),
            None => {
                destination::tidy(&*self.store).map_err(self.failed("clean"))?;
                Ok(Start::Done(Box::new(recorded(manifest))))
            }
        }
    }

    fn on_interrupted(&self, mut left: Left) -> Result<Start, JobError> {
        if let Some(report) = self.finish_sealing(&mut left)? {
            return Ok(Start::Done(Box::new(report)));
        }
        let noted = destination::checkpoints(&*self.store).map_err(self.failed("look into"))?;
        let mut why = if self.known.fingerprint.is_none() { A_STREAM } else { NO_CHECKPOINT }.to_owned();
        for bytes in noted {
            match parsed(&bytes) {
                Ok((checkpoint, progress)) => match self.go_on(&left, checkpoint, progress)? {
                    Attempt::Begun(begun) => return Ok(Start::Begun(begun)),
                    Attempt::Lost(lost) => why = lost,
                },
                Err(no_sense) => why = no_sense,
            }
            // What it vouches for is not all there; what comes to stand in its place may be something else.
            destination::forget_latest(&*self.store).map_err(self.failed("write to"))?;
        }
        self.afresh(&left, Some(why))
    }

    /// Completes a run that died when all but the names of its outputs was done.
    fn finish_sealing(&self, left: &mut Left) -> Result<Option<Report>, JobError> {
        let is_this_run = |manifest: &Manifest| {
            self.known.fingerprint.is_some()
                && manifest.extension.fhirline.fingerprint == self.known.fingerprint
        };
        let Some(sealing) = &left.sealing else { return Ok(None) };
        if !is_this_run(&sealing.manifest) {
            return Ok(None);
        }
        let finished = destination::finish_sealing(&*self.store, left, self.is_durable());
        if !finished.map_err(self.failed("complete"))? {
            return Ok(None);
        }
        Ok(left.sealing.take().map(|sealing| recorded(*sealing.manifest)))
    }

    /// Goes on where a checkpoint stands, if it is of this run and everything is as it was.
    fn go_on(&self, left: &Left, checkpoint: Checkpoint, progress: Progress) -> Result<Attempt, JobError> {
        let name = || self.to.name();
        let differences = self.known.differences_to_run(checkpoint.run());
        if !differences.is_empty() {
            return Err(JobError::OtherOptions { name: name(), differences });
        }
        let same = progress.check_sources(self.job.entries());
        same.map_err(|source| JobError::SourceChanged { name: name(), source })?;
        if self.known.fingerprint.is_none() {
            return Ok(Attempt::Lost(A_STREAM.to_owned()));
        }
        if left.any_sealed() {
            return Ok(Attempt::Lost(SOME_SEALED.to_owned()));
        }
        // It would tell whoever comes next that the run had come to its end.
        destination::forget_manifest(&*self.store).map_err(self.failed("clean"))?;
        let (store, options) = (Arc::clone(&self.store), self.sink_options());
        match SplitSink::resume(store, options, destination::marker(), checkpoint) {
            Ok((sink, resumed)) => {
                let discarded_bytes = resumed.discarded_bytes;
                let begun = Begun { sink, from: Some(progress), discarded_bytes, why_afresh: None };
                Ok(Attempt::Begun(Box::new(begun)))
            }
            Err(ResumeError::Sink(error)) => Err(error.into()),
            Err(lost) => Ok(Attempt::Lost(lost.to_string())),
        }
    }

    fn afresh(&self, left: &Left, why: Option<String>) -> Result<Start, JobError> {
        destination::remove_interrupted(&*self.store, left).map_err(self.failed("clean"))?;
        Ok(self.begun_new(why))
    }

    fn begun_new(&self, why_afresh: Option<String>) -> Start {
        let mut sink = SplitSink::new(Arc::clone(&self.store), self.sink_options());
        if self.checkpoint_bytes().is_some() {
            sink = sink.with_checkpoints(destination::marker(), self.known.run());
        }
        Start::Begun(Box::new(Begun { sink, from: None, discarded_bytes: 0, why_afresh }))
    }
}

fn parsed(checkpoint: &[u8]) -> Result<(Checkpoint, Progress), String> {
    let checkpoint = Checkpoint::parse(checkpoint).map_err(|error| error.to_string())?;
    let progress = serde_json::from_str(checkpoint.progress().get());
    // What the parser says could quote the file.
    let progress = progress.map_err(|_| "the checkpoint makes no sense".to_owned())?;
    Ok((checkpoint, progress))
}

/// The report of a run that was done before.
pub(super) fn recorded(manifest: Manifest) -> Report {
    let outputs = manifest.outputs();
    let Ours { account, sidecars, .. } = manifest.extension.fhirline;
    let status = account.status();
    Report {
        status,
        exit_code: status.code(),
        already_complete: true,
        account,
        outputs,
        sidecars,
        ..Report::default()
    }
}
