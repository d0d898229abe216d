//! A server of FHIR Bulk Data exports on this machine: kick-off, status, files with ranges, SMART Backend Services. It notes
//! what it is asked, and does what a test wants it to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// What stands in every URL that is a key of its own.
pub(crate) const SECRET: &str = "Canary-5b7719";

/// How the server behaves, and what it has seen.
#[derive(Default)]
pub(crate) struct Bulk {
    /// Files by path, in the list of the manifest that the path begins with: `output/Patient/1`.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Whether exports become ready.
    pub(crate) ready: bool,
    /// A file that is refused to everybody, and with which status.
    pub(crate) refused: Option<(String, u16)>,
    /// How a file is held up: its path, and after how many bytes.
    pub(crate) held: Option<(String, usize)>,
    /// Whether files want a token.
    pub(crate) tokens: bool,
    /// For how many requests a token is good.
    pub(crate) uses: Option<u32>,
    /// Requests with the token that was given last.
    used: u32,
    given: u32,
    /// Whether the URLs of files that were given are not good any more. They are given anew then.
    pub(crate) expired: bool,
    version: u32,
    /// `GET /fhir/$export`, in the order in which they came; queries are left out.
    pub(crate) seen: Vec<String>,
    /// Queries of kick-offs, and ranges that were asked for.
    pub(crate) queries: Vec<String>,
    pub(crate) ranges: Vec<String>,
}

/// The server. It goes with the process.
#[derive(Clone)]
pub(crate) struct BulkServer {
    address: SocketAddr,
    state: Arc<(Mutex<Bulk>, Condvar)>,
}

/// A request.
struct Asked {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
}

