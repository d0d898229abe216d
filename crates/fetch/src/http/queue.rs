use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::HttpError;

/// What a piece costs beside its bytes, so that many small ones are bounded too.
const PIECE_BYTES: usize = 128;

/// What goes from the network to a reader.
pub(super) enum Piece {
    /// Bytes, and the room that they take until the permit is dropped.
    Bytes(Bytes, OwnedSemaphorePermit),
    /// The end, good or bad.
    End(Result<(), HttpError>),
}

/// The end of the queue that the network fills.
pub(super) struct Feed {
    pieces: Sender<Piece>,
    room: Arc<Semaphore>,
    /// A piece that is larger takes all the room, rather than wait for more than there is.
    most: usize,
}

/// A queue of at most about `ahead_bytes`, or one piece.
pub(super) fn queue(ahead_bytes: usize) -> (Feed, Receiver<Piece>) {
    let most = ahead_bytes.clamp(1, 1 << 30);
    let (pieces, taken) = mpsc::channel();
    (Feed { pieces, room: Arc::new(Semaphore::new(most)), most }, taken)
}

impl Feed {
    /// Waits for room.
    pub(super) async fn send(&self, bytes: Bytes) {
        let cost = (bytes.len() + PIECE_BYTES).min(self.most);
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(cost).await {
            // Fails when the reader is gone; then this task is about to be ended.
            let _ = self.pieces.send(Piece::Bytes(bytes, room));
        }
    }

    pub(super) fn end(&self, result: Result<(), HttpError>) {
        let _ = self.pieces.send(Piece::End(result));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Polls once.
    fn sent(feed: &Feed, length: usize) -> bool {
        let future = pin!(feed.send(Bytes::from(vec![0; length])));
        matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()))
    }

    #[test]
    fn the_queue_is_bounded_by_bytes_and_by_pieces() {
        let (feed, pieces) = queue(10_000);
        assert!(sent(&feed, 9000));
        assert!(!sent(&feed, 1000), "no room");
        drop(pieces.recv().expect("the first"));
        let small = (0..).take_while(|_| sent(&feed, 1)).count();
        assert_eq!(small, 10_000 / (PIECE_BYTES + 1));
    }

    #[test]
    fn a_piece_larger_than_the_queue_goes_alone() {
        let (feed, pieces) = queue(10);
        assert!(sent(&feed, 1000));
        assert!(!sent(&feed, 0));
        drop(pieces.recv().expect("the first"));
        assert!(sent(&feed, 1000));
    }
}
