use fhirline_core::Fault;

use crate::proof;

/// How far a text is one JSON value. Made by [`shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// It is one whole JSON value, of any kind.
    Complete,
    /// It is a legal beginning of one that needs more text; or nested too deeply to tell.
    Incomplete,
    /// It begins no JSON value, or goes on after one.
    Illegal,
}

/// Tells how far a text, with white space around it or without, is one JSON value.
///
/// Whoever finds the format of a source asks this of its first line: a [`Complete`](Shape::Complete) or an
/// [`Illegal`](Shape::Illegal) one can only be a record among lines, an [`Incomplete`](Shape::Incomplete) one may be the
/// beginning of a value that spans many. Text without any value in it is `Incomplete`. A byte order mark is `Illegal`:
/// at the beginning of a source it belongs to the source and not to the text.
///
/// ```
/// use fhirline_parse::{Shape, shape};
///
/// assert_eq!(shape(br#"{"resourceType":"Patient"}"#), Shape::Complete);
/// assert_eq!(shape(br#"{"resourceType":"#), Shape::Incomplete);
/// assert_eq!(shape(b"<html>"), Shape::Illegal);
/// assert_eq!(shape(b"{} {}"), Shape::Illegal);
/// ```
#[must_use]
pub fn shape(text: &[u8]) -> Shape {
    match proof::full(text).map_err(|bad| bad.fault) {
        Ok(_) => Shape::Complete,
        Err(Fault::Incomplete | Fault::TooDeep) => Shape::Incomplete,
        Err(_) => Shape::Illegal,
    }
}
