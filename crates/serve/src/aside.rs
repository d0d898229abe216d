//! Work that blocks, on threads that come after those that answer.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// By how much they are nicer than the thread that starts them: with 10 more a thread gets about a tenth of what the other gets, if both want the
/// same core.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Does it on a thread of its own, and waits for its end. The threads that it starts come late, too: so do those of the network, which belong to
/// the process, if nobody else starts them.
///
/// # Errors
/// If there is no thread for it, or if it panics.
pub(crate) async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        come_late();
        // Whoever does not wait any more has no use for it.
        let _ = sender.send(work());
    })?;
    receiver.await.map_err(|_| io::Error::other("it ended by a defect"))
}

/// Linux alone gives each thread a niceness of its own (setpriority(2), "C library/kernel differences").
#[cfg(target_os = "linux")]
fn come_late() {
    // A system that does not allow it lets all come at the same time, as others do.
    use rustix::process::{getpriority_process, setpriority_process};
    let _ = getpriority_process(None).and_then(|own| setpriority_process(None, own.saturating_add(NICER)));
}

#[cfg(not(target_os = "linux"))]
fn come_late() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn done<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(aside("test", work))
    }

    #[test]
    fn what_is_done_aside_is_told_and_its_panic_too() {
        assert_eq!(done(|| 7).expect("done"), 7);
        assert!(done(|| panic!("a defect")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_done_aside_comes_late_with_all_that_it_starts() {
        let niceness = || rustix::process::getpriority_process(None).expect("a niceness");
        let own = niceness();
        let both = done(move || (niceness(), thread::spawn(niceness).join().expect("joined")));
        // 19 is the most.
        let nicer = (own + NICER).min(19);
        assert_eq!(both.expect("done"), (nicer, nicer));
        assert_eq!(niceness(), own, "the thread that waits is not late");
    }
}
