//! How the memory for members that are decoded ahead is divided.

use crate::gzip::STATE_BYTES;
use crate::input::INPUT_BYTES;

/// What a thread costs: its stack, as far as it is touched, and what its allocator keeps.
const THREAD_BYTES: u64 = 384 << 10;

/// The state of a job's decoder, the list of its members, and what an allocator adds.
const JOB_BYTES: u64 = STATE_BYTES + (64 << 10);

/// Less than this for the decoded bytes of a job is not worth the threads.
const LEAST_OUT_BYTES: u64 = 2 * INPUT_BYTES as u64;

/// So much memory, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Threads beside that of the caller.
    pub(crate) helpers: usize,
    /// Jobs that there may be: one for each thread, and one whose bytes are handed out.
    pub(crate) jobs: usize,
    /// The most that the members of a job may decode to.
    pub(crate) out_bytes: usize,
    /// Stored bytes that are looked at ahead. Twice as many are held, so that moving them to the front is rare, and as many
    /// again are copied into jobs, at most, beside what jobs keep for the next time.
    pub(crate) stored_bytes: usize,
    /// All of it.
    pub(crate) total_bytes: u64,
}

impl Room {
    /// Divides so many bytes for so many threads, that of the caller included; `None` if it is not worth it, or nobody helps.
    pub(crate) fn divide(threads: usize, bytes: u64) -> Option<Self> {
        let helpers = threads.checked_sub(1).filter(|&helpers| helpers > 0)? as u64;
        let jobs = helpers.saturating_add(2);
        let fixed = helpers.saturating_mul(THREAD_BYTES).saturating_add(jobs.saturating_mul(JOB_BYTES));
        let out_bytes = bytes.checked_sub(fixed)? / jobs.saturating_add(2);
        if out_bytes < LEAST_OUT_BYTES {
            return None;
        }
        Some(Self {
            helpers: helpers as usize,
            jobs: jobs as usize,
            out_bytes: out_bytes as usize,
            stored_bytes: (out_bytes / 2) as usize,
            total_bytes: fixed + out_bytes * (jobs + 2),
        })
    }

    /// Stored bytes that are held.
    pub(crate) fn held_bytes(&self) -> usize {
        2 * self.stored_bytes
    }

    /// What a job may keep of its copy of stored bytes for the next time.
    pub(crate) fn kept_copy_bytes(&self) -> usize {
        self.stored_bytes / self.jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_divided_is_never_more_than_there_is() {
        for threads in 1..20 {
            for kib in (0..40_000).step_by(97) {
                let Some(room) = Room::divide(threads, kib << 10) else { continue };
                let copies = room.stored_bytes + room.jobs * room.kept_copy_bytes();
                let held = room.jobs * room.out_bytes + room.held_bytes() + copies;
                assert!(room.total_bytes <= kib << 10 && held as u64 <= room.total_bytes, "{room:?}");
                assert_eq!((room.helpers + 1, room.jobs), (threads, threads + 1));
            }
        }
    }

    #[test]
    fn too_little_is_refused() {
        for (threads, bytes) in [(0, u64::MAX), (1, 0), (1, 1 << 30), (2, 1 << 20), (usize::MAX, 1 << 30)] {
            assert_eq!(Room::divide(threads, bytes), None, "{threads} {bytes}");
        }
        assert!(Room::divide(2, 2 << 20).is_some());
    }
}
