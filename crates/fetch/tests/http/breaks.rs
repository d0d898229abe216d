//! Broken, silent and short answers: the object comes whole, or the reader says that it is not.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use fhirline_core::Origin;
use fhirline_fetch::{HttpClient, HttpError, HttpOrigin, Retry};

use crate::fault_server::{Asked, FaultServer, Object, Reply};
use crate::setup::{RETRY, bytes, client, failure, impatient, options, origin, read};

const TAIL_BYTES: usize = 64 << 10;
const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

/// An object whose first answer breaks after `at` bytes.
fn breaking(object: Object, at: usize) -> FaultServer {
    FaultServer::start(move |asked| {
        let reply = object.reply(asked);
        if asked.number == 0 { reply.cut(at) } else { reply }
    })
}

#[test]
fn a_strong_etag_goes_on_at_the_next_byte() {
    let object = bytes(300_000, 1);
    let server = breaking(Object::new(object.clone()).etag("\"a\"").modified(DATE), 200_000);
    assert!(read(&origin(&server.url("/a")), 0).expect("whole") == object);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].header("range"), None);
    assert_eq!(asked[1].header("range"), Some("bytes=200000-"));
    assert_eq!(asked[1].header("if-match"), Some("\"a\""));
    assert_eq!(server.sent_bytes(), 300_000);
}

#[test]
fn without_a_strong_etag_the_last_bytes_are_asked_for_again() {
    let plain = || Object::new(bytes(300_000, 1));
    for (object, since) in
        [(plain(), None), (plain().etag("W/\"a\""), None), (plain().modified(DATE), Some(DATE))]
    {
        let whole = object.bytes.clone();
        let server = breaking(object, 200_000);
        assert!(read(&origin(&server.url("/a")), 0).expect("whole") == whole);
        let asked = server.asked();
        assert_eq!(asked[1].range_begin(), Some(200_000 - TAIL_BYTES));
        assert_eq!(asked[1].header("if-match"), None);
        assert_eq!(asked[1].header("if-unmodified-since"), since);
        assert_eq!(server.sent_bytes(), 300_000 + TAIL_BYTES as u64);
    }
}

#[test]
fn a_part_without_the_etag_of_the_whole_is_compared() {
    let object = bytes(300_000, 1);
    let whole = Object::new(object.clone()).etag("\"a\"");
    let server = FaultServer::start(move |asked| match asked.number {
        0 => whole.reply(asked).cut(200_000),
        _ => whole.reply(asked).without_header("etag"),
    });
    assert!(read(&origin(&server.url("/a")), 0).expect("whole") == object);
    let begins: Vec<_> = server.asked().iter().map(Asked::range_begin).collect();
    assert_eq!(begins, [None, Some(200_000), Some(200_000 - TAIL_BYTES / 2)]);
}

#[test]
fn a_server_without_ranges_is_read_again_from_its_beginning() {
    for chunked in [false, true] {
        let object = Object::new(bytes(300_000, 1)).without_ranges();
        let whole = object.bytes.clone();
        let server = FaultServer::start(move |asked| {
            let reply = object.reply(asked);
            let reply = if chunked { reply.chunked(1000) } else { reply };
            if asked.number < 2 { reply.cut(200_000 + asked.number) } else { reply }
        });
        assert!(read(&origin(&server.url("/a")), 0).expect("whole") == whole);
        assert_eq!(server.asked().len(), 3);
    }
}

