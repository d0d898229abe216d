//! What was found in containers, placed.

use fhirline_bundle::compact_in_place;
use fhirline_core::{BadRecord, Destination, Fault, Ledger, PartKind, PartSpan, Parts, Position, SourceRole};
use fhirline_parse::{Proof, envelope};

use crate::place::{Place, Scratch, destination_of};
use crate::router::{Judged, note_beside, place_beside, reject};
use crate::{Grouping, IdRule, Resource, Router};

impl Router {
    /// Where records go that are left out, in the words of the sidecar of entries.
    pub const FILTERED: &'static str = "_filtered";
    /// Where records go that are rejected.
    pub const QUARANTINED: &'static str = "_quarantine";
    /// Where entries go that have no resource.
    pub const ENTRIES: &'static str = "_entries";

    /// The name of the output to which a record goes that stands there.
    #[must_use]
    pub fn output_name(&self, record: &[u8], at: Position, proof: Proof) -> String {
        let destination = match self.judged(record, proof, |_| None) {
            Ok(Judged::Record(found)) => destination_of(&found.resource_type),
            Ok(Judged::Beside(sidecar)) => sidecar,
            Err(_) => return Self::QUARANTINED.to_owned(),
        };
        let keeps = || match &self.filters {
            Some(filters) => filters.keep(&Resource::inline(destination, at, record)),
            None => true,
        };
        match self.grouping {
            _ if !self.selection.wants(&destination) || !keeps() => Self::FILTERED.to_owned(),
            Grouping::ByType => destination.name().to_owned(),
            Grouping::Together => Destination::Together.name().to_owned(),
        }
    }

    /// Notes where each part goes, and puts those that are delivered on one line.
    pub(crate) fn place_parts(
        &self,
        parts: &mut Parts,
        role: SourceRole,
        scratch: &mut Scratch,
        ledger: &mut Ledger,
    ) {
        // Headers stand on lines only.
        let sidecar = role.sidecar();
        for part in &parts.list {
            let bytes = &mut parts.bytes[part.from as usize..(part.from + part.length) as usize];
            let known = part.known_type.and_then(|at| parts.types.get(usize::from(at))).copied();
            match (part.kind, known) {
                (PartKind::Resource, Some(known)) if self.ids == IdRule::Any && sidecar.is_none() => {
                    let group = self.group_of_type(known, scratch);
                    self.place_delivered(group, bytes, part, scratch, ledger);
                }
                (PartKind::Resource, _) => self.place_resource(bytes, part, sidecar, scratch, ledger),
                (PartKind::Line, _) => self.place_line(bytes, place_of(part), role, scratch, ledger),
                (PartKind::Entry, _) => self.place_entry(bytes, part, scratch, ledger),
                (PartKind::Broken(why), _) => set_aside(part, why, scratch, ledger),
                (PartKind::Sidecar(destination), _) => {
                    note_beside(destination, place_of(part), part.length, scratch);
                }
            }
        }
    }

    /// What part of the proof is left to do.
    fn proof_of(&self, part: &PartSpan) -> Proof {
        if part.proven { Proof::Trusted } else { self.proof }
    }

    fn place_resource(
        &self,
        bytes: &mut [u8],
        part: &PartSpan,
        sidecar: Option<Destination>,
        scratch: &mut Scratch,
        ledger: &mut Ledger,
    ) {
        let (group, has_duplicates) = match self.judged(bytes, self.proof_of(part), |_| sidecar) {
            Ok(Judged::Record(found)) => (self.group_of(&found, scratch), found.duplicate_keys > 0),
            Ok(Judged::Beside(sidecar)) => {
                let length = on_one_line(bytes, part, ledger);
                return place_beside(sidecar, place_of(part), length, scratch, ledger);
            }
            // It is kept as it was.
            Err(why) => return set_aside(part, why, scratch, ledger),
        };
        let delivered = self.place_delivered(group, bytes, part, scratch, ledger);
        ledger.duplicate_keys += delivered * u64::from(has_duplicates);
    }

    /// Places a sound resource, on one line; returns whether it is delivered (1) or left out (0).
    fn place_delivered(
        &self,
        group: u32,
        bytes: &mut [u8],
        part: &PartSpan,
        scratch: &mut Scratch,
        ledger: &mut Ledger,
    ) -> u64 {
        let length = on_one_line(bytes, part, ledger) as usize;
        self.place_in(group, place_of(part), &bytes[..length], scratch, ledger)
    }

    /// An entry without a resource is no record, and is kept as it is.
    fn place_entry(&self, bytes: &mut [u8], part: &PartSpan, scratch: &mut Scratch, ledger: &mut Ledger) {
        match self.proven_object(bytes, self.proof_of(part)) {
            Ok(()) => {
                let length = on_one_line(bytes, part, ledger);
                place_beside(Destination::Entries, place_of(part), length, scratch, ledger);
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

fn place_of(part: &PartSpan) -> Place {
    Place { from: part.from, offset: part.offset, line: part.line }
}

fn set_aside(part: &PartSpan, why: BadRecord, scratch: &mut Scratch, ledger: &mut Ledger) {
    reject(place_of(part), part.length, part.line_ends + 1, why, scratch, ledger);
}

/// Leaves out the white space between tokens of what spans lines, and says how long it is then.
fn on_one_line(bytes: &mut [u8], part: &PartSpan, ledger: &mut Ledger) -> u32 {
    if part.line_ends == 0 {
        return part.length;
    }
    let (length, dropped) = compact_in_place(bytes);
    ledger.bytes.white_space += dropped.white_space;
    ledger.bytes.terminators += dropped.terminators;
    length as u32
}
