//! Members of a gzip source that are decoded before their turn, on several threads.

use std::collections::VecDeque;
use std::io::Read;
use std::ops::Range;

use crew::{Crew, Lost};
use job::Job;
use starts::Starts;

use crate::input::{INPUT_BYTES, Input};

pub(crate) use room::Room;
pub(crate) use whole::Whole;

mod crew;
mod job;
mod room;
mod starts;
mod whole;

/// Members that are being decoded, or are decoded, in the order of their places.
///
/// Nothing here decides what comes out of a source. A member is taken from here only if the one before it ended exactly where
/// this one begins, and only if it is whole and sound; all else is decoded in sequence.
pub(crate) struct Ahead {
    room: Room,
    crew: Crew<Job>,
    starts: Starts,
    /// What was sent, with the place behind it.
    sent: VecDeque<Sent>,
    /// The job whose members are next.
    front: Option<Job>,
    idle: Vec<Job>,
    made: usize,
    /// From this place on nothing was sent.
    next: u64,
    /// Decoded bytes of the front that are still to be handed out.
    left: Range<usize>,
}

struct Sent {
    ticket: u64,
    from: u64,
}

impl Ahead {
    /// The buffer of the input is widened: that is part of the room.
    pub(crate) fn begin<R: Read>(room: Room, input: &mut Input<R>) -> Self {
        input.widen_behind_view(room.held_bytes());
        Self {
            room,
            crew: Crew::new(room.helpers, Job::work),
            starts: Starts::new(),
            sent: VecDeque::new(),
            front: None,
            idle: Vec::new(),
            made: 0,
            next: 0,
            left: 0..0,
        }
    }

    /// The member that begins with the first unused byte, if it was decoded ahead; [`hand_out`](Self::hand_out) gives its
    /// bytes then. Members behind it are sent, and the input is read ahead for that.
    pub(crate) fn member<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Whole>, Lost> {
        let at = input.used();
        self.retire(at);
        self.send_all(input);
        while self.front.is_none() && self.sent.front().is_some_and(|sent| sent.from <= at) {
            let Some(Sent { ticket, .. }) = self.sent.pop_front() else { break };
            self.front = Some(self.crew.finish(ticket)?);
            self.retire(at);
        }
        let Some((whole, decoded)) = self.front.as_ref().and_then(|front| front.member(at)) else {
            return Ok(None);
        };
        self.left = decoded;
        Ok(Some(whole))
    }

    /// Hands bytes of the member out, into as much as there is room for; 0 behind the last.
    pub(crate) fn hand_out(&mut self, out: &mut [u8]) -> usize {
        let Some(front) = &self.front else { return 0 };
        let bytes = self.left.len().min(out.len());
        let from = self.left.start;
        out[..bytes].copy_from_slice(&front.decoded()[from..from + bytes]);
        self.left.start += bytes;
        bytes
    }

    /// The front is used up once the source is behind it.
    fn retire(&mut self, at: u64) {
        if let Some(mut front) = self.front.take_if(|front| front.is_before(at)) {
            front.clear(self.room.kept_copy_bytes());
            self.idle.push(front);
        }
    }

    /// Sends members as long as there are any in reach, and a job for them.
    fn send_all<R: Read>(&mut self, input: &mut Input<R>) {
        self.next = self.next.max(input.used());
        while let Some(mut job) = self.idle_job() {
            let Some(from) = self.collect(&mut job, input) else {
                self.idle.push(job);
                return;
            };
            job.copy(input.held(), input.used());
            job.make_room(self.room.out_bytes);
            let ticket = self.crew.send(job);
            self.sent.push_back(Sent { ticket, from });
        }
    }

    fn idle_job(&mut self) -> Option<Job> {
        if self.idle.is_empty() && self.made < self.room.jobs {
            self.made += 1;
            return Some(Job::new());
        }
        self.idle.pop()
    }

    /// Gives members to a job, one behind the other, until it is full or no other is in reach; the place of the first. Those
    /// for which there is no room in any job are left out.
    fn collect<R: Read>(&mut self, job: &mut Job, input: &mut Input<R>) -> Option<u64> {
        let mut from = None;
        while !job.is_full()
            && let Some((start, end)) = self.next_place(input)
        {
            let at = input.used();
            let stored = &input.held()[(start - at) as usize..(end - at) as usize];
            let expected_bytes = expected_bytes(stored);
            let fits = job.expected_bytes().saturating_add(expected_bytes) <= self.room.out_bytes;
            let is_next = from.is_none() || start == self.next;
            if fits && is_next {
                job.push(start, stored.len(), expected_bytes);
                from = from.or(Some(start));
            } else if from.is_some() {
                break;
            }
            self.next = end;
        }
        from
    }

    /// The next member whose end is known, after reading ahead as far as that is allowed.
    fn next_place<R: Read>(&mut self, input: &mut Input<R>) -> Option<(u64, u64)> {
        loop {
            let place = self.starts.place(self.next, input.used(), input.held(), input.ended());
            if place.is_some() {
                return place;
            }
            let wanted = (input.held().len() + INPUT_BYTES).min(self.room.stored_bytes);
            if !input.read_ahead(wanted) {
                return None;
            }
        }
    }
}

/// What a member says that it decodes to, modulo 2^32: its last four bytes. With padding behind them that is wrong, and the
/// member may find too little room.
fn expected_bytes(stored: &[u8]) -> usize {
    stored.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}
