//! Room for bodies while nobody knows yet who has sent them: what is not signed may hold a bounded part of the memory, whoever and however many
//! send it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use bytes::BytesMut;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Most bytes of a delivery: those that are documented have a few thousand.
pub(super) const MAX_DELIVERY_BYTES: usize = 4 << 20;
/// Bodies up to here wait for nobody: 512 connections come to 32 MiB.
const SMALL_BYTES: usize = 64 << 10;
/// What all that are larger may hold together.
const LARGE_BYTES: usize = 32 << 20;
/// How long one of them waits for the others. Its sender has a time limit, too, and comes again.
const WAIT: Duration = Duration::from_secs(20);

/// The room of all receivers.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    large: Arc<Semaphore>,
    wait: Duration,
}

/// A body, and the room that it takes until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoBody {
    /// It has more bytes than any delivery may.
    TooLarge,
    /// Others hold the room.
    NoRoom,
    /// Its sender has gone.
    Broken,
}

impl Default for Room {
    fn default() -> Self {
        Self { large: Arc::new(Semaphore::new(LARGE_BYTES)), wait: WAIT }
    }
}

impl Room {
    /// Reads it to its end. Who only says that much is to come holds nothing.
    pub(super) async fn read(&self, body: Body) -> Result<Held, NoBody> {
        let most = body
            .size_hint()
            .upper()
            .map_or(MAX_DELIVERY_BYTES, |most| usize::try_from(most).unwrap_or(usize::MAX));
        if most > MAX_DELIVERY_BYTES {
            return Err(NoBody::TooLarge);
        }
        let (mut bytes, mut room) = (BytesMut::new(), None);
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| NoBody::Broken)?;
            let length = bytes.len() + piece.len();
            if length > MAX_DELIVERY_BYTES {
                return Err(NoBody::TooLarge);
            }
            if length > SMALL_BYTES && room.is_none() {
                room = Some(self.of_large(most).await?);
                // All at once: growing takes twice as much for a moment.
                bytes.reserve(most - bytes.len());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Held { bytes: bytes.freeze(), _room: room })
    }

    /// All that a body may need at once: who has a part of it and waits for the rest could wait for others that do the same.
    async fn of_large(&self, bytes: usize) -> Result<OwnedSemaphorePermit, NoBody> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = timeout(self.wait, Arc::clone(&self.large).acquire_many_owned(bytes)).await;
        room.ok().and_then(Result::ok).ok_or(NoBody::NoRoom)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;

    use futures_util::{FutureExt, stream};
    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::mpsc;

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_time().build().expect("a runtime")
    }

    /// A body in pieces, as long as they come.
    fn pieces(pieces: mpsc::UnboundedReceiver<usize>) -> Body {
        Body::from_stream(stream::unfold(pieces, |mut pieces| async {
            let length = pieces.recv().await?;
            Some((Ok::<_, Infallible>(Bytes::from(vec![b'x'; length])), pieces))
        }))
    }

    #[test]
    fn what_is_large_waits_for_room_and_what_is_small_does_not() {
        runtime().block_on(async {
            let large = Arc::new(Semaphore::new(2 * MAX_DELIVERY_BYTES));
            let room = Room { large, wait: Duration::ZERO };
            let (sender, body) = mpsc::unbounded_channel();
            sender.send(SMALL_BYTES + 1).expect("taken");
            let mut slow = pin!(room.read(pieces(body)));
            assert!(slow.as_mut().now_or_never().is_none(), "more is to come");
            let whole = room.read(Body::from(vec![b'y'; MAX_DELIVERY_BYTES])).await.expect("room for two");
            assert_eq!(whole.bytes.len(), MAX_DELIVERY_BYTES);
            let third = room.read(Body::from(vec![b'z'; SMALL_BYTES + 1])).await;
            assert_eq!(third.expect_err("two have all of it"), NoBody::NoRoom);
            let small = room.read(Body::from(vec![b's'; SMALL_BYTES])).await.expect("it waits for nobody");
            assert_eq!(small.bytes.len(), SMALL_BYTES);
            drop(whole);
            let third = room.read(Body::from(vec![b'z'; SMALL_BYTES + 1])).await.expect("there is room");
            sender.send(10).expect("taken");
            drop(sender);
            let slow = slow.await.expect("whole");
            assert_eq!(slow.bytes.len(), SMALL_BYTES + 11);
            drop((third, slow));
            assert_eq!(room.large.available_permits(), 2 * MAX_DELIVERY_BYTES);
        });
    }

    #[test]
    fn what_is_larger_than_any_delivery_is_not_read() {
        runtime().block_on(async {
            let room = Room::default();
            let stated = room.read(Body::from(vec![b'x'; MAX_DELIVERY_BYTES + 1])).await;
            assert_eq!(stated.expect_err("stated"), NoBody::TooLarge);
            let (sender, body) = mpsc::unbounded_channel();
            for _ in 0..5 {
                sender.send(1 << 20).expect("taken");
            }
            assert_eq!(room.read(pieces(body)).await.expect_err("unstated"), NoBody::TooLarge);
            assert_eq!(room.large.available_permits(), LARGE_BYTES);
        });
    }
}
