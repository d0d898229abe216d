use std::borrow::Cow;
use std::fmt;

use fhirline_core::{BadRecord, Fault};

use crate::proof::{self, Proof};
use crate::top_level::TopLevel;
use crate::{decode, walker};

/// Longest id that is kept, in bytes of its decoded text. FHIR allows 64 characters; senders that do not keep
/// to that are delivered all the same.
pub const MAX_ID_BYTES: usize = 1024;

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What the pipeline needs to know of a record. Made by [`envelope`].
///
/// Its `Debug` gives lengths only.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope<'r> {
    /// The top-level `resourceType`, decoded; never empty.
    pub resource_type: Cow<'r, str>,
    /// The top-level `id`, if there is one and it is a string.
    pub id: Option<Id<'r>>,
    /// How often `resourceType` or `id` stood again at the top level. The last one counts.
    pub duplicate_keys: u32,
}

/// The `id` of a record, decoded.
///
/// Its `Debug` gives lengths only.
#[derive(Clone, PartialEq, Eq)]
pub enum Id<'r> {
    /// Its text, of [`MAX_ID_BYTES`] at most.
    Text(Cow<'r, str>),
    /// Its length in bytes: it is longer than that.
    TooLong(usize),
}

/// The longest id that FHIR allows, in bytes.
const MAX_LEGAL_ID_BYTES: usize = 64;

impl Id<'_> {
    /// Whether FHIR allows it (<https://hl7.org/fhir/R4/datatypes.html#id>): 1 to 64 letters, digits, `-` and `.`. Real exports
    /// hold longer ones.
    #[must_use]
    pub fn is_legal(&self) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        match self {
            Self::Text(id) => (1..=MAX_LEGAL_ID_BYTES).contains(&id.len()) && id.bytes().all(allowed),
            Self::TooLong(_) => false,
        }
    }
}

/// Finds the envelope of one record: a line without its line end. White space around the record does no harm.
///
/// `resourceType` and `id` count only at the top level of the object, wherever among its keys they stand: contained
/// resources and datatypes have keys of the same names. Escapes are decoded in keys and in values; a lone surrogate, which
/// is legal JSON text but no text, becomes U+FFFD. The last of several equal keys counts.
///
/// ```
/// use fhirline_core::Fault;
/// use fhirline_parse::{Proof, envelope};
///
/// let cut = envelope(br#"{"resourceType":"Patient","id":"4"#, Proof::Full).unwrap_err();
/// assert_eq!((cut.fault, cut.at), (Fault::Incomplete, 33));
/// ```
///
/// # Errors
///
/// Exactly one fault, by these rules and in this order:
///
/// 1. A record that begins with EF BB BF is [`Fault::ByteOrderMark`], whatever follows.
/// 2. The offending byte that comes first wins: [`Fault::NotUtf8`] at the first byte of a malformed sequence,
///    [`Fault::NotJson`] at a byte that the grammar does not allow there, [`Fault::SeveralValues`] at the first byte behind
///    the value, [`Fault::TooDeep`] at the bracket that opens level [`MAX_DEPTH`](crate::MAX_DEPTH) + 1. Where two name the
///    same byte, it is `NotUtf8`.
/// 3. A record that ends too early, within a string and even within a character, is [`Fault::Incomplete`] at its length.
///    So is one without any value.
/// 4. Only a record that is well-formed is looked at further: [`Fault::NotAnObject`] and [`Fault::NoResourceType`] (both
///    at 0), [`Fault::ResourceTypeNotString`] and [`Fault::ResourceTypeEmpty`] (at the value).
///
/// With [`Proof::Trusted`] nothing is `NotUtf8`; what else is found wrong with bytes that were never proven is not promised.
pub fn envelope(record: &[u8], proof: Proof) -> Result<Envelope<'_>, BadRecord> {
    let top = top_level(record, proof)?;
    let mut found = read_without_id(record, &top)?;
    found.id = top.id.and_then(|at| decode::string_at(record, at)).map(Id::new);
    Ok(found)
}

/// The same for whoever does not look at ids: [`Envelope::id`] is `None` whether there is one or not.
///
/// # Errors
/// As [`envelope`].
pub fn envelope_without_id(record: &[u8], proof: Proof) -> Result<Envelope<'_>, BadRecord> {
    read_without_id(record, &top_level(record, proof)?)
}

fn top_level(record: &[u8], proof: Proof) -> Result<TopLevel, BadRecord> {
    if record.starts_with(BYTE_ORDER_MARK) {
        return Err(bad(Fault::ByteOrderMark, 0));
    }
    match proof {
        Proof::Full => proof::full(record),
        Proof::Trusted => walker::walk(record),
    }
}

/// Reads what the walk found, but for the id.
fn read_without_id<'r>(record: &'r [u8], top: &TopLevel) -> Result<Envelope<'r>, BadRecord> {
    if record.get(top.begins_at) != Some(&b'{') {
        return Err(bad(Fault::NotAnObject, 0));
    }
    let at = top.resource_type.ok_or(bad(Fault::NoResourceType, 0))?;
    let resource_type = decode::string_at(record, at).ok_or(bad(Fault::ResourceTypeNotString, at))?;
    if resource_type.is_empty() {
        return Err(bad(Fault::ResourceTypeEmpty, at));
    }
    Ok(Envelope { resource_type, id: None, duplicate_keys: top.duplicate_keys })
}

fn bad(fault: Fault, at: usize) -> BadRecord {
    BadRecord { fault, at: at as u64 }
}

impl<'r> Id<'r> {
    fn new(text: Cow<'r, str>) -> Self {
        if text.len() > MAX_ID_BYTES { Self::TooLong(text.len()) } else { Self::Text(text) }
    }
}

impl fmt::Debug for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("resource_type_bytes", &self.resource_type.len())
            .field("id", &self.id)
            .field("duplicate_keys", &self.duplicate_keys)
            .finish()
    }
}

impl fmt::Debug for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::TooLong(bytes) => write!(f, "TooLong({bytes} bytes)"),
        }
    }
}
