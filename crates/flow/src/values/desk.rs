//! What becomes of each thing that a framer hands out.

use std::io;

use serde::{Deserialize, Serialize};

use fhirline_bundle::{Begins, BundleType, Container, Defect, Ending, Ends, Framed, Kind, Part, Piece};
use fhirline_core::{BadRecord, Fault, PartKind, Position};
use fhirline_route::{Proof, Router};

use super::ValuesOptions;
use super::long::{LongPart, is_kept};
use super::pack::{Pack, Proven};
use super::story::{Story, Told};

/// Names of providers are kept up to this length, and so many of a source.
const MAX_PROVIDER_BYTES: usize = 256;
const MAX_PROVIDERS: usize = 1000;

/// A member of a list of providers that is no resource, and may hold some.
pub(super) const NOT_UNDERSTOOD: BadRecord = BadRecord { fault: Fault::NoResourceType, at: 0 };

/// What is left to do once a framer's bytes are not borrowed any more.
pub(super) enum After {
    Nothing,
    /// A long part begins there.
    LongBegun(Position),
    /// A long part has ended, and that is what it is.
    LongEnded {
        kind: Kind,
        line_ends: u64,
    },
    Lines,
    CutOff(&'static str),
    /// Another value begins where a container should end or go on: nothing is there that could be set aside, but it is not
    /// whole, and what its end held is missing.
    EndMissing,
}

/// What is known of the container that is open.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Inside {
    /// It is a Bundle with a signature.
    pub(super) signed: bool,
    /// It is a list of providers.
    pub(super) providers: bool,
    /// What came last is broken, and in quarantine.
    pub(super) broken: bool,
}

/// Takes what a framer hands out.
pub(super) struct Desk<'d> {
    pub(super) options: &'d ValuesOptions,
    pub(super) pack: &'d mut Pack,
    pub(super) story: &'d mut Story,
    pub(super) long: &'d mut Option<LongPart>,
    pub(super) providers: &'d mut usize,
    pub(super) inside: &'d mut Inside,
    pub(super) can_reread: bool,
}

