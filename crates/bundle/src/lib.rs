//! FHIR Bundles, JSON arrays and concatenated JSON values, framed without I/O: bytes in at any cut, whole resources out.
//!
//! This crate owns the reading of a source that does not hold one resource a line: what in it is a resource, what is only
//! a container around resources, and what a container says of itself and of its entries. A [`Framer`] hands out, in the
//! order of the source and each with its position, the exact bytes of every resource, of every member of a Bundle but
//! `entry`, of every member of an entry but `resource`, of every entry without a resource, and of all that cannot be
//! read. What is in none of these is white space or syntax of a container, and is counted ([`Tally`]).
//!
//! ```
//! use fhirline_bundle::{Framed, Framer, Kind, Options};
//! use fhirline_core::SourceId;
//!
//! let mut framer = Framer::new(SourceId(0), Options::default());
//! let mut input: &[u8] = br#"{"resourceType": "Bundle", "type": "collection", "entry": [
//!   {"fullUrl": "urn:uuid:1", "resource": {
//!     "resourceType": "Patient", "multipleBirthInteger": 1.00
//!   }},
//!   {"request": {"method": "DELETE", "url": "Patient/2"}}
//! ]}"#;
//! let (mut resources, mut entries) = (Vec::new(), Vec::new());
//! while !input.is_empty() {
//!     let space = framer.space(5);
//!     let step = input.len().min(space.len());
//!     space[..step].copy_from_slice(&input[..step]);
//!     framer.filled(step);
//!     input = &input[step..];
//!     if input.is_empty() {
//!         framer.finish();
//!     }
//!     while let Some(framed) = framer.next() {
//!         let Framed::Part(part) = framed else { continue };
//!         match part.kind {
//!             Kind::Resource => {
//!                 part.append_to(&mut resources);
//!                 assert_eq!((part.at.line, part.line_ends), (2, 2));
//!             }
//!             Kind::Entry => {
//!                 part.append_to(&mut entries);
//!             }
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(resources, br#"{"resourceType":"Patient","multipleBirthInteger":1.00}"#);
//! assert_eq!(entries, br#"{"request": {"method": "DELETE", "url": "Patient/2"}}"#);
//! ```
//!
//! # What is a container
//!
//! The values of a source stand one behind the other, with any white space between them. A value is an object; or an array,
//! which is a container, and whose elements are then the values. An object is unwrapped if its first `resourceType` is
//! `Bundle` and its first `type` is not one that means something as a whole ([`BundleType::is_container`]): `entry` alone
//! makes no Bundle, for a FHIR `List` has one too. A Bundle inside of any value or entry is a part of it, and stays so. An object
//! whose first key is `providers` is the other shape that is unwrapped ([`Container::Providers`]).
//!
//! As soon as both keys were seen, entries are handed out one by one. Until then the object is held; when it is too long for
//! that, its pieces are handed out as [`Kind::Undecided`], and if it turns out to be a Bundle they end with
//! [`Kind::SecondLook`]: whoever spooled them, or can read the source again from there, lets [`Framer::again`] frame the same
//! bytes, knowing what they are. The same holds for an entry that is too long to be held up to its `resource`. What comes
//! out in the end does not depend on how much is held.
//!
//! Where lines are records, a line that is a Bundle is framed in the same way: a framer made [`at`](Framer::at) the position of
//! the line is given its bytes. What was proven to be one object before has no broken parts, for the framer refuses nothing
//! that is JSON but what is said below of `entry`.
//!
//! A source whose format is not known can be given to a framer too: with [`Framer::telling_lines`] the first value decides
//! whether lines are records ([`Framed::Lines`]), and what is behind it is then for a splitter of lines.
//!
//! A framer can be given up anywhere and another one can go on, within a Bundle too ([`Framer::place`]).
//!
//! # What is proven, and what is not
//!
//! Of every part that is not [`Kind::Broken`]: its brackets match and are no more than about
//! [`MAX_DEPTH`](fhirline_parse::MAX_DEPTH) deep, every string in it ends before its line does, and keys, colons, values
//! and commas stand where they should. Nothing is proven of what stands within strings, numbers and names, nor that they
//! are UTF-8, nor that a resource is an object: for that, a resource goes through
//! [`envelope`](fhirline_parse::envelope()) or a [`Scanner`] like any other record, and so must
//! whatever else is to be written as JSON. Of containers the syntax is proven whole.
//!
//! A resource that was held whole is nearly always proven as well, for its end is found quickest by the walk that proves it:
//! [`Part::proven`] says so, and [`Part::prove`] makes up for it where it is not. Whether it is depends on how much was held;
//! nothing else that comes out does. In a second look, whose bytes were looked through before, quotes and brackets show an end
//! quicker still, and nothing is proven.
//!
//! # What is wrong, and what becomes of it
//!
//! | in the source | outcome |
//! |---|---|
//! | a value that is no JSON, but whose brackets and quotes show its end | it is [`Kind::Broken`], and nothing around it; where there are anchors (see below), that end must be on the line of its beginning, or the first thing on a line that is indented like that one |
//! | a line in or behind a broken value that begins with `{` at an anchor, or with `}, {` at one that elements share, before that end | the broken part ends before the `{`; the entry, if one is open, ends; and the next element begins |
//! | such a line in column 0, where no anchor is | the broken part ends before it, and a value begins there; the Bundle is [`Ending::Abandoned`], an array stays open |
//! | something else than a comma or the end between two parts | broken, from there to such a line of either kind |
//! | an element at an anchor, but before it no comma, or not the end of what was open | that element begins, and nothing is broken; in column 0 of a Bundle, without a comma, it is a value |
//! | a value that is neither object nor array outside of an array | broken, up to a line that begins with `{` in column 0 |
//! | `entry` that is not an array | its value is broken ([`Defect::NotArray`]); `null` is as good as `[]` |
//! | an entry that is not an object | broken ([`Defect::NotObject`]), `null` too |
//! | `entry` twice | the entries of both come |
//! | `resource` twice in an entry | both come ([`EntryEnds::resources`] says so) |
//! | `resourceType` or `type` twice | the first decides; in a Bundle both are members |
//! | `resource` that is not an object | it comes as a resource, and its proof will fail |
//! | nesting beyond the depth | the value is broken, up to its own end |
//! | something behind the Bundle | it is the next value, or broken like what stands between values |
//! | the source ends in a value | broken ([`Fault::Incomplete`](fhirline_core::Fault::Incomplete)) |
//! | the source ends in an object with `entry` that may be a Bundle | broken, and [`Ending::CutOff`] although none began |
//! | the source ends in a container | [`Ending::CutOff`], if it ends in a part in which nothing else is wrong, or between parts and nothing was wrong in the container before; or else [`Ending::Abandoned`], for the container's end may be in what is broken |
//! | the reading broke off ([`Framer::break_off`]) | what is not whole is dropped, and counted |
//!
//! Anchors are what a source over several lines has: an element that is an object and the first thing on its line (an entry, a
//! provider, an element of an array or of a list) leaves the white space before it, spaces and tabs, 64 bytes at most, as an
//! anchor for those that follow it there; the last two that differ count. They are looked for in all containers that are
//! open, the innermost first. One is given up behind a line that is less indented and has nothing on it but the end of an array
//! (`]`, `],` or `]}`). The white space right before the element is part of what is broken.
//!
//! Many servers write `"entry": [ {`, and `}, {` between the entries. An element whose `{` is the last byte on its line, but not
//! the first, leaves the indentation of that line as an anchor that elements share: what begins a line behind it with `}`, a
//! comma and `{`, with spaces and tabs between them or without, ends one element and begins the next, and that `}` and the
//! comma are part of what is broken. For entries and in lists a line in column 0 is none. It is given up too behind a line
//! as far in that has nothing on it but `} ]`, `} ],` or `} ]}`. Where elements begin otherwise behind others on a line, there
//! are no anchors.
//!
//! # Why it is cut so
//!
//! It is a machine without a reader, as the splitter of lines is, and for the same reasons. It knows FHIR no further than
//! a few keys, and resources no further than their ends: what they are is the job of the next step, which can be done by
//! many workers at a time, while a source can be framed by one only.
//!
//! Bytes are handed out as they stand, white space included, and borrowed: the caller copies what it wants to where it wants
//! it, and [`Part::append_to`] leaves out the white space between tokens on the way. So what turns out to be broken can be
//! kept as it was, and no resource is copied twice.
//!
//! # Memory
//!
//! One buffer: at most `max_held_bytes` ([`Options`]) and a read, or a megabyte and a read if that is more. Nothing grows with the
//! number of entries, keys or levels.
//!
//! # Privacy
//!
//! No `Debug` output holds bytes of a source: kinds, faults, positions, lengths and counts only.

#![forbid(unsafe_code)]

mod anchors;
mod buffer;
mod bundle_type;
mod compact;
mod framed;
mod framer;
mod line;
mod look;
mod nesting;
mod skim;
mod tally;
mod word;
mod write;

pub use bundle_type::BundleType;
pub use compact::{Compactor, compact_in_place};
pub use framed::{Begins, Container, Defect, Ending, Ends, EntryEnds, Framed, Kind, Known, Part, Piece};
pub use framer::{Framer, Options, Place};
// Who writes Bundles has to read what resources say of themselves, and needs no arrow to `parse` for it.
pub use fhirline_parse::{Envelope, Proof, ScannedEnvelope, Scanner, envelope};
pub use tally::{BlankTally, Tally};
pub use write::{
    BaseUrl, BaseUrlError, Ended, Entry, Form, Mark, Method, OnDuplicate, OpenEntry, Placed, Pretty, Recall,
    Refused, Serial, WriteOptions, WriteTally, Writer,
};
