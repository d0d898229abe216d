use fhirline_core::{Checksum, ChecksumKind};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
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

    /// Which checksum it is; `None` if nobody asked for one.
    pub(crate) fn kind(&self) -> Option<ChecksumKind> {
        match self {
            Self::None => None,
            Self::Crc32c(_) => Some(ChecksumKind::Crc32c),
            Self::Sha256(_) => Some(ChecksumKind::Sha256),
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

    /// All that is needed to go on with other bytes later, in hexadecimal digits; `None` if nobody asked for a checksum. Of
    /// CRC-32C it is the checksum itself. Of SHA-256 it is what the `sha2` crate calls its serialised state: eight words, the
    /// number of blocks, and the up to 63 bytes that wait for the rest of a block.
    pub(crate) fn state(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Crc32c(crc) => Some(format!("{crc:08x}")),
            Self::Sha256(sha) => Some(digits(&sha.serialize())),
        }
    }

    /// A checksum that goes on from such a state; `None` if there is no such state.
    pub(crate) fn from_state(kind: Option<ChecksumKind>, state: Option<&str>) -> Option<Self> {
        match (kind, state) {
            (None, None) => Some(Self::None),
            (Some(ChecksumKind::Crc32c), Some(state)) => {
                let bytes: [u8; 4] = bytes_of(state)?.try_into().ok()?;
                Some(Self::Crc32c(u32::from_be_bytes(bytes)))
            }
            (Some(ChecksumKind::Sha256), Some(state)) => {
                let bytes = bytes_of(state)?;
                let state = SerializedState::<Sha256>::try_from(bytes.as_slice()).ok()?;
                Some(Self::Sha256(Box::new(Sha256::deserialize(&state).ok()?)))
            }
            _ => None,
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

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0])? * 16 + digit(*pair.get(1)?)?).ok();
    digits.chunks(2).map(byte).collect()
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

    #[test]
    fn a_state_goes_on_as_if_nothing_had_happened() {
        let bytes: Vec<u8> = (0..1000u32).map(|byte| (byte * 7) as u8).collect();
        for kind in [ChecksumKind::Crc32c, ChecksumKind::Sha256] {
            for cut in [0, 1, 63, 64, 65, 500, 1000] {
                let mut hasher = Hasher::new(Some(kind));
                hasher.update(&bytes[..cut]);
                let state = hasher.state().expect("a checksum was asked for");
                let mut later = Hasher::from_state(Some(kind), Some(&state)).expect("a state");
                assert_eq!(later.finish(), hasher.finish());
                later.update(&bytes[cut..]);
                assert_eq!(later.finish().expect("asked for").to_string(), hex_of(kind, &[&bytes]), "{cut}");
            }
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        let (crc, sha) = (Some(ChecksumKind::Crc32c), Some(ChecksumKind::Sha256));
        let no_words = "f".repeat(210);
        for (kind, state) in [
            (crc, None),
            (crc, Some("")),
            (crc, Some("0123456")),
            (crc, Some("0123456g")),
            (crc, Some("012345678")),
            (sha, Some("01234567")),
            (sha, Some(&*no_words)),
            (None, Some("01234567")),
        ] {
            assert!(Hasher::from_state(kind, state).is_none(), "{state:?}");
        }
        assert!(matches!(Hasher::from_state(None, None), Some(Hasher::None)));
    }
}
