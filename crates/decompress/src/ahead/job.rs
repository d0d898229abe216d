//! Members that are decoded together.

use std::fmt;
use std::ops::Range;

use super::whole::{Whole, decode_whole};

/// Members are decoded together until this much is expected of them: enough to be worth a thread's waking, little enough to
/// stay in its cache.
const USUAL_OUT_BYTES: usize = 512 << 10;

/// More members than this are not decoded together: the list of them needs memory.
const MOST_MEMBERS: usize = 1024;

/// Copies of some members, in the order of their places in the source, and what was decoded of them.
pub(super) struct Job {
    stored: Vec<u8>,
    members: Vec<Member>,
    /// What the members say that they decode to, all together.
    expected_bytes: usize,
    decoded: Vec<u8>,
}

/// A member, or what looks like one.
struct Member {
    /// Its place in the source.
    start: u64,
    stored: Range<usize>,
    decoded_at: usize,
    whole: Option<Whole>,
}

impl Job {
    pub(super) fn new() -> Self {
        Self { stored: Vec::new(), members: Vec::new(), expected_bytes: 0, decoded: Vec::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.expected_bytes >= USUAL_OUT_BYTES || self.members.len() == MOST_MEMBERS
    }

    pub(super) fn expected_bytes(&self) -> usize {
        self.expected_bytes
    }

    /// Takes a member along, which stands behind the last one, is so long, and is expected to decode to so many bytes.
    pub(super) fn push(&mut self, start: u64, stored_bytes: usize, expected_bytes: usize) {
        let at = self.members.last().map_or(0, |last| last.stored.end);
        let stored = at..at + stored_bytes;
        self.members.push(Member { start, stored, decoded_at: 0, whole: None });
        self.expected_bytes += expected_bytes;
    }

    /// Takes the copy, of a piece of the source that begins at `at`.
    pub(super) fn copy(&mut self, held: &[u8], at: u64) {
        let (Some(first), Some(last)) = (self.members.first(), self.members.last()) else { return };
        let from = (first.start - at) as usize;
        self.stored.reserve_exact(last.stored.end);
        self.stored.extend_from_slice(&held[from..from + last.stored.end]);
    }

    /// Makes room for what is expected, and for the usual amount where that is more; `most_bytes` at most.
    pub(super) fn make_room(&mut self, most_bytes: usize) {
        let wanted = self.expected_bytes.max(USUAL_OUT_BYTES).min(most_bytes);
        if self.decoded.len() < wanted {
            // First the old buffer goes, of which nothing is needed.
            self.decoded = Vec::new();
            self.decoded = vec![0; wanted];
        }
    }

    /// Decodes what can be decoded.
    pub(super) fn work(&mut self) {
        let mut decoded_at = 0;
        for member in &mut self.members {
            let stored = &self.stored[member.stored.clone()];
            member.decoded_at = decoded_at;
            member.whole = decode_whole(stored, &mut self.decoded[decoded_at..]);
            decoded_at += member.whole.map_or(0, |whole| whole.decoded_bytes);
        }
    }

    /// Whether nothing is there of what begins at `start` or later.
    pub(super) fn is_before(&self, start: u64) -> bool {
        self.members.last().is_none_or(|last| last.start < start)
    }

    /// The member that begins at `start`, and its bytes, if it could be decoded.
    pub(super) fn member(&self, start: u64) -> Option<(Whole, Range<usize>)> {
        let at = self.members.binary_search_by_key(&start, |member| member.start).ok()?;
        let Member { whole, decoded_at, .. } = self.members[at];
        let whole = whole?;
        Some((whole, decoded_at..decoded_at + whole.decoded_bytes))
    }

    pub(super) fn decoded(&self) -> &[u8] {
        &self.decoded
    }

    /// Forgets everything, but for buffers that may be kept.
    pub(super) fn clear(&mut self, most_stored_bytes: usize) {
        self.members.clear();
        self.expected_bytes = 0;
        self.stored.clear();
        self.stored.shrink_to(most_stored_bytes);
    }
}

/// Without any content.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("members", &self.members.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_holds_no_more_than_it_may() {
        let (most_bytes, kept_bytes) = (200 << 10, 1000);
        for expected_bytes in [0, 1, 150 << 10, 200 << 10] {
            let mut job = Job::new();
            job.push(7, 40_000, expected_bytes);
            job.push(40_007, 5000, 0);
            job.copy(&[0; 50_000], 5);
            assert_eq!(job.stored.capacity(), 45_000);
            job.make_room(most_bytes);
            assert!((expected_bytes..=most_bytes).contains(&job.decoded.capacity()));
            job.work();
            assert_eq!((job.member(7), job.member(40_007)), (None, None));
            job.clear(kept_bytes);
            assert!(job.stored.capacity() <= kept_bytes && job.is_before(0));
        }
    }

    #[test]
    fn members_are_taken_along_up_to_a_number() {
        let mut job = Job::new();
        while !job.is_full() {
            job.push(job.members.len() as u64, 1, 0);
        }
        assert_eq!(job.members.len(), MOST_MEMBERS);
        assert!(job.is_before(MOST_MEMBERS as u64) && !job.is_before(MOST_MEMBERS as u64 - 1));
    }
}
