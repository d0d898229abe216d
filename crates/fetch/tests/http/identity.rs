//! What is known of an object without reading it.

use std::time::{Duration, UNIX_EPOCH};

use fhirline_core::{Identity, Origin};
use fhirline_fetch::{HttpClient, HttpOrigin};

use crate::fault_server::{FaultServer, Object, Reply};
use crate::setup::{bytes, options, origin, read};

const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

#[test]
fn an_object_is_known_by_its_first_byte() {
    let server = FaultServer::of(Object::new(bytes(1000, 1)).etag("\"a\"").modified(DATE));
    let origin = origin(&server.url("/a/b?sig=CANARY"));
    let modified = Some(UNIX_EPOCH + Duration::from_secs(1_445_412_480));
    let expected =
        Identity { name: server.url("/a/b"), stored_bytes: Some(1000), modified, tag: Some("\"a\"".into()) };
    assert_eq!(origin.identity().expect("known"), expected);
    assert_eq!(origin.validator().expect("known").as_deref(), Some("\"a\""));
    assert_eq!(origin.identity().expect("known"), expected);
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "asked once");
    assert_eq!((asked[0].method(), asked[0].header("range")), ("GET", Some("bytes=0-0")));
    assert!(read(&origin, 0).expect("whole") == bytes(1000, 1));
}

#[test]
fn a_server_without_ranges_tells_the_length_of_the_whole() {
    let server = FaultServer::of(Object::new(bytes(1 << 20, 1)).modified(DATE).without_ranges());
    let origin = origin(&server.url("/a"));
    assert_eq!(origin.identity().expect("known").stored_bytes, Some(1 << 20));
    assert_eq!(origin.validator().expect("known").as_deref(), Some(DATE));
}

#[test]
fn a_stream_has_no_length() {
    let server = FaultServer::start(|_| Reply::new(200, bytes(1000, 1)).chunked(10));
    let origin = origin(&server.url("/a"));
    let identity = origin.identity().expect("known");
    assert_eq!((identity.stored_bytes, identity.modified), (None, None));
    assert_eq!(origin.validator().expect("known"), None);
    assert!(read(&origin, 0).expect("whole") == bytes(1000, 1));
}

#[test]
fn an_empty_object_is_an_empty_source() {
    for object in [Object::new(""), Object::new("").without_ranges()] {
        let server = FaultServer::of(object);
        let known = origin(&server.url("/a"));
        assert_eq!(known.identity().expect("known").stored_bytes, Some(0));
        assert_eq!(read(&known, 0).expect("nothing"), b"");
        assert_eq!(read(&origin(&server.url("/a")), 0).expect("nothing"), b"");
    }
}

#[test]
fn a_refused_range_does_not_hide_an_object() {
    let server = FaultServer::start(|asked| match asked.header("range") {
        Some(_) => Reply::new(416, ""),
        None => Reply::new(200, bytes(77, 1)),
    });
    assert_eq!(origin(&server.url("/a")).identity().expect("known").stored_bytes, Some(77));
}

#[test]
fn what_may_be_compressed_is_asked_for_as_it_is_read() {
    let server = FaultServer::start(|asked| {
        assert_eq!(asked.header("accept-encoding"), Some("gzip"));
        let reply =
            Reply::new(200, bytes(50, 1)).header("Content-Encoding", "gzip").header("ETag", "W/\"a\"");
        if asked.number == 1 { reply.chunked(9).cut(30) } else { reply.chunked(9) }
    });
    let client = HttpClient::new(options().accepting_gzip(true)).expect("a client");
    let origin = HttpOrigin::new(&client, &server.url("/a")).expect("a URL");
    assert_eq!(origin.identity().expect("known").stored_bytes, None);
    assert!(read(&origin, 0).expect("as it is, compressed") == bytes(50, 1));
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|asked| asked.header("range").is_none()));
}

#[test]
fn a_stored_compression_is_read_by_ranges_and_left_on() {
    let object = Object::new(bytes(300_000, 1)).etag("\"a\"");
    let whole = object.bytes.clone();
    let server = FaultServer::start(move |asked| {
        let reply = object.reply(asked).header("Content-Encoding", "gzip");
        if asked.number == 0 { reply.cut(1000) } else { reply }
    });
    assert!(read(&origin(&server.url("/a.gz")), 0).expect("as it is stored") == whole);
    assert_eq!(server.asked()[1].range_begin(), Some(1000));
    assert_eq!(server.asked()[1].header("accept-encoding"), Some("identity"));
}
