//! Lines among which there are Bundles, one by one.

use std::cmp::Ordering;

use memchr::memmem;

use fhirline_core::{Lease, Lines, Position};
use fhirline_route::{Router, envelope};

/// What tells that a line may be a Bundle, before it is read. (One whose `resourceType` is written with escapes is delivered
/// as it is.)
const BUNDLE: &[u8] = b"\"Bundle\"";

/// Whether one of the lines may be a Bundle.
pub(crate) fn may_hold_bundles(lines: &[u8]) -> bool {
    memmem::find(lines, BUNDLE).is_some()
}

/// The lines of a chunk.
pub(crate) struct Sliced {
    lines: Lines,
    /// The next line, and where it begins in the chunk.
    next: usize,
    from: usize,
    /// The first line that is a Bundle.
    first_bundle: usize,
    /// Where the chunk begins and ends.
    at: Position,
    end: Position,
    lease: Option<Lease>,
}

/// One of the lines, its line end included.
pub(crate) enum Slice<'s> {
    /// A record, or blank.
    Line {
        bytes: &'s [u8],
        at: Position,
    },
    Bundle {
        bytes: Vec<u8>,
        at: Position,
    },
}

impl Sliced {
    /// The lines, if there is a Bundle among them; else they come back.
    pub(crate) fn new(lines: Lines, router: &Router) -> Result<Self, Lines> {
        let Some(first_bundle) = lines.iter().position(|(_, line)| is_bundle(line, router)) else {
            return Err(lines);
        };
        let at = lines.at;
        let end = at.advanced(lines.bytes.len() as u64, lines.len() as u64);
        Ok(Self { lines, next: 0, from: 0, first_bundle, at, end, lease: None })
    }

    /// Keeps what the lines cost.
    pub(crate) fn pay(&mut self, lease: Option<Lease>) {
        self.lease = lease;
        if let Some(lease) = &mut self.lease {
            lease.shrink_to(self.lines.bytes.capacity() as u64);
        }
    }

    pub(crate) fn at(&self) -> Position {
        self.at
    }

    pub(crate) fn end(&self) -> Position {
        self.end
    }

    pub(crate) fn next(&mut self, router: &Router) -> Option<Slice<'_>> {
        let end = *self.lines.ends.get(self.next)? as usize;
        let at = self.at.advanced(self.from as u64, self.next as u64);
        let is_only = self.lines.len() == 1;
        let from = std::mem::replace(&mut self.from, end);
        let number = self.next;
        self.next += 1;
        let is_bundle = match number.cmp(&self.first_bundle) {
            Ordering::Less => false,
            Ordering::Equal => true,
            Ordering::Greater => is_bundle(&self.lines.bytes[from..end], router),
        };
        if !is_bundle {
            return Some(Slice::Line { bytes: &self.lines.bytes[from..end], at });
        }
        // A long line is alone, and not held twice.
        let bytes = if is_only {
            std::mem::take(&mut self.lines.bytes)
        } else {
            self.lines.bytes[from..end].to_vec()
        };
        Some(Slice::Bundle { bytes, at })
    }

    pub(crate) fn into_lines(self) -> Lines {
        self.lines
    }
}

/// Whether a record is a Bundle.
pub(crate) fn is_bundle(line: &[u8], router: &Router) -> bool {
    let has_name = memmem::find(line, BUNDLE).is_some();
    has_name && envelope(line, router.proof).is_ok_and(|found| found.resource_type == "Bundle")
}
