use std::io;

use fhirline_bundle::Refused;

/// A sink that cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The store refused.
    #[error("cannot {action} {name}")]
    Store {
        /// What was tried: `create`, `write to`, `seal`, …
        action: &'static str,
        /// The output's name.
        name: String,
        /// What the store said.
        source: io::Error,
    },
    /// The outputs would be more files than a run may make.
    #[error("more than {max_files} output files")]
    TooManyFiles {
        /// The most files that a run may make.
        max_files: usize,
    },
    /// Nobody reads what the sink writes any more.
    #[error("the reader of the output has gone")]
    Closed,
    /// A block could not be compressed.
    #[error("cannot compress a block of {name}")]
    Encode {
        /// The output's name.
        name: String,
        /// What the encoder said.
        source: io::Error,
    },
    /// The spool of a long line does not hold what was written to it.
    #[error("the spool of a long line ends at byte {byte}")]
    SpoolCut {
        /// Where it ends.
        byte: u64,
    },
    /// A resource cannot be written into a Bundle as was asked.
    #[error("cannot write the resource in {name}, line {line}, byte {byte} into a Bundle")]
    Entry {
        /// The name of its source.
        name: String,
        /// The physical line on which it begins.
        line: u64,
        /// Its first byte in the decoded source.
        byte: u64,
        /// Why.
        #[source]
        why: Refused,
    },
    /// A sink of somebody else's cannot go on.
    #[error("the sink cannot go on")]
    Own {
        /// What it says. It is shown to users, so it must hold nothing of a record.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A compression job was lost: the worker that ran it has ended.
    #[error("a worker ended before it gave its result back")]
    WorkerLost,
}

/// A checkpoint that cannot be gone on from. What the store holds is still what an interrupted run left: under provisional
/// names, none of which is cut shorter than the checkpoint says, so whoever wants to can start afresh.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The checkpoint is none of ours, or not whole.
    #[error("the checkpoint makes no sense: {why}")]
    Malformed {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another version wrote the checkpoint.
    #[error("the checkpoint has format {version}, which this version does not know")]
    UnknownFormat {
        /// The number of the format.
        version: u64,
    },
    /// The checkpoint belongs to a run with other options.
    #[error("the interrupted run had another {what}")]
    OtherOptions {
        /// What differs: `compression`, `checksum`, `block size`.
        what: &'static str,
    },
    /// An output is not there any more.
    #[error("{name} is gone")]
    Missing {
        /// The output's provisional name.
        name: String,
    },
    /// An output has lost bytes.
    #[error("{name} has {stored_bytes} bytes and had {noted_bytes}")]
    Short {
        /// The output's provisional name.
        name: String,
        /// What it has.
        stored_bytes: u64,
        /// What it had at the checkpoint.
        noted_bytes: u64,
    },
    /// An output does not hold the bytes that were written to it.
    #[error("{name} is not what it was")]
    Changed {
        /// The output's provisional name.
        name: String,
    },
    /// The object with the open blocks is gone or is not what it was.
    #[error("{name} is gone or not what it was")]
    OpenBlocks {
        /// The object's name.
        name: String,
    },
    /// The store refused.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl SinkError {
    /// For sinks of others, by `map_err`: what made them stop.
    pub fn own(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Own { source: error.into() }
    }

    /// For `map_err`: what was tried on which output.
    pub(crate) fn store(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> Self {
        let name = name.to_owned();
        move |source| Self::Store { action, name, source }
    }
}
