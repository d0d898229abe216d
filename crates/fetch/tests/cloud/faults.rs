//! A store that does not keep to what it promised: a server of ours that speaks as much S3 as a reader needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fhirline_core::Origin;
use fhirline_fetch::{CloudBucket, CloudOptions, ObjectOrigin};

const WINDOW: usize = 64 << 10;
const OBJECT: usize = 10 * WINDOW + 7;

/// How long a test waits for what must come, so that it fails instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// What becomes of a request for a range.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// Half of the window, then the connection ends.
    Half,
    /// The whole object, as if no range had been asked for.
    Whole,
    /// Fewer bytes than were asked for, and the answer says so.
    Fewer,
    /// The head of the answer, and nothing more as long as the client waits.
    Stall,
    /// An answer about another object, in spite of the condition.
    Other,
}

#[derive(Debug)]
struct Store {
    endpoint: String,
    asked: Arc<Mutex<Vec<Range<usize>>>>,
    /// A word for each client that stalls, and one when it has gone.
    stalled: Receiver<&'static str>,
}

impl Store {
    /// What becomes of a request for a range is told by its number, from 0.
    fn new(fault: impl Fn(usize) -> Fault + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (sender, stalled) = mpsc::channel();
        let all = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, fault, sender) = (Arc::clone(&all), fault.clone(), sender.clone());
                thread::spawn(move || serve(stream.expect("a connection"), &asked, fault, &sender));
            }
        });
        Self { endpoint, asked, stalled }
    }

    fn object(&self) -> ObjectOrigin {
        let options = CloudOptions::new()
            .retries(1)
            .window_bytes(WINDOW)
            .set("AWS_ENDPOINT_URL", &self.endpoint)
            .set("AWS_ACCESS_KEY_ID", "id")
            .set("AWS_SECRET_ACCESS_KEY", "secret");
        let bucket = CloudBucket::open(&"s3://bucket/".parse().expect("a URL"), &options).expect("opened");
        bucket.object("a").expect("a key")
    }

    fn asked(&self) -> Vec<Range<usize>> {
        self.asked.lock().expect("a lock").clone()
    }
}

fn byte_at(place: usize) -> u8 {
    (place % 251) as u8
}

fn bytes(range: Range<usize>) -> Vec<u8> {
    range.map(byte_at).collect()
}

fn serve(
    stream: TcpStream,
    asked: &Mutex<Vec<Range<usize>>>,
    fault: impl Fn(usize) -> Fault,
    stalled: &mpsc::Sender<&'static str>,
) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    while let Some((head, range)) = request(&mut reader) {
        if head {
            let answer = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
            let written = write!(writer, "{answer}Content-Length: {OBJECT}\r\n\r\n");
            written.expect("written");
            continue;
        }
        let number = {
            let mut asked = asked.lock().expect("a lock");
            asked.push(range.clone());
            asked.len() - 1
        };
        let fault = fault(number);
        // The client may be gone.
        if answer(&mut writer, range, fault).is_err() {
            return;
        }
        match fault {
            Fault::Half => return,
            Fault::Stall => {
                // The test may have ended.
                let _ = stalled.send("stalled");
                // Returns when the client closes the connection.
                let _ = reader.read(&mut [0]);
                let _ = stalled.send("gone");
                return;
            }
            _ => {}
        }
    }
}

/// Whether it is a HEAD, and the range that is asked for, which must be one of the object that was looked at.
fn request(reader: &mut impl BufRead) -> Option<(bool, Range<usize>)> {
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let mut range = 0..OBJECT;
    let mut condition = false;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        condition |= line == "if-match: \"1\"";
        if line.is_empty() {
            assert!(condition || first.starts_with("HEAD"), "a range without a condition");
            return Some((first.starts_with("HEAD"), range));
        }
        if let Some((start, end)) = line.strip_prefix("range: bytes=").and_then(|range| range.split_once('-'))
        {
            range = start.parse().ok()?..end.parse::<usize>().ok()? + 1;
        }
    }
}

