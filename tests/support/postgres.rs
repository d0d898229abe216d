//! A PostgreSQL server of our own, from Debian's packages.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::servers::installed;

/// Longer than it takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

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
        server.wait(&programs);
        Some(server)
    }

    fn wait(&mut self, programs: &Path) {
        let begun = Instant::now();
        let ask = || {
            let port = self.port.to_string();
            let mut ready = Command::new(programs.join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port, "-d", "postgres", "-U", "fhirline"]);
            ready.status().is_ok_and(|status| status.success())
        };
        while !ask() {
            let ended = self.child.try_wait().expect("a child").is_some();
            if ended || begun.elapsed() > PATIENCE {
                let mut told = String::new();
                let _ = self.child.kill();
                if let Some(mut errors) = self.child.stderr.take() {
                    let _ = errors.read_to_string(&mut told);
                }
                panic!("PostgreSQL did not start: {told}");
            }
            thread::yield_now();
        }
        // Nobody reads it from now on.
        if let Some(mut errors) = self.child.stderr.take() {
            thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        }
        TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
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
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = versions.map(|version| version.path().join("bin"));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<_> = std::env::split_paths(&in_path).collect();
    installed.chain(in_path).filter(|folder| folder.join("initdb").is_file()).max().unwrap_or_default()
}
