//! What is not data: statuses, pages, errors in JSON, codings nobody asked for.

use std::io::{self, Read, Write};
use std::net::TcpListener;

use fhirline_core::Origin;
use fhirline_fetch::{HttpClient, HttpError, HttpOrigin, Markup};

use crate::fault_server::{FaultServer, Object, Reply};
use crate::setup::{bytes, failure, options, origin, read, told};

fn refused(reply: Reply) -> HttpError {
    let server = FaultServer::start(move |_| reply.clone());
    let (error, came) = failure(&origin(&server.url("/a?sig=CANARY")), 0);
    assert_eq!(came, b"");
    assert_eq!(server.asked().len(), 1, "asked once");
    let shown = format!("{error} {error:?} {}", io::Error::from(error.clone()));
    assert!(!shown.contains("CANARY"), "{shown}");
    assert!(shown.contains(&server.url("/a")), "{shown}");
    error
}

#[test]
fn statuses_that_stay_are_told_at_once() {
    for (status, kind) in [
        (400, io::ErrorKind::Other),
        (401, io::ErrorKind::PermissionDenied),
        (403, io::ErrorKind::PermissionDenied),
        (404, io::ErrorKind::NotFound),
        (410, io::ErrorKind::NotFound),
        (202, io::ErrorKind::Other),
        (204, io::ErrorKind::Other),
        (304, io::ErrorKind::Other),
        (501, io::ErrorKind::Other),
    ] {
        let error = refused(Reply::new(status, "CANARY"));
        assert!(matches!(error, HttpError::Refused { status: is, .. } if is == status), "{error:?}");
        assert_eq!(io::Error::from(error).kind(), kind);
    }
}

#[test]
fn a_status_is_told_of_identity_too() {
    let server = FaultServer::start(|_| Reply::new(403, "<Error>CANARY</Error>"));
    let error = told(&origin(&server.url("/a")).identity().expect_err("refused"));
    assert!(matches!(error, HttpError::Refused { status: 403, .. }), "{error:?}");
}

#[test]
fn pages_and_documents_are_no_data() {
    let page =
        |content_type: &str, body: &str| refused(Reply::new(200, body).header("Content-Type", content_type));
    let error = page("application/fhir+ndjson", "\u{FEFF} \n<!doctype html>CANARY");
    assert!(matches!(error, HttpError::Markup { markup: Markup::Html, status: 200, .. }), "{error:?}");
    let error = page("", "<?xml?><Error>CANARY");
    assert!(matches!(error, HttpError::Markup { markup: Markup::Xml, .. }), "{error:?}");
    let error = page("text/html; charset=utf-8", "CANARY");
    assert!(matches!(error, HttpError::Markup { markup: Markup::Html, .. }), "{error:?}");
}

#[test]
fn an_error_in_json_is_no_data() {
    let reply = Reply::new(200, r#"{"message":"CANARY"}"#).header("Content-Type", "application/json");
    for reply in [reply.clone(), reply.chunked(3)] {
        let error = refused(reply);
        assert!(matches!(error, HttpError::JsonError { status: 200, .. }), "{error:?}");
    }
}

#[test]
fn data_that_is_called_json_is_data_even_over_a_break() {
    let line = "{\"resourceType\":\"Patient\",\"id\":\"1\"}\n";
    let whole = line.repeat(3);
    let body = whole.clone();
    let server = FaultServer::start(move |asked| match asked.range_begin() {
        None => Reply::new(200, body.clone()).header("Content-Type", "application/json").cut(20),
        Some(begin) => Reply::new(206, &body[begin..])
            .header("Content-Range", format!("bytes {begin}-{}/{}", body.len() - 1, body.len())),
    });
    assert_eq!(read(&origin(&server.url("/a")), 0).expect("data"), whole.as_bytes());
}

#[test]
fn codings_that_nobody_takes_off_are_refused() {
    for coding in ["br", "deflate", "gzip, gzip"] {
        let error = refused(Reply::new(200, "CANARY").header("Content-Encoding", coding));
        assert!(matches!(&error, HttpError::Coding { coding: is, .. } if is == coding), "{error:?}");
    }
    for coding in ["gzip", "x-gzip", "zstd", "identity", "aws-chunked"] {
        let server =
            FaultServer::start(move |_| Reply::new(200, bytes(9, 1)).header("Content-Encoding", coding));
        assert!(read(&origin(&server.url("/a")), 0).expect("data") == bytes(9, 1), "{coding}");
    }
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let server = FaultServer::start(|_| Reply::new(200, ""));
    let url = server.url("/a?CANARY");
    drop(server);
    let (error, _) = failure(&origin(&url), 0);
    assert!(matches!(error, HttpError::Unreachable { attempts: 3, .. }), "{error:?}");
    assert!(!format!("{error:?}{error}").contains("CANARY"), "{error:?}");
    assert!(error.to_string().ends_with("/a (tried 3 times)"), "{error}");
    let error = told(&origin(&url).identity().expect_err("not there"));
    assert!(matches!(error, HttpError::Unreachable { attempts: 3, .. }), "{error:?}");
}

#[test]
fn a_name_that_nobody_has_is_told() {
    // Reserved for never being anybody's (RFC 6761, section 6.4).
    let client = HttpClient::new(options().allowing_http(true)).expect("a client");
    let origin = HttpOrigin::new(&client, "http://fhirline-test.invalid/a?CANARY").expect("a URL");
    let (error, _) = failure(&origin, 0);
    assert!(matches!(error, HttpError::Unreachable { attempts: 3, .. }), "{error:?}");
    assert!(!format!("{error:?}{error}").contains("CANARY"), "{error:?}");
}

#[test]
fn a_server_that_went_away_is_waited_for_as_long_as_any_other_trouble() {
    let object = Object::new(bytes(5000, 1)).etag("\"a\"");
    let server = FaultServer::start(move |asked| object.reply(asked).stall(1000));
    let origin = origin(&server.url("/a"));
    let mut reader = origin.open_at(0).expect("begun");
    let mut bytes = [0; 1000];
    reader.read_exact(&mut bytes).expect("what came");
    drop(server);
    let error = told(&reader.read(&mut bytes).expect_err("gone"));
    let HttpError::GaveUp { attempts: 4, source } = error else { panic!("{error:?}") };
    assert!(matches!(*source, HttpError::NoConnection { .. }), "{source:?}");
}

#[test]
fn a_server_that_cannot_encrypt_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://{}/a?CANARY", listener.local_addr().expect("bound"));
    let accepted = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a client");
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("sent");
        // Until the client goes away; another one would not be accepted.
        std::io::copy(&mut connection, &mut std::io::sink()).ok()
    });
    let (error, _) = failure(&origin(&url), 0);
    assert!(matches!(error, HttpError::NoConnection { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    accepted.join().expect("no panic");
}
