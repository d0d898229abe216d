use std::fmt;

use crate::Destination;

/// How an output is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumKind {
    /// CRC-32C (Castagnoli): fast, finds accidents.
    Crc32c,
    /// SHA-256: finds tampering too, costs more.
    Sha256,
}

impl ChecksumKind {
    /// The name used in manifests: `crc32c`, `sha256`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32c => "crc32c",
            Self::Sha256 => "sha256",
        }
    }
}

/// The hash of an output's bytes as stored (after compression).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// How it was made.
    pub kind: ChecksumKind,
    /// The digest, most significant byte first.
    pub digest: Vec<u8>,
}

impl fmt::Display for Checksum {
    /// Lower-case hexadecimal digits of the digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a finished output says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Name of the output in its store.
    pub name: String,
    /// Whose records it holds; `None` for files beside the resources (the quarantine).
    pub destination: Option<Destination>,
    /// Records in it.
    pub records: u64,
    /// Its plain bytes, line ends included.
    pub plain_bytes: u64,
    /// Its bytes as stored.
    pub stored_bytes: u64,
    /// The hash of its bytes as stored, if one was asked for.
    pub checksum: Option<Checksum>,
}
