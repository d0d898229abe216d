//! The quick way to the end of a part: the walk that proves a record, over what is held.
//!
//! The skim can pause at any byte, and knows what to do with what is broken; the walk can and knows neither, but is several
//! times quicker, and what it comes through is proven. So it is tried first, and where it does not come to the end the skim
//! does it all: every value that the walk takes the skim takes too, with the same end, and what comes out is the same but
//! for [`Part::proven`](crate::Part::proven).

use fhirline_core::{Fault, ResourceType};
use fhirline_parse::{FirstValue, first_value, sound_value_length};

use crate::skim::Skim;

use super::parts::{Open, Purpose};

/// A part longer than this is not worth a walk that may have to begin anew with every read.
const LONGEST_WALK: usize = 1 << 20;

/// Which parts are walked over.
#[derive(Clone, Copy)]
pub(super) enum Walks {
    /// Those of which at least so many bytes are held.
    From(usize),
    /// None: the skim must do it.
    Over,
}

/// What is known of a part that was walked over.
#[derive(Clone, Copy, Default)]
pub(super) struct Proof {
    pub(super) proven: bool,
    pub(super) resource_type: Option<ResourceType>,
}

impl Proof {
    fn of(first: &FirstValue<'_>) -> Self {
        // Which of several equal keys counts is for others to say.
        let name = first.resource_type.as_deref().filter(|_| first.is_utf8 && first.duplicate_keys == 0);
        Self { proven: first.is_utf8, resource_type: name.and_then(ResourceType::new) }
    }
}

/// What a walk came to.
pub(super) enum Walked {
    /// The part ends before this offset.
    End(usize, Proof),
    /// More of the part must be held.
    Short,
    /// The skim must do it.
    Stuck,
}

impl Open {
    /// Walks over the part if that promises to come to its end. `text` is what is held of it, or may be, and `is_all` says
    /// that no more will come. Where all is known to be `is_sound`, quotes and brackets are enough to find the end of a
    /// resource; the rest of the proof is for whoever gets it.
    pub(super) fn walk(&mut self, skim: &Skim, text: &[u8], is_all: bool, is_sound: bool) -> Walked {
        let Walks::From(least) = self.walks else { return Walked::Stuck };
        if !self.is_walkable() || skim.fault().is_some() {
            return Walked::Stuck;
        }
        if text.len() < least && !is_all {
            return Walked::Short;
        }
        if is_sound
            && matches!(self.purpose, Purpose::Resource)
            && matches!(text.first(), Some(b'{' | b'['))
            && let Some(length) = sound_value_length(text)
        {
            return Walked::End(length, Proof::default());
        }
        match first_value(text) {
            Ok(first) if self.is_whole(&first) => return Walked::End(first.length, Proof::of(&first)),
            // With every walk twice as long as the one before, all of them together cost no more than two.
            Err(bad) if bad.fault == Fault::Incomplete && !is_all && text.len() <= LONGEST_WALK / 2 => {
                self.walks = Walks::From(2 * text.len());
                return Walked::Short;
            }
            _ => self.walks = Walks::Over,
        }
        Walked::Stuck
    }

    fn is_walkable(&self) -> bool {
        let may_be_whole = match &self.purpose {
            Purpose::Resource => true,
            Purpose::Candidate(look) => look.promises_whole(),
            _ => false,
        };
        may_be_whole && self.offset == 0
    }

    /// Whether that is no container.
    fn is_whole(&self, first: &FirstValue<'_>) -> bool {
        // Of several keys that are equal a look takes the first, and the walk the last.
        let is_known = first.duplicate_keys == 0 && first.resource_type.as_deref() != Some("Bundle");
        is_known || matches!(self.purpose, Purpose::Resource)
    }
}