#[test]
fn resets_and_silence_are_breaks_too() {
    let object = Object::new(bytes(300_000, 1)).etag("\"a\"");
    let whole = object.bytes.clone();
    let server = FaultServer::start(move |asked| {
        let reply = object.reply(asked);
        match asked.number {
            0 => reply.reset(1000),
            1 => reply.stall(100_000),
            2 => reply.stall_in_head(),
            3 => reply.cut(0),
            _ => reply,
        }
    });
    let origin = HttpOrigin::new(&impatient(), &server.url("/a")).expect("a URL");
    assert!(read(&origin, 0).expect("whole") == whole);
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn a_break_within_the_first_answer_to_a_chunked_body_finds_the_length_later() {
    let object = Object::new(bytes(300_000, 1));
    let whole = object.bytes.clone();
    let server = FaultServer::start(move |asked| {
        let reply = object.reply(asked);
        if asked.number == 0 { reply.chunked(10_000).cut(150_000) } else { reply }
    });
    assert!(read(&origin(&server.url("/a")), 0).expect("whole") == whole);
}

#[test]
fn a_break_behind_the_last_byte_is_none() {
    let object = bytes(3000, 1);
    let whole = Object::new(object.clone());
    // All bytes, but not the chunk that ends the body.
    let server = FaultServer::start(move |asked| match asked.number {
        0 => whole.reply(asked),
        _ => Reply::new(200, whole.bytes.clone()).chunked(100).cut(3000),
    });
    let origin = origin(&server.url("/a"));
    assert_eq!(origin.identity().expect("known").stored_bytes, Some(3000));
    assert!(read(&origin, 0).expect("whole") == object);
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_body_that_stays_short_is_an_unexpected_end() {
    let server = FaultServer::start(|asked| match asked.range_begin() {
        None => Reply::new(200, bytes(500, 1)).stated_length(1000),
        Some(begin) => Reply::new(206, "")
            .stated_length(1000 - begin)
            .header("Content-Range", format!("bytes {begin}-999/1000")),
    });
    let (error, came) = failure(&origin(&server.url("/a?CANARY")), 0);
    assert_eq!(came, bytes(500, 1));
    let HttpError::GaveUp { attempts: 4, source } = &error else { panic!("{error:?}") };
    assert!(matches!(**source, HttpError::Short { read_bytes: 500, stated_bytes: 1000, .. }), "{source:?}");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_body_longer_than_its_length_is_refused() {
    let server = FaultServer::start(|asked| match asked.number {
        0 => Reply::new(200, bytes(500, 1)),
        _ => Reply::new(200, bytes(501, 1)).chunked(100),
    });
    let origin = origin(&server.url("/a"));
    assert_eq!(origin.identity().expect("known").stored_bytes, Some(500));
    let (error, came) = failure(&origin, 0);
    assert!(matches!(error, HttpError::Long { stated_bytes: 500, .. }), "{error:?}");
    assert_eq!(came, bytes(500, 1));
}

#[test]
fn reading_may_begin_anywhere() {
    let object = bytes(10_000, 1);
    for (served, requests) in [
        (Object::new(object.clone()).etag("\"a\""), 2),
        (Object::new(object.clone()), 2),
        (Object::new(object.clone()).without_ranges(), 2),
    ] {
        let server = breaking(served, 3000);
        for offset in [7000, 0, 1] {
            let origin = origin(&server.url("/a"));
            assert!(read(&origin, offset).expect("the rest") == object[offset as usize..], "{offset}");
            if offset == 7000 {
                assert_eq!(server.asked()[0].range_begin(), Some(7000));
                assert_eq!(server.asked().len(), if server.asked()[1..].is_empty() { 1 } else { requests });
            }
        }
        let origin = origin(&server.url("/a"));
        assert_eq!(read(&origin, 0).expect("whole").len(), 10_000);
        assert_eq!(read(&origin, 10_000).expect("nothing").len(), 0);
        let (error, _) = failure(&origin, 10_001);
        assert!(
            matches!(error, HttpError::BehindEnd { offset: 10_001, stored_bytes: 10_000, .. }),
            "{error:?}"
        );
    }
}

#[test]
fn the_end_is_found_by_asking_where_nothing_is_known_yet() {
    let server = FaultServer::of(Object::new(bytes(100, 1)));
    assert_eq!(read(&origin(&server.url("/a")), 100).expect("nothing"), b"");
    let (error, _) = failure(&origin(&server.url("/a")), 101);
    assert!(matches!(error, HttpError::BehindEnd { offset: 101, stored_bytes: 100, .. }), "{error:?}");
}

#[test]
fn a_dropped_reader_ends_a_stalled_answer_and_an_endless_one() {
    let server = FaultServer::start(|asked| match asked.path() {
        "/stall" => Reply::new(200, bytes(5000, 1)).stall(2000),
        "/head" => Reply::new(200, "").stall_in_head(),
        _ => Reply::new(200, bytes(100_000, 1)).endless(),
    });
    // A client that would wait for longer than this test.
    let retry = Retry { idle: Duration::from_secs(3600), ..RETRY };
    let client = HttpClient::new(options().with_retry(retry)).expect("a client");
    for path in ["/stall", "/head", "/endless"] {
        let origin = HttpOrigin::new(&client, &server.url(path)).expect("a URL");
        let reader = origin.open_at(0).expect("begun");
        server.wait_until_held();
        drop(reader);
        server.wait_until_left();
    }
}

#[test]
fn a_dropped_reader_ends_a_wait() {
    let server = FaultServer::start(|asked| {
        assert_eq!(asked.number, 0);
        Reply::new(503, "").header("Retry-After", "3000")
    });
    let retry = Retry { max_elapsed: Duration::from_secs(9000), ..RETRY };
    let client = HttpClient::new(options().with_retry(retry)).expect("a client");
    // Dropped with the last thing that knows the way to the object, which is the transfer.
    let (alive, dropped) = mpsc::channel::<()>();
    let origin = HttpOrigin::new(&client, &server.url("/a")).expect("a URL").renewed_by(move || {
        let _ = &alive;
        unreachable!("nothing expired")
    });
    let reader = origin.open_at(0).expect("begun");
    drop(origin);
    // It is waiting by then, or about to.
    while server.asked().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(dropped.try_recv(), Err(TryRecvError::Empty));
    drop(reader);
    assert_eq!(dropped.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Disconnected));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_is_read_ahead_is_bounded() {
    const AHEAD_BYTES: usize = 256 << 10;
    let server = FaultServer::start(|_| Reply::new(200, bytes(1 << 16, 1)).endless());
    let options = options().with_ahead_bytes(AHEAD_BYTES);
    let client = HttpClient::new(options).expect("a client");
    let mut reader = HttpOrigin::new(&client, &server.url("/")).expect("a URL").open_at(0).expect("begun");
    let mut bytes = vec![0; 100 << 10];
    let mut most_ahead = 0;
    for round in 1..=400 {
        reader.read_exact(&mut bytes).expect("endless");
        most_ahead = most_ahead.max(server.sent_bytes().saturating_sub(round * bytes.len() as u64));
    }
    // The queue, a buffer of the client, and what the system keeps in sockets (some MiB).
    assert!(most_ahead < 16 << 20, "{most_ahead}");
    assert!(server.sent_bytes() > 40 << 20);
}

#[test]
fn an_origin_is_read_by_several_at_once() {
    let object = bytes(200_000, 1);
    let server = FaultServer::of(Object::new(object.clone()).etag("\"a\""));
    let origin = HttpOrigin::new(&client(), &server.url("/a")).expect("a URL");
    let mut readers: Vec<_> = (0..4).map(|at| origin.open_at(at * 1000).expect("begun")).collect();
    for (at, reader) in readers.iter_mut().enumerate() {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).expect("whole");
        assert!(bytes == object[at * 1000..]);
    }
}

#[test]
fn a_server_that_stops_answering_ranges_is_trusted_only_by_its_etag() {
    let ranged = |object: Object| {
        let whole = object.bytes.clone();
        let server = FaultServer::start(move |asked| match asked.number {
            0 => object.reply(asked).cut(200_000),
            _ => object.clone().without_ranges().reply(asked),
        });
        (server, whole)
    };
    let (server, whole) = ranged(Object::new(bytes(300_000, 1)).etag("\"a\""));
    assert!(read(&origin(&server.url("/a")), 0).expect("whole") == whole);
    let (server, _) = ranged(Object::new(bytes(300_000, 1)));
    let (error, came) = failure(&origin(&server.url("/a")), 0);
    assert!(matches!(error, HttpError::BadAnswer { .. }), "{error:?}");
    assert_eq!(came.len(), 200_000);
}

#[test]
fn the_server_of_these_tests_resets_connections() {
    let server = FaultServer::start(|_| Reply::new(200, "12345").reset(3));
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).expect("connected");
    connection.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    let end = connection.read_to_end(&mut Vec::new());
    assert_eq!(end.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
}
