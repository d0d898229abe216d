use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::ServeError;
use crate::store::beside;

/// One process serves a file of SQLite: its queue belongs to that process.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl Lock {
    pub(crate) fn take(file: &Path) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Lock { name: file.display().to_string(), source };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = File::options();
        let lock =
            options.create(true).append(true).mode(0o600).open(beside(file, "-lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self(lock)),
            Err(TryLockError::WouldBlock) => Err(ServeError::InUse { name: file.display().to_string() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
