use std::fs;

use ring::signature::KeyPair as _;
use ring::signature::{ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, UnparsedPublicKey};

use super::*;

const BOTH: [SigningAlgorithm; 2] = [SigningAlgorithm::Es384, SigningAlgorithm::Rs384];

fn key_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/keys").join(name)
}

fn jwks() -> KeyFile {
    KeyFile::Jwks(key_file("private.jwks.json"))
}

fn pem(name: &str) -> KeyFile {
    KeyFile::Pem { path: key_file(name), kid: "mine".to_owned() }
}

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    fs::write(&path, text).expect("written");
    (folder, path)
}

fn verifies(key: &SigningKey, by: &SigningKey) -> bool {
    let signature = key.sign(b"message").expect("randomness");
    match &by.pair {
        Pair::Rsa(pair) => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA384, pair.public_key().as_ref())
            .verify(b"message", &signature)
            .is_ok(),
        Pair::Ec(pair) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, pair.public_key().as_ref())
            .verify(b"message", &signature)
            .is_ok(),
    }
}

#[test]
fn a_key_is_the_same_in_either_form() {
    for (algorithm, name, kid) in [
        (SigningAlgorithm::Rs384, "rsa.pem", "test-rs384"),
        (SigningAlgorithm::Es384, "ec.pem", "test-es384"),
    ] {
        let jwk = SigningKey::load(&jwks(), &[algorithm]).expect("a key");
        let pem = SigningKey::load(&pem(name), &[algorithm]).expect("a key");
        assert_eq!((jwk.algorithm(), jwk.kid.as_deref()), (algorithm, Some(kid)));
        assert_eq!((pem.algorithm(), pem.kid.as_deref()), (algorithm, Some("mine")));
        assert!(verifies(&jwk, &pem) && verifies(&pem, &jwk), "{algorithm}");
    }
    let rsa = SigningKey::load(&pem("rsa.pem"), &BOTH).expect("a key");
    let ec = SigningKey::load(&pem("ec.pem"), &BOTH).expect("a key");
    assert!(!verifies(&rsa, &ec) && !verifies(&ec, &rsa));
}

#[test]
fn the_first_key_that_fits_is_taken() {
    let key = SigningKey::load(&jwks(), &BOTH).expect("a key");
    assert_eq!(key.algorithm(), SigningAlgorithm::Rs384, "the order of the file counts");
}

#[test]
fn public_keys_and_keys_for_something_else_do_not_fit() {
    let text = fs::read_to_string(key_file("private.jwks.json")).expect("a key file");
    for (from, to) in [("\"d\"", "\"was-d\""), ("\"RS384\"", "\"RS256\""), ("\"RSA\"", "\"oct\"")] {
        let (_folder, path) = written(&text.replace(from, to));
        let error = SigningKey::load(&KeyFile::Jwks(path), &[SigningAlgorithm::Rs384]).expect_err("no key");
        assert!(matches!(error, KeyError::NoKey { .. }), "{from}: {error}");
    }
    let error = SigningKey::load(&pem("rsa.pem"), &[SigningAlgorithm::Es384]).expect_err("no key");
    assert!(error.to_string().ends_with("has no private key for ES384"), "{error}");
}

#[test]
fn what_is_wrong_with_a_key_is_said_without_the_key() {
    let text = fs::read_to_string(key_file("private.jwks.json")).expect("a key file");
    let secret = text.split("\"d\": \"").nth(1).expect("d").split('"').next().expect("d").to_owned();
    let (begin, end) = secret.split_at(secret.len() / 2);
    for (from, to) in [
        (secret.as_str(), begin.to_owned()),
        (secret.as_str(), format!("{begin}!{end}")),
        ("\"qi\"", "\"was-qi\"".to_owned()),
        ("\"keys\"", "\"was-keys\"".to_owned()),
    ] {
        let (_folder, path) = written(&text.replace(from, &to));
        let error = SigningKey::load(&KeyFile::Jwks(path), &[SigningAlgorithm::Rs384]).expect_err("no key");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&begin[..16]) && !shown.contains(&end[..16]), "{shown}");
    }
    let key = SigningKey::load(&jwks(), &BOTH).expect("a key");
    let shown = format!("{key:?} {:?}", jwks());
    assert!(shown.contains("test-rs384") && !shown.contains(&begin[..16]), "{shown}");
}

#[test]
fn other_files_are_no_key_files() {
    let endless = " ".repeat(MAX_BYTES as usize + 1);
    for text in ["", "[]", "{}", "CANARY", &endless] {
        let (_folder, path) = written(text);
        for file in [KeyFile::Jwks(path.clone()), KeyFile::Pem { path, kid: "k".to_owned() }] {
            let error = SigningKey::load(&file, &BOTH).expect_err("no key");
            assert!(matches!(error, KeyError::NotAKeyFile { .. }), "{error}");
        }
    }
    let error = SigningKey::load(&pem("p256.pem"), &BOTH).expect_err("another curve");
    assert!(matches!(error, KeyError::Rejected { .. }), "{error}");
    let error = SigningKey::load(&pem("absent.pem"), &BOTH).expect_err("no file");
    assert!(matches!(error, KeyError::Unreadable { .. }), "{error}");
}
