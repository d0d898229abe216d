use std::io;

use fhirline_core::PARTIAL_SUFFIX;

/// Refuses names that could lead out of a store, or that mean different things on different systems.
pub(crate) fn check(name: &str) -> io::Result<()> {
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', ':']);
    if name.split('/').all(plain) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} cannot be a name in a store")))
}

/// Refuses a final name that looks like a provisional one as well.
pub(crate) fn check_final(name: &str) -> io::Result<()> {
    check(name)?;
    if name.ends_with(PARTIAL_SUFFIX) {
        let why = format!("{name:?} is a provisional name, not a final one");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(())
}

pub(crate) fn partial_name(name: &str) -> String {
    format!("{name}{PARTIAL_SUFFIX}")
}

pub(crate) fn already_exists(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} exists already"))
}

pub(crate) fn too_large(name: &str, max_bytes: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("{name} has more than {max_bytes} bytes"))
}

pub(crate) fn beyond_the_end(name: &str, bytes: u64, stored_bytes: u64) -> io::Error {
    let why = format!("{name} has {stored_bytes} bytes and cannot be cut back to {bytes}");
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
