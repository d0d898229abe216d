use fhirline_core::{Checksum, ChecksumKind};
use sha2::{Digest, Sha256};

/// A checksum in the making.
#[derive(Clone)]
pub(crate) enum Hasher {
    None,
    Crc32c(u32),
    Sha256(Box<Sha256>),
}

impl Hasher {
    pub(crate) fn new(kind: Option<ChecksumKind>) -> Self {
        match kind {
            None => Self::None,
            Some(ChecksumKind::Crc32c) => Self::Crc32c(0),
            Some(ChecksumKind::Sha256) => Self::Sha256(Box::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
            Self::Sha256(sha) => sha.update(bytes),
        }
    }

    pub(crate) fn finish(&self) -> Option<Checksum> {
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
