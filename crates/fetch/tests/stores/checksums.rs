//! What stores are told of the bytes that they are sent. Between us and S3 stands a server that does with checksums what S3
//! says it does, which moto does not: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fhirline_core::{Origin, Store};
use fhirline_fetch::{CloudBucket, CloudOptions, CloudStore, CloudStoreOptions};
use md5::{Digest, Md5};

use crate::fault_server::{Asked, FaultServer, Reply};
use crate::servers::Server;

const SHA256: &str = "x-amz-checksum-sha256";
/// The shortest part that S3 takes.
const PART_BYTES: usize = 5 << 20;

/// What stands between us and the store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Good,
    /// A byte of each part changes.
    Harmful,
    /// What is no header of the store is refused, as some stores do that speak S3.
    Narrow,
}

/// Passes requests on to moto, and answers as S3 does where that knows no checksums.
fn between(moto: Server, way: Way) -> FaultServer {
    FaultServer::start(move |asked| {
        if way == Way::Narrow && asked.head.to_ascii_lowercase().contains("x-amz-checksum") {
            return refused("InvalidArgument", "Unsupported header 'x-amz-checksum-sha256' received");
        }
        let mut body = asked.body.clone();
        if way == Way::Harmful && asked.path().contains("partNumber=") {
            body[PART_BYTES / 2] ^= 1;
        }
        let told = asked.header(SHA256);
        if told.is_some_and(|told| told != sha256(&body)) {
            return refused("BadDigest", "The SHA256 you specified did not match what we received.");
        }
        let reply = asked.passed_on(moto.port(), &body);
        told.map_or(reply.clone(), |told| reply.header(SHA256, told))
    })
}

fn refused(code: &str, why: &str) -> Reply {
    Reply::new(400, format!("<Error><Code>{code}</Code><Message>{why}</Message></Error>"))
}

fn sha256(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

/// A bucket behind such a server; `setting` is one more of the user's.
fn bucket(test: &str, way: Way, setting: Option<(&str, &str)>) -> Option<(FaultServer, CloudBucket)> {
    let moto = Server::moto(test)?;
    moto.s3_bucket("bucket");
    let settings = moto.s3_settings();
    let server = between(moto, way);
    let options = settings.into_iter().fold(CloudOptions::new().retries(2), |options, (name, value)| {
        let value = if name == "AWS_ENDPOINT_URL" { server.url("") } else { value };
        options.set(name, value)
    });
    let options = setting.into_iter().fold(options, |options, (name, value)| options.set(name, value));
    let bucket = CloudBucket::open(&"s3://bucket/out/".parse().expect("a URL"), &options).expect("opened");
    Some((server, bucket))
}

fn store(bucket: &CloudBucket) -> CloudStore {
    CloudStore::new(bucket.clone(), CloudStoreOptions::default().part_bytes(PART_BYTES as u64))
}

/// An output of two parts.
fn content() -> Vec<u8> {
    (0..PART_BYTES + 1000).map(|at| (at % 251) as u8).collect()
}

fn write(store: &CloudStore, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut output = store.create(name)?;
    for piece in bytes.chunks(1 << 20) {
        output.append(piece)?;
    }
    output.seal().map(drop)
}

fn read(bucket: &CloudBucket, key: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut bucket.object(key).expect("a key").open_at(0)?, &mut bytes)?;
    Ok(bytes)
}

#[test]
fn s3_is_told_the_checksum_of_each_object_and_part() {
    let test = "s3_is_told_the_checksum_of_each_object_and_part";
    let Some((server, bucket)) = bucket(test, Way::Good, None) else { return };
    let one = store(&bucket);
    write(&one, "long", &content()).expect("written");
    write(&one, "short", b"{}").expect("written");
    one.put_if_absent("manifest.json", b"{\"a\":1}").expect("put");
    assert!(read(&bucket, "out/long").expect("read") == content());

    let asked = server.asked();
    let sent: Vec<_> = asked.iter().filter(|asked| asked.method() == "PUT").collect();
    let parts = sent.iter().filter(|asked| asked.path().contains("partNumber=")).count();
    assert!(parts == 2 && sent.len() >= parts + 2, "{parts} parts and {} in all", sent.len());
    for put in &sent {
        assert_eq!(put.header(SHA256), Some(sha256(&put.body).as_str()), "{}", put.path());
    }
    let posts = || asked.iter().filter(|asked| asked.method() == "POST");
    let begun = posts().find(|asked| asked.path().ends_with("?uploads=")).expect("an upload is begun");
    assert_eq!(begun.header("x-amz-checksum-algorithm"), Some("SHA256"));
    let ended = posts().find(|asked| asked.path().contains("uploadId=")).expect("an upload is completed");
    let ended = String::from_utf8_lossy(&ended.body).into_owned();
    for part in content().chunks(PART_BYTES) {
        assert!(ended.contains(&format!("<ChecksumSHA256>{}<", sha256(part))), "{ended}");
    }
}

