use std::borrow::Cow;
use std::fmt::{self, Write};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use fhirline_core::ResourceType;
use fhirline_parse::{Id, MAX_TYPE_BYTES};

/// The namespace of the `urn:uuid:` that resources without a URL get. It must never change.
const NAMESPACE: Uuid = Uuid::from_u128(0x0149_bcf0_f981_444e_bff8_87f0_e873_0c1e);

/// Which resource it is, for those that say nothing of it themselves. Two that are equal in every byte have different ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Serial {
    /// The source among the sources, from 0.
    pub source: u64,
    /// The resource among those of its source, from 0.
    pub record: u64,
}

/// What a Bundle has to know of a resource.
///
/// Its `Debug` gives lengths only.
pub struct Entry<'r> {
    /// As it stands in the resource.
    resource_type: Cow<'r, str>,
    /// Whether that looks like a type.
    is_type: bool,
    /// The id, if it is legal.
    id: Option<Cow<'r, str>>,
    serial: Serial,
    /// Bytes that the resource will take.
    pub(super) bytes: u64,
}

/// Type and id that make a RESTful URL.
#[derive(Clone, Copy)]
pub(super) struct Name<'e> {
    pub(super) resource_type: &'e str,
    pub(super) id: &'e str,
}

/// How an entry is called.
#[derive(Clone, Copy)]
pub(super) enum FullUrl<'e> {
    /// `<base>/Type/id`.
    Rest(Name<'e>),
    /// `urn:uuid:…`.
    Uuid(Uuid),
}

impl<'r> Entry<'r> {
    /// An entry for the resource of that type and id. `bytes` is what it takes once it is laid out
    /// ([`Writer::layout`](crate::Writer::layout)); it matters only if lengths do
    /// ([`Writer::needs_lengths`](crate::Writer::needs_lengths)).
    #[must_use]
    pub fn new(
        resource_type: impl Into<Cow<'r, str>>,
        id: Option<Id<'r>>,
        serial: Serial,
        bytes: u64,
    ) -> Self {
        let resource_type = resource_type.into();
        let is_type = ResourceType::new(&resource_type).is_some();
        let id = match id.filter(Id::is_legal) {
            Some(Id::Text(id)) => Some(id),
            _ => None,
        };
        Self { resource_type, is_type, id, serial, bytes }
    }

    /// The id, if it is legal.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn full_url(&self) -> FullUrl<'_> {
        match self.id() {
            Some(id) if self.is_type => FullUrl::Rest(Name { resource_type: &self.resource_type, id }),
            _ => self.uuid(),
        }
    }

    pub(super) fn uuid(&self) -> FullUrl<'_> {
        let mut name = [0; 16];
        name[..8].copy_from_slice(&self.serial.source.to_be_bytes());
        name[8..].copy_from_slice(&self.serial.record.to_be_bytes());
        FullUrl::Uuid(Uuid::new_v5(&NAMESPACE, &name))
    }

    /// The type as a part of a URL. What does not look like a type is written with escapes, and of one that is endless no
    /// more than of one that was read in pieces.
    pub(super) fn escaped_type(&self) -> Cow<'_, str> {
        if self.is_type {
            return Cow::Borrowed(&self.resource_type);
        }
        let mut escaped = String::new();
        for byte in self.resource_type[..self.resource_type.floor_char_boundary(MAX_TYPE_BYTES)].bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                escaped.push(char::from(byte));
            } else {
                // Into memory: this cannot fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
        Cow::Owned(escaped)
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("type_bytes", &self.resource_type.len())
            .field("id_bytes", &self.id.as_ref().map(|id| id.len()))
            .field("serial", &self.serial)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Name<'_> {
    pub(super) fn fingerprint(self) -> u128 {
        fingerprint(&[self.resource_type.as_bytes(), b"/", self.id.as_bytes()])
    }
}

/// What is remembered of `Type/id`: half of its SHA-256, so that nobody can make two names look like one.
pub(super) fn fingerprint(parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let hash = hash.finalize();
    hash[..16].iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'r>(resource_type: &'r str, id: Option<&'r str>) -> Entry<'r> {
        Entry::new(resource_type, id.map(|id| Id::Text(id.into())), Serial::default(), 0)
    }

    #[test]
    fn only_types_with_legal_ids_have_a_url() {
        let has_url = |entry: Entry<'_>| matches!(entry.full_url(), FullUrl::Rest(_));
        assert!(has_url(entry("Patient", Some("a-B.9"))));
        let long = "x".repeat(65);
        for (resource_type, id) in [
            ("Patient", None),
            ("Patient", Some("")),
            ("Patient", Some("a/b")),
            ("Patient", Some("\"")),
            ("Patient", Some(&long)),
            ("patient", Some("1")),
            ("Patient/_history", Some("1")),
        ] {
            assert!(!has_url(entry(resource_type, id)), "{resource_type} {id:?}");
        }
    }

    #[test]
    fn equal_resources_differ_by_their_serials() {
        let uuid = |source, record| {
            let entry = Entry::new("Goal", None, Serial { source, record }, 0);
            let FullUrl::Uuid(uuid) = entry.uuid() else { panic!("no UUID") };
            uuid
        };
        assert_eq!(uuid(0, 0).to_string(), "988c7b39-c323-5c1a-9b9c-da3054d9ba0d");
        assert_eq!(uuid(7, 9), uuid(7, 9));
        assert!(uuid(0, 1) != uuid(1, 0) && uuid(0, 0) != uuid(0, 1));
        assert_eq!(uuid(0, 0).get_version_num(), 5);
    }

    #[test]
    fn what_is_no_type_is_escaped() {
        assert_eq!(entry("Patient", None).escaped_type(), "Patient");
        assert_eq!(entry("a/b\"\u{e9}\n", None).escaped_type(), "a%2Fb%22%C3%A9%0A");
        assert_eq!(entry(&"\u{e9}".repeat(3000), None).escaped_type().len(), MAX_TYPE_BYTES / 2 * 6);
    }
}
