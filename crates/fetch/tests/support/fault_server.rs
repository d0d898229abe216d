//! An HTTP/1.1 server over loopback that does what a script says, faults above all. It answers one request a connection,
//! and remembers the heads of all requests and how many bytes of bodies it sent.

#![allow(dead_code, reason = "each test that includes this uses its own part of it")]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a test waits for what must come before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Which request to the server this is, from 0.
    pub(crate) number: usize,
    /// Everything up to the blank line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn method(&self) -> &str {
        self.head.split(' ').next().expect("a method")
    }

    /// Path and query.
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).expect("a path")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Where the range that it asks for begins.
    pub(crate) fn range_begin(&self) -> Option<usize> {
        let (begin, _) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        begin.parse().ok()
    }

    /// What another server on this machine answers to the same request, but with that body.
    pub(crate) fn passed_on(&self, port: u16, body: &[u8]) -> Reply {
        let mut request = format!("{} {} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n", self.method(), self.path());
        let ours = ["host", "content-length", "connection"];
        for (name, value) in self.head.lines().skip(1).filter_map(|line| line.split_once(':')) {
            if !ours.contains(&name.to_ascii_lowercase().as_str()) {
                write!(request, "{name}:{value}\r\n").expect("memory");
            }
        }
        write!(request, "Connection: close\r\nContent-Length: {}\r\n\r\n", body.len()).expect("memory");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the other server");
        stream.write_all(request.as_bytes()).and_then(|()| stream.write_all(body)).expect("asked");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        Reply::of_answer(&answer)
    }

    fn range_end(&self) -> Option<usize> {
        self.header("range")?.rsplit_once('-')?.1.parse().ok()
    }
}

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    length: Length,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Length {
    /// That of the body, in `Content-Length`.
    True,
    Stated(usize),
    /// Chunks, of at most so many bytes.
    Chunked(usize),
    /// None: the end of the connection is that of the body.
    Unstated,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Whole,
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// It is reset after so many bytes of the body.
    Reset(usize),
    /// Nothing comes after so many bytes of the body, until the client goes away.
    Stall(usize),
    /// Nothing comes after a part of the head.
    StallInHead,
    /// The body is repeated until the client goes away.
    Endless,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), length: Length::True, fate: Fate::Whole }
    }

    /// An answer as it came over a connection that ended with it.
    fn of_answer(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut reply = Self::new(status, &answer[end..]);
        for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(':')) {
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("connection", _) => {}
                // That of what a HEAD asks about has no body.
                ("content-length", length) => reply = reply.stated_length(length.parse().expect("a length")),
                (name, value) => reply = reply.header(name, value),
            }
        }
        reply
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn header_value(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(is, _)| !is.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn stated_length(mut self, length: usize) -> Self {
        self.length = Length::Stated(length);
        self
    }

    pub(crate) fn chunked(mut self, chunk_bytes: usize) -> Self {
        self.length = Length::Chunked(chunk_bytes);
        self
    }

    pub(crate) fn without_length(mut self) -> Self {
        self.length = Length::Unstated;
        self
    }

    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.fate = Fate::Cut(after);
        self
    }

    pub(crate) fn reset(mut self, after: usize) -> Self {
        self.fate = Fate::Reset(after);
        self
    }

    pub(crate) fn stall(mut self, after: usize) -> Self {
        self.fate = Fate::Stall(after);
        self
    }

    pub(crate) fn stall_in_head(mut self) -> Self {
        self.fate = Fate::StallInHead;
        self
    }

    pub(crate) fn endless(mut self) -> Self {
        self.fate = Fate::Endless;
        self.length = Length::Unstated;
        self
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", self.status);
        match self.length {
            Length::True => write!(head, "Content-Length: {}\r\n", self.body.len()),
            Length::Stated(length) => write!(head, "Content-Length: {length}\r\n"),
            Length::Chunked(_) => write!(head, "Transfer-Encoding: chunked\r\n"),
            Length::Unstated => Ok(()),
        }
        .expect("memory");
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("memory");
        }
        head + "\r\n"
    }
}

/// An object as a good server has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) bytes: Vec<u8>,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<String>,
    /// Whether it answers ranges.
    pub(crate) ranges: bool,
}

impl Object {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), etag: None, modified: None, ranges: true }
    }

    pub(crate) fn etag(mut self, etag: &str) -> Self {
        self.etag = Some(etag.to_owned());
        self
    }

    pub(crate) fn modified(mut self, modified: &str) -> Self {
        self.modified = Some(modified.to_owned());
        self
    }

    pub(crate) fn without_ranges(mut self) -> Self {
        self.ranges = false;
        self
    }

    /// What a good server answers.
    pub(crate) fn reply(&self, asked: &Asked) -> Reply {
        let refuses = |name, current: &Option<String>| {
            asked.header(name).is_some_and(|wanted| current.as_deref() != Some(wanted))
        };
        if refuses("if-match", &self.etag) || refuses("if-unmodified-since", &self.modified) {
            return Reply::new(412, "");
        }
        let length = self.bytes.len();
        let reply = match asked.range_begin().filter(|_| self.ranges) {
            Some(begin) if begin >= length => {
                Reply::new(416, "").header("Content-Range", format!("bytes */{length}"))
            }
            Some(begin) => {
                let end = asked.range_end().map_or(length, |last| length.min(last + 1));
                Reply::new(206, &self.bytes[begin..end])
                    .header("Content-Range", format!("bytes {begin}-{}/{length}", end - 1))
            }
            None => Reply::new(200, self.bytes.clone()),
        };
        let reply = if self.ranges { reply.header("Accept-Ranges", "bytes") } else { reply };
        let reply = self.etag.iter().fold(reply, |reply, etag| reply.header("ETag", etag));
        self.modified.iter().fold(reply, |reply, modified| reply.header("Last-Modified", modified))
    }
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    sent_bytes: AtomicU64,
    stopping: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    /// Told each time that a stalled or endless answer begins.
    holding: Mutex<Sender<()>>,
    /// Told each time that a client goes away from one.
    left: Mutex<Sender<()>>,
}

