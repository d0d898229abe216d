use std::io;

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
    /// A compression job was lost: the worker that ran it has ended.
    #[error("a worker ended before it gave its result back")]
    WorkerLost,
}

impl SinkError {
    /// For `map_err`: what was tried on which output.
    pub(crate) fn store(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> Self {
        let name = name.to_owned();
        move |source| Self::Store { action, name, source }
    }
}
