use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa::{self, PublicKeyComponents};
use ring::signature::{self, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Deserializer};

/// Most bytes of a key file.
const MAX_BYTES: u64 = 1 << 20;
const PKCS8_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PKCS8_END: &str = "-----END PRIVATE KEY-----";

/// How an assertion is signed. SMART Backend Services knows these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSA (PKCS #1 v1.5) with SHA-384.
    Rs384,
    /// ECDSA on the curve P-384 with SHA-384.
    Es384,
}

impl SigningAlgorithm {
    /// Its name in JOSE.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs384 => "RS384",
            Self::Es384 => "ES384",
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the private key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFile {
    /// A JWK set (or a single JWK) with private keys. The first key that fits is taken.
    Jwks(PathBuf),
    /// A PKCS #8 key in PEM (`BEGIN PRIVATE KEY`).
    Pem {
        /// The file.
        path: PathBuf,
        /// The id under which the server knows the key.
        kid: String,
    },
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key file {name}")]
    Unreadable {
        /// Its path.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file is neither a JWK set nor a PKCS #8 key in PEM, or larger than a key file may be.
    #[error("{name} is neither a JWK set nor a PKCS #8 private key in PEM")]
    NotAKeyFile {
        /// Its path.
        name: String,
    },
    /// The file has no key of the kind that is needed.
    #[error("{name} has no private key for {wanted}")]
    NoKey {
        /// Its path.
        name: String,
        /// The algorithms that would do.
        wanted: String,
    },
    /// The key itself is broken, or too weak or too strong.
    #[error("the {algorithm} key in {name} cannot be used: {reason}")]
    Rejected {
        /// The file's path.
        name: String,
        /// The kind of key.
        algorithm: SigningAlgorithm,
        /// What is wrong, without any of the key.
        reason: String,
    },
}

/// A private key that signs assertions. `Debug` shows its id and kind only.
pub(crate) struct SigningKey {
    pub(crate) kid: Option<String>,
    pair: Pair,
}

// Boxed: an RSA key is ten times as large.
enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

impl SigningKey {
    /// The first key of the file that signs with one of these algorithms.
    pub(crate) fn load(file: &KeyFile, wanted: &[SigningAlgorithm]) -> Result<Self, KeyError> {
        let (KeyFile::Jwks(path) | KeyFile::Pem { path, .. }) = file;
        let name = path.display().to_string();
        let text = read(path, &name)?;
        match file {
            KeyFile::Jwks(_) => from_jwks(&text, wanted, &name),
            KeyFile::Pem { kid, .. } => from_pem(&text, kid, wanted, &name),
        }
    }

    pub(crate) fn algorithm(&self) -> SigningAlgorithm {
        match self.pair {
            Pair::Rsa(_) => SigningAlgorithm::Rs384,
            Pair::Ec(_) => SigningAlgorithm::Es384,
        }
    }

    /// The signature as JWS has it; `None` if there is no randomness.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA384, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Pair::Ec(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

fn read(path: &Path, name: &str) -> Result<Zeroizing<String>, KeyError> {
    let unreadable = |source| KeyError::Unreadable { name: name.to_owned(), source };
    // Room for all of it at once: growing would leave copies behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize));
    let file = File::open(path).map_err(unreadable)?;
    match file.take(MAX_BYTES).read_to_string(&mut text) {
        Ok(bytes) if bytes as u64 == MAX_BYTES => Err(KeyError::NotAKeyFile { name: name.to_owned() }),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(KeyError::NotAKeyFile { name: name.to_owned() })
        }
        Err(error) => Err(unreadable(error)),
    }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// A key as RFC 7517 writes it; its members as RFC 7518, section 6, names them.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<Member>,
    y: Option<Member>,
    n: Option<Member>,
    e: Option<Member>,
    d: Option<Member>,
    p: Option<Member>,
    q: Option<Member>,
    dp: Option<Member>,
    dq: Option<Member>,
    qi: Option<Member>,
}

/// The bytes of a member, wiped when they are done with.
struct Member(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        // The reason would name a character of the key.
        bytes.map(|bytes| Self(Zeroizing::new(bytes))).map_err(|_| serde::de::Error::custom("not base64url"))
    }
}

impl AsRef<[u8]> for Member {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn from_jwks(text: &str, wanted: &[SigningAlgorithm], name: &str) -> Result<SigningKey, KeyError> {
    let keys = serde_json::from_str::<JwkSet>(text)
        .map(|set| set.keys)
        .or_else(|_| serde_json::from_str::<Jwk>(text).map(|key| vec![key]))
        .map_err(|_| KeyError::NotAKeyFile { name: name.to_owned() })?;
    let fits = |key: &&Jwk| {
        key.d.is_some() && algorithm_of(key).is_some_and(|algorithm| wanted.contains(&algorithm))
    };
    let key = keys.iter().find(fits).ok_or_else(|| no_key(name, wanted))?;
    let rejected = |reason: String| KeyError::Rejected {
        name: name.to_owned(),
        algorithm: algorithm_of(key).unwrap_or(SigningAlgorithm::Rs384),
        reason,
    };
    let pair = if key.kty == "RSA" { rsa_pair(key) } else { ec_pair(key) }.map_err(rejected)?;
    Ok(SigningKey { kid: key.kid.clone(), pair })
}

fn algorithm_of(key: &Jwk) -> Option<SigningAlgorithm> {
    let algorithm = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) => SigningAlgorithm::Rs384,
        ("EC", Some("P-384")) => SigningAlgorithm::Es384,
        _ => return None,
    };
    key.alg.as_deref().is_none_or(|alg| alg == algorithm.name()).then_some(algorithm)
}

