//! Which process of which machine holds a claim.

use std::fs;
use std::io;
use std::process;

use serde::{Deserialize, Serialize};

/// A process, as far as other processes of the same machine can tell whether it lives. Linux only.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(super) struct Process {
    /// The machine since it was started, and the processes that see each other in it: containers on one machine do not.
    machine: String,
    id: u32,
    /// When it was started, for numbers are used again.
    started: String,
}

impl Process {
    /// This one.
    pub(super) fn this() -> Option<Self> {
        let id = process::id();
        Some(Self { machine: machine()?, id, started: started(id).ok()?? })
    }

    /// Whether it lives; `None` if that cannot be seen from here.
    pub(super) fn is_alive(&self) -> Option<bool> {
        if machine()? != self.machine {
            return None;
        }
        match started(self.id) {
            Ok(started) => Some(started.as_ref() == Some(&self.started)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
            Err(_) => None,
        }
    }
}

fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let processes = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), processes.display()))
}

/// When a process was started, in ticks since the machine was; `None` if it is dead and only waits to be noticed.
/// Fields 3 and 22 of `/proc/PID/stat`: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
fn started(id: u32) -> io::Result<Option<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program stands in parentheses and may hold anything.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace());
    let mut fields = fields.ok_or(io::ErrorKind::InvalidData)?;
    let is_dead = matches!(fields.next(), Some("Z" | "X"));
    let started = fields.nth(18).ok_or(io::ErrorKind::InvalidData)?;
    Ok((!is_dead).then(|| started.to_owned()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn of(id: u32) -> Process {
        Process {
            machine: machine().expect("Linux"),
            id,
            started: started(id).expect("there").expect("alive"),
        }
    }

    #[test]
    fn the_living_and_the_dead_are_told_apart() {
        assert_eq!(Process::this().expect("Linux").is_alive(), Some(true));
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("started");
        let process = of(child.id());
        assert_eq!(process.is_alive(), Some(true));
        let later = Process { started: "1".to_owned(), ..process.clone() };
        assert_eq!(later.is_alive(), Some(false), "another process with the same number");
        let elsewhere = Process { machine: "another".to_owned(), ..process.clone() };
        assert_eq!(elsewhere.is_alive(), None);
        child.kill().expect("killed");
        // Dead before it is waited for, but not at once: waiting for it without taking note of it needs more than std has.
        child.wait().expect("dead");
        assert_eq!(process.is_alive(), Some(false));
    }
}
