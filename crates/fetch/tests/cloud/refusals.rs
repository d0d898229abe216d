//! What cannot be had, and that no secret is told about it.

use std::fs;
use std::io;

use fhirline_core::Origin;
use fhirline_fetch::{CloudBucket, CloudError, CloudOptions, ObjectUrl, Objects};

use crate::servers::{AZURE_ACCOUNT, Server};
use crate::{lines, options};

const CANARY: &str = "canary0secret0canary";
/// Base64, as Azure wants its keys.
const CANARY_KEY: &str = "Y2FuYXJ5MHNlY3JldDBjYW5hcnk=";

fn open(url: &str, options: &CloudOptions) -> CloudBucket {
    CloudBucket::open(&url.parse().expect("a URL"), options).expect("opened")
}

/// Everything that is said when an object is looked at, read, listed and written, and what `Debug` shows of it all.
fn all_that_is_said(url: &str, options: &CloudOptions) -> (CloudError, String) {
    let bucket = open(url, options);
    let parsed: ObjectUrl = url.parse().expect("a URL");
    let origin = bucket.object(parsed.key()).expect("a key");
    let error: io::Error = origin.identity().expect_err("refused");
    let opened = origin.open_at(0).err().expect("refused");
    let put = bucket.put(parsed.key(), b"{}").expect_err("refused");
    let objects = Objects::of(&parsed, options);
    let shown =
        format!("{options:?} {bucket:?} {origin:?} {objects:?} {error} {error:?} {opened:?} {put} {put:?}");
    let said = format!("{shown} {:?} {:?}", lines(objects), Objects::in_bucket(&bucket).next());
    let error = error.into_inner().expect("an error inside").downcast::<CloudError>().expect("ours");
    (*error, said)
}

fn assert_no_canary(said: &str) {
    for secret in [CANARY, CANARY_KEY] {
        assert!(!said.contains(secret), "a secret is shown: {said}");
    }
}

#[test]
fn a_missing_object_and_a_missing_bucket_are_told() {
    let Some(server) = Server::moto("a_missing_object_and_a_missing_bucket_are_told") else { return };
    server.s3_bucket("bucket");
    let options = options(server.s3_settings());
    for (url, listed) in [
        ("s3://bucket/none", "error s3://bucket/none: there is no such object, and none lies below it"),
        ("s3://nobucket/none", "error s3://nobucket/none does not exist (status 404, NoSuchBucket)"),
    ] {
        let bucket = open(url, &options);
        let origin = bucket.object("none").expect("a key");
        let error = origin.identity().expect_err("missing");
        assert_eq!(
            (error.kind(), error.to_string()),
            (io::ErrorKind::NotFound, format!("{url} does not exist (status 404)"))
        );
        assert_eq!(lines(Objects::in_bucket(&bucket)), [listed]);
    }
}

#[test]
fn s3_that_refuses_the_keys_is_told_without_them() {
    let Some(server) = Server::moto("s3_that_refuses_the_keys_is_told_without_them") else { return };
    server.s3_bucket("bucket");
    server.s3_put("bucket", "a", b"{}");
    server.s3_refuse_unknown_keys();
    let options =
        options(server.s3_settings()).set("AWS_SECRET_ACCESS_KEY", CANARY).set("AWS_SESSION_TOKEN", CANARY);
    let (error, said) = all_that_is_said("s3://bucket/a", &options);
    assert!(matches!(error, CloudError::Refused { .. }), "{error:?}");
    assert_no_canary(&said);
}

#[test]
fn azure_that_refuses_the_key_is_told_without_it() {
    let Some(server) = Server::azurite("azure_that_refuses_the_key_is_told_without_it") else { return };
    server.azure_container("container");
    let by_key = options(server.azure_settings()).set("AZURE_STORAGE_ACCOUNT_KEY", CANARY_KEY);
    let (error, said) = all_that_is_said("az://container/a", &by_key);
    assert!(matches!(error, CloudError::Refused { .. }), "{error:?}");
    assert_no_canary(&said);

    let by_signature = CloudOptions::new()
        .retries(0)
        .set("AZURE_STORAGE_ACCOUNT_NAME", AZURE_ACCOUNT)
        .set("AZURE_STORAGE_ENDPOINT", format!("{}/{AZURE_ACCOUNT}", server.url()))
        .set(
            "AZURE_STORAGE_SAS_TOKEN",
            format!("sv=2019-12-12&ss=b&srt=sco&sp=rl&se=2099-01-01&sig={CANARY}"),
        );
    let (error, said) = all_that_is_said("az://container/a", &by_signature);
    assert!(matches!(error, CloudError::Refused { .. }), "{error:?}");
    assert_no_canary(&said);
}