impl Desk<'_> {
    pub(super) fn take(&mut self, framed: &Framed<'_>) -> io::Result<After> {
        match *framed {
            Framed::Begins(begins) => self.begin(begins),
            Framed::Part(ref part) => self.part(part),
            Framed::Piece(ref piece) => return self.piece(piece),
            Framed::EntryEnds(ends) => {
                self.story.note_broken(ends.resources);
                let told = self.story.entry_ends();
                tell(self.pack, told);
            }
            Framed::Ends(Ends { container, ending }) => {
                let open_entry = self.story.entry_is_left();
                tell(self.pack, open_entry);
                let told = self.story.bundle_ends(ending);
                tell(self.pack, told);
                return Ok(match ending {
                    Ending::CutOff => After::CutOff(name_of(container)),
                    Ending::Abandoned if !self.inside.broken => After::EndMissing,
                    Ending::Abandoned | Ending::Closed => After::Nothing,
                });
            }
            Framed::Lines => return Ok(After::Lines),
        }
        Ok(After::Nothing)
    }

    fn begin(&mut self, begins: Begins) {
        *self.inside = Inside { providers: begins.container == Container::Providers, ..Inside::default() };
        let containers = &mut self.pack.ledger().containers;
        match begins.container {
            Container::Array => containers.arrays += 1,
            Container::Providers => containers.provider_lists += 1,
            Container::Bundle(kind) => {
                containers.bundles += 1;
                let is_untyped = matches!(kind, BundleType::Absent | BundleType::Unknown);
                containers.untyped_bundles += u64::from(is_untyped);
                if self.options.keep_metadata {
                    self.story.begin(begins.at, kind.name());
                }
            }
        }
    }

    fn part(&mut self, part: &Part<'_>) {
        self.inside.broken = matches!(part.kind, Kind::Broken(_));
        match part.kind {
            Kind::Resource if part.bytes.len() as u64 > self.options.max_line_bytes => {
                self.broken(part, BadRecord { fault: Fault::TooLong, at: 0 });
            }
            Kind::Resource => {
                if self.story.open_bundle().is_some() {
                    let proof = if part.proven { Proof::Trusted } else { self.options.router.proof };
                    self.story.output(self.options.router.output_name(part.bytes, part.at, proof).as_str());
                }
                self.push(PartKind::Resource, part);
            }
            Kind::BundleMember => {
                self.note_signature(part.bytes);
                self.member(part);
            }
            Kind::EntryMember => self.member(part),
            Kind::ListName => self.pack.ledger().bytes.metadata += part.bytes.len() as u64,
            Kind::Entry => {
                self.push(PartKind::Entry, part);
                let is_sound = self.story.open_bundle().is_some() && part.prove().is_ok();
                self.story.output(if is_sound { Router::ENTRIES } else { Router::QUARANTINED });
                let told = self.story.entry_ends();
                tell(self.pack, told);
            }
            Kind::Broken(defect) => self.broken(part, why(defect)),
            // Only pieces are of these kinds.
            Kind::SecondLook(_) | Kind::Undecided => {
                self.broken(part, BadRecord { fault: Fault::NotJson, at: 0 });
            }
        }
    }

    fn push(&mut self, kind: PartKind, part: &Part<'_>) {
        let known = Proven { proven: part.proven, resource_type: part.resource_type };
        self.pack.push_proven(kind, part.at, part.line_ends, known, part.bytes);
    }

    fn broken(&mut self, part: &Part<'_>, why: BadRecord) {
        self.push(PartKind::Broken(why), part);
    }

    fn note_signature(&mut self, member: &[u8]) {
        if !self.inside.signed && member.starts_with(b"\"signature\"") {
            self.inside.signed = true;
            self.pack.ledger().containers.signed_bundles += 1;
        }
    }

    /// What a Bundle, an entry or a provider says of itself.
    fn member(&mut self, part: &Part<'_>) {
        if self.inside.providers {
            return self.provider_member(part);
        }
        if self.story.open_bundle().is_none() {
            self.pack.ledger().bytes.metadata += part.bytes.len() as u64;
            return;
        }
        if let Err(why) = part.prove() {
            return self.broken(part, why);
        }
        let mut line = Vec::with_capacity(part.bytes.len());
        let dropped = part.append_to(&mut line);
        // It was proven to be UTF-8.
        let member = String::from_utf8_lossy(&line);
        let bytes = &mut self.pack.ledger().bytes;
        bytes.sidecars += line.len() as u64;
        bytes.white_space += dropped.white_space;
        bytes.terminators += dropped.terminators;
        let told = match part.kind {
            Kind::EntryMember => self.story.entry_member(&member),
            _ => self.story.member(&member),
        };
        tell(self.pack, told);
    }

    /// What an object with providers, or a provider, says of itself. The names are for the report. What might hold resources, or
    /// says that the whole is one, is set aside: nobody published what may stand there.
    fn provider_member(&mut self, part: &Part<'_>) {
        let (key, value) = part.member().unwrap_or_default();
        if matches!(value.first(), Some(b'{' | b'[')) || key == b"\"resourceType\"" {
            return self.broken(part, NOT_UNDERSTOOD);
        }
        self.pack.ledger().bytes.metadata += part.bytes.len() as u64;
        if part.kind == Kind::EntryMember && key == b"\"name\"" && *self.providers < MAX_PROVIDERS {
            self.note_provider(value);
        }
    }

    fn note_provider(&mut self, name: &[u8]) {
        if let Ok(name) = serde_json::from_slice::<String>(name)
            && name.len() <= MAX_PROVIDER_BYTES
        {
            *self.providers += 1;
            self.pack.add_provider(name);
        }
    }

    fn piece(&mut self, piece: &Piece<'_>) -> io::Result<After> {
        let begins = self.long.is_none();
        let mut long = match self.long.take() {
            Some(long) => long,
            None => self.begin_long(piece)?,
        };
        if let Some(spool) = &mut long.spool {
            spool.append(piece.bytes)?;
        }
        if let Some(route) = &mut long.route {
            route.push_bytes(piece.bytes);
        }
        long.length += piece.bytes.len() as u64;
        *self.long = Some(long);
        self.inside.broken = matches!(piece.kind, Kind::Broken(_));
        Ok(match (begins, piece.last) {
            (true, _) => After::LongBegun(piece.part_at),
            (false, true) => After::LongEnded { kind: piece.kind, line_ends: piece.line_ends },
            (false, false) => After::Nothing,
        })
    }

    fn begin_long(&mut self, piece: &Piece<'_>) -> io::Result<LongPart> {
        if piece.kind == Kind::BundleMember {
            self.note_signature(piece.bytes);
        }
        let is_resource = piece.kind == Kind::Resource;
        let keep_metadata = self.story.open_bundle().is_some() || self.inside.providers;
        let spooled = is_resource || (!self.can_reread && is_kept(piece.kind, keep_metadata));
        Ok(LongPart {
            at: piece.part_at,
            spool: if spooled { Some(self.options.spools.create()?) } else { None },
            route: is_resource.then(|| self.options.router.route_long(piece.part_at, self.options.role)),
            length: 0,
        })
    }
}

pub(super) fn tell(pack: &mut Pack, told: Option<Told>) {
    if let Some((sidecar, line)) = told {
        pack.push(PartKind::Sidecar(sidecar), pack.at(), 0, &line);
    }
}

pub(super) fn why(defect: Defect) -> BadRecord {
    match defect {
        Defect::Malformed(why) => why,
        Defect::NotArray => BadRecord { fault: Fault::EntryNotArray, at: 0 },
        Defect::NotObject => BadRecord { fault: Fault::EntryNotObject, at: 0 },
    }
}

fn name_of(container: Container) -> &'static str {
    match container {
        Container::Array => "an array",
        Container::Bundle(_) => "a Bundle",
        Container::Providers => "a list of providers",
    }
}
