use fhirline_core::{Checksum, ChecksumKind};
use sha2::{Digest, Sha256};

/// A checksum in the making.
///
/// ```
/// use fhirline_core::ChecksumKind;
/// use fhirline_sink::Hasher;
///
/// let mut hasher = Hasher::new(Some(ChecksumKind::Crc32c));
/// hasher.update(b"123456789");
/// assert_eq!(hasher.finish().map(|checksum| checksum.to_string()).as_deref(), Some("e3069283"));
/// ```
#[derive(Clone, Debug)]
pub enum Hasher {
    /// Nobody asked for one.
    None,
    /// The CRC-32C of the bytes so far.
    Crc32c(u32),
    /// The state of SHA-256.
    Sha256(Box<Sha256>),
}

impl Hasher {
    /// The checksum of nothing yet.
    #[must_use]
    pub fn new(kind: Option<ChecksumKind>) -> Self {
        match kind {
            None => Self::None,
            Some(ChecksumKind::Crc32c) => Self::Crc32c(0),
            Some(ChecksumKind::Sha256) => Self::Sha256(Box::default()),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
            Self::Sha256(sha) => sha.update(bytes),
        }
    }

    /// The checksum of the bytes so far; `None` if nobody asked for one.
    #[must_use]
    pub fn finish(&self) -> Option<Checksum> {
        match self {
            Self::None => None,
            Self::Crc32c(crc) => {
                Some(Checksum { kind: ChecksumKind::Crc32c, digest: crc.to_be_bytes().to_vec() })
            }
            Self::Sha256(sha) => {
                let digest = sha.as_ref().clone().finalize().to_vec();
                Some(Checksum { kind: ChecksumKind::Sha256, digest })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex_of(kind: ChecksumKind, pieces: &[&[u8]]) -> String {
        let mut hasher = Hasher::new(Some(kind));
        pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.finish().expect("a checksum was asked for").to_string()
    }

    #[test]
    fn known_answers() {
        // RFC 3720 B.4 gives CRC-32C of 32 zero bytes; FIPS 180-2 gives SHA-256 of "abc".
        assert_eq!(hex_of(ChecksumKind::Crc32c, &[&[0; 20], &[0; 12]]), "8a9136aa");
        assert_eq!(
            hex_of(ChecksumKind::Sha256, &[b"a", b"bc"]),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(Hasher::new(None).finish(), None);
    }
}