#[test]
fn a_store_that_is_not_there_is_told_without_secrets() {
    // A port that was free a moment ago: nobody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nowhere = format!("http://{}", listener.local_addr().expect("its address"));
    drop(listener);
    let options = CloudOptions::new()
        .set("AWS_ENDPOINT_URL", &nowhere)
        .set("AWS_ACCESS_KEY_ID", "id")
        .set("AWS_SECRET_ACCESS_KEY", CANARY)
        .set("AWS_SESSION_TOKEN", CANARY)
        .set("AZURE_STORAGE_ENDPOINT", &nowhere)
        .set("AZURE_STORAGE_ACCOUNT", "account")
        .set("AZURE_STORAGE_SAS_TOKEN", format!("sv=1&sig={CANARY}"))
        .set("GOOGLE_BASE_URL", &nowhere)
        .set("STORAGE_EMULATOR_HOST", &nowhere);
    for url in ["s3://bucket/a", "az://container/a", "gs://bucket/a"] {
        let (error, said) = all_that_is_said(url, &options);
        assert!(matches!(error, CloudError::NeverAnswered { attempts: 3, .. }), "{error:?}");
        assert!(error.to_string().ends_with("no connection (tried 3 times)"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("endpoint")));
        assert_no_canary(&said);
    }
}

#[test]
fn no_credentials_at_all_are_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nowhere = format!("http://{}", listener.local_addr().expect("its address"));
    drop(listener);
    let options = CloudOptions::new()
        .retries(0)
        .set("AWS_METADATA_ENDPOINT", &nowhere)
        .set("AZURE_STORAGE_ACCOUNT", "account")
        .set("AZURE_MSI_ENDPOINT", &nowhere);
    for url in ["s3://bucket/a", "az://container/a"] {
        let (error, _) = all_that_is_said(url, &options);
        assert!(matches!(error, CloudError::NoCredentials { .. }), "{error:?}");
    }
}

#[test]
fn a_profile_is_used_where_the_environment_has_no_keys() {
    let Some(server) = Server::moto("a_profile_is_used_where_the_environment_has_no_keys") else { return };
    server.s3_bucket("bucket");
    server.s3_put("bucket", "a", b"{}");
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join(".aws")).expect("made");
    let credentials = "[mine]\naws_access_key_id = test\naws_secret_access_key = test\n";
    fs::write(home.path().join(".aws/credentials"), credentials).expect("written");
    let config = format!("[profile mine]\nendpoint_url = {}\nregion = us-east-1\n", server.url());
    fs::write(home.path().join(".aws/config"), config).expect("written");
    let options =
        CloudOptions::new().set("HOME", home.path().display().to_string()).set("AWS_PROFILE", "mine");
    let origin = open("s3://bucket/a", &options).object("a").expect("a key");
    assert_eq!(origin.identity().expect("exists").stored_bytes, Some(2));

    let unknown = options.set("AWS_PROFILE", "other");
    let error =
        CloudBucket::open(&"s3://bucket/a".parse().expect("a URL"), &unknown).expect_err("no such profile");
    assert!(matches!(error, CloudError::BadSetting { .. }), "{error:?}");
}

#[test]
fn http_without_tls_needs_permission() {
    let url: ObjectUrl = "s3://bucket/a".parse().expect("a URL");
    let options = CloudOptions::new()
        .set("AWS_ENDPOINT_URL", "http://192.0.2.1:9000")
        .set("AWS_ACCESS_KEY_ID", "id")
        .set("AWS_SECRET_ACCESS_KEY", CANARY);
    let error = CloudBucket::open(&url, &options).expect_err("refused").to_string();
    assert!(error.contains("AWS_ALLOW_HTTP"), "{error}");
    assert!(CloudBucket::open(&url, &options.clone().set("AWS_ALLOW_HTTP", "true")).is_ok());
    assert!(CloudBucket::open(&url, &options.set("AWS_ENDPOINT_URL", "http://localhost:9000")).is_ok());
}
