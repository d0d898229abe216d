//! A PostgreSQL server of our own, from Debian's packages.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use super::servers::installed;

/// A server with an empty database, until it is dropped.
pub(crate) struct Postgres {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Postgres {
    /// Starts one; `None` if there is no PostgreSQL on this machine.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let programs = programs();
        installed(test, "PostgreSQL", &programs.join("initdb"))?;
        let folder = tempfile::Builder::new().prefix("fhirline-postgres").tempdir().expect("a folder");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a folder");
        // It refuses to run as root.
        if is_root() {
            for path in [folder.path(), &data] {
                assert!(Command::new("chown").arg("postgres").arg(path).status().expect("chown").success());
            }
        }
        let made = as_user(&programs.join("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=fhirline", "--pgdata"])
            .arg(&data)
            .output()
            .expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let child = as_user(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", "fsync=off", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("postgres");
        let mut server = Self { child, port, _folder: folder };
        server.wait();
        Some(server)
    }

    /// Reads what it logs until it says that it is ready, and from then on for nobody.
    fn wait(&mut self) {
        let mut log = BufReader::new(self.child.stderr.take().expect("a log"));
        let mut told = String::new();
        while !told.contains("ready to accept connections") {
            let count = log.read_line(&mut told).expect("a line");
            assert!(count > 0, "PostgreSQL did not start: {told}");
        }
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://fhirline@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    id.stdout.starts_with(b"0")
}

fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

/// The newest version of Debian's packages, or what is in the path.
fn programs() -> PathBuf {
    let has_all = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = versions.map(|version| version.path().join("bin")).filter(has_all).max();
    let path = std::env::var_os("PATH").unwrap_or_default();
    installed.or_else(|| std::env::split_paths(&path).find(has_all)).unwrap_or_default()
}