fn answer(writer: &mut impl Write, range: Range<usize>, fault: Fault) -> std::io::Result<()> {
    let range = match fault {
        Fault::Whole => 0..OBJECT,
        Fault::Fewer => range.start..range.end - 1,
        _ => range,
    };
    let status = if matches!(fault, Fault::Whole) { "200 OK" } else { "206 Partial Content" };
    let tag = if matches!(fault, Fault::Other) { 2 } else { 1 };
    write!(
        writer,
        "HTTP/1.1 {status}\r\nETag: \"{tag}\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    )?;
    write!(writer, "Content-Range: bytes {}-{}/{OBJECT}\r\n", range.start, range.end - 1)?;
    write!(writer, "Content-Length: {}\r\n\r\n", range.len())?;
    match fault {
        Fault::Stall => writer.flush(),
        Fault::Half => writer.write_all(&bytes(range.start..range.start + range.len() / 2)),
        _ => writer.write_all(&bytes(range)),
    }
}

#[test]
fn windows_are_asked_for_one_ahead_of_the_reader() {
    let store = Store::new(|_| Fault::None);
    let mut reader = store.object().open_at(3).expect("opens");
    let mut all = Vec::new();
    loop {
        let mut piece = [0; 1000];
        let bytes = reader.read(&mut piece).expect("read");
        if bytes == 0 {
            break;
        }
        all.extend_from_slice(&piece[..bytes]);
        let reading = all.len().div_ceil(WINDOW);
        assert!(store.asked().len() <= reading + 1, "{:?} at byte {}", store.asked(), all.len());
    }
    assert!(all == bytes(3..OBJECT), "other bytes");
    let asked = store.asked();
    assert_eq!(asked.len(), 11);
    assert!(asked.iter().all(|range| range.len() <= WINDOW), "{asked:?}");
}

#[test]
fn the_first_window_is_asked_for_before_anybody_reads() {
    let store = Store::new(|_| Fault::Stall);
    let object = store.object();
    assert!(object.arrives_by_itself());
    let reader = object.open_at(0).expect("opens");
    assert_eq!(store.stalled.recv_timeout(PATIENCE), Ok("stalled"));
    assert_eq!(store.asked().len(), 1);
    drop(reader);
    assert_eq!(store.stalled.recv_timeout(PATIENCE), Ok("gone"));
}

#[test]
fn what_is_not_the_window_that_was_asked_for_is_an_error() {
    for fault in [Fault::Half, Fault::Whole, Fault::Fewer, Fault::Other] {
        let store = Store::new(move |number| if number < 2 { Fault::None } else { fault });
        let mut reader = store.object().open_at(0).expect("opens");
        let mut read = Vec::new();
        let error = reader.read_to_end(&mut read).expect_err("a fault");
        assert!(read == bytes(0..2 * WINDOW), "{fault:?}: {} bytes were read", read.len());
        assert!(error.to_string().contains("s3://bucket/a"), "{fault:?}: {error}");
        assert!(reader.read(&mut [0]).is_err(), "{fault:?}: an error is not the end");
    }
}

#[test]
fn behind_an_error_nothing_is_read() {
    // One fault only: whoever asked again would get what stands behind the missing window.
    let store = Store::new(|number| if number == 1 { Fault::Whole } else { Fault::None });
    let mut reader = store.object().open_at(0).expect("opens");
    let mut read = Vec::new();
    reader.read_to_end(&mut read).expect_err("a fault");
    assert_eq!(read.len(), WINDOW);
    reader.read(&mut [0]).expect_err("an error is not passed over");
}

#[test]
fn a_window_that_breaks_off_is_continued() {
    let store = Store::new(|number| if number == 1 { Fault::Half } else { Fault::None });
    let mut all = Vec::new();
    store.object().open_at(0).expect("opens").read_to_end(&mut all).expect("read");
    assert!(all == bytes(0..OBJECT), "other bytes");
    let asked = store.asked();
    assert_eq!((asked.len(), &asked[1]), (12, &(WINDOW..2 * WINDOW)));
    assert_eq!(asked[2], WINDOW + WINDOW / 2..2 * WINDOW);
}

#[test]
fn the_end_of_a_reader_is_the_end_of_its_requests() {
    let store = Store::new(|number| if number == 0 { Fault::None } else { Fault::Stall });
    let mut reader = store.object().open_at(0).expect("opens");
    reader.read_exact(&mut [0]).expect("the first window");
    assert_eq!(store.stalled.recv_timeout(PATIENCE), Ok("stalled"));
    drop(reader);
    assert_eq!(store.stalled.recv_timeout(PATIENCE), Ok("gone"));
}
