use std::fmt;

use fhirline_core::{BadRecord, Position, ResourceType};
use fhirline_parse::prove_value;

use crate::bundle_type::BundleType;
use crate::compact::Compactor;
use crate::skim::{is_blank, text_end};
use crate::tally::BlankTally;

/// What the framer found.
#[derive(Debug)]
pub enum Framed<'f> {
    /// A container begins. Containers are not records.
    Begins(Begins),
    /// Something whole.
    Part(Part<'f>),
    /// A piece of something that is too long to be held.
    Piece(Piece<'f>),
    /// An entry that had a resource, or a provider, has ended: what came since the entry before, or the Bundle's beginning, of resources
    /// and [`Kind::EntryMember`]s, belongs to it. Or an entry was broken, and came as that ([`EntryEnds::resources`] is 0).
    EntryEnds(EntryEnds),
    /// A container ends.
    Ends(Ends),
    /// Lines are records from here on, says the first value of a source that was asked for it
    /// ([`Framer::telling_lines`](crate::Framer::telling_lines)): it stood on one line, broken or not and a container or not
    /// (but an array), and nothing but white space is behind it on that line. What follows is the
    /// [`rest`](crate::Framer::rest) at the framer's [`position`](crate::Framer::position), the beginning of a line, and all
    /// input not given yet: a splitter of lines goes on there, and nothing more comes from this framer. A source that ends
    /// with its first line has no line from here on.
    Lines,
}

/// What holds resources without being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A JSON array that is not inside of any value.
    Array,
    /// A Bundle.
    Bundle(BundleType),
    /// An object whose first key is `providers`: `{"providers":[{"name":…,"fhir":{"Patient":[…]}}]}`, another shape in
    /// which Fasten exports are found (<https://github.com/fastenhealth/fasten-onprem/issues/207>). A provider in it is as an
    /// entry, and has all the resources of its lists.
    Providers,
}

/// The beginning of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begins {
    /// Where its first byte stands.
    pub at: Position,
    /// What it is.
    pub container: Container,
}

/// The end of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// What it is.
    pub container: Container,
    /// How it ends.
    pub ending: Ending,
}

/// How a container ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its closing bracket.
    Closed,
    /// With a fault: what stands behind, up to where a value begins that is not inside of it or up to the end of the source,
    /// came as [`Kind::Broken`], or was taken for what it is not.
    Abandoned,
    /// With the source, which lacks the rest of it.
    CutOff,
}

/// The end of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryEnds {
    /// How many resources it had, broken ones included: of an entry one, unless the key `resource` is there twice.
    pub resources: u64,
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A resource, or what stands in the place of one: its envelope is still to be proven.
    Resource,
    /// A key and its value of what a Bundle says of itself: anything but `entry` (and `providers`).
    BundleMember,
    /// A key and its value of an entry that has a resource: anything but `resource`; or of a provider: anything but `fhir`.
    EntryMember,
    /// The name of a list of a provider, with its quotes: the resources that follow are its.
    ListName,
    /// An entry without a resource.
    Entry,
    /// What cannot be read.
    Broken(Defect),
    /// What turned out to be a container, or the beginning of one, when it was too late to hand out what it holds: a second
    /// framer, made by [`Framer::again`](crate::Framer::again), does that from the same bytes, and all that comes from it
    /// belongs here. Only the last piece of a part is of this kind.
    SecondLook(Known),
    /// What may yet turn out to be a resource, an entry without one, broken, or in need of a second look. Only pieces before
    /// the last are of this kind.
    Undecided,
}

/// What the second look at a part needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is a whole Bundle of this type, which was known only at its end.
    Bundle(BundleType),
    /// It is a Bundle of this type up to where that was known. What follows comes without a second look.
    BundleHead(BundleType),
    /// It is an entry up to the key `resource`. What follows comes without a second look.
    EntryHead,
    /// It is an object up to its first key, `providers`. What follows comes without a second look.
    ProvidersHead,
}

/// What is wrong with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// It is no JSON, it is cut off, or it is nested too deeply.
    Malformed(BadRecord),
    /// It is the value of a Bundle's `entry`, or stands for another list of a container, but is not an array.
    NotArray,
    /// It stands where an entry should stand, or what is as an entry, but is not an object.
    NotObject,
}

/// A stretch of the source that is one thing.
///
/// Its `Debug` gives lengths only.
#[derive(Clone, Copy)]
pub struct Part<'f> {
    /// Where its first byte stands.
    pub at: Position,
    /// What it is.
    pub kind: Kind,
    /// Its bytes, exactly.
    pub bytes: &'f [u8],
    /// How many line ends there are in it.
    pub line_ends: u64,
    /// Whether it is known to be JSON, all of it, and UTF-8. If not, nothing is known.
    pub proven: bool,
    /// Its type, if it is proven to be a resource that has one and looks like it. If there is none, nothing is known.
    pub resource_type: Option<ResourceType>,
}

impl<'f> Part<'f> {
    /// Proves that the part is JSON and UTF-8: one value; or a key, with a value behind it if there is one.
    ///
    /// # Errors
    /// What is wrong first, and where in the part. What is [`Kind::Broken`] is looked at as one value; what was found there
    /// before is in its [`Defect`].
    pub fn prove(&self) -> Result<(), BadRecord> {
        if self.proven {
            return Ok(());
        }
        let Some((key, value)) = self.member() else { return prove_value(self.bytes) };
        let before = (self.bytes.len() - value.len()) as u64;
        prove_value(key)?;
        prove_value(value).map_err(|bad| BadRecord { at: before + bad.at, ..bad })
    }

    /// The key of a member, with its quotes, and its value; `None` if the part is something else.
    #[must_use]
    pub fn member(&self) -> Option<(&'f [u8], &'f [u8])> {
        if !matches!(self.kind, Kind::BundleMember | Kind::EntryMember) {
            return None;
        }
        let (key, rest) = self.bytes.split_at(text_end(self.bytes, 0));
        let value = rest.iter().position(|&byte| byte != b':' && !is_blank(byte))?;
        Some((key, &rest[value..]))
    }

    /// Appends the part as it is delivered: its exact bytes if it stands on one line, and else without the white space
    /// between its tokens. Returns what was left out.
    pub fn append_to(&self, out: &mut Vec<u8>) -> BlankTally {
        let mut compactor = Compactor::default();
        if self.line_ends == 0 {
            out.extend_from_slice(self.bytes);
        } else {
            compactor.push(self.bytes, out);
        }
        compactor.dropped()
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("at", &self.at)
            .field("kind", &self.kind)
            .field("bytes", &self.bytes.len())
            .field("line_ends", &self.line_ends)
            .field("proven", &self.proven)
            .finish()
    }
}

/// A piece of a part that is too long to be held: such a part travels in pieces and is never assembled.
///
/// The pieces of one part follow each other, with nothing between them. Its `Debug` gives lengths only.
#[derive(Clone, Copy)]
pub struct Piece<'f> {
    /// Where the first byte of the part stands.
    pub part_at: Position,
    /// Offset of this piece from there.
    pub offset: u64,
    /// What the part is: with its last piece for good, before it as far as that is known.
    pub kind: Kind,
    /// The piece; the last one may be empty.
    pub bytes: &'f [u8],
    /// How many line ends there are in the part, up to the end of this piece.
    pub line_ends: u64,
    /// Whether the part ends with this piece.
    pub last: bool,
}

impl fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("part_at", &self.part_at)
            .field("offset", &self.offset)
            .field("kind", &self.kind)
            .field("bytes", &self.bytes.len())
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}
