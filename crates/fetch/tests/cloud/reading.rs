//! Bytes of objects, whole and from anywhere, and never of two.

use std::io::Read;

use fhirline_core::Origin;
use fhirline_fetch::{CloudBucket, CloudError, ObjectUrl};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::options;
use crate::servers::Server;

const OBJECT_BYTES: usize = 3 << 20;

/// Bytes that differ from place to place, and from one seed to the other.
fn content(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..OBJECT_BYTES).map(|_| next()).collect()
}

fn open(url: &str, settings: Vec<(&'static str, String)>) -> CloudBucket {
    let url: ObjectUrl = url.parse().expect("a URL");
    CloudBucket::open(&url, &options(settings)).expect("opened")
}

/// The object `p/a b%.bin`, put by `put`, reads the same from anywhere, in windows of any size.
fn reads_from_anywhere(bucket: &CloudBucket, key: &str, put: impl Fn(&[u8])) {
    let content = content(1);
    put(&content);
    let origin = bucket.object(key).expect("a key");
    assert_eq!(origin.identity().expect("exists").stored_bytes, Some(OBJECT_BYTES as u64));
    let mut all = Vec::new();
    origin.open_at(0).expect("opens").read_to_end(&mut all).expect("read");
    assert!(all == content, "the whole object differs");
    assert_eq!(origin.open_at(OBJECT_BYTES as u64).expect("the end").read(&mut [0]).expect("read"), 0);
    let behind = origin.open_at(OBJECT_BYTES as u64 + 1).err().expect("behind the end");
    assert_eq!(behind.kind(), std::io::ErrorKind::UnexpectedEof);

    let cases = (0..OBJECT_BYTES, 1..2 * OBJECT_BYTES, 1..100_000_usize);
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let law = |(offset, window, piece): (usize, usize, usize)| {
        let origin = bucket.clone().window_bytes(window).object(key).expect("a key");
        let mut reader = origin.open_at(offset as u64).expect("opens");
        let (mut rest, mut buffer) = (Vec::new(), vec![0; piece]);
        loop {
            let bytes = reader.read(&mut buffer).expect("read");
            rest.extend_from_slice(&buffer[..bytes]);
            if bytes == 0 {
                break;
            }
        }
        prop_assert!(rest == content[offset..], "from {} on the object differs", offset);
        Ok(())
    };
    runner.run(&cases, law).expect("the law holds");
}

/// A reader of an object that is replaced fails, and gives nothing of the new one.
fn tells_a_replaced_object(bucket: &CloudBucket, key: &str, put: impl Fn(&[u8])) {
    let before = content(2);
    put(&before);
    let origin = bucket.clone().window_bytes(1).object(key).expect("a key");
    let mut reader = origin.open_at(0).expect("opens");
    let mut read = vec![0; 1000];
    reader.read_exact(&mut read).expect("read");
    put(&content(3));
    let error = reader.read_to_end(&mut read).expect_err("changed");
    let kind = error.get_ref().and_then(|error| error.downcast_ref::<CloudError>());
    assert!(matches!(kind, Some(CloudError::Changed { .. })), "{error:?}");
    assert!(error.to_string().ends_with("changed while it was read"), "{error}");
    assert!(read == before[..read.len()] && read.len() < before.len(), "bytes of two objects");
    // Opening it again does not make it the object that it was.
    assert!(origin.open_at(1000).expect("opens").read(&mut [0]).is_err());
    assert!(reader.read(&mut [0]).is_err(), "an error is not the end");
}

#[test]
fn objects_in_memory() {
    let bucket = CloudBucket::in_memory();
    let put = |content: &[u8]| bucket.put("a", content).expect("put");
    reads_from_anywhere(&bucket, "a", put);
    tells_a_replaced_object(&bucket, "a", put);
}

#[test]
fn objects_in_s3() {
    let Some(server) = Server::moto("objects_in_s3") else { return };
    server.s3_bucket("bucket");
    let bucket = open("s3://bucket/", server.s3_settings());
    let put = |content: &[u8]| bucket.put("p/a b%.bin", content).expect("put");
    reads_from_anywhere(&bucket, "p/a b%.bin", put);
    tells_a_replaced_object(&bucket, "p/a b%.bin", put);
}

#[test]
fn objects_in_azure() {
    let Some(server) = Server::azurite("objects_in_azure") else { return };
    server.azure_container("container");
    let bucket = open("az://container/", server.azure_settings());
    let put = |content: &[u8]| bucket.put("p/a b%.bin", content).expect("put");
    reads_from_anywhere(&bucket, "p/a b%.bin", put);
    tells_a_replaced_object(&bucket, "p/a b%.bin", put);
}

#[test]
fn objects_in_gcs() {
    let Some(server) = Server::fake_gcs("objects_in_gcs") else { return };
    server.gcs_bucket("bucket");
    let bucket = open("gs://bucket/", server.gcs_settings());
    let put = |content: &[u8]| server.gcs_put("bucket", "p/a.bin", content);
    reads_from_anywhere(&bucket, "p/a.bin", put);
    tells_a_replaced_object(&bucket, "p/a.bin", put);
}

#[test]
fn an_empty_object_has_no_bytes() {
    let bucket = CloudBucket::in_memory();
    bucket.put("a", b"").expect("put");
    let origin = bucket.object("a").expect("a key");
    assert_eq!(origin.open_at(0).expect("opens").read(&mut [0]).expect("read"), 0);
}