impl BulkServer {
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
        let bulk = Bulk { files, ready: true, ..Bulk::default() };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = Self { address, state: Arc::new((Mutex::new(bulk), Condvar::new())) };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                // What a killed client leaves is no trouble.
                thread::spawn(move || drop(server.serve(stream)));
            }
        });
        server
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}/fhir", self.address)
    }

    /// What it does and has seen.
    pub(crate) fn bulk(&self) -> MutexGuard<'_, Bulk> {
        self.state.0.lock().expect("not poisoned")
    }

    /// Lets go of a file that is held up.
    pub(crate) fn release(&self) {
        self.bulk().held = None;
        self.state.1.notify_all();
    }

    /// How often a request with this beginning came.
    pub(crate) fn count(&self, request: &str) -> usize {
        self.bulk().seen.iter().filter(|seen| seen.starts_with(request)).count()
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut out = stream.try_clone()?;
        let asked = read(BufReader::new(stream))?;
        self.bulk().seen.push(format!("{} {}", asked.method, asked.path));
        let path = asked.path.clone();
        if path == "/fhir/.well-known/smart-configuration" {
            return self.smart(&mut out);
        } else if path == "/token" {
            return self.token(&mut out);
        } else if path.starts_with("/fhir/") && path.ends_with("$export") {
            return self.kick_off(&asked, &mut out);
        } else if path == "/status/1" {
            return self.status(&asked, &mut out);
        }
        match path.strip_prefix("/files/") {
            Some(file) => self.file(file, &asked, &mut out),
            None => answer(&mut out, "404 Not Found", "", b""),
        }
    }

    fn smart(&self, out: &mut TcpStream) -> std::io::Result<()> {
        let body = format!(
            r#"{{"token_endpoint":"http://{}/token","token_endpoint_auth_methods_supported":["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported":["RS384","ES384"],"capabilities":["client-confidential-asymmetric"]}}"#,
            self.address
        );
        answer(out, "200 OK", "Content-Type: application/json\r\n", body.as_bytes())
    }

    fn token(&self, out: &mut TcpStream) -> std::io::Result<()> {
        let mut bulk = self.bulk();
        (bulk.given, bulk.used) = (bulk.given + 1, 0);
        let body = format!(
            r#"{{"access_token":"{SECRET}-{}","token_type":"bearer","expires_in":300,"scope":"system/*.rs"}}"#,
            bulk.given
        );
        drop(bulk);
        answer(out, "200 OK", "Content-Type: application/json\r\n", body.as_bytes())
    }

    /// Whether the token is good, if one is wanted.
    fn is_let_in(&self, asked: &Asked) -> bool {
        let mut bulk = self.bulk();
        if !bulk.tokens {
            return !asked.headers.contains_key("authorization");
        }
        let good = format!("Bearer {SECRET}-{}", bulk.given);
        bulk.used += 1;
        asked.headers.get("authorization") == Some(&good) && bulk.uses.is_none_or(|uses| bulk.used <= uses)
    }

    fn kick_off(&self, asked: &Asked, out: &mut TcpStream) -> std::io::Result<()> {
        if !self.is_let_in(asked) {
            return answer(out, "401 Unauthorized", "", b"");
        }
        self.bulk().queries.push(asked.query.clone());
        let location = format!("Content-Location: http://{}/status/1?key={SECRET}\r\n", self.address);
        answer(out, "202 Accepted", &location, b"")
    }

    fn status(&self, asked: &Asked, out: &mut TcpStream) -> std::io::Result<()> {
        if asked.query != format!("key={SECRET}") {
            return answer(out, "404 Not Found", "", b"");
        }
        if asked.method == "DELETE" {
            return answer(out, "202 Accepted", "", b"");
        }
        if !self.bulk().ready {
            return answer(out, "202 Accepted", "X-Progress: 42% of it\r\nRetry-After: 3600\r\n", b"");
        }
        let body = self.manifest();
        answer(out, "200 OK", "Content-Type: application/json\r\n", body.as_bytes())
    }

    fn manifest(&self) -> String {
        let mut bulk = self.bulk();
        if bulk.expired {
            (bulk.expired, bulk.version) = (false, bulk.version + 1);
        }
        let of = |list: &str| -> Vec<serde_json::Value> {
            let files =
                bulk.files.iter().filter_map(|(path, bytes)| Some((path, path.strip_prefix(list)?, bytes)));
            let item = |(path, rest, bytes): (&String, &str, &Vec<u8>)| {
                let url = format!("http://{}/files/{path}?v={}&sig={SECRET}", self.address, bulk.version);
                let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
                serde_json::json!({"type": rest.split('/').next(), "url": url, "count": lines})
            };
            files.map(item).collect()
        };
        let manifest = serde_json::json!({
            "transactionTime": "2026-02-03T04:05:06Z",
            "request": format!("http://{}/fhir/$export", self.address),
            "requiresAccessToken": bulk.tokens,
            "output": of("output/"),
            "deleted": of("deleted/"),
            "error": of("error/"),
        });
        manifest.to_string()
    }

    fn file(&self, path: &str, asked: &Asked, out: &mut TcpStream) -> std::io::Result<()> {
        if !self.is_let_in(asked) {
            return answer(out, "401 Unauthorized", "", b"");
        }
        let bulk = self.bulk();
        let now = asked.query == format!("v={}&sig={SECRET}", bulk.version) && !bulk.expired;
        if let Some((_, status)) = bulk.refused.as_ref().filter(|(refused, _)| refused == path) {
            return answer(out, &format!("{status} Refused"), "", b"");
        }
        let bytes = bulk.files.get(path).cloned().filter(|_| now);
        drop(bulk);
        let Some(bytes) = bytes else { return answer(out, "403 Forbidden", "", b"") };
        let from = asked
            .headers
            .get("range")
            .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
        if let Some(range) = asked.headers.get("range") {
            self.bulk().ranges.push(format!("{path} {range}"));
        }
        let from: usize = from.unwrap_or(0).min(bytes.len());
        let (status, range) = match asked.headers.get("range") {
            Some(_) => (
                "206 Partial Content",
                format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len()),
            ),
            None => ("200 OK", String::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/fhir+ndjson\r\nAccept-Ranges: bytes\r\nETag: \"{path}\"\r\n{range}Content-Length: {}\r\nConnection: close\r\n\r\n",
            bytes.len() - from
        );
        out.write_all(head.as_bytes())?;
        self.give(path, &bytes, from, out)
    }

    /// Gives a file from there on, as far as it is not held up.
    fn give(&self, path: &str, bytes: &[u8], from: usize, out: &mut TcpStream) -> std::io::Result<()> {
        let held = self.bulk().held.clone().filter(|(held, _)| held == path);
        let until = held.map_or(bytes.len(), |(_, after)| after.clamp(from, bytes.len()));
        out.write_all(&bytes[from..until])?;
        let held = |bulk: &mut Bulk| bulk.held.as_ref().is_some_and(|(held, _)| held == path);
        drop(self.state.1.wait_while(self.bulk(), held));
        out.write_all(&bytes[until..])
    }
}

fn read(mut stream: BufReader<TcpStream>) -> std::io::Result<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.replace("%24", "$"), query.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Asked { method, path, query, headers })
}

fn answer(out: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    out.write_all(head.as_bytes())?;
    out.write_all(body)
}
