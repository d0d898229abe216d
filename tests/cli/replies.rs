//! What is odd about the answers of servers, and must not matter, or be told.

use super::fault_server::{Asked, FaultServer, Object, Reply};
use super::place::{GOAL, PATIENT, Place, gzip, lines};

const CANARY: &str = "canary-51d0";

#[test]
fn what_data_is_called_is_of_no_weight() {
    let data = lines(&[PATIENT, GOAL]);
    let place = Place::new();
    for name in ["binary/octet-stream", "text/plain; charset=utf-16", "image/png", ""] {
        let body = data.clone();
        let server = FaultServer::start(move |_| Reply::new(200, body.clone()).header("Content-Type", name));
        let ran = place.run(&format!("cat {}", server.url("/export"))).ends_with(0);
        assert!(ran.out() == data, "{name}");
        for asked in server.asked() {
            let accept = asked.header("accept").expect("it says what it takes");
            assert!(accept.starts_with("application/fhir+ndjson,"), "{accept}");
        }
    }
}

#[test]
fn compression_is_told_from_the_bytes_of_a_body() {
    let data = lines(&[PATIENT, GOAL]);
    let place = Place::new();
    for (path, body) in [
        ("/export.ndjson", gzip(&data)),
        ("/export", gzip(&data)),
        ("/export.ndjson.gz", data.clone().into_bytes()),
    ] {
        let server = FaultServer::of(Object::new(body));
        assert!(place.run(&format!("cat {}", server.url(path))).ends_with(0).out() == data, "{path}");
    }
}

#[test]
fn a_content_coding_is_taken_off_once() {
    let data = lines(&[PATIENT, GOAL]);
    let place = Place::new();
    let coded = |body: Vec<u8>| {
        let object = Object::new(body).etag("\"v1\"");
        FaultServer::start(move |asked| object.reply(asked).header("Content-Encoding", "gzip"))
    };
    let once = coded(gzip(&data));
    assert!(place.run(&format!("cat {}", once.url("/export.ndjson.gz"))).ends_with(0).out() == data);
    assert!(once.asked().iter().all(|asked| asked.header("accept-encoding") == Some("identity")));
    // A file that was compressed already, and once more for the way.
    let twice = coded(gzip(gzip(&data)));
    let ran = place.run(&format!("cat {}", twice.url("/export.ndjson.gz"))).ends_with(5);
    assert!(ran.stderr.contains("compressed twice (gzip inside)"), "{}", ran.shown());
    assert!(ran.stdout.is_empty());
}

#[test]
fn a_link_that_expires_is_told_and_a_new_one_goes_on() {
    let data = lines(&[PATIENT; 20_000]);
    let object = Object::new(data.clone()).etag("\"v1\"");
    let server = FaultServer::start(move |asked| match (asked.path(), asked.range_begin()) {
        (path, None | Some(0)) if path.ends_with("1") => object.reply(asked).cut(300_000),
        (path, _) if path.ends_with("1") => {
            Reply::new(403, format!("<Error>{CANARY}</Error>")).header("Content-Type", "application/xml")
        }
        _ => object.reply(asked),
    });
    let place = Place::new();
    let link = |number| server.url(&format!("/export.ndjson?sig={CANARY}{number}"));
    let ran = place.run(&format!("fetch {} -o out", link(1))).ends_with(5);
    assert!(
        ran.stderr.contains("answered with status 403, after it had given 300000 bytes"),
        "{}",
        ran.shown()
    );
    assert!(ran.stderr.contains("hint: the link expired"), "{}", ran.shown());
    assert!(!ran.shown().replace(&link(1), "").contains(CANARY), "{}", ran.shown());
    assert!(!place.exists("out/export.ndjson"));
    let before = server.asked().len();
    place.run(&format!("fetch {} -o out", link(2))).ends_with(0);
    assert!(place.text("out/export.ndjson") == data);
    let from = server.asked()[before..].iter().filter_map(Asked::range_begin).max();
    assert_eq!(
        from,
        Some(300_000 - (64 << 10)),
        "it goes on where the other link ended; the last bytes are compared"
    );
}
