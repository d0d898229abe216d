use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError};

use bytes::{Buf, Bytes};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

use super::HttpError;
use super::client::Stopped;
use super::queue::Piece;
use crate::net::LOOK;

/// The bytes of an object as they come from the network. Dropping it ends the transfer.
pub(super) struct HttpReader {
    name: String,
    pieces: Receiver<Piece>,
    bytes: Bytes,
    room: Option<OwnedSemaphorePermit>,
    end: Option<Result<(), HttpError>>,
    task: AbortHandle,
    stopped: Option<Arc<Stopped>>,
}

impl HttpReader {
    pub(super) fn new(
        name: String,
        pieces: Receiver<Piece>,
        task: AbortHandle,
        stopped: Option<Arc<Stopped>>,
    ) -> Self {
        Self { name, pieces, bytes: Bytes::new(), room: None, end: None, task, stopped }
    }

    /// Waits for what comes next, unless somebody says that it is not wanted any more.
    fn next(&self) -> Result<Piece, RecvError> {
        let Some(stopped) = &self.stopped else { return self.pieces.recv() };
        loop {
            if stopped() {
                return Ok(Piece::End(Err(HttpError::Stopped { url: self.name.clone() })));
            }
            match self.pieces.recv_timeout(LOOK) {
                Ok(piece) => return Ok(piece),
                Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Read for HttpReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.bytes.is_empty() && !into.is_empty() {
            self.room = None;
            match &self.end {
                Some(Ok(())) => return Ok(0),
                Some(Err(error)) => return Err(error.clone().into()),
                None => {}
            }
            match self.next() {
                Ok(Piece::Bytes(bytes, room)) => (self.bytes, self.room) = (bytes, Some(room)),
                Ok(Piece::End(end)) => self.end = Some(end),
                Err(_) => return Err(io::Error::other(format!("the transfer of {} failed", self.name))),
            }
        }
        let length = self.bytes.len().min(into.len());
        self.bytes.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

impl Drop for HttpReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for HttpReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpReader").field("name", &self.name).finish_non_exhaustive()
    }
}
