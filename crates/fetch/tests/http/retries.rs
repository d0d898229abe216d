//! What is tried again, how often, and when the server says when.

use std::time::Duration;

use fhirline_core::Origin;
use fhirline_fetch::{HttpClient, HttpError, HttpOrigin, Retry};

use crate::fault_server::{FaultServer, Object, Reply};
use crate::setup::{RETRY, bytes, failure, options, origin, read};

#[test]
fn passing_statuses_are_tried_again() {
    let statuses = [408, 425, 429, 500, 502, 503, 504];
    let object = Object::new(bytes(100, 1)).etag("\"a\"");
    let server = FaultServer::start(move |asked| match statuses.get(asked.number) {
        Some(status) => Reply::new(*status, "<html>"),
        None => object.reply(asked),
    });
    let client = HttpClient::new(options().with_retry(Retry { max_attempts: 8, ..RETRY })).expect("a client");
    let origin = HttpOrigin::new(&client, &server.url("/a")).expect("a URL");
    assert!(read(&origin, 0).expect("whole") == bytes(100, 1));
    assert_eq!(server.asked().len(), 8);
}

#[test]
fn a_storm_of_429_ends_after_the_attempts() {
    let server = FaultServer::start(|_| Reply::new(429, "").header("Retry-After", "0"));
    for probe in [true, false] {
        let before = server.asked().len();
        let origin = origin(&server.url("/a"));
        let error = match probe {
            true => crate::setup::told(&origin.identity().expect_err("busy")),
            false => failure(&origin, 0).0,
        };
        let HttpError::GaveUp { attempts: 4, source } = error else { panic!("{error:?}") };
        assert!(matches!(*source, HttpError::Refused { status: 429, .. }), "{source:?}");
        assert_eq!(server.asked().len() - before, 4);
    }
}

#[test]
fn attempts_count_from_the_last_new_byte() {
    let object = Object::new(bytes(30, 1)).etag("\"a\"");
    // A byte, a failure, a byte, a failure: far more than four of them.
    let server = FaultServer::start(move |asked| {
        if asked.number % 2 == 1 { Reply::new(503, "") } else { object.reply(asked).cut(1) }
    });
    assert!(read(&origin(&server.url("/a")), 0).expect("whole") == bytes(30, 1));
    assert_eq!(server.asked().len(), 59);
}

#[test]
fn a_server_that_wants_to_be_left_alone_for_too_long_is_left_alone() {
    let date = "Fri, 31 Dec 9999 23:59:59 GMT";
    for after in ["7000", date] {
        let server = FaultServer::start(move |_| Reply::new(503, "").header("Retry-After", after));
        let (error, _) = failure(&origin(&server.url("/a")), 0);
        assert!(
            matches!(error, HttpError::TryLater { status: 503, wait, .. } if wait >= Duration::from_secs(7000))
        );
        assert_eq!(server.asked().len(), 1, "no hammering");
    }
}

#[test]
fn the_time_without_a_byte_is_bounded() {
    let server = FaultServer::start(|_| Reply::new(503, ""));
    let retry = Retry { max_attempts: u32::MAX, max_elapsed: Duration::from_millis(30), ..RETRY };
    let client = HttpClient::new(options().with_retry(retry)).expect("a client");
    let (error, _) = failure(&HttpOrigin::new(&client, &server.url("/a")).expect("a URL"), 0);
    assert!(matches!(error, HttpError::GaveUp { .. } | HttpError::Refused { .. }), "{error:?}");
}
