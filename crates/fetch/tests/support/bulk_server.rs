//! A Bulk Data server over loopback: every answer scripted, every question recorded.
//!
//! It has the traits of the servers that were measured: files in chunks, without length, validator or ranges; `Retry-After`
//! in seconds and as a date. Its token endpoint verifies assertions as the standard wants it, and a token is good for a
//! number of requests. Whoever includes it needs base64, ring and serde_json.
#![allow(dead_code, reason = "whoever includes it uses some of it")]

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Value, json};

/// Stands wherever a secret or data of a person could: it must turn up nowhere.
pub(crate) const CANARY: &str = "CANARY";
/// The client that the token endpoint knows.
pub(crate) const CLIENT_ID: &str = "client-7";

const KEYS: &str = include_str!("keys/private.jwks.json");
/// A date for `Date` and `Retry-After`: the client compares the two.
const NOW: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

/// A key file of the tests, also for a test of another package of the workspace.
pub(crate) fn key_file(name: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["tests/support/keys", "crates/fetch/tests/support/keys", "../fetch/tests/support/keys"];
    let mut files = folders.into_iter().map(|folder| package.join(folder).join(name));
    files.find(|file| file.is_file()).unwrap_or_else(|| package.join(name))
}

/// One answer. `{base}` in headers and body stands for the server's own URL.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    chunked: bool,
    dropped: bool,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), chunked: false, dropped: false }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// The connection ends without an answer.
    pub(crate) fn dropped() -> Self {
        Self { dropped: true, ..Self::new(0) }
    }

    /// An answer to a kick-off.
    pub(crate) fn taken() -> Self {
        Self::new(202).header("Content-Location", format!("{{base}}/status/{CANARY}?{CANARY}"))
    }

    pub(crate) fn working(progress: &str, retry_after: &str) -> Self {
        Self::new(202).header("X-Progress", progress).header("Retry-After", retry_after)
    }

    /// `Retry-After` as a date that is now.
    pub(crate) fn working_until_now(progress: &str) -> Self {
        Self::working(progress, NOW).header("Date", NOW)
    }

    /// An error with an OperationOutcome whose text is a canary.
    pub(crate) fn outcome(status: u16, code: &str) -> Self {
        let issue =
            json!([{"severity": "error", "code": code, "diagnostics": CANARY, "details": {"text": CANARY}}]);
        let body = json!({"resourceType": "OperationOutcome", "issue": issue});
        Self::new(status).header("Content-Type", "application/fhir+json").body(body.to_string())
    }

    pub(crate) fn manifest(manifest: &Value) -> Self {
        Self::new(200).header("Content-Type", "application/json").body(manifest.to_string())
    }

    /// A file as it was measured: in chunks, without length or validator.
    pub(crate) fn file(body: &str) -> Self {
        let reply = Self::new(200).header("Content-Type", "application/fhir+ndjson").body(body);
        Self { chunked: true, ..reply }
    }
}

