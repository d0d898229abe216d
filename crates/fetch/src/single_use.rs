use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Guards a stream that can be read once, from its first byte.
///
/// A pipe that is opened again gives what is left of it without any sign that something is missing, so the second opening
/// has to fail.
#[derive(Debug, Default)]
pub(crate) struct SingleUse(AtomicBool);

impl SingleUse {
    /// Grants the one opening.
    pub(crate) fn take(&self, name: &str, offset: u64) -> io::Result<()> {
        if offset != 0 {
            return Err(refusal(format!(
                "{name} can only be read from its beginning, not from byte {offset}"
            )));
        }
        if self.0.swap(true, Ordering::Relaxed) {
            return Err(refusal(format!("{name} was opened before and can only be read once")));
        }
        Ok(())
    }
}

fn refusal(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::NotSeekable, why)
}

/// The refusal to begin behind the end of a source: it is not the one that somebody read up to there.
pub(crate) fn behind_the_end(name: &str, offset: u64, length: u64) -> io::Error {
    let why = format!("{name} has {length} bytes and cannot be read from byte {offset}");
    io::Error::new(io::ErrorKind::UnexpectedEof, why)
}