#[test]
fn a_part_that_is_harmed_on_its_way_is_refused() {
    let test = "a_part_that_is_harmed_on_its_way_is_refused";
    let Some((_server, bucket)) = bucket(test, Way::Harmful, None) else { return };
    let error = write(&store(&bucket), "long", &content()).expect_err("harmed");
    assert!(error.to_string().contains("BadDigest"), "{error}");
    assert_eq!(read(&bucket, "out/long").expect_err("not there").kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_store_that_knows_no_checksums_is_told_none_if_that_is_said() {
    let test = "a_store_that_knows_no_checksums_is_told_none_if_that_is_said";
    let Some((_server, refusing)) = bucket(test, Way::Narrow, None) else { return };
    let error = write(&store(&refusing), "short", b"{}").expect_err("refused");
    assert!(error.to_string().contains("set AWS_CHECKSUM_ALGORITHM=none"), "{error}");
    for setting in [("AWS_CHECKSUM_ALGORITHM", "none"), ("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")]
    {
        let (_server, told) = bucket(test, Way::Narrow, Some(setting)).expect("installed");
        write(&store(&told), "long", &content()).expect("written");
        assert!(read(&told, "out/long").expect("read") == content());
    }
}

/// A container of Azurite behind a server that may change a byte of each part. Azurite checks what it is told.
fn container(test: &str, way: Way) -> Option<(FaultServer, CloudBucket)> {
    let azurite = Server::azurite(test)?;
    azurite.azure_container("container");
    let server = FaultServer::start(move |asked| {
        let mut body = asked.body.clone();
        if way == Way::Harmful && body.len() > PART_BYTES / 2 {
            body[PART_BYTES / 2] ^= 1;
        }
        asked.passed_on(azurite.port(), &body)
    });
    let options = CloudOptions::new().retries(2).set("AZURE_STORAGE_USE_EMULATOR", "true");
    let options = options.set("AZURITE_BLOB_STORAGE_URL", server.url(""));
    let url = "az://container/out/".parse().expect("a URL");
    Some((server, CloudBucket::open(&url, &options).expect("opened")))
}

#[test]
fn azure_is_told_the_checksum_of_each_object_and_part() {
    let test = "azure_is_told_the_checksum_of_each_object_and_part";
    let Some((server, bucket)) = container(test, Way::Good) else { return };
    let one = store(&bucket);
    write(&one, "long", &content()).expect("written");
    one.put_if_absent("manifest.json", b"{}").expect("put");
    assert!(read(&bucket, "out/long").expect("read") == content());
    let asked = server.asked();
    let sent: Vec<_> = asked.iter().filter(|asked| asked.method() == "PUT").collect();
    assert!(sent.len() >= 4, "two parts, their list and an object, but {}", sent.len());
    for put in sent {
        let hash = BASE64_STANDARD.encode(Md5::digest(&put.body));
        assert_eq!(put.header("content-md5"), Some(hash.as_str()), "{}", put.path());
    }
}

#[test]
fn a_part_that_is_harmed_on_its_way_to_azure_is_refused() {
    let test = "a_part_that_is_harmed_on_its_way_to_azure_is_refused";
    let Some((_server, bucket)) = container(test, Way::Harmful) else { return };
    let error = write(&store(&bucket), "long", &content()).expect_err("harmed");
    // Of its code, Md5Mismatch, only letters would be shown.
    assert!(error.to_string().contains("status 400"), "{error}");
    assert_eq!(read(&bucket, "out/long").expect_err("not there").kind(), std::io::ErrorKind::NotFound);
}

/// What Google's store answers to the requests of an upload.
fn google(asked: &Asked) -> Reply {
    let document = |name: &str, what: &str| Reply::new(200, format!("<{name}>{what}</{name}>"));
    match (asked.method(), asked.path().contains("uploadId=")) {
        ("GET", _) if asked.path().contains("list-type=2") => document("ListBucketResult", ""),
        ("PUT", _) => Reply::new(200, "").header("ETag", "\"1\"").header("x-goog-generation", "1"),
        ("POST", false) => document(
            "InitiateMultipartUploadResult",
            "<Bucket>bucket</Bucket><Key>long</Key><UploadId>u</UploadId>",
        ),
        ("POST", true) => {
            document("CompleteMultipartUploadResult", "<ETag>\"2\"</ETag>").header("x-goog-generation", "2")
        }
        _ => Reply::new(404, ""),
    }
}

#[test]
fn google_is_told_the_checksum_of_each_object_and_part() {
    let server = FaultServer::start(google);
    let host = server.url("").replace("http://", "");
    let options = CloudOptions::new().retries(0).set("STORAGE_EMULATOR_HOST", host);
    let bucket = CloudBucket::open(&"gs://bucket".parse().expect("a URL"), &options).expect("opened");
    let one = store(&bucket);
    write(&one, "long", &content()).expect("written");
    one.put_if_absent("manifest.json", b"{}").expect("put");
    let asked = server.asked();
    let sent: Vec<_> = asked.iter().filter(|asked| asked.method() == "PUT").collect();
    assert!(sent.len() >= 3, "two parts and an object, but {}", sent.len());
    for put in sent {
        let hash = BASE64_STANDARD.encode(crc32c::crc32c(&put.body).to_be_bytes());
        assert_eq!(put.header("x-goog-hash"), Some(format!("crc32c={hash}").as_str()), "{}", put.path());
    }
}
