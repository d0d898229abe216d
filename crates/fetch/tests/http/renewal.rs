//! Links and tokens that expire in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fhirline_core::Origin;
use fhirline_fetch::{Change, Credentials, HttpClient, HttpError, HttpOrigin, TokenSource};
use secrecy::{ExposeSecret, SecretString};

use crate::fault_server::{Asked, FaultServer, Object, Reply};
use crate::setup::{bytes, client, failure, options, origin, read};

const EXPIRED: &str = "<Error><Code>AccessDenied</Code></Error>";

/// The first link breaks once and is refused from then on; the second one serves `second`.
fn expiring(first: Object, second: Object) -> FaultServer {
    FaultServer::start(move |asked| match (asked.path(), asked.number) {
        ("/a?sig=1", 0) => first.reply(asked).cut(1000),
        ("/a?sig=2", _) => second.reply(asked),
        _ => Reply::new(403, EXPIRED),
    })
}

fn object(seed: u64) -> Object {
    Object::new(bytes(5000, seed)).etag(&format!("\"{seed}\""))
}

#[test]
fn an_expired_link_is_told_as_such() {
    for status in [401, 403, 404, 410] {
        let server = FaultServer::start(move |asked| match asked.number {
            0 => object(1).reply(asked).cut(1000),
            _ => Reply::new(status, EXPIRED),
        });
        let (error, came) = failure(&origin(&server.url("/a?sig=1")), 0);
        assert!(
            matches!(error, HttpError::Expired { status: is, read_bytes: 1000, .. } if is == status),
            "{error:?}"
        );
        assert_eq!(came.len(), 1000);
    }
}

#[test]
fn a_renewed_link_goes_on_in_the_middle() {
    let server = expiring(object(1), object(1));
    let renewed = server.url("/a?sig=2");
    let origin = origin(&server.url("/a?sig=1")).renewed_by(move || Ok(renewed.clone()));
    assert!(read(&origin, 0).expect("whole") == bytes(5000, 1));
    assert_eq!(server.asked()[2].range_begin(), Some(1000));
    let asked = server.asked().len();
    assert!(read(&origin, 4000).expect("the rest") == bytes(5000, 1)[4000..]);
    assert_eq!(server.asked()[asked].path(), "/a?sig=2", "the origin knows the new link");
}

#[test]
fn a_link_that_expired_before_the_start_is_renewed_too() {
    let server = expiring(object(1), object(1));
    let renewed = server.url("/a?sig=2");
    let origin = origin(&server.url("/a?sig=0")).renewed_by(move || Ok(renewed.clone()));
    assert_eq!(origin.identity().expect("known").stored_bytes, Some(5000));
    assert!(read(&origin, 0).expect("whole") == bytes(5000, 1));
}

#[test]
fn a_renewed_link_to_another_object_is_a_change() {
    let server = expiring(object(1), object(2));
    let renewed = server.url("/a?sig=2");
    let origin = origin(&server.url("/a?sig=1")).renewed_by(move || Ok(renewed.clone()));
    let (error, came) = failure(&origin, 0);
    assert!(matches!(error, HttpError::Changed { what: Change::Precondition, .. }), "{error:?}");
    assert_eq!(came.len(), 1000);
}

#[test]
fn a_refused_link_without_another_is_told_as_that() {
    for status in [401, 403] {
        let server = FaultServer::start(move |_| Reply::new(status, EXPIRED));
        let origin = origin(&server.url("/a?CANARY")).renewed_by(|| Err("the list is another".to_owned()));
        let (error, _) = failure(&origin, 0);
        let shown = format!(
            "{}/a answered with status {status}, and there is no new link to it: the list is another",
            server.url("")
        );
        assert_eq!(error.to_string(), shown);
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::PermissionDenied);
    }
}

#[test]
fn a_link_is_renewed_once_without_a_new_byte() {
    let server = FaultServer::start(|_| Reply::new(403, EXPIRED));
    let renewals = Arc::new(AtomicUsize::new(0));
    let (count, url) = (Arc::clone(&renewals), server.url("/b"));
    let origin = origin(&server.url("/a")).renewed_by(move || {
        let number = count.fetch_add(1, Ordering::SeqCst);
        Ok(format!("{url}{number}"))
    });
    let (error, _) = failure(&origin, 0);
    assert!(matches!(error, HttpError::Refused { status: 403, .. }), "{error:?}");
    assert_eq!(renewals.load(Ordering::SeqCst), 1);
}

#[test]
fn credentials_do_not_follow_a_renewed_link_to_another_server() {
    let elsewhere = FaultServer::of(object(1));
    let server = FaultServer::start(|_| Reply::new(403, EXPIRED));
    let client =
        HttpClient::new(options().with_credentials(Credentials::Bearer("t".into()))).expect("a client");
    let renewed = elsewhere.url("/a");
    let origin = HttpOrigin::new(&client, &server.url("/a")).expect("a URL");
    assert!(read(&origin.renewed_by(move || Ok(renewed.clone())), 0).is_ok());
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer t"));
    assert_eq!(elsewhere.asked()[0].header("authorization"), None);
}

fn token_of(asked: &Asked) -> Option<&str> {
    asked.header("authorization")?.strip_prefix("Bearer ")
}

#[test]
fn a_refused_token_is_renewed_and_tried_once() {
    let server = FaultServer::start(|asked| match (asked.number, token_of(asked)) {
        (0, Some("old")) => object(1).reply(asked).cut(1000),
        (_, Some("new")) => object(1).reply(asked),
        _ => Reply::new(401, ""),
    });
    let source = TokenSource::new(|refused: Option<&SecretString>| {
        Ok(if refused.is_some_and(|token| token.expose_secret() == "old") { "new" } else { "old" }.into())
    });
    let of = |source| {
        let client = client().with_credentials(Credentials::Tokens(source));
        HttpOrigin::new(&client, &server.url("/a")).expect("a URL")
    };
    assert!(read(&of(source), 0).expect("whole") == bytes(5000, 1));
    let tokens: Vec<_> =
        server.asked().iter().map(|asked| token_of(asked).expect("a token").to_owned()).collect();
    assert_eq!(tokens, ["old", "old", "new"]);
    let (error, _) = failure(&of(TokenSource::new(|_| Ok("never".into()))), 0);
    assert!(matches!(error, HttpError::Refused { status: 401, .. }), "{error:?}");
    assert_eq!(server.asked().len(), 4, "the same token is not tried twice");
}
