use std::io;

use fhirline_bundle::Refused;
use fhirline_core::Setting;
#[cfg(feature = "http")]
use fhirline_fetch::BulkError;
use fhirline_fetch::{FetchError, too_many_open_files};
use fhirline_flow::{RunError, SourceChanged, TooLittleMemory};
use fhirline_sink::SinkError;

use crate::{ExitStatus, ReplayError, RestoreError};

/// Why a job could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// What was given as a source is none.
    #[error("cannot take the sources as given")]
    Sources(#[from] FetchError),
    /// The sources hold nothing that looks like data.
    #[error("there is nothing to read: none of what was found looks like data ({skipped} passed over)")]
    NothingToRead {
        /// How many things were passed over.
        skipped: u64,
    },
    /// The sources are more than one download takes.
    #[error("there are more than {most} sources, which is more than one download takes")]
    TooManySources {
        /// How many it takes.
        most: usize,
    },
    /// The memory is too little for what is asked.
    #[error("cannot work within the memory given")]
    Memory(#[from] TooLittleMemory),
    /// A source lies in the destination, where it might be overwritten.
    #[error("the source {source_name} lies in the destination")]
    SourceInDestination {
        /// The source as given.
        source_name: String,
    },
    /// The destination is not a folder.
    #[error("the destination {name} is not a folder")]
    NotAFolder {
        /// The destination as given.
        name: String,
    },
    /// The destination cannot be one.
    #[error("cannot write to {name}: {why}")]
    BadDestination {
        /// The destination as given, without what may be secret.
        name: String,
        /// Why not.
        why: String,
    },
    /// The destination holds files that are not ours.
    #[error("the destination {name} is not empty, and what it holds was not made by fhirline")]
    NotOurs {
        /// The destination as given.
        name: String,
    },
    /// What is to be written exists already.
    #[error("{name} exists already")]
    Exists {
        /// The first output that does.
        name: String,
    },
    /// The destination holds a complete run of something else.
    #[error(
        "the destination {name} holds a complete run that differs from this one in {}",
        listed(differences)
    )]
    OtherRun {
        /// The destination as given.
        name: String,
        /// The options that differ, as [`Setting`] names them; `the sources` if none does.
        differences: Vec<String>,
    },
    /// The destination holds an interrupted run with other options.
    #[error(
        "the destination {name} holds an interrupted run that differs from this one in {}",
        listed(differences)
    )]
    OtherOptions {
        /// The destination as given.
        name: String,
        /// The options that differ.
        differences: Vec<String>,
    },
    /// The destination holds an interrupted run, which has read sources that are not the same any more.
    #[error("the interrupted run in the destination {name} cannot be continued")]
    SourceChanged {
        /// The destination as given.
        name: String,
        /// Which source, and what differs.
        source: SourceChanged,
    },
    /// Another run is writing to the destination.
    #[error("another run is writing to the destination {name}")]
    InUse {
        /// The destination as given.
        name: String,
    },
    /// The destination holds this run, but not as the run left it.
    #[error("the destination {name} holds this run already, but {file} is not as the run left it")]
    Damaged {
        /// The destination as given.
        name: String,
        /// The first file that is missing or has another length.
        file: String,
    },
    /// The destination refuses.
    #[error("cannot {action} the destination {name}")]
    Destination {
        /// What was tried.
        action: &'static str,
        /// The destination as given.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// Rejected records cannot be run again.
    #[error("cannot run the rejected records again")]
    Replay(#[from] ReplayError),
    /// Bundles cannot be put together again.
    #[error("cannot restore the Bundles")]
    Restore(#[from] RestoreError),
    /// A server was asked for an export, and none came about.
    #[cfg(feature = "http")]
    #[error("no export came about")]
    Export(#[from] BulkError),
    /// There is no export to cancel.
    #[cfg(feature = "http")]
    #[error("the destination {name} holds no export that goes on")]
    NoExport {
        /// The destination as given.
        name: String,
    },
    /// Sources were not whole, so what was handed out of them is not all that they should hold.
    #[error("{sources} of the sources could not be read to the end")]
    Incomplete {
        /// How many.
        sources: u64,
    },
    /// What a sink noted is of a run over a stream, which nobody can tell from another.
    #[error("cannot go on with the run {name}: one of the sources is a stream")]
    Stream {
        /// The destination.
        name: String,
    },
    /// The job could not be done, and why was told before: by the last item.
    #[error("the job could not be done, as its last item said")]
    Told,
    /// A filter, a callback or a sink that the job was given panicked in a thread of the job. In a thread of the caller's a panic goes
    /// through.
    #[error("code that the job was given panicked: a filter, a callback or a sink")]
    CallerPanicked,
    /// The run had to stop.
    #[error(transparent)]
    Run(RunError),
}

impl JobError {
    /// The exit status of the process.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Run(RunError::Cancelled) => ExitStatus::Interrupted,
            Self::Run(error) if error.is_closed() => ExitStatus::Complete,
            Self::Incomplete { .. } => ExitStatus::Incomplete,
            #[cfg(feature = "http")]
            Self::Export(error) => status_of_export(error),
            Self::Run(_) | Self::Destination { .. } | Self::Told | Self::CallerPanicked => ExitStatus::Failed,
            Self::Replay(error) => error.exit_status(),
            Self::Restore(error) => error.exit_status(),
            _ => ExitStatus::Usage,
        }
    }

    /// What can be done about it. It calls what can be set by the names of builder methods; [`Setting::renamed`] puts others in their
    /// place, as the command line does with options.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NothingToRead { .. } => {
                Some("name a file directly to have it read whatever it looks like".into())
            }
            Self::Memory(error) => {
                Some(format!("give {} {}MiB or more", Setting::Memory, error.least_bytes >> 20))
            }
            Self::SourceInDestination { .. } => {
                Some("choose a destination that holds none of the sources".into())
            }
            Self::NotAFolder { .. } | Self::NotOurs { .. } => {
                Some("choose a folder that is new or empty".into())
            }
            Self::Exists { .. } => {
                Some(format!("choose another name, or give {} to replace it", Setting::Overwrite))
            }
            Self::InUse { .. } => Some("wait for it to end, or choose another folder".into()),
            Self::Damaged { .. } => Some(format!("give {} to make it anew", Setting::Overwrite)),
            Self::OtherRun { .. } => {
                Some(format!("choose another folder, or give {} to replace that run", Setting::Overwrite))
            }
            Self::OtherOptions { .. } => Some(format!(
                "give the same options as before, choose another folder, or give {} to begin afresh",
                Setting::Overwrite
            )),
            Self::SourceChanged { .. } => {
                Some(format!("choose another folder, or give {} to begin afresh", Setting::Overwrite))
            }
            Self::Replay(error) => error.hint(),
            Self::Restore(error) => error.hint(),
            Self::Run(error) => run_hint(error),
            Self::Destination { source, .. } => io_hint(source),
            Self::Sources(error) => error.hint(),
            Self::TooManySources { .. } => {
                Some("fetch them in several runs, each into a folder of its own".into())
            }
            #[cfg(feature = "http")]
            Self::Export(error) => error.hint().map(str::to_owned),
            #[cfg(feature = "http")]
            Self::NoExport { .. } => Some("name the folder that the export was to be fetched to".into()),
            Self::Stream { .. } => Some("give the sink a destination that holds no run".into()),
            Self::BadDestination { .. } | Self::Incomplete { .. } | Self::Told | Self::CallerPanicked => None,
        }
    }
}

