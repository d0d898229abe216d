use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, sync_channel};

use crate::encode::{Coder, Encoding};
use crate::offload::Offload;

/// A compressed output is cut into members of this many plain bytes (or fewer), unless longer ones are worth their memory.
pub const BLOCK_BYTES: usize = 1 << 20;

/// No ceiling on memory makes blocks longer.
pub(crate) const LONGEST_BLOCK: usize = 8 << 20;

/// Blocks that are being compressed, in the order in which they must be written.
#[derive(Default)]
pub(crate) struct Blocks {
    waiting: VecDeque<Waiting>,
    /// What earlier blocks leave to later ones: never more than were on their way at once.
    spares: Vec<(Coder, Vec<u8>)>,
}

/// Which part of which output a block belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) output: usize,
    pub(crate) part: usize,
}

struct Waiting {
    place: Place,
    result: Receiver<Member>,
}

/// A block and the member it became.
pub(crate) struct Member {
    pub(crate) plain: Vec<u8>,
    pub(crate) stored: Vec<u8>,
    pub(crate) result: io::Result<()>,
    coder: Coder,
}

impl Blocks {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a member back that was written.
    pub(crate) fn recycle(&mut self, member: Member) {
        self.spares.push((member.coder, member.stored));
    }

    /// Has a block compressed.
    pub(crate) fn submit(&mut self, place: Place, plain: Vec<u8>, encoding: Encoding, offload: &dyn Offload) {
        let (sender, result) = sync_channel(1);
        let spare = self.spares.pop();
        let (mut coder, mut stored) = spare.unwrap_or_else(|| (Coder::new(encoding), Vec::new()));
        offload.offload(Box::new(move || {
            let result = coder.compress(&plain, &mut stored);
            // The sink is gone if nobody receives; then nobody needs the member either.
            let _ = sender.send(Member { plain, stored, result, coder });
        }));
        self.waiting.push_back(Waiting { place, result });
    }

    /// The oldest block once it is compressed; `None` if none is waiting. `Err` if its worker was lost.
    pub(crate) fn oldest(&mut self) -> Option<Result<(Place, Member), ()>> {
        let waiting = self.waiting.pop_front()?;
        Some(waiting.result.recv().map(|member| (waiting.place, member)).map_err(|_| ()))
    }
}
