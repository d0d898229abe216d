//! The HTTP source against nginx: ranges, transfers that are compressed on the fly, a slow link, an object replaced.
#![cfg(feature = "http")]

#[path = "support/servers.rs"]
mod servers;

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use fhirline_core::Origin;
use fhirline_fetch::{HttpClient, HttpError, HttpOptions, HttpOrigin};
use servers::Server;
use tempfile::TempDir;

/// nginx over a folder of its own.
struct Nginx {
    server: Server,
    root: TempDir,
}

impl Nginx {
    fn start(test: &str) -> Option<Self> {
        let root = tempfile::tempdir().expect("a folder");
        let served = root.path().display();
        let directives = format!(
            "default_type application/fhir+ndjson;
            location /slow/ {{ alias {served}/; limit_rate 2m; limit_rate_after 64k; }}
            location /gzip/ {{ alias {served}/; gzip on; gzip_types application/fhir+ndjson; }}"
        );
        let server = Server::nginx(test, root.path(), "", &directives)?;
        Some(Self { server, root })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn origin(&self, options: HttpOptions, path: &str) -> HttpOrigin {
        let client = HttpClient::new(options).expect("a client");
        HttpOrigin::new(&client, &format!("{}/{path}", self.server.url())).expect("a URL")
    }
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
    let Some(nginx) = Nginx::start("nginx_serves_objects_and_ranges_of_them") else { return };
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
    let Some(nginx) = Nginx::start("nginx_compresses_on_the_fly_only_when_asked") else { return };
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
    let Some(nginx) = Nginx::start("an_object_replaced_over_a_slow_link_is_seen") else { return };
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
