//! An object that is replaced by another one while it is read: never are two put together.

use fhirline_fetch::{Change, HttpClient, HttpError, HttpOrigin};

use crate::fault_server::{FaultServer, Object, Reply};
use crate::setup::{bytes, client, failure, origin, read};

const LENGTH: usize = 300_000;
const BREAK: usize = 200_000;

/// Serves one object up to a break, and then another one.
fn replaced(first: Object, second: Object) -> FaultServer {
    FaultServer::start(move |asked| match asked.number {
        0 => first.reply(asked).cut(BREAK),
        _ => second.reply(asked),
    })
}

/// By what the change is seen; what came before it must be of the first object.
fn seen(first: Object, second: Object) -> Change {
    let begin = first.bytes[..BREAK].to_vec();
    let server = replaced(first, second);
    let (error, came) = failure(&origin(&server.url("/a")), 0);
    assert!(came == begin, "{} bytes of the first object", came.len());
    let HttpError::Changed { what, .. } = error else { panic!("{error:?}") };
    what
}

fn object(seed: u64) -> Object {
    Object::new(bytes(LENGTH, seed))
}

#[test]
fn a_changed_validator_is_seen_by_the_server_or_by_us() {
    assert_eq!(seen(object(1).etag("\"a\""), object(2).etag("\"b\"")), Change::Precondition);
    let (old, new) = ("Wed, 21 Oct 2015 07:28:00 GMT", "Thu, 22 Oct 2015 07:28:00 GMT");
    assert_eq!(seen(object(1).modified(old), object(2).modified(new)), Change::Precondition);
    assert_eq!(seen(object(1).etag("W/\"a\""), object(2).etag("W/\"b\"")), Change::Validator);
    assert_eq!(
        seen(
            object(1).etag("\"a\"").without_ranges(),
            object(1).etag("\"a\"").without_ranges().etag("\"b\"")
        ),
        Change::Precondition
    );
}

#[test]
fn a_server_that_does_not_look_at_conditions_is_caught_by_its_validator() {
    let second = object(2).etag("\"b\"");
    let server = FaultServer::start(move |asked| {
        let mut blind = asked.clone();
        blind.head = blind.head.replace("if-match", "x-if");
        if asked.number == 0 {
            object(1).etag("\"a\"").reply(&blind).cut(BREAK)
        } else {
            second.reply(&blind)
        }
    });
    let (error, came) = failure(&origin(&server.url("/a")), 0);
    assert!(matches!(error, HttpError::Changed { what: Change::Validator, .. }), "{error:?}");
    assert_eq!(came.len(), BREAK);
}

#[test]
fn an_unchanged_or_missing_validator_does_not_hide_a_change() {
    // No validator, the same length.
    assert_eq!(seen(object(1), object(2)), Change::Bytes);
    // A weak one that stays the same although the bytes are others.
    assert_eq!(seen(object(1).etag("W/\"a\""), object(2).etag("W/\"a\"")), Change::Bytes);
    // A date too coarse to tell.
    let date = "Wed, 21 Oct 2015 07:28:00 GMT";
    assert_eq!(seen(object(1).modified(date), object(2).modified(date)), Change::Bytes);
    // A strong one at first, none later.
    let server = FaultServer::start(move |asked| {
        let mut blind = asked.clone();
        blind.head = blind.head.replace("if-match", "x-if");
        if asked.number == 0 {
            object(1).etag("\"a\"").reply(&blind).cut(BREAK)
        } else {
            object(2).reply(&blind)
        }
    });
    let (error, came) = failure(&origin(&server.url("/a")), 0);
    assert!(matches!(error, HttpError::Changed { what: Change::Bytes, .. }), "{error:?}");
    assert_eq!(came.len(), BREAK);
}

#[test]
fn another_length_is_seen_whatever_the_validator_says() {
    let longer = || Object::new(bytes(LENGTH + 1, 1));
    assert_eq!(seen(object(1), longer()), Change::Length);
    assert_eq!(seen(object(1).etag("\"a\""), longer().etag("\"a\"")), Change::Length);
    assert_eq!(seen(object(1), Object::new(bytes(100, 1))), Change::Length);
    assert_eq!(seen(object(1).without_ranges(), longer().without_ranges()), Change::Length);
}

