use std::mem;
use std::sync::{Mutex, PoisonError};

use fhirline_core::{LongLine, NoSpools, Spools, Verdict};

use crate::Resource;

/// Looks at a record that was too long to be held, if it is a resource that is delivered. Its bytes are read from a spool.
pub fn with_long_resource<T>(line: &mut LongLine, look: impl FnOnce(&Resource<'_>) -> T) -> Option<T> {
    let Verdict::Delivered { destination, record } = &line.verdict else { return None };
    if destination.is_sidecar() {
        return None;
    }
    let (destination, record) = (*destination, record.clone());
    // A resource lends its spool to several readers at once, so for as long as that it is out of the line.
    let nothing = NoSpools.create().ok()?;
    let spool = Mutex::new(mem::replace(&mut line.spool, nothing));
    let looked = look(&Resource::spooled(destination, line.at, &spool, record));
    line.spool = spool.into_inner().unwrap_or_else(PoisonError::into_inner);
    Some(looked)
}
