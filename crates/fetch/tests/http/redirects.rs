//! Redirects: followed as far as is safe, without what is secret.

use fhirline_fetch::{Credentials, HttpClient, HttpError, HttpOrigin, Request};

use crate::fault_server::{FaultServer, Object, Reply};
use crate::setup::{bytes, client, failure, options, origin, read};

fn to(status: u16, location: &str) -> Reply {
    Reply::new(status, "").header("Location", location)
}

fn with_secrets() -> HttpClient {
    let options =
        options().with_credentials(Credentials::Basic { user: "u".to_owned(), password: "p".into() });
    HttpClient::new(options.with_header("X-Api-Key", "key")).expect("a client")
}

#[test]
fn every_kind_of_redirect_is_followed_and_secrets_stay_with_their_server() {
    for status in [301, 302, 303, 307, 308] {
        let server = FaultServer::start(move |asked| match asked.path() {
            "/a" => to(status, "/b?c"),
            _ => Reply::new(200, bytes(9, 1)),
        });
        let origin = HttpOrigin::new(&with_secrets(), &server.url("/a")).expect("a URL");
        assert!(read(&origin, 0).expect("data") == bytes(9, 1));
        for asked in server.asked() {
            assert_eq!(asked.header("authorization"), Some("Basic dTpw"));
            assert_eq!(asked.header("x-api-key"), Some("key"));
        }
    }
}

#[test]
fn no_secret_goes_to_another_host_or_port() {
    let elsewhere = FaultServer::of(Object::new(bytes(3000, 1)).etag("\"a\""));
    for host in ["127.0.0.1", "localhost"] {
        // Another port; and another name, of the very same server.
        let location = format!("http://user:pass@{host}:{}/b", elsewhere.port());
        let server = FaultServer::start(move |_| to(302, &location));
        let origin = HttpOrigin::new(&with_secrets(), &server.url("/a")).expect("a URL");
        assert!(read(&origin, 0).expect("data") == bytes(3000, 1));
        assert!(server.asked()[0].header("authorization").is_some());
    }
    let itself = FaultServer::start(|asked| match asked.path() {
        "/a" => to(
            307,
            &format!(
                "http://localhost:{}/b",
                asked.header("host").expect("one").rsplit(':').next().expect("a port")
            ),
        ),
        _ => Reply::new(200, bytes(3000, 1)),
    });
    let origin = HttpOrigin::new(&with_secrets(), &itself.url("/a")).expect("a URL");
    assert!(read(&origin, 0).expect("data") == bytes(3000, 1));
    let second = itself.asked().into_iter().skip(1);
    let all: Vec<_> = elsewhere.asked().into_iter().chain(second).collect();
    assert_eq!(all.len(), 3);
    for asked in all {
        assert_eq!(asked.header("authorization"), None, "{asked:?}");
        assert_eq!(asked.header("x-api-key"), None, "{asked:?}");
        assert_eq!(asked.header("referer"), None, "{asked:?}");
    }
}

/// What is signed needs no credentials, and a store refuses it with them, be it the server that led there.
#[test]
fn what_a_link_leads_to_gets_no_secret_where_it_must_not() {
    let server = FaultServer::start(|asked| match (asked.path(), asked.header("authorization")) {
        ("/a", Some(_)) => to(302, "/b"),
        ("/b", None) => Reply::new(200, bytes(3000, 1)),
        _ => Reply::new(400, "only one auth mechanism allowed"),
    });
    let basic = Credentials::Basic { user: "u".to_owned(), password: "p".into() };
    let options = options().with_credentials(basic).with_header("X-Api-Key", "key");
    let client = HttpClient::new(options.ending_secrets_at_redirects(true)).expect("a client");
    let origin = HttpOrigin::new(&client, &server.url("/a")).expect("a URL");
    assert!(read(&origin, 0).expect("data") == bytes(3000, 1));
    assert!(read(&origin, 1000).expect("data") == bytes(3000, 1)[1000..]);
    let second = server.asked().into_iter().filter(|asked| asked.path() == "/b");
    assert!(second.inspect(|asked| assert_eq!(asked.header("x-api-key"), None)).count() >= 2);
}

#[test]
fn headers_and_bodies_of_a_request_stay_too() {
    let elsewhere = FaultServer::start(|_| Reply::new(200, "{}"));
    let location = elsewhere.url("/b");
    let server = FaultServer::start(move |asked| match asked.path() {
        "/get" => to(302, &location),
        "/post" => to(303, &location),
        _ => to(307, &location),
    });
    let client = with_secrets();
    let request = Request::get(server.url("/get"))
        .with_header("X-Assertion", "s")
        .with_header("Accept", "application/json");
    client.ask(&request).expect("an answer");
    let asked = &elsewhere.asked()[0];
    assert_eq!((asked.header("x-assertion"), asked.header("accept")), (None, Some("application/json")));
    client.ask(&Request::post(server.url("/post")).with_body("secret")).expect("an answer");
    let asked = &elsewhere.asked()[1];
    assert_eq!((asked.method(), asked.body.as_slice()), ("GET", &b""[..]));
    let error = client.ask(&Request::post(server.url("/again")).with_body("secret")).expect_err("refused");
    assert!(matches!(error, HttpError::BadRedirect { .. }), "{error:?}");
    assert_eq!(elsewhere.asked().len(), 2);
}

#[test]
fn a_post_becomes_a_get_where_browsers_do_so() {
    for (status, method) in [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")] {
        let server = FaultServer::start(move |asked| match asked.path() {
            "/a" => to(status, "/b"),
            _ => Reply::new(200, "{}"),
        });
        client().ask(&Request::post(server.url("/a")).with_body("b")).expect("an answer");
        let asked = &server.asked()[1];
        assert_eq!((asked.method(), asked.body.len()), (method, usize::from(method == "POST")), "{status}");
    }
}

#[test]
fn loops_end() {
    let server = FaultServer::start(|asked| to(302, if asked.path() == "/a" { "/b" } else { "/a" }));
    let (error, _) = failure(&origin(&server.url("/a")), 0);
    assert!(matches!(error, HttpError::TooManyRedirects { max_redirects: 10, .. }), "{error:?}");
    assert_eq!(server.asked().len(), 11);
}

#[test]
fn ten_redirects_are_not_too_many() {
    let server = FaultServer::start(|asked| match asked.number {
        0..10 => to(302, "/next"),
        _ => Reply::new(200, bytes(9, 1)),
    });
    assert!(read(&origin(&server.url("/a")), 0).is_ok());
}

#[test]
fn redirects_to_what_is_not_safe_are_refused() {
    for location in ["http://example.invalid/?CANARY", "file:///etc/passwd", "ftp://127.0.0.1/", "//"] {
        let server = FaultServer::start(move |_| to(302, location));
        let (error, _) = failure(&origin(&server.url("/a")), 0);
        assert!(matches!(error, HttpError::BadRedirect { .. }), "{location}: {error:?}");
        assert!(!format!("{error}{error:?}").contains("CANARY"));
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_redirect_to_nowhere_is_a_refusal() {
    let server = FaultServer::start(|_| Reply::new(302, ""));
    let (error, _) = failure(&origin(&server.url("/a")), 0);
    assert!(matches!(error, HttpError::Refused { status: 302, .. }), "{error:?}");
}
