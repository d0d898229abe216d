use std::ffi::c_int;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use fhirline::{Cancel, ExitStatus};

use crate::trouble::tell_stopped;

/// How long a run has to stop by itself. A read that waits (a pipe that nobody writes to) cannot be called back.
const PATIENCE: Duration = Duration::from_secs(2);

/// Stops the run on Ctrl-C (or a request to terminate) at the next batch; the process at once on the second.
pub(crate) fn stop_on_interrupt(cancel: &Cancel) -> io::Result<()> {
    // A file that grows beyond what the shell allows (ulimit -f) is to be an error of the write, and not the end.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut signals = Signals::new(requests(&status))?;
    let cancel = cancel.clone();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || signals.forever().for_each(|_| on_request(&cancel)))?;
    Ok(())
}

/// The signals that ask a run to stop. Who started it with hang-ups ignored (nohup) wants it to outlive the terminal.
fn requests(status: &str) -> Vec<c_int> {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let outlives = ignored & (1 << (SIGHUP - 1)) != 0;
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !(outlives && *signal == SIGHUP)).collect()
}

fn on_request(cancel: &Cancel) {
    let again = cancel.is_cancelled();
    if !cancel.cancel() {
        // The outputs are being given their names: a moment more, and the run is complete.
        return;
    }
    if again {
        stop();
    }
    thread::spawn(|| {
        thread::sleep(PATIENCE);
        stop();
    });
}

fn stop() -> ! {
    tell_stopped();
    std::process::exit(i32::from(ExitStatus::Interrupted.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hang_ups_that_are_ignored_stay_so() {
        let all = [SIGINT, SIGTERM, SIGHUP];
        assert_eq!(requests("Name:\tfhirline\nSigIgn:\t0000000000001001\n"), [SIGINT, SIGTERM]);
        assert_eq!(requests("Name:\tfhirline\nSigIgn:\t0000000000001002\n"), all);
        assert_eq!(requests(""), all);
    }
}
