use std::thread;
use std::time::Duration;

use fhirline::{Cancel, ExitStatus};

use crate::trouble::tell_stopped;

/// How long a run has to stop by itself. A read that waits (a pipe that nobody writes to) cannot be called back.
const PATIENCE: Duration = Duration::from_secs(2);

/// Stops the run on Ctrl-C (or a request to terminate) at the next batch; the process at once on the second.
pub(crate) fn stop_on_interrupt(cancel: &Cancel) -> Result<(), ctrlc::Error> {
    let cancel = cancel.clone();
    ctrlc::set_handler(move || {
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
    })
}

fn stop() -> ! {
    tell_stopped();
    std::process::exit(i32::from(ExitStatus::Interrupted.code()))
}