/// Who gets in.
#[derive(Clone)]
pub(crate) struct TokenRules {
    /// For how many requests a token is good.
    pub(crate) uses: usize,
    /// What the server says of its life.
    pub(crate) expires_in: Option<u64>,
    /// What the server takes.
    pub(crate) algorithms: Vec<&'static str>,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self { uses: usize::MAX, expires_in: Some(300), algorithms: vec!["RS384", "ES384"] }
    }
}

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Question {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// What the server says: replies by method and path, the last of each again and again.
#[derive(Clone, Default)]
pub(crate) struct Script {
    replies: HashMap<(String, String), VecDeque<Reply>>,
    tokens: Option<TokenRules>,
}

impl Script {
    pub(crate) fn on(mut self, question: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let (method, path) = question.split_once(' ').expect("method and path");
        self.replies.insert((method.to_owned(), path.to_owned()), replies.into_iter().collect());
        self
    }

    /// All but `/token`, `/open/...` and the SMART configuration want a token.
    pub(crate) fn guarded(mut self, rules: TokenRules) -> Self {
        self.tokens = Some(rules);
        self
    }

    /// An export of all patients that takes two looks, with these files by type, of which one is in error.
    pub(crate) fn export(files: &[(&str, &str)]) -> Self {
        let output = |(at, (kind, body)): (usize, &(&str, &str))| json!({"type": kind, "url": format!("{{base}}/files/{at}.ndjson?{CANARY}"), "count": body.lines().count()});
        let output: Vec<_> = files.iter().enumerate().map(output).collect();
        let manifest = json!({"transactionTime": "2026-01-01T00:00:00Z", "request": "{base}/fhir/Patient/$export",
            "requiresAccessToken": true, "output": output, "error": []});
        let script = Self::default()
            .on("GET /fhir/Patient/$export", [Reply::taken()])
            .on(
                &format!("GET /status/{CANARY}"),
                [Reply::working("10%", "0"), Reply::working_until_now("90%"), Reply::manifest(&manifest)],
            )
            .on(&format!("DELETE /status/{CANARY}"), [Reply::new(202), Reply::outcome(404, "not-found")]);
        let add = |script: Self, (at, (_, body)): (usize, &(&str, &str))| {
            script.on(&format!("GET /files/{at}.ndjson"), [Reply::file(body)])
        };
        files.iter().enumerate().fold(script, add)
    }
}

struct Shared {
    base: String,
    script: Mutex<Script>,
    questions: Mutex<Vec<Question>>,
    issued: Mutex<Issued>,
}

/// What became of tokens.
#[derive(Default)]
struct Issued {
    count: usize,
    uses_left: usize,
    ids: HashSet<String>,
    algorithms: Vec<String>,
}

/// The server; it ends with the process.
pub(crate) struct BulkServer(Arc<Shared>);

impl BulkServer {
    pub(crate) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (script, questions, issued) = (Mutex::new(script), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { base, script, questions, issued });
        let server = Self(Arc::clone(&shared));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    // The client may go away when it likes.
                    let _ = serve(&shared, stream);
                });
            }
        });
        server
    }

    /// Without a path.
    pub(crate) fn base(&self) -> &str {
        &self.0.base
    }

    /// The FHIR server.
    pub(crate) fn fhir(&self) -> String {
        format!("{}/fhir", self.0.base)
    }

    pub(crate) fn questions(&self) -> Vec<Question> {
        locked(&self.0.questions).clone()
    }

    /// The questions of this method whose path begins so.
    pub(crate) fn asked(&self, method: &str, path: &str) -> Vec<Question> {
        let mut questions = self.questions();
        questions.retain(|question| question.method == method && question.path().starts_with(path));
        questions
    }

    /// The algorithms by which assertions were signed that were good.
    pub(crate) fn good_assertions(&self) -> Vec<String> {
        locked(&self.0.issued).algorithms.clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while held")
}

fn serve(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    let question = read(&stream)?;
    locked(&shared.questions).push(question.clone());
    let reply = reply(shared, &question);
    if reply.dropped {
        return stream.shutdown(Shutdown::Both);
    }
    write(&mut stream, &reply, &shared.base)
}

fn read(stream: &TcpStream) -> io::Result<Question> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut question = Question { method, target, headers, body: String::new() };
    let length = question.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_string(&mut question.body)?;
    Ok(question)
}

fn write(stream: &mut TcpStream, reply: &Reply, base: &str) -> io::Result<()> {
    let body = reply.body.replace("{base}", base);
    let mut text = format!("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        text += &format!("{name}: {}\r\n", value.replace("{base}", base));
    }
    if !reply.chunked {
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        return stream.write_all(text.as_bytes());
    }
    text += "Transfer-Encoding: chunked\r\n\r\n";
    stream.write_all(text.as_bytes())?;
    for chunk in body.as_bytes().chunks(1000) {
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
        stream.write_all(chunk)?;
        stream.write_all(b"\r\n")?;
    }
    stream.write_all(b"0\r\n\r\n")
}

fn reply(shared: &Shared, question: &Question) -> Reply {
    let mut script = locked(&shared.script);
    if let Some(rules) = script.tokens.clone() {
        if question.path() == "/fhir/.well-known/smart-configuration" {
            return smart_configuration(&rules);
        }
        if question.path() == "/token" {
            return token(shared, &rules, question);
        }
        if !question.path().starts_with("/open/") && !has_good_token(shared, question) {
            return Reply::outcome(401, "login");
        }
    }
    let key = (question.method.clone(), question.path().to_owned());
    match script.replies.get_mut(&key) {
        Some(replies) if replies.len() > 1 => replies.pop_front().expect("several"),
        Some(replies) => replies.front().cloned().expect("one"),
        None => Reply::outcome(404, "not-found"),
    }
}