impl From<RunError> for JobError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Places(why) => match why.downcast() {
                Ok(replay) => Self::Replay(*replay),
                Err(why) => Self::Run(RunError::Places(why)),
            },
            error => Self::Run(error),
        }
    }
}

impl From<SinkError> for JobError {
    fn from(error: SinkError) -> Self {
        Self::Run(RunError::Sink(error))
    }
}

#[cfg(feature = "http")]
fn status_of_export(error: &BulkError) -> ExitStatus {
    match error {
        BulkError::Stopped => ExitStatus::Interrupted,
        BulkError::BadBase { .. } | BulkError::BadGroup | BulkError::Key { .. } => ExitStatus::Usage,
        _ => ExitStatus::Failed,
    }
}

/// `one`, `one and two`, `one, two and three`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

fn run_hint(error: &RunError) -> Option<String> {
    match error {
        RunError::Sink(SinkError::Store { source, .. }) => io_hint(source),
        RunError::Sink(SinkError::TooManyFiles { .. }) => {
            Some("raise the limits that make outputs small, or their number".into())
        }
        RunError::Sink(SinkError::Entry { why: Refused::Duplicate, .. }) => {
            Some(format!("give {} uuid or new-bundle", Setting::OnDuplicate))
        }
        RunError::TooManyRejects { .. } => Some(format!(
            "without a limit, {} counts all faults and names the first place of each",
            Setting::Stats
        )),
        RunError::Changed(_) => {
            Some(format!("put the source back as it was, or give {} to begin afresh", Setting::Overwrite))
        }
        RunError::Ledger(_) | RunError::WorkerLost => Some(format!(
            "this is a defect of fhirline; nothing was given its final name; {} begins afresh",
            Setting::Overwrite
        )),
        _ => None,
    }
}

fn io_hint(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space and run the same again; nothing incomplete has a final name"
        }
        io::ErrorKind::FileTooLarge => {
            "raise the limit on the size of files (ulimit -f) and run the same again"
        }
        io::ErrorKind::PermissionDenied => "check who may write there",
        _ if too_many_open_files(error) => "let it have more files open (ulimit -n) and run the same again",
        io::ErrorKind::ReadOnlyFilesystem => "choose a destination on a file system that can be written",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn too_many_open_files_are_told_with_what_helps() {
        // EMFILE, on all systems that there are.
        let source = io::Error::from_raw_os_error(24);
        let error = JobError::Destination { name: "out".to_owned(), action: "write to", source };
        assert!(error.hint().is_some_and(|hint| hint.contains("ulimit -n")), "{:?}", error.hint());
    }

    #[test]
    fn lists_read_like_sentences() {
        let of = |names: &[&str]| listed(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&[]), "");
        assert_eq!(of(&["a"]), "a");
        assert_eq!(of(&["a", "b"]), "a and b");
        assert_eq!(of(&["a", "b", "c"]), "a, b and c");
    }
}