fn rsa_pair(key: &Jwk) -> Result<Pair, String> {
    let components = rsa::KeyPairComponents {
        public_key: PublicKeyComponents { n: member("n", &key.n)?, e: member("e", &key.e)? },
        d: member("d", &key.d)?,
        p: member("p", &key.p)?,
        q: member("q", &key.q)?,
        dP: member("dp", &key.dp)?,
        dQ: member("dq", &key.dq)?,
        qInv: member("qi", &key.qi)?,
    };
    RsaKeyPair::from_components(&components)
        .map(|pair| Pair::Rsa(Box::new(pair)))
        .map_err(|why| why.to_string())
}

fn member<'a>(name: &'static str, member: &'a Option<Member>) -> Result<&'a Member, String> {
    member.as_ref().ok_or_else(|| format!("member {name} is missing"))
}

fn ec_pair(key: &Jwk) -> Result<Pair, String> {
    let (x, y, d) = (member("x", &key.x)?, member("y", &key.y)?, member("d", &key.d)?);
    // The point as SEC 1 writes it: uncompressed.
    let point = [&[4], x.as_ref(), y.as_ref()].concat();
    let random = SystemRandom::new();
    EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P384_SHA384_FIXED_SIGNING,
        d.as_ref(),
        &point,
        &random,
    )
    .map(|pair| Pair::Ec(Box::new(pair)))
    .map_err(|why| why.to_string())
}

fn from_pem(text: &str, kid: &str, wanted: &[SigningAlgorithm], name: &str) -> Result<SigningKey, KeyError> {
    let der = pkcs8_of(text).ok_or_else(|| KeyError::NotAKeyFile { name: name.to_owned() })?;
    let rsa = RsaKeyPair::from_pkcs8(&der).map(|pair| Pair::Rsa(Box::new(pair)));
    let random = SystemRandom::new();
    let ec = || {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &der, &random)
            .map(|pair| Pair::Ec(Box::new(pair)))
    };
    // Where neither reads it, the RSA reader's reason says what it is if it is RSA at all.
    let pair = rsa.or_else(|why| ec().map_err(|_| why)).map_err(|why| KeyError::Rejected {
        name: name.to_owned(),
        algorithm: SigningAlgorithm::Rs384,
        reason: why.to_string(),
    })?;
    let key = SigningKey { kid: Some(kid.to_owned()), pair };
    if wanted.contains(&key.algorithm()) { Ok(key) } else { Err(no_key(name, wanted)) }
}

fn pkcs8_of(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, behind) = text.split_once(PKCS8_BEGIN)?;
    let (inner, _) = behind.split_once(PKCS8_END)?;
    let mut packed = Zeroizing::new(String::with_capacity(inner.len()));
    packed.extend(inner.chars().filter(|c| !c.is_ascii_whitespace()));
    STANDARD.decode(packed.as_bytes()).ok().map(Zeroizing::new)
}

fn no_key(name: &str, wanted: &[SigningAlgorithm]) -> KeyError {
    let wanted = wanted.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(" or ");
    KeyError::NoKey { name: name.to_owned(), wanted }
}

#[cfg(test)]
mod tests;
