use std::error::Error;
use std::io;

/// What PostgreSQL does not do. Its own messages quote rows, so only what was tried and the code of the error (SQLSTATE) go on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {why}")]
pub struct DatabaseError {
    action: &'static str,
    why: String,
}

impl DatabaseError {
    /// For `map_err`: what was tried.
    pub(crate) fn when(action: &'static str) -> impl FnOnce(postgres::Error) -> Self {
        move |error| Self { action, why: why(&error) }
    }

    /// The same where rows are written as to a file.
    pub(crate) fn when_writing(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<postgres::Error>());
            Self { action, why: inner.map_or_else(|| error.kind().to_string(), why) }
        }
    }

    pub(crate) fn new(action: &'static str, why: &str) -> Self {
        Self { action, why: why.to_owned() }
    }
}

fn why(error: &postgres::Error) -> String {
    if let Some(state) = error.code() {
        return format!("PostgreSQL says {}", state.code());
    }
    let system = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match system {
        Some(error) => error.kind().to_string(),
        None if error.is_closed() => "the connection is closed".to_owned(),
        None => "the URL or the connection does not fit".to_owned(),
    }
}