/// The server; dropping it ends it.
pub(crate) struct FaultServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    holding: Receiver<()>,
    left: Receiver<()>,
}

impl FaultServer {
    pub(crate) fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (holding_sender, holding) = mpsc::channel();
        let (left_sender, left) = mpsc::channel();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            asked: Mutex::default(),
            sent_bytes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            connections: Mutex::default(),
            holding: Mutex::new(holding_sender),
            left: Mutex::new(left_sender),
        });
        let accepting = Some(thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        }));
        Self { address, shared, accepting, holding, left }
    }

    /// A server of one object.
    pub(crate) fn of(object: Object) -> Self {
        Self::start(move |asked| object.reply(asked))
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect("no panic").clone()
    }

    /// Bytes of bodies that were written so far.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.shared.sent_bytes.load(Ordering::SeqCst)
    }

    /// Waits until an answer stalls, or goes on without end.
    pub(crate) fn wait_until_held(&self) {
        self.holding.recv_timeout(PATIENCE).expect("an answer that stalls or has no end");
    }

    /// Waits until the client goes away from such an answer.
    pub(crate) fn wait_until_left(&self) {
        self.left.recv_timeout(PATIENCE).expect("a client that goes away");
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for connection in self.shared.connections.lock().expect("no panic").drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        if let Ok(copy) = connection.try_clone() {
            shared.connections.lock().expect("no panic").push(copy);
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A client may go away at any time.
            let _ = serve(connection, &shared);
        });
    }
}

fn serve(mut connection: TcpStream, shared: &Shared) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let Some(request) = read_request(&mut connection)? else { return Ok(()) };
    let asked = {
        let mut all = shared.asked.lock().expect("no panic");
        let asked = Asked { number: all.len(), ..request };
        all.push(asked.clone());
        asked
    };
    let reply = (shared.script)(&asked);
    // What is left unread makes the system reset the connection when it is closed.
    let unread = matches!(reply.fate, Fate::Reset(_));
    if !unread {
        connection.read_exact(&mut [0])?;
    }
    let result = answer(&mut connection, &reply, &asked, shared);
    // The copy in the list of connections would keep it open.
    if !unread {
        let _ = connection.shutdown(Shutdown::Write);
    }
    let peer = connection.peer_addr();
    shared
        .connections
        .lock()
        .expect("no panic")
        .retain(|other| other.peer_addr().ok() != peer.as_ref().ok().copied());
    result
}

/// Reads a request but for its very last byte.
fn read_request(connection: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r") {
        let mut byte = [0];
        if connection.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let mut asked = Asked { number: 0, head: String::from_utf8(head).expect("text"), body: Vec::new() };
    let length: usize = asked.header("content-length").map_or(0, |length| length.parse().expect("a length"));
    if length > 0 {
        connection.read_exact(&mut [0])?;
        asked.body = vec![0; length - 1];
        connection.read_exact(&mut asked.body)?;
        let mut last = [0];
        connection.peek(&mut last)?;
        asked.body.push(last[0]);
    }
    Ok(Some(asked))
}

fn answer(connection: &mut TcpStream, reply: &Reply, asked: &Asked, shared: &Shared) -> std::io::Result<()> {
    let head = reply.head();
    if reply.fate == Fate::StallInHead {
        connection.write_all(&head.as_bytes()[..head.len() / 2])?;
        return hold(connection, shared);
    }
    connection.write_all(head.as_bytes())?;
    if asked.method() == "HEAD" {
        return Ok(());
    }
    let body = match reply.fate {
        Fate::Cut(after) | Fate::Reset(after) | Fate::Stall(after) => {
            &reply.body[..after.min(reply.body.len())]
        }
        _ => &reply.body[..],
    };
    if reply.fate == Fate::Endless {
        return endless(connection, body, shared);
    }
    match reply.length {
        Length::Chunked(chunk_bytes) => {
            for chunk in body.chunks(chunk_bytes) {
                connection.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                send(connection, chunk, shared)?;
                connection.write_all(b"\r\n")?;
            }
            if reply.fate == Fate::Whole {
                connection.write_all(b"0\r\n\r\n")?;
            }
        }
        _ => send(connection, body, shared)?,
    }
    if matches!(reply.fate, Fate::Stall(_)) { hold(connection, shared) } else { Ok(()) }
}

fn send(connection: &mut TcpStream, bytes: &[u8], shared: &Shared) -> std::io::Result<()> {
    for piece in bytes.chunks(1 << 16) {
        connection.write_all(piece)?;
        shared.sent_bytes.fetch_add(piece.len() as u64, Ordering::SeqCst);
    }
    Ok(())
}

/// Says nothing until the client goes away.
fn hold(connection: &mut TcpStream, shared: &Shared) -> std::io::Result<()> {
    shared.holding.lock().expect("no panic").send(()).ok();
    let gone = connection.read(&mut [0]);
    shared.left.lock().expect("no panic").send(()).ok();
    gone.map(|_| ())
}

fn endless(connection: &mut TcpStream, bytes: &[u8], shared: &Shared) -> std::io::Result<()> {
    shared.holding.lock().expect("no panic").send(()).ok();
    let gone = loop {
        if let Err(gone) = send(connection, bytes, shared) {
            break gone;
        }
    };
    shared.left.lock().expect("no panic").send(()).ok();
    Err(gone)
}
