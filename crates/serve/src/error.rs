use std::error::Error;
use std::io;

use crate::config::ConfigError;
use crate::store::StoreError;

/// Why the service cannot go on. No key, link or body is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration is none.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue refused.
    #[error("cannot use the queue")]
    Queue(#[source] Box<dyn Error + Send + Sync>),
    /// Another process serves this database.
    #[error("another process serves the database {name}")]
    InUse {
        /// The file.
        name: String,
    },
    /// What keeps other processes from it cannot be had.
    #[error("cannot lock the database {name}")]
    Lock {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It cannot listen.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Something of the system failed.
    #[error("cannot {step}")]
    System {
        /// What was tried.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl ServeError {
    pub(crate) fn queue(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Queue(error.into())
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } => Some(
                "a file of SQLite serves one process: stop the other one, or use PostgreSQL for several (store = \"postgres://…\")",
            ),
            Self::Queue(_) => {
                Some("PostgreSQL needs the extension pgcrypto, and the right to create a schema")
            }
            Self::Lock { .. } => {
                Some("see `store` in the configuration: a file in a folder that may be written to")
            }
            Self::Listen { .. } => Some("choose another address by `listen`"),
            Self::Store(error) => error.hint(),
            Self::Config(error) => error.hint(),
            _ => None,
        }
    }
}
