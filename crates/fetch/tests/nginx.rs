//! The HTTP source against nginx: ranges, transfers that are compressed on the fly, a slow link, an object replaced.
#![cfg(feature = "http")]

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fhirline_core::Origin;
use fhirline_fetch::{HttpClient, HttpError, HttpOptions, HttpOrigin};
use tempfile::TempDir;

const PROGRAM: &str = "/usr/sbin/nginx";

/// nginx on a free port, over a folder of its own; dropping it ends it.
struct Nginx {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Nginx {
    /// `None`, said aloud, where there is no nginx.
    fn start() -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            say_skipped();
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("root")).expect("made");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        fs::write(folder.path().join("nginx.conf"), configuration(folder.path(), port)).expect("written");
        let child = Command::new(PROGRAM)
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let mut nginx = Self { child, port, folder };
        nginx.wait_until_ready();
        Some(nginx)
    }

    fn wait_until_ready(&mut self) {
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.child.try_wait().expect("a child").is_none(), "nginx ended");
            assert!(begin.elapsed() < Duration::from_secs(60), "nginx does not listen");
            std::thread::yield_now();
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    fn origin(&self, options: HttpOptions, path: &str) -> HttpOrigin {
        let client = HttpClient::new(options).expect("a client");
        HttpOrigin::new(&client, &format!("http://127.0.0.1:{}/{path}", self.port)).expect("a URL")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::print_stderr, reason = "a test that does not run has to say so")]
fn say_skipped() {
    eprintln!("SKIPPED: there is no {PROGRAM}");
}

fn configuration(folder: &Path, port: u16) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
        .concat();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
        events {{ worker_connections 64; }}
        http {{
            access_log off; keepalive_timeout 60;
            {temporary}
            server {{
                listen 127.0.0.1:{port}; root {folder}/root; default_type application/fhir+ndjson;
                location /slow/ {{ alias {folder}/root/; limit_rate 2m; limit_rate_after 64k; }}
                location /gzip/ {{ alias {folder}/root/; gzip on; gzip_types application/fhir+ndjson; }}
            }}
        }}",
        folder = folder.display(),
    )
}

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("{{\"resourceType\":\"Patient\",\"id\":\"{number}\"}}\n")).collect()
}

fn read(origin: &HttpOrigin, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    origin.open_at(offset).expect("begun").read_to_end(&mut bytes).expect("whole");
    bytes
}

#[test]
fn nginx_serves_objects_and_ranges_of_them() {
    let Some(nginx) = Nginx::start() else { return };
    let text = lines(50_000);
    fs::write(nginx.file("a.ndjson"), &text).expect("written");
    fs::write(nginx.file("empty.ndjson"), "").expect("written");
    let origin = nginx.origin(HttpOptions::default(), "a.ndjson?sig=1");
    let identity = origin.identity().expect("known");
    assert_eq!(identity.stored_bytes, Some(text.len() as u64));
    assert!(origin.validator().expect("known").is_some_and(|etag| etag.starts_with('"')));
    assert!(read(&origin, 0) == text.as_bytes());
    assert!(read(&origin, 1_000_000) == text.as_bytes()[1_000_000..]);
    let empty = nginx.origin(HttpOptions::default(), "empty.ndjson");
    assert_eq!(empty.identity().expect("known").stored_bytes, Some(0));
    assert_eq!(read(&empty, 0), b"");
    let missing = nginx.origin(HttpOptions::default(), "none").identity().expect_err("missing");
    assert!(matches!(HttpError::of(&missing), Some(HttpError::Refused { status: 404, .. })), "{missing:?}");
}

#[test]
fn nginx_compresses_on_the_fly_only_when_asked() {
    let Some(nginx) = Nginx::start() else { return };
    let text = lines(50_000);
    fs::write(nginx.file("a.ndjson"), &text).expect("written");
    assert!(read(&nginx.origin(HttpOptions::default(), "gzip/a.ndjson"), 0) == text.as_bytes());
    let compressed = nginx.origin(HttpOptions::default().accepting_gzip(true), "gzip/a.ndjson");
    assert_eq!(compressed.identity().expect("known").stored_bytes, None);
    let bytes = read(&compressed, 0);
    assert!(bytes.starts_with(b"\x1f\x8b") && bytes.len() < text.len() / 2, "{} bytes", bytes.len());
}

#[test]
fn an_object_replaced_over_a_slow_link_is_seen() {
    let Some(nginx) = Nginx::start() else { return };
    let text = lines(50_000);
    fs::write(nginx.file("a.ndjson"), &text).expect("written");
    let origin = nginx.origin(HttpOptions::default().with_ahead_bytes(1 << 16), "slow/a.ndjson");
    let mut begin = vec![0; 10_000];
    origin.open_at(0).expect("begun").read_exact(&mut begin).expect("read");
    assert!(begin == text.as_bytes()[..10_000]);
    assert!(read(&origin, 10_000) == text.as_bytes()[10_000..]);
    // Another file under the same name, of the same length.
    fs::write(nginx.file("b"), text.replace("Patient", "patienT")).expect("written");
    let old = fs::File::options().write(true).open(nginx.file("b")).expect("opened");
    old.set_modified(std::time::SystemTime::now() + Duration::from_secs(7)).expect("set");
    fs::rename(nginx.file("b"), nginx.file("a.ndjson")).expect("renamed");
    let error = origin.open_at(10_000).expect("begun").read(&mut [0]).expect_err("another object");
    assert!(matches!(HttpError::of(&error), Some(HttpError::Changed { .. })), "{error:?}");
}