#[test]
fn without_ranges_all_that_was_delivered_is_compared() {
    let mut early = object(1).without_ranges();
    early.bytes[0] ^= 1;
    assert_eq!(seen(object(1).without_ranges(), early), Change::Bytes);
    let mut late = object(1).without_ranges();
    late.bytes[BREAK - 1] ^= 1;
    assert_eq!(seen(object(1).without_ranges(), late), Change::Bytes);
}

#[test]
fn without_ranges_and_lengths_a_shorter_object_is_seen() {
    let server = FaultServer::start(|asked| match asked.number {
        0 => Reply::new(200, bytes(LENGTH, 1)).chunked(5000).cut(BREAK),
        _ => Reply::new(200, bytes(LENGTH, 1)[..BREAK - 1].to_vec()).chunked(5000),
    });
    let (error, came) = failure(&origin(&server.url("/a")), 0);
    assert!(matches!(error, HttpError::Changed { what: Change::Length, .. }), "{error:?}");
    assert_eq!(came.len(), BREAK);
}

#[test]
fn another_coding_is_another_object() {
    let server = FaultServer::start(|asked| match asked.number {
        0 => Reply::new(200, bytes(LENGTH, 1)).header("Content-Encoding", "gzip").cut(BREAK),
        _ => Reply::new(200, bytes(LENGTH, 1)),
    });
    let (error, _) = failure(&origin(&server.url("/a")), 0);
    assert!(matches!(error, HttpError::Changed { what: Change::Coding, .. }), "{error:?}");
}

#[test]
fn what_was_pinned_stands_for_the_life_of_the_client() {
    let server = FaultServer::start(|asked| match asked.number {
        0 => object(1).etag("\"a\"").reply(asked),
        _ => object(2).etag("\"b\"").reply(asked),
    });
    let client = client();
    let of = |client: &HttpClient| HttpOrigin::new(client, &server.url("/a")).expect("a URL");
    assert!(read(&of(&client), 0).is_ok());
    let (error, came) = failure(&of(&client.clone()), 0);
    assert!(matches!(error, HttpError::Changed { what: Change::Validator, .. }), "{error:?}");
    assert_eq!(came, b"");
    assert!(read(&of(&crate::setup::client()), 0).expect("another client") == bytes(LENGTH, 2));
}

#[test]
fn parts_that_were_not_asked_for_are_refused() {
    let part = |asked: &crate::fault_server::Asked, range: Option<String>| {
        let begin = asked.range_begin().expect("a range");
        let reply = Reply::new(206, bytes(LENGTH, 1)[begin..].to_vec()).header("ETag", "\"a\"");
        range.into_iter().fold(reply, |reply, range| reply.header("Content-Range", range))
    };
    for range in [
        Some(format!("bytes {}-{}/{LENGTH}", BREAK - 1, LENGTH - 1)),
        Some(format!("bytes {BREAK}-{}/*", LENGTH - 1)),
        Some("lines 1-2/3".to_owned()),
        None,
    ] {
        let wrong = range.clone();
        let server = FaultServer::start(move |asked| match asked.number {
            0 => object(1).etag("\"a\"").reply(asked).cut(BREAK),
            _ => part(asked, wrong.clone()),
        });
        if range.as_deref().is_some_and(|range| range.ends_with('*')) {
            // The length is known already.
            assert!(read(&origin(&server.url("/a")), 0).expect("whole") == bytes(LENGTH, 1));
            continue;
        }
        let (error, came) = failure(&origin(&server.url("/a")), 0);
        assert!(matches!(error, HttpError::BadAnswer { .. }), "{range:?}: {error:?}");
        assert_eq!(came.len(), BREAK);
    }
    let server = FaultServer::start(|_| Reply::new(206, "x").header("Content-Range", "bytes 0-0/9"));
    let (error, _) = failure(&origin(&server.url("/a")), 0);
    assert!(matches!(error, HttpError::BadAnswer { .. }), "{error:?}");
}