fn smart_configuration(rules: &TokenRules) -> Reply {
    let configuration = json!({
        "token_endpoint": "{base}/token",
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": rules.algorithms,
        "scopes_supported": ["system/*.read"],
        "capabilities": ["client-confidential-asymmetric"],
    });
    Reply::new(200).header("Content-Type", "application/json").body(configuration.to_string())
}

fn token_text(count: usize) -> String {
    format!("{CANARY}-token-{count}")
}

fn has_good_token(shared: &Shared, question: &Question) -> bool {
    let mut issued = locked(&shared.issued);
    let wanted = format!("Bearer {}", token_text(issued.count));
    if question.header("authorization") != Some(wanted.as_str()) || issued.uses_left == 0 {
        return false;
    }
    issued.uses_left -= 1;
    true
}

fn token(shared: &Shared, rules: &TokenRules, question: &Question) -> Reply {
    let mut issued = locked(&shared.issued);
    let refused = json!({"error": "invalid_client", "error_description": CANARY});
    let Some((algorithm, id)) = verified(question, &format!("{}/token", shared.base), rules) else {
        return Reply::new(400).header("Content-Type", "application/json").body(refused.to_string());
    };
    if !issued.ids.insert(id) {
        return Reply::new(400).body(refused.to_string());
    }
    issued.count += 1;
    issued.uses_left = rules.uses;
    issued.algorithms.push(algorithm);
    let mut token =
        json!({"access_token": token_text(issued.count), "token_type": "Bearer", "scope": "system/*.read"});
    if let Some(expires_in) = rules.expires_in {
        token["expires_in"] = json!(expires_in);
    }
    Reply::new(200).header("Content-Type", "application/json").body(token.to_string())
}

/// The algorithm and the id of an assertion that is as the standard wants it.
fn verified(question: &Question, audience: &str, rules: &TokenRules) -> Option<(String, String)> {
    let form = form_of(&question.body);
    let field = |name: &str| form.get(name).map(String::as_str);
    let is_form = question.header("content-type") == Some("application/x-www-form-urlencoded")
        && question.header("authorization").is_none()
        && field("grant_type") == Some("client_credentials")
        && field("scope") == Some("system/*.read")
        && field("client_assertion_type") == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let (message, signature) = field("client_assertion")?.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let header: Value = serde_json::from_slice(&decoded(header)?).ok()?;
    let claims: Value = serde_json::from_slice(&decoded(claims)?).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let life = claims["exp"].as_u64()?.checked_sub(now)?;
    let algorithm = header["alg"].as_str()?;
    let is_claim = header["typ"] == "JWT"
        && rules.algorithms.contains(&algorithm)
        && claims["iss"] == CLIENT_ID
        && claims["sub"] == CLIENT_ID
        && claims["aud"] == audience
        && (1..=300).contains(&life);
    let key = public_key(algorithm, &header["kid"])?;
    let is_signed = verifies(algorithm, &key, message.as_bytes(), &decoded(signature)?);
    let id = claims["jti"].as_str().filter(|id| id.len() >= 16)?;
    (is_form && is_claim && is_signed).then(|| (algorithm.to_owned(), id.to_owned()))
}

fn form_of(body: &str) -> HashMap<String, String> {
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().replace('+', " ");
    for part in parts {
        let code = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).expect("an escape");
        decoded.push(char::from(code));
        decoded += &part[2..].replace('+', " ");
    }
    decoded
}

fn public_key(algorithm: &str, kid: &Value) -> Option<Value> {
    let set: Value = serde_json::from_str(KEYS).expect("JSON");
    let keys = set["keys"].as_array().expect("keys");
    keys.iter().find(|key| key["kid"] == *kid && key["alg"] == algorithm).cloned()
}

fn verifies(algorithm: &str, key: &Value, message: &[u8], signature: &[u8]) -> bool {
    let member =
        |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().expect("a member")).expect("base64url");
    if algorithm == "RS384" {
        let key = RsaPublicKeyComponents { n: member("n"), e: member("e") };
        return key.verify(&RSA_PKCS1_2048_8192_SHA384, message, signature).is_ok();
    }
    let point = [vec![4], member("x"), member("y")].concat();
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature).is_ok()
}
