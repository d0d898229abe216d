//! Connections, each within bounds: whoever is silent or slow does not keep others waiting for ever.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tracing::warn;

/// What a caller may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Most connections at the same time; the others wait to be accepted.
    connections: usize,
    /// Most time for the head of a request, which begins with the end of the one before.
    head: Duration,
    /// Most time until a request is answered, its body included.
    answer: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // Well below the 1,024 open files that a process usually may have.
            connections: 512,
            head: Duration::from_secs(20),
            // Fasten itself waits for 60 s.
            answer: Duration::from_secs(50),
        }
    }
}

/// Most bytes of the head of a request, and of what waits in a connection to be read.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Time for a machine that has no room for another connection.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers whoever comes, until the end is told and the last answer is sent.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
) {
    let router = router.layer(from_fn(move |request, next| in_time(bounds.answer, request, next)));
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut connections = JoinSet::new();
    while !*stop.borrow() {
        let next = tokio::select! {
            next = next(&listener, &places) => next,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        if let Some((stream, place)) = next {
            connections.spawn(converse(stream, router.clone(), bounds, stop.clone(), place));
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it.
async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

/// The requests of one connection. What goes wrong with it is known to whoever is at its other end.
async fn converse(
    stream: TcpStream,
    router: Router,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(MAX_HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// A stream of events is answered at once, and goes on for as long as it is listened to.
async fn in_time(most: Duration, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(most, next.run(request)).await;
    answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use axum::body::Bytes;
    use axum::routing::post;

    use super::*;

    /// What comes back to whoever sends that and then nothing, until the connection is closed.
    fn answer_to(sent: &[u8], at: std::net::SocketAddr) -> String {
        let mut stream = std::net::TcpStream::connect(at).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        stream.write_all(sent).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("closed");
        answer
    }

    #[test]
    fn who_is_silent_in_the_middle_is_not_waited_for() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let at = listener.local_addr().expect("an address");
        let router = Router::new().route("/", post(|body: Bytes| async move { body }));
        let short = Duration::from_millis(100);
        // One place: whoever is not waited for leaves it to the next one.
        let bounds = Bounds { connections: 1, head: short, answer: short };
        let (stop, stopped) = watch::channel(false);
        let server = runtime.spawn(serve(listener, router, bounds, stopped));
        assert_eq!(answer_to(b"", at), "", "nothing");
        assert_eq!(answer_to(b"POST / HTTP/1.1\r\nhost: x\r\n", at), "", "half a head");
        let half = answer_to(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhal", at);
        assert!(half.starts_with("HTTP/1.1 408"), "{half}");
        let whole = answer_to(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nwhole", at);
        assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with("whole"), "{whole}");
        stop.send_replace(true);
        runtime.block_on(server).expect("it ends");
    }
}
