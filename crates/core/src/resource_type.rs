use std::fmt;
use std::hash::{Hash, Hasher};

/// Longest name that still looks like a resource type, in bytes.
const MAX_BYTES: usize = 64;

/// A name that looks like a FHIR resource type: `[A-Z][A-Za-z]{0,63}`.
///
/// The set is open: a type that no FHIR version knows is as good as `Patient`. What the shape guarantees is that the
/// name is safe as a file name, an object key and a metric label. It is held in place (65 bytes, no allocation).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResourceType {
    len: u8,
    bytes: [u8; MAX_BYTES],
}

impl ResourceType {
    /// The type of that name, or `None` if the name does not look like one.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let (first, rest) = name.as_bytes().split_first()?;
        let shaped = first.is_ascii_uppercase() && rest.iter().all(u8::is_ascii_alphabetic);
        if !shaped || name.len() > MAX_BYTES {
            return None;
        }
        let mut bytes = [0; MAX_BYTES];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Some(Self { len: name.len() as u8, bytes })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII letters get in, so this never falls back.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The name as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// Of the name alone: what is behind it is the same in all.
impl Hash for ResourceType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Ord for ResourceType {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for ResourceType {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_looks_like_a_type() {
        for name in ["Patient", "X", "MedicinalProductUndesirableEffect"] {
            assert_eq!(ResourceType::new(name).expect(name).as_str(), name);
        }
        let longest = format!("A{}", "b".repeat(63));
        assert_eq!(ResourceType::new(&longest).expect("64 bytes").as_str(), longest);
    }

    #[test]
    fn refuses_what_does_not() {
        let too_long = format!("A{}", "b".repeat(64));
        for name in
            ["", "patient", "Pat ient", "Pat/ient", "..", "Patient2", "Pätient", "Patient\0", &too_long]
        {
            assert_eq!(ResourceType::new(name), None, "{name:?}");
        }
    }

    #[test]
    fn orders_by_name() {
        let type_of = |name| ResourceType::new(name).expect("a type");
        assert!(type_of("Account") < type_of("B"));
        assert!(type_of("Patient") < type_of("PatientX"));
    }
}
