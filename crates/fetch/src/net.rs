//! The way from blocking code to async code: one runtime for the process, on threads of its own.

use std::future::Future;
use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that move bytes between sockets and buffers. TLS is most of their work; more than two would take the cores from
/// those that decode.
const THREADS: usize = 2;

/// The runtime of the process, made when it is first asked for. It lives as long as the process.
pub(crate) fn runtime() -> io::Result<Handle> {
    static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
        Builder::new_multi_thread().worker_threads(THREADS).thread_name("fhirline-net").enable_all().build()
    });
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.handle().clone()),
        Err(error) => Err(io::Error::new(error.kind(), format!("no threads for the network: {error}"))),
    }
}

/// Runs a future on the runtime and blocks the caller until it is done. Unlike `block_on` it may be called on a thread of
/// another runtime.
pub(crate) fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        // Nobody waits any more if the caller is gone.
        let _ = sender.send(future.await);
    });
    receiver.recv().map_err(|_| io::Error::other("a task of the network ended without a result"))
}

/// The same for as long as it is wanted; `None` if it was ended before it was done.
pub(crate) fn wait_unless<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
    stopped: &dyn Fn() -> bool,
) -> io::Result<Option<T>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let task = runtime()?.spawn(async move {
        let _ = sender.send(future.await);
    });
    while !stopped() {
        match receiver.recv_timeout(LOOK) {
            Ok(done) => return Ok(Some(done)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("a task of the network ended without a result"));
            }
        }
    }
    task.abort();
    Ok(None)
}

/// A wait looks this often whether it is still wanted.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// Waits, unless told to stop: then it ends at once. Whether it came to its end.
pub(crate) fn pause(wait: Duration, stopped: &dyn Fn() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        if stopped() {
            return false;
        }
        match wait.checked_sub(begin.elapsed()) {
            None | Some(Duration::ZERO) => return true,
            Some(left) => thread::sleep(left.min(LOOK)),
        }
    }
}

/// Makes TLS ready: ring as its cryptography, unless the program around us has chosen already.
pub(crate) fn ready_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_told_to() {
        let looks = Cell::new(0);
        let stopped = || {
            looks.set(looks.get() + 1);
            looks.get() > 2
        };
        assert!(!pause(Duration::from_secs(1_000_000), &stopped));
        assert_eq!(looks.get(), 3);
        assert!(pause(Duration::ZERO, &|| false));
        assert!(!pause(Duration::ZERO, &|| true));
    }

    #[test]
    fn a_future_is_waited_for_also_on_a_thread_of_another_runtime() {
        assert_eq!(wait(async { 7 }).expect("a runtime"), 7);
        let other = Builder::new_current_thread().build().expect("a runtime");
        assert_eq!(other.block_on(async { wait(async { 8 }) }).expect("a runtime"), 8);
    }
}
