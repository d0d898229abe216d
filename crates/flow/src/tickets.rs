//! What the source side sends to the commit.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use fhirline_core::{Batch, Budget, Lease, LongLine};

use crate::feed::{Begun, Halt, Resumed, SourceEnd, Step};
use crate::progress::Standing;
use crate::stamp::Stamp;

/// Tickets that may wait for the commit. No bound on memory, which the leases are.
const MOST_TICKETS: usize = 256;

/// A chunk of no more than this is light.
const LIGHT_BYTES: usize = 64 << 10;

/// Steps in order, with a chunk replaced by the promise of its batch.
pub(crate) enum Ticket {
    Begun(Begun),
    Resumed(Resumed),
    Batch { promise: Receiver<Batch>, stored_bytes: u64, standing: Standing },
    Long { line: Box<LongLine>, stored_bytes: u64, standing: Standing },
    Ended(SourceEnd),
    Skipped { name: String, why: String, stamp: Option<Stamp> },
    Halted(Halt),
}

/// A ticket on its way, and its place among the heavy ones if it is one. The place is free again when this is dropped.
pub(crate) struct Sent {
    pub(crate) ticket: Ticket,
    _place: Option<Lease>,
}

/// A queue between the source side and the commit, for so many workers.
///
/// Of small sources many wait in it: if each were waited for, the threads would do little but wake each other. Of what is heavy only
/// so much is on its way as keeps the workers busy; more would be no faster, but spread over more memory than the caches hold, and of
/// long lines keep more spools open.
pub(crate) fn queue(workers: usize) -> (TicketSender, TicketReceiver) {
    let (sender, receiver) = sync_channel(MOST_TICKETS);
    let places = Budget::new(2 * workers as u64 + 2);
    (TicketSender { tickets: sender, places: places.clone() }, TicketReceiver { tickets: receiver, places })
}

/// The end at the source side.
pub(crate) struct TicketSender {
    tickets: SyncSender<Sent>,
    places: Budget,
}

impl TicketSender {
    /// Sends a ticket, once there is room for it; `false` if nobody listens any more.
    pub(crate) fn send(&self, ticket: Ticket, is_heavy: bool) -> bool {
        let place = if is_heavy { self.places.lease(1).map(Some) } else { Ok(None) };
        place.is_ok_and(|place| self.tickets.send(Sent { ticket, _place: place }).is_ok())
    }
}

/// The end at the commit.
pub(crate) struct TicketReceiver {
    tickets: Receiver<Sent>,
    places: Budget,
}

impl TicketReceiver {
    /// Waits so long for the next ticket.
    pub(crate) fn next(&self, at_most: Duration) -> Result<Sent, RecvTimeoutError> {
        self.tickets.recv_timeout(at_most)
    }
}

impl Drop for TicketReceiver {
    /// Lets the source side out of its wait for a place.
    fn drop(&mut self) {
        self.places.close();
    }
}

/// Whether much memory, or a spool, is in use until the commit is done with a step.
pub(crate) fn is_heavy(step: &Step) -> bool {
    match step {
        Step::Chunk { chunk, .. } => chunk.content.buffer().len() > LIGHT_BYTES,
        Step::Long { .. } => true,
        Step::Begun(_) | Step::Resumed(_) | Step::Ended(_) | Step::Skipped { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn skipped(number: usize) -> Ticket {
        Ticket::Skipped { name: number.to_string(), why: String::new(), stamp: None }
    }

    fn name(sent: &Sent) -> &str {
        match &sent.ticket {
            Ticket::Skipped { name, .. } => name,
            _ => "another",
        }
    }

    #[test]
    fn so_many_of_the_heavy_are_on_their_way_and_all_the_light_ones() {
        let (sender, receiver) = queue(1);
        for number in 0..4 {
            assert!(sender.send(skipped(number), true));
        }
        assert_eq!(sender.places.free(), 0);
        for number in 4..MOST_TICKETS {
            assert!(sender.send(skipped(number), false));
        }
        for number in 0..MOST_TICKETS {
            let sent = receiver.next(Duration::ZERO).expect("sent");
            assert_eq!(name(&sent), number.to_string());
            // A place is taken until the commit is done.
            assert_eq!(sender.places.free(), number.min(4) as u64);
        }
        assert_eq!(sender.places.free(), 4);
    }

    #[test]
    fn whoever_waits_for_a_place_is_let_out_when_nobody_listens() {
        let (sender, receiver) = queue(0);
        assert!(sender.send(skipped(0), true) && sender.send(skipped(1), true));
        let waiting = thread::spawn(move || sender.send(skipped(2), true));
        drop(receiver);
        assert!(!waiting.join().expect("no panic"));
    }
}
