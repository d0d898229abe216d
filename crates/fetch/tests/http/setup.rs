//! Clients as tests need them, and short ways to read.

use std::io::{self, Read};
use std::time::Duration;

use fhirline_core::Origin;
use fhirline_fetch::{HttpClient, HttpError, HttpOptions, HttpOrigin, Retry};

/// Patient with a slow machine, but quick to come again.
pub(crate) const RETRY: Retry = Retry {
    max_attempts: 4,
    max_elapsed: Duration::from_secs(60),
    max_wait: Duration::from_millis(5),
    idle: Duration::from_secs(30),
    connect: Duration::from_secs(20),
};

/// The same, but a silent connection counts as broken soon.
pub(crate) const IMPATIENT: Retry =
    Retry { idle: Duration::from_millis(150), connect: Duration::from_millis(850), ..RETRY };

pub(crate) fn options() -> HttpOptions {
    HttpOptions::default().with_retry(RETRY)
}

pub(crate) fn client() -> HttpClient {
    HttpClient::new(options()).expect("a client")
}

pub(crate) fn impatient() -> HttpClient {
    HttpClient::new(options().with_retry(IMPATIENT)).expect("a client")
}

pub(crate) fn origin(url: &str) -> HttpOrigin {
    HttpOrigin::new(&client(), url).expect("a URL")
}

/// All bytes from an offset on.
pub(crate) fn read(origin: &HttpOrigin, offset: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    origin.open_at(offset)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What reading it fails with, and the bytes that came before.
pub(crate) fn failure(origin: &HttpOrigin, offset: u64) -> (HttpError, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut reader = match origin.open_at(offset) {
        Ok(reader) => reader,
        Err(error) => return (told(&error), bytes),
    };
    let error = reader.read_to_end(&mut bytes).expect_err("a failure");
    let again = reader.read(&mut [0]).expect_err("a failure that stays");
    assert_eq!(again.to_string(), error.to_string());
    (told(&error), bytes)
}

pub(crate) fn told(error: &io::Error) -> HttpError {
    HttpError::of(error).unwrap_or_else(|| panic!("not of HTTP: {error:?}")).clone()
}

/// An object that repeats nothing for a long way; another `seed` is another object.
pub(crate) fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Not the beginning of a page.
        (state >> 32) as u8 | 0x80
    };
    (0..length).map(|_| next()).collect()
}
