//! Small exchanges.

use std::time::Duration;

use fhirline_fetch::{HttpClient, HttpError, Request};

use crate::fault_server::{FaultServer, Reply};
use crate::setup::{IMPATIENT, client, impatient, options};

#[test]
fn an_answer_has_status_headers_and_body() {
    let server = FaultServer::start(|_| {
        Reply::new(202, "abc")
            .header("X-Progress", "7 of 9")
            .header("Retry-After", "12")
            .header("Content-Location", "status/1")
    });
    let client = HttpClient::new(options().with_accept("application/fhir+json")).expect("a client");
    let request =
        Request::post(server.url("/fhir/$export?x")).with_header("Prefer", "respond-async").with_body("{}");
    let answer = client.ask(&request).expect("an answer");
    assert_eq!((answer.status(), answer.body()), (202, &b"abc"[..]));
    assert_eq!(answer.header("x-progress"), Some("7 of 9"));
    assert_eq!(answer.retry_after(), Some(Duration::from_secs(12)));
    assert_eq!(
        answer.resolve(answer.header("content-location").expect("one")).expect("a URL"),
        server.url("/fhir/status/1")
    );
    let asked = &server.asked()[0];
    assert_eq!(
        (asked.method(), asked.path(), asked.body.as_slice()),
        ("POST", "/fhir/$export?x", &b"{}"[..])
    );
    assert_eq!(asked.header("prefer"), Some("respond-async"));
    assert_eq!(asked.header("accept"), Some("application/fhir+json"));
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
}

#[test]
fn a_header_of_the_request_replaces_that_of_the_options() {
    let server = FaultServer::start(|_| Reply::new(200, ""));
    let client = HttpClient::new(options().with_accept("a/a")).expect("a client");
    client.ask(&Request::get(server.url("/")).with_header("accept", "b/b")).expect("an answer");
    assert_eq!(server.asked()[0].head.to_ascii_lowercase().matches("accept:").count(), 1);
    assert_eq!(server.asked()[0].header("accept"), Some("b/b"));
}

#[test]
fn a_get_is_tried_again_and_the_last_status_is_an_answer() {
    let server = FaultServer::start(|asked| match (asked.path(), asked.number) {
        ("/good", 0) => Reply::new(503, ""),
        ("/good", 1) => Reply::new(200, "whole").cut(2),
        ("/good", _) => Reply::new(200, "whole"),
        _ => Reply::new(500, "why"),
    });
    assert_eq!(client().ask(&Request::get(server.url("/good"))).expect("an answer").body(), b"whole");
    assert_eq!(server.asked().len(), 3);
    let answer = client().ask(&Request::get(server.url("/bad"))).expect("an answer");
    assert_eq!((answer.status(), answer.body()), (500, &b"why"[..]));
    assert_eq!(server.asked().len(), 3 + 4);
    assert!(matches!(answer.accepted(), Err(HttpError::Refused { status: 500, .. })));
    let once = client().ask(&Request::get(server.url("/bad")).once()).expect("an answer");
    assert_eq!((once.status(), server.asked().len()), (500, 3 + 4 + 1));
}

#[test]
fn a_post_that_may_have_arrived_is_not_sent_twice() {
    let server = FaultServer::start(|asked| match asked.path() {
        "/cut" => Reply::new(200, "whole").cut(2),
        "/silent" => Reply::new(200, "whole").stall_in_head(),
        "/busy" if asked.body == b"told" && asked.number < 5 => {
            Reply::new(503, "").header("Retry-After", "0")
        }
        "/busy" if asked.body == b"told" => Reply::new(200, ""),
        "/gateway" => Reply::new(504, "").header("Retry-After", "0"),
        _ => Reply::new(503, ""),
    });
    let client = impatient();
    let post = |path: &str, body: &'static str| client.ask(&Request::post(server.url(path)).with_body(body));
    assert!(matches!(post("/cut", "b"), Err(HttpError::Broken { .. })));
    assert!(matches!(post("/silent", "b"), Err(HttpError::Silent { .. })));
    assert_eq!(post("/busy", "not told").expect("an answer").status(), 503);
    assert_eq!(server.asked().len(), 3);
    assert_eq!(post("/gateway", "b").expect("an answer").status(), 504);
    assert_eq!(server.asked().len(), 4);
    assert_eq!(post("/busy", "told").expect("an answer").status(), 200);
    assert_eq!(server.asked().len(), 6);
}

#[test]
fn a_body_that_is_too_large_or_coded_is_refused() {
    let server = FaultServer::start(|asked| match asked.path() {
        "/coded" => Reply::new(200, "x").header("Content-Encoding", "gzip"),
        _ => Reply::new(200, vec![b'x'; 1000]).endless(),
    });
    let error = client().ask(&Request::get(server.url("/")).max_bytes(5000)).expect_err("too large");
    assert!(matches!(error, HttpError::TooLarge { max_bytes: 5000, .. }), "{error:?}");
    server.wait_until_left();
    let error = client().ask(&Request::get(server.url("/coded"))).expect_err("coded");
    assert!(matches!(error, HttpError::Coding { .. }), "{error:?}");
}

#[test]
fn silence_ends() {
    let server = FaultServer::start(|_| Reply::new(200, "whole").stall(2));
    let error = impatient().ask(&Request::get(server.url("/"))).expect_err("silent");
    let HttpError::GaveUp { attempts: 4, source } = error else { panic!("{error:?}") };
    assert!(matches!(*source, HttpError::Silent { waited, .. } if waited == IMPATIENT.idle), "{source:?}");
}
