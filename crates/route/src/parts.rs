//! What was found in containers, placed.

use fhirline_bundle::compact_in_place;
use fhirline_core::{BadRecord, Destination, Fault, Ledger, PartKind, PartSpan, Parts};
use fhirline_parse::{Proof, envelope};

use crate::place::{Place, Placed, Scratch, destination_of};
use crate::router::{place_in, reject};
use crate::{Grouping, IdRule, Router};

impl Router {
    /// Where records go that are left out, in the words of the sidecar of entries.
    pub const FILTERED: &'static str = "_filtered";
    /// Where records go that are rejected.
    pub const QUARANTINED: &'static str = "_quarantine";
    /// Where entries go that have no resource.
    pub const ENTRIES: &'static str = "_entries";

    /// The name of the output to which a record goes.
    #[must_use]
    pub fn output_name(&self, record: &[u8], proof: Proof) -> String {
        match self.judged(record, proof).map(|found| destination_of(&found.resource_type)) {
            Ok(destination) if self.selection.wants(&destination) => match self.grouping {
                Grouping::ByType => destination.name().to_owned(),
                Grouping::Together => Destination::Together.name().to_owned(),
            },
            Ok(_) => Self::FILTERED.to_owned(),
            Err(_) => Self::QUARANTINED.to_owned(),
        }
    }

    /// Notes where each part goes, and puts those that are delivered on one line.
    pub(crate) fn place_parts(&self, parts: &mut Parts, scratch: &mut Scratch, ledger: &mut Ledger) {
        for part in &parts.list {
            let bytes = &mut parts.bytes[part.from as usize..(part.from + part.length) as usize];
            let known = part.known_type.and_then(|at| parts.types.get(usize::from(at))).copied();
            match (part.kind, known) {
                (PartKind::Resource, Some(known)) if self.ids == IdRule::Any => {
                    let group = self.group_of_type(known, scratch);
                    place_delivered(group, bytes, part, scratch, ledger);
                }
                (PartKind::Resource, _) => self.place_resource(bytes, part, scratch, ledger),
                (PartKind::Line, _) => self.place_line(bytes, place_of(part), scratch, ledger),
                (PartKind::Entry, _) => self.place_entry(bytes, part, scratch, ledger),
                (PartKind::Broken(why), _) => set_aside(part, why, scratch, ledger),
                (PartKind::Sidecar(destination), _) => place_beside(destination, part, part.length, scratch),
            }
        }
    }

    /// What part of the proof is left to do.
    fn proof_of(&self, part: &PartSpan) -> Proof {
        if part.proven { Proof::Trusted } else { self.proof }
    }

    fn place_resource(&self, bytes: &mut [u8], part: &PartSpan, scratch: &mut Scratch, ledger: &mut Ledger) {
        let (group, has_duplicates) = match self.judged(bytes, self.proof_of(part)) {
            Ok(found) => (self.group_of(&found, scratch), found.duplicate_keys > 0),
            // It is kept as it was.
            Err(why) => return set_aside(part, why, scratch, ledger),
        };
        let delivered = place_delivered(group, bytes, part, scratch, ledger);
        ledger.duplicate_keys += delivered * u64::from(has_duplicates);
    }

    /// An entry without a resource is no record, and is kept as it is.
    fn place_entry(&self, bytes: &mut [u8], part: &PartSpan, scratch: &mut Scratch, ledger: &mut Ledger) {
        match self.proven_object(bytes, self.proof_of(part)) {
            Ok(()) => {
                let length = if part.line_ends == 0 { bytes.len() } else { compacted(bytes, ledger) };
                ledger.containers.bare_entries += 1;
                ledger.bytes.sidecars += length as u64;
                place_beside(Destination::Entries, part, length as u32, scratch);
            }
            Err(why) => set_aside(part, why, scratch, ledger),
        }
    }

    /// Proves that the bytes are an object, with a resource type or without.
    fn proven_object(&self, bytes: &[u8], proof: Proof) -> Result<(), BadRecord> {
        match envelope(bytes, proof) {
            Err(why) if !is_about_type(why.fault) => Err(why),
            _ => Ok(()),
        }
    }
}

/// Whether the fault is one that only a sound object can have.
pub(crate) fn is_about_type(fault: Fault) -> bool {
    matches!(fault, Fault::NoResourceType | Fault::ResourceTypeNotString | Fault::ResourceTypeEmpty)
}

/// Places a sound resource, on one line; returns whether it is delivered (1) or left out (0).
fn place_delivered(
    group: u32,
    bytes: &mut [u8],
    part: &PartSpan,
    scratch: &mut Scratch,
    ledger: &mut Ledger,
) -> u64 {
    let length = if part.line_ends == 0 { bytes.len() } else { compacted(bytes, ledger) };
    place_in(group, place_of(part), length as u32, scratch, ledger)
}

fn place_of(part: &PartSpan) -> Place {
    Place { from: part.from, offset: part.offset, line: part.line }
}

fn set_aside(part: &PartSpan, why: BadRecord, scratch: &mut Scratch, ledger: &mut Ledger) {
    reject(place_of(part), part.length, part.line_ends + 1, why, scratch, ledger);
}

/// Leaves out the white space between tokens.
fn compacted(bytes: &mut [u8], ledger: &mut Ledger) -> usize {
    let (length, dropped) = compact_in_place(bytes);
    ledger.bytes.white_space += dropped.white_space;
    ledger.bytes.terminators += dropped.terminators;
    length
}

fn place_beside(destination: Destination, part: &PartSpan, length: u32, scratch: &mut Scratch) {
    let group = scratch.groups.number(destination, |_| true);
    let beside = &mut scratch.groups.all[group as usize];
    beside.records += 1;
    beside.bytes += u64::from(length);
    scratch.placed.push(Placed { group, span: place_of(part).span(length), from: part.from });
}
